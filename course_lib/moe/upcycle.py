"""Upcycling: a mixture that begins as the dense model it is made from, every expert a copy of its feed-forward block.

A token's k experts all say what the dense block would have said, and weights that sum to 1 leave it at that. Training
then makes the copies differ, from the dense model's loss on instead of from nothing.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from course_lib.models import GPT
from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError, check_count, check_not_negative
from course_lib.moe.model import MoEModel, has_experts


def upcycle(
    dense: GPT,
    experts: int = 8,
    experts_per_token: int = 2,
    *,
    noise: float = 0.0,
    seed: int = 0,
    first_dense_layers: int = 0,
    moe_every: int = 1,
    **options: Any,
) -> MoEModel:
    """A mixture of experts from a trained dense model.

    Without noise, capacity and `scale`, and with weights that sum to 1 (`normalize`, or softmax="after"), the logits
    are the dense model's, but for the rounding of that sum. A router whose weights don't sum to 1 starts from a worse
    model: Komatsuzaki et al. measure what that costs.

    Args:
        dense: the trained model.
        experts: of each mixture.
        experts_per_token: that a token visits.
        noise: normal noise added to each copy, relative to the standard deviation of the matrix it is added to; 0
            leaves all copies equal, and what makes them differ is that they see different tokens.
        seed: of the noise and of the routers' new matrices (normal, standard deviation 0.02).
        first_dense_layers, moe_every: which layers become mixtures, as in `ModelConfig`.
        **options: of `MoEConfig`, such as balance_loss.

    Returns:
        The mixture, which shares no memory with `dense`. `MoETrainConfig(start=upcycle(...).state_dict())` trains it.

    Raises:
        MoEError: for a model that has experts already, biases in its feed-forward blocks, or shared experts, which
            would add to the output.
        ValueError: for numbers that make no shape.

    Source: Komatsuzaki et al. 2022 (arXiv:2212.05055) section 3 and appendix B.
    """
    config = dense.config
    check_count("experts", experts)
    check_count("seed", seed, minimum=0)
    check_not_negative("noise", noise, "give 0.0, or 0.01")
    if config.experts:
        raise MoEError.of("dense", config.name, "has experts already", "give a dense model")
    if config.ffn_bias:
        raise MoEError.of("ffn_bias", True, f"of {config.name} has no place in an expert", "give a model without")
    shape = dataclasses.replace(
        config,
        name=f"{config.name}-upcycled",
        title="",
        experts=experts,
        experts_per_token=experts_per_token,
        expert_hidden_size=config.ffn_hidden_size,
        first_dense_layers=first_dense_layers,
        moe_every=moe_every,
    )
    if options.get("shared_experts"):
        raise MoEError.of("shared_experts", options["shared_experts"], "would add to the output", "leave them out")
    model = MoEModel(shape, MoEConfig.of(shape, **options), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    weights = {name: value.detach() for name, value in dense.state_dict().items()}
    mixed = {str(number) for number in range(config.layers) if has_experts(shape, number)}
    state = model.state_dict()  # what the dense model does not have keeps its new values: the routers
    for name, value in weights.items():
        layer, _, part = name.removeprefix("layers.").partition(".feed_forward.")
        if not part or layer not in mixed:
            state[name] = value
    for layer in sorted(mixed, key=int):
        block = f"layers.{layer}.feed_forward"
        first = [weights[f"{block}.{part}.weight"] for part in ("w1", "w3") if f"{block}.{part}.weight" in weights]
        up = torch.cat(first)  # (2 inner, hidden), gate rows first; (inner, hidden) without a gate
        down = weights[f"{block}.w2.weight"]  # (hidden, inner)
        state[f"{block}.experts.up"] = copies(up, experts, noise, generator)
        state[f"{block}.experts.down"] = copies(down, experts, noise, generator)
    model.load_state_dict(state)
    return model.to(next(dense.parameters()).dtype)


def copies(matrix: Tensor, experts: int, noise: float, generator: torch.Generator) -> Tensor:
    """(rows, columns) → (experts, rows, columns), each with its own noise relative to the matrix's deviation."""
    stacked = matrix.float().cpu().expand(experts, *matrix.shape)  # (experts, rows, columns)
    if not noise:
        return stacked.clone()
    return stacked + noise * matrix.float().std().cpu() * torch.randn(stacked.shape, generator=generator)
