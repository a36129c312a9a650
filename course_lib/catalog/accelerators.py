"""Accelerators: dense peak rates, memory and links of one chip, each with the page that says so.

Peak rates are for dense matrices. Vendors also print rates with structured sparsity, twice as high; those never enter.
"""

from collections.abc import Mapping
from dataclasses import field
from functools import cache
from typing import Literal, get_args

from pydantic.dataclasses import dataclass

from course_lib.catalog.errors import CatalogError
from course_lib.catalog.loader import load_toml
from course_lib.catalog.lookup import find, index_names
from course_lib.catalog.schema import ROW, Date, Positive, Text

FILE = "accelerators.toml"

Dtype = Literal["fp32", "tf32", "fp16", "bf16", "fp8", "mxfp8", "mxfp4", "fp4", "int8"]
DTYPES: tuple[str, ...] = get_args(Dtype)

# The frameworks' spelling of the same formats.
_SPELLINGS = {"float32": "fp32", "float": "fp32", "float16": "fp16", "half": "fp16", "bfloat16": "bf16"}


@dataclass(frozen=True, config=ROW)
class Accelerator:
    """One chip.

    Args:
        name: key, e.g. `h100`.
        title: as a reader knows it, e.g. `NVIDIA H100 SXM 80 GB`.
        vendor: who makes it.
        peak_tflops: number format → dense peak, 1e12 operations per second and chip; a format that is missing is
            either not supported or not published, which `notes` says.
        memory: device memory of one chip, in `memory_unit`.
        memory_unit: `GB` (1e9 bytes) or `GiB` (2**30 bytes), as the vendor counts.
        memory_bandwidth_tb_per_s: peak, 1e12 bytes per second; None when not published.
        link_name: the chip-to-chip link.
        link_gb_per_s: all links of one chip together, both directions, 1e9 bytes per second; None when unknown.
        power_watts: the vendor's power limit for one chip; None when not published.
        paper_tflops: what a white paper prints where it differs from the parts that ship.
        aliases: other names that a look-up accepts.
        notes: what a reader must know before using the row.
        source: where the figures were read.
        date: the day on which the source said so.
    """

    name: Text
    title: Text
    vendor: Text
    memory: Positive
    memory_unit: Literal["GB", "GiB"]
    source: Text
    date: Date
    peak_tflops: Mapping[Dtype, Positive] = field(hash=False)
    memory_bandwidth_tb_per_s: Positive | None = None
    link_name: str = ""
    link_gb_per_s: Positive | None = None
    power_watts: Positive | None = None
    paper_tflops: Mapping[Dtype, Positive] = field(default_factory=dict, hash=False)
    aliases: tuple[Text, ...] = ()
    notes: str = ""

    @property
    def memory_bytes(self) -> float:
        """Device memory of one chip, in bytes."""
        return self.memory * (1e9 if self.memory_unit == "GB" else 2**30)

    @property
    def memory_bandwidth_bytes_per_s(self) -> float:
        """Peak memory bandwidth, in bytes per second.

        Raises:
            CatalogError: when the vendor does not publish it.
        """
        if self.memory_bandwidth_tb_per_s is None:
            raise CatalogError(
                f"accelerator {self.name!r}: its memory bandwidth is not published. {self.notes} "
                "Remedy: choose an accelerator that has one; course_lib.catalog.accelerators() shows which."
            )
        return self.memory_bandwidth_tb_per_s * 1e12

    def peak_flops(self, dtype: str = "bf16") -> float:
        """Dense peak rate of one chip.

        Args:
            dtype: `fp32`, `tf32`, `fp16`, `bf16`, `fp8`, `mxfp8`, `mxfp4`, `fp4` or `int8`; `bfloat16` and the like
                are understood.

        Returns:
            Floating-point (for int8: integer) operations per second.

        Raises:
            CatalogError: when the catalog has no figure for this format, naming those that it has.
        """
        key = _SPELLINGS.get(dtype.lower(), dtype.lower())
        for known, tflops in self.peak_tflops.items():
            if known == key:
                return tflops * 1e12
        available = ", ".join(self.peak_tflops) or "none"
        raise CatalogError(
            f"accelerator {self.name!r} has no peak rate for dtype {dtype!r}; available: {available}. "
            f"{self.notes + ' ' if self.notes else ''}Remedy: pass one of the available dtypes, or another accelerator."
        )


@cache
def accelerator_table() -> dict[str, Accelerator]:
    """name → accelerator, read once."""
    return load_toml(FILE, Accelerator)


@cache
def _index() -> dict[str, Accelerator]:
    table = accelerator_table()
    return index_names("accelerator", table, {name: row.aliases for name, row in table.items()})


def accelerator(name: str) -> Accelerator:
    """Look an accelerator up by name or alias.

    Args:
        name: e.g. `h100`, `A100 80GB`, `Trainium 2`; case, space, dash, underscore and dot do not matter.

    Returns:
        The accelerator.

    Raises:
        UnknownNameError: with the nearest names.
    """
    return find("accelerator", name, _index(), accelerator_table())
