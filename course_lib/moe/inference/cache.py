"""Keys and values of all running sequences in one preallocated store, handed out in blocks of a few tokens.

A sequence owns a list of blocks rather than one long row, so that sequences of any lengths share the store without
gaps; a step reads and writes it through a `Span`.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.models import GPT
from course_lib.moe.errors import MoEError, check_count


class PagedCache:
    """Room for the keys and values of `tokens` tokens in every layer.

    Args:
        layers: attention layers.
        kv_heads: key heads of each.
        head_dim: width of a head.
        tokens: of all sequences together, rounded up to whole blocks.
        block_size: tokens of a block.
        dtype: of keys and values.
        device: where they lie.

    Raises:
        MoEError: for a size below 1.

    Source: Kwon et al. 2023 (arXiv:2309.06180) section 4.1.
    """

    def __init__(
        self,
        *,
        layers: int,
        kv_heads: int,
        head_dim: int,
        tokens: int,
        block_size: int = 16,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        check_count("tokens", tokens)
        check_count("block_size", block_size)
        blocks = -(-tokens // block_size)
        # Block 0 is never given away: rows of a block table that are too short point to it, and it stays zero.
        shape = (layers, (blocks + 1) * block_size, kv_heads, head_dim)
        self.keys, self.values = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(2))
        self.block_size, self.tokens = block_size, blocks * block_size
        self._free = list(range(1, blocks + 1))  # ascending: a lone sequence gets neighbors and is read without a copy
        self._blocks: dict[int, list[int]] = {}
        self._lengths: dict[int, int] = {}
        self._next = 0

    @classmethod
    def of(cls, model: GPT, *, tokens: int, block_size: int = 16) -> PagedCache:
        """A cache for a model's layers, in the type of its embedding and on its device."""
        assert model.tok_embeddings is not None
        c = model.config
        table = next(model.tok_embeddings.parameters())
        return cls(
            layers=c.layers,
            kv_heads=c.kv_heads,
            head_dim=c.head_dim,
            tokens=tokens,
            block_size=block_size,
            dtype=table.dtype,
            device=table.device,
        )

    @property
    def device(self) -> torch.device:
        """Where keys and values lie, and so where the tokens to come belong."""
        return self.keys.device

    @property
    def free_tokens(self) -> int:
        """Tokens of the blocks that no sequence owns."""
        return len(self._free) * self.block_size

    @property
    def bytes_(self) -> int:
        """Bytes of keys and values."""
        return 2 * self.keys.numel() * self.keys.element_size()

    def fits(self, tokens: int) -> bool:
        """Whether a sequence of so many tokens can be opened now."""
        return tokens <= self.free_tokens

    def open(self, tokens: int) -> int:
        """Give a new sequence blocks for `tokens` tokens, all at once, so that it can never run out halfway.

        Returns:
            Its handle.

        Raises:
            MoEError: when the free blocks are too few.
        """
        check_count("tokens", tokens)
        if not self.fits(tokens):
            raise MoEError.of("tokens", tokens, f"do not fit into {self.free_tokens} free", "close a sequence first")
        count = -(-tokens // self.block_size)
        taken, self._free = self._free[:count], self._free[count:]
        for block in taken:
            # An attention weight of 0 times a NaN that a former owner left would still be NaN.
            rows = slice(block * self.block_size, (block + 1) * self.block_size)
            self.keys[:, rows].zero_()
            self.values[:, rows].zero_()
        handle, self._next = self._next, self._next + 1
        self._blocks[handle], self._lengths[handle] = taken, 0
        return handle

    def close(self, handle: int) -> None:
        """Take a sequence's blocks back."""
        for block in self._blocks.pop(handle):
            bisect.insort(self._free, block)
        del self._lengths[handle]

    def length(self, handle: int) -> int:
        """Tokens of a sequence that the cache holds."""
        return self._lengths[handle]

    def truncate(self, handle: int, length: int) -> None:
        """Forget all but a sequence's first `length` tokens; its blocks stay its own.

        Raises:
            MoEError: when it holds fewer.
        """
        held = self._lengths[handle]
        if not 0 <= length <= held:
            raise MoEError.of("length", length, f"must be from 0 to the {held} tokens held", "cut, don't extend")
        self._lengths[handle] = length

    def span(self, handles: Sequence[int], new: int) -> Span:
        """The next `new` tokens of each of some sequences.

        Raises:
            MoEError: when a sequence has no blocks left for them.
        """
        for handle in handles:
            room = len(self._blocks[handle]) * self.block_size
            if self._lengths[handle] + new > room:
                raise MoEError.of(
                    "new tokens", new, f"do not fit: {self._lengths[handle]} of {room} are used", "open it with more"
                )
        return Span(self, handles, new)

    def blocks(self, handle: int) -> list[int]:
        """A sequence's blocks in order."""
        return self._blocks[handle]

    def advance(self, handles: Sequence[int], new: int) -> None:
        """Count `new` tokens as held, once every layer has written them."""
        for handle in handles:
            self._lengths[handle] += new


class Span:
    """The place of `new` tokens of each of some sequences: where their keys go, and which keys they see.

    Attributes:
        positions: (sequences, new) of int64, of the tokens in their sequences.
    """

    def __init__(self, cache: PagedCache, handles: Sequence[int], new: int) -> None:
        size, device = cache.block_size, cache.device
        starts = [cache.length(handle) for handle in handles]
        self._cache, self._count, self._new = cache, len(handles), new
        self.longest = max(starts) + new
        each = torch.arange(new, device=device)  # (new,)
        self.positions = torch.tensor(starts, device=device)[:, None] + each  # (sequences, new)
        needed = -(-self.longest // size)
        lists = [cache.blocks(handle)[:needed] for handle in handles]
        padded = [blocks + [0] * (needed - len(blocks)) for blocks in lists]
        table = torch.tensor(padded, device=device)  # (sequences, needed)
        rows = table.gather(1, self.positions // size) * size + self.positions % size
        self._write = rows.flatten()  # (sequences * new,)
        self._first = lists[0][0] * size
        self._together = len(lists) == 1 and lists[0] == list(range(lists[0][0], lists[0][0] + needed))
        inside = torch.arange(size, device=device)  # (block,)
        self._read = (table[:, :, None] * size + inside).flatten(1)[:, : self.longest].flatten()
        self._mask: Tensor | None = None
        self._causal = new > 1 and self.longest == new
        if not self._causal and (new > 1 or self._count > 1):
            place = torch.arange(self.longest, device=device)  # (longest,)
            seen = place <= self.positions[:, :, None]  # (sequences, new, longest)
            self._mask = seen[:, None]

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write one layer's new keys and values, and read all of these sequences.

        Args:
            layer: its number.
            k, v: (sequences, kv_heads, new, head_dim).

        Returns:
            Keys and values, (sequences, kv_heads, longest, head_dim) each; rows beyond a sequence's end are zeros or
            leftovers that `attend` hides.
        """
        both = []
        for store, fresh in ((self._cache.keys[layer], k), (self._cache.values[layer], v)):
            store[self._write] = fresh.transpose(1, 2).flatten(0, 1)
            if self._together:
                read = store[self._first : self._first + self.longest]
            else:
                read = store.index_select(0, self._read)
            both.append(read.view(self._count, self.longest, *read.shape[1:]).transpose(1, 2))
        return both[0], both[1]

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Causal attention of new tokens over themselves and all that came before.

        Args:
            layer: its number.
            q: (sequences, heads, new, head_dim).
            k, v: (sequences, kv_heads, new, head_dim).

        Returns:
            (sequences, heads, new, head_dim).
        """
        keys, values = self.extend(layer, k, v)
        return F.scaled_dot_product_attention(
            q, keys, values, attn_mask=self._mask, is_causal=self._causal, enable_gqa=q.shape[1] != k.shape[1]
        )
