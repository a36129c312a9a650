"""Bytes that each compression hands over in a step. Oracle: arithmetic's published formulas, and counting on paper."""

import math

import pytest

from course_lib.arithmetic import model_compression
from course_lib.distributed import build_engine, markov_batches
from course_lib.distributed.compression import compression, counted_traffic
from course_lib.models import GPT
from tests.distributed.curves import SMALL, small_config

SHAPES = [tuple(parameter.shape) for parameter in GPT(SMALL).parameters()]
SIZES = [math.prod(shape) for shape in SHAPES]
RATIO = 0.01


def bytes_of_last_step(config, scheme, steps, ranks):
    batches = markov_batches(config)
    engine = build_engine("ddp", config, compression=scheme, bucket_mb=0.05)
    for step in range(steps):
        with counted_traffic() as traffic:
            engine.step(batches[step])
    return traffic.payload_bytes, traffic.wire_bytes(ranks)


def sent(launch_ranks, name, *, ranks=2, steps=1, **options):
    results = launch_ranks(bytes_of_last_step, ranks, small_config(), compression(name, **options), steps, ranks)
    assert len(set(results)) == 1
    return results[0]


@pytest.mark.parametrize(("name", "bytes_each"), [("none", 4), ("fp16", 2), ("bf16", 2)])
def test_dense_gradients_cost_their_width_and_a_ring_sends_2_p_minus_1_over_p_of_it(launch_ranks, name, bytes_each):
    payload, wire = sent(launch_ranks, name)
    assert payload == bytes_each * sum(SIZES)
    assert wire == payload * 2 * (2 - 1) / 2


def test_top_k_costs_8_bytes_for_each_kept_element_to_every_other_rank(launch_ranks):
    payload, wire = sent(launch_ranks, "topk", ratio=RATIO, ranks=4)
    assert payload == 8 * sum(math.ceil(RATIO * size) for size in SIZES)
    assert wire == payload * (4 - 1)


def test_random_k_costs_4_bytes_for_each_kept_element(launch_ranks):
    payload, wire = sent(launch_ranks, "randomk", ratio=RATIO, ranks=4)
    assert payload == 4 * sum(math.ceil(RATIO * size) for size in SIZES)
    assert wire == pytest.approx(payload * 2 * 3 / 4)


def test_signs_cost_a_bit_for_each_element_and_a_float_for_each_parameter(launch_ranks):
    payload, _ = sent(launch_ranks, "sign")
    bits = sum(SIZES) / 8 + 4 * len(SIZES)
    assert bits <= payload < bits + len(SIZES), "a bucket is padded to whole bytes"


@pytest.mark.parametrize("rank", [1, 2, 8])
def test_powersgd_shrinks_a_model_by_what_vogels_et_al_say(launch_ranks, rank):
    payload, _ = sent(launch_ranks, "powersgd", rank=rank, start_step=2, steps=4)
    matrices = [shape for shape in SHAPES if len(shape) == 2]
    vectors = sum(SIZES) - sum(a * b for a, b in matrices)
    assert 4 * sum(SIZES) / payload == pytest.approx(model_compression(matrices, vectors, rank))
