"""The router of most mixtures of experts: a matrix, a softmax, and the k largest."""

from __future__ import annotations

from torch import Tensor

from course_lib.moe.config import MoEConfig
from course_lib.moe.routers.scoring import Scored
from course_lib.moe.routing import Routing


class TopK(Scored):
    """softmax(W x) over all experts, or over the chosen k; the k largest, scaled to sum to 1 or not.

    With k = 1 a weight that is scaled to sum to 1 is always 1, and the router learns nothing from the model's loss: use
    normalize=False, or router="switch".

    Args:
        config: of the layer; `softmax`, `normalize`, `scale` and `jitter` say how.
        place: of the layer, for error messages.

    Source: Jiang et al. 2024 (arXiv:2401.04088) section 2.1; Muennighoff et al. 2024 (arXiv:2409.02060), which does not
        normalize; Shazeer et al. 2017 (arXiv:1701.06538) eq. 3 to 5 for the softmax after the choice.
    """

    causal = True

    def forward(self, x: Tensor, ids: Tensor | None = None, task: Tensor | None = None) -> Routing:
        """(tokens, hidden) -> where they go; `ids` and `task` are for other routers."""
        logits = self.scored(x)
        return choose(logits, self.config, x)


def choose(logits: Tensor, config: MoEConfig, x: Tensor, noisy: Tensor | None = None) -> Routing:
    """The k largest of each token, as a config weighs them.

    Args:
        logits: (tokens, experts), fp32.
        config: of the layer.
        x: the tokens, whose type the weights take.
        noisy: (tokens, experts), the scores to choose and weigh by, if they are others than `logits`.
    """
    ranked = logits if noisy is None else noisy
    probabilities = ranked.softmax(-1)  # (tokens, experts)
    source = probabilities if config.softmax == "before" else ranked
    weights, experts = source.topk(config.experts_per_token, dim=-1)  # (tokens, k) each
    if config.softmax == "after":
        weights = weights.softmax(-1)
    elif config.normalize:
        weights = weights / weights.sum(-1, keepdim=True)
    return Routing(experts, (weights * config.scale).to(x.dtype), probabilities, logits)
