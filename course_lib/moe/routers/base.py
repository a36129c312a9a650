"""BASE: in training tokens are assigned so that all experts get equally many; no loss, no capacity."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.routers.auction import balanced_assignment
from course_lib.moe.routers.scoring import Place, Scored
from course_lib.moe.routing import Routing


class Base(Scored):
    """In training the balanced assignment with the largest sum of W x, otherwise the largest; weight sigmoid(W x).

    **Not causal in training**: where a token goes depends on all tokens of the batch. Outside of training it does not.

    Args:
        config: of the layer, experts_per_token = 1. `softmax` and `normalize` have no say.
        place: of the layer, for error messages.

    Raises:
        MoEError: for more than one expert for each token.

    Source: Lewis et al. 2021 (arXiv:2103.16716) eq. 1 and 2, section 3.1.
    """

    def __init__(self, config: MoEConfig, place: Place | None = None) -> None:
        super().__init__(config, place)
        if config.experts_per_token != 1:
            raise MoEError.of("experts_per_token", config.experts_per_token, "must be 1 for router 'base'", "use 1")

    @property
    def causal(self) -> bool:
        """Whether a token's way depends on no later token."""
        return not self.training

    def forward(self, x: Tensor, ids: Tensor | None = None, task: Tensor | None = None) -> Routing:
        """(tokens, hidden) -> where they go; `ids` and `task` are for other routers."""
        logits = self.scored(x)
        with torch.no_grad():
            chosen = balanced_assignment(logits) if self.training else logits.argmax(-1)  # (tokens,)
        experts = chosen[:, None]  # (tokens, 1)
        weights = logits.gather(1, experts).sigmoid() * self.config.scale
        return Routing(experts, weights.to(x.dtype), logits.softmax(-1), logits)
