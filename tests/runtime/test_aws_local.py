"""The local AWS endpoint answers real boto3, forgets everything, and cannot be talked into leaving this machine."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from course_lib.runtime import LocalAws, NotEmulatedError, NotLoopbackError, local_aws, require_loopback


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with local_aws() as endpoint:
        yield endpoint


def test_instance_types_match_the_vendors_documentation(aws: LocalAws) -> None:
    """Oracle: AWS's published data: trn1.2xlarge has one Trainium, two cores, 32 GiB; p5.48xlarge has 8 H100."""
    answer = aws.client("ec2").describe_instance_types(InstanceTypes=["trn1.2xlarge", "p5.48xlarge"])
    found = {row["InstanceType"]: row for row in answer["InstanceTypes"]}
    device = found["trn1.2xlarge"]["NeuronInfo"]["NeuronDevices"][0]
    assert (device["Count"], device["CoreInfo"]["Count"], device["MemoryInfo"]["SizeInMiB"]) == (1, 2, 32 * 1024)
    assert found["p5.48xlarge"]["GpuInfo"]["Gpus"][0]["Count"] == 8


def test_a_conditional_write_lets_only_the_first_writer_win(aws: LocalAws) -> None:
    """Oracle: the S3 API reference, If-None-Match: * answers 412 PreconditionFailed when the key exists."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="first-writer")
    s3.put_object(Bucket="first-writer", Key="step-10", Body=b"mine", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="first-writer", Key="step-10", Body=b"yours", IfNoneMatch="*")
    assert s3.get_object(Bucket="first-writer", Key="step-10")["Body"].read() == b"mine"


def test_two_endpoints_share_nothing_and_a_new_one_is_empty(aws: LocalAws) -> None:
    """Oracle: the list of buckets, read from each of two live endpoints."""
    aws.client("s3").create_bucket(Bucket="only-here")
    with local_aws() as other:
        assert other.client("s3").list_buckets()["Buckets"] == []
        assert other.url != aws.url


def test_a_new_account_owns_nothing() -> None:
    """Oracle: a new AWS account. (moto by itself would call the snapshots of its sample images ours.)"""
    with local_aws("eu-west-1") as fresh:
        ec2 = fresh.client("ec2")
        assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
        assert ec2.describe_instances()["Reservations"] == ec2.describe_volumes()["Volumes"] == []


def test_every_request_goes_to_loopback_and_is_recorded(aws: LocalAws) -> None:
    """Oracle: the API's own name of the operation that was called."""
    before = len(aws.calls)
    aws.client("sns").list_topics()
    (call,) = aws.calls[before:]
    assert (call.service, call.operation, call.host) == ("sns", "ListTopics", "127.0.0.1")


@pytest.mark.parametrize(
    "url",
    [
        "https://ec2.us-east-1.amazonaws.com",
        "http://10.0.0.7:5000",
        "http://localhost:5000",  # a name, which a hosts file can point anywhere
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com/",
        "127.0.0.1:5000",
        "",
    ],
)
def test_an_address_off_this_machine_is_refused(aws: LocalAws, url: str) -> None:
    """Oracle: RFC 1122, only 127.0.0.0/8 and ::1 are loopback."""
    with pytest.raises(NotLoopbackError, match="loopback"):
        require_loopback(url)
    if url:
        with pytest.raises(NotLoopbackError, match="real account"):
            aws.client("ec2", endpoint_url=url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://127.8.8.8", "http://[::1]:5000"])
def test_every_loopback_address_is_accepted(url: str) -> None:
    """Oracle: RFC 1122 and RFC 4291."""
    assert require_loopback(url) == url


def test_a_request_that_was_pointed_elsewhere_after_the_client_was_made_is_stopped(aws: LocalAws) -> None:
    """Oracle: a listening socket that must stay silent. The handler re-points the request, as a redirect would."""
    with socket.create_server(("0.0.0.0", 0)) as elsewhere:
        elsewhere.settimeout(0.3)
        client = aws.client("sns")

        def redirect(request: object, **_: object) -> None:
            request.url = f"http://{socket.gethostname()}:{elsewhere.getsockname()[1]}/"  # type: ignore[attr-defined]

        client.meta.events.register("before-sign.sns.*", redirect)
        with pytest.raises(NotLoopbackError, match="real account"):
            client.list_topics()
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def test_a_missing_operation_says_so_without_retries(aws: LocalAws) -> None:
    """Oracle: the count of requests sent; boto3's default would send a failing one five times."""
    before = len(aws.calls)
    with pytest.raises(NotEmulatedError, match=r"ec2\.GetSpotPlacementScores.*not been implemented"):
        aws.client("ec2").get_spot_placement_scores(TargetCapacity=1)
    assert len(aws.calls) == before + 1


def test_a_service_that_is_wholly_missing_says_so(aws: LocalAws) -> None:
    """Oracle: moto's list of services, which has no pricing."""
    with pytest.raises(NotEmulatedError, match=r"pricing\.DescribeServices"):
        aws.client("pricing").describe_services()


def test_an_ordinary_aws_error_keeps_its_code(aws: LocalAws) -> None:
    """Oracle: the EC2 API reference's error codes."""
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        aws.client("ec2").terminate_instances(InstanceIds=["i-0123456789abcdef0"])


HOSTILE_ENVIRONMENT = {
    "AWS_PROFILE": "production",
    "AWS_ENDPOINT_URL": "https://ec2.us-east-1.amazonaws.com",
    "AWS_SESSION_TOKEN": "a-real-token",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "HTTP_PROXY": "http://192.0.2.1:3128",
    "http_proxy": "http://192.0.2.1:3128",
}


def test_the_readers_own_profile_proxy_and_tokens_are_not_used() -> None:
    """Oracle: settings with which plain boto3 fails (no such profile) or leaves the machine (proxy, endpoint)."""
    program = (
        "from course_lib.runtime import local_aws\n"
        "with local_aws() as aws:\n"
        "    ec2 = aws.client('ec2')\n"
        "    print(ec2.describe_instance_types(InstanceTypes=['inf2.xlarge'])['InstanceTypes'][0]['InstanceType'])\n"
        "    print(ec2._request_signer._credentials.token, {call.host for call in aws.calls})\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | HOSTILE_ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n")[:2] == ["inf2.xlarge", "None {'127.0.0.1'}"]


def test_a_closed_endpoint_has_no_process_and_makes_no_clients() -> None:
    """Oracle: the kernel, which refuses a connection to a port that nobody listens on."""
    endpoint = local_aws()
    address = urlsplit(endpoint.url)
    socket.create_connection((address.hostname, address.port), timeout=5).close()
    endpoint.close()
    endpoint.close()  # closing twice is harmless
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port), timeout=5)
    with pytest.raises(RuntimeError, match="closed"):
        endpoint.client("s3")


def test_the_server_ends_with_a_program_that_forgot_to_close_it() -> None:
    """Oracle: the kernel again. `os._exit` skips every clean-up that Python would do."""
    program = "import os; from course_lib.runtime import local_aws; print(local_aws().url, flush=True); os._exit(1)"
    url = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60).stdout.strip()
    address = urlsplit(url)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection((address.hostname, address.port), timeout=1).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    pytest.fail(f"{url} still answers 10 s after the program that started it has gone")


def test_importing_the_runtime_stays_light() -> None:
    """Oracle: the interpreter's list of loaded modules."""
    program = (
        "import sys, course_lib.runtime; print([m for m in ('boto3', 'moto', 'werkzeug', 'torch') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"
