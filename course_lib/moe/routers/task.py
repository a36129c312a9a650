"""Task-adaptive routing: what a batch is for has a say in where its tokens go."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.routers.scoring import Place, Scored
from course_lib.moe.routers.topk import choose
from course_lib.moe.routing import Routing


class Task(Scored):
    """Top-k of W x + the task's own scores, among the experts that the task may use.

    The task's scores are learned and begin at 0; `allow` takes experts away from a task, for good.

    Args:
        config: of the layer; `tasks` says how many there are.
        place: of the layer, for error messages.

    Source: Kudugunta et al. 2021 (arXiv:2110.03742) for routing by task, Gururangan et al. 2021 (arXiv:2108.05036) for
        experts that belong to one domain; the form here, a sum of both kinds of scores, is the course's own.
    """

    causal = True

    def __init__(self, config: MoEConfig, place: Place | None = None) -> None:
        super().__init__(config, place)
        self.task_scores = nn.Parameter(torch.zeros(config.tasks, config.experts))
        self.allowed: Tensor
        self.register_buffer("allowed", torch.ones(config.tasks, config.experts, dtype=torch.bool))

    def allow(self, task: int, experts: list[int]) -> None:
        """Let a task use these experts only.

        Raises:
            MoEError: for an unknown task or expert, or fewer experts than a token visits.
        """
        if isinstance(task, bool) or not isinstance(task, int) or not 0 <= task < self.config.tasks:
            raise self._unknown(task)
        strangers = [expert for expert in experts if expert not in range(self.config.experts)]
        if strangers:
            raise MoEError.of("experts", strangers, "are unknown", f"use 0 to {self.config.experts - 1}")
        if len(set(experts)) < self.config.experts_per_token:
            raise MoEError.of(
                "experts", experts, f"are fewer than the {self.config.experts_per_token} of a token", "allow more"
            )
        self.allowed[task] = False
        self.allowed[task, experts] = True

    def forward(self, x: Tensor, ids: Tensor | None = None, task: Tensor | None = None) -> Routing:
        """Where the tokens of a task go.

        Args:
            x: (tokens, hidden).
            ids: for other routers.
            task: (tokens,) of int64, each token's task; or a single one, of shape (), for all.

        Raises:
            MoEError: for a task that is missing or unknown, or of another shape.
        """
        tasks = self._tasks(x, task)  # (tokens,)
        logits = self.scored(x)
        logits = logits + self.task_scores.float()[tasks]  # (tokens, experts)
        return choose(logits, self.config, x, logits.masked_fill(~self.allowed[tasks], float("-inf")))

    def _tasks(self, x: Tensor, task: Tensor | None) -> Tensor:
        if task is None:
            raise MoEError.of("task", None, "is missing", f"give each token a task, 0 to {self.config.tasks - 1}")
        if task.is_floating_point() or task.dtype == torch.bool or task.numel() not in (1, len(x)):
            shape = f"{tuple(task.shape)} of {task.dtype}"
            raise MoEError.of("task", shape, f"must be ({len(x)},) of int64, or one for all", "match the tokens")
        if not torch.compiler.is_compiling() and bool(((task < 0) | (task >= self.config.tasks)).any()):
            raise self._unknown(sorted(set(task.flatten().tolist()) - set(range(self.config.tasks))))
        return task.reshape(-1).long().expand(len(x))

    def _unknown(self, task: object) -> MoEError:
        return MoEError.of("task", task, "is unknown", f"use 0 to {self.config.tasks - 1}")
