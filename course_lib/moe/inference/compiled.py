"""One sequence, one token at a time, each block one compiled function: for models whose step costs calls, not bytes.

`torch.compile` turns a block into a few C++ loops. The gather of the chosen experts' matrices is fused into the sums
over them, so that no other expert's weights are read and none are copied. All blocks share one compiled function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.models import Block
from course_lib.moe.activations import nonlinear
from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.experts import Experts
from course_lib.moe.inference.cache import PagedCache
from course_lib.moe.inference.forward import cached_forward, check_causal
from course_lib.moe.inference.requests import check_request
from course_lib.moe.inference.sampling import Sampling, draw
from course_lib.moe.layer import MoELayer
from course_lib.moe.model import MoEModel


@dataclass(frozen=True)
class _Shape:
    """What a compiled block knows of its model; equal shapes share the compiled code."""

    head_dim: int
    epsilon: float
    moe: MoEConfig


class CompiledDecoder:
    """`generate` for one sequence at a time, compiled.

    Args:
        model: a mixture in every layer, with the "topk" router, RMSNorm, rotary positions, no biases, no shared
            experts, plain `Experts`. Set to evaluation mode; its weights are used where they lie.

    The first token compiles, which takes a C++ compiler and some ten seconds.

    Raises:
        MoEError: for another kind of model.
    """

    def __init__(self, model: MoEModel) -> None:
        self.model = model.eval()
        check_causal(model)
        blocks = [block for block in model.layers.values() if isinstance(block, Block)]
        for number, block in enumerate(blocks):
            _check(number, block)
        c = model.config
        self._shape = _Shape(c.head_dim, blocks[0].attention_norm.eps or 0.0, model.moe)  # type: ignore[arg-type]
        self._weights = [_weights(block) for block in blocks]
        self._theta = blocks[0].attention.rope_theta

    def generate(self, prompt_tokens: list[int], max_new_tokens: int, sampling: Sampling | None = None) -> list[int]:
        """New tokens after a prompt, those of `generate`.

        Args:
            prompt_tokens: at least one.
            max_new_tokens: at most so many are made.
            sampling: how; greedy when left out.

        Raises:
            MoEError: for a request that `generate` refuses.
        """
        check_request(self.model.config, prompt_tokens, max_new_tokens)
        sampling = sampling or Sampling()
        generator, context = sampling.generator(), self.model.config.context_length
        # The whole context, whatever the request: another length would be compiled anew.
        cache = PagedCache.of(self.model, tokens=context, block_size=context)
        handle = cache.open(context)
        rows = slice(context, 2 * context)  # of its only block; block 0 is nobody's
        prompt = torch.tensor([prompt_tokens], device=cache.device)  # (1, prompt)
        logits = cached_forward(self.model, prompt, cache, [handle])[0, -1]
        tokens = [draw(logits, sampling, generator)]
        with torch.inference_mode():
            stores = list(zip(cache.keys[:, rows].unbind(), cache.values[:, rows].unbind(), strict=True))
            while len(tokens) < max_new_tokens and tokens[-1] not in sampling.stop:
                logits = self._step(tokens[-1], len(prompt_tokens) + len(tokens) - 1, stores)
                tokens.append(draw(logits, sampling, generator))
        return tokens

    def _step(self, token: int, position: int, stores: list[tuple[Tensor, Tensor]]) -> Tensor:
        model, half = self.model, self._shape.head_dim // 2
        assert isinstance(model.tok_embeddings, nn.Embedding)
        assert model.norm is not None
        assert model.output is not None
        x = model.tok_embeddings.weight[token]  # (hidden,)
        pairs = torch.arange(half, dtype=torch.float32, device=x.device)  # (head_dim / 2,)
        angles = position * self._theta ** (-pairs / half)  # (head_dim / 2,)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        hidden = torch.arange(len(stores[0][0]), device=x.device) > position  # (context,)
        mask = x.new_zeros(len(hidden), 1, 1).masked_fill_(hidden[:, None, None], -torch.inf)
        place = torch.tensor([position], device=x.device)
        block = _compiled(self._shape)
        for weights, (keys, values) in zip(self._weights, stores, strict=True):
            x = block(x, cos, sin, mask, place, keys, values, *weights)
        out: Tensor = model.output(model.norm(x))
        return out


def _weights(block: Block) -> tuple[Tensor, ...]:
    a, layer = block.attention, block.feed_forward
    assert isinstance(layer, MoELayer)
    tensors = (block.attention_norm.weight, a.wq.weight, a.wk.weight, a.wv.weight, a.wo.weight, block.ffn_norm.weight)
    experts = (layer.router.weight, layer.experts.up, layer.experts.down)
    return tuple(tensor.detach() for tensor in (*tensors, *experts))  # type: ignore[operator]


def _check(number: int, block: Block) -> None:
    a, layer = block.attention, block.feed_forward
    lacks = {
        "experts in every layer": isinstance(layer, MoELayer),
        "RMSNorm": isinstance(block.attention_norm, nn.RMSNorm),
        "rotary positions": a.rotary,
        "no head norms": isinstance(a.q_norm, nn.Identity),
        "plain linear layers without bias": all(
            type(w) is nn.Linear and w.bias is None for w in (a.wq, a.wk, a.wv, a.wo)
        ),
    }
    if isinstance(layer, MoELayer):
        lacks |= {
            "router 'topk'": layer.config.router == "topk",
            "no shared experts": layer.shared is None,
            "plain Experts": type(layer.experts) is Experts,
        }
    for what, found in lacks.items():
        if not found:
            raise MoEError.of(f"layer {number}", type(layer).__name__, f"must have {what}", "use generate(model, ...)")


@functools.cache
def _compiled(shape: _Shape) -> Callable[..., Tensor]:
    d, config = shape.head_dim, shape.moe

    def times(matrix: Tensor, x: Tensor) -> Tensor:
        return (matrix * x).sum(-1)  # fused into loops; a matmul would be a call to a library

    def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        first, second = x[..., : d // 2], x[..., d // 2 :]
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)

    def block(
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor,
        place: Tensor,
        keys: Tensor,
        values: Tensor,
        norm1: Tensor,
        wq: Tensor,
        wk: Tensor,
        wv: Tensor,
        wo: Tensor,
        norm2: Tensor,
        router: Tensor,
        up: Tensor,
        down: Tensor,
    ) -> Tensor:
        """(hidden,) -> (hidden,); `keys` and `values` (context, kv_heads, head_dim) take the token's own in."""
        h = F.rms_norm(x, x.shape, norm1, shape.epsilon)
        heads = keys.shape[1]
        q = turned(times(wq, h).view(heads, -1, d), cos, sin)  # (kv_heads, group, d)
        keys.index_copy_(0, place, turned(times(wk, h).view(1, heads, d), cos, sin))
        values.index_copy_(0, place, times(wv, h).view(1, heads, d))
        scores = (keys[:, :, None] * q).sum(-1) * d**-0.5 + mask  # (context, kv_heads, group)
        mixed = (scores.softmax(0)[..., None] * values[:, :, None]).sum(0)  # (kv_heads, group, d)
        x = x + times(wo, mixed.flatten())
        h = F.rms_norm(x, x.shape, norm2, shape.epsilon)
        logits = times(router.float(), h.float())  # (experts,)
        ranked = logits.softmax(-1) if config.softmax == "before" else logits
        weights, chosen = ranked.topk(config.experts_per_token)  # (k,) each
        if config.softmax == "after":
            weights = weights.softmax(-1)
        elif config.normalize:
            weights = weights / weights.sum()
        inner = times(up[chosen], h)  # (k, 2 inner) or (k, inner)
        inner = nonlinear(inner, config.activation, config.gated) * (weights * config.scale).to(x.dtype)[:, None]
        return x + times(down[chosen], inner[:, None]).sum(0)

    return torch.compile(block, dynamic=False, fullgraph=True)
