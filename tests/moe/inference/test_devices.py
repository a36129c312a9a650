"""Generation on any device. Oracle: PyTorch's default device: what is made without naming the model's lands on it."""

import pytest
import torch

from course_lib.moe.inference import BatchedDecoder, Sampling, generate, generate_speculatively, offload, quantize
from tests.moe.inference.small_models import dense, mixture

PROMPT = [1, 2, 3]
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
# "meta" as default: a tensor that forgets the model's device has no values, and the first look at them raises.
DEVICES = [pytest.param("cpu", id="model-on-cpu"), pytest.param("cuda", id="model-on-gpu", marks=GPU)]


def elsewhere(device: str) -> torch.device:
    """A default device that is not the model's, as the CPU is not for a model on a GPU."""
    return torch.device("meta" if device == "cpu" else "cpu")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("build", [mixture, dense], ids=["mixture", "dense"])
def test_text_is_that_of_a_model_on_the_default_device(build, device):
    """Oracle: the same model where it was made; drawn text too, since a seed means the same on every device."""
    greedy, drawn = generate(build(), PROMPT, 20), generate(build(), PROMPT, 20, temperature=0.5, top_p=0.9, seed=3)
    model = build().to(device)
    with elsewhere(device):
        assert generate(model, PROMPT, 20) == greedy
        assert generate(model, PROMPT, 20, temperature=0.5, top_p=0.9, seed=3) == drawn
        assert generate_speculatively(model, PROMPT, 20).tokens == greedy


@pytest.mark.parametrize("device", DEVICES)
def test_sequences_of_a_batch_enter_at_different_times(device):
    """Oracle: each sequence's text alone."""
    prompts = [[1, 2, 3], [7], [9, 8, 7, 6, 5]]
    alone = [generate(mixture(), prompt, 9) for prompt in prompts]
    model = mixture().to(device)
    with elsewhere(device):
        decoder, texts = BatchedDecoder(model, max_sequences=3), {}
        for prompt in prompts:
            slot = decoder.admit(prompt, 9, Sampling(), read=1)
            texts[slot] = []
            assert decoder.read(slot, len(prompt)).device.type == device
            assert decoder.read(slot, 0).device.type == device
            for running, emitted in decoder.step().items():
                texts[running].append(emitted.token)
        while decoder.running:
            for running, emitted in decoder.step().items():
                texts[running].append(emitted.token)
    assert list(texts.values()) == alone


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scheme", ["int8", "int4", "nf4"])
def test_packed_weights_give_the_same_text(scheme, device):
    """Oracle: the same codes packed and unpacked where the model was made."""
    here = quantize(mixture(), scheme, group_size=16)
    text = generate(here, PROMPT, 20)
    model = mixture().to(device)
    with elsewhere(device):
        packed = quantize(model, scheme, group_size=16)
        for name, codes in here.named_buffers():
            assert torch.equal(dict(packed.named_buffers())[name].cpu(), codes)
        assert generate(packed, PROMPT, 20) == text


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("prefetch", [None, "router", "coactivation"])
def test_experts_come_from_disk_to_the_models_device(prefetch, device, tmp_path):
    """Oracle: the same model with all experts in memory."""
    text = generate(mixture(), PROMPT, 20)
    model = mixture().to(device)
    with elsewhere(device), offload(model, tmp_path, capacity=5, prefetch=prefetch) as offloaded:
        assert generate(model, PROMPT, 20) == text
        assert offloaded.hit_rate > 0
