"""What every test needs: the environment's commands on PATH, as an activated environment or `make` has them.

nbgrader starts `alembic`, and Jupyter its own commands, by name.
"""

import os
import sys
from pathlib import Path

os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
