"""The completion objects that clients read, whole or in pieces.

Source: OpenAI's API reference, "The completion object"
    (https://platform.openai.com/docs/api-reference/completions/object).
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenizers import Tokenizer

from course_lib.serving.errors import ServingError
from course_lib.serving.faults import server_error
from course_lib.serving.jobs import Ended, Event, Piece, PromptRead, Reason
from course_lib.serving.planning import Prompt
from course_lib.serving.transcript import TokenRecord, token_text
from course_lib.serving.wire import CompletionRequest


@dataclass
class _Choice:
    text: str = ""
    records: list[TokenRecord] = field(default_factory=list)
    reason: Reason | None = None
    # characters of the answer before the completion: the prompt's, where it is echoed
    before: int = 0


class Answer:
    """Builds one request's answer from its jobs' events.

    Offsets of tokens count characters of the text that is given, the echoed prompt included.

    Args:
        request: what was asked.
        prompts: understood.
        tokenizer: names the tokens.
    """

    def __init__(self, request: CompletionRequest, prompts: Sequence[Prompt], tokenizer: Tokenizer) -> None:
        self._request, self._prompts, self._tokenizer = request, prompts, tokenizer
        self.jobs = len(prompts) * request.n
        self.head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": request.model,
        }
        self._generated = 0
        self._choices = [_Choice() for _ in range(self.jobs)]

    def take(self, index: int, event: Event) -> bool:
        """Add an event to its choice; says whether there is something new to tell."""
        choice = self._choices[index]
        if isinstance(event, PromptRead):
            if not self._request.echo:
                return False
            choice.text += self._prompts[index // self._request.n].text
            choice.before = len(choice.text)
            choice.records += event.records
        elif isinstance(event, Piece):
            choice.text += event.text
            choice.records += [
                TokenRecord(one.token, one.offset + choice.before, one.logprob, one.likeliest) for one in event.records
            ]
        elif isinstance(event, Ended):
            choice.reason = event.reason
            self._generated += event.generated_tokens
        return True

    def whole(self) -> dict[str, Any]:
        """The object for a request without a stream."""
        return self.head | {"choices": [self._told(i) for i in range(self.jobs)], "usage": self.usage()}

    def piece(self, index: int) -> dict[str, Any]:
        """What a choice has to tell since it was last asked."""
        choice = self._choices[index]
        told = self._told(index)
        choice.text, choice.records = "", []
        usage = {"usage": None} if self._tells_usage else {}
        return self.head | {"choices": [told]} | usage

    def usage(self) -> dict[str, int]:
        """Tokens read and written; a prompt counts once, however many completions it has."""
        read = sum(len(prompt.tokens) for prompt in self._prompts)
        return {
            "prompt_tokens": read,
            "completion_tokens": self._generated,
            "total_tokens": read + self._generated,
        }

    @property
    def _tells_usage(self) -> bool:
        options = self._request.stream_options
        return options is not None and options.include_usage

    def _told(self, index: int) -> dict[str, Any]:
        choice = self._choices[index]
        logprobs = None if self._request.logprobs is None else self._logprobs(choice.records)
        return {"text": choice.text, "index": index, "logprobs": logprobs, "finish_reason": choice.reason}

    def _logprobs(self, records: Sequence[TokenRecord]) -> dict[str, Any]:
        names = [token_text(self._tokenizer, record.token) for record in records]
        likeliest: list[dict[str, float] | None] = []
        for name, record in zip(names, records, strict=True):
            if record.logprob is None or not record.likeliest:
                likeliest.append(None)
                continue
            top = {token_text(self._tokenizer, token): logprob for token, logprob in record.likeliest}
            likeliest.append(top | {name: record.logprob})
        return {
            "tokens": names,
            "token_logprobs": [record.logprob for record in records],
            "top_logprobs": likeliest if self._request.logprobs else None,
            "text_offset": [record.offset for record in records],
        }

    async def stream(self, events: AsyncIterator[tuple[int, Event]]) -> AsyncIterator[str]:
        """Server-sent events, the last of which is [DONE]; what fails on the way is told as an error object.

        Source: WHATWG HTML, "Server-sent events" (https://html.spec.whatwg.org/multipage/server-sent-events.html).
        """
        try:
            async for index, event in events:
                if self.take(index, event):
                    yield _sse(self.piece(index))
            if self._tells_usage:
                yield _sse(self.head | {"choices": [], "usage": self.usage()})
        except ServingError as error:
            yield _sse(error.body())
        except Exception as error:  # noqa: BLE001  the status is sent already: the client hears of it in the stream
            yield _sse(server_error("the answer could not be made", error).body())
        yield "data: [DONE]\n\n"


def _sse(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
