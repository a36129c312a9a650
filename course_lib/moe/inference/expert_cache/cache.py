"""A fixed number of experts in memory, the others on disk: who is in, who is being read, who may not be given up."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.moe.errors import check_count
from course_lib.moe.inference.expert_cache.expert_files import ExpertFile
from course_lib.moe.inference.expert_cache.policies import Key, make_policy


@dataclass
class LayerHits:
    """What one layer asked of the cache.

    Args:
        layer: its number in the model.
        asked: experts asked for.
        hits: of these, the ones that were in memory.
        ahead: of the hits, the ones that a prediction had loaded.
        waited: asked for while the prediction's read was still under way; no hits.
        predicted: experts that predictions began to load.
        bytes_read: by this layer's misses and predictions.
    """

    layer: int
    asked: int = 0
    hits: int = 0
    ahead: int = 0
    waited: int = 0
    predicted: int = 0
    bytes_read: int = 0

    @property
    def hit_rate(self) -> float:
        """Share of the experts asked for that were in memory; nan before the first."""
        return self.hits / self.asked if self.asked else float("nan")


class ExpertCache:
    """Experts of all layers in `capacity` places.

    Args:
        files: layer → its experts on disk; all of one shape and type.
        up_shape, down_shape: of one expert's matrices.
        dtype, device: of them.
        capacity: places.
        policy: "lru" or "lfu".
        prefetch: start the thread that loads what `predict` names.

    A place that a caller uses is pinned: nobody overwrites it. The thread never waits for a pin; a prediction for which
    there is no place is dropped.

    Raises:
        MoEError: for capacity 0 or an unknown policy.
    """

    def __init__(
        self,
        files: dict[int, ExpertFile],
        up_shape: tuple[int, ...],
        down_shape: tuple[int, ...],
        dtype: torch.dtype,
        *,
        capacity: int,
        device: torch.device | str = "cpu",
        policy: str = "lru",
        prefetch: bool = False,
    ) -> None:
        check_count("capacity", capacity)
        self.capacity, self._files, self._policy = capacity, files, make_policy(policy)
        self._up = torch.empty(capacity, *up_shape, dtype=dtype, device=device)
        self._down = torch.empty(capacity, *down_shape, dtype=dtype, device=device)
        self._place: dict[Key, int] = {}  # being read, or read
        self._free = list(range(capacity))
        self._reading: set[Key] = set()
        self._unused: set[Key] = set()  # loaded by a prediction, not yet asked for
        self._expected: set[Key] = set()  # of these, the ones whose layer has not had its turn since
        self._pins: Counter[Key] = Counter()
        self._wanted: deque[Key] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.layers = {layer: LayerHits(layer) for layer in files}
        self._thread = threading.Thread(target=self._read_ahead, daemon=True) if prefetch else None
        if self._thread is not None:
            self._thread.start()

    @contextmanager
    def using(self, layer: int, experts: Sequence[int]) -> Iterator[list[tuple[Tensor, Tensor]]]:
        """Matrices of some experts, pinned while the block runs; no more than `capacity` at a time.

        Yields:
            (up, down) of each, views into the cache.

        Raises:
            MoEError: when a file is broken.
        """
        keys = [(layer, expert) for expert in experts]
        pinned: list[Key] = []
        try:
            with self._changed:
                for key in keys:  # those in memory first, or a miss might push them out
                    if key in self._place and key not in self._reading:
                        self._pins[key] += 1
                        pinned.append(key)
            for key in keys:
                if self._ask(key, key in pinned):
                    pinned.append(key)
            with self._changed:
                self._expected = {key for key in self._expected if key[0] != layer}
                places = [self._place[key] for key in keys]
            yield [(self._up[place], self._down[place]) for place in places]
        finally:
            with self._changed:
                for key in pinned:
                    self._pins[key] -= 1
                    if not self._pins[key]:
                        del self._pins[key]
                self._changed.notify_all()

    def _ask(self, key: Key, pinned: bool) -> bool:
        """See that an expert is in memory and pinned; whether this call pinned it."""
        count = self.layers[key[0]]
        with self._changed:
            count.asked += 1
            self._policy.used(key)
            if pinned:
                count.hits += 1
                count.ahead += key in self._unused
                self._unused.discard(key)
                return False
            waited = False
            while True:
                if key in self._reading:
                    count.waited += not waited
                    waited = True
                elif key in self._place:  # the thread was done between the two looks
                    count.hits += not waited
                    count.ahead += not waited
                    self._unused.discard(key)
                    self._pins[key] += 1
                    return True
                elif self._take_place(key):
                    self._pins[key] += 1
                    break
                self._changed.wait()
        self._read(key)
        return True

    def _take_place(self, key: Key, *, guessed: bool = False) -> bool:
        """Give `key` a place and mark it as being read; False while every place is pinned or being read.

        What a prediction has loaded for a layer to come gives way to a certain need only, and to that last of all.
        """
        if self._free:
            self._place[key] = self._free.pop()
        else:
            movable = [other for other in self._place if not self._pins[other] and other not in self._reading]
            if spare := [other for other in movable if other not in self._expected]:
                movable = spare
            elif guessed:
                return False
            if not movable:
                return False
            victim = self._policy.victim(movable)
            self._unused.discard(victim)
            self._expected.discard(victim)
            self._place[key] = self._place.pop(victim)
        self._reading.add(key)
        return True

    def _read(self, key: Key) -> None:
        layer, expert = key
        place = self._place[key]
        bytes_ = 0
        try:
            bytes_ = self._files[layer].read(expert, self._up[place], self._down[place])
        except BaseException:
            with self._changed:
                self._free.append(self._place.pop(key))
                self._pins.pop(key, None)
            raise
        finally:
            with self._changed:
                self._reading.discard(key)
                self.layers[layer].bytes_read += bytes_
                self._changed.notify_all()

    def predict(self, layer: int, experts: Sequence[int]) -> None:
        """Have the thread load what a layer will probably want, in place of what an earlier prediction still wants."""
        if self._thread is None:
            return
        with self._changed:
            keys = [(layer, expert) for expert in experts]
            self._wanted.clear()
            self._wanted.extend(key for key in keys if key not in self._place)
            self._expected.update(
                key for key in keys if key in self._place
            )  # this layer's misses must not push them out
            if self._wanted:
                self._changed.notify_all()

    def _read_ahead(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._wanted) or self._closed)
                if self._closed:
                    return
                key = self._wanted.popleft()
                if key in self._place or not self._take_place(key, guessed=True):
                    self._changed.notify_all()
                    continue
                self._unused.add(key)
                self._expected.add(key)
                self.layers[key[0]].predicted += 1
            try:
                self._read(key)
            except (ValueError, OSError):
                with self._changed:  # whoever asks for this expert reads it again and gets the error
                    self._unused.discard(key)
                    self._expected.discard(key)

    def wait_until_idle(self) -> None:
        """Return when every prediction so far is read or dropped, for measurements that must not hang on luck."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not (self._wanted or self._reading))

    def forget_counts(self) -> None:
        """Start the report afresh; what is in memory stays."""
        with self._changed:
            for layer in self.layers:
                self.layers[layer] = LayerHits(layer)

    def close(self) -> None:
        """End the thread and close the files."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        for file in self._files.values():
            file.close()
