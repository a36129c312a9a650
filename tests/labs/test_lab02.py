"""Lab 02: what its text prints is what papers printed, and its answers follow from formulas of the course."""

import ast
import builtins
import contextlib
import io
import math
from unittest import mock

import pytest

from benchmarks.lab02 import LAB
from course_lib.arithmetic import training_flops
from course_lib.catalog import ModelConfig, accelerator, published_point
from grading.release.source import read_lab

CELLS = (
    "wrong-cells",
    "comparable-mfu",
    "wrong-peaks",
    "held-bytes-per-rank",
    "sent-bytes-per-step",
    "test-wrong-peaks",
)


@pytest.fixture(scope="module")
def lab():
    """The lab's answers and tables by name; nothing that starts processes."""
    names: dict = {}
    exec("import statistics", names)
    for cell in read_lab(LAB).notebook.cells:
        about = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if cell.cell_type == "code" and (about in CELLS or cell.source.startswith("TABLE_2")):
            # a test cell loads the checker anew, whose classes other files of tests have imported
            anew = mock.patch("importlib.reload", lambda module: module)
            with contextlib.redirect_stdout(io.StringIO()), anew:
                exec(cell.source, names)
    return names


def test_the_race_runs_against_its_own_copy_of_the_slow_loop():
    """The locked cell's own text; what a notebook binds to a name further up changes nothing for the race."""
    cells = {c.metadata.get("nbgrader", {}).get("grade_id", ""): c.source for c in read_lab(LAB).notebook.cells}
    (given,) = ast.parse(cells["slow-run"]).body
    race = ast.parse(cells["test-mended-run"])
    (copy,) = [node for node in race.body if getattr(node, "name", "") == "colleagues_loop"]
    assert [ast.unparse(line) for line in copy.body[1:]] == [ast.unparse(line) for line in given.body[1:]]
    assert ast.unparse(copy.args) == ast.unparse(given.args)
    names = [node for node in ast.walk(copy) if isinstance(node, ast.Name)]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)} | {arg.arg for arg in copy.args.args}
    imports = [node for node in race.body if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    assert {node.id for node in names} - own - set(vars(builtins)) <= imported
    assert "slow_run" not in {node.id for node in ast.walk(race) if isinstance(node, ast.Name)}


def test_the_megascale_table_is_printed_as_the_catalog_has_it(lab):
    """MegaScale's table 2 in the catalog of published points."""
    assert len(lab["TABLE_2"]) == 7
    for row in lab["TABLE_2"]:
        tokens = published_point(f"megascale_tok_megatron_{row['gpus']}")
        mfu = published_point(f"megascale_mfu_megatron_{row['gpus']}")
        assert row["tokens_per_s"] == pytest.approx(1e3 * tokens.value)
        assert (100 * row["mfu"], row["flops_per_s"]) == pytest.approx(
            (mfu.value, 1e15 * mfu.inputs["aggregate_pflops"])
        )


def test_the_wrong_cell_of_megascale_is_what_mfu_and_devices_make_it(lab):
    """The row's own MFU times its devices' peak: the column that the answer was not computed from."""
    assert lab["wrong_cells"](lab["TABLE_2"], 312e12) == {
        (1024, "flops_per_s"): pytest.approx(0.447 * 1024 * 312e12, rel=0.002)
    }


@pytest.mark.parametrize(("layers", "hidden", "teraflops"), [(80, 12288, 148), (24, 2304, 137)])
def test_the_comparable_mfu_follows_from_the_papers_two_formulas(lab, layers, hidden, teraflops):
    """SC21's and Korthikanti's operations as `training_flops` counts them, itself tested on their tables."""
    shape = ModelConfig(
        name="sc21", vocab_size=51200, hidden_size=hidden, layers=layers, heads=hidden // 96,
        ffn_hidden_size=4 * hidden, gated_ffn=False, norm="layernorm", context_length=2048,
    )  # fmt: skip
    run = training_flops(shape, 1e9, sequence_length=2048, method="korthikanti", recomputation="full")
    expected = teraflops / 312 * run.model_flops / run.hardware_flops
    assert lab["comparable_mfu"](teraflops, 312, layers, hidden, 2048, 51200) == pytest.approx(expected, rel=1e-6)


def test_printed_peaks_are_the_catalogs(lab):
    """Peaks and the white paper's figure in the catalog of accelerators."""
    keys = {"V100": "v100-16gb", "A100": "a100-80gb", "H100": "h100", "Gaudi 2": "gaudi2", "Gaudi 3": "gaudi3"}
    for name, *_, printed in lab["CHIPS"]:
        chip = accelerator(keys[name])
        peaks = chip.peak_tflops | chip.paper_tflops
        assert printed == pytest.approx(peaks.get("bf16", peaks.get("fp16")), rel=0.002)
    right = lab["wrong_peaks"](lab["CHIPS"])
    assert right == {"Gaudi 3": pytest.approx(accelerator("gaudi3").peak_tflops["bf16"], rel=0.001)}


def test_the_rubric_states_what_the_answers_compute(lab):
    """The rubric's fixed numbers, against the solution's own functions."""
    rubric = LAB.parents[1].joinpath("grading", "rubrics", f"{LAB.stem}.md").read_text(encoding="utf-8")
    ddp, fsdp = (sum(lab["held_bytes_per_rank"](kind, 7e9, 64)) / 1e9 for kind in ("ddp", "fsdp"))
    sent = [lab["sent_bytes_per_step"](kind, 28e9, 0, 64) / 1e9 for kind in ("ddp", "fsdp")]
    assert f"{ddp:.0f} GB with DDP or Horovod" in rubric
    assert f"{fsdp:.2f} GB with FSDP" in rubric
    assert f"{math.floor(sent[0])} GB with DDP or Horovod" in rubric
    assert f"{sent[1]:.0f} GB with\nFSDP" in rubric
