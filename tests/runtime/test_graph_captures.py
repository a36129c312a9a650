"""Counting graphs and keeping them. Oracles: PyTorch's own counters of TorchDynamo, eager results, a second process."""

import os
import subprocess
import sys

import pytest
import torch
from torch._dynamo.utils import counters

from course_lib.runtime import GraphCache, GraphCounter, graph_key


def scaled(x):
    return torch.relu(x @ x.T) * 3.0


def trained(counter, lengths):
    """Forward and backward of one weight, for each length."""
    weight = torch.ones(4, requires_grad=True)
    step = counter.compile(lambda x: (x * weight).sin().sum())
    for length in lengths:
        step(torch.ones(length, 4)).backward()
    return weight.grad


def test_each_new_length_is_a_capture_and_a_known_one_is_none():
    """Oracle: TorchDynamo's counter of unique graphs."""
    counter, lengths = GraphCounter(), (3, 5, 3, 7, 5, 3)
    call = counter.compile(scaled)
    counters.clear()
    with torch.no_grad():
        for length in lengths:
            call(torch.ones(length, 2))
    assert len(counter.graphs) == counters["stats"]["unique_graphs"] == len(set(lengths))
    assert counter.kinds == {"inference": 3}


def test_a_training_step_is_two_graphs_and_computes_what_eager_computes():
    """Oracle: eager autograd."""
    counter = GraphCounter()
    gradient = trained(counter, (2, 3))
    weight = torch.ones(4, requires_grad=True)
    for length in (2, 3):
        (torch.ones(length, 4) * weight).sin().sum().backward()
    torch.testing.assert_close(gradient, weight.grad)
    assert counter.kinds == {"forward": 2, "backward": 2}
    assert counter.compilations == 4


def test_a_branch_on_a_value_breaks_a_graph_and_fullgraph_refuses_it():
    """Oracle: torch._dynamo.explain, and TorchDynamo's own error."""

    def branching(x):
        y = x.sin()
        return y * 2 if y.sum() > 0 else y * 3

    counter = GraphCounter()
    explained = torch._dynamo.explain(branching)(torch.ones(3))
    call = counter.compile(branching)
    call(torch.ones(3))
    assert len(counter.graphs) == explained.graph_count == explained.graph_break_count + 1 == 2
    call(-torch.ones(3))
    assert len(counter.graphs) == 3  # what comes before the branch, and either way after it
    with pytest.raises((torch._dynamo.exc.Unsupported, torch._dynamo.exc.UserError)):
        GraphCounter().compile(branching, fullgraph=True)(torch.ones(3))


def key_of(function, *inputs, **options):
    counter = GraphCounter(**options)
    with torch.no_grad():
        counter.compile(function)(*inputs)
    (graph,) = counter.graphs
    return graph.key


def test_a_key_depends_on_what_is_computed_and_not_on_names():
    """Oracle: pairs of programs that are the same, or not, by the rules of arithmetic."""

    def renamed(other_name):
        product = other_name @ other_name.T
        return torch.relu(product) * 3.0

    def constant(x):
        return torch.relu(x @ x.T) * 4.0

    base = key_of(scaled, torch.ones(3, 2))
    assert key_of(renamed, torch.zeros(3, 2)) == base
    others = [
        key_of(constant, torch.ones(3, 2)),
        key_of(scaled, torch.ones(4, 2)),
        key_of(scaled, torch.ones(3, 2, dtype=torch.bfloat16)),
        key_of(scaled, torch.ones(2, 3).T),  # the same shape with other strides
        key_of(scaled, torch.ones(3, 2), settings={"compiler": "newer"}),
    ]
    assert len({base, *others}) == 6


def test_a_tensor_baked_into_a_graph_is_part_of_its_key():
    """Oracle: the same function over tensors that differ in one number."""

    def adding(number):
        def add(x):
            return x + torch.tensor([1.0, number])

        return add

    keys = [key_of(adding(number), torch.ones(2)) for number in (2.0, 2.0, 5.0)]
    assert keys[0] == keys[1] != keys[2]


def test_a_second_run_finds_every_graph_and_a_new_shape_misses(tmp_path):
    """Oracle: by hand."""
    folder = tmp_path / "cache"
    first, second = GraphCounter(GraphCache(folder)), GraphCounter(GraphCache(folder))
    trained(first, (2, 3))
    trained(second, (2, 3, 4))
    assert first.compilations == 4
    assert [graph.hit for graph in second.graphs] == [True] * 4 + [False] * 2
    assert len(GraphCache(folder)) == 6


PROGRAM = """
import sys, torch
from course_lib.runtime import GraphCache, GraphCounter
counter = GraphCounter(GraphCache(sys.argv[1]))
with torch.no_grad():
    counter.compile(lambda x: torch.relu(x @ x.T) * 3.0)(torch.ones(3, 2))
print(counter.compilations)
"""


def test_another_process_with_another_hash_seed_hits_the_same_cache(tmp_path):
    """Oracle: Python itself, started twice."""
    seen = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert seen == ["1", "0"]


def test_the_cache_returns_what_was_stored_and_leaves_no_drafts(tmp_path):
    """Oracle: the bytes themselves."""
    cache = GraphCache(tmp_path)
    key = graph_key("a graph")
    assert cache.get(key) is None
    cache.put(key, b"compiled")
    cache.put(key, b"compiled")
    assert cache.get(key) == b"compiled"
    assert cache.keys() == [key]
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".graph"]
    with pytest.raises(ValueError, match=r"'../x' must be letters and digits"):
        cache.get("../x")
