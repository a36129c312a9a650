"""A whole model in few bits, and what that saves."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from course_lib.models import GPT
from course_lib.moe.experts import Experts
from course_lib.moe.inference.quantization.modules import PackedExperts, PackedLinear
from course_lib.moe.inference.quantization.packed import PackedMatrix, check_scheme

GROUP = 64


def quantize(model: GPT, scheme: str = "nf4", *, group_size: int = GROUP, linears: bool = True) -> GPT:
    """Replace the weights of experts and linear layers by packed ones, in place, module after module.

    Embedding, output matrix, routers and norms stay as they are: they are few, and routing hangs on small differences.

    Args:
        model: `GPT` or `MoEModel`.
        scheme: "int8", "int4" or "nf4".
        group_size: columns that share a scale. For "int8", 0 shares one among a whole row (per channel).
        linears: the attention's and the dense blocks' matrices too, not only the experts'.

    Returns:
        The same model, in evaluation mode; it no longer learns.

    Raises:
        MoEError: for an unknown scheme, a group size that does not divide a row, or weights that are not finite. The
            model is as it was then, the last case aside.
    """
    targets = _targets(model, linears)
    for name, module in targets:
        for columns in _columns(module):
            check_scheme(scheme, columns, _group(scheme, group_size, columns), f"group_size of {name}")
    for name, module in targets:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, _packed(module, scheme, group_size, name))
    return model.eval()


def _group(scheme: str, group_size: int, columns: int) -> int:
    return columns if scheme == "int8" and group_size == 0 else group_size


def _targets(model: GPT, linears: bool) -> list[tuple[str, nn.Module]]:
    named = model.layers.named_modules(prefix="layers")
    return [(n, m) for n, m in named if type(m) is Experts or (linears and type(m) is nn.Linear)]


def _columns(module: nn.Module) -> tuple[int, ...]:
    if isinstance(module, Experts):
        return module.up.shape[-1], module.down.shape[-1]
    assert isinstance(module, nn.Linear)
    return (module.in_features,)


def _packed(module: nn.Module, scheme: str, group_size: int, name: str) -> nn.Module:
    if isinstance(module, Experts):
        if group_size == 0:
            up = PackedMatrix.of(module.up.detach().flatten(0, 1), scheme, module.up.shape[-1], name)
            down = PackedMatrix.of(module.down.detach().flatten(0, 1), scheme, module.down.shape[-1], name)
            return PackedExperts(module.config, up, down, module.up.dtype)
        return PackedExperts.of(module, scheme, group_size, name)
    assert isinstance(module, nn.Linear)
    group = _group(scheme, group_size, module.in_features)
    return PackedLinear(PackedMatrix.of(module.weight, scheme, group, name), module.bias)


@dataclass(frozen=True)
class MemoryReport:
    """Bytes of a model's weights.

    Args:
        packed: of what is packed, scales included.
        packed_in_bf16: what the packed weights would take in bf16.
        other: of all that is not packed, in its own type.
        other_in_bf16: the same in bf16.
    """

    packed: int
    packed_in_bf16: int
    other: int
    other_in_bf16: int

    @property
    def packed_share(self) -> float:
        """Bytes of the packed weights over their bytes in bf16; 4 bits alone are 0.25."""
        return self.packed / self.packed_in_bf16 if self.packed_in_bf16 else 1.0

    @property
    def model_share(self) -> float:
        """The whole model, what is not packed counted in bf16, over the whole model in bf16."""
        return (self.packed + self.other_in_bf16) / (self.packed_in_bf16 + self.other_in_bf16)


def memory_report(model: nn.Module) -> MemoryReport:
    """Where a model's bytes are; weights that are shared (tied embeddings) count once."""
    packed = [module for module in model.modules() if isinstance(module, PackedMatrix)]
    inside = {id(buffer) for module in packed for buffer in module.buffers()}
    others = {id(t): t for t in (*model.parameters(), *model.buffers()) if id(t) not in inside}.values()
    return MemoryReport(
        packed=sum(module.bytes_ for module in packed),
        packed_in_bf16=sum(2 * module.rows * module.columns for module in packed),
        other=sum(t.numel() * t.element_size() for t in others),
        other_in_bf16=sum(2 * t.numel() for t in others),
    )
