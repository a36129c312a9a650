"""pyproject.toml, requirements.lock and environment.yml name the same versions. Oracles: tomllib, PyYAML, packaging."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINS = PROJECT["dependencies"] + EXTRAS["dev"]
LOCK = dict(
    line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")
)
LOCKED = {canonicalize_name(name): version for name, version in LOCK.items()}


@pytest.mark.parametrize("pin", PINS)
def test_every_direct_dependency_is_pinned_exactly_and_locked_at_that_version(pin):
    requirement = Requirement(pin)
    assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), f"{pin} is not an exact pin"
    assert requirement.specifier.contains(LOCKED[canonicalize_name(requirement.name)])


def test_environment_yml_repeats_the_pins():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip_lists = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    assert pip_lists == [PINS]
    assert "python=3.11" in dependencies


def test_the_lock_is_closed_under_requirements():
    """Oracle: the installed packages' own metadata, which pip wrote."""
    lacking = []
    for name in LOCKED:
        for line in metadata.requires(name) or ():
            need = Requirement(line)
            if need.marker is not None and not need.marker.evaluate({"extra": ""}):
                continue
            version = LOCKED.get(canonicalize_name(need.name))
            if version is None or not need.specifier.contains(version, prereleases=True):
                lacking.append(f"{name} needs {line}, the lock has {version}")
    assert lacking == []


def test_what_is_installed_is_what_is_locked():
    wrong = {}
    for name, version in LOCKED.items():
        installed = metadata.version(name).partition("+")[0]  # a local build such as 2.13.0+cpu satisfies 2.13.0
        if installed != version:
            wrong[name] = (installed, version)
    assert wrong == {}


def test_no_stub_from_pypi_is_required_or_can_satisfy_the_neuron_extra():
    stubs = {"torch-neuronx": "1.0", "neuronx-cc": "1.0.post1", "nki": "0.0.1"}  # PyPI, 2026-11-22
    assert not stubs.keys() & {canonicalize_name(Requirement(pin).name) for pin in PINS}
    for line in EXTRAS["neuron"]:
        requirement = Requirement(line)
        assert not requirement.specifier.contains(stubs[requirement.name])
