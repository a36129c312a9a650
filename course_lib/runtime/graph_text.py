"""A graph that PyTorch captured, as text that depends on what it computes and on nothing else, and a key made of it.

Names of Python variables, files and line numbers are left out; operations, constants, shapes, formats and strides stay
in. So two processes that trace the same computation get the same key, which is what lets them share a cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.fx import GraphModule, Node

KEY_CHARACTERS = 32


def graph_text(module: GraphModule) -> str:
    """One line for each operation of a captured graph.

    Args:
        module: what a `torch.compile` backend is given, after AOT Autograd or before it.

    Returns:
        Lines such as "%3: f32[2, 8] strides (8, 1) = aten.mm.default(%1, %2)".
    """
    names: dict[str, str] = {}
    lines = []
    for node in module.graph.nodes:
        names[node.name] = f"%{len(names)}"
        lines.append(f"{names[node.name]}{_result(node)} = {_operation(node, module, names)}")
    return "\n".join(lines)


def graph_key(text: str, settings: Mapping[str, str] | None = None) -> str:
    """The address of a compiled graph: a digest of the graph and of everything else that the result depends on.

    Args:
        text: `graph_text` of the graph.
        settings: compiler version, flags, target: name -> value. Their order does not matter.

    Returns:
        Hexadecimal digits of a SHA-256.

    Source: the components that AWS documents for the Neuron Persistent Cache (graph, compiler version, flags) and for
    vLLM Neuron's compilation cache (graph, inputs' shape, dtype and stride, versions, flags, target).
    """
    content = json.dumps({"graph": text, "settings": dict(settings or {})}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:KEY_CHARACTERS]


def _result(node: Node) -> str:
    import torch

    value: Any = node.meta.get("val", node.meta.get("example_value"))
    values = value if isinstance(value, list | tuple) else [value]
    shapes = [_shape(one) for one in values if isinstance(one, torch.Tensor)]
    return f": {', '.join(shapes)}" if shapes else ""


def _shape(tensor: torch.Tensor) -> str:
    return f"{_dtype(tensor.dtype)}{list(tensor.shape)} strides {tuple(tensor.stride())}"


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _operation(node: Node, module: GraphModule, names: Mapping[str, str]) -> str:
    if node.op == "placeholder":
        return "input"
    if node.op == "get_attr":
        return f"constant {_content(_attribute(module, str(node.target)))}"
    target = node.target if isinstance(node.target, str) else _name(node.target)
    words = [_argument(argument, names) for argument in node.args]
    words += [f"{key}={_argument(value, names)}" for key, value in sorted(node.kwargs.items())]
    return f"{'output' if node.op == 'output' else target}({', '.join(words)})"


def _name(target: Any) -> str:
    # an operator overload says "aten.mm.default" itself; a Python function's repr would hold its address
    return str(target) if hasattr(target, "_schema") else f"{target.__module__}.{target.__name__}"


def _argument(value: Any, names: Mapping[str, str]) -> str:
    import torch
    from torch.fx import Node

    if isinstance(value, Node):
        return names[value.name]
    if isinstance(value, list | tuple):
        return f"[{', '.join(_argument(item, names) for item in value)}]"
    if isinstance(value, slice):
        return f"slice[{', '.join(_argument(part, names) for part in (value.start, value.stop, value.step))}]"
    if isinstance(value, torch.dtype):
        return _dtype(value)
    return str(value) if not isinstance(value, float | str) else repr(value)


def _attribute(module: GraphModule, path: str) -> Any:
    value: Any = module
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _content(value: Any) -> str:
    """A constant's shape and the digest of its bytes; of anything else that a graph may hold, such as a subgraph."""
    import torch
    from torch._subclasses.fake_tensor import unset_fake_temporarily
    from torch.fx import GraphModule

    if isinstance(value, GraphModule):
        return f"graph {graph_key(graph_text(value))}"
    if not isinstance(value, torch.Tensor):
        return repr(value)
    with unset_fake_temporarily():  # a backend runs while PyTorch traces, when real tensors may not be touched
        plain = value.detach().cpu().contiguous()
        raw = plain.reshape(-1).view(torch.uint8).numpy().tobytes()
    return f"{_shape(plain)} {hashlib.sha256(raw).hexdigest()[:KEY_CHARACTERS]}"
