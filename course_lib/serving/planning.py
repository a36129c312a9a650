"""From a request to the scheduler's jobs: prompts become tokens, and what the model can't do is refused here."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from course_lib.moe import Sampling
from course_lib.serving.errors import ServingError
from course_lib.serving.jobs import Job, Sink
from course_lib.serving.limits import Limits
from course_lib.serving.served import ServedModel
from course_lib.serving.transcript import Transcript
from course_lib.serving.wire import CompletionRequest

SEEDS = 2**64


@dataclass(frozen=True)
class Prompt:
    """One prompt, understood.

    Args:
        tokens: its ids.
        text: as it was written, or as the ids read.
        offsets: characters before each token.
    """

    tokens: Sequence[int]
    text: str
    offsets: Sequence[int]


def read_prompts(request: CompletionRequest, served: ServedModel, limits: Limits) -> list[Prompt]:
    """The request's prompts as tokens.

    Raises:
        ServingError: 404 for another model; 400 for an empty prompt, unknown tokens, more than the context holds, or
            too many completions.
    """
    if request.model != served.name:
        raise ServingError(
            f"the model {request.model!r} is not here. Remedy: ask for {served.name!r}.",
            status=404,
            param="model",
            code="model_not_found",
        )
    choices = len(request.prompts) * request.n
    if choices > limits.choices:
        raise ServingError.of(
            "n",
            request.n,
            f"times {len(request.prompts)} prompts is {choices} completions, and a request may have {limits.choices}",
            "ask in several requests",
            code="too_many_choices",
        )
    return [_read(given, request, served) for given in request.prompts]


def _read(given: str | list[int], request: CompletionRequest, served: ServedModel) -> Prompt:
    tokenizer, decoder = served.tokenizer, served.decoder
    tokens = tokenizer.encode(given).ids if isinstance(given, str) else given
    if not tokens:
        raise ServingError.of("prompt", given, "is empty", "give at least one token", code="empty_prompt")
    known = decoder.model.config.vocab_size
    for token in tokens:
        if not 0 <= token < known:
            raise ServingError.of(
                "prompt", token, f"is no token of the model, which has 0 to {known - 1}", "use its tokenizer"
            )
    # A sequence that only scores its prompt takes a place more: the cache reserves one for the next token.
    asked, room = max(1, request.max_tokens), min(decoder.context_length, decoder.max_tokens)
    if len(tokens) + asked > room:
        raise ServingError(
            f"the model's context holds {room} tokens, and the request needs {len(tokens) + asked}: {len(tokens)} of "
            f"the prompt and {asked} of the completion. Remedy: shorten the prompt, or ask for at most "
            f"{max(0, room - len(tokens))} max_tokens.",
            param="max_tokens" if len(tokens) < room else "prompt",
            code="context_length_exceeded",
        )
    if not request.echo:
        return Prompt(tokens, "", ())
    transcript = Transcript(tokenizer)
    offsets = []
    for token in tokens:
        offsets.append(transcript.length)
        transcript.add(token)
    transcript.finish()
    return Prompt(tokens, given if isinstance(given, str) else transcript.text, offsets)


def plan_jobs(
    request: CompletionRequest,
    prompts: Sequence[Prompt],
    served: ServedModel,
    limits: Limits,
    sink: Callable[[int], Sink],
) -> list[Job]:
    """One job for each choice, in the order of the answer: all of the first prompt's, then the second's.

    Args:
        request: what was asked.
        prompts: of `read_prompts`.
        served: the model.
        limits: the server's.
        sink: where choice number i tells its events.
    """
    seed = secrets.randbits(63) if request.seed is None else request.seed % SEEDS
    jobs = []
    for index in range(len(prompts) * request.n):
        prompt = prompts[index // request.n]
        jobs.append(
            Job(
                prompt=prompt.tokens,
                max_tokens=request.max_tokens,
                sampling=Sampling(
                    temperature=request.temperature,
                    top_p=request.top_p,
                    seed=(seed + index % request.n) % SEEDS,
                    stop=served.end_tokens,
                ),
                transcript=Transcript(served.tokenizer, request.stop, prompt.tokens),
                sink=sink(index),
                likeliest=request.logprobs,
                score_prompt=request.echo and request.logprobs is not None,
                prompt_offsets=prompt.offsets,
                seconds=limits.seconds,
            )
        )
    return jobs
