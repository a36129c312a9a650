"""Oracle: the documented shapes alone; each instruction must be followed, recorded and priced without any values."""

import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import Options
from course_lib.nki.kernel import Kernel, run_kernel


def tiles(*shapes):
    """Fresh tiles, written once."""
    made = [nl.ndarray(shape, dtype) for *shape, dtype in shapes]
    for tile in made:
        nisa.memset(tile, 0)
    return made


F, B, N, U, H, Q = nl.float32, nl.bfloat16, nl.int32, nl.uint32, nl.uint16, nl.uint8


def every_instruction(x):
    a, b, c, d = tiles((32, 64, F), (32, 64, F), (32, 8, F), (32, 8, F))
    ints, index, mask, column = tiles((32, 64, N), (32, 8, U), (32, 64, Q), (32, 1, F))
    rows, half, halft = tiles((32, 1, U), (64, 32, B), (32, 64, B))
    nisa.dma_copy(a, x)
    nisa.dma_copy(a, x.ap([[64, 32], [1, 64]], vector_offset=rows), oob_mode=nisa.oob_mode.skip)
    nisa.dma_copy(x.ap([[64, 32], [1, 64]], vector_offset=rows), a)
    nisa.dma_transpose(halft, half)
    nisa.dma_compute(b, [a, x], nl.add)
    nisa.nc_transpose(tiles((8, 32, F))[0], c)
    nisa.iota(ints, [[1, 64]], 0, 1)
    nisa.affine_select(b, [[-1, 64]], 1, a, 0.0)
    nisa.range_select(b, a, nl.greater, nl.less, column, column, reduce_res=column)
    nisa.select_reduce(b, mask, a, 1.0)
    nisa.local_gather(tiles((32, 128, F))[0], a, tiles((32, 8, H))[0])
    nisa.nc_n_gather(c, a, index)
    nisa.nonzero_with_count(tiles((32, 65, N))[0], ints)
    nisa.max8(c, a)
    nisa.nc_find_index8(index, a, c)
    nisa.nc_match_replace8(a, a, c, 0.0, dst_idx=index)
    nisa.nc_stream_shuffle(d, c, [0] * 32)
    nisa.sequence_bounds(tiles((1, 2, 8, N))[0], tiles((1, 8, N))[0])
    nisa.topk(*tiles((32, 4, B), (32, 4, U), (32, 4, B)), 64)
    packed, scale = tiles((32, 16, nl.float8_e5m2_x4), (4, 16, Q))
    nisa.quantize_mx(packed, halft, scale)
    nisa.nc_matmul_mx(nl.ndarray((16, 16), F, nl.psum), packed, packed, scale, scale)
    reg = nisa.register_alloc(1)
    nisa.register_load(reg, ints[0:1, 0:1])
    nisa.dma_copy(b[0:1, :], x.select(0, reg))
    nisa.tensor_copy(c, a.indirect(index, 8))


NAMES = {
    "dma_copy",
    "dma_transpose",
    "dma_compute",
    "nc_transpose",
    "iota",
    "affine_select",
    "range_select",
    "select_reduce",
    "local_gather",
    "nc_n_gather",
    "nonzero_with_count",
    "max8",
    "nc_find_index8",
    "nc_match_replace8",
    "nc_stream_shuffle",
    "sequence_bounds",
    "topk",
    "quantize_mx",
    "nc_matmul_mx",
    "register_load",
}


@pytest.mark.parametrize(
    "options",
    [
        {"execute": False},
        {"precise": False},
        {"uninitialised": "error"},
        {"uninitialised": "error", "execute": False},
    ],
)
def test_every_instruction_runs_in_every_mode(options):
    _, cores = run_kernel(
        Kernel(every_instruction), (np.ones((32, 64), np.float32),), {}, Options(record=True, **options)
    )
    moved = [each for each in cores[0].instructions if each.op not in ("memset", "tensor_copy")]
    assert {each.op for each in moved} == NAMES
    for each in moved:
        assert "operands" in each.about
        if each.op.startswith("dma"):
            assert each.about["bytes"] > 0
            assert each.engine is nisa.engine.dma
        elif each.op != "nc_matmul_mx":
            assert each.about["elements"] > 0
