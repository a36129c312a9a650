"""How long a user waits before anything happens: the library's import and the command's help."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.ratio import Ratio, compare, process


def measure() -> list[Ratio]:
    """Imports against NumPy's, the command's help against pip's."""
    python = sys.executable
    course = str(Path(python).with_name("course"))
    numpy = process([python, "-c", "import numpy"])
    return [
        compare("import course_lib", process([python, "-c", "import course_lib"]), "import numpy", numpy),
        compare(
            "import course_lib.arithmetic",
            process([python, "-c", "import course_lib.arithmetic"]),
            "import numpy",
            numpy,
        ),
        compare("course --help", process([course, "--help"]), "pip --help", process([python, "-m", "pip", "--help"])),
    ]
