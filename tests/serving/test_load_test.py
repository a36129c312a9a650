"""Load tests. Oracle: percentiles by hand, the server's own counters, and servers that misbehave on purpose."""

import socket
import struct
import threading
import time

import pytest

from course_lib.serving import ServingError, load_test
from course_lib.serving.load_report import report
from course_lib.serving.load_shot import Shot
from tests.serving.conftest import POISON
from tests.serving.test_http import metrics

QUICK = {"max_tokens": 6, "temperature": 0.0, "prompts": ["the cat", [5, 6, 7]]}


def url(client) -> str:
    return str(client.base_url).rstrip("/")


def test_percentiles_and_counts_of_a_report():
    """Oracle: by hand: of 1, 2, ..., 101 seconds half lie below 51, nine tenths below 91."""
    shots = [Shot(200, float(s), s / 2, [0.1] * 3, 2, 10) for s in range(1, 102)]
    shots += [Shot(429, 9.0, error="429", refusals=3), Shot(200, 9.0, 1.0, error="the stream broke off")]
    shots += [Shot(0, 9.0, error="ReadTimeout"), Shot(500, 9.0, error="internal_error"), Shot(200, 51.0, refusals=1)]
    found = report(shots, 10.0, concurrency=4, rate=None)
    assert (found.requests, found.answered, found.refused, found.lost) == (106, 102, 1, 2)
    assert found.errors == {"internal_error": 1, "the stream broke off": 1, "ReadTimeout": 1}
    assert found.latency_seconds["p50"] == 51.0
    assert found.latency_seconds["p90"] == pytest.approx(91, abs=0.5)
    assert found.latency_seconds["p99"] == pytest.approx(100, abs=0.1)
    assert found.first_token_seconds["mean"] == pytest.approx(25.5)
    assert found.retries == 3
    assert (found.generated_tokens, found.tokens_per_second) == (1010, 101.0)


def test_a_closed_loop_is_answered_and_counts_as_the_server_does(serve):
    """Oracle: the server's metrics."""
    client = serve()
    found = load_test(url(client), requests=12, concurrency=3, **QUICK)
    assert (found.answered, found.refused, found.lost, found.errors) == (12, 0, 0, {})
    counted = metrics(client)
    assert found.generated_tokens == counted["generated_tokens_total",] == 72
    assert found.prompt_tokens == counted["prompt_tokens_total",] == 30
    assert counted["requests_total", "/v1/completions", "200"] == 12
    assert set(found.latency_seconds) == {"p50", "p90", "p99", "mean"}
    assert found.as_dict()["answered"] == 12
    assert any("tokens/s" in value for _, value in found.rows())


def test_an_open_loop_goes_on_arriving_where_a_closed_one_waits(serve):
    """Oracle: one slot and one place to wait are enough for 2 clients that wait for answers, not for 12 that don't."""
    client = serve(slots=1, queue=1)
    slow = QUICK | {"max_tokens": 150}
    closed = load_test(url(client), requests=4, concurrency=2, **slow)
    assert (closed.answered, closed.refused) == (4, 0)
    opened = load_test(url(client), requests=12, rate=2000.0, **slow)
    assert opened.refused > 0
    assert opened.answered + opened.refused == 12
    assert (opened.concurrency, opened.rate) == (None, 2000.0)


def test_who_is_told_to_come_back_comes_back_and_is_answered(serve):
    """Oracle: one at a time, in the end all are."""
    found = load_test(url(serve(slots=1, queue=1)), requests=5, concurrency=5, retries=50, **QUICK)
    assert (found.answered, found.refused, found.lost) == (5, 0, 0)


def test_failures_are_counted_by_what_they_say(serve):
    """Oracle: two prompts of which one breaks the model, one that is too long."""
    client = serve()
    found = load_test(url(client), requests=4, concurrency=2, **(QUICK | {"prompts": ["the", [POISON]]}))
    assert (found.answered, found.errors) == (2, {"internal_error": 2})
    found = load_test(url(client), requests=1, **(QUICK | {"prompts": [[5] * 300]}))
    (kind,) = found.errors
    assert kind.startswith("400 the model's context holds 256")


@pytest.mark.parametrize("linger", [None, 0])
def test_a_stream_that_breaks_off_is_lost(linger):
    """Oracle: a server that closes the connection after its first piece of text, or resets it (SO_LINGER 0)."""
    event = b'data: {"choices": [{"text": "a", "index": 0}]}\n\n'
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def half_an_answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + event)
                if linger is not None:
                    time.sleep(0.3)  # until the client has begun to read
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, linger))

        thread = threading.Thread(target=half_an_answer)
        thread.start()
        port = listening.getsockname()[1]
        found = load_test(f"http://127.0.0.1:{port}", requests=1, model="any", **QUICK)
        thread.join()
    assert (found.answered, found.lost, found.errors) == (0, 1, {"the stream broke off": 1})


@pytest.mark.parametrize(
    ("where", "options", "words"),
    [
        ("http://127.0.0.1:1", {}, ["no server", "course moe serve"]),
        ("nonsense", {}, ["nonsense", "no server"]),
        ("http://127.0.0.1:1", {"requests": 0}, ["requests=0"]),
        ("http://127.0.0.1:1", {"concurrency": -1}, ["concurrency=-1"]),
        ("http://127.0.0.1:1", {"rate": float("nan")}, ["rate=nan"]),
        ("http://127.0.0.1:1", {"prompts": []}, ["prompts"]),
    ],
    ids=["refused", "nonsense", "requests", "concurrency", "rate", "prompts"],
)
def test_what_can_not_be_measured_is_refused(where, options, words):
    """Oracle: a port on which nothing listens, and numbers out of range."""
    with pytest.raises(ServingError, match="Remedy") as caught:
        load_test(where, **options)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.slow
def test_a_thousand_clients_at_once_lose_no_request(serve):
    """Oracle: each is answered or told 429, and the server takes the next request."""
    client = serve(slots=16, queue=400)
    few = QUICK | {"max_tokens": 2}
    found = load_test(url(client), requests=1000, concurrency=1000, **few)
    assert (found.answered + found.refused, found.lost, found.errors) == (1000, 0, {})
    assert found.answered >= 400
    health = client.get("/healthz").json()
    assert (health["status"], health["running"], health["waiting"], health["failed_steps"]) == ("ok", 0, 0, 0)
    assert load_test(url(client), requests=1, **few).answered == 1
