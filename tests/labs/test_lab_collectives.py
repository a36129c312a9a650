"""Lab 04's helpers: counting messages between real ranks, and telling a learner what a launch came to."""

import time

import pytest
import torch
import torch.distributed as dist

from course_lib.labkit import LabFailure, Ranks
from course_lib.labkit.failures import NoResult
from course_lib.labkit.wording import explain
from course_lib.runtime import Launcher
from course_lib.runtime.messages import Message, Messages, NotPointToPointError

LIMIT = 60


@pytest.fixture(scope="module")
def launch():
    with Launcher() as launcher:
        yield launcher


def around(count, dtype):
    """Each rank sends `count` numbers to the right, and nothing else."""
    rank, world = dist.get_rank(), dist.get_world_size()
    incoming = torch.zeros(count, dtype=dtype)
    with Messages() as messages:
        handles = (
            dist.isend(torch.full((count,), rank, dtype=dtype), (rank + 1) % world),
            dist.irecv(incoming, (rank - 1) % world),
        )
        for handle in handles:
            handle.wait()
    return {"got": incoming, "sent": messages.sent, "received": messages.received, "bytes": messages.bytes_sent}


def test_messages_are_counted_with_peer_and_bytes(launch):
    """By hand: seven bfloat16 are 14 bytes, and rank 0's left neighbor of three is rank 2."""
    ranks = Ranks(launch, around, 3, 7, torch.bfloat16, timeout_seconds=LIMIT)
    assert ranks.of("sent")() == [Message(1, 14)]
    assert ranks.of("received")() == [Message(2, 14)]
    assert [ranks.of("bytes", rank)() for rank in range(3)] == [14, 14, 14]
    assert ranks.stacked("got")().tolist() == [[2.0] * 7, [0.0] * 7, [1.0] * 7]
    assert ranks.joined("got")().shape == (21,)


def every_way_around():
    """What is refused inside, whatever the name under which it is called, and what is counted nevertheless."""
    from torch.distributed import all_reduce as by_another_name
    from torch.distributed._functional_collectives import all_reduce as functional

    refused = []
    calls = {
        "all_reduce": lambda: dist.all_reduce(torch.ones(2)),
        "by name": lambda: by_another_name(torch.ones(2)),
        "functional": lambda: functional(torch.ones(2), "sum", dist.group.WORLD),
        "object": lambda: dist.all_gather_object([None, None], 1),
        "broadcast": lambda: dist.broadcast(torch.ones(2), 0),
        "barrier": dist.barrier,
        "a library": lambda: __import__("course_lib.arithmetic").arithmetic.bus_bandwidth_factor("all_reduce", 2),
    }
    for name, call in calls.items():
        try:
            with Messages(off_limits=("course_lib.arithmetic",)):
                call()
        except NotPointToPointError:
            refused.append(name)
    dist.all_reduce(torch.ones(1))  # outside it works, so the refusals left nothing half done
    return {"refused": refused, "all": list(calls)}


def test_no_collective_passes_as_a_message_by_whatever_name(launch):
    """torch.distributed itself: seven ways to let a library do the work, each refused on both ranks."""
    ranks = Ranks(launch, every_way_around, 2, timeout_seconds=LIMIT)
    assert ranks.of("refused")() == ranks.of("refused", 1)() == ranks.of("all")()


def to_nobody():
    with Messages():
        dist.isend(torch.ones(1), dist.get_world_size())


def test_a_rank_that_does_not_exist_is_named_instead_of_ending_the_process(launch):
    """gloo, which ends the process with a segmentation fault there."""
    ranks = Ranks(launch, to_nobody, 2, timeout_seconds=LIMIT)
    with pytest.raises(NoResult, match=r"(?s)ValueError: the other end of send, 2, must be a rank from 0 to 1"):
        ranks.of("x")()


def unwritten():
    raise NotImplementedError()


def wrong_room():
    rank = dist.get_rank()
    handles = (dist.isend(torch.ones(3), 1 - rank), dist.irecv(torch.ones(2), 1 - rank))
    return {"done": [handle.wait() for handle in handles]}


def shapes():
    return {"tensor": torch.ones(1 + dist.get_rank()), "nothing": None}


def test_an_unwritten_function_in_a_rank_is_an_unwritten_function(launch):
    """Check.score, which tells a learner so by the type of the error."""
    with pytest.raises(NotImplementedError):
        Ranks(launch, unwritten, 2, timeout_seconds=LIMIT).of("x")()


def test_a_failure_is_told_once_and_what_gloo_says_is_explained(launch):
    """gloo's own words: 12 bytes for room of 8."""
    ranks = Ranks(launch, wrong_room, 2, timeout_seconds=LIMIT)
    with pytest.raises(NoResult, match="a message of 12 bytes came where room had been made for 8") as told:
        ranks.of("done")()
    assert "SIGABRT" in explain(told.value, brief=False)
    assert "NoResult" not in explain(told.value, brief=False)
    with pytest.raises(NoResult, match="as told above"):
        ranks.stacked("done")()


def test_ranks_that_return_no_tensors_or_different_ones_are_named(launch):
    """The shapes that ranks 0 and 1 return by construction."""
    ranks = Ranks(launch, shapes, 2, timeout_seconds=LIMIT)
    with pytest.raises(LabFailure, match=r"different shapes, from rank 0 on: \(1,\), \(2,\)"):
        ranks.stacked("tensor")()
    with pytest.raises(LabFailure, match=r"None \(NoneType\) on rank 0"):
        ranks.joined("nothing")()


def waits_for_rank_1():
    if dist.get_rank() == 0:
        dist.recv(torch.ones(1), 1)
    time.sleep(600)


def test_ranks_that_wait_are_told_with_their_place(launch):
    """The line above on which rank 0 waits."""
    ranks = Ranks(launch, waits_for_rank_1, 2, timeout_seconds=8)
    with pytest.raises(NoResult, match=r"(?s)rank 0: waiting in recv.* in waits_for_rank_1.*Who waits"):
        ranks.of("x")()
