"""The Dockerfiles of the course's images. They are linted in the tests; building one needs a Docker daemon."""

from __future__ import annotations

from pathlib import Path


def image_folder() -> Path:
    """The build context: `docker build -f images/NAME.Dockerfile .` is run in it."""
    return Path(__file__).resolve().parents[1]


def image_files() -> dict[str, Path]:
    """Name of an image → its Dockerfile."""
    return {path.name.removesuffix(".Dockerfile"): path for path in sorted(Path(__file__).parent.glob("*.Dockerfile"))}
