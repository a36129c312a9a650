"""What each compression does to a training run. Oracle: the same run in one process, without torch.distributed."""

import pytest
import torch

from course_lib.distributed import CheckpointManager, TrainingSetupError, build_engine, markov_batches
from course_lib.distributed.compression import OPTIONS, compression
from tests.distributed.curves import assert_equal_curves, run_engine, single_process, small_config

SGD = {"optimizer": "sgd", "learning_rate": 0.1}


@pytest.mark.parametrize(("name", "rtol"), [("none", 1e-5), ("fp16", 1e-3), ("bf16", 1e-2)])
def test_halves_follow_the_uncompressed_curve_to_their_precision(launch_ranks, name, rtol):
    config = small_config(**SGD)
    ours = run_engine(launch_ranks, "ddp", config, 2, compression=name)
    assert_equal_curves(ours, single_process(config), rtol=rtol, weights_atol=rtol)


@pytest.mark.parametrize("name", ["topk", "randomk"])
def test_keeping_everything_changes_nothing(launch_ranks, name):
    config = small_config(**SGD, microbatch=2)
    ours = run_engine(launch_ranks, "ddp", config, 2, compression=compression(name, ratio=1.0))
    assert_equal_curves(ours, single_process(small_config(**SGD)))


@pytest.mark.parametrize(
    "scheme",
    [
        compression("topk", ratio=0.1),
        compression("randomk", ratio=0.5),
        compression("sign"),
        compression("powersgd", rank=4, start_step=3),
    ],
    ids=lambda scheme: scheme.name,
)
def test_a_tenth_of_the_loss_s_fall_is_the_most_that_compression_costs(launch_ranks, scheme):
    config, steps = small_config(**SGD), 40
    ours = run_engine(launch_ranks, "ddp", config, 2, steps, compression=scheme, bucket_mb=0.05).losses
    whole = single_process(config, steps).losses
    ends = [sum(losses[-5:]) / 5 for losses in (ours, whole)]
    assert ends[0] - ends[1] < 0.1 * (whole[0] - ends[1])


def test_what_top_k_sends_does_not_depend_on_the_buckets(launch_ranks):
    config = small_config(**SGD)
    few, many = (
        run_engine(launch_ranks, "ddp", config, 2, compression=compression("topk", ratio=0.05), bucket_mb=size)
        for size in (25.0, 0.001)
    )
    assert_equal_curves(many, few, rtol=1e-6, weights_atol=1e-6)


def train_with_a_stop(folder, config, name, options, stop, steps):
    """Losses and weights of a run whose engine is thrown away at a step; None trains on."""
    batches = markov_batches(config)
    engine = build_engine("ddp", config, compression=compression(name, **options))
    for step in range(steps):
        if step == stop:
            checkpoints = CheckpointManager(folder / name)
            checkpoints.save(engine, step)
            engine = build_engine("ddp", config, compression=compression(name, **options))
            assert checkpoints.resume(engine) == stop
        loss = engine.step(batches[step])
    return float(loss), engine.full_state()


def test_a_run_resumed_with_its_errors_is_the_run_that_never_stopped(launch_ranks, tmp_path):
    names = ("topk", "randomk", "sign")

    def both():
        return [
            [train_with_a_stop(tmp_path, small_config(**SGD), name, {}, stop, 8) for stop in (None, 4)]
            for name in names
        ]

    for name, (straight, resumed) in zip(names, launch_ranks(both, 2)[0], strict=True):
        assert straight[0] == resumed[0], name
        for key, value in straight[1].items():
            assert torch.equal(value, resumed[1][key]), (name, key)


def test_powersgd_resumes_after_two_whole_steps(launch_ranks, tmp_path):
    config, options = small_config(**SGD), {"start_step": 2, "rank": 2}
    straight, resumed = (
        launch_ranks(train_with_a_stop, 2, tmp_path, config, "powersgd", options, at, 12)[0] for at in (None, 6)
    )
    assert resumed[0] == pytest.approx(straight[0], rel=0.05)


def test_powersgd_s_errors_come_back_with_a_checkpoint(launch_ranks, tmp_path):
    """Oracle: the errors of the engine that saved, rank by rank."""

    def of_rank():
        config = small_config(**SGD)
        engine, again = (
            build_engine("ddp", config, compression=compression("powersgd", start_step=2)) for _ in range(2)
        )
        for step in range(4):
            engine.step(markov_batches(config)[step])
        CheckpointManager(tmp_path).save(engine, 4)
        CheckpointManager(tmp_path).resume(again)
        (kept,), (restored,) = (list(built.memories.values()) for built in (engine, again))
        return kept.state.error_dict, restored.state.error_dict

    results = launch_ranks(of_rank, 2)
    for kept, restored in results:
        assert kept.keys() == restored.keys()
        assert all(torch.equal(kept[bucket], restored[bucket]) for bucket in kept)
    first, second = (kept for kept, _ in results)
    assert any(not torch.equal(first[bucket], second[bucket]) for bucket in first), "each rank has errors of its own"


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("topk", {"ratio": 0.0}, "ratio=0.0 must be above 0 and at most 1"),
        ("topk", {"ratio": 1.5}, "ratio=1.5 must be above 0"),
        ("randomk", {"ratio": float("nan")}, "ratio=nan must be above 0"),
        ("sign", {"ratio": 0.1}, "ratio=0.1 is no option of compression 'sign'"),
        ("fp16", {"error_feedback": True}, "leave it out: it has none"),
        ("powersgd", {"rank": 0}, "rank=0 must be a whole number of at least 1"),
        ("powersgd", {"start_step": 1}, "start_step=1 must be a whole number of at least 2"),
        ("powersgd", {"warm_start": 1}, "warm_start=1 must be True or False"),
        ("zip", {}, "compression='zip' is not known"),
    ],
)
def test_a_bad_choice_is_refused_before_any_rank_starts(name, options, says):
    with pytest.raises(TrainingSetupError, match=says.replace("(", r"\(")):
        compression(name, **options)


def test_every_name_makes_a_hook(launch_ranks):
    config = small_config(**SGD)
    for name in OPTIONS:
        assert len(run_engine(launch_ranks, "ddp", config, 1, 1, compression=name).losses) == 1
