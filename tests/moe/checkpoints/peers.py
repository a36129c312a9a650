"""Small random models of transformers, and what the tests ask of them."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

LAYOUTS = ["mixtral", "olmoe", "qwen3_moe"]
SHAPE = {
    "vocab_size": 96,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_experts_per_tok": 2,
    "max_position_embeddings": 64,
    "intermediate_size": 48,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}


def peer(layout: str, dtype: torch.dtype = torch.float32, seed: int = 0, **options: object) -> torch.nn.Module:
    """A model of transformers with weights large enough that every part of it moves the logits."""
    import transformers

    classes = {
        "mixtral": (transformers.MixtralConfig, transformers.MixtralForCausalLM, {"num_local_experts": 4}),
        "olmoe": (transformers.OlmoeConfig, transformers.OlmoeForCausalLM, {"num_experts": 4}),
        "qwen3_moe": (
            transformers.Qwen3MoeConfig,
            transformers.Qwen3MoeForCausalLM,
            {"num_experts": 4, "moe_intermediate_size": 24, "head_dim": 16},
        ),
    }
    config_class, model_class, own = classes[layout]
    torch.manual_seed(seed)
    model = model_class(config_class(**{**SHAPE, **own, **options})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.to(dtype)


def save_fused(model: torch.nn.Module, folder: Path) -> None:
    """The names and shapes of the live module of transformers 5, written by safetensors itself."""
    folder.mkdir()
    model.config.save_pretrained(folder)
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    save_file({k: v for k, v in model.state_dict().items() if k not in tied}, folder / "model.safetensors")


def files_of(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder's safetensors files, read by the safetensors library."""
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(path)
    return tensors


def as_bytes(tensor: torch.Tensor) -> bytes:
    """Its memory: unlike ==, tells -0.0 from 0.0 and one NaN from another."""
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def tokens(seed: int = 0) -> torch.Tensor:
    """(2, 40) of int64."""
    return torch.randint(0, SHAPE["vocab_size"], (2, 40), generator=torch.Generator().manual_seed(seed))


def rewrite(folder: Path, change) -> None:
    """Read a folder's only file, change its tensors, write it again."""
    path = folder / "model.safetensors"
    tensors = {name: value.clone() for name, value in load_file(path).items()}
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def copy_of(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target
