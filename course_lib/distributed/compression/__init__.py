"""Fewer bytes for each gradient: halves, the largest, a few at random, signs or low-rank factors."""

from course_lib.distributed.compression.codecs import Codec, RandomK, Sign, TopK
from course_lib.distributed.compression.hooks import Feedback, Hook
from course_lib.distributed.compression.scheme import OPTIONS, Compression, compression
from course_lib.distributed.compression.traffic import Traffic, counted_traffic

__all__ = [
    "OPTIONS",
    "Codec",
    "Compression",
    "Feedback",
    "Hook",
    "RandomK",
    "Sign",
    "TopK",
    "Traffic",
    "compression",
    "counted_traffic",
]
