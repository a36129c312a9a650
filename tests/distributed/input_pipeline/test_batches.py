"""The order of batches and its restarts. Oracle: sets of windows counted by hand, and the run that never stopped."""

import itertools
import json
import pickle
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.distributed import Share, TrainingSetupError
from course_lib.distributed.input_pipeline import (
    GlobalOrder,
    TokenBatches,
    rank_rows,
    worker_loader,
    write_shards,
)

ORDERS = st.builds(
    GlobalOrder,
    st.lists(st.integers(0, 9), min_size=1, max_size=9).filter(any).map(tuple),
    st.integers(0, 5),
    st.integers(1, 4),
)


@given(order=ORDERS, epoch=st.integers(0, 3))
def test_an_epoch_has_each_window_exactly_once(order, epoch):
    """Oracle: the sorted list of all windows."""
    taken = order.take(epoch * len(order), (epoch + 1) * len(order))
    assert sorted(taken) == [(shard, window) for shard, size in enumerate(order.windows) for window in range(size)]


@given(order=ORDERS, cuts=st.lists(st.integers(0, 90), min_size=2, max_size=6).map(sorted))
def test_how_positions_are_asked_for_changes_nothing(order, cuts):
    """Oracle: one position at a time, from a fresh order for each."""
    fresh = GlobalOrder(order.windows, order.seed, order.mixed_shards)
    one_by_one = [fresh.take(position, position + 1)[0] for position in range(cuts[0], cuts[-1])]
    pieces = [place for start, stop in itertools.pairwise(cuts) for place in order.take(start, stop)]
    assert pieces == one_by_one


def test_seeds_and_epochs_order_differently_and_windows_of_neighbouring_shards_mix():
    """Oracle: comparison."""
    order = GlobalOrder((50,) * 8, seed=1)
    epochs = [order.take(epoch * 400, (epoch + 1) * 400) for epoch in range(2)]
    other = GlobalOrder((50,) * 8, seed=2).take(0, 400)
    assert epochs[0] != epochs[1] != other != epochs[0]
    assert len({shard for shard, _ in epochs[0][:50]}) == 4  # a mix of four
    alone = GlobalOrder((50,) * 2, 1, mixed_shards=1).take(0, 100)
    assert len({shard for shard, _ in alone[:50]}) == 1
    assert [window for _, window in alone[:50]] != [window for _, window in alone[50:]]  # each shard in its own order


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Token number i of the text is i, so that a window shows where it comes from; the last shard is short."""
    return write_shards(tmp_path_factory.mktemp("text") / "data", np.arange(1000), 150, 1000)


def first_tokens(batches, steps, world_size=1):
    """The first token of each sequence of each step, all ranks' in their order."""
    spans = [rank_rows(batches.global_batch, rank, world_size) for rank in range(world_size)]
    return [[int(t) for span in spans for t in batches[step].rows(*span).tokens[:, 0]] for step in steps]


def test_each_token_is_predicted_once_in_an_epoch_but_the_rest_of_each_shard(shards):
    """Oracle: range(1000) cut by hand: shards of 150 tokens give 14 windows of 10, the last one of 100 gives 9."""
    batches = TokenBatches(shards, 3, 10)
    assert len(batches.order) == 6 * 14 + 9 == 93
    targets = torch.cat([batches[step].targets.flatten() for step in range(31)])
    kept = [t for shard in range(7) for t in range(shard * 150 + 1, min(shard * 150 + 141, shard * 150 + 150, 991))]
    assert sorted(targets.tolist()) == kept
    batch = batches[0]
    assert batch.tokens.shape == batch.targets.shape == (3, 10)
    assert batch.tokens.dtype == torch.int64
    assert torch.equal(batch.targets, batch.tokens + 1)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 5, 7])
def test_ranks_share_each_batch_without_overlap_or_loss(shards, world_size):
    """Oracle: the batches of one rank; 7 rows don't divide by 2 to 5."""
    batches = TokenBatches(shards, 7, 10, seed=3)
    assert first_tokens(batches, range(20), world_size) == first_tokens(batches, range(20))
    by_rank = [batches.of_rank(rank, world_size) for rank in range(world_size)]
    rows = [int(t) for _ in range(3) for rank in by_rank for t in next(rank).tokens[:, 0]]
    assert rows == list(chain(*first_tokens(batches, range(3))))


@settings(max_examples=20)
@given(stop=st.integers(0, 40), before=st.integers(1, 5), after=st.integers(1, 5), batch=st.sampled_from([5, 6, 8]))
def test_a_run_goes_on_exactly_with_other_ranks_and_another_batch(shards, stop, before, after, batch):
    """Oracle: the flat sequence of one run that was never stopped; 93 windows do not divide by 6."""
    batches = TokenBatches(shards, 6, 10, seed=4)
    flat = list(chain(*first_tokens(batches, range(120))))
    taken = list(chain(*first_tokens(batches, range(stop), before)))
    state = json.loads(json.dumps(batches.state(stop)))
    resumed = TokenBatches(shards, batch, 10, seed=4).resume(state)
    taken += list(chain(*first_tokens(resumed, range(stop, stop + 30), after)))
    assert taken == flat[: len(taken)]
    again = resumed.resume(resumed.state(stop + 7))
    assert first_tokens(again, [stop + 7]) == first_tokens(resumed, [stop + 7])


def test_a_state_of_another_run_is_refused(shards, tmp_path):
    """Oracle: the message names what differs."""
    state = TokenBatches(shards, 4, 10).state(3)
    other = write_shards(tmp_path / "other", np.arange(1000)[::-1], 150, 1000)
    for batches, words in [
        (TokenBatches(shards, 4, 10, seed=1), "seed=1 is not the saved run's 0"),
        (TokenBatches(shards, 4, 20), "sequence_length=20"),
        (TokenBatches(shards, 4, 10, mixed_shards=1), "mixed_shards=1"),
        (TokenBatches(other, 4, 10), "data="),
    ]:
        with pytest.raises(TrainingSetupError, match=words):
            batches.resume(state)
    with pytest.raises(TrainingSetupError, match=r"numpy=.*shuffles otherwise"):
        TokenBatches(shards, 4, 10).resume({**state, "next": [[0, 0]] * 4})


def test_only_the_rows_asked_for_are_read(shards):
    """Oracle: a source that counts."""

    class Counting:
        lengths, fingerprint, reads = shards.lengths, shards.fingerprint, 0

        def read(self, *where):
            Counting.reads += 1
            return shards.read(*where)

    batches = TokenBatches(Counting(), 8, 10)
    batch = batches[5]
    assert (len(batch), Counting.reads) == (8, 0)
    rows = Share(1, 4).of(batch)
    assert (len(rows), Counting.reads) == (2, 2)
    assert torch.equal(rows.tokens, batch.tokens[2:4])
    assert Counting.reads == 10
    assert batch.targets.shape == (8, 10)
    assert Counting.reads == 10  # the whole is read once


def test_worker_processes_give_the_same_batches(shards):
    """Oracle: the batches themselves; torch's DataLoader with a range of steps as its whole state."""
    batches = TokenBatches(shards, 4, 10)
    loader = worker_loader(batches, range(5, 9), Share(1, 2), workers=2)
    found = [tokens for tokens, _ in loader]
    assert [t.tolist() for t in found] == [batches[step].rows(2, 4).tokens.tolist() for step in range(5, 9)]


def test_batches_travel_to_other_processes(shards):
    """Oracle: the batches that were pickled."""
    batches = TokenBatches(shards, 4, 10, seed=2)
    assert batches[3].tokens.shape == (4, 10)  # opened and shuffled already
    again = pickle.loads(pickle.dumps(batches))
    assert torch.equal(again[3].tokens, batches[3].tokens)
    assert len(pickle.dumps(batches)) < 5_000


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda s: TokenBatches(s, 0, 10), "global_batch=0"),
        (lambda s: TokenBatches(s, 4, 0), "sequence_length=0"),
        (lambda s: TokenBatches(s, 4, 150), "holds no window"),
        (lambda s: TokenBatches(s, 4, 10, seed=-1), "seed=-1"),
        (lambda s: TokenBatches(s, 4, 10)[-1], "step=-1"),
        (lambda s: TokenBatches(s, 4, 10).resume(TokenBatches(s, 4, 10).state(3))[2], "step=2 .*at least 3"),
        (lambda s: rank_rows(3, 0, 4), "global_batch=3 .*at least 4"),
        (lambda s: rank_rows(4, 4, 4), "rank=4 is not in 0 to 3"),
        (lambda s: worker_loader(TokenBatches(s, 4, 10), range(3), workers=0), "workers=0"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(shards, bad, words):
    """Oracle: the message names the value and its limit."""
    with pytest.raises(TrainingSetupError, match=words):
        bad(shards)
