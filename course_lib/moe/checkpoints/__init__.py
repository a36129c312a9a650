"""Pretrained mixtures in Hugging Face's layouts: read into our model, written from it, bit for bit."""

from course_lib.moe.checkpoints.hf_config import config_from_hf, config_to_hf
from course_lib.moe.checkpoints.load import load_checkpoint
from course_lib.moe.checkpoints.save import save_checkpoint

__all__ = ["config_from_hf", "config_to_hf", "load_checkpoint", "save_checkpoint"]
