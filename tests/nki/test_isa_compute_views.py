"""Oracle: NumPy indexing with the documented order of gathered offsets, around each instruction's formula."""

from dataclasses import replace

import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, simulate
from course_lib.nki.kernel import Kernel, default_options, run_kernel

X = np.random.default_rng(0).standard_normal((16, 40)).astype(np.float32)
INDEX = np.random.default_rng(1).permutation(32).reshape(16, 2).astype(np.uint16)
ORDER = INDEX.T.reshape(-1)  # offset i lies in row i % 16, column i // 16

GATHERS = {
    "tensor_scalar": (lambda dst, x: nisa.tensor_scalar(dst, x, nl.multiply, 2.0), lambda x: 2 * x),
    "tensor_tensor": (lambda dst, x: nisa.tensor_tensor(dst, x, dst, nl.add), lambda x: x + 1),
    "activation": (lambda dst, x: nisa.activation(dst, nl.square, x), np.square),
    "exponential": (lambda dst, x: nisa.exponential(dst, x), np.exp),
    "tensor_scalar_reduce": (lambda dst, x: nisa.tensor_scalar_reduce(dst, x, nl.add, 1.0, nl.add), lambda x: x + 1),
    "tensor_scalar_cumulative": (
        lambda dst, x: nisa.tensor_scalar_cumulative(dst, x, nl.add, nl.maximum, 0.0),
        lambda x: np.maximum.accumulate(x, axis=1),
    ),
    "tensor_copy_predicated": (
        lambda dst, x: nisa.tensor_copy_predicated(dst, 2.0, ones(x.shape)),
        lambda x: 0 * x + 2,
    ),
}


def ones(shape):
    tile = nl.ndarray(shape, nl.uint8)
    nisa.memset(tile, 1)
    return tile


def loaded(x, index):
    tiles = []
    for source in (x, index):
        tile = nl.ndarray(source.shape, source.dtype)
        nisa.dma_copy(tile, source)
        tiles.append(tile)
    return tiles


@pytest.mark.parametrize("name", GATHERS)
def test_data_may_be_gathered_on_trn3(name):
    body, expected = GATHERS[name]

    def kernel(x, index):
        out = nl.ndarray((16, 32), nl.float32, nl.shared_hbm)
        tile, offsets = loaded(x, index)
        dst = nl.ndarray((16, 32), nl.float32)
        nisa.memset(dst, 1.0)
        body(dst, tile.indirect(offsets))
        nisa.dma_copy(out, dst)
        return out

    found = simulate(kernel, target="gen4")(X, INDEX)
    np.testing.assert_allclose(found, expected(X[:, ORDER]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", GATHERS)
def test_results_may_be_scattered_on_trn3(name):
    body, expected = GATHERS[name]

    def kernel(x, index):
        out = nl.ndarray(x.shape, nl.float32, nl.shared_hbm)
        tile, offsets = loaded(x, index)
        dst = nl.ndarray(x.shape, nl.float32)
        nisa.memset(dst, 1.0)
        if name == "tensor_tensor":
            nisa.tensor_scalar(dst.indirect(offsets), tile[:, :32], nl.add, 1.0)
        else:
            body(dst.indirect(offsets), tile[:, :32])
        nisa.dma_copy(out, dst)
        return out

    found = simulate(kernel, target="gen4")(X, INDEX)
    wanted = np.ones_like(X)
    wanted[:, ORDER] = expected(X[:, :32])
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


REFUSED = {
    "data2 of tensor_tensor": lambda dst, x, g: nisa.tensor_tensor(dst, dst, g, nl.add),
    "operand1 of scalar_tensor_tensor": lambda dst, x, g: nisa.scalar_tensor_tensor(dst, dst, nl.add, 1.0, nl.add, g),
    "src of tensor_copy_predicated": lambda dst, x, g: nisa.tensor_copy_predicated(dst, g, ones(dst.shape)),
    "bias of activation": lambda dst, x, g: nisa.activation(dst[:1], nl.exp, x[:1, :32], bias=g),
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_operands_cannot_be_gathered(what):
    def kernel(x, index):
        tile, offsets = loaded(x, index)
        dst = nl.ndarray((16, 32), nl.float32)
        nisa.memset(dst, 1.0)
        if what == "bias of activation":
            REFUSED[what](dst, tile, tile[:1].indirect(offsets[:1], 1))
        else:
            REFUSED[what](dst, tile, tile.indirect(offsets))

    with pytest.raises(NkiValidationError, match="cannot be gathered"):
        simulate(kernel, target="gen4")(X, INDEX)


def test_the_scalar_engine_does_not_scatter_into_psum():
    def kernel(x, index):
        tile, offsets = loaded(x, index)
        bank = nl.ndarray((16, 40), nl.float32, nl.psum)
        nisa.activation(bank.indirect(offsets), nl.exp, tile[:, :32])

    with pytest.raises(NkiValidationError, match="scatters into SBUF"):
        simulate(kernel, target="gen4")(X, INDEX)


def test_an_instruction_waits_for_the_index_of_its_gathered_data():
    def kernel(x, index):
        tile, offsets = loaded(x, index)
        nisa.activation(nl.ndarray((16, 32), nl.float32), nl.exp, tile.indirect(offsets))

    _, cores = run_kernel(Kernel(kernel), (X, INDEX), {}, replace(default_options(), target="gen4", record=True))
    load, gather = cores[0].instructions[1:]
    assert load.writes[0].storage in [access.storage for access in gather.reads]


@pytest.mark.parametrize("precise", [True, False])
def test_low_precision_results_round_only_in_precise_mode(precise):
    def kernel(x):
        out = nl.ndarray(x.shape, nl.float32, nl.shared_hbm)
        tile, half = nl.ndarray(x.shape, x.dtype), nl.ndarray(x.shape, nl.bfloat16)
        nisa.dma_copy(tile, x)
        nisa.tensor_scalar(half, tile, nl.multiply, 3.0)
        nisa.activation(half, nl.copy, half, scale=0.5)
        nisa.tensor_copy(tile, half)
        nisa.dma_copy(out, tile)
        return out

    found = simulate(kernel, precise=precise)(X)
    assert (np.abs(found - 1.5 * X).max() > 1e-3) == precise
    np.testing.assert_allclose(found, 1.5 * X, rtol=2**-7)


def test_every_compute_instruction_records_what_the_cost_model_needs():
    def kernel(x):
        tile, col = nl.ndarray(x.shape, x.dtype), nl.ndarray((16, 1), nl.float32)
        nisa.dma_copy(tile, x)
        nisa.tensor_scalar(tile, tile, nl.add, 1.0, op1=nl.multiply, operand1=2.0)
        nisa.scalar_tensor_tensor(tile, tile, nl.subtract, 1.0, nl.multiply, tile)
        nisa.tensor_reduce(col, nl.add, tile, axis=1)
        nisa.tensor_scalar_reduce(tile, tile, nl.add, 0.0, nl.add, col)
        nisa.activation(tile, nl.exp, tile, reduce_op=nl.add, reduce_cmd=nisa.reduce_cmd.reset_reduce)
        nisa.tensor_tensor_scan(tile, tile, tile, 0.0, nl.multiply, nl.add)
        nisa.reciprocal(tile, tile)
        nisa.dropout(tile, tile, 0.5)

    _, cores = run_kernel(Kernel(kernel), (X,), {}, replace(default_options(), record=True))
    facts = [(each.op, each.about["op"], each.about["elements"]) for each in cores[0].instructions[1:]]
    assert facts == [
        ("tensor_scalar", "add", 40),
        ("scalar_tensor_tensor", "subtract", 40),
        ("tensor_reduce", "add", 40),
        ("tensor_scalar_reduce", "add", 40),
        ("activation", "exp", 40),
        ("tensor_tensor_scan", "multiply", 40),
        ("reciprocal", "reciprocal", 40),
        ("dropout", "dropout", 40),
    ]
    by_name = {each.op: each for each in cores[0].instructions}
    assert len(by_name["tensor_scalar_reduce"].writes) == 2
    assert by_name["scalar_tensor_tensor"].about["op1"] == "multiply"
    assert by_name["activation"].engine is nisa.engine.scalar
