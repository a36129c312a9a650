"""Checks of installed Python packages: those the course needs, and PyPI's empty stand-ins for accelerator stacks."""

from __future__ import annotations

import importlib
from importlib import metadata

from course_lib.runtime import python_version
from course_lib.runtime.findings import Finding

SETUP = "run `make setup`"
# distribution, module to load, whether the main job needs it
NEEDED = (
    ("torch", "torch", True),
    ("ray", "ray", False),
    ("jupyter-book", "jupyter_book", True),
    ("jupyterlab", "jupyterlab", True),
    ("nbgrader", "nbgrader", True),
    ("papermill", "papermill", False),
    ("boto3", "boto3", True),
)
# AWS and Intel publish these names elsewhere; on PyPI, AWS keeps place-holders whose text says so.
STUB_MARK = "WRONG PACKAGE"
STUB_NAMES = ("torch-neuronx", "neuronx-cc", "nki", "neuronx-distributed", "libneuronxla", "torch-xla-neuronx")


def check_python() -> Finding:
    """The running interpreter's version against what the pins cover."""
    version = python_version.running()
    if python_version.is_supported():
        return Finding("Python", "OK", version, required=True)
    remedy = "use Python 3.11, 3.12 or 3.13: make setup PYTHON=python3.11"
    return Finding("Python", "wrong", f"{version}; 3.11 to 3.13 are supported", remedy, required=True)


def check_package(distribution: str, module: str, required: bool) -> Finding:
    """Whether a package is installed and its module really loads."""
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return Finding(distribution, "missing", "not installed", SETUP, required)
    try:
        importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 - a broken binary can raise anything, and the table must go on
        reason = f"{version} is installed but does not load: {type(error).__name__}: {error}"
        return Finding(distribution, "wrong", reason, "run `make setup FORCE=1`", required)
    return Finding(distribution, "OK", version, required=required)


def check_packages() -> list[Finding]:
    """One finding for each package of NEEDED."""
    return [check_package(*row) for row in NEEDED]


def check_horovod() -> Finding:
    """Whether Horovod's torch binding loads, and with which controllers it was built."""
    finding = check_package("horovod", "horovod.torch", required=False)
    if finding.status != "OK":
        remedy = "run `sudo apt-get install g++ cmake`, then `make setup`: it builds Horovod from source"
        return Finding("horovod", finding.status, finding.detail, remedy)
    import horovod.torch as hvd

    gloo = "with gloo" if hvd.gloo_built() else "without gloo: horovodrun needs another controller"
    return Finding("horovod", "OK", f"{finding.detail}, {gloo}")


def is_stub(distribution: str) -> bool:
    """Whether an installed distribution is one of PyPI's empty place-holders (its own metadata says so)."""
    # The file's text itself: where the importlib_metadata backport is loaded, the parsed form lies elsewhere.
    found = metadata.distribution(distribution)
    return STUB_MARK in (found.read_text("METADATA") or found.read_text("PKG-INFO") or "")


def check_stubs() -> list[Finding]:
    """One finding for each accelerator package that is installed: a stub from PyPI, or the real one."""
    findings = []
    for name in STUB_NAMES:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        if is_stub(name):
            remedy = f"run `pip uninstall {name}`; the real one comes from AWS's own index (book: Set up)"
            findings.append(Finding(name, "wrong", f"{version} is PyPI's empty stub, not the real package", remedy))
        else:
            findings.append(Finding(name, "OK", version))
    return findings or [Finding("PyPI stub packages", "OK", "none installed")]
