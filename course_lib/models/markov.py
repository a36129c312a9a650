"""Synthetic text whose entropy is known: a model that has learned it shows that loss and no lower one.

Each token depends on the one before it through a random table, so that the best loss anyone can reach is the chain's
entropy rate, which follows from the table alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

MOST_TOKENS = 4096  # the table has vocab_size**2 entries


class MarkovText:
    """A first-order Markov chain over `vocab_size` tokens.

    Args:
        vocab_size: number of tokens, 2 to 4096.
        seed: of the table.
        sharpness: 0 makes all successors equally likely; the larger, the fewer are likely, the lower the entropy.

    Raises:
        ValueError: for a number out of range.

    Source: Cover & Thomas 2006, "Elements of Information Theory", theorem 4.2.4, for the entropy rate.
    """

    def __init__(self, vocab_size: int = 64, seed: int = 0, sharpness: float = 3.0) -> None:
        if isinstance(vocab_size, bool) or not isinstance(vocab_size, int) or not 2 <= vocab_size <= MOST_TOKENS:
            raise ValueError(
                f"vocab_size={vocab_size!r} must be a whole number from 2 to {MOST_TOKENS}. Remedy: try 64."
            )
        if not 0 <= sharpness <= 100:
            raise ValueError(
                f"sharpness={sharpness!r} must be from 0 to 100. Remedy: 3 gives text that can be learned."
            )
        self.vocab_size = vocab_size
        generator = torch.Generator().manual_seed(seed)
        scores = torch.randn(vocab_size, vocab_size, generator=generator, dtype=torch.float64) * sharpness
        self.transitions = scores.softmax(dim=1)  # (vocab, vocab): row = the token before
        self.stationary = self._stationary()  # (vocab,)

    def _stationary(self) -> Tensor:
        """The share of each token in endless text: the left eigenvector of the table for eigenvalue 1."""
        n = self.vocab_size
        balance = self.transitions.T - torch.eye(n, dtype=torch.float64)  # (vocab, vocab)
        system = torch.cat((balance, torch.ones(1, n, dtype=torch.float64)))
        right = torch.zeros(n + 1, 1, dtype=torch.float64)
        right[-1] = 1.0
        shares: Tensor = torch.linalg.lstsq(system, right).solution.squeeze(1).clamp_min(0)
        return shares

    @property
    def entropy_rate(self) -> float:
        """Nats per token: the cross-entropy of a perfect model."""
        surprise = -(self.transitions * self.transitions.clamp_min(1e-300).log()).sum(dim=1)  # (vocab,)
        return float((self.stationary * surprise).sum())

    def sample(self, sequences: int, length: int, seed: int) -> Tensor:
        """Draw text.

        Args:
            sequences: how many.
            length: tokens of each.
            seed: of this draw; the same seed draws the same text.

        Returns:
            (sequences, length), int64.
        """
        generator = torch.Generator().manual_seed(seed)
        tokens = torch.empty(sequences, length, dtype=torch.int64)  # (sequences, length)
        last = torch.multinomial(self.stationary, sequences, replacement=True, generator=generator)  # (sequences,)
        tokens[:, 0] = last
        for i in range(1, length):
            last = torch.multinomial(self.transitions[last], 1, generator=generator).squeeze(1)
            tokens[:, i] = last
        return tokens
