"""Tokens on disk: NumPy files that are mapped into memory, and an index with their lengths and checksums.

NumPy's own format, so that any tool can read a shard; an index, so that a run can say which data it was trained on.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_lib.distributed.errors import TrainingSetupError, check_count

INDEX = "index.json"
Tokens = NDArray[np.integer[Any]]


class ShardError(ValueError):
    """A folder of shards is missing, incomplete or not what its index says."""


@dataclass(frozen=True)
class Shard:
    """One file: its name, how many tokens it has, and the SHA-256 of its bytes."""

    name: str
    tokens: int
    sha256: str


@dataclass(frozen=True)
class ShardedTokens:
    """A folder of shards, opened for reading; may be handed to other processes and threads.

    Args:
        folder: where they are.
        vocab_size: every token is below it.
        shards: in the order of the original text.
    """

    folder: Path
    vocab_size: int
    shards: tuple[Shard, ...]
    _maps: dict[int, Tokens] = field(default_factory=dict, repr=False, compare=False)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens in each shard."""
        return tuple(shard.tokens for shard in self.shards)

    @cached_property
    def fingerprint(self) -> str:
        """A checksum of all shards' checksums: equal for equal data in equal order."""
        return hashlib.sha256("".join(shard.sha256 for shard in self.shards).encode()).hexdigest()

    def read(self, shard: int, start: int, stop: int) -> Tokens:
        """A copy of tokens [start, stop) of one shard  # (stop - start,)."""
        if shard not in self._maps:
            self._maps[shard] = self._map(shard)
        return np.array(self._maps[shard][start:stop])

    def verify(self) -> None:
        """Read every byte and compare with the index.

        Raises:
            ShardError: for the first file whose bytes have changed.
        """
        for shard in self.shards:
            found = _sha256(self.folder / shard.name)
            if found != shard.sha256:
                raise ShardError(
                    f"{shard.name} has sha256={found[:12]}, the index says {shard.sha256[:12]}. Remedy: fetch it again."
                )

    def _map(self, number: int) -> Tokens:
        shard = self.shards[number]
        try:
            tokens: Tokens = np.load(self.folder / shard.name, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ShardError(
                f"{shard.name} in {self.folder} can't be read: {error}. Remedy: fetch it again."
            ) from error
        if tokens.shape != (shard.tokens,):
            raise ShardError(
                f"{shard.name} has shape={tokens.shape}, the index says ({shard.tokens},). Remedy: fetch it again."
            )
        return tokens

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder, self.vocab_size, self.shards)  # a map would travel as a copy of the data


def open_shards(folder: Path | str, *, verify: bool = False) -> ShardedTokens:
    """Open a folder that `write_shards` made.

    Args:
        folder: with index.json in it.
        verify: also read every byte and compare checksums; without it only lengths are compared.

    Returns:
        The shards.

    Raises:
        ShardError: for a missing or broken index, or a shard that is missing, too short or changed.
    """
    place = Path(folder)
    try:
        index = json.loads((place / INDEX).read_text())
        opened = ShardedTokens(place, index["vocab_size"], tuple(Shard(**row) for row in index["shards"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ShardError(
            f"no index of shards in {place}: {error}. Remedy: write_shards({place.name!r}, ...)."
        ) from error
    for number in range(len(opened.shards)):
        opened.read(number, 0, 0)
    if verify:
        opened.verify()
    return opened


def write_shards(
    folder: Path | str, tokens: Tokens | Iterable[Tokens], shard_tokens: int, vocab_size: int
) -> ShardedTokens:
    """Write tokens into shards; the folder appears when it is complete, or not at all.

    Args:
        folder: to make; must not exist yet.
        tokens: one array (tokens,), or many that are joined; never more than one shard is held in memory.
        shard_tokens: tokens per file, the last one aside.
        vocab_size: tokens are below it; up to 65,536 they take two bytes each, else four.

    Returns:
        The shards, opened.

    Raises:
        TrainingSetupError: for a token outside of the vocabulary, no tokens at all, or a number out of range.
        ShardError: when the folder exists.
    """
    check_count("shard_tokens", shard_tokens, minimum=2)
    check_count("vocab_size", vocab_size)
    place = Path(folder)
    if place.exists():
        raise ShardError(f"{place} exists. Remedy: another folder, or remove that one.")
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        dtype = np.uint16 if vocab_size <= 2**16 else np.uint32
        shards = []
        for number, piece in enumerate(_cut(tokens, shard_tokens)):
            _check_tokens(piece, vocab_size)
            path = unfinished / f"{number:05d}.npy"
            with path.open("wb") as file:
                np.save(file, piece.astype(dtype), allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            shards.append(Shard(path.name, len(piece), _sha256(path)))
        if not shards:
            raise TrainingSetupError.of("tokens", 0, "must be at least 1", "give an array with tokens in it")
        with (unfinished / INDEX).open("w") as file:
            json.dump({"vocab_size": vocab_size, "shards": [asdict(shard) for shard in shards]}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(0o755)  # mkdtemp's are for their owner alone
        unfinished.rename(place)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return open_shards(place)


def _cut(tokens: Tokens | Iterable[Tokens], size: int) -> Iterator[Tokens]:
    """Pieces of `size` tokens from arrays of any lengths; the last may be shorter."""
    held: list[Tokens] = []
    count = 0
    for array in [tokens] if isinstance(tokens, np.ndarray) else tokens:
        if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
            raise TrainingSetupError.of(
                "tokens", f"{array.dtype} of shape {array.shape}", "must be whole numbers in one row", "flatten them"
            )
        while len(array):
            part, array = array[: size - count], array[size - count :]
            held.append(part)
            count += len(part)
            if count == size:
                yield np.concatenate(held)
                held, count = [], 0
    if count:
        yield np.concatenate(held)


def _check_tokens(piece: Tokens, vocab_size: int) -> None:
    for extreme in (int(piece.min()), int(piece.max())):
        if not 0 <= extreme < vocab_size:
            raise TrainingSetupError.of(
                "token", extreme, f"is not in 0 to {vocab_size - 1}", "give the tokenizer's vocab_size"
            )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
