"""Oracle: the official names, which are data; what is missing is worked out from the modules themselves."""

import inspect

import pytest

from course_lib import nki
from course_lib.nki import NkiValidationError, isa, language, unsupported


def test_nothing_official_is_missing_by_accident():
    assert unsupported.missing() == {}


def test_a_missing_name_is_found_and_raises_by_name(monkeypatch):
    monkeypatch.delattr(isa, "topk")
    monkeypatch.delattr(language, "softmax")
    assert unsupported.missing() == {"language": ["softmax"], "isa": ["topk"]}
    with pytest.raises(NotImplementedError, match=r"nki\.isa\.topk"):
        isa.topk(None)
    with pytest.raises(NotImplementedError, match=r"nki\.language\.softmax"):
        language.softmax(None)


def test_a_name_that_never_existed_is_an_attribute_error():
    for module in (nki, isa, language):
        with pytest.raises(AttributeError, match="no_such_name"):
            module.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", [n for n in unsupported.OFFICIAL["isa"] if inspect.isfunction(vars(isa).get(n))])
def test_every_instruction_takes_a_name_as_the_official_one_does(name):
    if name.startswith(("register_", "get_nc_")):
        return
    assert "name" in inspect.signature(getattr(isa, name)).parameters


@pytest.mark.parametrize("name", ["bypass", "average", "prelu"])
def test_tokens_cannot_be_called(name):
    with pytest.raises(TypeError, match=f"nl.{name} is only a token"):
        getattr(language, name)(1)


def test_calls_outside_a_kernel_are_explained():
    with pytest.raises(NkiValidationError, match=r"outside a kernel.*nki\.simulate"):
        language.ndarray((2, 2), language.float32)
