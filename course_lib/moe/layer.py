"""A mixture-of-experts layer: a router, its experts, and the experts that every token visits."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from course_lib.moe.activations import ACTIVATIONS
from course_lib.moe.balance import auxiliary_loss, limit_capacity
from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.experts import Experts
from course_lib.moe.routers import Place, make_router
from course_lib.moe.routing import Routing


class MoELayer(nn.Module):
    """sum over a token's experts of weight * expert(x), plus the shared experts' output.

    Args:
        config: the layer.
        number: of the layer in its model, for error messages.

    Attributes:
        last_choice: what the router chose for the tokens of the last forward pass; the losses count it.
        last_routing: the same after capacity has dropped what found no room.
        ids: (...) of int64, token ids of the next forward pass, for callers that can't hand them over.
        load_in_step: (experts,) tokens of each expert in the microbatches since the last optimizer step.

    Raises:
        MoEError: for input of another width.
    """

    def __init__(self, config: MoEConfig, number: int = 0) -> None:
        super().__init__()
        self.config, self.number = config, number
        self.place = Place(layer=number)
        self.router = make_router(config, self.place)
        self.experts = Experts(config)
        self.shared = Shared(config) if config.shared_experts else None
        self.last_choice: Routing | None = None
        self.last_routing: Routing | None = None
        self.ids: Tensor | None = None
        # no buffer: DDP would overwrite it with rank 0's
        self.load_in_step: Tensor | None = None

    def forward(self, x: Tensor, ids: Tensor | None = None, task: Tensor | None = None) -> Tensor:
        """(..., hidden) -> (..., hidden).

        Args:
            x: the tokens' hidden states.
            ids: (...) of int64, token ids; for the hash router.
            task: (...) of int64, each token's task; for the task router.
        """
        if x.shape[-1] != self.config.hidden_size:
            raise MoEError.of("x", tuple(x.shape), f"must end in {self.config.hidden_size}", "match hidden_size")
        ids = self.ids if ids is None else ids
        tokens = x.reshape(-1, x.shape[-1])  # (tokens, hidden)
        choice: Routing = self.router(
            tokens, None if ids is None else ids.reshape(-1), None if task is None else task.reshape(-1)
        )
        routing = limit_capacity(choice, self.config)
        self.last_choice, self.last_routing = choice, routing
        out = self.routed(tokens, routing)
        if self.shared is not None:
            out = out + self.shared(tokens)
        return out.reshape(x.shape)

    def routed(self, tokens: Tensor, routing: Routing) -> Tensor:
        """The routed experts' part: (tokens, hidden) -> (tokens, hidden)."""
        if type(self.experts) is Experts or getattr(self.experts, "idle", False):
            return self.experts.mixture(tokens, routing.experts, routing.weights)
        return routing.through(tokens, self.experts)  # experts of another kind, such as those on other ranks

    def auxiliary_loss(self, mean: Callable[[Tensor], Tensor] = lambda value: value) -> Tensor | None:
        """The config's losses of the last forward pass, each times its coefficient; None when it asks for none.

        Args:
            mean: a detached tensor → its mean over the data-parallel ranks, for balance_scope="global".
        """
        if self.last_choice is None:
            return None
        return auxiliary_loss(self.last_choice, self.config, mean)

    def count_load(self) -> None:
        """Add the load of the last forward pass to the step's; to be called once for each microbatch.

        Not done by `forward` itself, which runs a second time where activations are recomputed.
        """
        if self.last_choice is not None:
            load = self.last_choice.load()
            self.load_in_step = load if self.load_in_step is None else self.load_in_step + load

    def after_step(self, mean: Callable[[Tensor], Tensor] = lambda value: value) -> None:
        """Hand the load of the step's global batch to a router that balances itself by it, and forget it."""
        if self.load_in_step is None:
            return
        rebalance = getattr(self.router, "rebalance", None)
        if rebalance is not None:
            rebalance(mean(self.load_in_step.float()))
        self.load_in_step = None
        self.place.step = (self.place.step or 0) + 1


class Shared(nn.Module):
    """The shared experts as one feed-forward block, as many times wider.

    Source: Dai et al. 2024 (arXiv:2401.06066) section 3.2.
    """

    def __init__(self, config: MoEConfig) -> None:
        super().__init__()
        h, f = config.hidden_size, config.shared_experts * config.expert_hidden_size
        self.act = ACTIVATIONS[config.activation]
        self.w1 = nn.Linear(h, f, bias=False)
        self.w2 = nn.Linear(f, h, bias=False)
        self.w3 = nn.Linear(h, f, bias=False) if config.gated else None

    def forward(self, tokens: Tensor) -> Tensor:
        """(tokens, hidden) -> (tokens, hidden)."""
        inner = self.act(self.w1(tokens))  # (tokens, inner)
        out: Tensor = self.w2(inner if self.w3 is None else inner * self.w3(tokens))
        return out
