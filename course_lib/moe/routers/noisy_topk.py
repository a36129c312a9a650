"""Noisy top-k: scores with noise of a learned size, so that experts near the top get their chance too."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.moe.config import MoEConfig
from course_lib.moe.routers.scoring import Place, Scored, scores
from course_lib.moe.routers.topk import choose
from course_lib.moe.routing import Routing


class NoisyTopK(Scored):
    """H = W x + normal noise * softplus(W_noise x); the k largest of H, softmax over them alone.

    Noise is drawn in training only, from PyTorch's global generator: `seed_everything` makes it repeatable, a
    checkpoint keeps its state, and activation recomputation draws the same again.

    Args:
        config: of the layer; its `softmax` and `normalize` have no say.
        place: of the layer, for error messages.

    Source: Shazeer et al. 2017 (arXiv:1701.06538) eq. 3 to 5, appendix A for the expected load.
    """

    causal = True

    def __init__(self, config: MoEConfig, place: Place | None = None) -> None:
        super().__init__(config, place)
        self.rule = replace(config, softmax="after")
        self.noise_weight = nn.Parameter(torch.zeros(config.experts, config.hidden_size))

    def forward(self, x: Tensor, ids: Tensor | None = None, task: Tensor | None = None) -> Routing:
        """(tokens, hidden) -> where they go; `ids` and `task` are for other routers."""
        given = self.jittered(x)
        clean = scores(given, self.weight, self.place)  # (tokens, experts)
        if not self.training:
            return choose(clean, self.rule, x)
        spread = F.softplus(scores(given, self.noise_weight, self.place))  # (tokens, experts)
        noisy = clean + torch.randn_like(clean) * spread
        chosen = choose(clean, self.rule, x, noisy)
        return replace(chosen, expected_load=expected_load(clean, noisy, spread, self.config.experts_per_token))


def expected_load(clean: Tensor, noisy: Tensor, spread: Tensor, k: int) -> Tensor:
    """Tokens that each expert would get on average if its own noise alone were drawn again.

    Args:
        clean, noisy: (tokens, experts), scores without and with noise.
        spread: (tokens, experts), standard deviation of the noise.
        k: experts of a token.

    Returns:
        (experts,), carries gradient; sums to about tokens * k.

    Source: Shazeer et al. 2017 (arXiv:1701.06538) eq. 8 and 9.
    """
    if k == clean.shape[1]:
        return torch.ones_like(clean).sum(0)  # with k = E nobody can be left out
    top = noisy.topk(k + 1, dim=-1).values  # (tokens, k + 1)
    inside = noisy > top[:, k:]  # who is among the k largest has the next one to beat, who is not has the k-th
    to_beat = torch.where(inside, top[:, k:], top[:, k - 1 : k])  # (tokens, experts)
    total: Tensor = torch.special.ndtr((clean - to_beat) / spread.clamp_min(1e-6)).sum(0)
    return total
