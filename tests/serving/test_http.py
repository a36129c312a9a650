"""The server over HTTP, as a client sees it. Oracle: OpenAI's API reference for names, torch for the numbers."""

import json
import socket
import threading

import httpx
import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families

from course_lib.moe import generate
from tests.serving.conftest import CONTEXT, POISON, VOCABULARY, wait_until

ASK = {"model": "tiny", "prompt": "the cat", "max_tokens": 6, "temperature": 0}


def complete(client, **fields):
    answer = client.post("/v1/completions", json=ASK | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def streamed(client, **fields):
    with client.stream("POST", "/v1/completions", json=ASK | fields | {"stream": True}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines[:-1]]


def metrics(client):
    text = client.get("/metrics").text
    return {
        (sample.name.removeprefix("course_serving_"), *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_completion_has_the_published_fields_and_generates_greedy_text(serve, model, tokenizer):
    """Oracle: "The completion object" in OpenAI's API reference."""
    client = serve()
    found = complete(client)
    made = generate(model, tokenizer.encode("the cat").ids, 6)
    assert found["id"].startswith("cmpl-")
    assert (found["object"], found["model"]) == ("text_completion", "tiny")
    assert isinstance(found["created"], int)
    text = tokenizer.decode(made)
    assert found["choices"] == [{"text": text, "index": 0, "logprobs": None, "finish_reason": "length"}]
    assert found["usage"] == {"prompt_tokens": 2, "completion_tokens": 6, "total_tokens": 8}


def test_prompts_and_n_give_choices_in_order_and_usage_counts_each_prompt_once(serve):
    """Oracle: the completions of each prompt by itself."""
    client = serve(slots=3)
    both = complete(client, prompt=["the cat", "the mat"], n=2)
    alone = [complete(client, prompt=prompt)["choices"][0]["text"] for prompt in ("the cat", "the mat")]
    assert [one["text"] for one in both["choices"]] == [alone[0], alone[0], alone[1], alone[1]]
    assert [one["index"] for one in both["choices"]] == [0, 1, 2, 3]
    assert both["usage"]["completion_tokens"] == 24
    assert both["usage"]["prompt_tokens"] == 4


def test_text_and_its_tokens_are_the_same_prompt(serve, tokenizer):
    """Oracle: the tokenizer."""
    client = serve()
    assert complete(client)["choices"] == complete(client, prompt=tokenizer.encode("the cat").ids)["choices"]


def test_a_stream_adds_up_to_the_whole(serve):
    """Oracle: the answer without a stream; WHATWG's server-sent events and OpenAI's [DONE] for the form."""
    client = serve()
    fields = {"prompt": ["the cat", "über"], "logprobs": 2, "echo": True, "max_tokens": 12}
    whole = complete(client, **fields)
    events = streamed(client, **fields, stream_options={"include_usage": True})
    assert len({event["id"] for event in events}) == 1
    assert events[-1]["choices"] == []
    assert events[-1]["usage"] == whole["usage"]
    assert all(event["usage"] is None for event in events[:-1])
    for index, choice in enumerate(whole["choices"]):
        mine = [event["choices"][0] for event in events[:-1] if event["choices"][0]["index"] == index]
        assert "".join(one["text"] for one in mine) == choice["text"]
        assert [one["finish_reason"] for one in mine] == [None] * (len(mine) - 1) + ["length"]
        for name, values in choice["logprobs"].items():
            assert [value for one in mine for value in one["logprobs"][name]] == values


def test_log_probabilities_of_prompt_and_text_are_the_models(serve, model, tokenizer):
    """Oracle: torch's log_softmax of the model's full forward pass over prompt and text."""
    client = serve(prefill_tokens=2)
    prompt = "the cat sat on the mat"
    (choice,) = complete(client, prompt=prompt, logprobs=3, echo=True)["choices"]
    tokens = tokenizer.encode(prompt).ids
    tokens += generate(model, tokens, 6)
    with torch.inference_mode():
        rows = model(torch.tensor([tokens]))[0].log_softmax(-1)  # (tokens, vocab)
    wanted = [float(rows[i, token]) for i, token in enumerate(tokens[1:])]
    told = choice["logprobs"]
    assert told["token_logprobs"][0] is None
    assert told["top_logprobs"][0] is None
    assert told["token_logprobs"][1:] == pytest.approx(wanted, abs=1e-4)
    for row, top in zip(rows, told["top_logprobs"][1:], strict=False):
        best = row.topk(3).values.tolist()
        assert sorted(top.values(), reverse=True)[:3] == pytest.approx(best, abs=1e-4)
        assert len(top) in (3, 4)
    for token, offset in zip(told["tokens"], told["text_offset"], strict=True):
        assert token.startswith("bytes:") or choice["text"][offset:].startswith(token)


def test_a_prompt_is_scored_without_generating(serve, model, tokenizer):
    """Oracle: the same log probabilities as with a completion behind them."""
    client = serve()
    more = complete(client, logprobs=0, echo=True)
    (choice,) = (scored := complete(client, logprobs=0, echo=True, max_tokens=0))["choices"]
    assert choice["text"] == "the cat"
    assert choice["logprobs"]["token_logprobs"] == more["choices"][0]["logprobs"]["token_logprobs"][:2]
    assert choice["logprobs"]["top_logprobs"] is None
    assert scored["usage"]["completion_tokens"] == 0


def test_a_stop_text_ends_the_text_before_it(serve):
    """Oracle: the text without a stop, cut by str.find."""
    client = serve()
    text = complete(client, max_tokens=30)["choices"][0]["text"]
    stop = text[5:8]
    (choice,) = complete(client, max_tokens=30, stop=[stop, "never there"])["choices"]
    assert choice["text"] == text[: text.find(stop)]
    assert choice["finish_reason"] == "stop"


def test_a_seed_repeats_a_sampled_text_and_choices_differ(serve):
    """Oracle: the same request twice, the second time in a crowd."""
    client = serve()
    fields = {"temperature": 1.5, "seed": -5, "n": 3, "max_tokens": 12}
    first = complete(client, **fields)["choices"]
    crowd = [threading.Thread(target=complete, args=(client,), kwargs={"temperature": 1.0}) for _ in range(5)]
    for one in crowd:
        one.start()
    assert complete(client, **fields)["choices"] == first
    for one in crowd:
        one.join()
    assert len({one["text"] for one in first}) == 3
    assert complete(client, **(fields | {"seed": 6}))["choices"] != first
    unseeded = fields | {"seed": None}
    assert complete(client, **unseeded)["choices"] != complete(client, **unseeded)["choices"]


@pytest.mark.parametrize(
    ("fields", "status", "code", "words"),
    [
        ({"prompt": [5] * 250, "max_tokens": 10}, 400, "context_length_exceeded", ["256", "260", "250", "10", "6"]),
        ({"prompt": [5] * 300}, 400, "context_length_exceeded", ["256", "306"]),
        ({"max_tokens": 10**30}, 400, "context_length_exceeded", ["256"]),
        ({"model": "gpt-9"}, 404, "model_not_found", ["gpt-9", "tiny"]),
        ({"prompt": ""}, 400, "empty_prompt", ["prompt"]),
        ({"prompt": [[5], []]}, 400, "empty_prompt", ["prompt"]),
        ({"prompt": [VOCABULARY]}, 400, None, [str(VOCABULARY), str(VOCABULARY - 1)]),
        ({"prompt": [-1]}, 400, None, ["-1"]),
        ({"prompt": ["a"] * 33, "n": 2}, 400, "too_many_choices", ["66", "64"]),
        ({"max_tokens": -1}, 400, "invalid_value", ["max_tokens=-1"]),
        ({"suffix": "x"}, 400, "unsupported_option", ["suffix"]),
        ({"prompt": [POISON]}, 500, "internal_error", ["finite"]),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict) else None,
)
def test_every_error_is_an_error_object_with_numbers_and_a_remedy(serve_once, fields, status, code, words):
    """Oracle: OpenAI's error object and the status codes of its API reference."""
    for stream in (False, True) if status != 500 else (False,):
        answer = serve_once.post("/v1/completions", json=ASK | fields | {"stream": stream})
        error = answer.json()["error"]
        assert answer.status_code == status
        assert set(error) == {"message", "type", "param", "code"}
        assert error["code"] == code
        assert all(word in error["message"] for word in [*words, "Remedy"])


@pytest.fixture(scope="module")
def serve_once(model, tokenizer):
    """One server for the tests that leave it as it was."""
    from course_lib.moe import BatchedDecoder
    from course_lib.serving import Limits, ServedModel, create_app, serving

    served = ServedModel("tiny", BatchedDecoder(model, 4), tokenizer)
    with (
        serving(create_app(served, Limits(body_bytes=20_000))) as url,
        httpx.Client(base_url=url, verify=False) as client,
    ):
        yield client


def test_a_failure_within_a_stream_is_told_in_the_stream(serve_once):
    """Oracle: status and headers are gone by then, so the error comes as data and [DONE] follows."""
    events = streamed(serve_once, prompt=[POISON])
    assert events[-1]["error"]["code"] == "internal_error"


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/v1/completions", b"{", 400),
        ("POST", "/v1/completions", b"\xff" * 10, 400),
        ("POST", "/v1/completions", b" " * 20_001, 413),
        ("GET", "/v1/completions", b"", 405),
        ("GET", "/v1/nothing", b"", 404),
        ("GET", "/v1/models/other", b"", 404),
    ],
)
def test_a_malformed_request_is_told_so_and_nothing_breaks(serve_once, method, path, content, status):
    """Oracle: RFC 9110's status codes."""
    answer = serve_once.request(method, path, content=content)
    assert answer.status_code == status
    assert "Remedy" in answer.json()["error"]["message"]
    assert serve_once.get("/healthz").json()["status"] in ("ok", "degraded")


def test_the_model_is_listed(serve_once):
    """Oracle: "The model object" in OpenAI's API reference."""
    (one,) = serve_once.get("/v1/models").json()["data"]
    assert (one["id"], one["object"]) == ("tiny", "model")
    assert set(one) == {"id", "object", "created", "owned_by"}
    assert serve_once.get("/v1/models/tiny").json() == one


def leave_in_the_middle(client, asked):
    """Ask without a stream, and close the connection once the server is at work, however long that takes."""
    body = json.dumps(asked).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with socket.create_connection((client.base_url.host, client.base_url.port)) as line:
        line.sendall(head.encode() + b"\r\n\r\n" + body)
        assert wait_until(lambda: client.get("/healthz").json()["running"] == 1)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_hangs_up_frees_its_slot(serve, stream):
    """Oracle: with one slot, the next client is answered long before the first would have been."""
    client = serve(slots=1)
    long = ASK | {"max_tokens": CONTEXT - 8, "stream": stream, "n": 8}
    if stream:
        with client.stream("POST", "/v1/completions", json=long) as answer:
            next(answer.iter_lines())
    else:
        leave_in_the_middle(client, long)
    assert wait_until(lambda: client.get("/healthz").json()["running"] == 0)
    assert complete(client)["choices"][0]["finish_reason"] == "length"
    assert wait_until(lambda: metrics(client).get(("sequences_total", "cancelled")) == 8)


def test_the_server_counts_what_it_does(serve):
    """Oracle: prometheus_client's own parser, and the usage that the answers told."""
    client = serve(slots=2, end_tokens=(0,))
    used = [complete(client, max_tokens=count)["usage"] for count in (4, 7)]
    client.post("/v1/completions", content=b"{")
    found = metrics(client)
    assert found["requests_total", "/v1/completions", "200"] == 2
    assert found["requests_total", "/v1/completions", "400"] == 1
    assert found["prompt_tokens_total",] == sum(one["prompt_tokens"] for one in used)
    assert found["generated_tokens_total",] == sum(one["completion_tokens"] for one in used)
    assert found["time_to_first_token_seconds_count",] == found["sequences_total", "length"] == 2
    assert found["token_seconds_count",] == sum(one["completion_tokens"] - 1 for one in used)
    assert found["batch_sequences_sum",] == found["generated_tokens_total",]
    assert (found["queue_length",], found["running_sequences",], found["kv_cache_used_ratio",]) == (0, 0, 0)


def test_a_burst_beyond_the_queue_is_answered_or_told_to_come_back(serve):
    """Oracle: RFC 6585's 429 with Retry-After; none is lost."""
    client = serve(slots=2, queue=6)
    answers = []

    def ask(number):
        with httpx.Client(base_url=client.base_url, timeout=60, verify=False) as mine:
            answers.append(mine.post("/v1/completions", json=ASK | {"max_tokens": 20, "prompt": f"the {number}"}))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    statuses = [answer.status_code for answer in answers]
    assert len(statuses) == 40
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= 8
    refused = [answer for answer in answers if answer.status_code == 429]
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert all(answer.json()["error"]["code"] == "queue_full" for answer in refused)


def test_a_server_that_ends_finishes_the_streams_it_has_begun(model, tokenizer):
    """Oracle: the whole text, by generate, although the server was told to end after its first piece."""
    from course_lib.moe import BatchedDecoder
    from course_lib.serving import ServedModel, create_app, serving

    served = ServedModel("tiny", BatchedDecoder(model, 1), tokenizer)
    begun, pieces = threading.Event(), []

    def read(url):
        with httpx.stream("POST", f"{url}/v1/completions", json=ASK | {"max_tokens": 60, "stream": True}) as answer:
            for line in answer.iter_lines():
                if line:
                    pieces.append(line[6:])
                    begun.set()

    with serving(create_app(served)) as url:
        reader = threading.Thread(target=read, args=(url,))
        reader.start()
        assert begun.wait(30)
    reader.join()
    assert pieces[-1] == "[DONE]"
    text = "".join(json.loads(piece)["choices"][0]["text"] for piece in pieces[:-1])
    assert text == tokenizer.decode(generate(model, tokenizer.encode("the cat").ids, 60))
