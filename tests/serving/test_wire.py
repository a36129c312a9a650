"""What a request may say. Oracle: the fields, ranges and defaults in OpenAI's API reference, "Create completion"."""

import json

import pytest

from course_lib.serving.errors import ServingError
from course_lib.serving.wire import NOT_OFFERED, CompletionRequest

# As published; `model` and `prompt` have no default, and the others' are these.
PUBLISHED_DEFAULTS = {
    "max_tokens": 16,
    "temperature": 1.0,
    "top_p": 1.0,
    "n": 1,
    "seed": None,
    "stream": False,
    "stream_options": None,
    "logprobs": None,
    "echo": False,
}
PUBLISHED_FIELDS = {*PUBLISHED_DEFAULTS, "model", "prompt", "stop", "user"} | {
    "best_of",
    "frequency_penalty",
    "logit_bias",
    "presence_penalty",
    "suffix",
}


def body(**fields) -> bytes:
    return json.dumps({"model": "tiny", "prompt": "the cat"} | fields).encode()


def test_every_published_field_is_offered_or_named_as_not_offered():
    """Oracle: the reference's list of fields."""
    assert set(CompletionRequest.model_fields) | set(NOT_OFFERED) == PUBLISHED_FIELDS


def test_defaults_are_the_published_ones_and_null_means_the_default():
    """Oracle: the reference's defaults."""
    bare = CompletionRequest.parse(body())
    assert {name: getattr(bare, name) for name in PUBLISHED_DEFAULTS} == PUBLISHED_DEFAULTS
    assert CompletionRequest.parse(body(**dict.fromkeys(PUBLISHED_DEFAULTS))) == bare


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1], [2, 3]], [[1], [2, 3]])],
    ids=["text", "texts", "tokens", "lists"],
)
def test_the_four_published_forms_of_a_prompt_are_read(prompt, prompts):
    """Oracle: the reference: string, array of strings, array of tokens, array of token arrays."""
    assert CompletionRequest.parse(body(prompt=prompt)).prompts == prompts


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b'"text"', b"\xff\xfe", b'{"prompt": NaN}', b"[" * 5000])
def test_what_is_no_json_object_is_refused(raw):
    """Oracle: RFC 8259."""
    with pytest.raises(ServingError, match="Remedy") as caught:
        CompletionRequest.parse(raw)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_p": 0}, "top_p"),
        ({"logprobs": 6}, "logprobs"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop.0"),
        ({"stop": [1]}, "stop.0"),
        ({"seed": 2**63}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [1, True]}, "prompt"),
        ({"prompt": {"text": "a"}}, "prompt"),
        ({"prompt": [1.0]}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"temprature": 1}, "temprature"),
        ({"best_of": 3}, "best_of"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"suffix": "end"}, "suffix"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": True}, "frequency_penalty"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else None,
)
def test_a_bad_field_is_named_with_a_remedy(fields, param):
    """Oracle: the reference's types and ranges."""
    with pytest.raises(ServingError, match="Remedy") as caught:
        CompletionRequest.parse(body(**fields))
    assert (caught.value.status, caught.value.param) == (400, param)


def test_options_that_change_nothing_are_let_through():
    """Oracle: the reference's defaults of what isn't offered here."""
    neutral = {"best_of": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "suffix": None}
    assert CompletionRequest.parse(body(**neutral)) == CompletionRequest.parse(body())
    assert CompletionRequest.parse(body(n=2, best_of=2)).n == 2
