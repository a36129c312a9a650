"""Training runs whose layout and speed were published: what a predictor of step times is measured against.

A row holds what the source prints; what it leaves open (a microbatch size, the interleaving) stands in `assumed`.
"""

from functools import cache
from typing import Literal

from pydantic.dataclasses import dataclass

from course_lib.catalog.loader import load_csv
from course_lib.catalog.schema import ROW, Count, Date, NotNegative, Positive, Text

FILE = "training_runs.csv"

Unit = Literal[
    "s per step",
    "tokens per s",
    "tokens per s and device",
    "model TFLOP/s per device",
    "hardware TFLOP/s per device",
]


@dataclass(frozen=True, config=ROW)
class TrainingRun:
    """One published run.

    Args:
        name: key.
        paper: which publication; rows of one paper belong together.
        model: the model's name in the catalog; empty for a GPT shape given by the next four.
        layers, hidden_size, heads, vocab_size: a GPT shape; 0 where `model` says it all.
        parallel_blocks: attention and feed-forward side by side, behind one norm.
        accelerator: the chip's name in the catalog.
        devices, devices_per_node: accelerators in all and in one node.
        network_gbit_per_s_per_node: all network cards of one node, one direction.
        peak_share: share of the data sheet's matrix peak that this system's power limit leaves.
        memory_gb, memory_bandwidth_tb_per_s, link_gb_per_s: where the chip differs from the catalog's; 0 where not.
        tensor, pipeline, context, data, expert: degrees of parallelism.
        zero_stage: 0 to 3.
        schedule, virtual_stages: pipeline schedule.
        microbatches: sequences per microbatch; several, joined by "/", where the source prints none.
        recomputation: "none", "selective" or "full".
        sequence_parallel: norms and dropouts divided along the sequence.
        software: the training stack, a preset of the planner.
        dtype: format of the weight matmuls.
        global_batch: sequences per step.
        sequence_length: tokens per sequence.
        measured: the published speed.
        unit: its unit.
        memory_gib: published peak memory of one device, 2**30 bytes; 0 where not printed.
        source, date: where and when.
        assumed: what the source leaves open.
    """

    name: Text
    paper: Text
    accelerator: Text
    devices: Count
    devices_per_node: Count
    network_gbit_per_s_per_node: Positive
    recomputation: Literal["none", "selective", "full"]
    software: Text
    global_batch: Count
    sequence_length: Count
    measured: Positive
    unit: Unit
    source: Text
    date: Date
    model: str = ""
    layers: int = 0
    hidden_size: int = 0
    heads: int = 0
    vocab_size: int = 0
    parallel_blocks: bool = False
    peak_share: Positive = 1.0
    memory_gb: NotNegative = 0.0
    memory_bandwidth_tb_per_s: NotNegative = 0.0
    link_gb_per_s: NotNegative = 0.0
    tensor: Count = 1
    pipeline: Count = 1
    context: Count = 1
    data: Count = 1
    expert: Count = 1
    zero_stage: int = 0
    schedule: Text = "1f1b"
    virtual_stages: Count = 1
    microbatches: Text = "1"
    sequence_parallel: bool = True
    dtype: Text = "bf16"
    memory_gib: NotNegative = 0.0
    assumed: str = ""

    @property
    def microbatch_sizes(self) -> tuple[int, ...]:
        """Sequences per microbatch, each that the run may have used."""
        return tuple(int(size) for size in self.microbatches.split("/"))


@cache
def training_runs() -> tuple[TrainingRun, ...]:
    """Every published run, in the order of the file."""
    return tuple(load_csv(FILE, TrainingRun))
