"""The room's door, and what passing through it costs."""

import subprocess
import sys

from course_lib.arithmetic import network


def test_the_door_hands_on_what_it_lists():
    """Oracle: `__all__`."""
    assert sorted(network.__all__) == list(network.__all__)
    assert all(hasattr(network, name) for name in network.__all__)


def test_simulating_and_fitting_load_neither_numpy_nor_torch():
    """Oracle: sys.modules of a fresh interpreter."""
    code = (
        "import sys\n"
        "from course_lib.arithmetic.network import *\n"
        "simulate(hierarchical('all_reduce', 8, 4), cluster_topology('p5.48xlarge', 4), 1e9)\n"
        "fit_alpha_beta([1, 2, 4, 8], [1, 2, 4, 8], 'all_reduce', 'ring', 4)\n"
        "print(sorted({'torch', 'pandas', 'numpy', 'networkx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
