"""Lambda functions that run: a function's Python code, from its own zip, in a child process on this machine.

moto starts a container for each invocation, which needs Docker. Here the zip is unpacked into a temporary folder and
its handler is called by this Python, with an environment in which boto3 talks to the practice account and nothing else.
That serves Invoke, SNS subscriptions and schedules; moto's EventBridge rules do not reach functions.

It is the function's code, and not Lambda: no sandbox (run your own code only), no memory limit, no layers, this
machine's Python whatever the runtime's version, an invocation of type Event is carried out before it is answered and
not repeated, and the time limit is real seconds, with `START` more for the interpreter. Only python runtimes in zips.
Source: https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from course_lib.finops.cloud.inside import key_of
from course_lib.runtime import server_environment

START = 30.0  # real seconds that starting the interpreter may take beside the function's own limit
# Runs in the child: the event comes on standard input, the result goes to the file that is named.
RUNNER = """
import importlib, json, os, sys, time, traceback
folder, handler, answer, request, limit = sys.argv[1:]
sys.path.insert(0, folder)
class Context:
    aws_request_id = request
    function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
    function_version = "$LATEST"
    invoked_function_arn = os.environ.pop("COURSE_FUNCTION_ARN")
    memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
    log_group_name = "/aws/lambda/" + function_name
    ends = time.monotonic() + float(limit)
    def get_remaining_time_in_millis(self):
        return max(0, int(1000 * (self.ends - time.monotonic())))
try:
    module, _, name = handler.rpartition(".")
    result = getattr(importlib.import_module(module.replace("/", ".")), name)(json.load(sys.stdin), Context())
    told = {"result": json.loads(json.dumps(result))}
except BaseException as error:
    lines = traceback.format_exception(error)
    print("".join(lines))
    told = {"error": {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": lines}}
with open(answer, "w") as file:
    json.dump(told, file)
"""
Tell = Callable[[str, str, dict[str, Any], int, str], None]  # region, what happened, details, status, error


def run_functions(url: str, tell: Callable[[], Tell]) -> None:
    """Have moto run functions here, for as long as the process lives.

    Args:
        url: of the account, as the functions' boto3 needs it.
        tell: gives what writes into the ledger.
    """
    from moto.awslambda.models import LambdaFunction

    def invoke(function: Any, event: Any = None) -> tuple[str, bool, str]:
        function.logs_backend.ensure_log_group(function.logs_group_name)
        nothing = event is None or event == "{}"  # moto's word for an invocation without a payload
        result, error, output = _run(function, {} if nothing else event, url)
        function.save_logs(output)
        told = {"FunctionName": function.function_name, "error": error.get("errorMessage", "")}
        tell()(function.region, "function", told, 400 if error else 200, error.get("errorType", ""))
        return json.dumps(error or result), bool(error), output

    moto_function: Any = LambdaFunction
    moto_function._invoke_lambda = invoke


def after_invoke(account: Any, call: Any, status: int, headers: dict[str, str], body: bytes) -> None:
    """Name a function's own failure as Lambda does; moto says "Handled", which is only for runtimes of one's own."""
    for name in headers:
        if name.lower() == "x-amz-function-error":
            headers[name] = "Unhandled"


def _run(function: Any, event: Any, url: str) -> tuple[Any, dict[str, Any], str]:
    """A function's result, its error (empty for none), and what it printed."""
    if not str(function.run_time).startswith("python") or not function.code_bytes:
        why = f"the practice account runs python functions from a zip, and not {function.run_time}"
        return None, {"errorMessage": why, "errorType": "Runtime.NotInThePracticeAccount"}, why
    with tempfile.TemporaryDirectory() as folder:
        code, answer = Path(folder, "task"), Path(folder, "answer.json")
        with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as packed:
            packed.extractall(code)
        request = str(uuid4())
        limit = float(function.timeout)
        command = [sys.executable, "-I", "-c", RUNNER, str(code), function.handler, str(answer), request, str(limit)]
        try:
            done = subprocess.run(
                command,
                input=json.dumps(event).encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=code,
                env=_environment(function, url),
                timeout=limit + START,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            why = f"{request} Task timed out after {limit:.2f} seconds"
            printed = (late.output or b"").decode(errors="replace")
            return None, {"errorMessage": why, "errorType": "Sandbox.Timedout"}, f"{printed}{why}"
        output = done.stdout.decode(errors="replace")
        if not answer.exists():
            why = f"RequestId: {request} Error: Runtime exited with error: exit status {done.returncode}"
            return None, {"errorMessage": why, "errorType": "Runtime.ExitError"}, f"{output}{why}"
        told = json.loads(answer.read_text())
        return told.get("result"), told.get("error", {}), output


def _environment(function: Any, url: str) -> dict[str, str]:
    key = key_of("lambda")
    ours = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": key,
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
        "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
        "COURSE_FUNCTION_ARN": function.function_arn,
        "NO_PROXY": "127.0.0.1",
        "PATH": os.environ.get("PATH", ""),
    }
    settings = {name: server_environment()[name] for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")}
    # A function's own variables come last on Lambda too, where the reserved ones can't be set at all.
    return {**function.environment_vars, **settings, **ours}
