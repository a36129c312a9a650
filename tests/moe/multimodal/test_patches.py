"""Patches of images. Oracle: torch's unfold, and transformers' ViTPatchEmbeddings with the same weights."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.moe import MoEError
from course_lib.moe.multimodal import ImageShape, PatchEmbedding, patchify
from tests.moe.multimodal.cases import random_images

SIDES = st.integers(1, 4)


@settings(max_examples=30)
@given(rows=SIDES, columns=SIDES, patch=SIDES, channels=st.integers(1, 3), count=st.integers(0, 3))
def test_patches_are_those_of_unfold(rows, columns, patch, channels, count):
    """Oracle: torch.nn.functional.unfold, to the last bit; also no images, and images that are not square."""
    shape = ImageShape(height=rows * patch, width=columns * patch, patch=patch, channels=channels)
    pixels = random_images(count, shape)
    found = patchify(pixels, shape)
    assert found.shape == (count, shape.patches, shape.patch_values)
    if count:
        assert torch.equal(found, F.unfold(pixels, patch, stride=patch).transpose(1, 2))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 4)])
def test_embeddings_are_vits_with_their_gradients(channels, height, width):
    """Oracle: transformers' ViTPatchEmbeddings, a convolution; values, and gradients of pixels and weights."""
    from transformers import ViTConfig
    from transformers.models.vit.modeling_vit import ViTPatchEmbeddings

    theirs = ViTPatchEmbeddings(
        ViTConfig(image_size=(height, width), patch_size=4, num_channels=channels, hidden_size=24)
    )
    shape = ImageShape(height=height, width=width, patch=4, channels=channels)
    ours = PatchEmbedding(shape, 24)
    with torch.no_grad():
        ours.projection.weight.copy_(theirs.projection.weight.flatten(1))
        ours.projection.bias.copy_(theirs.projection.bias)
    mine, other = (random_images(5, shape).requires_grad_() for _ in range(2))
    found, expected = ours(mine), theirs(other)
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(mine.grad, other.grad)
    torch.testing.assert_close(ours.projection.weight.grad, theirs.projection.weight.grad.flatten(1))
    torch.testing.assert_close(ours.projection.bias.grad, theirs.projection.bias.grad)


def test_a_place_is_added_to_its_patch():
    """Oracle: the difference of two outputs."""
    embedding = PatchEmbedding(ImageShape(), 12)
    pixels = random_images(2, ImageShape())
    before = embedding(pixels)
    with torch.no_grad():
        embedding.places[3] += torch.arange(12.0)
    expected = torch.zeros(2, 16, 12)
    expected[:, 3] = torch.arange(12.0)
    torch.testing.assert_close(embedding(pixels) - before, expected)


def with_value(value):
    pixels = torch.zeros(2, 1, 8, 8)
    pixels[1, 0, 2, 3] = value
    return pixels


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: ImageShape(height=9), "patch=2 does not divide height=9. Remedy: use a divisor, or pad the image"),
        (lambda: ImageShape(width=7), "patch=2 does not divide width=7"),
        (lambda: ImageShape(patch=0), "patch=0 must be a whole number of at least 1"),
        (lambda: ImageShape(channels=1.0), "channels=1.0 must be a whole number"),
        (lambda: patchify(torch.zeros(2, 3, 8, 8), ImageShape()), r"pixels=\(2, 3, 8, 8\) must be .*\(images, 1, 8, 8"),
        (lambda: patchify(torch.zeros(2, 1, 9, 8), ImageShape()), r"pixels=\(2, 1, 9, 8\) must be"),
        (lambda: patchify(torch.zeros(1, 8, 8), ImageShape()), r"pixels=\(1, 8, 8\) must be \(images, channels"),
        (lambda: patchify(torch.zeros(1, 1, 8, 8).long(), ImageShape()), "pixels.dtype=torch.int64 must be a floating"),
        (lambda: patchify(with_value(float("nan")), ImageShape()), r"pixels\[1, 0, 2, 3\]=nan must be finite, as 1 of"),
        (lambda: patchify(with_value(float("inf")), ImageShape()), r"pixels\[1, 0, 2, 3\]=inf must be finite"),
    ],
    ids=["height", "width", "zero", "float", "channels", "size", "dimensions", "whole", "nan", "inf"],
)
def test_what_is_no_such_image_is_refused(call, told):
    with pytest.raises(MoEError, match=told):
        call()
