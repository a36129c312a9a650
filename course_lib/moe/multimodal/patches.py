"""An image as a row of tokens: cut into squares, each put through one matrix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.moe.errors import MoEError, check_count


@dataclass(frozen=True, kw_only=True)
class ImageShape:
    """What images a model takes, and how it cuts them.

    Args:
        height, width: in pixels.
        patch: side of a square patch in pixels; divides both.
        channels: 1 for gray, 3 for color.

    Raises:
        MoEError: for a number below 1, or a patch that does not divide the image.
    """

    height: int = 8
    width: int = 8
    patch: int = 2
    channels: int = 1

    def __post_init__(self) -> None:
        for name in ("height", "width", "patch", "channels"):
            check_count(name, getattr(self, name))
        for name in ("height", "width"):
            side = getattr(self, name)
            if side % self.patch:
                raise MoEError.of(
                    "patch", self.patch, f"does not divide {name}={side}", "use a divisor, or pad the image"
                )

    @property
    def patches(self) -> int:
        """Tokens of one image."""
        return (self.height // self.patch) * (self.width // self.patch)

    @property
    def patch_values(self) -> int:
        """Numbers in one patch."""
        return self.channels * self.patch**2


def patchify(pixels: Tensor, shape: ImageShape) -> Tensor:
    """Cut images into patches, from left to right and from top to bottom.

    Args:
        pixels: (images, channels, height, width), of any floating type.
        shape: of the images.

    Returns:
        (images, patches, channels * patch * patch), channel by channel, each row by row: the order in which
        `torch.nn.functional.unfold` and the weights of a convolution have them.

    Raises:
        MoEError: for images of another shape, whole numbers, or values that are not finite.

    Source: Dosovitskiy et al. 2020 (arXiv:2010.11929) section 3.1.
    """
    check_pixels(pixels, shape)
    p = shape.patch
    rows, columns = shape.height // p, shape.width // p
    grid = pixels.reshape(-1, shape.channels, rows, p, columns, p)  # (images, channels, rows, p, columns, p)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(len(pixels), rows * columns, shape.patch_values)


def check_pixels(pixels: Tensor, shape: ImageShape) -> None:
    """Raise `MoEError` unless these are finite images of this shape; compiled code does not look at the values."""
    wanted = (shape.channels, shape.height, shape.width)
    if pixels.dim() != 4 or tuple(pixels.shape[1:]) != wanted:
        told = f"must be (images, channels, height, width) = (images, {', '.join(map(str, wanted))})"
        raise MoEError.of("pixels", tuple(pixels.shape), told, "reshape or resize them, or change ImageShape")
    if not pixels.is_floating_point():
        raise MoEError.of("pixels.dtype", pixels.dtype, "must be a floating type", "divide by the largest value")
    if not torch.compiler.is_compiling() and not bool(pixels.isfinite().all()):
        bad = (~pixels.isfinite()).nonzero()
        image, channel, row, column = (int(place) for place in bad[0])
        raise MoEError.of(
            f"pixels[{image}, {channel}, {row}, {column}]",
            float(pixels[image, channel, row, column]),
            f"must be finite, as {len(bad)} of {pixels.numel()} are not",
            "look for a division by 0 where they are scaled",
        )


class PatchEmbedding(nn.Module):
    """Patch → W patch + b + what is learned for its place: tokens of the model's width.

    Args:
        shape: of the images.
        hidden_size: of the model.

    Source: Dosovitskiy et al. 2020 (arXiv:2010.11929) eq. 1, without its class token.
    """

    def __init__(self, shape: ImageShape, hidden_size: int) -> None:
        super().__init__()
        self.shape = shape
        self.projection = nn.Linear(shape.patch_values, hidden_size)
        self.places = nn.Parameter(torch.zeros(shape.patches, hidden_size))

    def forward(self, pixels: Tensor) -> Tensor:
        """(images, channels, height, width) -> (images, patches, hidden); raises as `patchify`."""
        return F.linear(patchify(pixels, self.shape), self.projection.weight, self.projection.bias) + self.places
