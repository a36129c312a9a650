"""Oracle: NumPy expressions on the inputs of all ranks, written from the documented definition of each collective."""

from __future__ import annotations

import numpy as np
import pytest

from course_lib import nki
from course_lib.nki import collectives as ncc
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl

RANKS = 4
ALL = ncc.ReplicaGroup([[0, 1, 2, 3]])
HALVES = ncc.ReplicaGroup([[0, 2], [3, 1]])
REDUCTIONS = {"add": np.add, "minimum": np.minimum, "maximum": np.maximum}


def inputs(shape: tuple[int, ...], dtype: type = np.float32, ranks: int = RANKS) -> list[np.ndarray]:
    """One array of whole numbers for each rank, so that sums are exact in any order."""
    generator = np.random.default_rng(7)
    return [generator.integers(-50, 50, shape).astype(dtype) for _ in range(ranks)]


def run(kernel, given: list[np.ndarray], **options) -> list[np.ndarray]:
    """The kernel's result on each rank."""
    return ncc.launch(kernel, len(given), **options)([(array,) for array in given])


def hbm(shape: tuple[int, ...], like: nl.NkiTensor) -> nl.NkiTensor:
    """A fresh result."""
    return nl.ndarray(shape, like.dtype, buffer=nl.shared_hbm)


@pytest.mark.parametrize("op", sorted(REDUCTIONS))
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_all_reduce_gives_every_rank_the_reduction_of_all(op: str, dtype: type) -> None:
    def kernel(x):
        out = hbm(x.shape, x)
        ncc.all_reduce(srcs=[x], dsts=[out], replica_group=ALL, op=getattr(nl, op))
        return out

    given = inputs((6, 5), dtype)
    wanted = REDUCTIONS[op].reduce(np.stack(given))
    assert all(np.array_equal(got, wanted) for got in run(kernel, given))


def test_all_reduce_in_subgroups_stays_in_them() -> None:
    def kernel(x):
        out = hbm(x.shape, x)
        ncc.all_reduce([x], [out], HALVES, nl.add)
        return out

    given = inputs((3, 4))
    got = run(kernel, given)
    assert np.array_equal(got[0], given[0] + given[2])
    assert np.array_equal(got[1], given[1] + given[3])
    assert np.array_equal(got[2], got[0])


def test_several_tensors_are_reduced_in_one_call_from_hbm() -> None:
    def kernel(x):
        first, second = hbm((2, 4), x), hbm((4, 4), x)
        ncc.all_reduce([x[:2], x[2:]], [first, second], ALL, nl.add)
        return first, second

    given = inputs((6, 4))
    total = np.sum(given, axis=0)
    for first, second in run(kernel, given):
        assert np.array_equal(first, total[:2])
        assert np.array_equal(second, total[2:])


@pytest.mark.parametrize("dim", [0, 1])
def test_all_gather_of_tiles_concatenates_along_either_dimension(dim: int) -> None:
    def kernel(x):
        tile = nl.load(x)
        wide = nl.ndarray([8 * (RANKS if dim == 0 else 1), 3 * (RANKS if dim == 1 else 1)], x.dtype, buffer=nl.sbuf)
        ncc.all_gather([tile], [wide], ALL, collective_dim=dim)
        out = hbm(wide.shape, x)
        nisa.dma_copy(dst=out, src=wide)
        return out

    given = inputs((8, 3))
    wanted = np.concatenate(given, axis=dim)
    assert all(np.array_equal(got, wanted) for got in run(kernel, given))


def test_all_gather_follows_the_order_of_the_group() -> None:
    def kernel(x):
        out = hbm((2 * x.shape[0], x.shape[1]), x)
        ncc.all_gather([x], [out], HALVES, collective_dim=0)
        return out

    given = inputs((2, 3))
    assert np.array_equal(run(kernel, given)[1], np.concatenate([given[3], given[1]]))


def test_reduce_scatter_gives_rank_i_part_i_of_the_sum() -> None:
    def kernel(x):
        out = hbm((x.shape[0] // RANKS, x.shape[1]), x)
        ncc.reduce_scatter([x], [out], ALL, collective_dim=0, op=nl.add)
        return out

    given = inputs((8, 5))
    parts = np.split(np.sum(given, axis=0), RANKS)
    assert all(np.array_equal(got, part) for got, part in zip(run(kernel, given), parts, strict=True))


def test_all_to_all_is_a_transpose_of_ranks_and_parts() -> None:
    def kernel(x):
        out = hbm(x.shape, x)
        ncc.all_to_all([x], [out], ALL, collective_dim=0)
        return out

    given = inputs((8, 3))
    wanted = np.stack([np.split(array, RANKS) for array in given]).swapaxes(0, 1).reshape(RANKS, 8, 3)
    assert np.array_equal(np.stack(run(kernel, given)), wanted)


def test_collective_permute_sends_along_the_pairs_and_leaves_others_alone() -> None:
    def kernel(x):
        out = hbm(x.shape, x)
        nisa.dma_copy(dst=out, src=x)
        ncc.collective_permute([x], [out], [(0, 1), (1, 0), (3, 2)])
        return out

    given = inputs((2, 3))
    got = run(kernel, given)
    assert [int(np.argmax([np.array_equal(array, one) for one in given])) for array in got] == [1, 0, 3, 3]


def test_a_ring_of_permutes_visits_all_ranks_in_the_order_that_rank_id_tells() -> None:
    def kernel(x):
        out = hbm((RANKS, *x.shape), x)
        held = x
        for step in range(RANKS):
            source = ncc.collective_permute_implicit_current_processing_rank_id(step, ALL)
            nisa.dma_copy(dst=out[int(source)], src=held)
            following = nl.ndarray(x.shape, x.dtype, buffer=nl.hbm)
            ncc.collective_permute_implicit([[held]], [[following]], ALL, channel_ids=[0])
            held = following
        return out

    given = inputs((2, 3))
    assert all(np.array_equal(got, np.stack(given)) for got in run(kernel, given))


def test_a_ring_of_reducing_permutes_ends_with_the_sum_on_every_rank() -> None:
    def kernel(x):
        held, own = x, nl.zeros((2, 3), x.dtype, buffer=nl.hbm)
        for _ in range(RANKS):
            following = nl.ndarray(x.shape, x.dtype, buffer=nl.hbm)
            ncc.collective_permute_implicit_reduce([[held]], [[own]], [[following]], ALL, op=nl.add)
            held, own = following, x
        out = hbm(x.shape, x)
        nisa.dma_copy(dst=out, src=held)
        return out

    given = inputs((2, 3))
    assert all(np.array_equal(got, np.sum(given, axis=0)) for got in run(kernel, given))


def test_all_to_all_v_moves_chunks_of_any_length_and_reports_them() -> None:
    counts = np.array([[1, 2, 0, 3], [0, 1, 4, 0], [2, 2, 2, 2], [0, 0, 0, 1]])

    def kernel(x, table):
        out = nl.zeros((16,), x.dtype, buffer=nl.shared_hbm)
        ncc.all_to_all_v([x], [out], ALL, table)
        seen = hbm(table.shape, table)
        nisa.dma_copy(dst=seen, src=table)
        return out, seen

    given = inputs((10,))
    tables = []
    for rank in range(RANKS):
        starts = np.concatenate([[0], np.cumsum(counts[rank])[:-1]])
        tables.append(np.stack([counts[rank], starts, np.full(4, 99)]).astype(np.uint32))
    results = ncc.launch(kernel, RANKS)(list(zip(given, tables, strict=True)))
    for rank, (got, seen) in enumerate(results):
        wanted = np.zeros(16, np.float32)
        for sender in range(RANKS):
            first = counts[sender, :rank].sum()
            chunk = given[sender][first : first + counts[sender, rank]]
            wanted[4 * sender : 4 * sender + chunk.size] = chunk
        assert np.array_equal(got, wanted)
        assert np.array_equal(seen[2], counts[:, rank])


def test_all_gather_v_sends_one_chunk_to_everybody() -> None:
    def kernel(x, table):
        out = nl.zeros((16,), x.dtype, buffer=nl.shared_hbm)
        ncc.all_gather_v([x], [out], ALL, table, recv_counts_known=True)
        return out

    given = inputs((6,))
    tables = [np.array([[rank + 1] * 4, [1] * 4, [0] * 4], dtype=np.uint32) for rank in range(RANKS)]
    wanted = np.zeros(16, np.float32)
    for rank in range(RANKS):
        wanted[4 * rank : 4 * rank + rank + 1] = given[rank][1 : 2 + rank]
    for got in ncc.launch(kernel, RANKS)(list(zip(given, tables, strict=True))):
        assert np.array_equal(got, wanted)


def test_a_low_precision_sum_is_rounded_once() -> None:
    import ml_dtypes

    def kernel(x):
        out = hbm(x.shape, x)
        ncc.all_reduce([x], [out], ALL, nl.add)
        return out

    given = [np.array([value], dtype=ml_dtypes.bfloat16) for value in (256.0, 1.0, 1.0, 1.0)]
    assert float(run(kernel, given)[0][0]) == float(ml_dtypes.bfloat16(259.0))


def test_rank_id_is_each_ranks_own() -> None:
    def kernel(x):
        out = hbm(x.shape, x)
        tile = nl.ndarray((1, 1), x.dtype, buffer=nl.sbuf)
        nisa.memset(tile, int(ncc.rank_id()))
        nisa.dma_copy(dst=out, src=tile)
        return out

    assert [int(got[0, 0]) for got in run(kernel, inputs((1, 1)))] == [0, 1, 2, 3]


def test_each_rank_may_have_two_cores() -> None:
    def kernel(x):
        half = nl.program_id(0)
        out = nl.ndarray((2 * x.shape[0], x.shape[1]), x.dtype, buffer=nl.shared_hbm)
        tile = nl.load(x[:, half * 4 : half * 4 + 4])
        wide = nl.ndarray((2 * x.shape[0], 4), x.dtype, buffer=nl.sbuf)
        ncc.all_gather([tile], [wide], ncc.ReplicaGroup([[0, 1]]), collective_dim=0)
        nisa.dma_copy(dst=out[:, half * 4 : half * 4 + 4], src=wide)
        return out

    given = inputs((3, 8), ranks=2)
    got = ncc.launch(nki.jit(kernel)[2], 2)([(array,) for array in given])
    assert all(np.array_equal(array, np.concatenate(given)) for array in got)


def refused(kernel, ranks: int = 2, given: list[np.ndarray] | None = None, **options) -> str:
    """The message."""
    with pytest.raises(nki.NkiValidationError) as caught:
        run(kernel, given or inputs((4, 4), ranks=ranks), **options)
    return str(caught.value)


PAIR = ncc.ReplicaGroup([[0, 1]])


def test_a_rank_that_never_calls_is_named() -> None:
    def kernel(x):
        out = hbm(x.shape, x)
        if int(ncc.rank_id()) == 0:
            ncc.all_reduce([x], [out], PAIR, nl.add)
        return out

    assert "rank 0 waits in all_reduce for rank 1, which has already ended" in refused(kernel)


def test_different_calls_of_two_ranks_are_named() -> None:
    def kernel(x):
        out = hbm(x.shape, x)
        if int(ncc.rank_id()) == 0:
            ncc.all_reduce([x], [out], PAIR, nl.add)
        else:
            ncc.all_to_all([x], [out], PAIR, 0)
        return out

    message = refused(kernel)
    assert "all_reduce" in message
    assert "all_to_all" in message


def test_different_operators_and_shapes_are_named() -> None:
    def by_operator(x):
        out = hbm(x.shape, x)
        ncc.all_reduce([x], [out], PAIR, nl.add if int(ncc.rank_id()) else nl.maximum)
        return out

    def by_shape(x):
        rows = 2 + int(ncc.rank_id())
        out = hbm((rows, 4), x)
        ncc.all_reduce([x[:rows]], [out], PAIR, nl.add)
        return out

    assert "op=nl.maximum" in refused(by_operator)
    assert "(3, 4)" in refused(by_shape)


def test_the_error_of_one_rank_is_raised_and_not_that_of_those_who_wait() -> None:
    def kernel(x):
        out = hbm(x.shape, x)
        if int(ncc.rank_id()) == 1:
            raise KeyError("the kernel's own")
        ncc.all_reduce([x], [out], PAIR, nl.add)
        return out

    with pytest.raises(KeyError, match="the kernel's own"):
        run(kernel, inputs((2, 2), ranks=2))


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda x, out: ncc.all_reduce([x], [out], PAIR, nl.multiply), "nl.add, nl.minimum or nl.maximum"),
        (lambda x, out: ncc.all_reduce(x, out, PAIR, nl.add), "a list of tensors"),
        (lambda x, out: ncc.all_reduce([x], [out], [[0, 1]], nl.add), "a ReplicaGroup"),
        (lambda x, out: ncc.all_reduce([x], [out], ncc.ReplicaGroup([[0, 1, 2]]), nl.add), "0 to 1"),
        (lambda x, out: ncc.all_reduce([x], [out], ncc.ReplicaGroup([[1]]), nl.add), "in no group"),
        (lambda x, out: ncc.all_gather([x], [out], PAIR, 0), "2 times src"),
        (lambda x, out: ncc.all_gather([x], [out], PAIR, 1), "collective_dim=1"),
        (lambda x, out: ncc.reduce_scatter([x[:3]], [out], PAIR, 0, nl.add), "a multiple of 2"),
        (lambda x, out: ncc.all_to_all([nl.load(x)], [out], PAIR, 0), "limit HBM"),
        (lambda x, out: ncc.all_reduce([x], [out], PAIR, nl.add, priority=7), "0 to 3"),
        (lambda x, out: ncc.collective_permute([x], [out], [(0, 1), (1, 1)]), "receives once"),
    ],
)
def test_what_a_collective_does_not_do_is_refused(call, why: str) -> None:
    def kernel(x):
        out = hbm(x.shape, x)
        call(x, out)
        return out

    assert why.removeprefix("limit ") in refused(kernel)


def test_priority_is_refused_before_gen4() -> None:
    def kernel(x):
        out = hbm(x.shape, x)
        ncc.all_reduce([x], [out], PAIR, nl.add, priority=1)
        return out

    assert "gen3" in refused(kernel, target="trn2")
    assert len(run(kernel, inputs((2, 2), ranks=2), target="trn3")) == 2


def test_overlapping_groups_are_refused() -> None:
    with pytest.raises(nki.NkiValidationError, match="each rank once"):
        ncc.ReplicaGroup([[0, 1], [1, 2]])
