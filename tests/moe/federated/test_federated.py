"""Federated averaging of experts."""

import dataclasses

import pytest
import torch

from course_lib.arithmetic import count_parameters
from course_lib.distributed import TrainingSetupError, build_engine, markov_batches, train
from course_lib.models import Batch, Batches, MarkovText
from course_lib.moe import MoEConfig, MoEError, MoETrainConfig, load_corpus, moe_config, moe_layers
from course_lib.moe.federated import Client, Update, average, domain_clients, federate

SHAPE = moe_config(layers=2, hidden_size=16, heads=2, vocab_size=24, experts=4, experts_per_token=1)
SGD = {"optimizer": "sgd", "learning_rate": 0.1}


def small(*, moe=None, **changes) -> MoETrainConfig:
    settings = {"sequence_length": 8, "global_batch": 4, "learning_rate": 3e-3} | changes
    return MoETrainConfig(model=SHAPE, moe=MoEConfig.of(SHAPE, **(moe or {})), **settings)


def client(config, name, seed) -> Client:
    text = MarkovText(SHAPE.vocab_size, seed=seed)
    return Client(name, Batches(text, config.global_batch, config.sequence_length, seed=seed))


def plain(config, batches, steps):
    engine = build_engine("single", config)
    losses = train(engine, batches, steps).losses
    return losses, engine.full_state()


class Union:
    """The rows of all clients' batches in one."""

    def __init__(self, clients):
        self.clients = clients

    def __getitem__(self, step):
        parts = [client.batches[step] for client in self.clients]
        return Batch(torch.cat([part.tokens for part in parts]), torch.cat([part.targets for part in parts]))


def largest_difference(a, b):
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.mark.parametrize("router", ["topk", "sigmoid_bias", "hash"])
def test_one_client_and_one_round_are_plain_training_to_the_last_bit(router):
    """Oracle: `train` on the single engine; AdamW with weight decay moves experts that nobody used as well."""
    config = small(moe={"router": router, "capacity_factor": 1.0}, weight_decay=0.1, microbatch=2)
    losses, weights = plain(config, markov_batches(config), 3)
    found = federate(config, [Client("only", markov_batches(config))], rounds=1, local_steps=3)
    assert found.rounds[0].losses == {"only": losses}
    assert found.weights.keys() == weights.keys()
    assert all(torch.equal(found.weights[name], weights[name]) for name in weights)


def test_clients_with_equal_text_make_the_step_of_one_big_batch():
    """Oracle: the single engine on the union of the clients' batches, by SGD."""
    config = small(**SGD)
    clients = [client(config, name, 5) for name in ("a", "b", "c")]
    found = federate(config, clients, rounds=1, local_steps=1)
    _, weights = plain(dataclasses.replace(config, global_batch=12), Union(clients), 1)
    assert largest_difference(found.weights, weights) < 1e-6
    assert largest_difference(found.weights, config.build_model().state_dict()) > 1e-4


def test_plain_averaging_makes_the_big_batch_step_for_any_text_and_averaging_by_load_does_not():
    """Oracle: the single engine on the union of the clients' different batches, by SGD."""
    config = small(**SGD)
    clients = [client(config, name, seed) for name, seed in (("a", 1), ("b", 2))]
    _, weights = plain(dataclasses.replace(config, global_batch=8), Union(clients), 1)
    by_tokens = federate(config, clients, rounds=1, local_steps=1, experts="tokens").weights
    by_load = federate(config, clients, rounds=1, local_steps=1).weights
    assert largest_difference(by_tokens, weights) < 1e-6
    dense = {name: value for name, value in by_load.items() if ".experts." not in name}
    assert largest_difference(dense, {name: weights[name] for name in dense}) < 1e-6
    assert largest_difference(by_load, weights) > 1e-5


def test_loads_count_what_each_expert_worked_on():
    """Oracle: the routing of the same model on the same batches, token by token; recomputation counts nothing twice."""
    config = small(moe={"capacity_factor": 0.5}, recomputation="full", microbatch=2, **SGD)
    one = client(config, "a", 1)
    found = federate(config, [one], rounds=1, local_steps=1).rounds[0].loads["a"]
    model, batch = config.build_model(), one.batches[0]
    expected = torch.zeros(2, 4, dtype=torch.int64)
    for rows in (slice(0, 2), slice(2, 4)):
        model(batch.tokens[rows])
        for number, layer in enumerate(moe_layers(model)):
            for expert in layer.last_routing.experts.flatten().tolist():
                if expert >= 0:
                    expected[number, expert] += 1
    assert torch.equal(found, expected)
    assert 0 < expected.sum() < 2 * batch.tokens.numel()


def two(loads, tokens=(3, 1)):
    """Two clients' updates of a model of one dense weight and three experts."""
    prefix = "layers.0.feed_forward.experts."
    values = ((1.0, [1.0, 2.0, 3.0]), (5.0, [9.0, 8.0, 7.0]))
    return [
        Update(
            {"dense": torch.tensor([dense]), f"{prefix}up": torch.tensor(experts).reshape(3, 1, 1)},
            count,
            {prefix: torch.tensor(load)},
        )
        for (dense, experts), count, load in zip(values, tokens, loads, strict=True)
    ]


def test_an_expert_keeps_out_of_the_average_of_clients_that_never_used_it():
    """Oracle: the means worked out by hand."""
    found = average(two(([4, 0, 0], [0, 2, 0])))
    assert found["dense"].tolist() == [1.0 * 0.75 + 5.0 * 0.25]
    # the first expert from client 0 alone, the second from client 1, the third, which nobody used, by tokens
    assert found["layers.0.feed_forward.experts.up"].flatten().tolist() == [1.0, 8.0, 3.0 * 0.75 + 7.0 * 0.25]
    by_tokens = average(two(([4, 0, 0], [0, 2, 0])), experts="tokens")
    assert by_tokens["layers.0.feed_forward.experts.up"].flatten().tolist() == [3.0, 3.5, 4.0]


def test_rounds_learn_every_domain_and_go_on_in_each_clients_text():
    """Oracle: the second round run by hand from the first one's weights and batches."""
    corpus = load_corpus(("code", "satire"))
    model = moe_config(layers=1, hidden_size=16, heads=2, vocab_size=corpus.vocab_size, experts=4)
    config = MoETrainConfig(model=model, sequence_length=16, global_batch=4, learning_rate=1e-2, seed=3)
    seen = []
    clients = domain_clients(corpus, config)
    assert [one.name for one in clients] == ["code", "satire"]
    found = federate(config, clients, rounds=3, local_steps=4, on_round=lambda n, weights: seen.append((n, weights)))
    assert [number for number, _ in seen] == [0, 1, 2]
    assert seen[-1][1] is found.weights
    for one in clients:
        engine = build_engine("single", dataclasses.replace(config, start=seen[0][1]))
        assert train(engine, one.batches, 4, first_step=4).losses == found.rounds[1].losses[one.name]
        assert found.rounds[-1].losses[one.name][-1] < found.rounds[0].losses[one.name][0]


def test_a_clients_text_is_of_its_domain_alone():
    """Oracle: the domain's own tokens, searched for every row of a batch."""
    corpus = load_corpus(("code", "satire"))
    model = moe_config(layers=1, hidden_size=16, heads=2, vocab_size=corpus.vocab_size, experts=4)
    config = MoETrainConfig(model=model, sequence_length=16, global_batch=4)
    for one in domain_clients(corpus, config):
        text = bytes(corpus.tokens("train", one.name).astype("<u4").tobytes())
        other = next(domain for domain in corpus.domains if domain != one.name)
        other_text = bytes(corpus.tokens("train", other).astype("<u4").tobytes())
        for row in one.batches[0].tokens.numpy().astype("<u4"):
            assert row.tobytes() in text
            assert row.tobytes() not in other_text


@pytest.mark.parametrize("router", ["topk", "hash"])
def test_a_rounds_bytes_are_the_model_there_and_back(router):
    """Oracle: the counter of parameters, 4 bytes each, and 8 for each count; a hash router has nothing to send."""
    config = small(moe={"router": router})
    clients = [client(config, name, seed) for name, seed in (("a", 1), ("b", 2), ("c", 3))]
    count = count_parameters(SHAPE)
    weights = 4 * (count.total - (count.router if router == "hash" else 0))
    for one in federate(config, clients, rounds=2, local_steps=1).rounds:
        assert one.bytes_sent == 3 * (2 * weights + 8 * SHAPE.layers * SHAPE.experts)


def nan_weights():
    updates = two(([1, 1, 1], [1, 1, 1]))
    updates[1].weights["dense"][0] = float("nan")
    return updates


@pytest.mark.parametrize(
    ("updates", "match"),
    [
        ([], "are none"),
        (two(([1, 1, 1], [1, 1, 1]), tokens=(3, 0)), "tokens of client 1"),
        (two(([1, 1, 1], [1, 1])), "loads of client 1"),
        (two(([1, 1, 1], [1, -1, 1])), "loads of client 1"),
        (two(([1, 1, 1], [1.0, float("nan"), 1.0])), "whole number"),
        (two(([1, 1, 1], [[1, 1], [1, 1], [1, 1]])), "whole number"),
        ([Update({"e.scale": torch.tensor(1.0)}, 1, {"e.": torch.tensor([1])})], "whole number"),
        ([Update({"dense": torch.ones(1)}, 1, {"e.": torch.tensor([1])})], "no tensor"),
        ([Update({}, 1)], "weights of client 0"),
        ([two(([1, 1, 1], [1, 1, 1]))[0], Update({"dense": torch.ones(1)}, 1)], "differ from client 0's"),
        (nan_weights(), "not finite"),
    ],
    ids=[
        "none",
        "no-tokens",
        "short-load",
        "negative-load",
        "nan-load",
        "matrix-load",
        "scalar-expert",
        "no-expert",
        "empty",
        "other-model",
        "nan",
    ],
)
def test_updates_that_make_no_mean_are_refused(updates, match):
    """Oracle: the rules in `average`'s docstring."""
    with pytest.raises(MoEError, match=match):
        average(updates)


def test_bad_runs_are_refused_before_anybody_trains():
    """Oracle: the rules in `federate`'s docstring."""
    config = small()
    one = client(config, "a", 1)
    for bad in (
        {"clients": []},
        {"clients": [one, one]},
        {"rounds": 0},
        {"local_steps": 0},
    ):
        with pytest.raises(MoEError, match="Remedy"):
            federate(config, **({"clients": [one], "rounds": 1, "local_steps": 1} | bad))
    with pytest.raises(MoEError, match="is not known"):
        federate(config, [one], rounds=1, local_steps=1, experts="load-balanced")


@pytest.mark.parametrize(("rows", "columns"), [(2, 8), (4, 7)])
def test_a_client_with_batches_of_another_shape_is_refused(rows, columns):
    """Oracle: the rule in `federate`'s docstring; such a client's tokens would be counted wrongly."""
    config = small()
    other = Client("b", Batches(MarkovText(SHAPE.vocab_size, seed=1), rows, columns, seed=1))
    with pytest.raises(TrainingSetupError):
        federate(config, [client(config, "a", 1), other], rounds=1, local_steps=1)


def test_a_client_that_diverges_is_named():
    """Oracle: SGD with a rate at which the weights leave the range of fp32."""
    config = small(optimizer="sgd", learning_rate=1e38)
    with pytest.raises(MoEError, match="b"):
        federate(config, [client(config, "b", 1)], rounds=2, local_steps=3)
