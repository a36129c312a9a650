"""Publishing a folder as a job's input: its files first, the manifest last."""

from __future__ import annotations

from pathlib import Path

from course_lib.finops.aws import Clients, one_line
from course_lib.finops.batch.contract import MANIFEST, Prefix, files_in
from course_lib.finops.batch.errors import BatchError
from course_lib.finops.batch.job import URI


def publish(account: Clients, folder: Path, uri: str) -> dict[str, str]:
    """Upload a folder; the prefix counts as an input when all of it is there. Doing it again overwrites.

    Args:
        account: whose bucket.
        folder: hidden files are left out.
        uri: such as "s3://bucket/inputs".

    Returns:
        Name of each file → its SHA-256.

    Raises:
        BatchError: for an empty folder, a file that has the manifest's name, or an address that is none.
        AwsError: if S3 refuses; without a manifest no job takes it for an input.
    """
    if not URI.fullmatch(uri):
        raise BatchError.of("uri", uri, "is no S3 address", "write s3://bucket/prefix")
    names = files_in(folder)
    if not names:
        raise BatchError.of("folder", str(folder), "holds no files", "put the job's input there")
    if MANIFEST in names:
        raise BatchError.of(
            "folder", str(folder), f"holds a file {MANIFEST}", "rename it: the contract writes that name"
        )
    with one_line(f"publishing {len(names)} files to {uri}"):
        prefix = Prefix(account.client("s3"), uri)
        files = {name: prefix.put(name, folder / name) for name in names}
        prefix.finish(files)
    return files
