"""Engines by name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable

from course_lib.distributed.config import TrainConfig
from course_lib.distributed.engine import Engine
from course_lib.distributed.errors import TrainingSetupError
from course_lib.runtime import Hardware, hardware

Builder = Callable[..., Engine]
# Each is imported when it is asked for: Horovod may not be built, and nobody should wait for what he does not use.
ENGINES = {
    "single": "course_lib.distributed.single:single",
    "ddp": "course_lib.distributed.ddp:ddp",
    "fsdp": "course_lib.distributed.fsdp:fsdp",
    "hybrid": "course_lib.distributed.hybrid:hybrid",
    "horovod": "course_lib.distributed.horovod_engine:horovod",
    "tensor": "course_lib.distributed.tensor:tensor",
    "pipeline": "course_lib.distributed.pipeline:pipeline",
    "context": "course_lib.distributed.context:context",
    "composed": "course_lib.distributed.composed:composed",
}


def engine_names() -> list[str]:
    """The names that `build_engine` knows."""
    return list(ENGINES)


def engine_builder(name: str | Builder) -> Builder:
    """The function that builds one kind of engine; a function is its own builder.

    Raises:
        TrainingSetupError: when no kind has this name.
    """
    if not isinstance(name, str) and callable(name):
        return name
    if not isinstance(name, str) or name not in ENGINES:
        raise TrainingSetupError.of("engine", name, "is not known", f"use one of {', '.join(ENGINES)}")
    module, _, function = ENGINES[name].partition(":")
    builder: Builder = getattr(importlib.import_module(module), function)
    return builder


def check_options(name: str | Builder, options: dict[str, object]) -> None:
    """Raise `TrainingSetupError` for an option that an engine does not have, or a switch that is not True or False."""
    builder = engine_builder(name)
    kind = name if isinstance(name, str) else builder.__name__
    parameters = inspect.signature(builder).parameters.values()
    known = {p.name: str(p.annotation) for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    for option, value in options.items():
        if option not in known:
            remedy = f"use one of {', '.join(known)}" if known else "leave it out: this engine has none"
            raise TrainingSetupError.of(option, value, f"is no option of engine {kind!r}", remedy)
        switch = known[option] in ("bool", "bool | None")
        if switch and not isinstance(value, bool) and not (value is None and "None" in known[option]):
            raise TrainingSetupError.of(option, value, "is a switch", "use True or False")  # "no" would count as True


def build_engine(
    name: str | Builder, config: TrainConfig, machine: Hardware | None = None, **options: object
) -> Engine:
    """Build this rank's end of an engine; all ranks of the default process group must do so together.

    Args:
        name: one of `engine_names()`, or a function that builds a kind of your own.
        config: of the run.
        machine: the hardware; the CPU when left out.
        **options: of this kind of engine; see its own function.

    Returns:
        The engine.

    Raises:
        TrainingSetupError: for an unknown name or option, or a setting that this kind can't run.
    """
    check_options(name, options)
    return engine_builder(name)(config, machine or hardware("cpu"), **options)
