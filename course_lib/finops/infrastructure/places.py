"""Where the modules are, and copies of them to work in."""

from __future__ import annotations

import shutil
from pathlib import Path

from course_lib.finops.errors import FinopsError

MODULES = Path(__file__).parent / "modules"
CLOUDS = ("aws", "azure", "gcp")
# What Terraform leaves behind in a folder; none of it belongs into a copy.
_LEFT = shutil.ignore_patterns(".terraform*", "*.tfstate*", "__pycache__")


def modules(cloud: str | None = None) -> list[Path]:
    """The folders of the modules, in alphabetical order.

    Args:
        cloud: of `CLOUDS`; None for all.

    Raises:
        FinopsError: the cloud is unknown.
    """
    if cloud is not None and cloud not in CLOUDS:
        raise FinopsError.of("cloud", cloud, "has no modules here", f"give one of {', '.join(CLOUDS)}")
    places = [cloud] if cloud else list(CLOUDS)
    return sorted({found.parent for place in places for found in (MODULES / place).glob("*/versions.tf")})


def modules_in(directory: Path) -> list[Path]:
    """Every folder with Terraform files in and below a directory, what Terraform itself put there aside.

    Raises:
        FinopsError: there is none.
    """
    found = sorted({file.parent for file in directory.rglob("*.tf") if ".terraform" not in file.parts})
    if not found:
        raise FinopsError.of("directory", str(directory), "holds no .tf file", "name a folder of modules")
    return found


def write_modules(directory: Path, cloud: str | None = None) -> list[Path]:
    """Copy the modules to a folder of your own, where Terraform may write beside them.

    Args:
        directory: is made if it isn't there; must be empty, so that nothing of yours is overwritten.
        cloud: of `CLOUDS`; None for all.

    Returns:
        The folders of the copied modules.

    Raises:
        FinopsError: the cloud is unknown, or the directory holds something.
    """
    asked = modules(cloud)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise FinopsError.of("directory", str(directory), "is not an empty folder", "name a new one")
    copies = []
    for module in asked:
        copy = directory / module.relative_to(MODULES)
        shutil.copytree(module, copy, ignore=_LEFT)
        copies.append(copy)
    return copies
