"""Networks: their figures agree with those of the chips and the instances that they join."""

import math
import shutil
from pathlib import Path

import pytest

from course_lib.catalog import CatalogError, UnknownNameError, accelerator, check_catalog, instance, network, network_of
from course_lib.catalog.loader import DATA
from course_lib.catalog.networks import Network, network_table

ROWS = list(network_table().values())
NODES = [row for row in ROWS if row.scope == "node"]
CLUSTERS = [row for row in ROWS if row.scope == "cluster"]


@pytest.mark.parametrize("row", [row for row in NODES if row.shape == "torus"], ids=lambda row: row.name)
def test_a_torus_adds_up_to_what_a_chips_links_carry(row: Network) -> None:
    """Oracle: accelerators.toml; trn1n has twice the links, and inside one instance a Trainium2 has 1,024 GB/s."""
    wanted = {"neuronlink-v2-trn1n": 2 * 384, "neuronlink-v3-trn2": 1024}
    both_ways = accelerator(row.accelerators[0]).link_gb_per_s
    assert sum(row.dimension_gb_per_s) == wanted.get(row.name, both_ways)
    assert sum(2 * rate for rate in row.link_bytes_per_s) == sum(row.dimension_gb_per_s) * 1e9 / 2


@pytest.mark.parametrize("row", [row for row in NODES if row.shape == "switch"], ids=lambda row: row.name)
def test_all_chips_of_a_switch_have_ports_of_one_rate(row: Network) -> None:
    """Oracle: accelerators.toml."""
    assert {accelerator(name).link_gb_per_s for name in row.accelerators} == {row.link_bytes_per_s[0] * 2 / 1e9}


@pytest.mark.parametrize("generation", ["gaudi2", "gaudi3"])
def test_ports_inside_and_outside_a_gaudi_box_are_all_of_a_cards(generation: str) -> None:
    """Oracle: accelerators.toml: both directions of 24 ports; Intel: 21 inside, 3 outside."""
    inside, outside = network(f"{generation}-scale-up"), network(f"{generation}-scale-out")
    assert inside.links is not None
    assert outside.links is not None
    assert inside.devices == 8
    ports = 7 * inside.links, outside.links / 8
    assert ports == (21, 3)
    rate = accelerator(generation).link_gb_per_s
    assert sum(ports) * 2 * outside.link_bytes_per_s[0] == rate * 1e9


def test_the_first_gaudis_seven_ports_are_all_of_its_rate() -> None:
    """Oracle: accelerators.toml: 175 GB/s in both directions."""
    assert 7 * 2 * network("gaudi1-scale-up").link_bytes_per_s[0] == accelerator("gaudi1").link_gb_per_s * 1e9


@pytest.mark.parametrize("row", [row for row in CLUSTERS if row.instances], ids=lambda row: row.name)
def test_cards_add_up_to_what_the_instance_sends(row: Network) -> None:
    """Oracle: instances.csv."""
    for name in row.instances:
        assert row.links * row.link_gbit_per_s == instance(name).network_gbit_per_s


@pytest.mark.parametrize("row", NODES, ids=lambda row: row.name)
def test_a_node_has_the_chips_of_its_instance(row: Network) -> None:
    """Oracle: instances.csv."""
    for name in row.instances:
        assert instance(name).accelerator in row.accelerators
        assert instance(name).accelerators == row.devices


def test_intels_bandwidths_are_reached_by_the_solved_latency_and_efficiency() -> None:
    """Oracle: the two equations of the note: 2 a + 2 (n/8) / (75 e) and a + n / (75 e)."""
    row = network("gaudi3-scale-up")
    (link,) = row.link_bytes_per_s
    reduced, gathered = 915.792e-6, 230.642e-6
    efficiency = (2**26 - 2**25) / link / (reduced - 2 * gathered)
    assert row.efficiency == pytest.approx(efficiency, abs=5e-4)
    assert row.latency_us == pytest.approx((gathered - 2**24 / link / efficiency) * 1e6, abs=0.05)


@pytest.mark.parametrize(
    ("name", "efficiency"),
    [
        ("nvlink3", 235 / 300), ("nvlink4", 367.2 / 450), ("nvlink5", 740.64 / 900), ("efa-p4d", 340 / 400),
        ("efa-p5", 2**34 / 8 / 66.132e-3 / 50e9), ("efa-p6-b200", 381.80 * 3 / 31 / 50),
    ],
)  # fmt: skip
def test_an_efficiency_is_the_quotient_that_its_source_gives(name: str, efficiency: float) -> None:
    """Oracle: measured over peak, from the figures that `efficiency_source` quotes."""
    assert network(name).efficiency == pytest.approx(efficiency, abs=6e-3)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_figure_says_where_it_was_read_and_every_gap_why(row: Network) -> None:
    """Oracle: the rule of the course: a fact that nobody can trace is not a fact."""
    assert len(row.source) > 20
    assert (row.latency_us is None) == (row.latency_source == "")
    assert (row.efficiency is None) == (row.efficiency_source == "")
    if row.latency_us is None:
        assert "No latency" in row.notes
    if row.efficiency is None:
        assert "o achieved rate" in row.notes
    if row.latency_source.startswith("NVIDIA NCCL"):
        assert "no measurement" in row.notes
    if "stas00" in row.efficiency_source:
        assert "secondary source" in row.notes


def test_a_network_is_found_by_name_alias_and_instance() -> None:
    """Oracle: the file."""
    assert network("NVLink 4") is network("nvlink4") is network_of("p5.48xlarge", "node")
    assert network("ib-ndr") is network("infiniband_ndr")
    assert network_of("p5.48xlarge", "cluster") is network("efa-p5")
    with pytest.raises(UnknownNameError, match=r"networks\(\)"):
        network("nvlink9")
    with pytest.raises(CatalogError, match="no node network"):
        network_of("g5.xlarge", "node")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('accelerators = ["h100", "h200"]', 'accelerators = ["h100", "h20"]', "'h200'"),
        ('instances = ["p6-b200.48xlarge"]', 'instances = ["p6-b20.48xlarge"]', "p6-b200.48xlarge"),
        ("dims = [4, 4]", "dims = [4, 5]", "product of dims"),
        ("dims = [4, 4]", "dims = [16]", "as many dimension_gb_per_s"),
        ("efficiency = 0.816", "efficiency = 81.6", "less than or equal to 1"),
        ("efficiency = 0.816\n", "", "come together"),
        ("latency_us = 3.4\n", "", "come together"),
        ('shape = "switch"', 'shape = "star"', "'torus'"),
        ("devices = 8\n", "", "needs devices"),
        ("links = 3\n", "", "need links"),
        ("devices = 8", "devices = 8\ndevices2 = 8", "devices2"),
    ],
)
def test_a_wrong_row_is_reported(tmp_path: Path, old: str, new: str, says: str) -> None:
    """Oracle: one mistake, made by hand."""
    folder = tmp_path / "data"
    shutil.copytree(DATA, folder)
    path = folder / "networks.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    errors = check_catalog(folder)
    assert errors
    assert all(error.startswith("networks.toml") and "Remedy" in error for error in errors)
    assert any(says in error for error in errors)


def test_two_networks_that_share_an_alias_are_reported(tmp_path: Path) -> None:
    """Oracle: `NVLink 4` is made to name two networks."""
    folder = tmp_path / "data"
    shutil.copytree(DATA, folder)
    path = folder / "networks.toml"
    path.write_text(path.read_text().replace('"ib-ndr"', '"NVLink 4"'))
    (error,) = check_catalog(folder)
    assert "'infiniband-ndr'" in error
    assert "'nvlink4'" in error


def test_a_frame_shows_each_link() -> None:
    """Oracle: the rows."""
    from course_lib import catalog

    frame = catalog.networks().set_index("name")
    assert frame.loc["nvlink4", "link_gb_per_s"] == 450
    assert frame.loc["neuronlink-v3-ultraserver", "link_gb_per_s"] == (128, 128, 64)
    assert math.isnan(frame.loc["efa-trn2", "efficiency"])
