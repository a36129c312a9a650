"""Whether a condition holds for a request: missing keys, sets of values, negation, IfExists and Null.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
"""

from __future__ import annotations

from dataclasses import dataclass

from course_lib.finops.iam.context import Context
from course_lib.finops.iam.document import Condition
from course_lib.finops.iam.operators import COMPARISONS


def shown(value: str) -> str:
    """A value as messages write it: in quotation marks where it would otherwise be misread."""
    return value if value.isprintable() and value and not set(value) & set(" ,;") else repr(value)


@dataclass(frozen=True)
class Check:
    """One condition, looked at for one request.

    Attributes:
        condition: the condition.
        holds: whether it is met.
        seen: what the request has, in words: "p5.48xlarge", "no ec2:InstanceType".
    """

    condition: Condition
    holds: bool
    seen: str


def check(condition: Condition, context: Context) -> Check:
    """Decide one condition.

    A key that the request lacks (or has with no value) makes an operator false and a negated operator true;
    `...IfExists` and `ForAllValues` true; `ForAnyValue` false. With several values in the policy one match is enough
    (OR); a negated operator then needs none to match (NOR). A key with two or more values in the request and no set
    operator compares as false, negated or not: AWS requires a set operator there, and does not say what happens
    without one.

    Args:
        condition: operator, key and values.
        context: the request's keys.

    Returns:
        The outcome, with what was seen.
    """
    operator = condition.operator
    values = context.values(condition.key)
    present = bool(values) and not (context.is_list(condition.key) and not any(values or ()))
    seen = f"no {condition.key}" if not values else ", ".join(map(shown, values))
    if operator.base == "Null":
        wanted = {value.text.lower() for value in condition.values}
        return Check(condition, ("false" if present else "true") in wanted, seen)
    if values is None or not present or (operator.set_operator and not any(values)):
        return Check(condition, _without_value(condition), seen)

    def one(value: str) -> bool:
        compare = COMPARISONS[operator.base].holds
        return any(compare(wanted, value, context) for wanted in condition.values) is not operator.negated

    if operator.set_operator == "ForAllValues":
        return Check(condition, all(map(one, values)), seen)
    if operator.set_operator == "ForAnyValue":
        return Check(condition, any(map(one, values)), seen)
    if len(values) > 1:
        return Check(condition, False, f"{seen}, and several values need ForAllValues: or ForAnyValue:")
    return Check(condition, one(values[0]), seen)


def _without_value(condition: Condition) -> bool:
    """The outcome where the request does not have the key."""
    operator = condition.operator
    if operator.if_exists or operator.set_operator == "ForAllValues":
        return True
    return operator.negated and operator.set_operator != "ForAnyValue"
