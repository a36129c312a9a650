"""A mixture that reads images and text: patches, questions about digits, routing by modality, LIMoE's losses."""

from course_lib.moe.multimodal.answers import accuracy, answers, blind_accuracy, sample
from course_lib.moe.multimodal.attention import PrefixAttention
from course_lib.moe.multimodal.config import DenseImageTextConfig, ImageTextConfig, dense_image_text
from course_lib.moe.multimodal.counts import ModalityCounts, routing_by_modality, table_of
from course_lib.moe.multimodal.digits import Digits, load_digits
from course_lib.moe.multimodal.engine import image_text_engine
from course_lib.moe.multimodal.entropy import EntropyLoss, global_entropy, local_entropy
from course_lib.moe.multimodal.examples import (
    KINDS,
    ImageTextBatch,
    ImageTextBatches,
    answer,
    question,
    quiz,
    rows_of,
    sequence_length,
)
from course_lib.moe.multimodal.modality import MODALITIES, check_modality
from course_lib.moe.multimodal.model import ImageTextModel
from course_lib.moe.multimodal.patches import ImageShape, PatchEmbedding, patchify
from course_lib.moe.multimodal.words import WORDS, decode, encode

__all__ = [
    "KINDS",
    "MODALITIES",
    "WORDS",
    "DenseImageTextConfig",
    "Digits",
    "EntropyLoss",
    "ImageShape",
    "ImageTextBatch",
    "ImageTextBatches",
    "ImageTextConfig",
    "ImageTextModel",
    "ModalityCounts",
    "PatchEmbedding",
    "PrefixAttention",
    "accuracy",
    "answer",
    "answers",
    "blind_accuracy",
    "check_modality",
    "decode",
    "dense_image_text",
    "encode",
    "global_entropy",
    "image_text_engine",
    "load_digits",
    "local_entropy",
    "patchify",
    "question",
    "quiz",
    "routing_by_modality",
    "rows_of",
    "sample",
    "sequence_length",
    "table_of",
]
