"""Adapters trained on several ranks. Oracle: the same run in one process, and the base's weights from before."""

import dataclasses

import pytest
import torch

from course_lib.moe import MoEConfig, MoETrainConfig, moe_config
from course_lib.moe.lora import LoRAConfig, apply_lora
from tests.distributed.curves import assert_equal_curves
from tests.moe.training.cases import trained


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoRATrainConfig(MoETrainConfig):
    """A run in which only adapters train."""

    lora: LoRAConfig = dataclasses.field(default_factory=LoRAConfig)

    def build_model(self):
        model = super().build_model()
        apply_lora(model, self.lora)
        return model


SHAPE = moe_config(layers=2, hidden_size=32, heads=4, vocab_size=32, experts=6)
CONFIG = LoRATrainConfig(
    model=SHAPE,
    moe=MoEConfig.of(SHAPE, balance_loss=0.01),
    lora=LoRAConfig(rank=4),
    sequence_length=8,
    global_batch=12,
    learning_rate=1e-2,
    weight_decay=0.1,
)
ENGINES = ("ddp", "fsdp")


@pytest.fixture(scope="module")
def two_ranks(launch_ranks):
    """One launch for both engines: rank 0's runs."""
    return launch_ranks(lambda: {engine: trained(engine, CONFIG) for engine in ENGINES}, 2)[0]


@pytest.fixture(scope="module")
def one_process():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return trained("single", CONFIG)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("engine", ENGINES)
def test_two_ranks_train_the_adapters_as_one_process_does(two_ranks, one_process, engine):
    assert_equal_curves(two_ranks[engine], one_process)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_base_stays_as_it_was_on_all_ranks_weight_decay_or_not(two_ranks, engine):
    """Oracle: the model as built from the seed, bit for bit."""
    built = CONFIG.build_model().state_dict()
    for name, value in two_ranks[engine].weights.items():
        is_adapter = any(part in name for part in (".lora.", ".lora_", "parametrizations.weight.0."))
        assert torch.equal(value, built[name]) != is_adapter, name
