"""Which NeuronCore a kernel is built for.

Source: Neuron documentation 2.32, `nki.isa.get_nc_version`, `get_nc_sub_version`.
"""

from __future__ import annotations

from course_lib.nki.active import current_core, is_running
from course_lib.nki.constants import nc_version


def get_nc_version() -> nc_version:
    """The generation of the running kernel's target; outside a kernel, of the target that the environment names."""
    if is_running():
        return current_core().version
    from course_lib.nki.kernel import default_options

    return default_options().version


def get_nc_sub_version() -> int:
    """The silicon revision within the generation: always 0, the first, which is the documented default."""
    get_nc_version()
    return 0
