"""Which tensor of a checkpoint holds which part of which parameter of ours.

Both layouts of experts are one table: per expert, a parameter (experts, 2 inner, hidden) is cut into 2 * experts named
tensors; fused, it is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from course_lib.moe.checkpoints.architectures import Architecture
from course_lib.moe.model import MoEModel

ExpertFiles = Literal["per_expert", "fused"]
IN_ATTENTION = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "attention.q_norm": "self_attn.q_norm",
    "attention.k_norm": "self_attn.k_norm",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
}
AT_THE_ENDS = {"tok_embeddings": "model.embed_tokens", "norm": "model.norm", "output": "lm_head"}


@dataclass(frozen=True)
class Piece:
    """One tensor of a checkpoint.

    Args:
        name: in the checkpoint.
        parameter: of ours that it belongs to.
        index: what it is of that parameter; () for all of it.
        shape: of the tensor.
    """

    name: str
    parameter: str
    index: tuple[int | slice, ...]
    shape: tuple[int, ...]

    def of(self, parameter: Tensor) -> Tensor:
        """The view of our parameter that this tensor is."""
        return parameter[self.index] if self.index else parameter


def pieces(model: MoEModel, family: Architecture, experts: ExpertFiles) -> Iterator[Piece]:
    """Every tensor of a checkpoint of this model, in the order of the model's parameters.

    Args:
        model: also one without storage.
        family: of the names.
        experts: one tensor per expert and matrix, or all experts' in one.
    """
    for parameter, value in model.named_parameters():
        shape = tuple(value.shape)
        if ".feed_forward.experts." in parameter:
            yield from _expert_pieces(parameter, shape, family, experts)
        else:
            yield Piece(_name(parameter, family, experts), parameter, (), shape)


def tied_output(model: MoEModel) -> str | None:
    """The name under which a checkpoint may repeat the embedding as the output matrix."""
    return f"{AT_THE_ENDS['output']}.weight" if model.config.tied_embeddings else None


def _expert_pieces(
    parameter: str, shape: tuple[int, ...], family: Architecture, experts: ExpertFiles
) -> Iterator[Piece]:
    number, which = parameter.split(".")[1], parameter.rpartition(".")[2]
    count, rows, columns = shape
    if experts == "fused":
        name = {"up": "gate_up_proj", "down": "down_proj"}[which]
        yield Piece(f"model.layers.{number}.mlp.experts.{name}", parameter, (), shape)
        return
    inner = rows // 2
    cuts = (
        {family.down: slice(0, rows)}
        if which == "down"
        else {family.gate: slice(0, inner), family.up: slice(inner, rows)}
    )
    for e in range(count):
        for name, cut in cuts.items():
            full = f"model.layers.{number}.{family.block}.experts.{e}.{name}.weight"
            yield Piece(full, parameter, (e, cut), (cut.stop - cut.start, columns))


def _name(parameter: str, family: Architecture, experts: ExpertFiles) -> str:
    module, _, kind = parameter.rpartition(".")
    if module in AT_THE_ENDS:
        return f"{AT_THE_ENDS[module]}.{kind}"
    _, number, rest = module.split(".", 2)
    if rest == "feed_forward.router":
        # transformers 5 calls its module `mlp`, and files with one tensor per expert by the older name
        block = family.block if experts == "per_expert" else "mlp"
        return f"model.layers.{number}.{block}.gate.{kind}"
    return f"model.layers.{number}.{IN_ATTENTION[rest]}.{kind}"
