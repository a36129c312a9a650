"""Oracle: the caller's own arrays: NumPy in, NumPy out; torch in, torch out, bit for bit."""

from dataclasses import dataclass
from typing import NamedTuple

import ml_dtypes
import numpy as np
import pytest
import torch

from course_lib.nki import NkiValidationError, simulate
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl


def identity(x):
    tile = nl.load(x)
    out = nl.ndarray(x.shape, x.dtype, buffer=nl.shared_hbm)
    nl.store(out, tile)
    return out


NUMPY = [np.float32, np.float16, np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32]
LOW = [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]


@pytest.mark.parametrize("kind", [*NUMPY, *LOW, np.bool_])
def test_numpy_arrays_come_back_as_they_were(kind):
    values = (np.arange(60).reshape(10, 6) % 5).astype(kind)
    got = simulate(identity)(values)
    assert got.dtype == values.dtype
    np.testing.assert_array_equal(got.astype(np.float32), values.astype(np.float32))


@pytest.mark.parametrize(
    "kind",
    ["float32", "float16", "bfloat16", "int32", "int16", "int8", "uint8", "float8_e4m3fn", "float8_e5m2", "bool"],
)
def test_torch_tensors_come_back_as_torch_tensors(kind):
    values = (torch.arange(60).reshape(10, 6) % 5).to(getattr(torch, kind))
    got = simulate(identity)(values)
    assert isinstance(got, torch.Tensor)
    assert got.dtype == values.dtype
    assert torch.equal(got.float(), values.float())


def test_a_tensor_with_gradient_and_a_strided_one_are_read():
    values = torch.arange(12.0).reshape(3, 4).t().requires_grad_()
    assert torch.equal(simulate(identity)(values), values.detach())


def double(x, y=None):
    for tensor in (x, *(() if y is None else (y,))):
        nl.store(tensor, nl.multiply(nl.load(tensor), 2.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.arange(12, dtype=np.float32).reshape(3, 4),
        lambda: np.arange(24, dtype=np.float32).reshape(3, 8)[:, ::2],
        lambda: np.arange(12, dtype=np.float32).reshape(4, 3).T,
        lambda: np.arange(12).reshape(3, 4).astype(ml_dtypes.bfloat16),
        lambda: torch.arange(12.0).reshape(3, 4),
        lambda: torch.arange(12.0).reshape(4, 3).t(),
        lambda: torch.arange(12.0).reshape(3, 4).bfloat16(),
    ],
)
@pytest.mark.parametrize("precise", [True, False])
def test_inputs_change_in_place(make, precise):
    values, before = make(), make()
    simulate(double, precise=precise)(values)
    assert ((values + 0) == before * 2).all()


def test_an_input_that_is_not_written_is_left_alone():
    values = torch.ones(1, 4).expand(3, 4)  # writing to it would fail
    assert torch.equal(simulate(identity)(values), values)
    fixed = np.ones((3, 4), np.float32)
    fixed.flags.writeable = False
    np.testing.assert_array_equal(simulate(identity)(fixed), fixed)


def test_a_read_only_input_keeps_its_values_when_the_kernel_writes():
    fixed = np.ones((3, 4), np.float32)
    fixed.flags.writeable = False
    simulate(double)(fixed)
    np.testing.assert_array_equal(fixed, 1)


def test_one_array_given_twice_is_one_tensor():
    values = np.arange(8, dtype=np.float32).reshape(2, 8 // 2)[:, ::-1]
    simulate(double)(values, values)
    np.testing.assert_array_equal(values, np.arange(8, dtype=np.float32).reshape(2, 4)[:, ::-1] * 4)


class Pair(NamedTuple):
    left: object
    right: object


@dataclass
class Config(nl.NKIObject):
    weights: object
    scale: float = 2.0


def test_tuples_and_configuration_objects_carry_arrays():
    ones = np.ones((2, 3), np.float32)

    def kernel(pair, config, *, name="none", flag=None):
        assert (name, flag) == ("given", None)
        total = nl.add(nl.load(pair.left), nl.load(pair.right))
        total = nl.add(total, nl.multiply(nl.load(config.weights), config.scale))
        out = nl.ndarray(total.shape, total.dtype, buffer=nl.shared_hbm)
        nl.store(out, total)
        return Pair(out, 5)

    got = simulate(kernel)(Pair(ones, ones * 3), Config(ones * 10), name="given")
    assert isinstance(got, Pair)
    assert got.right == 5
    np.testing.assert_array_equal(got.left, ones * 24)


def test_results_keep_their_form():
    def kernel(x):
        return identity(x), {"again": identity(x)}, [identity(x)], None, 3

    ones = np.ones((2, 3), np.float32)
    first, named, listed, nothing, number = simulate(kernel)(ones)
    for array in (first, named["again"], listed[0]):
        np.testing.assert_array_equal(array, ones)
    assert (nothing, number) == (None, 3)


def test_lists_are_refused_by_name():
    with pytest.raises(NkiValidationError, match=r"argument 'x' is a list.*tuple\(x\)"):
        simulate(identity)([np.ones((2, 2), np.float32)])


@pytest.mark.parametrize("value", [np.ones((2, 2)), np.ones((2, 2), np.int64), torch.ones(2, 2).double()])
def test_64_bit_inputs_are_refused(value):
    with pytest.raises(NkiValidationError, match=r"64', which does not exist.*nl\.(float32|int32)"):
        simulate(identity)(value)


def test_a_result_on_chip_is_refused_with_its_place():
    def kernel(x):
        return nl.load(x)

    with pytest.raises(NkiValidationError, match=r"returns sbuf.*shared_hbm"):
        simulate(kernel)(np.ones((2, 2), np.float32))


def test_a_scalar_array_becomes_one_element():
    def kernel(x):
        out = nl.ndarray((1,), nl.float32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out, src=x)
        return out

    np.testing.assert_array_equal(simulate(kernel)(np.array(3.0, np.float32)), [3])
