"""Oracle: NumPy expressions, and the documented rule that each test names.

Each kernel here shows one habit of published kernels that the simulator once refused or got wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from course_lib import nki
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl
from course_lib.nki.errors import NkiValidationError


def _data(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_jit_takes_the_compiler_settings_of_published_kernels_but_no_target() -> None:
    @nki.jit(mode="auto", experimental_flags="some-flag", show_compiler_tb=True)
    def copy(x):  # type: ignore[no-untyped-def]
        out = nl.ndarray(x.shape, x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out, src=x)
        return out

    np.testing.assert_array_equal(nki.simulate(copy)(_data(4, 8)), _data(4, 8))
    with pytest.raises(NkiValidationError, match="NEURON_PLATFORM_TARGET_OVERRIDE"):
        nki.jit(platform_target="trn3")


@dataclass
class _Tiles(nl.NKIObject):
    rows: int
    columns: int
    sizes: list = field(default_factory=list)
    offset = None


class _Plain(nl.NKIObject):
    rows: int
    scale: float = 2.0

    def __post_init__(self) -> None:
        self.doubled = self.rows * self.scale


def test_fields_that_nobody_gives_are_none_and_unannotated_ones_count() -> None:
    tiles = _Tiles(rows=3, offset=7)
    assert (tiles.rows, tiles.columns, tiles.sizes, tiles.offset) == (3, None, [], 7)
    assert _Tiles(1, 2).offset is None
    assert _Plain(3).doubled == 6.0
    assert _Plain(3, scale=4.0).doubled == 12.0
    with pytest.raises(TypeError):
        _Plain(1, 2.0, 3)


@nki.jit
def _past_the_end(x, use: bool):  # type: ignore[no-untyped-def]
    tile = nl.ndarray((4, 8), nl.float32, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x)
    view = tile.ap([[8, 4], [1, 8]], offset=4)
    out = nl.ndarray((4, 8), nl.float32, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=view if use else tile)
    return out


def test_a_view_past_the_end_may_be_made_but_not_used() -> None:
    np.testing.assert_array_equal(nki.simulate(_past_the_end)(_data(4, 8), False), _data(4, 8))
    with pytest.raises(NkiValidationError, match="reaches elements 4 to 35"):
        nki.simulate(_past_the_end)(_data(4, 8), True)


@nki.jit
def _sum_of_squares(x):  # type: ignore[no-untyped-def]
    rows, columns = x.shape
    tile = nl.ndarray((rows, columns), nl.float32, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x)
    unused = nl.ndarray((rows, 1), nl.float32, buffer=nl.sbuf)
    total = nl.ndarray((rows, 1), nl.float32, buffer=nl.sbuf)
    nisa.activation_reduce(
        dst=unused.ap([[1, rows], [0, columns]]), op=nl.square, data=tile, reduce_op=nl.add, reduce_res=total
    )
    doubled = nl.ndarray((rows, 1), nl.float32, buffer=nl.sbuf)
    nisa.tensor_scalar_reduce(
        dst=unused.ap([[1, rows], [0, columns]]),
        data=tile,
        op0=nl.multiply,
        operand0=2.0,
        reduce_op=nl.add,
        reduce_res=doubled,
    )
    out = nl.ndarray((rows, 2), nl.float32, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out[:, 0:1], src=total)
    nisa.dma_copy(dst=out[:, 1:2], src=doubled)
    return out


def test_a_reduction_whose_dst_repeats_one_element_sums_every_result() -> None:
    x = _data(4, 64)
    want = np.stack([(x * x).sum(1), 2 * x.sum(1)], axis=1)
    np.testing.assert_allclose(nki.simulate(_sum_of_squares)(x), want, rtol=1e-5, atol=1e-5)


@nki.jit
def _undivided(x, differs: bool):  # type: ignore[no-untyped-def]
    tile = nl.ndarray(x.shape, nl.float32, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x)
    out = nl.ndarray(x.shape, nl.float32, buffer=nl.shared_hbm)
    if differs and nl.program_id(0) == 1:
        nisa.dma_copy(dst=out, src=tile)
    else:
        nisa.dma_copy(dst=out, src=tile)
    return out


def test_two_cores_that_do_the_same_write_the_same_and_that_is_no_race() -> None:
    np.testing.assert_array_equal(nki.simulate(_undivided[2], target="trn2")(_data(4, 8), False), _data(4, 8))
    with pytest.raises(NkiValidationError, match="core_barrier"):
        nki.simulate(_undivided[2], target="trn2")(_data(4, 8), True)


@nki.jit
def _reads_early(x):  # type: ignore[no-untyped-def]
    tile = nl.ndarray(x.shape, nl.float32, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x)
    out = nl.ndarray(x.shape, nl.float32, buffer=nl.shared_hbm)
    before = nl.ndarray(x.shape, nl.float32, buffer=nl.sbuf)
    nisa.dma_copy(dst=before, src=out)
    nisa.dma_copy(dst=out, src=tile)
    return out


def test_reading_what_both_cores_write_later_is_a_race() -> None:
    with pytest.raises(NkiValidationError, match="reads"):
        nki.simulate(_reads_early[2], target="trn2")(_data(4, 8))


@nki.jit
def _numbered(x, mode: int):  # type: ignore[no-untyped-def]
    out = nl.ndarray(x.shape, x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=x, dge_mode=mode)
    return out


def test_a_numbered_dge_mode_is_taken_with_a_warning_that_names_it() -> None:
    with pytest.warns(DeprecationWarning, match=r"nisa.dge_mode.none"):
        nki.simulate(_numbered)(_data(4, 8), 3)
    with pytest.raises(NkiValidationError, match="dge_mode"):
        nki.simulate(_numbered)(_data(4, 8), 9)


@nki.jit
def _register_round_trip(x):  # type: ignore[no-untyped-def]
    one = nl.ones([1], dtype=nl.int32, buffer=nl.sbuf)
    register = nisa.register_alloc()
    nisa.register_load(register, one)
    back = nl.ndarray([1], dtype=nl.int32, buffer=nl.sbuf)
    nisa.register_store(back, register)
    out = nl.ndarray((1, 1), nl.int32, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=back)
    return out


def test_a_single_element_on_chip_may_be_one_dimensional() -> None:
    assert nki.simulate(_register_round_trip)(_data(1, 1)).item() == 1


@nki.jit
def _nonzero(x):  # type: ignore[no-untyped-def]
    tile = nl.ndarray(x.shape, nl.float32, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x)
    found = nl.zeros((x.shape[0], x.shape[1] + 1), nl.int32, buffer=nl.sbuf)
    nisa.nonzero_with_count(dst=found, src=tile)
    out = nl.ndarray(found.shape, nl.int32, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=found)
    return out


def test_nonzero_with_count_reaches_the_first_partition_of_every_gpsimd_core() -> None:
    x = (_data(128, 8) > 0).astype(np.float32)
    found = nki.simulate(_nonzero)(x)
    for row in range(0, 128, 16):
        where = np.flatnonzero(x[row])
        np.testing.assert_array_equal(found[row, : len(where)], where)
        assert found[row, 8] == len(where)


def test_old_names_of_engines_are_the_engines() -> None:
    assert nisa.vector_engine is nisa.engine.vector
    assert nisa.scalar_engine is nisa.engine.scalar
    assert nisa.gpsimd_engine is nisa.engine.gpsimd


@nki.jit
def _assigns(x):  # type: ignore[no-untyped-def]
    tile = nl.ndarray((4, 2, 8), nl.float32, buffer=nl.sbuf)
    for half in range(2):
        tile[0:4, half, 0:8] = nl.load(x)
    out = nl.ndarray((4, 2, 8), nl.float32, buffer=nl.shared_hbm)
    out[...] = tile
    return out


def test_assigning_a_tile_to_a_view_copies_it() -> None:
    x = _data(4, 8)
    np.testing.assert_array_equal(nki.simulate(_assigns)(x), np.stack([x, x], axis=1))


def test_a_kernel_with_a_schedule_computes_the_same_and_refuses_what_is_no_pair_of_names() -> None:
    plain = nki.simulate(_assigns)(_data(4, 8))
    ordered = _assigns.with_schedule([("plus", "recip"), ("last", ["plus", "recip"])])
    np.testing.assert_array_equal(nki.simulate(ordered)(_data(4, 8)), plain)
    for edges in (["plus"], [("plus", 3)], [("plus", ["recip", 1])], [("a", "b", "c")]):
        with pytest.raises(NkiValidationError, match="with_schedule"):
            _assigns.with_schedule(edges)


@nki.jit
def _waits_on_a_tile(x):  # type: ignore[no-untyped-def]
    tile = nl.ndarray(x.shape, nl.float32, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x)
    rows = x.shape[0] // 2
    own = nl.ds(nl.program_id(0) * rows, rows)
    out = nl.ndarray(x.shape, nl.float32, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out[own, :], src=tile[own, :])
    nisa.core_barrier(tile, (0, 1))
    return out


def test_a_barrier_may_name_a_tile_of_the_core() -> None:
    np.testing.assert_array_equal(nki.simulate(_waits_on_a_tile[2], target="trn2")(_data(4, 8)), _data(4, 8))


@nki.jit
def _copies(x):  # type: ignore[no-untyped-def]
    assert x.dtype == nl.float8_e4m3fn_x4
    out = nl.ndarray(x.shape, nl.uint32, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=x.view(nl.uint32))
    return out


def test_a_packed_argument_is_a_numpy_field_of_that_name() -> None:
    words = np.arange(32, dtype=np.uint32).reshape(4, 8)
    packed = words.view([("float8_e4m3fn_x4", np.uint32)])
    np.testing.assert_array_equal(nki.simulate(_copies)(packed), words)


@nki.jit
def _scatters_halves(x, rows):  # type: ignore[no-untyped-def]
    tile = nl.ndarray(x.shape, nl.float32, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x)
    half = x.shape[0] // 2
    first = nl.program_id(0) * half
    index = nl.ndarray((half, 1), nl.uint32, buffer=nl.sbuf)
    nisa.dma_copy(dst=index, src=rows[first : first + half, :])
    out = nl.ndarray((x.shape[0] + 1, x.shape[1]), nl.float32, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out.vector_select(0, index), src=tile[first : first + half, :])
    return out


def test_cores_that_share_out_a_scatter_may_meet_in_the_row_for_padding() -> None:
    x, rows = _data(8, 4), np.array([[0], [1], [2], [8], [4], [5], [6], [8]], dtype=np.uint32)
    kept = [0, 1, 2, 4, 5, 6]
    np.testing.assert_array_equal(nki.simulate(_scatters_halves[2], target="trn2")(x, rows)[kept], x[kept])
