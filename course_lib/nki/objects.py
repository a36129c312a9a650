"""`nl.NKIObject`: base class of the objects that kernels make for themselves, which get NKI's initializer.

It takes the fields in order, with or without `@dataclass`; a field that nobody gives is None, where a Python data class
would refuse.

Source: Neuron documentation 2.32, "NKI language guide", user-defined classes.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any


class NKIObject:
    """Base class for kernels' configuration objects, as in the official package."""

    _nki_record = True

    def __init_subclass__(cls, record: bool | None = None, **settings: Any) -> None:
        """Tensors pass record=False: they are no records of fields, and are made for every operand."""
        super().__init_subclass__(**settings)
        if record is not None:
            cls._nki_record = record
        if cls._nki_record:
            setattr(cls, "__new__", _new)  # noqa: B010 - mypy forbids to assign a method

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        fields: dict[str, Any] = type(self)._nki_fields  # type: ignore[attr-defined]
        if len(args) > len(fields):
            raise TypeError(f"{type(self).__name__} has {len(fields)} fields, {len(args)} values are given")
        values = {**fields, **dict(zip(fields, args, strict=False)), **kwargs}
        for name, value in values.items():
            setattr(self, name, value)
        after = getattr(self, "__post_init__", None)
        if after is not None:
            after()


def _new(cls: type, *args: Any, **kwargs: Any) -> Any:
    # Only now, because @dataclass writes its initializer after __init_subclass__ has run.
    if "_nki_fields" not in cls.__dict__:
        _prepare(cls)
    return object.__new__(cls)


def _prepare(cls: type) -> None:
    """Notes a class's fields, and makes the initializer of a data class as tolerant as NKI's."""
    fields: dict[str, Any] = {}
    for base in reversed(cls.__mro__[: -len(NKIObject.__mro__)]):
        for name in inspect.get_annotations(base):
            fields[name] = base.__dict__.get(name)
        for name, value in base.__dict__.items():
            if not name.startswith("_") and not callable(value) and not hasattr(value, "__get__"):
                fields[name] = value
    setattr(cls, "_nki_fields", fields)  # noqa: B010 - mypy knows no such attribute of type
    own = cls.__dict__.get("__init__")
    if own is not None and dataclasses.is_dataclass(cls) and own.__code__.co_filename == "<string>":
        setattr(cls, "__init__", _tolerant(own, cls))  # noqa: B010 - as above


def _tolerant(generated: Callable[..., None], cls: type) -> Callable[..., None]:
    known = [field for field in dataclasses.fields(cls) if field.init]
    names = [field.name for field in known]
    missing = dataclasses.MISSING
    needed = [field.name for field in known if field.default is missing and field.default_factory is missing]

    @functools.wraps(generated)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        given = {*names[: len(args)], *kwargs}
        for name in needed:
            if name not in given:
                kwargs[name] = None
        # Class attributes without an annotation are no fields for Python, but NKI takes them.
        for name in [name for name in kwargs if name not in names and hasattr(cls, name)]:
            object.__setattr__(self, name, kwargs.pop(name))
        generated(self, *args, **kwargs)

    return init
