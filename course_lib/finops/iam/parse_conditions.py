"""Reading a statement's Condition: operators, keys and values.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from course_lib.finops.iam.document import Condition, Operator
from course_lib.finops.iam.errors import MalformedPolicyError
from course_lib.finops.iam.operators import COMPARISONS
from course_lib.finops.iam.parse_elements import Place, nearest
from course_lib.finops.iam.variables import Template, plain

_SETS = ("ForAllValues", "ForAnyValue")


def read_conditions(block: object, place: Place) -> tuple[Condition, ...]:
    """Read a Condition element.

    Args:
        block: {operator: {key: value or values}}; an empty one is no condition.
        place: where it stands.

    Returns:
        One condition for each operator and key; all of them must hold.

    Raises:
        MalformedPolicyError: an unknown operator, a key without a service prefix, a value that the operator can't
            compare, a list without values.
    """
    if not isinstance(block, Mapping):
        raise MalformedPolicyError.at(
            place.label, "Condition", block, "must be an object", 'write {"StringEquals": {"ec2:InstanceType": "..."}}'
        )
    found: list[Condition] = []
    for name, keys in block.items():
        operator = read_operator(name, place)
        if not isinstance(keys, Mapping) or not keys:
            raise MalformedPolicyError.at(
                place.label,
                f"Condition.{name}",
                keys,
                "must hold at least one key",
                f'write {{"{name}": {{key: value}}}}',
            )
        for key, values in keys.items():
            if not isinstance(key, str) or not key.partition(":")[0] or not key.partition(":")[2]:
                raise MalformedPolicyError.at(
                    place.label,
                    f"Condition.{name}",
                    key,
                    "must be a condition key with its prefix",
                    "write it as in 'aws:RequestedRegion' or 'ec2:InstanceType'",
                )
            found.append(Condition(operator, key, _values(values, operator, key, place)))
    return tuple(found)


def read_operator(name: object, place: Place) -> Operator:
    """Take an operator's name apart; every part is case-sensitive here, as the documentation writes it."""
    text = str(name)
    prefix, colon, rest = text.partition(":")
    set_operator, rest = (prefix, rest) if colon else ("", text)
    if_exists = rest.endswith("IfExists")
    base = rest.removesuffix("IfExists")
    known = base in COMPARISONS and (not colon or set_operator in _SETS)
    if known and base == "Null" and (if_exists or set_operator):
        raise MalformedPolicyError.at(
            place.label,
            "condition operator",
            text,
            "adds IfExists or a set operator to Null, which asks for existence itself",
            "write 'Null'",
        )
    if not known:
        guess = nearest(base, list(COMPARISONS))
        remedy = f"write {guess!r}" if guess else "see the documentation's list of condition operators"
        if colon and set_operator not in _SETS:
            remedy = f"put {nearest(set_operator, _SETS) or 'ForAnyValue'!r} or nothing in front of the colon"
        raise MalformedPolicyError.at(place.label, "condition operator", text, "is not an operator", remedy)
    return Operator(text, set_operator, base, if_exists)


def _values(values: object, operator: Operator, key: str, place: Place) -> tuple[Template, ...]:
    name = f"Condition.{operator.text}.{key}"
    items = values if isinstance(values, Sequence) and not isinstance(values, str | bytes) else [values]
    if not items:
        raise MalformedPolicyError.at(
            place.label, name, values, "has no value to compare with", "give at least one, or remove the key"
        )
    return tuple(_value(item, operator, name, place) for item in items)


def _value(item: object, operator: Operator, name: str, place: Place) -> Template:
    if isinstance(item, bool):
        text = "true" if item else "false"
    elif isinstance(item, str | int | float):  # quotation marks are optional for numbers and booleans
        text = str(item)
    else:
        raise MalformedPolicyError.at(
            place.label, name, item, "must be a string, a number, a boolean, or a flat list of them", "quote the value"
        )
    comparison = COMPARISONS[operator.base]
    if not comparison.variables and "${" in text:
        raise MalformedPolicyError.at(
            place.label,
            name,
            text,
            f"holds a policy variable, which {operator.base} does not know",
            "write a fixed value, or use a String or Arn operator",
        )
    template = place.template(text, name) if comparison.variables else plain(text)
    if not comparison.readable(text):
        raise MalformedPolicyError.at(
            place.label, name, text, f"must be {comparison.must_be} for {operator.base}", "correct the value"
        )
    return template
