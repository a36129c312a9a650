"""AWS's wire formats: from an HTTP request to a call with a name and parameters, and back.

Botocore's own descriptions of the services say how each operation looks on the wire, in all five protocols; moto's
parsers and serializers read them for the server's side, so nothing here knows the format of a single operation.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

# Signature version 4 names who calls, when, where and what: "Credential=KEY/20261126/us-east-1/ec2/aws4_request"
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
SCOPE = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
# Where the name in the signature isn't botocore's name of the service.
SIGNED_AS = {
    "monitoring": "cloudwatch",
    "elasticloadbalancing": "elbv2",
    "servicequotas": "service-quotas",
    "tagging": "resourcegroupstaggingapi",
}


class ApiError(ServiceException):
    """An answer that AWS gives instead of a result: a code such as "RequestLimitExceeded", and a message."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message)
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True)
class ApiCall:
    """One request to the account.

    Attributes:
        service: botocore's name, such as "ec2".
        operation: botocore's name, such as "RunInstances".
        region: the region in the signature.
        parameters: what a caller of boto3 wrote as keyword arguments.
        access_key: the caller's access key id, "" for an unsigned request.
        protocol: the wire format of this request.
    """

    service: str
    operation: str
    region: str
    parameters: dict[str, Any]
    access_key: str
    protocol: str

    @property
    def name(self) -> str:
        """Service and operation in one word: "ec2.RunInstances"."""
        return f"{self.service}.{self.operation}"


def read_call(environ: dict[str, Any]) -> ApiCall | None:
    """The call in a WSGI environment, or None if it isn't signed or names no operation that botocore knows."""
    scope = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    if scope is None:
        return None
    access_key, region, signed = scope.groups()
    service = SIGNED_AS.get(signed, signed)
    request = Request(environ)
    body = request.get_data(cache=True, parse_form_data=False)
    environ["wsgi.input"] = io.BytesIO(body)  # moto, behind, reads the same request once more
    environ["CONTENT_LENGTH"] = str(len(body))
    request = Request({**environ, "wsgi.input": io.BytesIO(body)})
    try:
        model = get_service_model(service)
        operation, uri = _operation(service, request, model)
        protocol = determine_request_protocol(model, request.content_type)
        parser = PROTOCOL_PARSERS[protocol](model.operation_model(operation))
        parameters = parser.parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": body,
                "url_path": request.path,
                "url_params": uri,
            }
        )
    except (LookupError, NotFound, NotImplementedError, ValueError):
        return None  # whatever it is, moto may still know it
    return ApiCall(service, operation, region, dict(parameters or {}), access_key, protocol)


def write_result(call: ApiCall, result: dict[str, Any] | ApiError) -> tuple[int, dict[str, str], bytes]:
    """The HTTP answer to a call: status, headers and body in the format that its caller expects."""
    model = get_service_model(call.service)
    serializer = get_serializer_class(call.service, call.protocol)(model.operation_model(call.operation))
    response = serializer.serialize(result)
    body = response["body"]
    status = result.status if isinstance(result, ApiError) else response["status_code"]
    headers = {str(name): str(value) for name, value in response["headers"].items()}
    return status, headers, body if isinstance(body, bytes) else str(body).encode()


def read_result(call: ApiCall, status: int, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """What boto3 would hand to the caller for this answer."""
    from botocore.parsers import create_parser

    shape = get_service_model(call.service).operation_model(call.operation).output_shape
    parser = create_parser(call.protocol)
    return dict(parser.parse({"status_code": status, "headers": headers, "body": body}, shape))


def code_of(error: Exception) -> str:
    """AWS's word for what boto3 raised, or the exception's name."""
    told: dict[str, Any] = getattr(error, "response", {})
    return str(told.get("Error", {}).get("Code", type(error).__name__))


def as_text(value: Any) -> Any:
    """Parameters as JSON can hold them: times become text; of bytes, which may be a checkpoint, number and digest."""

    def odd(thing: Any) -> str:
        if not isinstance(thing, bytes):
            return str(thing)
        return f"({len(thing):,} bytes, sha256 {hashlib.sha256(thing).hexdigest()[:12]})"

    return json.loads(json.dumps(value, default=odd))


def _operation(service: str, request: Any, model: Any) -> tuple[str, dict[str, Any]]:
    target = request.headers.get("x-amz-target", "")
    name = target.rpartition(".")[2] or request.values.get("Action", "")
    if name:
        return name, {}
    operation, uri = get_service_router(service).match(request)
    return operation.name, dict(uri)
