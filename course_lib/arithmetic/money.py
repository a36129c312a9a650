"""Hours times price, and what one price saves against another."""

from course_lib.arithmetic.errors import check_not_negative, check_positive


def cost_usd(accelerator_hours: float, usd_per_accelerator_hour: float) -> float:
    """Price of accelerator-hours.

    Args:
        accelerator_hours: hours of all accelerators together.
        usd_per_accelerator_hour: price of one for one hour.

    Returns:
        US dollars.

    Raises:
        ArithmeticInputError: for a negative number.

    Source: DeepSeek-V3 (arXiv:2412.19437) Table 1.
    """
    check_not_negative("accelerator_hours", accelerator_hours)
    check_not_negative("usd_per_accelerator_hour", usd_per_accelerator_hour)
    return accelerator_hours * usd_per_accelerator_hour


def accelerator_hours(tokens: float, hours_per_trillion_tokens: float) -> float:
    """Accelerator-hours of a run whose rate is known per trillion tokens.

    Args:
        tokens: tokens of the run.
        hours_per_trillion_tokens: accelerator-hours for 1e12 tokens.

    Returns:
        Accelerator-hours.

    Raises:
        ArithmeticInputError: for a number out of range.

    Source: DeepSeek-V3 (arXiv:2412.19437) section 1.
    """
    check_not_negative("tokens", tokens)
    check_positive("hours_per_trillion_tokens", hours_per_trillion_tokens)
    return tokens / 1e12 * hours_per_trillion_tokens


def saving(price: float, reference_price: float) -> float:
    """Share by which a price lies below another; negative when it lies above.

    A saving per hour is one per token only when both machines train equally fast: compare
    `run_cost(...).usd_per_million_tokens` instead.

    Args:
        price: the price in question.
        reference_price: what it is compared with, in the same unit.

    Returns:
        A fraction: 1 - price / reference_price.

    Raises:
        ArithmeticInputError: for a number out of range.

    Source: definition.
    """
    check_not_negative("price", price)
    check_positive("reference_price", reference_price)
    return 1 - price / reference_price
