"""The search itself: one trial for each combination, by Ray Tune or in this process, and an end to those behind."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from course_lib.arithmetic import count_parameters
from course_lib.distributed import build_engine, train
from course_lib.moe.corpus import Corpus
from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.evaluate import evaluate
from course_lib.moe.search.halving import Halving
from course_lib.moe.search.local_ray import local_ray
from course_lib.moe.search.results import SearchResult, Trial
from course_lib.moe.search.space import SearchSpace, Setting, with_setting
from course_lib.moe.training import MoETrainConfig

METRICS = ("steps", "loss", "tokens_per_second", "dropped")
NO_REPORT = "no report within the budget of seconds"
Reported = tuple[dict[str, Any], str]  # a trial's last report, and why it failed


def search_experts(
    config: MoETrainConfig,
    space: SearchSpace,
    corpus: Corpus,
    *,
    steps: int,
    trials: int | None = None,
    reports: int = 4,
    keep_one_in: int = 2,
    seconds: float | None = None,
    cpus: int = 1,
    in_process: bool = False,
    windows_per_domain: int | None = None,
    seed: int = 0,
) -> SearchResult:
    """Train a model for each combination of a space, and stop those early that fall behind.

    All trials have the active parameters, the seed and the batches of `config`; each has one CPU. The scheduler is
    ASHA: at each of its rungs, a trial goes on if it is among the best 1/keep_one_in of those that have come so far.
    A trial that fails, such as one whose loss is no longer finite, ends alone.

    Args:
        config: what does not change; see `with_setting`.
        space: the combinations.
        corpus: text; trained on its train split, judged on its validation split.
        steps: optimizer steps of a trial that is not stopped.
        trials: try so many combinations, by lot; all when left out.
        reports: evaluations of a trial, evenly spaced; it can be stopped at all but the last.
        keep_one_in: 1/keep_one_in go on from a rung; rungs are this factor apart.
        seconds: budget of the whole search; what has not reported by then has failed.
        cpus: trials at the same time. With more than one, they slow each other down in what they share.
        in_process: train one trial after the other in this process, without Ray and by the same rule: the same result
            as with one CPU of Ray's, and none of the seconds that Ray takes to start.
        windows_per_domain: validate on so many windows of each domain; on all when left out.
        seed: of the lot.

    Returns:
        All trials, the best one, and the front of loss against speed or size.

    Raises:
        MoEError: before anything starts, for a combination that makes no layer, a corpus of another vocabulary, or a
            number out of range, or windows longer than the text; when Ray does not start; or when every trial failed.

    Source: Li et al. 2020 (arXiv:1810.05934) for ASHA; Ray Tune, "Tune's scheduler (tune.schedulers)"
        (https://docs.ray.io/en/latest/tune/api/schedulers.html).
    """
    for name, value in {"steps": steps, "reports": reports, "cpus": cpus}.items():
        check_count(name, value)
    check_count("keep_one_in", keep_one_in, minimum=2)
    if in_process and cpus > 1:
        raise MoEError.of("cpus", cpus, "is more than the one of a search in_process", "use cpus=1, or Ray")
    if reports > steps:
        raise MoEError.of("reports", reports, f"is more than the {steps} steps", "use fewer")
    if seconds is not None and not 0 < seconds < math.inf:
        raise MoEError.of("seconds", seconds, "must be above 0 and finite", "give 600.0, or None")
    if config.model.vocab_size != corpus.vocab_size:
        raise MoEError.of(
            "vocab_size", config.model.vocab_size, f"is not the corpus's {corpus.vocab_size}", "use the corpus's"
        )
    for setting in space.settings():  # also those that the lot leaves out: a space is right or wrong as a whole
        with_setting(config, setting)
    settings = space.sample(trials, seed)
    configs = [with_setting(config, setting) for setting in settings]
    # what each trial will ask of the corpus: a refusal here costs no Ray, and the workers get the text encoded
    corpus.windows("validation", config.sequence_length, most=windows_per_domain)
    corpus.batches("train", config.global_batch, config.sequence_length, seed=config.seed)

    every = math.ceil(steps / reports)
    reported = partial(trial_reports, corpus=corpus, steps=steps, every=every, most=windows_per_domain)
    if in_process:
        found = _here(configs, reported, Halving(every, steps, keep_one_in), seconds)
    else:
        found = _by_ray(configs, reported, steps, every, keep_one_in, seconds, cpus)
    return SearchResult(
        tuple(
            _trial(number, setting, one, *found.get(number, ({}, "")))
            for number, (setting, one) in enumerate(zip(settings, configs, strict=True))
        )
    )


def _here(
    configs: list[MoETrainConfig], reported: partial[Iterator[dict[str, Any]]], rule: Halving, seconds: float | None
) -> dict[int, Reported]:
    end = math.inf if seconds is None else time.monotonic() + seconds
    found: dict[int, Reported] = {}
    for number, config in enumerate(configs):
        if time.monotonic() >= end:
            break
        try:
            for report in reported(config):
                found[number] = report, ""
                if time.monotonic() >= end or not rule.goes_on(number, report["steps"], report["loss"]):
                    break
        except (ValueError, RuntimeError) as error:  # MoEError, and what torch raises; a mistake of ours is neither
            found[number] = {}, f"{type(error).__name__}: {error}"
    return found


def _by_ray(
    configs: list[MoETrainConfig],
    reported: partial[Iterator[dict[str, Any]]],
    steps: int,
    every: int,
    keep_one_in: int,
    seconds: float | None,
    cpus: int,
) -> dict[int, Reported]:
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    with local_ray(cpus), tempfile.TemporaryDirectory(prefix="search-") as folder:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(run_trial, configs=configs, reported=reported), {"cpu": 1}),
            param_space={"number": tune.grid_search(list(range(len(configs))))},
            tune_config=tune.TuneConfig(
                metric="loss",
                mode="min",
                scheduler=ASHAScheduler(
                    time_attr="steps", max_t=steps, grace_period=every, reduction_factor=keep_one_in
                ),
                max_concurrent_trials=cpus,
                time_budget_s=seconds,
                reuse_actors=True,  # a new process for each would import torch again
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        grid = tuner.fit()
        results = [grid[at] for at in range(len(grid))]
    return {
        result.config["number"]: (
            result.metrics or {},
            "" if result.error is None else str(result.error).strip().splitlines()[-1],
        )
        for result in results
        if result.config
    }


def run_trial(
    parameters: dict[str, Any], *, configs: list[MoETrainConfig], reported: partial[Iterator[dict[str, Any]]]
) -> None:
    """Train one combination in a process of Ray's and hand on what it reports."""
    import torch
    from ray import tune

    torch.set_num_threads(1)  # what a trial was given
    for report in reported(configs[parameters["number"]]):
        tune.report(report)


def trial_reports(
    config: MoETrainConfig, *, corpus: Corpus, steps: int, every: int, most: int | None
) -> Iterator[dict[str, Any]]:
    """Train one combination; one report after every so many steps and after the last one, by the names in `METRICS`.

    Raises:
        MoEError: when the loss is no longer finite.
    """
    windows = corpus.windows("validation", config.sequence_length, most=most)
    batches = corpus.batches("train", config.global_batch, config.sequence_length, seed=config.seed)
    engine = build_engine("single", config)
    seconds: list[float] = []
    for first in range(0, steps, every):
        done = min(steps, first + every)
        seconds += train(engine, batches, done - first, first_step=first).step_seconds
        judged = evaluate(engine.model, windows)
        if not math.isfinite(judged.loss):
            raise MoEError.of("loss", judged.loss, f"is not finite after step {done}", "lower learning_rate")
        pairs = int(judged.tokens.sum()) * len(judged.loads) * config.model.experts_per_token
        yield {
            "steps": done,
            "loss": judged.loss,
            "tokens_per_second": config.global_batch * config.sequence_length / statistics.median(seconds),
            "dropped": 1 - int(judged.loads.sum()) / pairs,
        }


def _trial(number: int, setting: Setting, config: MoETrainConfig, report: dict[str, Any], failed: str) -> Trial:
    count = count_parameters(config.model)
    sizes: dict[str, Any] = {"active_parameters": count.active, "total_parameters": count.total}
    if not failed and "loss" in report:
        return Trial(number=number, setting=setting, **sizes, **{name: report[name] for name in METRICS})
    return Trial(number=number, setting=setting, **sizes, failed=failed or NO_REPORT)
