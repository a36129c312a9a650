"""How many keys a query looks at: all of them, as the papers count, or only those a causal kernel computes."""

from typing import Literal

from course_lib.arithmetic.errors import check_choice
from course_lib.catalog import ModelConfig

Attention = Literal["full", "causal"]


def keys_summed_over_layers(config: ModelConfig, sequence_length: int, attention: Attention) -> float:
    """Mean number of keys per query, summed over the layers.

    Args:
        config: a shape.
        sequence_length: tokens in one sequence.
        attention: "full" computes the whole square of scores and masks it, which is what PaLM and Megatron count;
            "causal" skips what the mask hides, and what lies outside of a sliding window.

    Returns:
        Keys per query; layers * sequence_length for "full".

    Raises:
        ArithmeticInputError: for another word.

    Source: a sum over positions i = 1..s of min(i, window).
    """
    check_choice("attention", attention, ("full", "causal"))
    if attention == "full":
        return config.layers * sequence_length
    windowed = config.windowed_layers
    return windowed * _mean_keys(sequence_length, config.sliding_window) + (config.layers - windowed) * _mean_keys(
        sequence_length, sequence_length
    )


def _mean_keys(sequence_length: int, window: int) -> float:
    # the first `window` queries see 1, 2, ..., window keys; the others see `window`
    window = min(window, sequence_length)
    return (window * (window + 1) / 2 + (sequence_length - window) * window) / sequence_length
