"""Lazy tensors. Oracle: the rule of laziness (a graph is cut where a value is asked for), and eager results."""

import pytest
import torch

from course_lib.runtime import lazy_device, lazy_graphs, mark_step


@pytest.fixture
def weight():
    return torch.ones(4, device="cpu").to(lazy_device())


def test_one_graph_is_compiled_for_equal_steps_and_one_for_each_shape(weight):
    with lazy_graphs() as equal:
        for _ in range(5):
            torch.ones(3, 4).to("lazy") * weight + 1.25
            mark_step()
    with lazy_graphs() as different:
        for length in (5, 6, 7):
            value = torch.ones(length, 4).to("lazy") * weight + 1.25
            mark_step()
    assert (equal.compiled, equal.executed) == (0, 0)  # nobody holds the results: nothing is computed
    assert different.compiled == 3
    torch.testing.assert_close(value.cpu(), torch.full((7, 4), 2.25))


def test_without_a_mark_the_graph_grows_until_somebody_looks(weight):
    with lazy_graphs() as looked_each_time:
        value = weight
        for _ in range(4):
            value = value * weight + 0.75
            value.sum().item()
            mark_step()
    with lazy_graphs() as looked_once:
        value = weight
        for _ in range(4):
            value = value * weight + 0.75
        total = value.sum().item()
        mark_step()
    assert looked_once.executed < looked_each_time.executed
    assert total == 16.0
