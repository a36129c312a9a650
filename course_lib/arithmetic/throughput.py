"""From step time to tokens per second, FLOP/s and days: the divisions that reports are made of."""

from course_lib.arithmetic.errors import check_count, check_positive

SECONDS_PER_DAY = 86_400


def tokens_per_second(global_batch: int, sequence_length: int, step_seconds: float) -> float:
    """Tokens that all devices together process per second.

    Args:
        global_batch: sequences per optimizer step.
        sequence_length: tokens per sequence.
        step_seconds: time of one step.

    Returns:
        Tokens per second.

    Raises:
        ArithmeticInputError: for a number out of range.

    Source: definition; Chowdhery et al. 2022 (arXiv:2204.02311) section 4.1.
    """
    check_count("global_batch", global_batch)
    check_count("sequence_length", sequence_length)
    check_positive("step_seconds", step_seconds)
    return global_batch * sequence_length / step_seconds


def flops_per_s_per_accelerator(flops: float, seconds: float, accelerators: int = 1) -> float:
    """Achieved rate of one accelerator.

    Args:
        flops: FLOPs done by all accelerators together.
        seconds: time that they took.
        accelerators: how many worked.

    Returns:
        FLOP/s of one accelerator. Times `accelerators` it is the aggregate rate that papers print.

    Raises:
        ArithmeticInputError: for a number out of range.

    Source: Narayanan et al. 2021 (arXiv:2104.04473) section 5.1.
    """
    check_positive("flops", flops)
    check_positive("seconds", seconds)
    check_count("accelerators", accelerators)
    return flops / (seconds * accelerators)


def aggregate_flops_per_s(flops_per_s_each: float, accelerators: int) -> float:
    """Rate of all accelerators together.

    Args:
        flops_per_s_each: achieved FLOP/s of one.
        accelerators: how many.

    Returns:
        FLOP/s.

    Raises:
        ArithmeticInputError: for a number out of range.

    Source: Narayanan et al. 2021 (arXiv:2104.04473) Table 1, last column.
    """
    check_positive("flops_per_s_each", flops_per_s_each)
    check_count("accelerators", accelerators)
    return flops_per_s_each * accelerators


def training_seconds(flops: float, accelerators: int, flops_per_s_each: float) -> float:
    """Wall time of a run, without failures.

    Args:
        flops: FLOPs of the run. Where `flops_per_s_each` counts recomputation, this must too: 8 T P instead of
            6 T P is the usual form.
        accelerators: how many work.
        flops_per_s_each: achieved FLOP/s of one.

    Returns:
        Seconds.

    Raises:
        ArithmeticInputError: for a number out of range.

    Source: Narayanan et al. 2021 (arXiv:2104.04473) eq. 4: 8 T P / (n X).
    """
    check_positive("flops", flops)
    return flops / aggregate_flops_per_s(flops_per_s_each, accelerators)


def seconds_for_tokens(tokens: float, tokens_per_s: float) -> float:
    """Wall time to see a number of tokens at a measured rate.

    Args:
        tokens: tokens of the run.
        tokens_per_s: rate of all devices together.

    Returns:
        Seconds.

    Raises:
        ArithmeticInputError: for a number out of range.

    Source: definition.
    """
    check_positive("tokens", tokens)
    check_positive("tokens_per_s", tokens_per_s)
    return tokens / tokens_per_s


def wall_seconds(accelerator_hours: float, accelerators: int) -> float:
    """Wall time of accelerator-hours spread evenly over a cluster.

    Args:
        accelerator_hours: hours of all accelerators together.
        accelerators: how many.

    Returns:
        Seconds.

    Raises:
        ArithmeticInputError: for a number out of range.

    Source: definition; DeepSeek-V3 (arXiv:2412.19437) section 1 uses it.
    """
    check_positive("accelerator_hours", accelerator_hours)
    check_count("accelerators", accelerators)
    return accelerator_hours * 3_600 / accelerators


def throughput_gain(seconds_before: float, seconds_after: float) -> float:
    """By how much throughput rises when the same work takes another time.

    Args:
        seconds_before: time of the work before the change.
        seconds_after: time after it.

    Returns:
        A fraction: 0.29 is 29 % more throughput. Not the share of time saved, which is smaller.

    Raises:
        ArithmeticInputError: for a number out of range.

    Source: Korthikanti et al. 2022 (arXiv:2205.05198) Table 5.
    """
    check_positive("seconds_before", seconds_before)
    check_positive("seconds_after", seconds_after)
    return seconds_before / seconds_after - 1
