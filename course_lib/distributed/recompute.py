"""Activation checkpointing and compilation, block by block: what is done to a model before it is sharded.

Both leave the modules and the names of their weights as they are: only what a block's call runs is exchanged. Their
order in a build is tensor parallelism, recomputation, compilation, sharding: each wraps what the one before has made.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.distributed._functional_collectives import AsyncCollectiveTensor
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from course_lib.distributed.config import CHOICES, Recomputation
from course_lib.distributed.dtensors import local
from course_lib.distributed.errors import TrainingSetupError
from course_lib.models import Block, FeedForward


def apply_recomputation(model: nn.Module, mode: Recomputation) -> None:
    """Make a model forget activations in the forward pass and compute them again in the backward pass.

    Args:
        model: holds `Block`s; changed in place. Tensor and context parallelism have been applied already.
        mode: "none"; "selective" for the attention cores, whose scores grow with the square of the sequence; "full" for
            whole blocks, of which the input alone is kept.

    Raises:
        TrainingSetupError: for an unknown mode.

    Source: Chen et al. 2016 (arXiv:1604.06174) for whole blocks; Korthikanti et al. 2022 (arXiv:2205.05198) section 5
        for the attention core.
    """
    if mode not in CHOICES["recomputation"]:
        remedy = f"use one of {', '.join(CHOICES['recomputation'])}"
        raise TrainingSetupError.of("recomputation", mode, "is not known", remedy)
    for block in blocks_of(model):
        if mode == "full":
            dense = isinstance(block.feed_forward, FeedForward)
            block.forward = _recomputed(block.forward, keep_choices=not dense)  # type: ignore[method-assign]
        elif mode == "selective":
            block.attention.core = _recomputed(block.attention.core)


def apply_compile(model: nn.Module) -> None:
    """Put each block through torch.compile; all blocks are alike, so that one compilation serves every one.

    Args:
        model: holds `Block`s; changed in place.
    """
    for block in blocks_of(model):
        # the forward alone: the hooks by which a block is sharded run outside of the compiled code
        block.forward = torch.compile(block.forward)  # type: ignore[method-assign]


def blocks_of(model: nn.Module) -> Iterator[Block]:
    """The transformer blocks of a model, first to last, however it is wrapped."""
    return (module for module in model.modules() if isinstance(module, Block))


def saved_activation_bytes(model: nn.Module, call: Callable[[], Tensor]) -> int:
    """Bytes that autograd keeps between the forward and the backward pass, the model's own weights left out.

    Args:
        model: whose weights are not counted.
        call: runs the forward pass, such as `lambda: model(tokens)`.

    Returns:
        Bytes of all distinct storages that were saved, of a tensor that ranks share this rank's part. Under autocast,
        copies of weights in bf16 are among them.
    """
    weights = {_storage(parameter).data_ptr() for parameter in model.parameters()}
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = _storage(tensor)
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # itself, it would keep the graph alive that keeps it: nothing were ever freed

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = call()
    del result  # until here it kept what was saved alive, so that no address was used twice
    return sum(saved.values())


def _recomputed(call: Callable[..., Tensor], keep_choices: bool = False) -> Callable[..., Tensor]:
    """A call of which only the input is kept, and with `keep_choices` what routers chose.

    A router that decides again may decide otherwise where two experts score alike and the second pass rounds in
    another order: gradients would then belong to a forward pass that never was.
    """
    if not keep_choices:
        return functools.partial(checkpoint, call, use_reentrant=False)
    contexts = functools.partial(create_selective_checkpoint_contexts, _kept)
    return functools.partial(checkpoint, call, use_reentrant=False, context_fn=contexts)


def _kept(_context: object, operator: object, *_args: object, **_options: object) -> CheckpointPolicy:
    chooses = operator in (torch.ops.aten.topk.default, torch.ops.aten.sort.stable)
    return CheckpointPolicy.MUST_SAVE if chooses else CheckpointPolicy.PREFER_RECOMPUTE


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    """The memory behind a tensor on this rank."""
    tensor = local(tensor)
    if isinstance(tensor, AsyncCollectiveTensor):
        tensor = tensor.wait()
    return tensor.untyped_storage()
