"""Oracle: the migration guides of the Neuron documentation: each old name or habit and what replaced it."""

import math
import re

import numpy as np
import pytest
import torch

from course_lib import nki
from course_lib.nki import NkiValidationError, simulate
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

ONES = np.ones((4, 8), np.float32)


def failing(body, *arrays):
    with pytest.raises(NkiValidationError) as caught:
        simulate(body)(*(arrays or (ONES,)))
    return str(caught.value)


@pytest.mark.parametrize(
    ("use", "instead"),
    [
        (lambda: nl.arange(128)[:, None], "nl.ds"),
        (lambda: nl.mgrid[0:128, 0:512], "slices"),
        (lambda: nl.par_dim(128), "dimension 0"),
        (lambda: nl.static_cast(None, nl.bfloat16), "nl.copy"),
        (lambda: nl.loop_reduce(None, np.add), "nc_matmul"),
        (lambda: nl.spmd_dim(2, nl.nc(2)), r"kernel\[2\]"),
        (lambda: nisa.tensor_copy_dynamic_src(None, None), "scalar_offset"),
        (lambda: nki.simulate_kernel(None), r"nki\.simulate\(kernel\)"),
        (lambda: nki.baremetal(None), r"nki\.simulate"),
        (lambda: nki.benchmark(None), r"nki\.profile"),
    ],
)
def test_old_names_say_what_replaced_them(use, instead):
    with pytest.raises(NkiValidationError, match=f"is gone.*{instead}"):
        use()


def test_hasattr_answers_no_for_old_names():
    assert not hasattr(nl, "arange")
    assert not hasattr(nki, "baremetal")
    assert getattr(nisa, "tensor_copy_dynamic_src", None) is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda x: nl.load(x, mask=None), "load has no argument mask=.*size of the ragged tile"),
        (lambda x: nl.store(x, nl.load(x), mask=True), "store has no argument mask="),
        (
            lambda x: nisa.activation(op=nl.exp, data=nl.load(x), dtype=nl.bfloat16),
            "activation has no argument dtype=.*dst",
        ),
        (lambda x: nisa.nc_matmul(nl.load(x), nl.load(x)), "nc_matmul is called without 'moving'.*dst="),
        (lambda x: nisa.tensor_tensor(nl.load(x), nl.load(x), op=nl.add), "called without 'data2'.*dst="),
        (lambda x: nisa.tensor_reduce(nl.add, nl.load(x), axis=1), "called without 'data'.*allocate dst"),
        (lambda x: nisa.iota(expr=1), "iota"),
        (lambda x: nisa.register_move(nisa.register_alloc(), imm=3), "imm=.*called src"),
        (lambda x: nl.ndarray((2, 2)), "ndarray is called without 'dtype'.*dtype=nl.float32"),
        (lambda x: nl.sum(x), r"sum is called without 'axis'.*help\(nl.sum\)"),
        (lambda x: nisa.reciprocal(x, x, x, x), r"4 were given.*help\(nisa.reciprocal\)"),
        (lambda x: nisa.reciprocal(x, dst=x, data=x), "multiple values for argument 'dst'"),
        (
            lambda x: nisa.sendrecv(x, x, 0, 0, 0, use_gpsimd_dma=True),
            "use_gpsimd_dma=.*dma_engine=nisa.dma_engine.gpsimd_dma",
        ),
    ],
)
def test_calls_of_the_old_interface_are_explained(body, message):
    with pytest.raises(NkiValidationError, match=message):
        simulate(lambda x: body(x))(ONES)


def test_the_explanation_names_the_kernels_line():
    def kernel(x):
        nl.load(x, mask=None)

    line = kernel.__code__.co_firstlineno + 1
    assert failing(kernel).startswith(f"test_legacy.py:{line}: load has no argument mask=")


def test_a_kernels_own_wrong_call_is_left_alone():
    def helper(a):
        return a

    def kernel(x):
        helper(x, mask=1)

    with pytest.raises(TypeError, match=r"helper\(\) got an unexpected keyword") as caught:
        simulate(kernel)(ONES)
    assert not isinstance(caught.value, NkiValidationError)


def test_an_instruction_is_no_tile():
    def kernel(x):
        tile, out = nl.load(x), nl.ndarray(x.shape, x.dtype, buffer=nl.shared_hbm)
        result = nisa.activation(dst=tile, op=nl.exp, data=tile)
        nl.store(out, result)

    assert "value is NkiInstruction" in (text := failing(kernel))
    assert "return a handle, not a tile" in text

    def computes(x):
        tile = nl.load(x)
        handle = nisa.tensor_copy(dst=tile, src=tile)
        nisa.tensor_tensor(dst=tile, data1=handle, data2=tile, op=nl.add)

    assert "return a handle, not a tile" in failing(computes)


@pytest.mark.parametrize(
    ("body", "instead"),
    [
        (lambda a, b: a + b, "nl.add"),
        (lambda a, b: a - b, "nl.subtract"),
        (lambda a, b: a * b, "nl.multiply"),
        (lambda a, b: a / b, "nl.divide"),
        (lambda a, b: a**2, "nl.power"),
        (lambda a, b: a @ b, "nl.matmul"),
        (lambda a, b: a > b, "nl.greater"),
        (lambda a, b: a <= 1.0, "nl.less_equal"),
        (lambda a, b: 2.0 * a, "nl.multiply"),
        (lambda a, b: np.float32(2) + a, "nl.add"),
        (lambda a, b: 1 - a, "nl.subtract"),
    ],
)
def test_operators_on_tiles_name_the_function(body, instead):
    assert instead in failing(lambda x: body(nl.load(x), nl.load(x)))


def test_augmented_and_indexed_assignment_are_explained():
    def adds(x):
        tile = nl.load(x)
        tile += 1

    def assigns(x):
        tile = nl.load(x)
        tile[0:2] = 1

    assert "nl.add" in failing(adds)
    assert "nisa.tensor_copy" in failing(assigns)


@pytest.mark.parametrize(
    ("use", "instead"),
    [
        (np.exp, r"np\.exp .*write nl\.exp"),
        (np.sum, r"np\.sum .*write nl\.sum"),
        (lambda t: np.ones((4, 8), np.float32) * t, r"np\.multiply .*write nl\.multiply"),
        (np.sort, r"nl\.device_print"),
        (np.asarray, "values of a tile exist on the device only"),
        (torch.exp, r"torch\.exp .*write nl\.exp"),
        (lambda t: torch.ones(4, 8) - t, r"write nl\.subtract"),
        (math.exp, "register_load"),
        (range, "register_load"),
        (lambda t: t.T, r"\.T of the tile .*nl\.transpose"),
        (lambda t: t.astype(np.float16), r"nl\.copy\(tile, dtype=\.\.\.\)"),
        (lambda t: t.sum(), r"nl\.sum"),
        (lambda t: t.reshape(2, 16), r"one tuple of sizes"),
    ],
)
def test_array_habits_name_what_takes_their_place(use, instead):
    text = failing(lambda x: use(nl.load(x)))
    assert re.search(instead, text), text
    assert text.startswith("test_legacy.py:")


@pytest.mark.parametrize(
    ("use", "instead"),
    [
        (lambda x: x[np.arange(3)[:, None]], r"index ndarray of shape \(3, 1\).*nl\.ds.*vector_offset"),
        (lambda x: x[[0, 1]], r"index \[0, 1\] .*vector_select"),
        (lambda x: x[1.5], "index 1.5 .*//"),
        (lambda x: x[0 : 4 / 2], "0:2.0 .*//"),
        (lambda x: x[:, 0 : 4 / 2], "0:2.0 .*//"),
        (lambda x: nl.load(x[4:8]), "one tile too many"),
    ],
)
def test_indices_that_tensors_do_not_take(use, instead):
    assert re.search(instead, failing(use)), failing(use)


def test_importing_an_old_name_says_what_replaced_it():
    with pytest.raises(ImportError, match=r"nki\.language\.arange is gone.*nl\.ds"):
        from course_lib.nki.language import arange  # noqa: F401
    with pytest.raises(ImportError, match=r"nki\.benchmark is gone.*nki\.profile"):
        from course_lib.nki import benchmark  # noqa: F401
    with pytest.raises(ImportError, match="cannot import name 'colour'"):
        from course_lib.nki.isa import colour  # noqa: F401


def test_attributes_that_arrays_do_not_have_either_stay_plain_errors():
    with pytest.raises(AttributeError, match="has no attribute 'colour'") as caught:
        simulate(lambda x: x.colour)(ONES)
    assert not isinstance(caught.value, NkiValidationError)
    simulate(lambda x: [hasattr(x, name) for name in ("T", "numpy", "colour")].count(True) or None)(ONES)


def test_an_array_within_a_kernel_is_to_be_an_argument():
    assert "nl.shared_constant" in failing(lambda x: nisa.dma_copy(dst=nl.load(x), src=ONES))
    assert "nisa.memset" in failing(lambda x: nl.store(x, 1.0))


def test_store_from_psum_names_the_copy():
    def kernel(x):
        tile = nl.load(x)
        nl.store(x, nl.matmul(tile, tile, transpose_x=True))

    assert "nisa.tensor_copy" in failing(kernel, np.ones((8, 8), np.float32))


def test_string_buffers_and_device_bounds_are_explained():
    assert "not a string" in failing(lambda x: nl.ndarray((2, 2), nl.float32, buffer="sbuf"))
    assert "nl.fori_loop" in failing(lambda x: nl.affine_range(nisa.register_alloc(3)))
    assert "//" in failing(lambda x: nl.affine_range(512 / 128))
    assert "register_load" in failing(lambda x: list(nl.dynamic_range(nl.load(x))))
