"""Which parameters actually train: adapters that silently skip the experts show up as a zero."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

PARTS = ("embeddings", "attention", "router", "experts", "shared experts", "dense blocks", "norms", "output", "other")
# the first word found in a parameter's name decides; ours and Hugging Face's
WORDS = (
    ("shared", "shared experts"),
    ("experts", "experts"),
    ("router", "router"),
    (".gate.", "router"),
    ("norm", "norms"),
    ("embed", "embeddings"),
    ("attention", "attention"),
    ("attn", "attention"),
    ("feed_forward", "dense blocks"),
    (".mlp.", "dense blocks"),
    ("output", "output"),
    ("lm_head", "output"),
)


@dataclass(frozen=True)
class PartReport:
    """One kind of parameters.

    Args:
        part: what they belong to.
        total: how many numbers.
        trainable: how many of them get a gradient.
        tensors: names of those that do.
    """

    part: str
    total: int
    trainable: int
    tensors: tuple[str, ...]


@dataclass(frozen=True)
class TrainableReport:
    """A model's parameters by part; `str` of it is a table."""

    parts: tuple[PartReport, ...]

    @property
    def total(self) -> int:
        """Numbers in all parameters."""
        return sum(part.total for part in self.parts)

    @property
    def trainable(self) -> int:
        """Numbers that get a gradient."""
        return sum(part.trainable for part in self.parts)

    @property
    def frozen(self) -> tuple[str, ...]:
        """Parts of which nothing trains."""
        return tuple(part.part for part in self.parts if not part.trainable)

    def __getitem__(self, name: str) -> PartReport:
        """One part by name; KeyError for one that the model does not have."""
        for part in self.parts:
            if part.part == name:
                return part
        raise KeyError(name)

    def __str__(self) -> str:
        rows = [(part.part, part.trainable, part.total) for part in self.parts]
        lines = [f"{'part':<15}{'trains':>15}{'of':>17}{'share':>9}"]
        for name, trainable, total in [*rows, ("all", self.trainable, self.total)]:
            share = trainable / total if total else 0.0
            lines.append(f"{name:<15}{trainable:>15,}{total:>17,}{share:>9.2%}")
        if self.frozen and self.trainable:
            lines.append(f"Nothing trains in: {', '.join(self.frozen)}.")
        return "\n".join(lines)


def trainable_report(model: nn.Module) -> TrainableReport:
    """Which parameters of a model get a gradient, by part.

    Args:
        model: ours or Hugging Face's, also inside peft or DDP; a tied matrix counts once.

    Source: the defect that it is for: https://github.com/huggingface/peft/issues/3009.
    """
    total, trainable = dict.fromkeys(PARTS, 0), dict.fromkeys(PARTS, 0)
    tensors: dict[str, list[str]] = {part: [] for part in PARTS}
    for name, parameter in model.named_parameters():
        part = next((part for word, part in WORDS if word in f".{name}"), "other")
        total[part] += parameter.numel()
        if parameter.requires_grad:
            trainable[part] += parameter.numel()
            tensors[part].append(name)
    return TrainableReport(
        tuple(PartReport(part, total[part], trainable[part], tuple(tensors[part])) for part in PARTS if total[part])
    )
