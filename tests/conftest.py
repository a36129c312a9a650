"""What every test needs: the environment's commands on PATH, as an activated environment or `make` has them.

nbgrader starts `alembic`, and Jupyter its own commands, by name. And a busy machine fails no test for being slow:
Hypothesis gives each example 200 ms unless told otherwise.
"""

import os
import sys
from pathlib import Path

from hypothesis import settings

os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
settings.register_profile("no-deadline", parent=settings(), deadline=None)
settings.load_profile("no-deadline")
