"""A `torch.compile` backend that counts: which graphs a program would hand to a compiler, and which a cache would save.

It takes the way that the Neuron backend documents, TorchDynamo and then AOT Autograd, which makes a forward and a
backward graph of each capture. Behind that it compiles nothing: PyTorch runs the graphs on the CPU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from course_lib.runtime.graph_cache import GraphCache
from course_lib.runtime.graph_text import graph_key, graph_text

if TYPE_CHECKING:
    from torch.fx import GraphModule

Function = TypeVar("Function", bound=Callable[..., Any])
COMPILER: Mapping[str, str] = {"compiler": "counted, not compiled", "flags": "", "target": "trn2"}


@dataclass(frozen=True)
class CapturedGraph:
    """One graph that was asked for.

    Args:
        kind: "forward" or "backward" of a training step, or "inference" where no gradient is wanted.
        key: its address in a cache.
        text: its operations, one a line.
        operations: how many there are, inputs and output aside.
        hit: whether the cache held it.
    """

    kind: str
    key: str
    text: str
    operations: int
    hit: bool


class GraphCounter:
    """Counts graphs as a compiler would see them.

    Args:
        cache: a cache that outlives the process; without one every graph is a miss.
        settings: what else decides about the compiled result: compiler, flags, target.
        compiler: graph's text -> what the cache stores. By default the text itself: enough to count with.
    """

    def __init__(
        self,
        cache: GraphCache | None = None,
        settings: Mapping[str, str] = COMPILER,
        compiler: Callable[[str], bytes] = str.encode,
    ) -> None:
        self.cache, self.settings, self.compiler = cache, dict(settings), compiler
        self.graphs: list[CapturedGraph] = []

    def compile(self, function: Function, *, fullgraph: bool = False) -> Function:
        """`torch.compile` with this backend and fixed shapes, as in a fresh process: Dynamo's own cache is emptied.

        Args:
            function: a function or a module.
            fullgraph: whether a graph break is an error.

        Returns:
            The function to call instead.
        """
        import torch

        torch._dynamo.reset()
        return cast(Function, torch.compile(function, backend=self, dynamic=False, fullgraph=fullgraph))

    @property
    def compilations(self) -> int:
        """Graphs that the cache did not hold: the compiler's work."""
        return sum(not graph.hit for graph in self.graphs)

    @property
    def kinds(self) -> dict[str, int]:
        """Graphs asked for, by kind."""
        return dict(Counter(graph.kind for graph in self.graphs))

    def __call__(self, module: GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        """What `torch.compile` calls with each graph that Dynamo captured."""
        from torch._dynamo.backends.common import aot_autograd
        from torch._functorch._aot_autograd.utils import make_boxed_func

        def take(kind: str) -> Callable[..., Any]:
            def compile_graph(graph: GraphModule, _: list[Any]) -> Callable[..., Any]:
                self._record(kind, graph)
                boxed: Callable[..., Any] = make_boxed_func(graph.forward)
                return boxed

            return compile_graph

        backend: Callable[..., Any] = aot_autograd(
            fw_compiler=take("forward"), bw_compiler=take("backward"), inference_compiler=take("inference")
        )
        runnable: Callable[..., Any] = backend(module, inputs)
        return runnable

    def _record(self, kind: str, module: GraphModule) -> None:
        text = graph_text(module)
        key = graph_key(text, self.settings)
        hit = self.cache is not None and self.cache.get(key) is not None
        if self.cache is not None and not hit:
            self.cache.put(key, self.compiler(text))
        operations = sum(node.op not in ("placeholder", "output") for node in module.graph.nodes)
        self.graphs.append(CapturedGraph(kind, key, text, operations, hit))
