"""The small GPT that all parts of the course train: any dense decoder of the catalog, written to be cut into pieces.

Module names follow Llama's, so that tensor-parallel plans written for torchtitan fit; a pipeline stage is the same
class with some of its modules missing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.catalog import ModelConfig
from course_lib.models.attention import Attention
from course_lib.models.feed_forward import FeedForward
from course_lib.models.norms import make_norm
from course_lib.models.supported import check_supported


class Block(nn.Module):
    """One transformer layer: attention and feed-forward, each behind a norm and beside a residual path."""

    def __init__(self, config: ModelConfig, feed_forward: nn.Module | None = None) -> None:
        super().__init__()
        self.attention_norm = make_norm(config)
        self.attention = Attention(config)
        self.ffn_norm = make_norm(config)
        self.feed_forward = FeedForward(config) if feed_forward is None else feed_forward

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """(batch, seq, hidden), (seq,) -> (batch, seq, hidden)."""
        x = x + self.attention(self.attention_norm(x), positions)
        out: Tensor = x + self.feed_forward(self.ffn_norm(x))
        return out


class GPT(nn.Module):
    """A dense decoder: token embedding, `config.layers` blocks, final norm, output matrix.

    A subclass may put something else in place of the blocks' feed-forward part: see `make_block`.

    Args:
        config: the shape; what this class can't build is refused.
        seed: of the initial weights, which depend on nothing else: every rank of every engine starts alike.

    Dropout is not applied, whatever the shape says: it would make no two engines comparable.

    Raises:
        ValueError: for a shape with experts, latent attention or an encoder.

    Source: Radford et al. 2019 for the initialization (0.02, scaled by 1/sqrt(2 layers) at the residual path);
        Touvron et al. 2023 (arXiv:2302.13971) for the gated, rotary variant.
    """

    has_experts = False

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__()
        check_supported(config, experts=self.has_experts)
        self.config = config
        self.tok_embeddings: nn.Module | None = nn.Embedding(config.vocab_size, config.hidden_size)
        self.pos_embeddings: nn.Module | None = None
        if config.learned_positions:
            self.pos_embeddings = nn.Embedding(config.learned_positions, config.hidden_size)
        self.layers = nn.ModuleDict({str(i): self.make_block(i) for i in range(config.layers)})
        self.norm: nn.Module | None = make_norm(config) if config.final_norm else None
        self.output: nn.Module | None = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.tie()
        self.initialize(seed)

    def tie(self) -> None:
        """Make the output matrix the embedding where the shape says so; again after either got another parameter."""
        if self.config.tied_embeddings and self.output is not None and self.tok_embeddings is not None:
            self.output.weight = self.tok_embeddings.weight

    def make_block(self, number: int) -> Block:
        """Block `number`, counted from the input; called while the model is being built."""
        return Block(self.config)

    def initialize(self, seed: int) -> None:
        """Set all weights from a seed, in the order of `named_parameters`; weights without storage stay as they are."""
        generator = torch.Generator().manual_seed(seed)
        residual = 0.02 / (2 * self.config.layers) ** 0.5
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.is_meta:
                    continue
                if name.endswith("bias"):
                    parameter.zero_()
                elif parameter.dim() == 1:
                    parameter.fill_(1.0)
                else:
                    std = residual if name.endswith(("wo.weight", "w2.weight", "experts.down")) else 0.02
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """Logits of every next token.

        Args:
            x: tokens (batch, seq); on a pipeline's later stages, hidden states (batch, seq, hidden).
            positions: (seq,) of the tokens in their sequence; 0, 1, ... when left out. A rank that holds a part of
                the sequence says which part.

        Returns:
            (batch, seq, vocab); hidden states where the output matrix lies on a later stage.
        """
        if positions is None:
            positions = torch.arange(x.shape[1], device=x.device)  # (seq,)
        if self.tok_embeddings is not None:
            x = self.tok_embeddings(x)  # (batch, seq, hidden)
            if self.pos_embeddings is not None:
                x = x + self.pos_embeddings(positions)
        for layer in self.layers.values():
            x = layer(x, positions)
        if self.norm is not None:
            x = self.norm(x)
        return x if self.output is None else self.output(x)


def language_model_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of the next token, in nats.

    Args:
        logits: (batch, seq, vocab) of any floating type; the softmax is taken in fp32.
        targets: (batch, seq), the tokens that did come next.

    Returns:
        A scalar.
    """
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
