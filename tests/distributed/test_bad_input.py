"""What a user sees who asks for what can't be: one clear error, no N tracebacks, no process left. Oracle: psutil.

The list is the one that this step's specification gives, for every engine: a world that doesn't divide the mesh, a
batch that doesn't divide, a port in use, a rank that never arrives, Horovod not built, a model that fits no plan.
"""

import functools
import importlib.util
import os
import socket
import sys
import time

import psutil
import pytest
import torch
import torch.distributed as dist
from click.testing import CliRunner

from course_lib.arithmetic import InfeasibleError, instance_cluster, plan
from course_lib.catalog import model
from course_lib.cli import main
from course_lib.distributed import Layout, TrainConfig, TrainingSetupError, engine_names, markov_batches, run
from course_lib.models import Batch
from course_lib.runtime import LaunchError, RankFailed, RanksTimedOut, host_store, join_group
from course_lib.runtime.meeting_places import meeting_places
from course_lib.runtime.rank import Job
from tests.distributed.curves import small_config

RANKED = [name for name in engine_names() if name != "single"]
LAYOUTS = {"composed": {"layout": Layout(data=2)}}


def ranked(names=RANKED):
    """Engines as parameters, Horovod only where it is built."""
    skip = pytest.mark.skipif(importlib.util.find_spec("horovod") is None, reason="Horovod is not built")
    return [pytest.param(name, marks=[skip] if name == "horovod" else []) for name in names]


@pytest.fixture
def ranks(launch_ranks, capsys):
    """The warm launcher with the ranks' prints shown; at the end nothing may be printed or running."""
    yield functools.partial(launch_ranks, output="all")
    assert "Traceback" not in "".join(capsys.readouterr())
    nursery = launch_ranks.func._nursery
    assert nursery is None or psutil.Process(nursery.pid).children(recursive=True) == []


def refusal(launcher, engine, config, world_size, **options):
    with pytest.raises((LaunchError, TrainingSetupError)) as caught:
        run(engine, config, world_size, steps=2, launcher=launcher, **options)
    return str(caught.value)


def assert_said_once(text, told):
    assert text.count(told) == 1, text
    assert "Remedy: " in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("engine", "options", "told"),
    [
        ("ddp", {}, "global_batch=8 can't be shared equally by 3 data-parallel ranks"),
        ("fsdp", {}, "global_batch=8 can't be shared equally by 3 data-parallel ranks"),
        ("horovod", {}, "global_batch=8 can't be shared equally by 3 data-parallel ranks"),
        ("hybrid", {"shard_ranks": 2}, "shard_ranks=2 does not divide the 3 ranks"),
        ("tensor", {}, "heads=4 of tiny can't be shared equally by 3 tensor-parallel ranks"),
        ("pipeline", {}, "layers=2 is fewer than the 3 pipeline stages"),
        ("context", {}, "sequence_length=16 can't be shared equally by 6 pieces"),
        ("composed", {"layout": Layout(data=2, tensor=2)}, "= 4 ranks where there are 3"),
    ],
)
def test_a_world_that_does_not_divide_the_mesh_is_refused_once_for_all_ranks(ranks, engine, options, told):
    if engine == "horovod":
        pytest.importorskip("horovod")
    config = small_config(microbatch=1 if engine == "pipeline" else 0)
    text = refusal(ranks, engine, config, 3, **options)
    assert_said_once(text, told)
    assert text.startswith("All 3 ranks failed alike")


@pytest.mark.parametrize("engine", ranked(["ddp", "fsdp", "hybrid", "horovod", "composed"]))
def test_a_batch_that_the_ranks_can_not_share_is_refused_once(ranks, engine):
    text = refusal(ranks, engine, small_config(global_batch=7), 2, **LAYOUTS.get(engine, {}))
    assert_said_once(text, "global_batch=7 can't be shared equally by 2 data-parallel ranks. Remedy: use 6 or 8.")


@pytest.mark.parametrize("engine", ["single", "tensor", "pipeline", "context"])
def test_a_batch_that_microbatches_do_not_divide_is_refused_once(ranks, engine):
    text = refusal(ranks, engine, small_config(microbatch=3), 1 if engine == "single" else 2)
    assert_said_once(text, "global_batch=8 can't be shared equally by 3 microbatches. Remedy: use 6 or 9.")


@pytest.mark.parametrize("engine", ranked())
def test_a_port_in_use_is_named_and_no_rank_left(ranks, engine):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = refusal(functools.partial(ranks, port=port), engine, small_config(), 2, **LAYOUTS.get(engine, {}))
    assert_said_once(text, f"port={port} on 127.0.0.1 can't be used")


def test_a_rank_that_never_arrives_is_named(ranks):
    """Two ranks meet at a place where three are expected."""

    def work():
        ports = [host_store() if dist.get_rank() == 0 else None]
        port = torch.tensor(ports[0].port if ports[0] else 0)
        dist.broadcast(port, 0)
        join_group(dist.get_rank(), 3, "127.0.0.1", int(port), "gloo", patience_seconds=1)

    with pytest.raises(RankFailed) as caught:
        ranks(work, 2)
    assert_said_once(str(caught.value), "1 of 3 ranks did not arrive within 1 s: 2")


class Unlucky:
    """Global batches of which rank 1 never sees the second: it dies over it, or waits for ever."""

    def __init__(self, config, waits):
        self.batches, self.waits = markov_batches(config), waits

    def __getitem__(self, step):
        if step == 1 and int(os.environ["RANK"]) == 1:
            time.sleep(600) if self.waits else os._exit(3)
        return self.batches[step]


@pytest.mark.parametrize("engine", ranked())
def test_a_rank_that_dies_between_steps_is_the_one_that_is_blamed(ranks, engine):
    config = small_config(microbatch=4)
    text = refusal(ranks, engine, config, 2, batches=Unlucky(config, waits=False), **LAYOUTS.get(engine, {}))
    assert text.startswith("rank 1 of 2 failed: ended with exit status 3")
    assert text.count("Traceback") == 0


@pytest.mark.slow
@pytest.mark.parametrize("engine", ranked(["horovod", "pipeline"]))
def test_a_rank_that_never_comes_to_an_exchange_is_shown_where_it_stands(ranks, engine):
    config = small_config(microbatch=4)
    patient = functools.partial(ranks, timeout_seconds=15)
    with pytest.raises(RanksTimedOut) as caught:
        run(
            engine, config, 2, steps=3, launcher=patient, batches=Unlucky(config, waits=True), **LAYOUTS.get(engine, {})
        )
    assert "test_bad_input.py" in caught.value.waiting[1]
    assert "in __getitem__" in caught.value.waiting[1]


def test_without_horovod_the_user_hears_how_to_get_it(monkeypatch):
    """What the launcher passes on; with a launcher that has no Horovod: test_horovod_engine, among the slow tests."""
    monkeypatch.setitem(sys.modules, "horovod", None)
    job = Job(b"", (), "", {}, (), 2, "cpu", 1, 60.0, 60.0, None, horovod=True)
    with pytest.raises(LaunchError) as caught, meeting_places(job):
        pass
    assert_said_once(str(caught.value), "Horovod is not built in this environment")


def test_a_model_that_fits_no_plan_says_what_it_lacks():
    with pytest.raises(InfeasibleError) as caught:
        plan("llama3-405b", instance_cluster("p5.48xlarge"), 8)
    assert "fits no layout of 1 x p5.48xlarge" in str(caught.value)
    told = CliRunner().invoke(main, ["plan", "llama3-405b", "p5.48xlarge", "--batch", "8"])
    assert told.exit_code != 0
    assert "fits no layout of 1 x p5.48xlarge" in told.output
    assert "Traceback" not in told.output


def test_a_model_that_can_not_be_built_is_refused_once_for_all_ranks(ranks):
    config = TrainConfig(model=model("mixtral-8x7b"), global_batch=8)
    lazy = [None, None]  # no synthetic text has this vocabulary
    assert_said_once(refusal(ranks, "ddp", config, 2, batches=lazy), "GPT can't build mixtral-8x7b: it has experts=8")


def wrong(config, **changes):
    """A batch of the config's with one thing wrong."""
    batch = markov_batches(config)[0]
    change = {
        "high": lambda t: t + 32,
        "negative": lambda t: t - 40,
        "rows": lambda t: t[:6],
        "short": lambda t: t[:, :8],
        "int32": lambda t: t.int(),
    }
    for name, how in changes.items():
        batch = Batch(**({"tokens": batch.tokens, "targets": batch.targets} | {name: change[how](batch.tokens)}))
    return batch


@pytest.mark.parametrize("engine", ranked(engine_names()))
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tokens": "high"}, "is no token of a vocabulary of 32 (0 to 31)"),
        (
            {"tokens": "rows", "targets": "rows"},
            "tokens.shape=(6, 16) is not (global_batch, sequence_length) = (8, 16)",
        ),
    ],
)
def test_a_batch_that_is_not_the_config_s_is_refused_by_every_engine(ranks, engine, changes, told):
    config = small_config(microbatch=4)
    batches = [wrong(config, **changes)] * 2
    world = 1 if engine == "single" else 2
    assert_said_once(refusal(ranks, engine, config, world, batches=batches, **LAYOUTS.get(engine, {})), told)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tokens": "negative"}, "is no token of a vocabulary"),
        ({"targets": "high"}, "targets="),
        ({"tokens": "short"}, "tokens.shape=(8, 8)"),
        ({"targets": "int32"}, "targets.dtype=torch.int32 must be torch.int64"),
    ],
)
def test_what_can_be_wrong_with_a_batch_is_named(changes, told):
    from course_lib.distributed import build_engine

    config = small_config()
    with pytest.raises(TrainingSetupError) as caught:
        build_engine("single", config).step(wrong(config, **changes))
    assert told in str(caught.value)


def test_a_target_may_be_left_out_of_the_loss():
    """Oracle: the ignore_index of torch.nn.functional.cross_entropy."""
    from course_lib.distributed import build_engine

    config = small_config()
    batch = markov_batches(config)[0]
    targets = batch.targets.clone()
    targets[:, ::2] = -100
    assert build_engine("single", config).step(Batch(batch.tokens, targets)) > 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": "llama3-8b"}, "model='llama3-8b' is no ModelConfig"),
        ({"learning_rate": "1e-3"}, "learning_rate='1e-3' must be a finite number above 0"),
        ({"learning_rate": float("inf")}, "learning_rate=inf must be"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1 must be"),
        ({"momentum": 5.0}, "momentum=5.0 must lie in"),
        ({"clip_norm": float("nan")}, "clip_norm=nan must be"),
        ({"seed": 2**64}, "must be below 4294967296"),
        ({"compile": "yes"}, "compile='yes' is not known"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused_where_it_is_written(changes, told):
    with pytest.raises(TrainingSetupError) as caught:
        small_config(**changes)
    assert_said_once(str(caught.value), told)


@pytest.mark.parametrize(
    ("engine", "options", "told"),
    [
        ("ddp", {"steps": -1}, "steps=-1 must be a whole number of at least 0"),
        ("ddp", {"steps": 2.5}, "steps=2.5 must be"),
        ("ddp", {"schedule": 3}, "schedule=3 is no function of the step"),
        ("ddp", {"skip_sync": "no"}, "skip_sync='no' is a switch. Remedy: use True or False"),
        ("composed", {"split_loss": "no"}, "split_loss='no' is a switch"),
        (["ddp"], {}, "engine=['ddp'] is not known"),
    ],
)
def test_what_run_can_not_do_is_refused_before_any_rank_starts(engine, options, told):
    def never(*_args, **_options):
        raise AssertionError("ranks were started")

    with pytest.raises(TrainingSetupError) as caught:
        run(engine, small_config(), 2, launcher=never, **options)
    assert_said_once(str(caught.value), told)


@pytest.mark.parametrize(
    ("engine", "options", "told"),
    [
        ("ddp", {"compression": 5}, "compression=5 is neither a name nor a Compression"),
        ("pipeline", {"layers_per_stage": 1}, "layers_per_stage=1 must be 2 numbers"),
        ("composed", {"layout": {"data": 2}}, "layout={'data': 2} is no Layout"),
    ],
)
def test_an_option_of_the_wrong_kind_is_refused_once_for_all_ranks(ranks, engine, options, told):
    assert_said_once(refusal(ranks, engine, small_config(microbatch=2), 2, **options), told)


def test_no_steps_leave_the_initial_weights(ranks):
    none = run("ddp", small_config(), 2, steps=0, launcher=ranks)
    assert none.losses == []
    assert none.step_seconds == []
    assert set(none.weights) == set(run("single", small_config(), steps=0, launcher=ranks).weights)
