"""Publishing a folder as a job's input: a plan, then its files, the manifest last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from course_lib.finops.aws import Clients, one_line
from course_lib.finops.batch.contract import MANIFEST, Prefix, files_in, sha256
from course_lib.finops.batch.errors import BatchError
from course_lib.finops.batch.job import URI

SHOWN = 20  # files by name in a plan that people read; the rest is counted


@dataclass(frozen=True)
class InputPlan:
    """What publishing a folder writes, to be read before it does it.

    Attributes:
        folder: where the files are.
        uri: the prefix that they go to.
        files: name of each → its SHA-256.
        bytes_: of all of them.
        replaced: names that are there already, the manifest among them; they are overwritten.
        left: files under the prefix that are not in the folder; they stay, and no job takes them for its input.
    """

    folder: Path
    uri: str
    files: dict[str, str]
    bytes_: int
    replaced: tuple[str, ...]
    left: tuple[str, ...]

    def __str__(self) -> str:
        """The plan in lines."""
        names = [*self.files][:SHOWN]
        rows = [f"{self._verb(name)} {name} (SHA-256 {self.files[name][:12]})" for name in names]
        if len(self.files) > SHOWN:
            rows.append(f"and {len(self.files) - SHOWN} files more")
        rows.append(f"{self._verb(MANIFEST)} {MANIFEST}, last: from then on it is an input")
        if self.left:
            rows.append(f"keep {len(self.left)} files that are not in the folder; no job reads them")
        return "\n".join([f"{len(self.files)} files, {self.bytes_:,} bytes, from {self.folder} to {self.uri}", *rows])

    def _verb(self, name: str) -> str:
        return "replace" if name in self.replaced else "create"


def plan_publish(account: Clients, folder: Path, uri: str) -> InputPlan:
    """What has to be written; reads only.

    Args:
        account: whose bucket.
        folder: hidden files are left out.
        uri: such as "s3://bucket/inputs".

    Raises:
        BatchError: for an empty folder, a file that has the manifest's name, or an address that is none.
        AwsError: if the bucket can't be listed.
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
    with one_line(f"looking at {uri}"):
        there = set(Prefix(account.client("s3"), uri).names())
    ours = {*names, MANIFEST}
    files = {name: sha256(folder / name) for name in names}
    size = sum((folder / name).stat().st_size for name in names)
    return InputPlan(folder, uri, files, size, tuple(sorted(there & ours)), tuple(sorted(there - ours)))


def apply_publish(account: Clients, plan: InputPlan) -> dict[str, str]:
    """Upload what the plan names, whole files in their order, the manifest last; gives each file's SHA-256.

    Raises:
        BatchError: if a file has changed, or has gone, since the plan was made; no manifest is written,
            and with one from before the checksums disagree, so that a job refuses the input.
        AwsError: if S3 refuses; a new prefix then has no manifest, and no job takes it for an input.
    """
    with one_line(f"publishing {len(plan.files)} files to {plan.uri}"):
        prefix = Prefix(account.client("s3"), plan.uri)
        for name, planned in plan.files.items():
            path = plan.folder / name
            if not path.is_file() or prefix.put(name, path) != planned:
                raise BatchError.of("file", str(path), "has changed since the plan was made", "plan again")
        prefix.finish(plan.files)
    return plan.files


def publish(account: Clients, folder: Path, uri: str, *, apply: bool = False) -> InputPlan:
    """Plan, and with `apply` also upload; see `plan_publish` and `apply_publish`."""
    plan = plan_publish(account, folder, uri)
    if apply:
        apply_publish(account, plan)
    return plan
