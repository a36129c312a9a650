"""What a mixture of 8 experts learns beside the dense model that does as much work for a token, on the shipped text.

Both are trained on the same batches from the same seed, and judged on the same windows of the validation split. The
ratio of the first row of each seed is that of perplexities, of the second row the coefficient of variation of the
experts' loads in the layer where it is largest. Limits: 1.00 for every seed's perplexity, 0.20 for the loads.
"""

from __future__ import annotations

from benchmarks.ratio import Ratio, one_thread
from course_lib.distributed import warmup_cosine
from course_lib.moe import Comparison, MoEConfig, MoETrainConfig, compare, load_corpus, moe_config

SEEDS = (0, 1, 2)
STEPS = 500
WINDOWS = 100  # of each domain's validation text


def compared(seed: int, steps: int = STEPS) -> Comparison:
    """One seed's pair of models."""
    corpus = load_corpus()
    model = moe_config(layers=2, hidden_size=64, heads=4, vocab_size=corpus.vocab_size, expert_hidden_size=128)
    config = MoETrainConfig(
        model=model,
        moe=MoEConfig.of(model, balance_loss=0.02),
        global_batch=16,
        learning_rate=5e-3,
        clip_norm=1.0,
        seed=seed,
    )
    return compare(config, corpus, steps, schedule=warmup_cosine(20, steps), windows_per_domain=WINDOWS)


def rows(seed: int, found: Comparison) -> list[Ratio]:
    """Perplexities and spread of loads as lines of the table; seconds are those of the whole training."""
    ours, theirs = found.moe, found.dense
    took = sum(ours.step_seconds), sum(theirs.step_seconds)
    spread = max(ours.validation.load_variations)
    what = f"perplexity {ours.validation.perplexity:.1f}, 8 experts, seed {seed}"
    peer = f"dense, equal active FLOPs: {theirs.validation.perplexity:.1f}"
    return [
        Ratio(what, peer, *took, found.perplexity_ratio),
        Ratio(f"spread of expert loads, seed {seed}", "mean load of an expert", *took, spread),
    ]


def measure() -> list[Ratio]:
    """The mixture's perplexity over the dense model's, and how evenly its experts are used: three seeds."""
    with one_thread():
        return [row for seed in SEEDS for row in rows(seed, compared(seed))]
