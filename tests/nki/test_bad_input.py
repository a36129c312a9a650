"""Oracle: the mistakes that the course promises to explain; each message says what, where, the limit, what to try."""

import numpy as np
import pytest

from course_lib.nki import NkiValidationError, simulate
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

BIG = np.ones((256, 1024), np.float32)


def message(kernel, *arrays, target="trn2", **options):
    with pytest.raises(NkiValidationError) as caught:
        simulate(kernel, target=target, **options)(*(arrays or (BIG,)))
    text = str(caught.value)
    assert text.startswith("test_bad_input.py:"), text  # where
    assert "Limit" in text
    assert "Try: " in text
    return text


def test_a_python_2_print_of_a_tile():
    def redirected(x):
        tile = nl.load(x[0:128])
        print >> tile, "value"  # noqa: F633

    assert "write print(tile)" in message(redirected)
    with pytest.raises(SyntaxError, match="parentheses in call to 'print'"):
        compile("print tile", "kernel.py", "exec")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (lambda x: nl.arange(128), "nl.ds"),
        (lambda x: nl.mgrid[0:2], "slices"),
        (lambda x: nl.par_dim(128), "partition dimension"),
        (lambda x: nl.load(x[0:128], mask=True), "ragged"),
        (lambda x: nl.load(x[0:128]) + 1, "nl.add"),
        (lambda x: nisa.activation(op=nl.exp, data=nl.load(x[0:128]), dtype=nl.float32), "dst"),
    ],
)
def test_old_interface_calls_name_the_modern_replacement(old, new):
    assert new in message(lambda x: old(x)).partition("Try: ")[2]


def test_129_partitions():
    text = message(lambda x: nl.ndarray((129, 4), nl.float32))
    assert "partition dimension of 129" in text
    assert "128 partitions" in text
    assert "nl.tile_size.pmax" in text
    assert "129" in message(lambda x: nl.load(x[0:129]))


def multiply(columns, dst=nl.psum, rows=128):
    def kernel(x):
        stationary, moving = nl.load(x[0:128, 0:64]), nl.load(x[0:rows, 0:columns])
        result = nl.ndarray((64, columns), nl.float32, buffer=dst)
        nisa.nc_matmul(dst=result, stationary=stationary, moving=moving)

    return kernel


def test_513_moving_columns_on_gen3():
    text = message(multiply(513))
    assert "513 columns" in text
    assert "Limit on gen3: 512" in text
    simulate(multiply(512), target="trn2")(BIG)


def test_float64():
    assert "use nl.float32" in message(lambda x: nl.ndarray((2, 2), "float64"))
    with pytest.raises(NkiValidationError, match=r"argument 'x' has dtype 'float64'.*use nl\.float32: x\.astype"):
        simulate(lambda x: x)(np.ones((2, 2)))
    with pytest.raises(NkiValidationError, match=r"argument 'x\[1\]' has dtype 'float64'"):
        simulate(lambda x: x)((BIG, np.ones((2, 2))))
    assert "use nl.int32" in message(lambda x: nl.ndarray((2, 2), np.int64))


def test_matmul_into_sbuf():
    text = message(multiply(64, dst=nl.sbuf))
    assert "must be in psum" in text
    assert "buffer=nl.psum" in text


def test_dma_from_psum():
    def kernel(x):
        tile = nl.load(x[0:128, 0:64])
        result = nl.matmul(tile, tile, transpose_x=True)
        nisa.dma_copy(dst=x[0:64, 0:64], src=result)

    text = message(kernel)
    assert "is in PSUM" in text
    assert "nisa.tensor_copy" in text


def test_shape_mismatches():
    def copies(x):
        nisa.dma_copy(dst=nl.ndarray((128, 511), nl.float32), src=x[0:128, 0:512])

    def adds(x):
        a, b = nl.load(x[0:128, 0:64]), nl.load(x[0:128, 0:32])
        nisa.tensor_tensor(dst=a, data1=a, data2=b, op=nl.add)

    def contracts(x):
        nl.add(nl.load(x[0:128, 0:64]), nl.load(x[0:64, 0:64]))

    text = message(copies)
    assert "(128, 511)" in text
    assert "(128, 512)" in text
    assert "(128, 64) and (128, 32)" in message(adds)
    assert "(128, 64) and (64, 64)" in message(contracts)
    assert "contract 128 with 64" in message(multiply(64, rows=64))


def test_an_infinite_loop_that_issues_instructions():
    def kernel(x):
        tile = nl.zeros((1, 1), nl.float32)
        while True:
            nisa.tensor_copy(dst=tile, src=tile)

    text = message(kernel, max_instructions=2000)
    assert "2,000 instructions" in text
    assert "a loop that never ends" in text


def test_an_infinite_loop_over_a_register():
    def kernel(x):
        register = nisa.register_alloc(1)
        while register:
            nisa.register_move(register, 1)

    assert "a loop that never ends" in message(kernel, max_instructions=2000)


def test_an_infinite_while_loop_without_instructions():
    text = message(lambda x: nl.while_loop(nisa.register_alloc(1), lambda r: r), max_instructions=2000)
    assert "condition never becomes zero" in text


def test_an_infinite_loop_of_python_alone():
    def kernel(x):
        count = 0
        while count >= 0:
            count += 1

    assert "a loop whose condition never changes" in message(kernel, patience=0.1)


def test_an_infinite_loop_that_only_allocates():
    def kernel(x):
        while True:
            nl.ndarray((1, 1), nl.float32)

    assert "a loop that never ends" in message(kernel, max_instructions=2000)


def test_more_than_fits():
    def one(x):
        nl.ndarray((128, 60_000), nl.float32)

    def together(x):
        tiles = [nl.zeros((128, 20_000), nl.float32) for _ in range(4)]
        for tile in tiles:
            nisa.tensor_copy(dst=tile, src=tile)

    assert "229,376 bytes for each partition" in message(one)
    with pytest.raises(NkiValidationError, match="4 tiles alive at one time"):
        simulate(together, target="trn2")(BIG)
