"""Lab 07's supporting file: the prototype is right, and moves what the lab says that it moves."""

import runpy
from pathlib import Path

import pytest
import torch

from course_lib.nki import activate, profile, simulate

activate()
PROTOTYPE = runpy.run_path(
    str(Path(__file__).parents[2] / "solutions" / "lab07-nki-attention" / "prototype.py"), run_name="prototype"
)["prototype"]


def band(tokens: int, window: int) -> torch.Tensor:
    distance = torch.arange(tokens)[:, None] - torch.arange(tokens)
    return torch.zeros(tokens, tokens).masked_fill((distance < 0) | (distance >= window), -1e30)


@pytest.mark.parametrize(
    ("tokens", "d", "window", "sink"), [(60, 16, 20, 0.0), (300, 64, 300, 5.0), (700, 32, 100, -2.0)]
)
def test_the_prototype_is_attention_with_a_sink(tokens, d, window, sink):
    """Oracle: torch's scaled_dot_product_attention; the sink is one more key, of zeros, whose mask holds its score."""
    query, key, value = torch.randn(3, tokens, d)
    mask = band(tokens, window)
    zero = torch.zeros(1, d)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        query,
        torch.vstack([key, zero]),
        torch.vstack([value, zero]),
        attn_mask=torch.hstack([mask, torch.full((tokens, 1), sink)]),
        scale=0.2,
    )
    torch.testing.assert_close(simulate(PROTOTYPE)(query, key, value, mask, sink, 0.2), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("tokens", "d"), [(128, 64), (512, 128), (1024, 32)])
def test_the_prototype_moves_five_matrices_of_scores(tokens, d):
    """Oracle: a count by hand: mask read, scores and weights written and read; queries, keys, values and result."""
    flat, square = torch.zeros(tokens, d), torch.zeros(tokens, tokens)
    moved = profile(PROTOTYPE, execute=False)(flat, flat, flat, square, 0.0, 1.0).hbm_bytes
    assert moved == 4 * (5 * tokens**2 + 4 * tokens * d)


def test_a_window_makes_no_difference_to_the_prototype():
    """Oracle: two products of tokens × tokens × d, counted by hand, for a narrow window and for none."""
    flat = torch.zeros(256, 16)
    runs = [profile(PROTOTYPE)(flat, flat, flat, band(256, window), 0.0, 1.0) for window in (1, 256)]
    assert runs[0].operations == runs[1].operations == 4 * 256**2 * 16
