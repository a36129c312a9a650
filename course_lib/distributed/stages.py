"""Cutting a model into pipeline stages: runs of layers, the embedding with the first, the output with the last."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from course_lib.catalog import ModelConfig
from course_lib.distributed.errors import TrainingSetupError
from course_lib.models import GPT


def split_layers(layers: int, stages: int, layers_per_stage: Sequence[int] | None = None) -> list[range]:
    """Which layers each stage holds.

    Args:
        layers: of the whole model.
        stages: how many.
        layers_per_stage: how many layers each holds; when left out, as evenly as can be. Of layers that are left over,
            the last stage gets one last of all, since it computes the logits as well, and the first but for it.

    Returns:
        One range per stage, from the first layer to the last.

    Raises:
        TrainingSetupError: for fewer layers than stages, or a split that is not one.
    """
    if layers_per_stage is None:
        if layers < stages:
            raise TrainingSetupError.of(
                "layers", layers, f"is fewer than the {stages} pipeline stages", f"use at most {layers} stages"
            )
        least, more = divmod(layers, stages)
        order = [*range(1, stages - 1), 0, stages - 1][-stages:]  # who gets one more, the first of the list first
        takes = [least + (stage in order[:more]) for stage in range(stages)]
    else:
        takes = list(layers_per_stage) if isinstance(layers_per_stage, Sequence) else []
        counts = all(isinstance(take, int) for take in takes)
        if not counts or len(takes) != stages or sum(takes) != layers or min(takes) < 1:
            raise TrainingSetupError.of(
                "layers_per_stage",
                layers_per_stage,
                f"must be {stages} numbers of at least 1 with the sum {layers}",
                "leave it out for an even split",
            )
    starts = [sum(takes[:stage]) for stage in range(stages + 1)]
    return [range(starts[stage], starts[stage + 1]) for stage in range(stages)]


def check_stages(model: ModelConfig) -> None:
    """Raise `TrainingSetupError` for a shape that can't be cut into stages."""
    if model.tied_embeddings:
        raise TrainingSetupError.of(
            "tied_embeddings",
            True,
            f"of {model.name} can't be cut into stages: one matrix would lie on the first and on the last",
            "untie them, or share the model by tensor parallelism or FSDP",
        )


def cut_stage(model: GPT, layers: range) -> GPT:
    """Keep one stage of a model and drop the rest, in place; names of weights stay as they are.

    Args:
        model: the whole model.
        layers: those of the stage.

    Returns:
        The same model: tokens (batch, seq) → hidden states on a first stage, hidden states → logits on a last one.
    """
    whole = len(model.layers)
    if layers.start > 0:
        model.tok_embeddings = model.pos_embeddings = None
    if layers.stop < whole:
        model.norm = model.output = None
    model.layers = nn.ModuleDict({str(i): model.layers[str(i)] for i in layers})
    return model
