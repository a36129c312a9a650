"""A patched library is noticed before it measures anything. Oracle: patches planted here, undone by pytest."""

import ast
import functools
import json
import json.decoder
import subprocess
import sys

import pytest

from course_lib import nki
from course_lib.labkit import Check, Tampered
from course_lib.nki import report
from course_lib.nki.profile import Profile
from grading.release import COURSE

PACKAGES = ("course_lib.nki", "json")


def check():
    return Check("kernel", points=1, unchanged=PACKAGES)


def test_a_library_as_installed_is_trusted():
    nki.activate()
    check()
    nki.deactivate()


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (report, "duration", lambda seconds: "0 s"),
        (nki, "simulate", lambda kernel: kernel),
        (Profile, "summary", lambda self: ""),
        (Profile, "hbm_bytes", property(lambda self: 0)),
        (json.decoder.JSONDecoder, "decode", classmethod(lambda cls, text: None)),
        (report, "Profile", type("Profile", (), {"hbm_bytes": lambda self: 0})),
        (json, "loads", functools.wraps(json.loads)(lambda text: None)),
    ],
)
def test_a_replaced_function_is_named(owner, name, value, monkeypatch):
    monkeypatch.setattr(owner, name, value, raising=False)
    with pytest.raises(Tampered, match=name):
        check()


def test_code_changed_inside_a_function_is_named(monkeypatch):
    monkeypatch.setattr(report.size, "__code__", (lambda bytes_: "0 B").__code__)
    with pytest.raises(Tampered, match=r"report\.size"):
        check()


def test_another_object_in_a_modules_place_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "json.decoder", object())
    with pytest.raises(Tampered, match="json"):
        check()


def watched():
    """What the labs' test cells ask to be as on disk, read from their sources."""
    for source in sorted(COURSE.solutions.glob("*.py")):
        given = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.keyword)]
        lists = [ast.literal_eval(one.value) for one in given if one.arg == "unchanged"]
        yield source.stem, sorted({package for packages in lists for package in packages})


# Whatever a notebook has loaded of a package is compared, so everything of it is loaded here.
LOAD_AND_COMPARE = """
import importlib, pkgutil, sys
from course_lib.labkit.pristine import changed

packages = tuple(sys.argv[1:])
for name in packages:
    package = importlib.import_module(name)
    if name.startswith("course_lib."):
        for module in pkgutil.walk_packages(getattr(package, "__path__", []), f"{name}."):
            importlib.import_module(module.name)
print(changed(packages))
"""


@pytest.mark.parametrize(("lab", "packages"), [pytest.param(*each, id=each[0]) for each in watched() if each[1]])
def test_what_a_lab_watches_is_as_on_disk_however_much_of_it_is_loaded(lab, packages):
    done = subprocess.run([sys.executable, "-c", LOAD_AND_COMPARE, *packages], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr[-800:]
