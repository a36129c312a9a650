"""A patched library is noticed before it measures anything. Oracle: patches planted here, undone by pytest."""

import functools
import json
import json.decoder

import pytest

from course_lib import nki
from course_lib.labkit import Check, Tampered
from course_lib.nki import report
from course_lib.nki.profile import Profile

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
