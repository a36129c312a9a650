"""Soft mixtures: nobody is chosen. Experts work on weighted means of tokens, tokens get weighted means of the results.

It has a layer of its own, because what experts see are no tokens. Weights are those of all experts for all tokens, so
that everything is differentiable and perfectly balanced; and **it is not causal**: each slot is a mean over the whole
sequence, later tokens included. It is made for encoders, such as vision transformers, not for decoders of text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.experts import Experts
from course_lib.moe.routers.scoring import Place, refuse_not_finite


@dataclass(frozen=True)
class SoftRouting:
    """How slots are mixed from tokens, and tokens from slots.

    Args:
        dispatch: (sequences, seq, slots) of fp32; over the tokens of a sequence each slot's weights sum to 1.
        combine: (sequences, seq, slots) of fp32; over all slots each token's weights sum to 1.
    """

    dispatch: Tensor
    combine: Tensor

    def __deepcopy__(self, memo: dict[int, Any]) -> SoftRouting:
        """A copy outside of the graph: else a layer could not be copied after a forward pass."""
        return SoftRouting(self.dispatch.detach().clone(), self.combine.detach().clone())


class Soft(nn.Module):
    """softmax of X Phi over tokens, and over slots; X and Phi at unit length, times a learned scale.

    Args:
        config: of the layer; an expert has `slots_per_expert` slots.
        place: of the layer, for error messages.

    Source: Puigcerver et al. 2023 (arXiv:2308.00951) eq. 1 to 3, section 2.3 and algorithm 2 for the normalization.
    """

    causal = False

    def __init__(self, config: MoEConfig, place: Place | None = None) -> None:
        super().__init__()
        self.config, self.place = config, place or Place()
        self.weight = nn.Parameter(torch.empty(config.experts * config.slots_per_expert, config.hidden_size))  # Phi^T
        nn.init.normal_(self.weight, std=0.02)
        self.scale = nn.Parameter(torch.ones(1, 1))

    def forward(self, x: Tensor) -> SoftRouting:
        """(sequences, seq, hidden) -> how they are mixed.

        Raises:
            MoEError: for x of another shape, or values that are not finite.
        """
        if x.dim() != 3 or x.shape[2] != self.config.hidden_size:
            limit = f"must be (sequences, seq, {self.config.hidden_size})"
            raise MoEError.of("x", tuple(x.shape), limit, "give whole sequences: a slot mixes the tokens of one")
        with torch.autocast(x.device.type, enabled=False):
            phi = self.scale.float() * F.normalize(self.weight.float(), dim=1)  # (slots, hidden)
            logits = F.normalize(x.float(), dim=2) @ phi.t()  # (sequences, seq, slots)
        if not torch.compiler.is_compiling() and not bool(logits.isfinite().all()):
            refuse_not_finite(logits.flatten(0, 1), x, self.weight, self.place)
        return SoftRouting(logits.softmax(1), logits.softmax(2))


class SoftMoELayer(nn.Module):
    """Experts on the slots of a soft mixture.

    Args:
        config: of the layer, router = "soft". `experts_per_token` and capacity have no say: each expert works on
            `slots_per_expert` slots of each sequence, however long it is.
        number: of the layer in its model, for error messages.

    Attributes:
        last_routing: the weights of the last forward pass.

    Raises:
        MoEError: for another router, or shared experts, which have no part in it.

    Source: Puigcerver et al. 2023 (arXiv:2308.00951) section 2.
    """

    def __init__(self, config: MoEConfig, number: int = 0) -> None:
        super().__init__()
        if config.router != "soft":
            raise MoEError.of("router", config.router, "is not soft", "use MoELayer, or router='soft'")
        if config.shared_experts:
            raise MoEError.of("shared_experts", config.shared_experts, "must be 0 for router 'soft'", "leave them out")
        self.config, self.number = config, number
        self.router = Soft(config, Place(number))
        self.experts = Experts(config)
        self.last_routing: SoftRouting | None = None

    def forward(self, x: Tensor, ids: Tensor | None = None, task: Tensor | None = None) -> Tensor:
        """(sequences, seq, hidden) or (seq, hidden) -> the same shape; `ids` and `task` are for other routers."""
        sequences = x if x.dim() == 3 else x[None]
        routing = self.router(sequences)
        self.last_routing = routing
        if not x.numel():
            return x
        count, experts = len(sequences), self.config.experts
        slots = routing.dispatch.to(x.dtype).transpose(1, 2) @ sequences  # (sequences, slots, hidden)
        by_expert = slots.unflatten(1, (experts, -1)).transpose(0, 1)  # (experts, sequences, slots of one, hidden)
        rows = torch.full((experts,), count * self.config.slots_per_expert, dtype=torch.int64, device=x.device)
        worked = self.experts(by_expert.flatten(0, 2), rows).unflatten(0, by_expert.shape[:3])
        out: Tensor = routing.combine.to(x.dtype) @ worked.transpose(0, 1).flatten(1, 2)  # (sequences, seq, hidden)
        return out.reshape(x.shape)
