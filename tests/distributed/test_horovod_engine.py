"""Horovod's curve equals one process's. Oracle: the same run in a single process, no Horovod in it."""

import importlib.util
import os
import sys

import pytest
import torch

from course_lib.distributed import Launcher, LaunchError, run
from course_lib.runtime.horovod_meeting import horovod_meeting
from tests.distributed.curves import assert_equal_curves, run_engine, single_process, small_config

built = pytest.mark.skipif(importlib.util.find_spec("horovod") is None, reason="Horovod is not built here")


@built
@pytest.mark.parametrize(("world_size", "microbatch"), [(1, 2), (2, 0), (2, 1), (3, 1)])
def test_the_curve_equals_one_process(launch_ranks, world_size, microbatch):
    config = small_config(microbatch=microbatch, global_batch=6)
    ours = run_engine(launch_ranks, "horovod", config, world_size)
    assert_equal_curves(ours, single_process(small_config(global_batch=6)))


@built
def test_clipping_sees_the_averaged_gradient(launch_ranks):
    config = small_config(clip_norm=0.5, microbatch=2, optimizer="sgd", learning_rate=0.1)
    ours = run_engine(launch_ranks, "horovod", config, 2, groups=2)
    assert_equal_curves(ours, single_process(small_config(clip_norm=0.5, optimizer="sgd", learning_rate=0.1)))


@built
@pytest.mark.parametrize("optimizer", ["sgd", "lamb", "lion"])
def test_every_optimizer_of_the_course_can_be_distributed(launch_ranks, optimizer):
    config = small_config(optimizer=optimizer, weight_decay=0.1)
    ours = run_engine(launch_ranks, "horovod", config, 2)
    assert_equal_curves(ours, single_process(config), rtol=1e-4, weights_atol=1e-2 if optimizer == "lion" else 1e-4)


@built
def test_fp16_compression_stays_within_half_precision(launch_ranks):
    config = small_config(optimizer="sgd", learning_rate=0.1)
    ours = run_engine(launch_ranks, "horovod", config, 2, compression="fp16")
    assert_equal_curves(ours, single_process(config), rtol=1e-3, weights_atol=2e-3)
    differences = [(ours.weights[name] - value).abs().max() for name, value in single_process(config).weights.items()]
    assert max(differences) > 1e-6, "sums of fp32 in another order differ by a thirtieth of that"


@built
def test_adasum_is_refused_as_horovod_s_core_does_over_gloo(launch_ranks):
    def of_horovod():
        import horovod.torch as hvd

        hvd.init()
        with pytest.raises(hvd.HorovodInternalError, match="No Adasum operation enabled"):
            hvd.allreduce(torch.ones(2), op=hvd.Adasum)
        hvd.shutdown()

    launch_ranks(of_horovod, 2, horovod=True)
    with pytest.raises(LaunchError, match="op='adasum' is not there over gloo"):
        run_engine(launch_ranks, "horovod", small_config(), 2, op="adasum")


@built
def test_a_batch_that_does_not_divide_is_refused_once_for_all_ranks(launch_ranks):
    with pytest.raises(LaunchError) as caught:
        run_engine(launch_ranks, "horovod", small_config(), 3)
    assert str(caught.value).count("global_batch=8 can't be shared equally by 3 data-parallel ranks") == 1
    assert "All 3 ranks failed alike" in str(caught.value)


@built
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"compression": "topk"}, "compression='topk' is not known to Horovod. Remedy: use one of none, fp16"),
        ({"groups": 0}, "groups=0 must be a whole number of at least 1"),
        ({"op": "max"}, "op='max' is not known"),
    ],
)
def test_an_option_that_horovod_lacks_is_refused_once_for_all_ranks(launch_ranks, options, says):
    with pytest.raises(LaunchError) as caught:
        run_engine(launch_ranks, "horovod", small_config(), 2, **options)
    assert str(caught.value).count(says) == 1
    assert "All 2 ranks failed alike" in str(caught.value)


def test_without_horovod_there_is_no_meeting_place(monkeypatch):
    monkeypatch.setitem(sys.modules, "horovod", None)
    with pytest.raises(LaunchError, match="Horovod is not built in this environment"), horovod_meeting(2, "lo"):
        pass


@pytest.mark.slow
def test_without_horovod_the_launcher_says_how_to_get_it(tmp_path, monkeypatch):
    # Python runs a module of this name at its start: in the processes of this launcher there is no Horovod.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['horovod'] = None\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    with Launcher() as launcher, pytest.raises(LaunchError) as caught:
        run("horovod", small_config(), 1, launcher=launcher)
    assert "Horovod is not built in this environment. Remedy: `make setup` builds it" in str(caught.value)
