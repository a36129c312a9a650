"""What one instance can serve, from its memory, its bandwidth and its peak: a ceiling, and a share of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from course_lib.arithmetic import count_parameters, distinct_experts, inference_flops, kv_cache_bytes
from course_lib.catalog import ModelConfig
from course_lib.catalog import instance as instance_named
from course_lib.catalog import model as model_named
from course_lib.finops.errors import FinopsError

Bound = Literal["weights", "cache", "compute"]


class DoesNotFitError(FinopsError):
    """The model, with the cache of one sequence, is larger than the instance's memory."""


@dataclass(frozen=True)
class Serving:
    """One instance at work on as many sequences as it can hold.

    Args:
        model: which model.
        instance: which instance type.
        batch: sequences that decode side by side.
        seconds_per_token: between two tokens of one answer, prompts of others in between included.
        requests_per_second: answered by this one instance when it never waits.
        bound: what a decoding step waits for: reading weights, reading caches, or arithmetic.
        memory_share: weights and caches over the memory of all its accelerators.
    """

    model: str
    instance: str
    batch: int
    seconds_per_token: float
    requests_per_second: float
    bound: Bound
    memory_share: float

    def usd_per_million_tokens(self, usd_per_hour: float, answer_tokens: int) -> float:
        """Price of a million generated tokens on an instance that never waits, prompts included."""
        return usd_per_hour / 3600 / (self.requests_per_second * answer_tokens) * 1e6


def serving(
    model: str,
    instance: str,
    *,
    prompt_tokens: int,
    answer_tokens: int,
    efficiency: float,
    seconds_per_token_at_most: float | None = None,
    weight_bytes: float = 2.0,
    cache_bytes: float = 2.0,
    reserve: float = 0.1,
    batch_at_most: int = 1024,
    dtype: str = "bf16",
) -> Serving:
    """The largest batch that fits and is quick enough, and what it yields.

    A decoding step of b sequences takes max(bytes / bandwidth, FLOPs / peak): it reads every weight that the batch
    meets once, and each sequence's cache at the middle of its answer. A prompt takes its FLOPs over the peak, and
    nothing is decoded meanwhile. An answer of o tokens so takes P + o * step / b of the instance's time. Both are
    divided by `efficiency`. Messages between the accelerators are not counted.

    Args:
        model: name of a decoder in the catalog.
        instance: name of an instance type; the model is spread over all of its accelerators.
        prompt_tokens: of each request.
        answer_tokens: of each answer.
        efficiency: share of the ceiling that your software reaches, above 0 and at most 1. Measure it: nobody knows it
            for you.
        seconds_per_token_at_most: what a reader will bear between two tokens; None takes the largest batch that fits.
        weight_bytes: per parameter, 2 for bf16, about 0.53 for 4 bits with their scales.
        cache_bytes: per element of keys and values.
        reserve: share of the memory for everything else.
        batch_at_most: sequences that your software decodes side by side at most.
        dtype: of the arithmetic, for the peak.

    Returns:
        The instance at work.

    Raises:
        DoesNotFitError: when the model doesn't fit.
        FinopsError: when even one sequence is too slow, or a number is out of range.
        CatalogError: for a name that the catalog lacks.

    Source: roofline model, Williams et al. 2009; the batch that one reads weights for, Pope et al. 2022
        (arXiv:2211.05102) section 2.
    """
    _check(efficiency, reserve, prompt_tokens, answer_tokens, weight_bytes, cache_bytes, seconds_per_token_at_most)
    FinopsError.check_count("batch_at_most", batch_at_most)
    config, spec = model_named(model), instance_named(instance)
    chip, chips = spec.accelerator_spec, spec.accelerators
    if chip.memory_bandwidth_tb_per_s is None:
        raise FinopsError.of("instance", instance, "has accelerators of unknown bandwidth", "take another type")
    memory, bandwidth = chips * chip.memory_bytes, chips * chip.memory_bandwidth_tb_per_s * 1e12
    peak = chips * chip.peak_flops(dtype)
    counted = count_parameters(config)
    stored = counted.total * weight_bytes
    cache = kv_cache_bytes(config, prompt_tokens + answer_tokens, bytes_per_element=cache_bytes)
    room = math.floor(((1 - reserve) * memory - stored) / cache)
    if room < 1:
        limit = f"needs {(stored + cache) / 1e9:,.1f} GB, {instance} has {(1 - reserve) * memory / 1e9:,.1f} to give"
        remedy = "take an instance with more memory, or fewer bytes per weight"
        raise DoesNotFitError.of("model", model, limit, remedy)
    prompt_seconds = inference_flops(config, prompt_tokens).total_flops / peak / efficiency
    middle = kv_cache_bytes(config, prompt_tokens + answer_tokens // 2, bytes_per_element=cache_bytes)
    arithmetic_seconds = _decode_flops(config, prompt_tokens, answer_tokens) / peak

    def step(batch: int) -> tuple[float, Bound]:
        """Seconds of one decoding step, and what they are spent on."""
        share = 1.0
        if counted.routed_experts:
            share = distinct_experts(config.experts, config.experts_per_token, batch) / config.experts
        dense = counted.total - counted.embedding - counted.routed_experts
        weights = (dense + share * counted.routed_experts) * weight_bytes / bandwidth
        caches, arithmetic = batch * middle / bandwidth, batch * arithmetic_seconds
        if arithmetic > weights + caches:
            return arithmetic / efficiency, "compute"
        return (weights + caches) / efficiency, "weights" if weights >= caches else "cache"

    def between_tokens(batch: int) -> float:
        return step(batch)[0] + batch * prompt_seconds / answer_tokens

    batch = min(room, batch_at_most)
    if seconds_per_token_at_most is not None:
        if between_tokens(1) > seconds_per_token_at_most:
            limit = f"is less than one sequence alone takes on {instance}, {between_tokens(1):.3g} s"
            remedy = "allow more time, or take an instance with more bandwidth"
            raise FinopsError.of("seconds_per_token_at_most", seconds_per_token_at_most, limit, remedy)
        low, high = 1, batch + 1  # the time grows with the batch: bisect
        while high - low > 1:
            middle_batch = (low + high) // 2
            fits = between_tokens(middle_batch) <= seconds_per_token_at_most
            low, high = (middle_batch, high) if fits else (low, middle_batch)
        batch = low
    seconds, bound = step(batch)
    each = prompt_seconds + answer_tokens * seconds / batch
    return Serving(
        config.name, spec.name, batch, between_tokens(batch), 1 / each, bound, (stored + batch * cache) / memory
    )


def _check(
    efficiency: float,
    reserve: float,
    prompt_tokens: int,
    answer_tokens: int,
    weight_bytes: float,
    cache_bytes: float,
    most: float | None,
) -> None:
    if not 0 < efficiency <= 1:
        raise FinopsError.of("efficiency", efficiency, "must be above 0 and at most 1", "write 0.5 for half")
    if not 0 <= reserve < 1:
        raise FinopsError.of("reserve", reserve, "must be at least 0 and below 1", "write 0.1 for a tenth")
    FinopsError.check_count("prompt_tokens", prompt_tokens)
    FinopsError.check_count("answer_tokens", answer_tokens)
    FinopsError.check_positive("weight_bytes", weight_bytes, "write 2 for bf16, 0.53 for 4 bits with scales")
    FinopsError.check_positive("cache_bytes", cache_bytes, "write 2 for bf16, 1 for fp8")
    if most is not None:
        FinopsError.check_positive("seconds_per_token_at_most", most, "write 0.1 for ten tokens a second")


def _decode_flops(config: ModelConfig, prompt_tokens: int, answer_tokens: int) -> float:
    """FLOPs of one decoding step of one sequence, on average over its answer."""
    steps = max(answer_tokens - 1, 1)  # the prompt yields the first token
    return inference_flops(config, prompt_tokens, steps + 1).decode_flops / steps
