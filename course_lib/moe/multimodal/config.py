"""A training run of a model that reads images and text: `MoETrainConfig` and its dense twin with an image's shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from course_lib.distributed import Mean, TrainConfig
from course_lib.models import GPT
from course_lib.moe.compare import dense_twin
from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.model import moe_layers
from course_lib.moe.multimodal.entropy import EntropyLoss
from course_lib.moe.multimodal.modality import MODALITIES, check_modality, modality_number
from course_lib.moe.multimodal.model import ImageTextModel, mixture_core
from course_lib.moe.multimodal.patches import ImageShape
from course_lib.moe.training import MoETrainConfig, load_weights


@dataclass(frozen=True, kw_only=True)
class ImageTextConfig(MoETrainConfig):
    """`MoETrainConfig` for a mixture that reads images and text.

    Args:
        image: what images the model takes.
        bidirectional: whether patches see the whole image.
        wide_start: draw initial weights as wide as a narrow model needs them.
        image_experts: this many experts are for patches only and all others for words only; 0 leaves every expert to
            every token.
        entropy: LIMoE's losses by the name of their modality, "image" or "text".

    Raises:
        MoEError: for an unknown modality, groups that don't fit the router, and as `MoETrainConfig`.
    """

    image: ImageShape = field(default_factory=ImageShape)
    bidirectional: bool = True
    wide_start: bool = True
    image_experts: int = 0
    entropy: Mapping[str, EntropyLoss] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("image_experts", self.image_experts, minimum=0)
        for name, loss in self.entropy.items():
            modality_number(name)
            if not isinstance(loss, EntropyLoss):
                raise MoEError.of(f"entropy[{name!r}]", loss, "is no EntropyLoss", "use EntropyLoss(local=0.04)")
        if self.image_experts >= self.model.experts:
            told = f"leaves words none of {self.model.experts}"
            raise MoEError.of("image_experts", self.image_experts, told, "use fewer")

    def build_model(self) -> nn.Module:
        """The whole model with the run's initial weights, on the CPU."""
        moe = self.moe or MoEConfig.of(self.model)
        core = mixture_core(self.model, moe, self.image_experts, self.seed)
        model = image_text_model(core, self)
        if self.start is not None:
            load_weights(model, self.start)
        return model

    def extra_loss(self, model: nn.Module, mean: Mean) -> Tensor | None:
        """The layers' own losses, and for each layer and modality the losses of `entropy`.

        The entropies are of this rank's tokens of one microbatch.
        """
        usual = super().extra_loss(model, mean)
        terms = [] if usual is None else [usual]
        modality: Tensor | None = getattr(model, "modality", None)
        if self.entropy and modality is not None:
            choices = [layer.last_choice for layer in moe_layers(model) if layer.last_choice is not None]
            for choice in choices:
                check_modality(modality, len(choice.probabilities))
                for name, loss in self.entropy.items():
                    terms.append(loss.of(choice.probabilities[modality == MODALITIES.index(name)]))
        return torch.stack(terms).sum() if terms else None


@dataclass(frozen=True, kw_only=True)
class DenseImageTextConfig(TrainConfig):
    """`TrainConfig` for a dense model that reads images and text; see `ImageTextConfig` for the arguments."""

    image: ImageShape = field(default_factory=ImageShape)
    bidirectional: bool = True
    wide_start: bool = True

    def build_model(self) -> nn.Module:
        """The whole model with the run's initial weights, on the CPU."""
        core = GPT(self.model, seed=self.seed)
        return image_text_model(core, self)


def image_text_model(core: GPT, config: ImageTextConfig | DenseImageTextConfig) -> ImageTextModel:
    """A core with a config's images before it."""
    return ImageTextModel(
        core, config.image, bidirectional=config.bidirectional, seed=config.seed, wide_start=config.wide_start
    )


def dense_image_text(config: ImageTextConfig) -> DenseImageTextConfig:
    """The run of a mixture with the dense model in its place that does as much work for a token; all else is equal."""
    fields = {f.name: getattr(config, f.name) for f in dataclasses.fields(DenseImageTextConfig)}
    return DenseImageTextConfig(**(fields | {"model": dense_twin(config.model)}))
