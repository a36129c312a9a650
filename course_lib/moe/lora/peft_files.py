"""Adapter folders as Hugging Face's peft writes and reads them.

peft stacks the experts' A along rows, expert by expert, and their B along columns with the expert running fastest; of
two adapted parameters of one module, the first registered is the inner one (`base_layer`).

Source: peft 0.21, `tuners/lora/layer.py` (`ParamWrapper.get_delta_weight`), `utils/save_and_load.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from course_lib.moe.checkpoints.drafts import check_new, whole_folder
from course_lib.moe.checkpoints.files import read_tensors, write_file
from course_lib.moe.errors import MoEError
from course_lib.moe.lora.apply import adapter_names, apply_lora, remove_lora
from course_lib.moe.lora.config import LoRAConfig
from course_lib.moe.lora.report import TrainableReport
from course_lib.moe.lora.sites import Site, sites

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model.model.layers."
MODULES = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
}
PARAMETERS = {
    "router": "mlp.gate.weight",
    "experts.up": "mlp.experts.gate_up_proj",
    "experts.down": "mlp.experts.down_proj",
}
INNER = "mlp.experts.base_layer"  # `gate_up_proj`, where both of the experts' parameters are adapted
# what peft can do and we can't, with the value that means "no"
REFUSED: dict[str, Any] = {
    "use_dora": False,
    "use_qalora": False,
    "use_bdlora": None,
    "lora_bias": False,
    "fan_in_fan_out": False,
    "bias": "none",
    "modules_to_save": None,
    "layers_to_transform": None,
    "layer_replication": None,
    "trainable_token_indices": None,
    "rank_pattern": {},
    "alpha_pattern": {},
}


def save_adapter(model: nn.Module, folder: str | Path, *, name: str | None = None) -> Path:
    """Write an adapter so that peft loads it onto the transformers model of the same weights, and `load_adapter` here.

    Args:
        model: with adapters; merged or not.
        folder: to be made.
        name: of the adapter; may be left out where there is one.

    Returns:
        The folder.

    Raises:
        MoEError: for a name that the model does not have, adapters of shared experts, which peft's models lack, or a
            folder that is there already.
    """
    folder = Path(folder)
    check_new(folder)
    known = adapter_names(model)
    if name is None and len(known) == 1:
        name = known[0]
    if name not in known:
        limit = "is no adapter of this model"
        raise MoEError.of("name", name, limit, f"use one of {', '.join(known) or 'none: call apply_lora first'}")
    found = [site for site in sites(model) if name in site.adapters.configs]
    config = found[0].adapters.configs[name]
    matrices = {site.matrix for site in found}
    if unknown := sorted(matrices - MODULES.keys() - PARAMETERS.keys()):
        raise MoEError.of("model", unknown, "have no name in peft's files", "adapt a Mixtral, OLMoE or Qwen3 model")
    tensors: list[tuple[str, Tensor]] = []
    for site in found:
        factors = site.adapters.stored(name)
        a, b = factors.a.detach(), factors.b.detach()
        if a.dim() == 3:
            a, b = a.flatten(0, 1), b.permute(1, 2, 0).flatten(1)  # (experts * rank, in), (out, rank * experts)
        prefix = f"{PREFIX}{site.block}.{_module(site.matrix, matrices)}"
        tensors += [(f"{prefix}.lora_A.weight", a), (f"{prefix}.lora_B.weight", b)]
    about = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": config.rank,
        "lora_alpha": config.alpha or 2.0 * config.rank,
        "use_rslora": config.rank_stabilized,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": [MODULES[m].rpartition(".")[2] for m in MODULES if m in matrices],
        "target_parameters": [PARAMETERS[m] for m in PARAMETERS if m in matrices] or None,
    }
    with whole_folder(folder) as draft:
        write_file(draft / WEIGHTS, tensors)
        (draft / CONFIG).write_text(json.dumps(about, indent=2) + "\n")
    return folder


def load_adapter(model: nn.Module, folder: str | Path, *, name: str = "default") -> TrainableReport:
    """Apply an adapter that peft, or `save_adapter`, has written, and use it.

    Args:
        model: as for `apply_lora`, with the weights that the adapter was trained for.
        folder: with `adapter_config.json` and `adapter_model.safetensors`.
        name: to give to it.

    Returns:
        Which parameters train now.

    Raises:
        MoEError: for files that can't be read, a feature of peft that is not known here, or an adapter of another
            model: missing and extra tensors and wrong shapes are listed. The model is then as it was.
    """
    folder = Path(folder)
    config = _read_config(folder)
    tensors = read_tensors(folder / WEIGHTS)
    matrices = _matrices(tensors, config)
    if not matrices:
        raise MoEError.of("adapter", sorted(tensors), "adapts no matrix that is known here", "give another adapter")
    report = apply_lora(
        model,
        LoRAConfig(
            rank=config["r"],
            alpha=config["lora_alpha"],
            targets=tuple(matrices),
            rank_stabilized=bool(config.get("use_rslora", False)),
        ),
        name=name,
    )
    try:
        _fill([site for site in sites(model) if name in site.adapters.configs], set(matrices), tensors, name)
    except MoEError:
        remove_lora(model, name)
        raise
    return report


def _module(matrix: str, matrices: set[str]) -> str:
    """The module under which peft keeps a matrix's factors."""
    if matrix in MODULES:
        return MODULES[matrix]
    if matrix == "experts.up" and "experts.down" in matrices:
        return INNER
    return PARAMETERS[matrix].rpartition(".")[0]


def _matrices(names: Iterable[str], config: dict[str, Any]) -> list[str]:
    """The matrices that an adapter's tensors belong to."""
    modules = {name.removeprefix(PREFIX).partition(".")[2].rpartition(".lora_")[0] for name in names}
    found = [matrix for matrix, module in MODULES.items() if module in modules]
    found += ["router"] if "mlp.gate" in modules else []
    if INNER in modules:
        found += ["experts.up", "experts.down"]
    elif "mlp.experts" in modules:
        targets = [str(target).rpartition(".")[2] for target in config.get("target_parameters") or []]
        found.append("experts.up" if "gate_up_proj" in targets else "experts.down")
    return found


def _fill(found: list[Site], matrices: set[str], tensors: dict[str, Tensor], name: str) -> None:
    places: dict[str, tuple[nn.Parameter, Tensor | None]] = {}
    wrong = []
    for site in found:
        prefix = f"{PREFIX}{site.block}.{_module(site.matrix, matrices)}"
        a, b = site.adapters.a[name], site.adapters.b[name]
        for place, key in ((a, f"{prefix}.lora_A.weight"), (b, f"{prefix}.lora_B.weight")):
            places[key] = (place, None)
            if key in tensors:
                value, shape = tensors[key], _shape_in_file(place, is_a=place is a)
                if tuple(value.shape) != shape:
                    wrong.append(f"{key} is {tuple(value.shape)}, not {shape}")
                    continue
                if place.dim() == 3 and place is a:
                    value = value.view_as(place)
                elif place.dim() == 3:
                    value = value.view(*place.shape[1:], len(place)).permute(2, 0, 1)
                places[key] = (place, value)
    missing, extra = sorted(places.keys() - tensors.keys()), sorted(tensors.keys() - places.keys())
    told = [
        f"{len(names)} {what}: {', '.join(names)}"
        for what, names in (("missing", missing), ("extra", extra), ("of another shape", wrong))
        if names
    ]
    if told:
        remedy = "load it onto the model that it was trained for, whose layers, experts and widths it has"
        raise MoEError(f"The adapter's tensors do not fit this model; {'; '.join(told)}. Remedy: {remedy}.")
    for place, given in places.values():
        if given is not None:
            place.data.copy_(given)


def _shape_in_file(factor: Tensor, *, is_a: bool) -> tuple[int, ...]:
    if factor.dim() == 2:
        return tuple(factor.shape)
    experts, rows, columns = factor.shape
    return (experts * rows, columns) if is_a else (rows, columns * experts)


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text())
        kind, rank, alpha = config["peft_type"], config["r"], config["lora_alpha"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        limit = f"has no {CONFIG} to read ({error!r})"
        raise MoEError.of("folder", str(folder), limit, "give the folder of a LoRA adapter") from error
    if kind != "LORA":
        raise MoEError.of("peft_type", kind, "is no LoRA", "give the folder of a LoRA adapter")
    found = {key: config[key] for key, no in REFUSED.items() if config.get(key, no) not in (no, None)}
    if found:
        raise MoEError.of(CONFIG, found, "asks for what is not known here", "train the adapter without")
    return {**config, "r": rank, "lora_alpha": alpha}
