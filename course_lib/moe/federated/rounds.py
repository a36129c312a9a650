"""Rounds of federated averaging, the clients simulated one after the other in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from course_lib.distributed import build_engine, train
from course_lib.models import Batch
from course_lib.moe.corpus import Corpus
from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.federated.averaging import ExpertWeighting, Update, average
from course_lib.moe.model import moe_layers
from course_lib.moe.training import MoETrainConfig


class Numbered(Protocol):
    """Batches by step number."""

    def __getitem__(self, step: int) -> Batch:
        """The batch of one step."""
        ...


@dataclass(frozen=True, eq=False)
class Client:
    """Somebody with text that stays with him.

    Args:
        name: such as the domain of the text.
        batches: by step number, of the run's batch and sequence length.
    """

    name: str
    batches: Numbered = field(repr=False)


@dataclass(frozen=True, eq=False)
class Round:
    """One round.

    Args:
        losses: client → mean cross-entropy before each of its local steps, nats per token.
        loads: client → (layers, experts) of int64, tokens that each expert of each mixture worked on, all steps
            together.
        bytes_sent: over the network, all clients together: the server's weights to each, its weights and loads back.
            Counted from the tensors, in the types that they have, without names, shapes or compression.
    """

    losses: dict[str, list[float]]
    loads: dict[str, Tensor]
    bytes_sent: int


@dataclass(frozen=True, eq=False)
class Federation:
    """A finished run.

    Args:
        rounds: from the first to the last.
        weights: the server's model at the end.
    """

    rounds: list[Round]
    weights: dict[str, Tensor] = field(repr=False)


def federate(
    config: MoETrainConfig,
    clients: Sequence[Client],
    *,
    rounds: int,
    local_steps: int,
    experts: ExpertWeighting = "load",
    on_round: Callable[[int, dict[str, Tensor]], None] | None = None,
) -> Federation:
    """Federated averaging: in each round, every client trains a copy of the server's model, which becomes their mean.

    A client's optimizer starts anew in each round, as clients keep nothing but their text. Losses that count the load
    count the client's own, whatever balance_scope says. Rounds go on in a client's batches where the last one ended.

    Args:
        config: of each client's run; `global_batch` is one client's batch, `start` the server's first model.
        clients: with different names; all take part in every round.
        rounds: how many.
        local_steps: optimizer steps of each client in each round.
        experts: how the clients count in the mean of an expert; see `average`.
        on_round: called after each round with its number from 0 on and the server's weights: evaluations, checkpoints.

    Returns:
        The rounds and the server's model.

    Raises:
        MoEError: for no clients, two of one name, a config without experts, or a client whose weights are no longer
            finite.
        TrainingSetupError: for batches of another shape.

    Source: McMahan et al. 2017 (arXiv:1602.05629) algorithm 1, with all clients in each round (C = 1).
    """
    if not isinstance(config, MoETrainConfig):
        raise MoEError.of("config", type(config).__name__, "trains no experts", "give a MoETrainConfig")
    names = [client.name for client in clients]
    if not names or len(set(names)) < len(names):
        raise MoEError.of("clients", names, "must be at least one, each with its own name", "use domain_clients()")
    check_count("rounds", rounds)
    check_count("local_steps", local_steps)
    history: list[Round] = []
    start = config.start
    for number in range(rounds):
        local = dataclasses.replace(config, start=start)
        done = [_local_update(local, client, number * local_steps, local_steps) for client in clients]
        try:
            server = average([update for update, _ in done], experts=experts)
        except MoEError as error:
            listed = ", ".join(f"{at} {name!r}" for at, name in enumerate(names))
            raise MoEError(f"Round {number}, clients {listed}: {error}") from error
        losses = {name: values for name, (_, values) in zip(names, done, strict=True)}
        loads = {name: torch.stack(list(u.loads.values())) for name, (u, _) in zip(names, done, strict=True)}
        sent = sum(2 * update.bytes_ - sum(load.nbytes for load in update.loads.values()) for update, _ in done)
        history.append(Round(losses, loads, sent))
        if on_round is not None:
            on_round(number, server)
        start = server
    return Federation(history, server)


def domain_clients(corpus: Corpus, config: MoETrainConfig, split: str = "train") -> tuple[Client, ...]:
    """One client for each domain of a corpus, with the batches that a config asks for.

    Raises:
        MoEError: for an unknown split.
        TrainingSetupError: for windows longer than a domain's text.
    """
    clients = []
    for domain in corpus.domains:
        own = dataclasses.replace(
            corpus,
            name=f"{corpus.name}, {domain}",
            texts={name: {domain: texts[domain]} for name, texts in corpus.texts.items()},
        )
        batches = own.batches(split, config.global_batch, config.sequence_length, seed=config.seed)
        clients.append(Client(domain, batches))
    return tuple(clients)


def _local_update(config: MoETrainConfig, client: Client, first: int, steps: int) -> tuple[Update, list[float]]:
    engine = build_engine("single", config)
    layers = moe_layers(engine.model)
    loads = {
        f"layers.{layer.number}.feed_forward.experts.": torch.zeros(layer.config.experts, dtype=torch.int64)
        for layer in layers
    }

    def count(*_: object) -> None:
        for load, layer in zip(loads.values(), layers, strict=True):
            if layer.last_routing is not None:
                load += layer.last_routing.load()

    # of the whole model, whose forward runs once for a microbatch, also where blocks are computed a second time
    handle = engine.model.register_forward_hook(count)
    try:
        losses = train(engine, client.batches, steps, first_step=first).losses
    finally:
        handle.remove()
    tokens = steps * config.global_batch * config.sequence_length
    return Update(engine.full_state(), tokens, loads), losses
