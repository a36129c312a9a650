"""The search itself: one Ray Tune trial for each combination, and an end to those that fall behind."""

from __future__ import annotations

import math
import statistics
import tempfile
from typing import TYPE_CHECKING, Any

from course_lib.arithmetic import count_parameters
from course_lib.distributed import build_engine, train
from course_lib.moe.corpus import Corpus
from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.evaluate import evaluate
from course_lib.moe.search.local_ray import local_ray
from course_lib.moe.search.results import SearchResult, Trial
from course_lib.moe.search.space import SearchSpace, Setting, with_setting
from course_lib.moe.training import MoETrainConfig

if TYPE_CHECKING:
    from ray.tune import Result

METRICS = ("steps", "loss", "tokens_per_second", "dropped")


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
        windows_per_domain: validate on so many windows of each domain; on all when left out.
        seed: of the lot.

    Returns:
        All trials, the best one, and the front of loss against speed or size.

    Raises:
        MoEError: before anything starts, for a combination that makes no layer, a corpus of another vocabulary, or a
            number out of range; when Ray does not start; or when every trial failed.

    Source: Li et al. 2020 (arXiv:1810.05934) for ASHA; Ray Tune, "Tune's scheduler (tune.schedulers)"
        (https://docs.ray.io/en/latest/tune/api/schedulers.html).
    """
    for name, value in {"steps": steps, "reports": reports, "cpus": cpus}.items():
        check_count(name, value)
    check_count("keep_one_in", keep_one_in, minimum=2)
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

    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    every = math.ceil(steps / reports)
    with local_ray(cpus), tempfile.TemporaryDirectory(prefix="search-") as folder:
        trainable = tune.with_parameters(
            run_trial, configs=configs, corpus=corpus, steps=steps, every=every, most=windows_per_domain
        )
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"number": tune.grid_search(list(range(len(settings))))},
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
    found = {result.config["number"]: result for result in results if result.config}
    rows = tuple(
        _trial(number, setting, one, found.get(number))
        for number, (setting, one) in enumerate(zip(settings, configs, strict=True))
    )
    if all(row.failed for row in rows):
        raise MoEError(f"All {len(rows)} trials failed, the first one so: {rows[0].failed}")
    return SearchResult(rows)


def run_trial(
    parameters: dict[str, Any],
    *,
    configs: list[MoETrainConfig],
    corpus: Corpus,
    steps: int,
    every: int,
    most: int | None,
) -> None:
    """Train one combination in a process of Ray's, and report after every so many steps and the last one."""
    import torch
    from ray import tune

    torch.set_num_threads(1)  # what a trial was given
    config = configs[parameters["number"]]
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
        tune.report(
            {
                "steps": done,
                "loss": judged.loss,
                "tokens_per_second": config.global_batch * config.sequence_length / statistics.median(seconds),
                "dropped": 1 - int(judged.loads.sum()) / pairs,
            }
        )


def _trial(number: int, setting: Setting, config: MoETrainConfig, result: Result | None) -> Trial:
    count = count_parameters(config.model)
    sizes: dict[str, Any] = {"active_parameters": count.active, "total_parameters": count.total}
    reported = (result.metrics if result is not None else None) or {}
    if result is not None and result.error is not None:
        failed = str(result.error).strip().splitlines()[-1]
    elif "loss" not in reported:
        failed = "no report within the budget of seconds"
    else:
        return Trial(number=number, setting=setting, **sizes, **{name: reported[name] for name in METRICS})
    return Trial(number=number, setting=setting, **sizes, failed=failed)
