"""A loop that waits for its loader, with and without reading ahead, and what it would take without any loader."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ratio import Ratio, compare, one_thread, seconds
from course_lib.distributed import (
    Engine,
    ReadAhead,
    Throttled,
    TokenBatches,
    TrainConfig,
    build_engine,
    train,
    write_shards,
)

STEPS = 10


def measure() -> list[Ratio]:
    """Reading ahead against reading when needed, and against a batch that is in memory already.

    Storage takes about twice as long for a batch as a step computes, so that hiding it needs several readers.
    """
    with tempfile.TemporaryDirectory() as folder, one_thread():
        config = TrainConfig(global_batch=8, sequence_length=64)
        vocab_size = config.model.vocab_size
        tokens = np.random.default_rng(0).integers(0, vocab_size, 200_000)
        shards = write_shards(Path(folder) / "data", tokens, 50_000, vocab_size)
        engine = build_engine("single", config)
        in_memory = _Same(TokenBatches(shards, 8, 64)[0].rows(0, 8))
        computing = _loop(engine, in_memory)
        computing()
        per_step = min(seconds(computing) for _ in range(3)) / STEPS
        slow = TokenBatches(Throttled(shards, seconds_per_read=2 * per_step / 8), 8, 64)

        def ahead() -> None:
            with ReadAhead(slow, engine.share, depth=8, readers=4) as data:
                train(engine, data, STEPS)

        return [
            compare("train, slow storage, reading ahead", ahead, "the same without", _loop(engine, slow)),
            compare("train, slow storage, reading ahead", ahead, "data in memory", computing),
        ]


class _Same:
    """One batch for all steps."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __getitem__(self, step: int) -> Any:
        return self._batch


def _loop(engine: Engine, data: Any) -> Callable[[], object]:
    return lambda: train(engine, data, STEPS)
