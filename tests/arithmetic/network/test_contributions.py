"""`verify` finds what is wrong with a schedule."""

from dataclasses import replace

import pytest

from course_lib.arithmetic.network import Message, Phase, Schedule, WrongScheduleError, holdings, schedule, verify


def by_hand(op, ranks, chunks, *rounds):
    phases = tuple(Phase(1, lambda _, sent=sent: list(sent), "by hand") for sent in rounds)
    return Schedule(op, "by hand", ranks, chunks, phases)


SWAP = [Message(0, 1, (0,), True), Message(1, 0, (0,), True)]


def test_an_all_reduce_of_two_by_hand_is_right():
    """Oracle: both send what they have, both add."""
    verify(by_hand("all_reduce", 2, 1, SWAP))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (by_hand("all_reduce", 2, 1, SWAP, SWAP), "round 1, rank 0 to rank 1: would add the data of rank 0, 1"),
        (by_hand("all_reduce", 2, 1, SWAP[:1]), "at the end rank 0 has the data of rank 0 in chunk 0"),
        (by_hand("all_reduce", 2, 1, [Message(0, 1, (0,), False)]), "the data of rank 0 in chunk 0, not"),
        (by_hand("all_gather", 2, 2, [Message(0, 1, (1,), False)]), "does not have chunk 1"),
        (by_hand("all_gather", 2, 2, [Message(0, 1, (0,), False)]), "rank 0 has nothing in chunk 1"),
        (by_hand("all_reduce", 2, 1, [Message(0, 0, (0,), True)]), "two different ranks"),
        (by_hand("all_reduce", 2, 1, [Message(0, 2, (0,), True)]), "two different ranks"),
        (by_hand("all_reduce", 2, 2, [Message(0, 1, (0,), True), Message(0, 1, (1,), True)]), "pack them into one"),
    ],
)
def test_the_first_mistake_is_named(wrong, says):
    """Oracle: the mistake that was made."""
    with pytest.raises(WrongScheduleError, match="Remedy") as raised:
        verify(wrong)
    assert says in str(raised.value)


@pytest.mark.parametrize("drop", range(6))
def test_a_ring_that_lost_a_round_is_wrong(drop):
    """Oracle: 2(p-1) rounds are needed, and none is spare."""
    whole = schedule("all_reduce", 4, "ring")
    rounds = [sent for number, sent in enumerate(whole.rounds()) if number != drop]
    with pytest.raises(WrongScheduleError):
        verify(by_hand("all_reduce", 4, 4, *rounds))


def test_a_reduce_scatter_is_no_all_reduce():
    """Oracle: each rank has one chunk's sum only."""
    part = schedule("reduce_scatter", 4)
    verify(part)
    with pytest.raises(WrongScheduleError):
        verify(replace(part, op="all_reduce"))


def test_frames_lead_from_the_start_to_the_result():
    """Oracle: what a ring is: one contribution at first, in one chunk one more after each step, in the end all."""
    frames = holdings(schedule("all_reduce", 4, "ring"))
    assert len(frames) == 1 + 6
    assert all(chunks == {chunk: {rank} for chunk in range(4)} for rank, chunks in enumerate(frames[0]))
    assert all(given == {0, 1, 2, 3} for chunks in frames[-1] for given in chunks.values())
    for step in (1, 2, 3):
        assert [max(map(len, chunks.values())) for chunks in frames[step]] == [step + 1] * 4


def test_frames_of_a_wrong_schedule_are_refused():
    """Oracle: the mistake that was made."""
    with pytest.raises(WrongScheduleError, match="twice"):
        holdings(by_hand("all_reduce", 2, 1, SWAP, SWAP))
