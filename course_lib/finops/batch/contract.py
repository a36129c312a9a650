"""The S3 contract of a job: inputs in, the command, outputs out. The entry point of every image, and of local runs.

It runs alone inside a container, so it needs the standard library and boto3 only. The variables that it reads are
COURSE_S3_INPUT and COURSE_S3_OUTPUT (s3:// addresses), COURSE_WORK (a folder, /work unless told), and those of Batch.

* Inputs: a prefix with files and a `manifest.json` of their SHA-256, which are compared. No manifest, no input.
* Outputs: what the command leaves in $COURSE_OUTPUT goes to the output prefix (of an array's child: with its index). An
  object is whole or not there; the manifest comes last and only after success, so whoever sees it sees all.
* Resuming: files at rest are uploaded every few seconds and once more at SIGTERM. A later attempt finds them in
  $COURSE_OUTPUT again; if the manifest is there already, it has nothing to do.

Exit codes: the command's own; 75 when it was told to stop before it was done (run me again), 65 for an incomplete or
damaged input, 74 when S3 refuses, 64 for a wrong call.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
USAGE, BAD_INPUT, IO_ERROR, REQUEUE = 64, 65, 74, 75  # as in sysexits.h
EVERY = 5.0  # seconds between two looks for files to upload
TO_END = 20.0  # seconds that the command has after SIGTERM; Batch kills after 30, and the last upload needs some


class ContractError(Exception):
    """An input that can't be used; `code` is the exit code."""

    code = BAD_INPUT


class UsageError(ContractError):
    """A wrong call."""

    code = USAGE


class Prefix:
    """A prefix in a bucket, such as "s3://bucket/some/prefix", as a folder of files with checksums."""

    def __init__(self, s3: Any, uri: str) -> None:
        scheme, _, rest = uri.partition("://")
        self.bucket, _, path = rest.partition("/")
        if scheme != "s3" or not self.bucket:
            raise UsageError(f"{uri!r} is no S3 address. Remedy: write s3://bucket/prefix.")
        self.s3, self.path = s3, path.strip("/")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.path}"

    def key(self, name: str) -> str:
        """The key of a file."""
        return f"{self.path}/{name}" if self.path else name

    def names(self) -> list[str]:
        """Every file under the prefix."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.key(""))
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        return [key[len(self.key("")) :] for key in keys if not key.endswith("/")]

    def manifest(self) -> dict[str, str] | None:
        """Name → SHA-256 of a finished prefix, or None."""
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=self.key(MANIFEST))["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None
        return dict(json.loads(body)["files"])

    def put(self, name: str, path: Path) -> str:
        """Upload a file with its checksum, which S3 compares; gives the SHA-256."""
        sha = sha256(path)
        with path.open("rb") as file:
            self.s3.put_object(
                Bucket=self.bucket, Key=self.key(name), Body=file, Metadata={"sha256": sha}, ChecksumAlgorithm="SHA256"
            )
        return sha

    def get(self, name: str, folder: Path) -> str:
        """Download a file, whole or not at all; gives the SHA-256 of what arrived."""
        target = folder / name
        if folder.resolve() not in target.resolve().parents:
            raise ContractError(f"{name!r} in {self} would be written outside of {folder}. Remedy: rename it.")
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.part")
        self.s3.download_file(self.bucket, self.key(name), str(draft))
        os.replace(draft, target)
        return sha256(target)

    def finish(self, files: dict[str, str], **about: Any) -> None:
        """Write the manifest: from now on the prefix counts as complete."""
        body = json.dumps({"files": dict(sorted(files.items())), **about}, indent=1)
        self.s3.put_object(
            Bucket=self.bucket, Key=self.key(MANIFEST), Body=body.encode(), ContentType="application/json"
        )


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):  # hashlib.file_digest is younger than the Python of some base images
            digest.update(block)
    return digest.hexdigest()


def fetch(s3: Any, uri: str, folder: Path) -> dict[str, str]:
    """Download an input and compare every checksum; a ContractError if it is incomplete or damaged."""
    prefix = Prefix(s3, uri)
    expected = prefix.manifest()
    if expected is None:
        raise ContractError(f"{prefix} has no {MANIFEST}: it is empty or unfinished. Remedy: publish it first.")
    present = set(prefix.names())
    for name, sha in expected.items():
        if name not in present:
            raise ContractError(f"{prefix}/{name} is missing. Remedy: publish the input again.")
        arrived = prefix.get(name, folder)
        if arrived != sha:
            raise ContractError(
                f"{prefix}/{name} is damaged: SHA-256 {arrived[:12]}, not {sha[:12]}. Remedy: publish again."
            )
    return expected


def files_in(folder: Path) -> list[str]:
    """The files of a folder and its folders, hidden ones aside, in order."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in paths)
    return sorted(name for name in names if not any(part.startswith(".") for part in name.split("/")))


class Outputs:
    """The files of the output folder, uploaded when they are new and at rest."""

    def __init__(self, prefix: Prefix, folder: Path) -> None:
        self.prefix, self.folder = prefix, folder
        self._seen: dict[str, tuple[int, int]] = {}
        self._sent: dict[str, tuple[tuple[int, int], str]] = {}

    def resume(self) -> int:
        """Fetch what an earlier attempt left; gives the number of files."""
        names = [name for name in self.prefix.names() if name != MANIFEST]
        for name in names:
            sha = self.prefix.get(name, self.folder)
            self._sent[name] = (_state(self.folder / name), sha)
        return len(names)

    def upload(self, *, all_: bool) -> dict[str, str]:
        """Send what is new; without `all_` only files that have not changed since the last look."""
        for name in files_in(self.folder):
            with contextlib.suppress(FileNotFoundError):  # renamed since the list was made: seen at the next look
                state, before = _state(self.folder / name), self._seen.get(name)
                self._seen[name] = state
                new = name != MANIFEST and (name not in self._sent or self._sent[name][0] != state)
                if new and (all_ or before == state):
                    self._sent[name] = (state, self.prefix.put(name, self.folder / name))
        return {name: sha for name, (_, sha) in self._sent.items()}


def run(command: list[str]) -> int:
    """Fulfil the contract once; gives the exit code."""
    work = Path(os.environ.get("COURSE_WORK", "/work"))
    inputs, outputs = work / "input", work / "output"
    inputs.mkdir(parents=True, exist_ok=True)
    outputs.mkdir(parents=True, exist_ok=True)
    source, target = os.environ.get("COURSE_S3_INPUT", ""), os.environ.get("COURSE_S3_OUTPUT", "")
    s3 = _client() if source or target else None
    index = os.environ.get("AWS_BATCH_JOB_ARRAY_INDEX", "")
    sent = Outputs(Prefix(s3, f"{target.rstrip('/')}/{index}".rstrip("/")), outputs) if target else None
    if sent is not None:
        if sent.prefix.manifest() is not None:
            print(f"contract: {sent.prefix} is complete already", flush=True)
            return 0
        print(f"contract: {sent.resume()} files of an earlier attempt", flush=True)
    if source:
        print(f"contract: {len(fetch(s3, source, inputs))} input files, checksums right", flush=True)
    code, stopped = _supervise(command, {"COURSE_INPUT": str(inputs), "COURSE_OUTPUT": str(outputs)}, sent)
    if sent is not None:
        files = sent.upload(all_=True)
        if code == 0 and not stopped:
            present = set(files_in(outputs))
            attempt = os.environ.get("AWS_BATCH_JOB_ATTEMPT", "1")
            sent.prefix.finish({name: sha for name, sha in files.items() if name in present}, attempt=int(attempt))
    return REQUEUE if stopped else code


def _supervise(command: list[str], more: dict[str, str], sent: Outputs | None) -> tuple[int, bool]:
    """Run the command, pass SIGTERM on, upload meanwhile; gives the exit code, and whether it was told to stop."""
    told = False

    def on_term(*_: Any) -> None:
        nonlocal told
        told = True

    signal.signal(signal.SIGTERM, on_term)
    child = subprocess.Popen(command, env={**os.environ, **more})
    every = float(os.environ.get("COURSE_UPLOAD_EVERY", EVERY))
    due, deadline = time.monotonic() + every, float("inf")
    while child.poll() is None:
        now = time.monotonic()
        if told and deadline == float("inf"):
            child.terminate()
            deadline = now + TO_END
        if now > deadline:
            child.kill()
        if sent is not None and now >= due:
            sent.upload(all_=False)
            due = time.monotonic() + every
        time.sleep(0.05)
    code = child.returncode
    return (128 - code if code < 0 else code), told


def _state(path: Path) -> tuple[int, int]:
    return path.stat().st_size, path.stat().st_mtime_ns


def _client() -> Any:
    import boto3

    return boto3.client("s3", region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"))


def main(words: list[str]) -> int:
    """Run a command under the contract; gives the exit code."""
    try:
        if not words:
            raise UsageError("no command. Remedy: contract.py COMMAND WORD...")
        return run(words)
    except ContractError as error:
        print(f"contract: {error}", file=sys.stderr, flush=True)
        return error.code
    except Exception as error:
        if not type(error).__module__.startswith(("boto3", "botocore")):
            raise
        print(f"contract: S3: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return IO_ERROR


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
