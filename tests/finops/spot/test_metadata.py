"""The metadata client and the local service. Oracle: botocore's own IMDS fetchers, the EC2 User Guide's statuses."""

import http.client
import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest
from botocore.utils import IMDSFetcher, InstanceMetadataFetcher, InstanceMetadataRegionFetcher

from course_lib.finops.spot import LocalMetadataServer, MetadataClient, MetadataError, SpotError

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
TTL, TOKEN = "X-aws-ec2-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token"


class Clock:
    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock):
    with LocalMetadataServer(
        availability_zone="eu-north-1b",
        tags={"owner": "ada", "ttl": "2026-11-26T18:00:00Z"},
        role="lab-role",
        clock=clock,
        now=lambda: NOON,
    ) as running:
        yield running


def ask(server, method, path, headers=None):
    """A bare HTTP request, as curl would send it."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=5)
    connection.request(method, path, headers=headers or {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, answer.headers


def token_of(server, seconds=60):
    return ask(server, "PUT", "/latest/api/token", {TTL: str(seconds)})[1]


def test_botocore_finds_region_and_credentials_with_a_token(server):
    settings = {"base_url": server.url, "env": {}, "config": {"ec2_metadata_v1_disabled": True}}
    assert InstanceMetadataRegionFetcher(**settings).retrieve_region() == "eu-north-1"
    found = InstanceMetadataFetcher(**settings).retrieve_iam_role_credentials()
    assert (found["role_name"], found["access_key"], found["token"]) == ("lab-role", "local-only", "local-only")
    fetcher = IMDSFetcher(**settings)
    token = fetcher._fetch_metadata_token()
    answer = fetcher._get_request("latest/meta-data/instance-id", None, token=token)
    assert answer.text == MetadataClient(server.url).instance_id() == "i-0123456789abcdef0"
    statuses = {(request.method, request.status) for request in server.requests}
    assert statuses == {("PUT", 200), ("GET", 200)}


def test_botocore_without_a_token_is_sent_away(server):
    fetcher = IMDSFetcher(base_url=server.url, env={})
    with pytest.raises(fetcher._RETRIES_EXCEEDED_ERROR_CLS):
        fetcher._get_request("latest/meta-data/instance-id", None)
    assert [request.status for request in server.requests] == [401]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("PUT", "/latest/api/token", {}, 400),
        ("PUT", "/latest/api/token", {TTL: "0"}, 400),
        ("PUT", "/latest/api/token", {TTL: "21601"}, 400),
        ("PUT", "/latest/api/token", {TTL: "soon"}, 400),
        ("PUT", "/latest/api/token", {TTL: "1"}, 200),
        ("PUT", "/latest/api/token", {TTL: "21600"}, 200),
        ("PUT", "/latest/api/token", {TTL: "60", "X-Forwarded-For": "10.0.0.1"}, 403),
        ("PUT", "/2021-03-23/api/token", {TTL: "60"}, 403),
        ("GET", "/latest/meta-data/instance-id", {}, 401),
        ("GET", "/latest/meta-data/instance-id", {TOKEN: "made-up"}, 401),
        ("POST", "/latest/api/token", {TTL: "60"}, 501),
    ],
)
def test_statuses_are_those_of_the_user_guide(server, method, path, headers, status):
    """Oracle: "Use IMDSv2" and "Retrieve instance metadata" (400, 401, 403; token life 1 s to 6 h)."""
    assert ask(server, method, path, headers)[0] == status


def test_items_lists_and_absent_items(server):
    """Oracle: the examples of "Retrieve instance metadata"."""
    header = {TOKEN: token_of(server)}

    def get(path):
        return ask(server, "GET", f"/latest/meta-data/{path}", header)[:2]

    assert get("placement/region") == (200, "eu-north-1")
    assert get("placement/availability-zone/") == (200, "eu-north-1b")
    assert get("tags/instance") == (200, "owner\nttl")
    assert get("tags/instance/owner") == (200, "ada")
    assert "instance-id" in get("")[1].split("\n")
    assert "placement/" in get("")[1].split("\n")
    assert get("spot/instance-action")[0] == 404
    assert get("events/recommendations/rebalance")[0] == 404
    status, text, headers = ask(server, "HEAD", "/latest/meta-data/instance-id", header)
    assert (status, text, headers["Content-Type"]) == (200, "", "text/plain")


def test_a_token_dies_with_its_time_and_is_renewed_once(server, clock):
    client = MetadataClient(server.url, token_ttl_seconds=30)
    assert client.region() == "eu-north-1"
    clock.seconds += 29.9
    assert client.tag("owner") == "ada"
    clock.seconds += 0.2
    assert client.tag("owner") == "ada"
    told = [(request.method, request.status) for request in server.requests]
    assert told == [("PUT", 200), ("GET", 200), ("GET", 200), ("GET", 401), ("PUT", 200), ("GET", 200)]


def test_a_notice_is_read_as_the_user_guide_writes_it(server):
    """Oracle: the guide's own texts, {"action": "stop", "time": "2017-09-18T08:22:00Z"} and "noticeTime"."""
    client = MetadataClient(server.url)
    assert client.interruption_notice() is None
    assert client.rebalance_recommendation() is None
    assert server.interrupt() == NOON + timedelta(minutes=2)
    notice = client.interruption_notice()
    assert (notice.action, notice.at) == ("terminate", NOON + timedelta(minutes=2))
    raw = ask(server, "GET", "/latest/meta-data/spot/instance-action", {TOKEN: token_of(server)})[1]
    assert json.loads(raw) == {"action": "terminate", "time": "2026-11-26T12:02:00Z"}
    old = ask(server, "GET", "/latest/meta-data/spot/termination-time", {TOKEN: token_of(server)})[1]
    assert old == "2026-11-26T12:02:00Z"
    server.rebalance(NOON - timedelta(seconds=40))
    assert client.rebalance_recommendation() == NOON - timedelta(seconds=40)
    server.all_clear()
    assert client.interruption_notice() is None
    server.interrupt(NOON, "stop")
    assert client.interruption_notice().action == "stop"


def test_no_proxy_of_the_environment_is_asked(server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert MetadataClient(server.url).instance_type() == "trn1.2xlarge"


def test_a_redirect_does_not_carry_the_token_away(server):
    """Oracle: what arrives at the other host, which is nothing."""

    class Elsewhere(BaseHTTPRequestHandler):
        def do_PUT(self):
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"token")

        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", f"{server.url}/latest/meta-data/instance-id")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    other = HTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=other.serve_forever, args=(0.05,))
    thread.start()
    try:
        with pytest.raises(MetadataError, match="answered 302"):
            MetadataClient(f"http://127.0.0.1:{other.server_port}").instance_id()
    finally:
        other.shutdown()
        other.server_close()
        thread.join()
    assert server.requests == []


@pytest.mark.parametrize(
    ("status", "words"), [(403, "HttpEndpoint=enabled"), (400, "malformed"), (503, "try again later, less often")]
)
def test_a_refusal_comes_with_its_remedy(server, status, words):
    server.fail_next(status)
    with pytest.raises(MetadataError, match=words):
        MetadataClient(server.url).instance_id()


def test_a_service_that_refuses_fresh_tokens_is_not_asked_for_ever(server):
    client = MetadataClient(server.url)
    client.region()
    server.fail_next(401)  # the old token is refused, the new one accepted
    assert client.region() == "eu-north-1"
    client = MetadataClient(server.url)
    client._token = "stale"
    real = server._answer
    server._answer = lambda method, *rest: (401, "") if method == "GET" else real(method, *rest)
    with pytest.raises(MetadataError, match="answered 401"):
        client.region()


def test_nobody_there_is_one_clear_line():
    with LocalMetadataServer() as gone:
        url = gone.url
    with pytest.raises(MetadataError, match=r"hop limit.*from 1 to 2"):
        MetadataClient(url, timeout_seconds=1).instance_id()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"action": "stop"}', '{"action": "stop", "time": "soon"}'])
def test_an_answer_that_is_no_notice_is_an_error_not_a_notice(server, text):
    server._items["spot/instance-action"] = text
    with pytest.raises(MetadataError, match="Remedy"):
        MetadataClient(server.url).interruption_notice()


@pytest.mark.parametrize(
    "make",
    [
        lambda: MetadataClient("https://169.254.169.254"),
        lambda: MetadataClient("169.254.169.254"),
        lambda: MetadataClient("http://169.254.169.254/latest"),
        lambda: MetadataClient("http://user@169.254.169.254"),
        lambda: MetadataClient(token_ttl_seconds=21601),
        lambda: MetadataClient(token_ttl_seconds=0),
        lambda: MetadataClient(timeout_seconds=0),
    ],
)
def test_a_client_that_could_never_work_is_refused(make):
    with pytest.raises(SpotError, match="Remedy"):
        make()


def test_the_server_refuses_nonsense(server):
    with pytest.raises(SpotError, match="terminate, stop, hibernate"):
        server.interrupt(action="explode")
    with pytest.raises(SpotError, match="UTC"):
        server.interrupt(datetime(2026, 1, 1))
    with pytest.raises(SpotError, match="400 to 599"):
        server.fail_next(200)
