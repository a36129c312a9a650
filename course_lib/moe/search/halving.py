"""Asynchronous successive halving: who goes on, decided when a trial reports and never later."""

from __future__ import annotations

import numpy as np


class Halving:
    """The rule of Ray Tune's `ASHAScheduler` with one bracket, for trials that run without Ray.

    Args:
        first: steps of the lowest rung.
        steps: of a trial that is not stopped; rungs are below it.
        keep_one_in: rungs are this factor apart, and the best 1/keep_one_in go on from one.

    Source: Li et al. 2020 (arXiv:1810.05934) algorithm 2; `ray.tune.schedulers.async_hyperband` of Ray 2.60, which
        compares with the percentile of those that came before.
    """

    def __init__(self, first: int, steps: int, keep_one_in: int) -> None:
        self.percentile = (1 - 1 / keep_one_in) * 100
        self.rungs: list[tuple[int, dict[int, float]]] = []  # steps, and the losses there by trial; highest rung first
        while first < steps:
            self.rungs.insert(0, (first, {}))
            first *= keep_one_in

    def goes_on(self, trial: int, steps: int, loss: float) -> bool:
        """Whether a trial that reports this loss after so many steps may train further; it is remembered for others."""
        for rung, losses in self.rungs:
            if steps >= rung and trial not in losses:
                # of negative losses, as Ray has it: among equal ones the last bit decides, and it must be the same bit
                stays = not losses or -loss >= np.percentile([-one for one in losses.values()], self.percentile)
                losses[trial] = loss
                return bool(stays)
        return True
