"""Every lab of the course, at every gate and through papermill. Oracle: nbgrader's rule, the stub's error."""

import datetime
import os
import shutil

import papermill
import pytest

from grading.release import COURSE, build_source, check
from grading.release.bench import Bench
from grading.release.gates import GATES
from grading.release.main import passed

LABS = COURSE.lab_ids()
# Gates that run a lab's cells: `make test` asks them of the first lab, the slow tests of every lab.
RUN_THE_CELLS = {"solution-earns-all", "stub-earns-nothing", "warnings-cost-nothing", "cheats-earn-nothing"}
# These try hundreds of variants of a lab; test_gates_refuse.py asks them of a small one.
RUN_VARIANTS = {"mutants-are-caught", "partial-credit", "cells-fail-alone"}

# Each variant of these labs starts real processes or simulates a chip: the tests try every so-manieth, beginning one
# further each day, `course labs check` tries all. LAB_SAMPLE=n repeats what was tried on a day that printed n.
EVERY = {
    "lab02-horovod-vs-fsdp": 120,
    "lab04-collectives": 96,
    "lab05-nki-tiles": 15,
    "lab06-nki-matmul": 30,
    "lab07-nki-attention": 42,
    "lab08-moe-routing": 18,
    "lab09-expert-parallel": 96,
    "lab10-moe-serving": 60,
    "lab11-finops-guardrails": 120,
}
FIRST = int(os.environ.get("LAB_SAMPLE", datetime.date.today().toordinal()))

# Each noisy solution of these starts real processes: some minutes in all, so each day one of the labs has its turn.
IN_TURN = ["lab02-horovod-vs-fsdp", "lab04-collectives", "lab09-expert-parallel"]


def is_slow(lab, gate):
    return gate.name in RUN_VARIANTS or (gate.name in RUN_THE_CELLS and lab != LABS[0])


CASES = [
    pytest.param(lab, gate, marks=pytest.mark.slow if is_slow(lab, gate) else (), id=f"{gate.name}-{lab}")
    for lab in LABS
    for gate in GATES
]


@pytest.fixture(scope="module")
def bench(request):
    with Bench(request.param, COURSE, every=EVERY.get(request.param, 1), first=FIRST) as bench:
        yield bench


@pytest.mark.timeout(900)  # a lab has up to some two hundred wrong solutions to try, on a machine that may be busy
@pytest.mark.parametrize(("bench", "gate"), CASES, indirect=["bench"])
def test_lab_passes(bench, gate):
    if gate.name == "warnings-cost-nothing" and bench.lab.id in IN_TURN and bench.lab.id != IN_TURN[FIRST % len(IN_TURN)]:
        pytest.skip(f"another lab has its turn; LAB_SAMPLE={IN_TURN.index(bench.lab.id)} gives it to this one")
    result = passed(bench, gate)
    assert result.problems == (), f"{result.measured}; to repeat: LAB_SAMPLE={FIRST}"


def test_every_folder_in_labs_comes_from_a_source():
    assert {p.name for p in COURSE.labs.iterdir() if p.is_dir()} == set(LABS)
    assert [r for r in check(None, COURSE, only=["grade-ids"]) if not r.passed] == []


def test_papermill_runs_the_first_labs_solution_notebook_to_its_end(tmp_path, monkeypatch):
    """The other labs' solutions run in a kernel once, under the gate solution-earns-all."""
    monkeypatch.setenv("NBGRADER_EXECUTION", "validate")  # then a test that pays less than all its points raises
    folder = shutil.copytree(build_source(LABS[0]), tmp_path / LABS[0])
    papermill.execute_notebook(folder / f"{LABS[0]}.ipynb", None, cwd=folder, progress_bar=False, log_output=False)


@pytest.mark.parametrize("lab", [pytest.param(lab, marks=pytest.mark.slow if lab != LABS[0] else ()) for lab in LABS])
def test_papermill_stops_the_released_notebook_at_its_first_test_because_nothing_is_written_yet(lab, tmp_path):
    folder = shutil.copytree(COURSE.labs / lab, tmp_path / lab)
    output = tmp_path / "out.ipynb"
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        papermill.execute_notebook(folder / f"{lab}.ipynb", output, cwd=folder, progress_bar=False, log_output=False)
    assert caught.value.ename == "NotImplementedError"
    assert "not written yet" in caught.value.evalue
    cells = papermill.iorw.load_notebook_node(str(output)).cells
    failed = next(c for c in cells if any(o.output_type == "error" for o in c.get("outputs", [])))
    first = next(c for c in cells if c.metadata.get("nbgrader", {}).get("grade") and c.cell_type == "code")
    assert failed.id == first.id
