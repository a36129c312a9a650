"""The check of a module where Terraform can't be run: what a reviewer would look for, by rule.

It reads with python-hcl2 and knows no provider's schema: an argument that a provider doesn't have passes here and fails
in `terraform validate`, which remains the judge wherever the provider is installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from course_lib.finops.infrastructure.kinds import MACHINES, TAGS
from course_lib.finops.infrastructure.lifetimes import Problem, batch_problems, machine_problems, storage_problems
from course_lib.finops.infrastructure.reading import Module, literal, read_module
from course_lib.finops.infrastructure.references import references, unresolved

REQUIRED = ("owner", "project")
_SECRETS = {
    "an account number": re.compile(r"(?<!\d)(?!0{12})\d{12}(?!\d)"),
    "an access key": re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "a subscription or tenant": re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE),
    "a secret": re.compile(r"(?i)\b\w*(password|secret|token|api_key)\w*\s*=\s*\"(?!required|optional)[^\"$]{4,}\""),
}


@dataclass(frozen=True)
class Found:
    """Something that a module lacks, or has and should not.

    Attributes:
        module: its folder.
        what: in words.
        remedy: what to do.
    """

    module: str
    what: str
    remedy: str


def check_module(path: Path) -> list[Found]:
    """Everything that the rules find in a module; nothing means that it passes.

    Raises:
        FinopsError: the folder holds no module, a file can't be parsed, or python-hcl2 is missing.
    """
    module = read_module(path)
    problems = [problem for rule in RULES for problem in rule(module)]
    return [Found(f"{path.parent.name}/{path.name}", what, remedy) for what, remedy in problems]


def _pinned(module: Module) -> Iterator[Problem]:
    if not literal(module.settings.get("required_version")):
        yield "Terraform's own version is open", 'set required_version in versions.tf, such as ">= 1.11, < 2.0"'
    blocks = module.settings.get("required_providers") or [{}]
    provided = blocks[0]
    for name, asked in provided.items():
        version = literal(asked.get("version") if isinstance(asked, dict) else asked)  # the short form is a text
        if not version or not re.fullmatch(r"\d+\.\d+\.\d+", version):
            yield f"provider {name} is not pinned (version {version!r})", "write one exact version, such as 5.100.0"
    for kind in {kind.partition("_")[0] for kind, _ in (*module.resources, *module.data)} - {"terraform"}:
        if kind not in provided:
            yield f"provider {kind} is used and not required", "name it in required_providers"


def _variables(module: Module) -> Iterator[Problem]:
    used = {name for value in _outside_variables(module) for head, name, *_ in references(value) if head == "var"}
    for name, block in module.variables.items():
        across = {other for head, other, *_ in references(block.get("validation", [])) if head == "var"}
        if name not in used and across <= {name}:
            yield f"variable {name} is used nowhere", "take it out, or use it"
        for wanted in ("type", "description"):
            if not block.get(wanted):
                yield f"variable {name} has no {wanted}", "say it"
    for name in REQUIRED:
        if "default" in module.variables.get(name, {"default": None}):
            yield f"variable {name} is missing or has a default", "require it: who is asked, and who pays, must be said"
    machines = any(module.of_type(kind) for kind in MACHINES)
    if machines or module.of_type("aws_batch_job_definition"):
        ttl = module.variables.get("ttl_hours", {})
        if not ttl or "default" in ttl or not ttl.get("validation"):
            yield "the lease's length can be left out", "require ttl_hours, with a validation"


def _outside_variables(module: Module) -> Iterator[object]:
    yield from module.resources.values()
    yield from module.data.values()
    yield from module.outputs.values()
    yield from module.calls.values()
    yield module.locals


def _outputs(module: Module) -> Iterator[Problem]:
    for name, block in module.outputs.items():
        if not block.get("description"):
            yield f"output {name} has no description", "say it"


def _references(module: Module) -> Iterator[Problem]:
    for reference in unresolved(module):
        yield f"{reference} is not declared", "declare it, or mend the name"


def _tags(module: Module) -> Iterator[Problem]:
    for (kind, name), block in module.resources.items():
        if kind not in TAGS:
            yield f"type {kind} is unknown to this check", "look up whether it has tags, and add it to kinds.TAGS"
            continue
        attribute = TAGS[kind]
        if attribute is None:
            continue
        keys = _keys(module, block.get(attribute))
        wanted = [*REQUIRED, "expires-at"] if kind in MACHINES else REQUIRED
        if lacking := [key for key in wanted if key not in keys]:
            yield f"{kind}.{name} lacks the tags {', '.join(lacking)}", f"set {attribute} = local.{attribute}"


def _keys(module: Module, value: object) -> set[str]:
    """The keys of a map that stands in the file, or in a local that it names."""
    if isinstance(value, dict):
        return set(value)
    named = (module.locals.get(name) for head, name, *_ in references(value) if head == "local")
    return {key for local in named if isinstance(local, dict) for key in local}


def _secrets(module: Module) -> Iterator[Problem]:
    for file in sorted(path for path in module.path.rglob("*") if path.is_file() and ".terraform" not in path.parts):
        text = file.read_text(errors="replace")  # an archive or a picture may lie there
        for what, pattern in _SECRETS.items():
            if pattern.search(text):  # the secret itself is not repeated
                yield f"{file.name} holds what looks like {what}", "take it out; ask for it in a variable"


RULES: tuple[Callable[[Module], Iterator[Problem]], ...] = (
    _pinned,
    _variables,
    _outputs,
    _references,
    _tags,
    machine_problems,
    batch_problems,
    storage_problems,
    _secrets,
)
