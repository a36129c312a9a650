"""The search for the shape of a mixture."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.arithmetic import count_parameters
from course_lib.distributed import build_engine, train
from course_lib.models import Batches, MarkovText, language_model_loss
from course_lib.moe import MoEConfig, MoEError, MoETrainConfig, evaluate, load_corpus, moe_config, moe_layers
from course_lib.moe.search import SearchResult, SearchSpace, Setting, Trial, pareto_front, search_experts, with_setting


def small(*, corpus=None, **shape) -> MoETrainConfig:
    sizes = {"layers": 1, "hidden_size": 16, "heads": 2, "experts": 4, "experts_per_token": 2}
    model = moe_config(vocab_size=corpus.vocab_size if corpus else 40, **(sizes | shape))
    moe = MoEConfig.of(model, z_loss=1e-3)
    return MoETrainConfig(model=model, moe=moe, sequence_length=16, global_batch=4, learning_rate=1e-2, seed=3)


def setting(experts=4, k=2, capacity=None, balance=0.01) -> Setting:
    return Setting(experts=experts, experts_per_token=k, capacity_factor=capacity, balance_loss=balance)


@pytest.mark.parametrize("experts", [2, 8, 16])
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("shared", [0, 1])
def test_every_combination_has_the_same_active_parameters_up_to_half_a_column(experts, k, shared):
    """Oracle: `sum(p.numel())` over the built model, and the counter of parameters."""
    config = small(layers=2, hidden_size=32, shared_experts=shared)
    found = with_setting(config, setting(experts, k, capacity=1.5, balance=0.2))
    column = found.model.layers * 3 * found.model.hidden_size * (k + shared)
    before, after = count_parameters(config.model), count_parameters(found.model)
    assert abs(after.active - before.active) <= column / 2
    assert after.total == sum(p.numel() for p in found.build_model().parameters())
    assert (found.moe.experts, found.moe.experts_per_token) == (experts, k)
    assert (found.moe.capacity_factor, found.moe.balance_loss, found.moe.z_loss) == (1.5, 0.2, 1e-3)


@pytest.mark.parametrize("options", [{}, {"softmax": "after"}, {"router": "sigmoid_bias"}])
def test_the_text_teaches_the_router_of_every_k(options):
    """Oracle: autograd, of the language model's loss alone by the router's matrix."""
    config = small(layers=1)
    config = dataclasses.replace(config, moe=dataclasses.replace(config.moe, z_loss=0.0, **options))
    for k in (1, 2):
        model = with_setting(config, setting(8, k)).build_model()
        batch = Batches(MarkovText(40, seed=0), 4, 16, seed=0)[0]
        language_model_loss(model(batch.tokens), batch.targets).backward()
        # with one weight that is always 1 rounding is left, 1e-10 here
        assert float(moe_layers(model)[0].router.weight.grad.norm()) > 1e-6, (k, options)


def test_a_router_that_a_single_expert_would_teach_nothing_is_refused():
    """Oracle: Shazeer et al. 2017, whose softmax over one chosen logit is 1."""
    noisy = dataclasses.replace(small(), moe=MoEConfig.of(small().model, router="noisy_topk"))
    with_setting(noisy, setting(8, 2))
    with pytest.raises(MoEError, match=r"experts_per_token=1.*Remedy"):
        with_setting(noisy, setting(8, 1))


def test_settings_are_all_combinations_and_a_sample_is_some_of_them():
    """Oracle: counting."""
    space = SearchSpace(experts=(4, 8), experts_per_token=(1, 2), capacity_factor=(None, 1.0), balance_loss=(0.0, 0.1))
    everything = space.settings()
    assert len(everything) == len(set(everything)) == 16
    assert everything[:2] == (setting(4, 1, None, 0.0), setting(4, 1, None, 0.1))
    some = space.sample(5, seed=1)
    assert len(set(some)) == 5
    assert set(some) < set(everything)
    assert some == space.sample(5, seed=1) != space.sample(5, seed=2)
    assert space.sample(100) == space.sample(None) == everything


BAD_SPACES = {
    "k-above-experts": ({"experts": (4, 8), "experts_per_token": (2, 8)}, "8 is more than the 4 experts"),
    "capacity-0": ({"capacity_factor": (1.0, 0.0)}, "capacity_factor=0"),
    "negative-loss": ({"balance_loss": (-0.1,)}, "balance_loss"),
    "no-experts": ({"experts": (0,), "experts_per_token": (0,)}, "experts=0"),
    "no-width": ({"experts": (4000,)}, "experts=4000"),
}


@pytest.mark.parametrize("name", BAD_SPACES)
def test_a_space_with_an_impossible_combination_is_refused_before_anything_starts(name, monkeypatch):
    """Oracle: Ray, which must not have been asked to start."""
    import ray

    values, match = BAD_SPACES[name]
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray was started"))
    corpus = load_corpus(("code",))
    with pytest.raises(MoEError, match=match):
        search_experts(small(corpus=corpus), SearchSpace(**values), corpus, steps=4, trials=1)


def test_numbers_out_of_range_are_refused_before_anything_starts(monkeypatch):
    """Oracle: Ray, which must not have been asked to start."""
    import ray

    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray was started"))
    corpus = load_corpus(("code",))
    config = small(corpus=corpus)
    for bad in (
        {"steps": 0},
        {"trials": 0},
        {"cpus": 0},
        {"reports": 9},
        {"keep_one_in": 1},
        {"seconds": 0.0},
        {"windows_per_domain": 0},
        {"in_process": True, "cpus": 2},
    ):
        with pytest.raises(MoEError, match="Remedy"):
            search_experts(config, SearchSpace(), corpus, **({"steps": 4} | bad))
    with pytest.raises(MoEError, match="longer than the text"):
        search_experts(dataclasses.replace(config, sequence_length=10**6), SearchSpace(), corpus, steps=4)
    with pytest.raises(MoEError, match="vocab_size"):
        search_experts(small(), SearchSpace(), corpus, steps=4)
    for values in ((), (4, 4), [4]):
        with pytest.raises(MoEError, match="different values"):
            SearchSpace(experts=values)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12))
def test_the_front_is_what_nothing_dominates(points):
    """Oracle: NumPy's comparison of all pairs at once."""
    import numpy as np

    a = np.array(points, dtype=float).reshape(-1, 2)
    dominated = ((a[:, None] <= a[None]).all(-1) & (a[:, None] < a[None]).any(-1)).any(0)
    assert pareto_front(points) == np.flatnonzero(~dominated).tolist()


def test_a_cost_that_is_no_number_has_no_place_on_a_front():
    with pytest.raises(MoEError, match="NaN"):
        pareto_front([(1.0, 2.0), (math.nan, 1.0)])


def row(number, loss, speed, total, steps=8, failed="") -> Trial:
    return Trial(
        number=number,
        setting=setting(4 + number),
        steps=steps,
        loss=loss,
        tokens_per_second=speed,
        active_parameters=10,
        total_parameters=total,
        dropped=0.0,
        failed=failed,
    )


def test_only_trials_that_went_all_the_way_compete():
    """Oracle: the front worked out by hand."""
    rows = (
        row(0, 3.0, 100.0, 50),
        row(1, 2.0, 80.0, 60),
        row(2, 2.5, 70.0, 40),
        row(3, 1.0, 999.0, 1, steps=4),
        row(4, math.nan, math.nan, 1, steps=0, failed="loss is not finite"),
    )
    result = SearchResult(rows)
    assert result.best is rows[1]
    assert result.front() == (rows[1], rows[0])
    assert result.front("total_parameters") == (rows[1], rows[2])
    assert [list(line)[:5] for line in result.table()] == [
        ["number", "experts", "experts_per_token", "capacity_factor", "balance_loss"]
    ] * 5
    with pytest.raises(MoEError, match="against"):
        result.front("steps")


@pytest.mark.parametrize("rows", [(), (row(0, math.nan, math.nan, 1, steps=0, failed="it diverged"),)], ids=len)
def test_a_search_without_a_loss_is_no_result(rows):
    """Oracle: the rule in `SearchResult`'s docstring."""
    with pytest.raises(MoEError, match="hold no finite loss.*Remedy" if not rows else "it diverged.*Remedy"):
        SearchResult(rows)


def by_hand(config, corpus, steps):
    engine = build_engine("single", config)
    train(engine, corpus.batches("train", 4, 16, seed=3), steps)
    return evaluate(engine.model, corpus.windows("validation", 16, most=4)).loss


def test_a_search_in_this_process_stops_what_falls_behind_and_fails_alone(monkeypatch):
    """Oracle: the same runs by hand; Ray, which must not be asked to start."""
    import ray

    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray was started"))
    corpus = load_corpus(("code",))
    config = small(corpus=corpus)
    space = SearchSpace(experts=(2, 8), experts_per_token=(1, 2))
    found = search_experts(config, space, corpus, steps=6, reports=3, windows_per_domain=4, in_process=True)
    assert len({trial.steps for trial in found.trials}) > 1
    for trial in found.trials:
        assert trial.loss == by_hand(with_setting(config, trial.setting), corpus, trial.steps)
    wild = dataclasses.replace(config, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(MoEError, match=r"hold no finite loss.*router logits"):
        search_experts(wild, space, corpus, steps=4, reports=2, windows_per_domain=4, in_process=True)
    with pytest.raises(MoEError, match="no report within the budget"):
        search_experts(config, space, corpus, steps=4, in_process=True, seconds=1e-9)


@pytest.mark.slow
def test_ray_tune_finds_the_combination_with_the_lowest_loss_and_leaves_nothing_running():
    """Oracle: the same three runs by hand in this process; Ray's own state, and this process's children."""
    import psutil
    import ray

    corpus = load_corpus(("code", "satire"))
    config = small(corpus=corpus)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    space = SearchSpace(experts=(2, 8), experts_per_token=(1, 2), capacity_factor=(0.5,), balance_loss=(0.0,))
    result = search_experts(config, space, corpus, steps=6, trials=3, reports=2, windows_per_domain=4, seed=2)
    assert not ray.is_initialized()
    assert not [c for c in psutil.Process().children(recursive=True) if c.pid not in before and c.is_running()]
    assert [trial.setting for trial in result.trials] == list(space.sample(3, seed=2))
    losses = {}
    for trial in result.trials:
        one = with_setting(config, trial.setting)
        losses[trial.number] = by_hand(one, corpus, 6)
        assert trial.steps in (3, 6)
        assert not trial.failed
        assert trial.loss == pytest.approx(by_hand(one, corpus, trial.steps), rel=1e-4)
        assert trial.total_parameters == sum(p.numel() for p in one.build_model().parameters())
        assert trial.tokens_per_second > 0
        assert 0 < trial.dropped < 1
    alone = search_experts(
        config, space, corpus, steps=6, trials=3, reports=2, windows_per_domain=4, seed=2, in_process=True
    )
    assert [trial.steps for trial in alone.trials] == [trial.steps for trial in result.trials]
    assert [trial.loss for trial in alone.trials] == pytest.approx([trial.loss for trial in result.trials], rel=1e-4)
    finalists = {trial.number: losses[trial.number] for trial in result.finalists}
    assert result.best.number == min(finalists, key=finalists.__getitem__)
    assert result.best in result.front()
    assert result.best in result.front("total_parameters")
    assert dataclasses.asdict(result.best.setting).items() <= result.table()[result.best.number].items()
