"""What a training run leaves behind about its routing: one line of JSON for each step that is recorded."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, TextIO

import torch
import torch.distributed as dist
from torch import Tensor

from course_lib.distributed import Engine, TrainingSetupError
from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.model import moe_layers
from course_lib.moe.routing import Routing
from course_lib.runtime import whole_file

ROUTING_FILE, RUN_FILE, LOSSES_FILE = "routing.jsonl", "run.json", "losses.json"


class RoutingRecorder:
    """Given to `train` as `on_step`, writes the state of each mixture into a folder.

    Args:
        engine: of this rank; all ranks make a recorder, and the first writes for all.
        folder: of the run; made if need be.
        every: record each so many steps.

    A record holds `step` and, for each mixture, `load` (tokens of each expert, all ranks together), `entropy` (mean of
    the router's probabilities, nats), `largest_logit` (mean over tokens) and `dropped` (share of pairs without room):
    all of the step's last microbatch.

    Raises:
        MoEError: for a folder that holds a run already, or a model without experts.
    """

    def __init__(self, engine: Engine, folder: str | Path, *, every: int = 1) -> None:
        check_count("every", every)
        self.engine, self.folder, self.every = engine, Path(folder), every
        self.layers = moe_layers(engine.model)
        if not self.layers:
            raise MoEError.of("engine", engine.name, "trains a model without experts", "use MoETrainConfig")
        self.first = not dist.is_initialized() or dist.get_rank() == 0
        self.records: list[dict[str, Any]] = []
        self._file: TextIO | None = None
        if self.first:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                self._file = (self.folder / ROUTING_FILE).open("x", encoding="utf-8")
            except FileExistsError:
                raise MoEError.of("folder", str(folder), "holds a recorded run already", "give a new one") from None
            write_json(self.folder / RUN_FILE, _described(engine))

    def __call__(self, step: int) -> None:
        """Record one step; every rank calls it alike."""
        if step % self.every:
            return
        routings = [layer.last_routing for layer in self.layers if layer.last_routing is not None]
        record = {"step": step, "layers": [self._summary(routing) for routing in routings]}
        self.records.append(record)
        if self._file is not None:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()  # whoever looks at the run while it trains sees whole lines

    def finish(self, losses: list[float]) -> None:
        """Keep the run's losses beside its records and close the file.

        Args:
            losses: `History.losses`, of the steps from 0 on.
        """
        if self._file is not None:
            self._file.close()
            self._file = None
            write_json(self.folder / LOSSES_FILE, losses)

    def _summary(self, routing: Routing) -> dict[str, Any]:
        p = routing.probabilities.detach().double()
        tokens = max(1, len(p))
        values = torch.cat(
            (
                routing.load().double(),
                torch.special.entr(p).sum()[None] / tokens,
                routing.logits.detach().double().abs().amax(1).sum()[None] / tokens,
                (routing.experts < 0).double().mean()[None].nan_to_num(),
            )
        )  # (experts + 3,)
        mean: Tensor = self.engine.mean(values)
        load = (mean[:-3] * self.engine.share.count).round().long().tolist()
        entropy, logit, dropped = mean[-3:].tolist()
        return {"load": load, "entropy": entropy, "largest_logit": logit, "dropped": dropped}


def read_records(folder: str | Path) -> list[dict[str, Any]]:
    """The records of a run, also of one that is still training.

    Raises:
        MoEError: for a folder without a recorded run, or a line that is none of a recorder's.
    """
    path = Path(folder) / ROUTING_FILE
    if not path.is_file():
        raise MoEError.of("folder", str(folder), f"has no {ROUTING_FILE}", "train with on_step=RoutingRecorder(...)")
    records = []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            break  # is being written just now
        try:
            record = json.loads(line)
            record["step"], [layer["load"] for layer in record["layers"]]
        except (ValueError, TypeError, KeyError) as error:
            raise MoEError.of(
                f"{path} line {number}", line[:60], f"is no record ({error})", "delete the line"
            ) from error
        records.append(record)
    return records


def write_json(path: Path, value: Any) -> None:
    """Write a file whole or not at all."""
    with whole_file(path) as draft:
        draft.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _described(engine: Engine) -> dict[str, Any]:
    config = engine.config
    moe = getattr(engine.config, "moe", None)
    if not hasattr(config.model, "experts"):
        raise TrainingSetupError.of("engine", engine.name, "has no shape", "build it with build_engine")
    return {
        "engine": engine.name,
        "ranks": engine.share.count,
        "model": config.model.name,
        "experts": config.model.experts,
        "experts_per_token": config.model.experts_per_token,
        "layers": config.model.layers,
        "router": moe.router if moe is not None else "topk",
        "options": {} if moe is None else dataclasses.asdict(moe),
        "learning_rate": config.learning_rate,
        "global_batch": config.global_batch,
        "sequence_length": config.sequence_length,
    }
