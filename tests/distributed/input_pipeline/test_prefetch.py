"""Reading ahead. Oracle: the same source iterated over directly, and threading's own list of threads."""

import gc
import itertools
import threading

import numpy as np
import pytest
import torch

from course_lib.distributed import Share, TrainConfig, TrainingSetupError, build_engine, train
from course_lib.distributed.input_pipeline import Prefetch, ReadAhead, Throttled, TokenBatches, write_shards
from course_lib.models import Batch

WAIT = 60


def alive():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    gc.collect()
    for thread in alive():
        thread.join(WAIT)
    assert alive() == []


@pytest.mark.parametrize("depth", [1, 2, 100])
def test_items_come_in_order_and_all_of_them(depth):
    """Oracle: range."""
    with Prefetch(range(50), depth) as ahead:
        assert list(ahead) == list(range(50))
        assert list(ahead) == []
    assert alive() == []


def test_the_worker_runs_ahead_by_no_more_than_the_depth():
    """Oracle: a source that says how far it has come: depth items wait and one is in the worker's hands."""
    asked, reached = [], threading.Event()

    def source():
        for number in itertools.count():
            asked.append(number)
            if number == 3:
                reached.set()
            yield number

    with Prefetch(source(), depth=3) as ahead:
        assert reached.wait(WAIT)
        gone_too_far = threading.Event()
        gone_too_far.wait(0.05)
        assert asked == [0, 1, 2, 3]
        assert ahead.waiting == 3
        assert next(ahead) == 0


def test_reading_happens_while_the_consumer_is_busy():
    """Oracle: a source that only ends its third item when the consumer is at its first: alone it would hang."""
    at_first, third_read = threading.Event(), threading.Event()

    def source():
        yield 0
        yield 1
        assert at_first.wait(WAIT)
        third_read.set()
        yield 2

    with Prefetch(source()) as ahead:
        assert next(ahead) == 0
        at_first.set()
        assert third_read.wait(WAIT)
        assert list(ahead) == [1, 2]


def test_the_workers_error_reaches_the_consumer_after_the_good_items():
    """Oracle: the error itself, with the frame that raised it."""

    def source():
        yield 1
        yield 2
        raise OSError("disk on fire")

    with Prefetch(source(), depth=5) as ahead:
        assert [next(ahead), next(ahead)] == [1, 2]
        with pytest.raises(OSError, match="disk on fire") as caught:
            next(ahead)
        assert "source" in [entry.name for entry in caught.traceback]
        with pytest.raises(StopIteration):
            next(ahead)


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_an_endless_source_is_closed_in_the_middle(taken):
    """Oracle: no thread is alive afterwards, and the source's own clean-up ran."""
    cleaned = threading.Event()

    def source():
        try:
            yield from itertools.count()
        finally:
            cleaned.set()

    with Prefetch(source()) as ahead:
        for number in range(taken):
            assert next(ahead) == number
    assert alive() == []
    gc.collect()
    assert cleaned.wait(WAIT)
    ahead.close()  # twice does no harm
    with pytest.raises(StopIteration):
        next(ahead)


def test_a_consumer_that_fails_leaves_no_thread():
    """Oracle: threading.enumerate."""
    with pytest.raises(KeyError), Prefetch(itertools.count()) as ahead:
        {}[next(ahead)]
    assert alive() == []


def test_one_that_is_forgotten_ends_its_thread():
    """Oracle: threading.enumerate; the fixture waits for it."""
    forgotten = Prefetch(itertools.count())
    next(forgotten)
    [worker] = alive()
    del forgotten
    gc.collect()
    worker.join(WAIT)
    assert not worker.is_alive()


def test_a_depth_of_zero_is_refused():
    """Oracle: the message."""
    with pytest.raises(TrainingSetupError, match="depth=0"):
        Prefetch([], 0)


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    tokens = np.random.default_rng(0).integers(0, 64, 4000)
    shards = write_shards(tmp_path_factory.mktemp("text") / "data", tokens, 700, 64)
    return TokenBatches(Throttled(shards, seconds_per_read=1e-4), 4, 16, seed=1)


def test_training_with_reading_ahead_gives_the_same_losses(batches):
    """Oracle: the same run that reads when it needs."""
    torch.set_num_threads(1)  # tiny matrices gain nothing from threads, and a busy machine loses much
    config = TrainConfig(global_batch=4, sequence_length=16)
    losses = []
    for ahead in (False, True):
        torch.manual_seed(0)
        engine = build_engine("single", config)
        if ahead:
            with ReadAhead(batches, engine.share) as data:
                losses.append(train(engine, data, 4).losses)
        else:
            losses.append(train(engine, batches, 4).losses)
    assert losses[0] == losses[1]
    assert alive() == []


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_that_read_ahead_train_as_one_process_does(launch_ranks, batches, world_size):
    """Oracle: the same run in one process that reads when it needs."""
    config = TrainConfig(global_batch=4, sequence_length=16)

    def train_ahead():
        engine = build_engine("ddp", config)
        with ReadAhead(batches, engine.share, depth=3, readers=2) as data:
            return train(engine, data, 4).losses

    alone = train(build_engine("single", config), batches, 4).losses
    for losses in launch_ranks(train_ahead, world_size):
        assert losses == pytest.approx(alone, rel=1e-5)


def test_a_rank_gets_its_rows_in_order_and_after_a_jump(batches):
    """Oracle: the batches themselves."""
    share = Share(1, 2)
    with ReadAhead(batches, share, depth=3) as data:
        for step in (0, 1, 2, 7, 8, 3):
            rows = share.of(data[step])
            assert torch.equal(rows.tokens, batches[step].tokens[2:4])
            assert torch.equal(rows.targets, batches[step].targets[2:4])
            assert len(alive()) == 1
        with pytest.raises(TrainingSetupError, match=r"rows=\(0, 2\) were not read"):
            data[4].rows(0, 2)


def test_preparation_happens_in_the_background(batches):
    """Oracle: the name of the thread that did it."""
    threads = []

    def prepare(batch):
        threads.append(threading.current_thread().name)
        return Batch(batch.tokens + 1, batch.targets)

    with ReadAhead(batches, prepare=prepare) as data:
        assert torch.equal(data[0].tokens, batches[0].tokens + 1)
    assert set(threads) == {"prefetch_0"}


def test_several_readers_work_at_once_and_deliver_in_order(batches):
    """Oracle: a barrier that opens only when three reads are under way together; the batches themselves."""
    together = threading.Barrier(3, timeout=WAIT)

    def prepare(batch):
        together.wait()
        return batch

    with ReadAhead(batches, depth=3, readers=3, prepare=prepare) as data:
        assert torch.equal(data[0].tokens, batches[0].tokens)
        together.abort()
    with ReadAhead(batches, depth=6, readers=4) as data:
        for step in range(60):  # more than one epoch and several mixes, through one order shared by the threads
            assert torch.equal(data[step].tokens, batches[step].tokens)
    with pytest.raises(TrainingSetupError, match=r"depth=2 .*at least 3"):
        ReadAhead(batches, depth=2, readers=3)


def test_an_error_of_storage_comes_again_when_the_step_is_asked_for_again(batches):
    """Oracle: the source's own error, twice, and then the batch when the storage is back."""
    broken = [True]

    def prepare(batch):
        if broken[0]:
            raise ConnectionError("bucket unreachable")
        return batch

    with ReadAhead(batches, prepare=prepare) as data:
        for _ in range(2):
            with pytest.raises(ConnectionError, match="bucket"):
                data[0]
        broken[0] = False
        assert torch.equal(data[0].tokens, batches[0].tokens)
