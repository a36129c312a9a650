"""An error in a notebook's cell names the cell. Oracle: the number that IPython itself gives to the cell."""

import os
import subprocess
import sys

CELL = """\
from course_lib import nki
from course_lib.nki import language as nl

def kernel(x):
    nl.ndarray((129, 4), dtype=nl.float32, buffer=nl.sbuf)

try:
    nki.simulate(kernel)(1)
except nki.NkiValidationError as error:
    print(get_ipython().execution_count, str(error).split(": ")[0])
"""


def test_an_error_names_the_cell_and_the_line_in_it(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--HistoryManager.enabled=False", "-c", CELL],
        env=os.environ | {"IPYTHONDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    number, where = done.stdout.split()
    assert where == f"In[{number}]:5"
