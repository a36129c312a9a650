"""Programs that need none of this code: a forward pass or decoding step as a `torch.export` or TorchScript file.

`torch.export.load` or `torch.jit.load` in a process that has only torch gives the same logits.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.models import GPT, Block
from course_lib.moe.activations import nonlinear
from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.experts import Experts
from course_lib.moe.inference.forward import check_causal, through_blocks
from course_lib.moe.layer import MoELayer
from course_lib.moe.model import moe_layers
from course_lib.moe.routing import Routing
from course_lib.runtime import whole_file

Format = Literal["export", "torchscript"]
FORMATS = ("export", "torchscript")


class DecodeStep(nn.Module):
    """One more token for each sequence of a batch, with the keys and values handed in and out.

    Args:
        model: in evaluation mode.

    Forward:
        tokens: (batch, 1) of int64.
        lengths: (batch,) of int64, tokens that each sequence has already; below the cache's length.
        keys, values: (layers, batch, length, kv_heads, head_dim); what lies beyond a sequence's end is not read.

    Returns:
        Logits (batch, vocab), and keys and values with the new token's.
    """

    def __init__(self, model: GPT) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, lengths: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        model = self.model
        assert model.output is not None
        span = _FlatSpan(lengths, keys, values, model.config.heads != model.config.kv_heads)
        x = through_blocks(model, tokens, span, lambda layer, behind, ids: layer(behind, ids))  # (batch, 1, hidden)
        if model.norm is not None:
            x = model.norm(x)
        logits: Tensor = model.output(x[:, 0])
        return logits, torch.stack(span.keys), torch.stack(span.values)


class _FlatSpan:
    """A `Span` over plain tensors, without anything that a tracer can't see."""

    def __init__(self, lengths: Tensor, keys: Tensor, values: Tensor, grouped: bool) -> None:
        self._grouped = grouped
        self.positions = lengths[:, None]  # (batch, 1)
        self.keys, self.values = list(keys.unbind()), list(values.unbind())
        place = torch.arange(keys.shape[2], device=keys.device)  # (length,)
        self._here = (place == self.positions)[:, :, None, None]  # (batch, length, 1, 1)
        self._seen = (place <= self.positions)[:, None, None]  # (batch, 1, 1, length)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.keys[layer] = torch.where(self._here, k.transpose(1, 2), self.keys[layer])
        self.values[layer] = torch.where(self._here, v.transpose(1, 2), self.values[layer])
        keys, values = self.keys[layer].transpose(1, 2), self.values[layer].transpose(1, 2)
        return F.scaled_dot_product_attention(q, keys, values, attn_mask=self._seen, enable_gqa=self._grouped)


def _every_expert(layer: MoELayer, tokens: Tensor, routing: Routing) -> Tensor:
    """`MoELayer.routed` for many tokens: each expert works on all of them and counts where it was chosen.

    A program with fixed operations can't leave out work by the values it sees, and PyTorch 2.13 can't export a grouped
    matmul in fp32.
    """
    up, down = layer.experts.up, layer.experts.down
    weights = torch.zeros_like(routing.probabilities).scatter_add(1, routing.experts, routing.weights.float())
    inner = nonlinear(
        torch.einsum("th,eih->eti", tokens, up), layer.config.activation, layer.config.gated
    )  # (experts, tokens, inner)
    inner = inner * weights.T[:, :, None].to(inner.dtype)
    return torch.einsum("eti,ehi->th", inner, down)


def _chosen_experts(layer: MoELayer, tokens: Tensor, routing: Routing) -> Tensor:
    """`MoELayer.routed` for a few tokens: the chosen experts' matrices are gathered, no others are read."""
    up, down = layer.experts.up[routing.experts], layer.experts.down[routing.experts]  # (tokens, k, ...)
    inner = nonlinear(
        torch.einsum("th,tkih->tki", tokens, up), layer.config.activation, layer.config.gated
    )  # (tokens, k, inner)
    return torch.einsum("tki,tkhi->th", inner * routing.weights[:, :, None].to(inner.dtype), down)


@contextlib.contextmanager
def _traceable(model: GPT, routed: Callable[[MoELayer, Tensor, Routing], Tensor]) -> Iterator[None]:
    layers = moe_layers(model)
    attentions = [block.attention for block in model.layers.values() if isinstance(block, Block)]
    cores = [attention.core for attention in attentions]
    grads = [parameter.requires_grad for parameter in model.parameters()]
    try:
        model.requires_grad_(False)
        for layer in layers:
            layer.routed = partial(routed, layer)  # type: ignore[method-assign]
        for attention in attentions:
            # to a tracer, a comparison of shapes is a tensor, and this argument must be a bool
            grouped = model.config.heads != model.config.kv_heads
            attention.core = partial(F.scaled_dot_product_attention, is_causal=True, enable_gqa=grouped)
        yield
    finally:
        for parameter, needed in zip(model.parameters(), grads, strict=True):
            parameter.requires_grad_(needed)
        for attention, core in zip(attentions, cores, strict=True):
            attention.core = core
        for layer in layers:
            vars(layer).pop("routed", None)
            layer.last_choice = layer.last_routing = None


def export_forward(model: GPT, path: str | Path, *, form: Format = "export") -> None:
    """Write the forward pass: tokens (batch, seq) -> logits (batch, seq, vocab), any batch and sequence length.

    Args:
        model: with plain `Experts`; set to evaluation mode.
        path: of the file, ".pt2" for "export" by custom.
        form: "export" or "torchscript". TorchScript is no longer developed; "export" is what follows it.

    Raises:
        MoEError: for an unknown form, routing that looks at other tokens, or experts that are not plain.
    """
    _check(model, form)
    device = next(model.parameters()).device
    example = torch.zeros(2, min(8, model.config.context_length), dtype=torch.int64, device=device)  # (batch, seq)
    dynamic = {
        "x": {0: torch.export.Dim("batch", max=4096), 1: torch.export.Dim("seq", max=model.config.context_length)}
    }
    _write(model, model, (example,), dynamic, Path(path), form)


def export_decode_step(model: GPT, path: str | Path, *, cache_length: int, form: Format = "export") -> None:
    """Write `DecodeStep` for any batch.

    Args:
        model, path, form: as in `export_forward`.
        cache_length: tokens that each sequence of the batch has room for.

    Raises:
        MoEError: as `export_forward`, or for a cache longer than the context.
    """
    _check(model, form)
    check_count("cache_length", cache_length)
    c = model.config
    if cache_length > c.context_length:
        raise MoEError.of("cache_length", cache_length, f"is more than the context of {c.context_length}", "use less")
    store = next(model.parameters()).new_zeros(c.layers, 2, cache_length, c.kv_heads, c.head_dim)
    lengths = torch.zeros(2, dtype=torch.int64, device=store.device)  # (batch,)
    example = (lengths[:, None].clone(), lengths, store, store.clone())
    batch = torch.export.Dim("batch", max=4096)
    dynamic = {"tokens": {0: batch}, "lengths": {0: batch}, "keys": {1: batch}, "values": {1: batch}}
    _write(model, DecodeStep(model), example, dynamic, Path(path), form)


def _check(model: GPT, form: str) -> None:
    if form not in FORMATS:
        raise MoEError.of("form", form, "is not known", f"use one of {', '.join(FORMATS)}")
    check_causal(model.eval())
    for layer in moe_layers(model):
        if type(layer.experts) is not Experts:
            raise MoEError.of(
                "experts", type(layer.experts).__name__, "can't be exported", "export before packing or offloading"
            )


def _write(
    model: GPT, module: nn.Module, example: tuple[Tensor, ...], dynamic: Mapping[str, object], path: Path, form: str
) -> None:
    routed = _chosen_experts if isinstance(module, DecodeStep) else _every_expert
    with whole_file(path) as draft, _traceable(model, routed), torch.no_grad():
        if form == "export":
            program = torch.export.export(module.eval(), example, dynamic_shapes=dict(dynamic))
            torch.export.save(program, draft)
            return
        with warnings.catch_warnings():
            # A trace warns of each look at a value (the check that router logits are finite), and of its own age.
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(module.eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
            torch.jit.save(traced, str(draft))
