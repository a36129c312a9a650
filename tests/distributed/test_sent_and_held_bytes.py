"""What ranks send and hold. Oracles: the ring's formula, and parameter counts of the unsharded torch module."""

import sys

import pytest
import torch
import torch.distributed as dist

from course_lib.arithmetic import collective_time
from course_lib.distributed import Held, build_engine, held_bytes, markov_batches, sent_bytes
from tests.distributed.curves import small_config

BYTES = 3 * 2**20  # shared equally by 2, 3 and 4 ranks
HEADERS = 0.01  # share of a large message
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a process writes")


def collective(name):
    whole = torch.ones(BYTES // 4)  # (elements,)
    part = torch.ones(BYTES // 4 // dist.get_world_size())  # (elements / ranks,)
    calls = {
        "all_reduce": lambda: dist.all_reduce(whole),
        "all_gather": lambda: dist.all_gather_single(whole, part),
        "reduce_scatter": lambda: dist.reduce_scatter_single(part, whole),
    }
    calls[name]()
    return sent_bytes(calls[name])


@LINUX
@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("name", ["all_reduce", "all_gather"])
def test_a_ring_sends_what_the_formula_says(launch_ranks, name, ranks):
    """Oracle: Thakur et al. 2005: 2 (n - 1) / n of the bytes for an all-reduce, half of it for an all-gather."""
    expected = collective_time(name, BYTES, ranks, alpha_seconds=0, beta_seconds_per_byte=1).bytes_sent_per_rank
    assert launch_ranks(collective, ranks, name) == [pytest.approx(expected, rel=HEADERS)] * ranks


@LINUX
def test_gloo_carries_out_a_reduce_scatter_as_an_all_reduce(launch_ranks):
    """Oracle: the ring's formula for the all-reduce; a reduce-scatter of its own would send half of it."""
    whole = collective_time("all_reduce", BYTES, 4, alpha_seconds=0, beta_seconds_per_byte=1).bytes_sent_per_rank
    assert launch_ranks(collective, 4, "reduce_scatter") == [pytest.approx(whole, rel=HEADERS)] * 4


@LINUX
def test_a_rank_alone_sends_nothing():
    assert sent_bytes(lambda: torch.ones(1000).sum()) == 0


@pytest.mark.parametrize(("engine", "ranks", "divided_by"), [("ddp", 2, 1), ("fsdp", 4, 4), ("hybrid", 4, 2)])
def test_a_rank_holds_the_whole_state_or_its_part(launch_ranks, engine, ranks, divided_by):
    """Oracle: 4 bytes for each parameter of the unsharded module, twice that for Adam's moments."""

    def held():
        built = build_engine(engine, small_config())
        batches = markov_batches(built.config)
        built.step(batches[0])
        between = held_bytes(built)
        built.forward_backward(built.share.of(batches[1]))
        return between, held_bytes(built)

    share = 4 * sum(p.numel() for p in build_engine("single", small_config()).model.parameters()) // divided_by
    between, after = launch_ranks(held, ranks)[0]
    assert between == Held(share, 0, 2 * share)
    assert after == Held(share, share, 2 * share)
    assert after.total == 4 * share
