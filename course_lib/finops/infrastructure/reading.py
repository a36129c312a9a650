"""A module's files as data: what it declares, read by python-hcl2 where no Terraform is installed.

python-hcl2 keeps literal strings in their quotes and writes expressions as "${...}"; so a value here is a number, a
truth value, a list, a dictionary, a literal in quotes, or an expression. Source of the language:
https://developer.hashicorp.com/terraform/language/syntax/configuration
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_lib.finops.errors import FinopsError

Block = dict[str, Any]
_OURS = ("__is_block__", "__comments__", "__inline_comments__")


@dataclass(frozen=True)
class Module:
    """What a folder of Terraform files declares.

    Attributes:
        path: the folder.
        settings: the `terraform` block.
        variables: by name.
        outputs: by name.
        locals: by name.
        resources: by type and name.
        data: data sources, by type and name.
        calls: calls of other modules, by name.
    """

    path: Path
    settings: Block
    variables: dict[str, Block]
    outputs: dict[str, Block]
    locals: Block
    resources: dict[tuple[str, str], Block]
    data: dict[tuple[str, str], Block]
    calls: dict[str, Block] = field(default_factory=dict)

    def of_type(self, kind: str) -> dict[str, Block]:
        """The resources of a type, by name."""
        return {name: block for (type_, name), block in self.resources.items() if type_ == kind}

    def values(self) -> Iterator[Any]:
        """Everything that may hold references: bodies of resources, data sources, outputs, variables, calls, locals."""
        yield from self.resources.values()
        yield from self.data.values()
        yield from self.outputs.values()
        yield from self.calls.values()
        yield from (block.get("validation", []) for block in self.variables.values())
        yield self.locals


def read_module(path: Path) -> Module:
    """Read the `.tf` files of a folder.

    Raises:
        FinopsError: there are none, one can't be parsed, something is declared twice, or python-hcl2 is missing.
    """
    files = sorted(path.glob("*.tf"))
    if not files:
        raise FinopsError.of("module", str(path), "holds no .tf file", "name the folder of a module")
    found = Module(path, {}, {}, {}, {}, {}, {}, {})
    for file in files:
        for kind, blocks in _parse(file).items():
            for block in blocks:
                _add(found, kind, block, file)
    return found


def _parse(file: Path) -> dict[str, list[Block]]:
    try:
        import hcl2
    except ImportError:
        raise FinopsError(
            "python-hcl2 is not installed, and without it the modules can't be read. Remedy: pip install '.[dev]', or "
            "let terraform validate them."
        ) from None
    try:
        parsed = _clean(hcl2.loads(file.read_text()))
    # python-hcl2's parser raises errors of several libraries for text that is no HCL.
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise FinopsError(f"{file}: is no HCL: {words}. Remedy: terraform fmt points to the line.") from error
    return {kind: blocks for kind, blocks in parsed.items() if isinstance(blocks, list)}


def _clean(value: Any) -> Any:
    """Without python-hcl2's own keys, and with keys out of their quotes."""
    if isinstance(value, dict):
        return {unquoted(key): _clean(inner) for key, inner in value.items() if key not in _OURS}
    return [_clean(inner) for inner in value] if isinstance(value, list) else value


def _add(module: Module, kind: str, block: Block, file: Path) -> None:
    if kind == "terraform":
        module.settings.update(block)
        return
    if kind == "locals":
        for name, value in block.items():
            _once(module.locals, name, value, file)
        return
    for label, inner in block.items():
        if kind in ("resource", "data"):
            place = module.resources if kind == "resource" else module.data
            for name, body in inner.items():
                _once(place, (label, name), body, file)
        elif kind in ("variable", "output", "module"):
            places = {"variable": module.variables, "output": module.outputs, "module": module.calls}
            _once(places[kind], label, inner, file)


def _once(place: dict[Any, Any], name: Any, value: Any, file: Path) -> None:
    if name in place:
        raise FinopsError(f"{file}: {name} is declared twice. Remedy: keep one of them.")
    place[name] = value


def unquoted(text: str) -> str:
    """A literal without its quotes; anything else as it is."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def literal(value: Any) -> Any:
    """A value that stands in the file as such: the text of a literal, a number, a truth value; None for expressions."""
    if isinstance(value, str):
        return unquoted(value) if value.startswith('"') and "${" not in value else None
    return value


def only(blocks: Any) -> Block:
    """The one nested block of its kind, or an empty one."""
    return blocks[0] if isinstance(blocks, list) and blocks and isinstance(blocks[0], dict) else {}
