"""A watched kernel: instructions alone move values. Oracle: NumPy, and cheats that pass in an unwatched simulation."""

import numpy as np
import pytest

from course_lib import nki
from course_lib.nki import NkiValidationError, witness
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl
from course_lib.nki.tensor import NkiTensor

X = np.arange(12, dtype=np.float32).reshape(3, 4)


@nki.jit
def doubled(x):
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=tile, src=x)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=2.0)
    nisa.dma_copy(dst=out, src=tile)
    return out


def result_of(x):
    return nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)


def reads_array(x):
    out = result_of(x)
    nisa.dma_copy(dst=out, src=x)
    out.array[...] = x.array * 2
    return out


def reads_memory_by_another_name(x):
    out = result_of(x)
    nisa.dma_copy(dst=out, src=x)
    getattr(out, "mem" + "ory")[...] *= 2
    return out


def reads_storage(x):
    out = result_of(x)
    nisa.dma_copy(dst=out, src=x)
    out.storage.alive()[...] *= 2
    return out


def writes_numpy_in_a_helper(x):
    out = result_of(x)

    def work():
        out.root[...] = x.root * 2

    work()
    return out


CHEATS = (reads_array, reads_memory_by_another_name, writes_numpy_in_a_helper)


def test_a_kernel_runs_as_ever_and_its_cost_is_kept():
    """NumPy: 2 * x; and by hand: a load and a store of 48 bytes each."""
    watch = witness.Watch(doubled)
    assert np.array_equal(watch(X), 2 * X)
    assert (watch.transfers, watch.hbm_bytes) == (2, 2 * X.nbytes)
    assert watch.microseconds == pytest.approx(nki.profile(doubled)(X).seconds * 1e6)


def test_a_plain_function_and_plain_arguments_are_welcome():
    """NumPy: the first `width` columns."""

    def left(x, width):
        out = nl.ndarray((x.shape[0], width), dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out, src=x[:, 0:width])
        return out

    assert np.array_equal(witness.Watch(left)(X, 3), X[:, :3])


@pytest.mark.parametrize("cheat", CHEATS)
def test_values_are_out_of_reach_of_a_watched_kernel(cheat):
    """Each cheat gives the right answer unwatched, so that it is the watch that stops it."""
    assert np.array_equal(nki.simulate(cheat)(X), 2 * X)
    with pytest.raises(NkiValidationError, match="values exist only while the chip runs"):
        witness.Watch(cheat)(X)


def test_the_way_by_the_storage_is_closed_too():
    """The rule itself: no attribute that leads to memory answers a kernel."""
    with pytest.raises(NkiValidationError, match=r"\.storage of a tensor"):
        witness.Watch(reads_storage)(X)


def test_print_still_shows_a_tile(capsys):
    """NumPy's text of the values."""

    def shows(x):
        out = result_of(x)
        nisa.dma_copy(dst=out, src=x)
        print(out)
        return out

    witness.Watch(shows)(X)
    assert str(X) in capsys.readouterr().out


def test_nothing_stays_guarded_afterwards_even_after_an_error():
    """The class's own attributes, before and after."""
    before = dict(vars(NkiTensor))
    witness.Watch(doubled)(X)
    with pytest.raises(NkiValidationError):
        witness.Watch(reads_array)(X)
    assert dict(vars(NkiTensor)) == before


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (lambda x: X * 2, "object of type ndarray"),
        (lambda x: None, "returns nothing"),
        (lambda x: x, "private_hbm"),
        (lambda x: nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf), "in sbuf"),
        (result_of, "which no instruction wrote"),
    ],
)
def test_only_what_instructions_wrote_to_hbm_counts_as_a_result(returned, told):
    """What a kernel on the chip can return: a tensor in HBM that it wrote."""
    with pytest.raises(NkiValidationError, match=told):
        witness.Watch(returned)(X)


@pytest.mark.parametrize("thing", [3, None, type("Kernel", (), {"__call__": lambda self, x: X * 2})()])
def test_no_kernel_is_told_so_with_the_remedy(thing):
    """Types that `nki.jit` does not make."""
    with pytest.raises(NkiValidationError, match=r"activate\(\) before import nki"):
        witness.Watch(thing)(X)


def test_unwritten_memory_is_an_error():
    """The rule that fresh memory holds garbage."""

    def forgets(x):
        tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
        out = result_of(x)
        nisa.dma_copy(dst=out, src=tile)
        return out

    with pytest.raises(NkiValidationError, match="never written"):
        witness.Watch(forgets)(X)


def test_a_loop_without_end_is_ended(monkeypatch):
    """The limit, made small for the test."""
    monkeypatch.setattr(witness, "MOST", 50)

    def endless(x):
        tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
        while True:
            nisa.memset(dst=tile, value=0)

    with pytest.raises(NkiValidationError, match="never ends"):
        witness.Watch(endless)(X)


def test_a_failed_run_leaves_nothing_to_measure():
    """A run that succeeded before must not lend its numbers to one that failed."""
    watch = witness.Watch(doubled)
    watch(X)
    with pytest.raises(NkiValidationError):
        watch(np.ones((129, 4), dtype=np.float32))
    with pytest.raises(NkiValidationError, match="nothing was measured"):
        _ = watch.transfers


def test_the_callers_arrays_stay_as_they_are():
    """NumPy: the array before; unwatched, the same kernel changes it."""

    def overwrites(x):
        tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
        out = result_of(x)
        nisa.memset(dst=tile, value=0.0)
        nisa.dma_copy(dst=x, src=tile)
        nisa.dma_copy(dst=out, src=tile)
        return out

    array = X.copy()
    witness.Watch(overwrites)(array)
    assert np.array_equal(array, X)
    nki.simulate(overwrites)(array)
    assert not array.any()


def test_several_results_come_back_and_each_must_be_written():
    @nki.jit
    def both(x, second):
        out = result_of(x), result_of(x)
        nisa.dma_copy(dst=out[0], src=x)
        if second:
            nisa.dma_copy(dst=out[1], src=x)
        return out

    once, again = witness.Watch(both)(X, True)
    assert np.array_equal(once, X)
    assert np.array_equal(again, X)
    with pytest.raises(NkiValidationError, match=r"both returns .*, which no instruction wrote"):
        witness.Watch(both)(X, False)
    with pytest.raises(NkiValidationError, match="returns an object of type tuple"):
        witness.Watch(lambda x: ())(X)
