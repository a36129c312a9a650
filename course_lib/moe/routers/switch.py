"""Switch: one expert for each token, weighted by its probability."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from course_lib.moe.config import MoEConfig
from course_lib.moe.routers.scoring import Place, Scored
from course_lib.moe.routers.topk import choose
from course_lib.moe.routing import Routing


class Switch(Scored):
    """The most probable expert, weighted by its probability as it is: the only way in which the router gets a gradient.

    Args:
        config: of the layer, experts_per_token = 1. `normalize` and `softmax` have no say; `jitter` has, in training.
        place: of the layer, for error messages.

    Source: Fedus et al. 2021 (arXiv:2101.03961) eq. 1 and 2, section 2.4 for the jitter.
    """

    causal = True

    def __init__(self, config: MoEConfig, place: Place | None = None) -> None:
        super().__init__(config, place)
        self.rule = replace(config, softmax="before", normalize=False)

    def forward(self, x: Tensor, ids: Tensor | None = None, task: Tensor | None = None) -> Routing:
        """(tokens, hidden) -> where they go; `ids` and `task` are for other routers."""
        logits = self.scored(x)
        return choose(logits, self.rule, x)
