"""Scaling rules. Oracle: the recipes that the papers print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.distributed import TrainingSetupError
from course_lib.distributed.lr_scaling import Recipe, scale_rate, scale_recipe

IMAGENET = 1_281_167


def test_lamb_gives_the_recipes_of_its_papers_table():
    """Oracle: You et al. 2019, BERT without tuning: rate 5 / (2^e 10^3) and warm-up share 1/d from batch 512 to 32k."""
    table = {512: (3.0, 320), 1024: (2.5, 160), 2048: (2.0, 80), 4096: (1.5, 40), 8192: (1.0, 20), 16384: (0.5, 10)}
    base = Recipe(batch=32768, learning_rate=5e-3, steps=15_625, warmup_steps=3_125)  # rate 5 / (2^0 10^3), 1/5
    for batch, (exponent, share) in table.items():
        scaled = scale_recipe(base, batch, "lamb")
        assert scaled.learning_rate == pytest.approx(5 / (2**exponent * 1e3))
        assert scaled.steps == 15_625 * 32768 // batch
        assert scaled.warmup_steps / scaled.steps == pytest.approx(1 / share)


def test_sgd_gives_the_imagenet_recipe_of_an_hour():
    """Oracle: Goyal et al. 2017: 0.1 at 256 becomes 3.2 at 8,192, with 5 epochs of warm-up and 90 in all at each."""
    epoch = IMAGENET / 256
    base = Recipe(batch=256, learning_rate=0.1, steps=round(90 * epoch), warmup_steps=round(5 * epoch), betas=(0.9, 0))
    scaled = scale_recipe(base, 8192, "sgd")
    assert scaled.learning_rate == pytest.approx(3.2)
    assert scaled.warmup_steps * 8192 / IMAGENET == pytest.approx(5, rel=1e-2)
    assert scaled.steps * 8192 / IMAGENET == pytest.approx(90, rel=1e-3)
    assert scaled.betas == (0.9, 0)


@given(doublings=st.integers(0, 3), again=st.integers(-3, 0))
def test_adam_keeps_how_many_examples_its_moments_remember(doublings, again):
    """Oracle: Malladi et al. 2022: batch / (1 - beta), lr^2 / batch and eps^2 batch do not change."""
    base = Recipe(batch=64, learning_rate=1e-3, steps=10_000, warmup_steps=800, betas=(0.9, 0.99), eps=1e-6)
    scaled = scale_recipe(scale_recipe(base, 64 * 2**doublings, "adam"), int(64 * 2 ** (doublings + again)), "adam")
    for before, after in zip(base.betas, scaled.betas, strict=True):
        assert scaled.batch / (1 - after) == pytest.approx(base.batch / (1 - before))
    assert scaled.learning_rate**2 / scaled.batch == pytest.approx(base.learning_rate**2 / base.batch)
    assert scaled.eps**2 * scaled.batch == pytest.approx(base.eps**2 * base.batch)
    assert scaled.warmup_steps * scaled.batch == pytest.approx(base.warmup_steps * base.batch, rel=0.02)


def test_adam_scales_up_to_the_batch_whose_beta_is_zero_and_no_further():
    """Oracle: 1 - k (1 - 0.9) = 0 at k = 10."""
    base = Recipe(batch=100, learning_rate=1e-3, steps=1000)
    assert scale_recipe(base, 1000, "adam").betas[0] == pytest.approx(0, abs=1e-9)
    with pytest.raises(TrainingSetupError, match=r"batch=1001 .*use at most 1000"):
        scale_recipe(base, 1001, "adam")


def test_the_square_root_is_the_root_of_the_linear_rule():
    """Oracle: Krizhevsky 2014, section 5."""
    assert scale_rate(0.1, 64) == pytest.approx(6.4)
    assert scale_rate(0.1, 64, "sqrt") == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda r: scale_recipe(r, 0, "sgd"), "batch=0"),
        (lambda r: scale_recipe(r, 512, "adamw"), "rule='adamw' .*adam"),
        (lambda r: scale_recipe(r, 51_200, "lamb"), "leaves 10 steps for 100 of warm-up.*use at most 5120"),
        (lambda r: scale_rate(0.1, 0.0), "k=0.0"),
        (lambda r: scale_rate(0.1, 2.0, "cubic"), "rule='cubic'"),
        (lambda r: Recipe(batch=1, learning_rate=0.0, steps=1), "learning_rate=0.0"),
        (lambda r: Recipe(batch=1, learning_rate=1.0, steps=1, warmup_steps=2), "warmup_steps=2 is more than the 1"),
        (lambda r: Recipe(batch=1, learning_rate=1.0, steps=1, betas=(0.9, 1.0)), "betas=1.0"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(bad, words):
    """Oracle: the message names the value, its limit and the remedy."""
    with pytest.raises(TrainingSetupError, match=words):
        bad(Recipe(batch=512, learning_rate=0.1, steps=1000, warmup_steps=100))
