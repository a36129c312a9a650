"""Expert choice: experts pick tokens, so that their loads are equal by construction."""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.moe.balance import expert_capacity
from course_lib.moe.routers.scoring import Scored
from course_lib.moe.routing import Routing


class ExpertChoice(Scored):
    """Each expert takes the tokens with the largest softmax(W x) for it, as many as its capacity.

    A token gets any number of experts, none included. **Not causal**: whether a token is taken depends on all tokens of
    the batch, later ones of its own sequence among them. A decoder trained so looks into the future, and at inference,
    where the future is not there, it routes otherwise.

    Args:
        config: of the layer. An expert takes ceil(capacity_factor * tokens * k / E) tokens, with 1 for a factor of
            None: experts_per_token is what a token gets on average. `softmax` and `normalize` have no say.
        place: of the layer, for error messages.

    Source: Zhou et al. 2022 (arXiv:2202.09368) section 3.2; section 6 there for the limits at inference.
    """

    causal = False

    def forward(self, x: Tensor, ids: Tensor | None = None, task: Tensor | None = None) -> Routing:
        """(tokens, hidden) -> where they go, with a column for each expert; `ids` and `task` are for other routers."""
        logits = self.scored(x)
        probabilities = logits.softmax(-1)  # (tokens, experts)
        factor = 1.0 if self.config.capacity_factor is None else self.config.capacity_factor
        room = expert_capacity(len(x), self.config.experts, self.config.experts_per_token, factor)
        taken = probabilities.detach().topk(room, dim=0).indices  # (room, experts)
        chosen = torch.zeros_like(logits, dtype=torch.bool).scatter(0, taken, True)
        columns = torch.arange(self.config.experts, device=x.device).expand_as(chosen)
        weights = torch.where(chosen, probabilities * self.config.scale, 0)
        return Routing(torch.where(chosen, columns, -1), weights.to(x.dtype), probabilities, logits)
