"""What an accelerator's row promises: units, formats, and a clear word where the vendor is silent."""

import copy
import pickle

import pytest

from course_lib.catalog import CatalogError, accelerator, instance
from course_lib.catalog.accelerators import accelerator_table

CONTRACT = [
    *("v100-16gb", "v100-32gb", "a100-40gb", "a100-80gb", "h100", "h200", "b200"),
    *("trainium1", "trainium2", "trainium3", "inferentia2", "gaudi2", "gaudi3"),
]


@pytest.mark.parametrize("name", CONTRACT)
def test_every_chip_of_the_course_has_a_16_bit_rate_memory_and_bandwidth(name: str) -> None:
    """Oracle: the course's list of chips; a roofline needs these three figures."""
    chip = accelerator(name)
    assert chip.peak_flops("fp16" if name.startswith("v100") else "bf16") > 1e14
    assert chip.memory_bytes > 15e9
    assert chip.memory_bandwidth_bytes_per_s > 5e11


def test_memory_is_counted_as_the_vendor_counts_it() -> None:
    """Oracle: 96 GiB = 96 x 2**30 bytes on Trainium2; 80 GB = 80e9 bytes on H100."""
    assert accelerator("trainium2").memory_bytes == 103_079_215_104
    assert accelerator("h100").memory_bytes == 80_000_000_000


@pytest.mark.parametrize("spelling", ["bf16", "BF16", "bfloat16"])
def test_a_number_format_is_found_as_frameworks_spell_it(spelling: str) -> None:
    """Oracle: NVIDIA's 989 TFLOPS, dense."""
    assert accelerator("h100").peak_flops(spelling) == 989e12


@pytest.mark.parametrize(
    ("chip", "dtype"), [("v100-16gb", "bf16"), ("a100-40gb", "fp8"), ("h100", "fp3"), ("a10g", "fp16")]
)
def test_a_format_without_a_rate_is_refused_naming_those_that_have_one(chip: str, dtype: str) -> None:
    """Oracle: V100 has no BF16, A100 no FP8, nobody has FP3, and A10G's rates have no primary source."""
    row = accelerator(chip)
    with pytest.raises(CatalogError) as caught:
        row.peak_flops(dtype)
    expected = ", ".join(row.peak_tflops) or "none"
    assert all(part in str(caught.value) for part in (repr(chip), repr(dtype), f"available: {expected}", "Remedy: "))


def test_an_unpublished_bandwidth_is_refused_not_guessed() -> None:
    """Oracle: no primary source for Gaudi 1's bandwidth was found, so the row leaves it out."""
    with pytest.raises(CatalogError, match=r"gaudi1.*bandwidth is not published.*Remedy"):
        _ = accelerator("gaudi1").memory_bandwidth_bytes_per_s


def test_no_rate_is_the_sparse_one() -> None:
    """Oracle: the ratio of formats: a dense 8-bit rate is at most 4 times the 16-bit one (Trainium3's MXFP8: 3.75)."""
    for chip in accelerator_table().values():
        rates = chip.peak_tflops
        if "bf16" in rates and "fp8" in rates:
            assert 1 <= rates["fp8"] / rates["bf16"] < 4, chip.name


def test_gaudi3_carries_both_the_shipping_and_the_paper_rate() -> None:
    """Oracle: 1600 and 1750 MHz clocks have the ratio of the two rates."""
    chip = accelerator("gaudi3")
    assert chip.peak_tflops["bf16"] / chip.paper_tflops["bf16"] == pytest.approx(1600 / 1750, rel=1e-3)


def test_rows_are_shared_hashable_and_survive_copy_and_pickle() -> None:
    """Oracle: equality and identity; caches and worker processes rely on it."""
    chip = accelerator("H-100")
    assert chip is accelerator("h100")
    assert {chip: 1}[copy.deepcopy(chip)] == 1
    assert pickle.loads(pickle.dumps(chip)) == chip
    with pytest.raises(AttributeError):
        chip.memory = 1  # type: ignore[misc]
    assert instance("p5.48xlarge").accelerator_spec is chip
