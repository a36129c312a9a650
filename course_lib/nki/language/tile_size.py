"""`nl.tile_size`: limits of the generation that the kernel is built for.

Source: Neuron documentation 2.32, `nki.language.tile_size`. The documentation says that a little less than the physical
SBUF is usable and prints no number, so the physical size is given.
"""

from __future__ import annotations

from course_lib.catalog import NeuronCore, neuron_core
from course_lib.nki.constants import nc_version
from course_lib.nki.objects import NKIObject
from course_lib.nki.options import TARGETS
from course_lib.nki.session import PARTITIONS, current_core, is_running
from course_lib.runtime import nki_settings

_FLOAT32_BYTES = 4


def _hardware() -> NeuronCore:
    """The running kernel's core; outside a kernel, the one that the environment asks for."""
    if is_running():
        return current_core().hardware
    return neuron_core(TARGETS[str(nki_settings()["target"])].name)


class TileSize(NKIObject):
    """Sizes in elements or bytes; those that differ between generations are properties."""

    pmax = PARTITIONS
    psum_fmax = 512
    psum_bank_fmax = 512
    psum_bank_fmax_bytes = 2048
    gemm_stationary_fmax = 128
    gemm_moving_fmax = 512
    bn_stats_fmax = 512
    psum_min_align = 4
    sbuf_min_align = 1

    @property
    def psum_num_banks(self) -> int:
        """Banks of PSUM that a kernel may use."""
        core = _hardware()
        reserved = core.version >= nc_version.gen3 and nki_settings()["transpose_on_tensor_engine"]
        return core.psum_banks - (1 if reserved else 0)

    @property
    def sbuf_size_bytes(self) -> int:
        """Bytes of SBUF, all partitions together."""
        return _hardware().sbuf_partition_bytes * PARTITIONS

    @property
    def sbuf_fmax_bytes(self) -> int:
        """Bytes of SBUF behind one partition."""
        return _hardware().sbuf_partition_bytes

    @property
    def sbuf_fmax(self) -> int:
        """Float32 elements of SBUF behind one partition."""
        return self.sbuf_fmax_bytes // _FLOAT32_BYTES

    @property
    def total_available_sbuf_size(self) -> int:
        """Bytes of SBUF behind one partition, under its old, misleading name."""
        return self.sbuf_fmax_bytes


tile_size = TileSize()
