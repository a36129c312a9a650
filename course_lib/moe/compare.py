"""A mixture and the dense model that costs as much per token, trained on the same batches in one run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from course_lib.arithmetic import count_parameters, training_flops
from course_lib.catalog import ModelConfig
from course_lib.distributed import TrainConfig, build_engine, run, train
from course_lib.moe.corpus import Corpus
from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.evaluate import Evaluation, evaluate
from course_lib.moe.training import MoETrainConfig, load_weights

Schedule = Callable[[int], float]


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """One of the two models at its end.

    Args:
        config: of its run.
        losses: mean cross-entropy of each step's global batch, nats per token; no auxiliary loss is in it.
        step_seconds: wall time of each step.
        model: with the trained weights.
        validation: on the validation split.
        active_parameters, total_parameters: by `count_parameters`.
        flops_per_token: of a training step, by `training_flops(method="exact")`.
    """

    config: TrainConfig
    losses: list[float]
    step_seconds: list[float]
    model: nn.Module
    validation: Evaluation
    active_parameters: int
    total_parameters: int
    flops_per_token: float


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Both models of one run; see `Trained`."""

    moe: Trained
    dense: Trained

    @property
    def perplexity_ratio(self) -> float:
        """Validation perplexity of the mixture over the dense model's: below 1, the mixture is better."""
        return self.moe.validation.perplexity / self.dense.validation.perplexity


def dense_twin(model: ModelConfig) -> ModelConfig:
    """The dense shape that does at least as much work for a token, by less than one column of its matrices.

    All layers get the same inner width: that of the experts a token visits, shared ones included, and of dense layers,
    on average, rounded up after the routers' matrices are added.

    Args:
        model: a shape with experts.

    Raises:
        MoEError: for a dense shape.
    """
    if not model.experts:
        raise MoEError.of("model", model.name, "has no experts", "give the mixture; its twin is dense")
    count = count_parameters(model)
    idle = model.moe_layers * (model.experts - model.experts_per_token)  # experts that a token does not visit
    expert = count.routed_experts // (model.moe_layers * model.experts)
    busy = count.ffn + count.router - idle * expert
    column = model.layers * (3 if model.gated_ffn else 2) * model.hidden_size
    return dataclasses.replace(
        model,
        name=f"{model.name}-dense-twin",
        title="",
        ffn_hidden_size=-(-busy // column),
        experts=0,
        experts_per_token=0,
        expert_hidden_size=0,
        shared_experts=0,
        first_dense_layers=0,
        moe_every=1,
    )


def dense_config(config: MoETrainConfig) -> TrainConfig:
    """The run of a mixture with its dense twin in its place; all else is equal."""
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(TrainConfig)}
    return TrainConfig(**(fields | {"model": dense_twin(config.model)}))


def compare(
    config: MoETrainConfig,
    corpus: Corpus,
    steps: int,
    *,
    schedule: Schedule | None = None,
    engine: str = "single",
    world_size: int = 1,
    windows_per_domain: int | None = None,
    **options: Any,
) -> Comparison:
    """Train a mixture and its dense twin on the same batches, and evaluate both on the validation split.

    Args:
        config: of the mixture; the twin's differs in its model alone.
        corpus: text whose vocabulary is the model's.
        steps: optimizer steps of each.
        schedule: step → factor of the learning rate.
        engine, world_size, options: as in `course_lib.distributed.run`; "single" trains in this process.
        windows_per_domain: validate on so many windows of each domain; on all when left out.

    Raises:
        MoEError: when the model's vocabulary is not the corpus's.
        TrainingSetupError: for a setting that the engine can't run.
    """
    check_count("steps", steps)
    if config.model.vocab_size != corpus.vocab_size:
        raise MoEError.of(
            "vocab_size", config.model.vocab_size, f"is not the corpus's {corpus.vocab_size}", "use the corpus's"
        )
    batches = corpus.batches("train", config.global_batch, config.sequence_length, seed=config.seed)
    windows = corpus.windows("validation", config.sequence_length, most=windows_per_domain)

    def trained(one: TrainConfig) -> Trained:
        if engine == "single":
            built = build_engine(engine, one, **options)
            history = train(built, batches, steps, schedule=schedule)
            losses, seconds, weights = history.losses, history.step_seconds, built.full_state()
        else:
            done = run(engine, one, world_size, steps=steps, batches=batches, schedule=schedule, **options)
            losses, seconds, weights = done.losses, done.step_seconds, done.weights
        model = with_weights(one, weights)
        count = count_parameters(one.model)
        flops = training_flops(one.model, 1, sequence_length=one.sequence_length, method="exact").per_token_flops
        return Trained(one, losses, seconds, model, evaluate(model, windows), count.active, count.total, flops)

    return Comparison(trained(config), trained(dense_config(config)))


def with_weights(config: TrainConfig, weights: dict[str, Tensor]) -> nn.Module:
    """The whole model of a run on the CPU, with weights such as `Run.weights`."""
    model = config.build_model()
    load_weights(model, weights)
    return model
