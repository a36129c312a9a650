"""From files to a model that can be served: a checkpoint's folder and a tokenizer.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from course_lib.moe import BatchedDecoder, MoEError, MoEModel, load_checkpoint, load_tokenizer, moe_config
from course_lib.runtime import HardwareError, hardware
from course_lib.serving.errors import ServingError
from course_lib.serving.served import ServedModel

TOKENIZER = "tokenizer.json"


def load_served(
    folder: str | Path,
    *,
    tokenizer: str | Path | None = None,
    name: str | None = None,
    slots: int = 8,
    cache_tokens: int | None = None,
    **options: Any,
) -> ServedModel:
    """Load a checkpoint of `save_checkpoint`, or one in Mixtral's or OLMoE's layout, to serve it.

    Args:
        folder: the checkpoint's.
        tokenizer: a tokenizer.json; the folder's own when left out.
        name: what clients call the model; the folder's name when left out.
        slots: sequences that run at once.
        cache_tokens: tokens that the key-value cache holds; `slots` full contexts when left out.
        options: of `load_checkpoint`.

    Raises:
        ServingError: without a tokenizer, or with another model's.
        MoEError: for a checkpoint that can't be loaded.
    """
    folder = Path(folder)
    model = load_checkpoint(folder, **options)
    read = read_tokenizer(folder / TOKENIZER if tokenizer is None else Path(tokenizer))
    decoder = BatchedDecoder(model, slots, cache_tokens)
    return ServedModel(name or folder.resolve().name, decoder, read, _end_tokens(folder, read))


def untrained(
    *,
    slots: int = 8,
    name: str = "untrained",
    context_length: int = 256,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> ServedModel:
    """A small model with random weights and the shipped text's tokenizer: nonsense, but served like any other.

    Args:
        slots: sequences that run at once.
        name: what clients call it.
        context_length: tokens of a sequence at most.
        seed: of the weights, which are drawn on the CPU: every device has the same.
        device: where it runs.
    """
    shipped = load_tokenizer()
    shape = moe_config(vocab_size=shipped.vocab_size, context_length=context_length)
    decoder = BatchedDecoder(MoEModel(shape, seed=seed).to(device), slots)
    return ServedModel(name, decoder, shipped.core, (shipped.end,))


def read_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer from its file.

    Raises:
        ServingError: when there is none, or it can't be read.
    """
    remedy = "give the model's tokenizer.json by --tokenizer"
    if not path.is_file():
        raise ServingError.of("tokenizer", str(path), "is no file", remedy)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers package raises nothing more special than this
        raise ServingError.of("tokenizer", str(path), f"can't be read: {error}", remedy) from error


def _end_tokens(folder: Path, tokenizer: Tokenizer) -> tuple[int, ...]:
    """What ends a text: as config.json says, else the tokenizer's own mark of an end."""
    told = json.loads((folder / "config.json").read_text()).get("eos_token_id")
    if isinstance(told, int):
        return (told,)
    if isinstance(told, list):
        return tuple(told)
    found = [tokenizer.token_to_id(mark) for mark in ("<|endoftext|>", "</s>")]
    return tuple(token for token in found if token is not None)


def served_or_raise(
    folder: str | None, *, tokenizer: str | None, name: str | None, slots: int, device: str = "auto"
) -> ServedModel:
    """`load_served`, or `untrained` without a folder, on a kind of `hardware`, with one kind of error for both."""
    try:
        where = hardware(device).device()
        if folder is None:
            return untrained(slots=slots, name=name or "untrained", device=where)
        return load_served(folder, tokenizer=tokenizer, name=name, slots=slots, device=where)
    except (MoEError, HardwareError) as error:
        raise ServingError(str(error)) from error
