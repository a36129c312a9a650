"""moto's answers, byte for byte the same, in less time: where its serializer spends it, and what to remember.

For each of an instance's 60 members moto works out anew under which names the value may be found, hands the tree to a
general XML writer, and looks for each resource's tags among the tags of all resources, which makes a thousand instances
cost a million looks. The names depend only on the object's class and the member, so they are kept; the tree that EC2's
serializer builds needs no more than elements, text and one namespace; and tags are kept by resource. Whatever is not
exactly of that kind goes to moto's code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

NAME = re.compile(r"[A-Za-z][\w.-]*")
HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
MOST = 200_000  # members remembered; the whole of EC2 has a tenth of that
_Keys = tuple[tuple[str, ...], bool]  # names to look for, and whether by index


def quicken() -> None:
    """Have moto's serializers remember, for as long as the process lives."""
    from moto.core import serialize
    from moto.core.constants import MISSING

    picker: Any = serialize.XFormedAttributePicker
    writer: Any = serialize.EC2Serializer
    slow_pick, slow_body, missing = picker.__call__, writer._serialize_body, MISSING
    kept: dict[tuple[type, str, Any], _Keys | None] = {}

    def keys_of(self: Any, context: Any) -> _Keys | None:
        keys = tuple(dict.fromkeys(self.get_possible_keys(context)))
        transformers = tuple(path for path in self.response_transformers if context.key.endswith(path.split(".")[-1]))
        indexed = hasattr(context.obj, "__getitem__")
        # A dot means a path, and __getattr__ or an own Meta may make objects of one class differ.
        plain = not any("." in key for key in keys) and not transformers and "Meta" not in _own(context.obj)
        return (keys, indexed) if plain and not hasattr(type(context.obj), "__getattr__") else None

    def pick(self: Any, context: Any) -> Any:
        obj = context.obj
        known = (type(obj), context.key, context.shape)
        if known not in kept:
            if len(kept) > MOST:
                kept.clear()
            kept[known] = keys_of(self, context)
        found = kept[known]
        if found is None:
            return slow_pick(self, context)
        keys, indexed = found
        for key in keys:
            if not indexed:
                value = getattr(obj, key, missing)
            else:
                try:
                    value = obj[key]
                except (KeyError, IndexError, TypeError, AttributeError):
                    value = missing
            if value is not missing:
                return value
        return None

    def body(self: Any, tree: Mapping[str, Any]) -> str:
        text = None if self.pretty_print else document(tree)
        return slow_body(self, tree) if text is None else text

    _tags_by_resource()
    picker.__call__ = pick
    writer._serialize_body = body


def _tags_by_resource() -> None:
    from moto.ec2.models.core import TaggedEC2Resource
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

    def get_tags(self: Any) -> list[dict[str, str]]:
        found = self.ec2_backend.tags.get(self.id) if self.id else None
        if not found:
            return []
        kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(self.id), "")
        return [
            {"resource_id": self.id, "key": key, "value": value, "resource_type": kind} for key, value in found.items()
        ]

    TaggedEC2Resource.get_tags = get_tags  # type: ignore[method-assign]


def document(tree: Mapping[str, Any]) -> str | None:
    """An XML document of a tree of dictionaries, lists and texts, as xmltodict writes it; None for any other tree.

    Args:
        tree: one root; a key "@name" is an attribute, a list repeats its element, and an empty one is left out.
    """
    if len(tree) != 1:
        return None
    ((name, value),) = tree.items()
    parts: list[str] = [HEAD]
    try:
        _element(parts, name, value)
    except _OtherKindError:
        return None
    return "".join(parts)


class _OtherKindError(Exception):
    """Something in a tree that isn't written here."""


def _element(parts: list[str], name: str, value: Any) -> None:
    kind = type(value)
    if kind is str:
        parts.append(f"<{name}>{escape(value)}</{name}>" if value else f"<{name}/>")
    elif kind is int:
        parts.append(f"<{name}>{value}</{name}>")
    elif isinstance(value, dict):
        _structure(parts, name, value)
    else:
        raise _OtherKindError


def _structure(parts: list[str], name: str, value: dict[str, Any]) -> None:
    attributes = "".join(f" {key[1:]}={quoteattr(given)}" for key, given in value.items() if key[0] == "@")
    start = len(parts)
    parts.append(f"<{name}{attributes}>")
    for key, inner in value.items():
        if key[0] == "@":
            continue
        if not NAME.fullmatch(key):
            raise _OtherKindError
        for one in inner if type(inner) is list else (inner,):
            _element(parts, key, one)
    if len(parts) == start + 1:
        parts[start] = f"<{name}{attributes}/>"
    else:
        parts.append(f"</{name}>")


def _own(obj: Any) -> Any:
    return getattr(obj, "__dict__", ())
