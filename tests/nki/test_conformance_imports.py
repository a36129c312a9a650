"""Oracle: the migration guide: `neuronxcc.nki` is gone; kernels still import its module of annotations, that alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

_BEGIN = "import course_lib.nki as simulator; simulator.activate(quiet=True); "


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", _BEGIN + code], capture_output=True, text=True, check=False)


def test_annotations_of_the_old_package_can_be_imported() -> None:
    done = _run("import neuronxcc.nki.typing as nt; print(nt.tensor[3, 4].shape, nt.mutable_tensor.__name__)")
    assert done.stdout.split() == ["(3,", "4)", "mutable_tensor"], done.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import neuronxcc.nki as nki",
        "import neuronxcc.nki.language",
        "import neuronxcc.nki.typing; import neuronxcc.nki as nki; nki.jit",
    ],
)
def test_nothing_else_of_the_old_package_can(code: str) -> None:
    done = _run(code)
    assert done.returncode != 0
    assert "ImportError" in done.stderr
    assert "import nki.language as nl" in done.stderr
