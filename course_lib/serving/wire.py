"""The body of POST /v1/completions: which fields there are, what each may be, and which of OpenAI's we don't offer.

Source: OpenAI's API reference, "Create completion" (https://platform.openai.com/docs/api-reference/completions).
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from course_lib.serving.errors import ServingError

# Fields of OpenAI's that would change the text but aren't offered: only the values that change nothing are let through.
NOT_OFFERED: dict[str, tuple[Any, ...]] = {
    "best_of": (None,),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
    "presence_penalty": (None, 0),
    "suffix": (None, ""),
}
MOST_LOGPROBS, MOST_STOPS = 5, 4

Count = Annotated[int, Field(ge=0)]
Tokens = list[int]


class StreamOptions(BaseModel):
    """What a stream tells beside the text."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    include_usage: bool = False


class CompletionRequest(BaseModel):
    """One request, checked for all that can be checked without the model.

    Args:
        model: the name that GET /v1/models lists.
        prompt: a text, a list of texts, a list of token ids, or a list of such lists.
        max_tokens: tokens to generate at most.
        temperature: 0 takes the likeliest token; 1 samples from the model's own distribution.
        top_p: sample from the likeliest tokens that together have this probability.
        n: completions for each prompt.
        stop: up to four texts; generation ends before the first of them.
        seed: the same seed and request give the same text.
        stream: send tokens as they come, as server-sent events.
        logprobs: tell the log probabilities of so many of the likeliest tokens at each place, and of the chosen one.
        echo: give the prompt back before the completion.
        user: taken and not used.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    model: str
    prompt: str | list[str] | Tokens | list[Tokens]
    max_tokens: Count = 16
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    n: Annotated[int, Field(ge=1, le=128)] = 1
    stop: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=MOST_STOPS)] = []
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    echo: bool = False
    user: str = ""

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nulls(cls, given: Any) -> Any:
        """A null means the default, and one stop text may stand without a list."""
        if not isinstance(given, dict):
            return given
        kept = {name: value for name, value in given.items() if value is not None and name not in NOT_OFFERED}
        if isinstance(kept.get("stop"), str):
            kept["stop"] = [kept["stop"]]
        return kept

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a request.

        Args:
            body: JSON in UTF-8.

        Raises:
            ServingError: with status 400, for what is no JSON object, an unknown or missing field, a value out of its
                range, or an option that isn't offered.
        """
        try:
            given = from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise ServingError(
                f"the body is no JSON: {error}. Remedy: send an object such as {EXAMPLE}.", code="invalid_json"
            ) from error
        if not isinstance(given, dict):
            raise ServingError(
                f"the body is a JSON {type(given).__name__}, not an object. Remedy: send one such as {EXAMPLE}.",
                code="invalid_json",
            )
        _refuse_not_offered(given)
        _check_prompt(given.get("prompt"))
        try:
            request = cls.model_validate(given)
        except ValidationError as error:
            raise _first(error) from error
        if request.stream_options is not None and not request.stream:
            raise ServingError.of("stream_options", given["stream_options"], "needs a stream", "add stream=true")
        return request

    @property
    def prompts(self) -> list[str] | list[Tokens]:
        """The prompts as a list, even if there is one."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return self.prompt


EXAMPLE = '{"model": "...", "prompt": "Once", "max_tokens": 16}'


def _refuse_not_offered(given: dict[str, Any]) -> None:
    for name, harmless in NOT_OFFERED.items():
        value = given.get(name)
        if name == "best_of" and value == given.get("n", 1) and not isinstance(value, bool):
            continue
        if value not in harmless or isinstance(value, bool):
            raise ServingError.of(
                name, value, "is not offered by this server", "leave it out", code="unsupported_option"
            )


def _check_prompt(prompt: Any) -> None:
    """Say in one sentence what pydantic would say once for each of the four forms."""
    if prompt is None:
        raise ServingError(
            "the request has no prompt. Remedy: give a text, a list of texts or token ids.",
            param="prompt",
            code="missing_field",
        )
    forms = "a text, a list of texts, a list of token ids, or a list of lists of token ids"
    if isinstance(prompt, str):
        return
    if not isinstance(prompt, list):
        raise ServingError.of("prompt", prompt, f"must be {forms}", 'write "prompt": "Once"', code="invalid_type")
    if not prompt:
        raise ServingError.of("prompt", prompt, "is empty", "give at least one token", code="empty_prompt")
    same = all(isinstance(one, type(prompt[0])) for one in prompt)
    inner = prompt if isinstance(prompt[0], int) else [t for one in prompt if isinstance(one, list) for t in one]
    whole = all(isinstance(token, int) and not isinstance(token, bool) for token in inner)
    if not same or not whole or not isinstance(prompt[0], (str, int, list)):
        raise ServingError.of("prompt", prompt, f"must be {forms}", "don't mix them", code="invalid_type")


def _first(error: ValidationError) -> ServingError:
    """The first fault that pydantic found, in one sentence."""
    fault = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = ", ".join(CompletionRequest.model_fields)
        return ServingError(f"unknown field {name!r}. Remedy: use {known}.", param=name, code="unknown_field")
    if fault["type"] == "missing":
        return ServingError(
            f"the request has no {name}. Remedy: send an object such as {EXAMPLE}.", param=name, code="missing_field"
        )
    code = "invalid_type" if fault["type"].endswith("_type") else "invalid_value"
    limit = fault["msg"][0].lower() + fault["msg"][1:]
    default = CompletionRequest.model_fields[str(fault["loc"][0])].default
    remedy = "give a text" if name == "model" else f"leave it out, which means {default!r}"
    return ServingError.of(name, fault["input"], f"is refused: {limit}", remedy, code=code)
