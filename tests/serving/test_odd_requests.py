"""Requests and answers at the edge. Oracle: greedy text of torch's full pass; servers that misbehave on purpose."""

import json
import socket
import threading
import time

import pytest

from course_lib.moe import BatchedDecoder, MoEModel, moe_config
from course_lib.moe.checkpoints import save_checkpoint
from course_lib.serving import Limits, Scheduler, ServedModel, ServingError, listen, load_served, load_test
from course_lib.serving.jobs import Ended
from tests.serving.conftest import wait_until
from tests.serving.test_http import complete, metrics
from tests.serving.test_load_test import QUICK
from tests.serving.test_scheduler import greedy, run


@pytest.mark.parametrize("odd", [{"temperature": 1e-320}, {"temperature": 1.0, "top_p": 1e-320}], ids=str)
def test_numbers_too_small_for_fp32_are_greedy_and_leave_the_neighbors_their_text(model, job, odd):
    """Oracle: argmax of the model's full forward pass, for the odd one and for both beside it."""
    jobs = [job([5, 6], 8), job([7, 8], 8, **odd), job([9], 8)]
    scheduler = Scheduler(BatchedDecoder(model, 3), Limits())
    run(scheduler, jobs)
    assert [one.sink.tokens for one in jobs] == [greedy(model, one.prompt, 8) for one in jobs]
    assert scheduler.health().failed_steps == 0


def test_a_tokenizer_with_one_token_too_many_is_another_models(tokenizer):
    """Oracle: the tokenizer's own count of its tokens."""
    size = tokenizer.get_vocab_size()
    own, other = (
        BatchedDecoder(MoEModel(moe_config(layers=1, hidden_size=16, heads=2, vocab_size=known)), 1)
        for known in (size, size - 1)
    )
    assert ServedModel("own", own, tokenizer).decoder is own
    with pytest.raises(ServingError, match=f"{size} tokens.* more than the model's {size - 1}"):
        ServedModel("other", other, tokenizer)


@pytest.mark.parametrize("body", [{"model": "tiny"}, {"model": "tiny", "prompt": None}, {"prompt": "a"}], ids=str)
def test_a_field_that_is_needed_is_told_as_missing(serve, body):
    """Oracle: OpenAI's error object: the field by name, and a word for programs."""
    answer = serve().post("/v1/completions", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "missing_field")
    assert error["param"] == ("model" if "model" not in body else "prompt")


def test_each_choice_echoes_its_own_prompt(serve):
    """Oracle: OpenAI's order of choices: all of the first prompt, then all of the second."""
    choices = complete(serve(), prompt=["the cat", "a mat"], n=2, echo=True)["choices"]
    assert [one["text"].startswith("the cat") for one in choices] == [True, True, False, False]
    assert [one["text"].startswith("a mat") for one in choices] == [False, False, True, True]


def test_the_time_to_the_first_token_is_within_what_the_client_waited(serve):
    """Oracle: the client's own clock, which starts before the server's and stops after it."""
    client = serve()
    begun = time.perf_counter()
    complete(client, max_tokens=5)
    waited, counted = time.perf_counter() - begun, metrics(client)
    first, later = counted["time_to_first_token_seconds_sum",], counted["token_seconds_sum",]
    assert 0 < first < first + later <= counted["sequence_seconds_sum",] <= waited
    assert counted["time_to_first_token_seconds_count",] == 1
    assert counted["token_seconds_count",] == 4


def test_a_request_may_fill_the_context_to_its_last_token(serve):
    """Oracle: 250 tokens of prompt and 6 of text are the model's 256."""
    assert complete(serve(), prompt=[5] * 250, max_tokens=6)["usage"]["total_tokens"] == 256


def test_a_step_that_goes_well_ends_the_degraded_state_without_another_prompt(model, job):
    """Oracle: the model's embedding raises once, in the middle of two texts, and then works again."""
    jobs = [job([5, 6], 12), job([7], 12)]
    failed = []

    def fuse(module, inputs):
        if jobs[0].generated == 4 and not failed:
            failed.append(scheduler.health().status)
            raise RuntimeError("a cable came loose")

    scheduler = Scheduler(BatchedDecoder(model, 2))
    scheduler.submit(jobs)
    hook = model.tok_embeddings.register_forward_pre_hook(fuse)
    try:
        scheduler.start()
        assert all(isinstance(one.sink.last, Ended) for one in jobs)
        assert wait_until(lambda: scheduler.health().running == 0)
        assert (failed, scheduler.health().status, scheduler.health().failed_steps) == (["ok"], "ok", 1)
    finally:
        hook.remove()
        scheduler.stop()
    assert [one.sink.tokens for one in jobs] == [greedy(model, one.prompt, 12) for one in jobs]


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_that_lets_nothing_through_is_refused(seconds):
    """Oracle: a finite time above 0 is what a sequence can end within."""
    with pytest.raises(ServingError, match=r"seconds=.* must be above 0"):
        Limits(seconds=seconds)


@pytest.mark.parametrize("port", [-1, 2**16])
def test_a_port_that_is_none_is_refused(port):
    """Oracle: ports have 16 bits."""
    with pytest.raises(ServingError, match=f"port={port} must be from 0 to 65535"):
        listen("127.0.0.1", port)


def test_a_body_that_is_cut_off_is_a_client_that_hung_up(serve):
    """Oracle: nginx's status 499, and the next request."""
    client = serve()
    with socket.create_connection(("127.0.0.1", client.base_url.port)) as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: here\r\nContent-Length: 500\r\n\r\n{")
    assert wait_until(lambda: metrics(client).get(("requests_total", "/v1/completions", "499")) == 1)
    assert complete(client)["usage"]["completion_tokens"] == 6


def answering(*answers: bytes) -> tuple[str, threading.Thread]:
    """A server that gives each connection the next of some answers."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve_all():
        with listening:
            for answer in answers:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

    thread = threading.Thread(target=serve_all, daemon=True)
    thread.start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}", thread


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("event", [b"nonsense", b'{"id": 1}', b"[1]"])
def test_events_in_another_form_are_a_lost_request_and_not_the_end_of_the_test(event):
    """Oracle: one answer that no client of this API can read, and one that it can."""
    good = json.dumps({"choices": [{"text": "a", "index": 0}], "usage": None}).encode()
    where, thread = answering(STREAM + b"data: " + event + b"\n\n", STREAM + b"data: " + good + b"\n\ndata: [DONE]\n\n")
    found = load_test(where, requests=2, concurrency=1, model="any", **QUICK)
    thread.join(30)
    assert (found.answered, found.lost) == (1, 1)
    ((told, count),) = found.errors.items()
    assert (told.startswith("an answer in another form"), count) == (True, 1)


def test_a_date_to_come_back_at_is_understood_as_soon():
    """Oracle: RFC 9110 section 10.2.3, where Retry-After may be a date."""
    full = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\nContent-Length: 0\r\n"
    where, thread = answering(full + b"Connection: close\r\n\r\n", STREAM + b"data: [DONE]\n\n")
    found = load_test(where, requests=1, concurrency=1, retries=1, model="any", **QUICK)
    thread.join(30)
    assert (found.answered, found.retries, found.errors) == (1, 1, {})


@pytest.mark.parametrize(
    ("told", "ends"), [(3, (3,)), ([3, 5], (3, 5)), (None, (0,))], ids=["one", "several", "the tokenizer's"]
)
def test_a_text_ends_at_the_tokens_that_config_json_names(tokenizer, tmp_path, told, ends):
    """Oracle: `eos_token_id` of transformers' config.json: a number or a list; else the tokenizer's <|endoftext|>."""
    model = MoEModel(moe_config(layers=1, hidden_size=16, heads=2, vocab_size=tokenizer.get_vocab_size()))
    save_checkpoint(model, tmp_path / "mine", more_config={"eos_token_id": told})
    tokenizer.save(str(tmp_path / "mine" / "tokenizer.json"))
    assert load_served(tmp_path / "mine").end_tokens == ends
