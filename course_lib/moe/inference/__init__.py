"""Inference: a paged key-value cache, continuous batching, few-bit weights, experts on disk, exported programs."""

from course_lib.moe.inference.batched_decoder import BatchedDecoder, Emitted
from course_lib.moe.inference.cache import PagedCache
from course_lib.moe.inference.compiled import CompiledDecoder
from course_lib.moe.inference.expert_cache import LayerHits, Offloaded, offload
from course_lib.moe.inference.export import DecodeStep, export_decode_step, export_forward
from course_lib.moe.inference.forward import cached_forward
from course_lib.moe.inference.generate import generate
from course_lib.moe.inference.quantization import (
    MemoryReport,
    load_quantized,
    memory_report,
    quantize,
    save_quantized,
)
from course_lib.moe.inference.sampling import Sampling
from course_lib.moe.inference.speculative import Speculation, generate_speculatively

__all__ = [
    "BatchedDecoder",
    "CompiledDecoder",
    "DecodeStep",
    "Emitted",
    "LayerHits",
    "MemoryReport",
    "Offloaded",
    "PagedCache",
    "Sampling",
    "Speculation",
    "cached_forward",
    "export_decode_step",
    "export_forward",
    "generate",
    "generate_speculatively",
    "load_quantized",
    "memory_report",
    "offload",
    "quantize",
    "save_quantized",
]
