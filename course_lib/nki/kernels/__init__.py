"""Kernels to read and to learn from, in the explicit style: allocate a tile, load it, compute, store it.

Each file is one kernel, top to bottom; each runs on the simulator and is written as it would be for a Trainium.
"""

from course_lib.nki.kernels.attention import flash_attention
from course_lib.nki.kernels.attention_backward import flash_attention_backward
from course_lib.nki.kernels.layernorm import layernorm
from course_lib.nki.kernels.matmul import matmul
from course_lib.nki.kernels.matmul_stages import matmul_blocked, matmul_blocked_free, matmul_hoisted, matmul_tiled
from course_lib.nki.kernels.pooling import average_pool2d
from course_lib.nki.kernels.quantized_matmul import quantized_matmul
from course_lib.nki.kernels.rmsnorm import rmsnorm
from course_lib.nki.kernels.rope import rope
from course_lib.nki.kernels.router import topk_router
from course_lib.nki.kernels.selective_scan import selective_scan
from course_lib.nki.kernels.softmax import softmax
from course_lib.nki.kernels.swiglu import swiglu, swiglu_backward
from course_lib.nki.kernels.tensor_add import tensor_add
from course_lib.nki.kernels.transpose import transpose

__all__ = [
    "average_pool2d",
    "flash_attention",
    "flash_attention_backward",
    "layernorm",
    "matmul",
    "matmul_blocked",
    "matmul_blocked_free",
    "matmul_hoisted",
    "matmul_tiled",
    "quantized_matmul",
    "rmsnorm",
    "rope",
    "selective_scan",
    "softmax",
    "swiglu",
    "swiglu_backward",
    "tensor_add",
    "topk_router",
    "transpose",
]
