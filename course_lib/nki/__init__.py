"""A CPU simulator of AWS's Neuron Kernel Interface (NKI): kernels run unmodified, the machine's rules are enforced.

Source: Neuron documentation 2.32 and 2.33 (NKI 0.6 and 0.7).
"""

from course_lib.nki.errors import NkiValidationError
from course_lib.nki.kernel import Kernel, jit, simulate
from course_lib.nki.options import Options

__all__ = ["Kernel", "NkiValidationError", "Options", "jit", "simulate"]
