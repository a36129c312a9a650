"""Moving a model's experts to disk and back."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.experts import Experts
from course_lib.moe.inference.expert_cache.cache import ExpertCache, LayerHits
from course_lib.moe.inference.expert_cache.expert_files import ExpertFile, write_experts
from course_lib.moe.inference.expert_cache.experts import CachedExperts
from course_lib.moe.inference.expert_cache.policies import make_policy
from course_lib.moe.inference.expert_cache.predictors import PREDICTORS, connect
from course_lib.moe.model import MoEModel, moe_layers


class Offloaded:
    """A model whose experts are on disk, a few of them in memory. Made by `offload`; also a context manager.

    Attributes:
        model: the model, changed in place until `restore`.
        cache: of its experts.
    """

    def __init__(self, model: MoEModel, cache: ExpertCache, originals: list[Experts] | None, handles: list[object]):
        self.model, self.cache = model, cache
        self._originals, self._handles = originals, handles

    def hits(self) -> list[LayerHits]:
        """What each layer asked of the cache since the last `cache.forget_counts()`."""
        return list(self.cache.layers.values())

    @property
    def hit_rate(self) -> float:
        """Of all layers together."""
        asked = sum(layer.asked for layer in self.hits())
        return sum(layer.hits for layer in self.hits()) / asked if asked else float("nan")

    def table(self) -> str:
        """The hits as lines of text, one for each layer."""
        rows = ["layer  asked  hit rate  loaded ahead  waited  MB read"]
        rows += [
            f"{hit.layer:5d} {hit.asked:6d} {hit.hit_rate:9.1%} {hit.ahead:13d} {hit.waited:7d} "
            f"{hit.bytes_read / 1e6:8.1f}"
            for hit in self.hits()
        ]
        return "\n".join(rows)

    def restore(self) -> None:
        """Put the experts back into memory where they were kept, and end the thread; files stay.

        Twice is once.
        """
        for handle in self._handles:
            handle.remove()  # type: ignore[attr-defined]
        self._handles = []
        self.cache.close()
        if self._originals is not None:
            for layer, experts in zip(moe_layers(self.model), self._originals, strict=True):
                layer.experts = experts

    def __enter__(self) -> Offloaded:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.restore()


def offload(
    model: MoEModel,
    folder: str | Path,
    *,
    capacity: int | None = None,
    capacity_bytes: int | None = None,
    policy: str = "lru",
    prefetch: str | None = None,
    keep: bool = False,
    forget: bool = False,
) -> Offloaded:
    """Write a model's experts to disk, and read them back one by one when a token wants them.

    Args:
        model: its `experts` are replaced, in place, and it is set to evaluation mode.
        folder: for one file a layer; files of an earlier call are replaced.
        capacity: experts of all layers together that memory holds.
        capacity_bytes: the same in bytes; exactly one of both is given.
        policy: who leaves: "lru" or "lfu".
        prefetch: None, or what guesses the next layer's experts: its own "router", or "coactivation" counts.
        keep: keep the experts in memory too, so that `restore` brings them back; for comparisons.
        forget: see `ExpertFile`.

    Returns:
        The offloaded model with its hit counts; `restore()` or the end of a `with` block ends its thread.

    Raises:
        MoEError: for a dense model, a capacity of 0, an unknown policy or predictor, experts that are packed already.
    """
    layers = moe_layers(model)
    originals = [layer.experts for layer in layers]
    if not layers or any(type(experts) is not Experts for experts in originals):
        kind = type(originals[0]).__name__ if layers else "none"
        raise MoEError.of("experts", kind, "can't be moved to disk", "give a MoEModel with plain Experts")
    if (capacity is None) == (capacity_bytes is None):
        raise MoEError.of("capacity", (capacity, capacity_bytes), "must be given once", "give capacity=... experts")
    up, down = originals[0].up[0], originals[0].down[0]
    size = (up.numel() + down.numel()) * up.element_size()
    if capacity is None:
        assert capacity_bytes is not None
        check_count("capacity_bytes", capacity_bytes, minimum=size)
        capacity = capacity_bytes // size
    check_count("capacity", capacity)
    make_policy(policy)
    if prefetch is not None and prefetch not in PREDICTORS:
        raise MoEError.of("prefetch", prefetch, "is not known", f"use one of {', '.join(PREDICTORS)}, or None")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[int, ExpertFile] = {}
    for layer in layers:
        path = folder / f"layer-{layer.number:03d}.safetensors"
        write_experts(layer.experts, path)
        files[layer.number] = ExpertFile(path, layer.config.experts, forget=forget)
    total = sum(layer.config.experts for layer in layers)
    cache = ExpertCache(
        files,
        tuple(up.shape),
        tuple(down.shape),
        up.dtype,
        capacity=min(capacity, total),
        device=up.device,
        policy=policy,
        prefetch=prefetch is not None,
    )
    for layer in layers:
        layer.experts = CachedExperts(layer.config, cache, layer.number)  # type: ignore[assignment]
    handles = [] if prefetch is None else connect(layers, [layer.number for layer in layers], cache, prefetch)
    return Offloaded(model.eval(), cache, originals if keep else None, handles)
