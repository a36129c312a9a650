"""How a gradient becomes a short message and back: top-k, random-k and sign.

A codec works on the gradients of one bucket, laid end to end. It chooses within each parameter, so that what is sent
does not depend on how parameters were grouped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Codec(Protocol):
    """One way to shorten gradients."""

    @property
    def gathers(self) -> bool:
        """True when messages differ in more than numbers to be added, so that everybody needs everybody's."""
        ...

    def encode(self, values: Tensor, sizes: Sequence[int], seeds: Sequence[int]) -> Tensor:
        """Make this rank's message.

        Args:
            values: (elements,) of float32, the gradients of some parameters end to end.
            sizes: elements of each parameter.
            seeds: of each parameter, the same on every rank, others each step.

        Returns:
            (length,): a length that depends on `sizes` alone.
        """
        ...

    def decode(self, messages: Tensor, sizes: Sequence[int], seeds: Sequence[int]) -> Tensor:
        """The mean of what some ranks' messages say.

        Args:
            messages: (ranks, length).
            sizes, seeds: as they were given to `encode`.

        Returns:
            (elements,) of float32.
        """
        ...


def kept(size: int, ratio: float) -> int:
    """Elements of a parameter that are sent: its share, rounded up."""
    return min(size, math.ceil(size * ratio))


@dataclass(frozen=True)
class TopK:
    """The largest elements of each parameter, with their places: 4 bytes of value and 4 of index for each.

    Source: Lin et al. 2018 (arXiv:1712.01887) section 3.1; Stich et al. 2018 (arXiv:1809.07599).
    """

    ratio: float
    gathers = True

    def encode(self, values: Tensor, sizes: Sequence[int], seeds: Sequence[int]) -> Tensor:
        """See `Codec`."""
        places = []
        start = 0
        for size, part in zip(sizes, torch.split(values.abs(), list(sizes)), strict=True):
            places.append(part.topk(kept(size, self.ratio), sorted=False).indices + start)
            start += size
        index = torch.cat(places)  # (kept,)
        return torch.cat((values[index].view(torch.int32), index.to(torch.int32)))  # (2 * kept,)

    def decode(self, messages: Tensor, sizes: Sequence[int], seeds: Sequence[int]) -> Tensor:
        """See `Codec`."""
        ranks, half = messages.shape[0], messages.shape[1] // 2
        total = torch.zeros(sum(sizes), device=messages.device)  # (elements,)
        for message in messages:  # one after the other: in another order a sum of floats would be another one
            total.index_add_(0, message[half:].long(), message[:half].view(torch.float32))
        return total / ranks


@dataclass(frozen=True)
class RandomK:
    """Elements of each parameter drawn with a seed that all ranks share: no index is sent, and an all-reduce will do.

    Source: Stich et al. 2018 (arXiv:1809.07599) definition 2.2.
    """

    ratio: float
    gathers = False

    def encode(self, values: Tensor, sizes: Sequence[int], seeds: Sequence[int]) -> Tensor:
        """See `Codec`."""
        return values[self._places(sizes, seeds).to(values.device)]  # (kept,)

    def decode(self, messages: Tensor, sizes: Sequence[int], seeds: Sequence[int]) -> Tensor:
        """See `Codec`."""
        out = torch.zeros(sum(sizes), device=messages.device)  # (elements,)
        out[self._places(sizes, seeds).to(messages.device)] = messages.mean(0)
        return out

    def _places(self, sizes: Sequence[int], seeds: Sequence[int]) -> Tensor:
        places = []
        start = 0
        for size, seed in zip(sizes, seeds, strict=True):
            generator = torch.Generator().manual_seed(seed)
            places.append(torch.randperm(size, generator=generator)[: kept(size, self.ratio)] + start)
            start += size
        return torch.cat(places)  # (kept,)


@dataclass(frozen=True)
class Sign:
    """One bit for each element, and for each parameter the mean of its absolute values.

    Source: Karimireddy et al. 2019 (arXiv:1901.09847) algorithm 1.
    """

    gathers = True

    def encode(self, values: Tensor, sizes: Sequence[int], seeds: Sequence[int]) -> Tensor:
        """See `Codec`."""
        scales = torch.stack([part.abs().mean() for part in torch.split(values, list(sizes))])  # (parameters,)
        bits = torch.nn.functional.pad((values >= 0).to(torch.uint8), (0, -len(values) % 8)).view(-1, 8)
        packed = (bits << _shifts(values.device)).sum(1, dtype=torch.uint8)  # (elements / 8,)
        return torch.cat((scales.view(torch.uint8), packed))

    def decode(self, messages: Tensor, sizes: Sequence[int], seeds: Sequence[int]) -> Tensor:
        """See `Codec`."""
        head = 4 * len(sizes)
        scales = messages[:, :head].flatten().view(torch.float32).view(-1, len(sizes))  # (ranks, parameters)
        bits = (messages[:, head:, None] >> _shifts(messages.device)) & 1  # (ranks, elements / 8, 8)
        signs = bits.flatten(1)[:, : sum(sizes)].float() * 2 - 1  # (ranks, elements)
        repeats = torch.tensor(list(sizes), device=messages.device)
        return (signs * scales.repeat_interleave(repeats, dim=1)).mean(0)


def _shifts(device: torch.device) -> Tensor:
    return torch.arange(8, dtype=torch.uint8, device=device)  # (8,)
