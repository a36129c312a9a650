"""The safetensors files of a checkpoint's folder: what they hold, read in small parts, written in one pass.

Reading goes through the safetensors library, which maps a file into memory; the mapping is dropped every 16 MiB, or
the file would count twice. Writing is our own, since the library first copies all tensors of a file: the format is a
length, a JSON header and the bytes.

Source: https://github.com/huggingface/safetensors (format), and transformers for `model.safetensors.index.json`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from course_lib.moe.errors import MoEError

INDEX, WHOLE = "model.safetensors.index.json", "model.safetensors"
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
CODES = {dtype: code for code, dtype in DTYPES.items()}
MAPPED_BYTES = 2**24


@dataclass(frozen=True)
class Stored:
    """A tensor in a file.

    Args:
        file: that holds it.
        shape: of the tensor.
        code: safetensors' word for its type, such as "BF16".
    """

    file: Path
    shape: tuple[int, ...]
    code: str


def stored_tensors(folder: Path) -> dict[str, Stored]:
    """All tensors of a checkpoint by name, from the headers alone.

    Raises:
        MoEError: when there is no safetensors file, one named in the index is missing, or one is cut off.
    """
    found: dict[str, Stored] = {}
    for path in _files(folder):
        with _opened(path) as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                part = file.get_slice(name)
                found[name] = Stored(path, tuple(part.get_shape()), part.get_dtype())
    return found


def read_into(targets: dict[str, Tensor], stored: dict[str, Stored]) -> None:
    """Copy tensors into memory that is there already, in the order of the files and a few MiB at a time.

    Args:
        targets: by name; another floating type than the file's is converted to.
        stored: where each lies.
    """
    for path in sorted({stored[name].file for name in targets}):
        names = iter([name for name in targets if stored[name].file == path])
        name, row = next(names, None), 0
        while name is not None:
            with _opened(path) as file:  # opened again and again: this is what drops the mapping
                budget = MAPPED_BYTES
                while name is not None and budget > 0:
                    target = targets[name]
                    rows = max(1, budget * len(target) // max(1, target.numel() * target.element_size()))
                    part = file.get_slice(name)[row : row + rows]  # (rows, ...)
                    target[row : row + rows].copy_(part)
                    budget -= part.numel() * part.element_size() + 1
                    row += rows
                    if row >= len(target):
                        name, row = next(names, None), 0


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of one small file.

    Raises:
        MoEError: when it is not there, or no whole safetensors file.
    """
    if not path.is_file():
        raise MoEError.of("file", str(path), "is not there", "give the folder of a checkpoint or adapter")
    with _opened(path) as file:
        return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - no mapping


def write_file(path: Path, tensors: Sequence[tuple[str, Tensor]]) -> None:
    """Write one safetensors file; each tensor goes to the disk from where it lies.

    Raises:
        MoEError: for a type that no checkpoint has.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors:
        if tensor.dtype not in CODES:
            known = ", ".join(str(dtype) for dtype in CODES)
            raise MoEError.of(name, tensor.dtype, f"is none of {known}", "convert the model: model.bfloat16()")
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors start where 8-byte numbers may
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, tensor in tensors:
            file.write(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        file.flush()
        os.fsync(file.fileno())


def write_shards(folder: Path, tensors: Sequence[tuple[str, Tensor]], max_shard_bytes: int) -> None:
    """Write a checkpoint's tensors as one file, or as several with an index."""
    shards = list(_shards(tensors, max_shard_bytes))
    if len(shards) == 1:
        write_file(folder / WHOLE, shards[0])
        return
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_file(folder / name, shard)
        weight_map |= {tensor: name for tensor, _ in shard}
    total = sum(tensor.numel() * tensor.element_size() for _, tensor in tensors)
    count = sum(tensor.numel() for _, tensor in tensors)
    index = {"metadata": {"total_parameters": count, "total_size": total}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")


def _shards(tensors: Sequence[tuple[str, Tensor]], most: int) -> Iterator[list[tuple[str, Tensor]]]:
    shard: list[tuple[str, Tensor]] = []
    held = 0
    for name, tensor in tensors:
        size = tensor.numel() * tensor.element_size()
        if shard and held + size > most:
            yield shard
            shard, held = [], 0
        shard.append((name, tensor))
        held += size
    yield shard


def _files(folder: Path) -> list[Path]:
    if (folder / WHOLE).is_file():
        return [folder / WHOLE]
    if not (folder / INDEX).is_file():
        present = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        limit = f"holds neither {WHOLE} nor {INDEX}, but {', '.join(present) or 'nothing'}"
        remedy = "give the folder of a checkpoint saved as safetensors; transformers' save_pretrained writes that"
        raise MoEError.of("folder", str(folder), limit, remedy)
    try:
        weight_map = json.loads((folder / INDEX).read_text())["weight_map"]
        names = sorted(set(weight_map.values()))
        paths = [folder / name for name in names if Path(name).name == name]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MoEError.of(INDEX, str(folder), f"can't be read ({error})", "fetch the file again") from error
    if len(paths) < len(names):
        raise MoEError.of(INDEX, names, "names files outside of its folder", "fetch the file again")
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        limit = f"of {len(names)} files named in {INDEX} are missing"
        raise MoEError.of("shards", missing, limit, "fetch them into the same folder")
    return paths


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        limit = f"({path.stat().st_size} bytes) is no whole safetensors file: {error}"
        raise MoEError.of("file", str(path), limit, "fetch it again; it may have been cut off") from error
