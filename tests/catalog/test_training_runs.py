"""Published training runs obey their schema. Oracle: the papers' own arithmetic, and the points copied elsewhere."""

import pytest

from course_lib.catalog import accelerator, model, published_point, training_runs


@pytest.mark.parametrize("run", training_runs(), ids=lambda run: run.name)
def test_a_runs_degrees_make_its_devices(run):
    """Oracle: devices = tensor x pipeline x context x data."""
    assert run.tensor * run.pipeline * run.context * run.data == run.devices
    assert run.devices % run.devices_per_node == 0
    assert all(run.global_batch % (run.data * size) == 0 for size in run.microbatch_sizes)
    assert accelerator(run.accelerator).name == run.accelerator
    if run.model:
        assert model(run.model).layers >= run.pipeline
    else:
        assert run.layers >= run.pipeline * run.virtual_stages


@pytest.mark.parametrize(
    ("name", "point", "key"),
    [
        ("sc21-t2-ptdp-175b-384", "sc21_t2_days_ptdp_174.6B_384", "tflops_per_gpu"),
        ("sc21-t2-zero3-530b-640", "sc21_t2_days_zero3_529.6B_640", "tflops_per_gpu"),
        ("korthikanti-175b-selective", "korth_hfu_175B", "iter_s"),
        ("korthikanti-1t-full", "korth_speedup_1T", "full_s"),
        ("mt-nlg-2240", "mtnlg_tokens_s", "iter_s"),
        ("megascale-megatron-12288", "megascale_tok_megatron_12288", "iter_s"),
        ("megascale-6144", "megascale_tok_megascale_6144", "iter_s"),
        ("llama3-1", "llama3_mfu_row1", "tflops_per_gpu"),
        ("torchtitan-8b-8-eager-bf16", "torchtitan_8b_mfu_8gpu_eager", "tokens_s_per_gpu"),
        ("torchtitan-405b-512-interleaved", "torchtitan_405b_interleaved_gain", "tps_interleaved"),
    ],
)
def test_a_run_agrees_with_the_point_that_was_copied_from_the_same_table(name, point, key):
    """Oracle: published.json, copied independently."""
    (run,) = (run for run in training_runs() if run.name == name)
    assert run.measured == published_point(point).inputs[key]
