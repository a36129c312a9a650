"""Experts on disk: one safetensors file for each layer, read expert by expert straight into memory that exists."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from types import TracebackType

import torch
from safetensors.torch import save_file
from torch import Tensor

from course_lib.moe.errors import MoEError
from course_lib.moe.experts import Experts

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}


def write_experts(experts: Experts, path: Path) -> None:
    """Write a layer's experts as tensors `<expert>.up` and `<expert>.down`."""
    tensors: dict[str, Tensor] = {}
    for number, (up, down) in enumerate(zip(experts.up.detach(), experts.down.detach(), strict=True)):
        tensors[f"{number}.up"], tensors[f"{number}.down"] = up.contiguous(), down.contiguous()
    save_file(tensors, path)


class ExpertFile:
    """One layer's file, open for reading.

    Args:
        path: that `write_experts` wrote.
        experts: how many it must hold.
        forget: tell the kernel after each read to drop what it read from its page cache, so that the next read comes
            from the disk. For measurements; without it a file that fits into free memory is read once and then copied.

    Raises:
        MoEError: for a file that is missing, cut off, no safetensors file, or without all experts.

    Source: https://github.com/huggingface/safetensors#format for the header.
    """

    def __init__(self, path: Path, experts: int, *, forget: bool = False) -> None:
        self.path, self._forget = path, forget
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise self._broken(f"can't be opened ({error.strerror})") from None
        try:
            self._places = self._read_header(experts)
        except BaseException:
            os.close(self._file)
            raise
        if forget and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_RANDOM)

    def _broken(self, why: str) -> MoEError:
        return MoEError.of("expert file", str(self.path), why, "write the experts again with offload(model, folder)")

    def _read_header(self, experts: int) -> dict[str, tuple[int, int, torch.dtype, tuple[int, ...]]]:
        size = os.fstat(self._file).st_size
        head = os.pread(self._file, 8, 0)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if 8 + length > size:
            raise self._broken(f"is no safetensors file, or cut off within its header ({size} bytes)")
        try:
            header = json.loads(os.pread(self._file, length, 8))
        except ValueError:
            raise self._broken("has a header that is no JSON") from None
        places = {}
        for number in range(experts):
            for part in ("up", "down"):
                name = f"{number}.{part}"
                if name not in header:
                    raise self._broken(f"lacks tensor {name!r}")
                entry = header[name]
                start, stop = entry["data_offsets"]
                if 8 + length + stop > size:
                    raise self._broken(f"is cut off: {name!r} ends at byte {8 + length + stop} of {size}")
                places[name] = (8 + length + start, stop - start, DTYPES[entry["dtype"]], tuple(entry["shape"]))
        return places

    def read(self, expert: int, up: Tensor, down: Tensor) -> int:
        """Read one expert into `up` (2 inner or inner, hidden) and `down` (hidden, inner), on any device.

        Returns:
            Bytes read.

        Raises:
            MoEError: when the file is closed, has other shapes, or ends early.
        """
        if self._file < 0:
            raise self._broken("is closed, as restore() leaves it")
        total = 0
        for part, into in (("up", up), ("down", down)):
            offset, count, dtype, shape = self._places[f"{expert}.{part}"]
            if shape != tuple(into.shape) or dtype != into.dtype:
                raise self._broken(f"holds {expert}.{part} as {dtype} {shape}, not {into.dtype} {tuple(into.shape)}")
            held = into if into.device.type == "cpu" else torch.empty(shape, dtype=dtype, device="cpu")
            # preadv lets other threads run Python while it waits for the disk
            view = memoryview(held.view(torch.uint8).view(-1).numpy())  # type: ignore[arg-type]
            got = 0
            while got < count:
                more = os.preadv(self._file, [view[got:]], offset + got)
                if not more:
                    raise self._broken(f"ended while expert {expert} was being read")
                got += more
            if self._forget and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(self._file, offset, count, os.POSIX_FADV_DONTNEED)
            if held is not into:
                into.copy_(held)
            total += count
        return total

    def close(self) -> None:
        """Close the file; once is enough."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> ExpertFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
