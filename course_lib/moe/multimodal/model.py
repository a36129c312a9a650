"""One model for images and text: patches and words are tokens of one sequence, read by the same blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.catalog import ModelConfig
from course_lib.models import GPT, Block
from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.layer import MoELayer
from course_lib.moe.model import NEEDS_IDS, MoEModel, has_experts, moe_layers
from course_lib.moe.multimodal.attention import PrefixAttention
from course_lib.moe.multimodal.modality import IMAGE, MODALITIES, TEXT
from course_lib.moe.multimodal.patches import ImageShape, PatchEmbedding
from course_lib.moe.routers import Task


class ModalityLayer(MoELayer):
    """A mixture that is told each token's modality, for a router that asks for it ("task").

    Attributes:
        modality: (tokens,) of int64 of the next forward pass.
    """

    modality: Tensor | None = None

    def forward(self, x: Tensor, ids: Tensor | None = None, task: Tensor | None = None) -> Tensor:
        """(..., hidden) -> (..., hidden)."""
        return super().forward(x, ids, self.modality if task is None else task)


class ModalityMoE(MoEModel):
    """`MoEModel` whose mixtures know each token's modality."""

    def make_block(self, number: int) -> Block:
        """A block with a `ModalityLayer` where the shape has experts."""
        if not has_experts(self.config, number):
            return super().make_block(number)
        return Block(self.config, ModalityLayer(self.moe, number))


class ImageTextModel(nn.Module):
    """A language model that reads images: their patches come first, words follow, and one stack of blocks reads both.

    Args:
        core: the blocks and the output matrix, dense or a mixture. Its word embedding is taken out and kept here.
        image: what images it takes.
        bidirectional: whether patches see the whole image; if not, each sees the patches before it only.
        seed: of the embedding of patches.
        wide_start: draw the initial weights again, as wide as a narrow model needs them; see `start_wide`.

    Attributes:
        modality: (batch * seq,) of int64, of the tokens of the last forward pass.

    Raises:
        MoEError: for a router that needs words' ids, which patches don't have, or tied embeddings.

    Source: Chameleon Team 2024 (arXiv:2405.09818) for early fusion, with discrete image tokens; Dosovitskiy
        et al. 2020 (arXiv:2010.11929) for patches.
    """

    def __init__(
        self, core: GPT, image: ImageShape, *, bidirectional: bool = True, seed: int = 0, wide_start: bool = True
    ) -> None:
        super().__init__()
        self.image, self.bidirectional, self.config = image, bidirectional, core.config
        router = getattr(getattr(core, "moe", None), "router", "")
        if router in NEEDS_IDS:
            raise MoEError.of("router", router, "needs ids, which patches don't have", "use 'topk'")
        if core.config.tied_embeddings:
            raise MoEError.of("tied_embeddings", True, "would tie patches to words", "use tied_embeddings=False")
        self.words, core.tok_embeddings = core.tok_embeddings, None  # what enters the core are hidden states
        self.patches = PatchEmbedding(image, core.config.hidden_size)
        self.core = core
        self.modality: Tensor | None = None
        start = 1 / image.patch_values**0.5  # a patch of ink and paper becomes a token of size 1 or so
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in (self.patches.projection.weight, self.patches.places):
                weight.copy_(torch.randn(weight.shape, generator=generator) * start)
            self.patches.projection.bias.zero_()
        if wide_start:
            start_wide(core, self.words)

    def forward(self, tokens: Tensor, pixels: Tensor | None = None) -> Tensor:
        """Logits of every next token.

        Args:
            tokens: (batch, seq) of int64, words' ids; with pixels, the first `image.patches` places are the image's and
                what stands there is not read.
            pixels: (batch, channels, height, width); None for text alone.

        Returns:
            (batch, seq, vocab).

        Raises:
            MoEError: for pixels that are no such images, not one for each row, or rows without a place for a word.
        """
        assert self.words is not None
        places = 0 if pixels is None else self.image.patches
        if pixels is not None and len(pixels) != len(tokens):
            raise MoEError.of("pixels", len(pixels), f"must be {len(tokens)} images", "give one for each row of tokens")
        if tokens.shape[1] <= places:
            told = f"leaves no place for a word behind {places} patches"
            raise MoEError.of("tokens", tuple(tokens.shape), told, f"give at least {places + 1} in a row")
        x = self.words(tokens[:, places:])  # (batch, words, hidden)
        if pixels is not None:
            x = torch.cat((self.patches(pixels), x), dim=1)  # (batch, seq, hidden)
        self.tell(modality_of(tokens, places), places)
        logits: Tensor = self.core(x)
        return logits

    def tell(self, modality: Tensor, places: int) -> None:
        """Let mixtures and attention know what stands where in the next pass."""
        self.modality = modality
        for layer in moe_layers(self):
            if isinstance(layer, ModalityLayer) and layer.config.router == "task":
                layer.modality = modality
        for block in self.core.layers.values():
            assert isinstance(block, Block)
            block.attention.core = PrefixAttention(places if self.bidirectional else 0)


def modality_of(tokens: Tensor, places: int) -> Tensor:
    """(batch * seq,) of int64: the first `places` tokens of each row are an image's, the others are text."""
    row = torch.full((tokens.shape[1],), TEXT, device=tokens.device)
    row[:places] = IMAGE
    return row.repeat(len(tokens))


def start_wide(core: GPT, words: nn.Module | None) -> None:
    """Scale the initial matrices from a standard deviation of 0.02 to 1 / sqrt(width), the routers' aside.

    0.02 suits a width of 2,500. At 64 every attention is even and every block nearly silent, and a model that has to
    look at an image takes hundreds of steps to find out that it can.

    Source: LeCun et al. 1998 ("Efficient BackProp") section 4.6 for 1 / sqrt(inputs).
    """
    width = core.config.hidden_size
    with torch.no_grad():
        for part in (core, words):
            for name, parameter in part.named_parameters() if part is not None else ():
                if parameter.dim() > 1 and ".router." not in name:
                    parameter.mul_(1 / (0.02 * width**0.5))


def mixture_core(config: ModelConfig, moe: MoEConfig, image_experts: int, seed: int) -> ModalityMoE:
    """The blocks of a mixture; with `image_experts`, the first so many are for patches only and the others for words.

    Raises:
        MoEError: when a group has fewer experts than a token visits, or for groups under another router than "task".

    Source: Lin et al. 2024 (arXiv:2407.21770) for groups of experts by modality with learned routing in each.
    """
    core = ModalityMoE(config, moe, seed=seed)
    if not image_experts:
        return core
    if moe.router != "task" or moe.tasks != len(MODALITIES):
        raise MoEError.of("router", moe.router, "knows no groups by modality", "use router='task', tasks=2")
    for layer in moe_layers(core):
        assert isinstance(layer.router, Task)
        layer.router.allow(IMAGE, list(range(image_experts)))
        layer.router.allow(TEXT, list(range(image_experts, moe.experts)))
    return core
