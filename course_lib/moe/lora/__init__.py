"""LoRA on experts, router and attention, with adapter files that peft reads and writes."""

from course_lib.moe.lora.apply import adapter_names, apply_lora, remove_lora, use_adapter
from course_lib.moe.lora.config import LoRAConfig
from course_lib.moe.lora.merge import merge_lora, unmerge_lora
from course_lib.moe.lora.peft_files import load_adapter, save_adapter
from course_lib.moe.lora.report import PartReport, TrainableReport, trainable_report

__all__ = [
    "LoRAConfig",
    "PartReport",
    "TrainableReport",
    "adapter_names",
    "apply_lora",
    "load_adapter",
    "merge_lora",
    "remove_lora",
    "save_adapter",
    "trainable_report",
    "unmerge_lora",
    "use_adapter",
]
