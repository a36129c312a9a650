"""Which layer overflowed first: a watch over a model's forward and backward pass.

A loss of NaN tells only that something, somewhere, went wrong. The watch notes the largest magnitude of every tensor
that enters or leaves a layer, and of every gradient, in the order in which they come about; the first that is not
finite is the culprit, and what was largest before it says how near the others are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from torch.utils.weak import WeakTensorKeyDictionary

from course_lib.distributed.magnitudes import kind_of, magnitude_of, tensors_in
from course_lib.distributed.overflow_report import Overflow, Phase


@dataclass
class _Roles:
    """What one tensor is to the layers around it; its gradient goes by the layers that it went into."""

    produced_by: str | None
    consumed_by: list[str]
    number: int | None = None  # of its note, once it has one


@dataclass
class _Note:
    """A tensor that was seen; its magnitude stays on the device until the step ends."""

    phase: Phase
    module: str
    tensor: str
    dtype: torch.dtype
    magnitude: Tensor  # () float32
    shared: _Roles | None = None
    inputs: tuple[int, ...] = ()  # numbers of the notes of what went into the layer


class OverflowWatch:
    """Watches a model while it is used as a context manager; outside of it no hook exists and nothing is paid.

    with OverflowWatch(model) as watch:
        ... forward, backward ...
        found = watch.end_step()   # None, or an Overflow to print

    Each noted tensor costs one pass over it and one number kept on the device; the only wait for the device is in
    `end_step`. Gradients are noted as they are, multiplied by the loss scale where a GradScaler is at work.

    Args:
        model: every module without children is a layer; modules with children are noted by their output.
        first_step: number of the first step.
    """

    def __init__(self, model: nn.Module, *, first_step: int = 0) -> None:
        self._model = model
        self._step = first_step
        self._handles: list[RemovableHandle] = []
        self._notes: list[_Note] = []
        self._roles = WeakTensorKeyDictionary()  # Tensor → _Roles
        self._went_in: dict[str, tuple[int, ...]] = {}

    def __enter__(self) -> Self:
        for name, module in self._model.named_modules():
            leaf = next(module.children(), None) is None
            self._handles.append(module.register_forward_pre_hook(self._entering(name, leaf), with_kwargs=True))
            self._handles.append(module.register_forward_hook(self._leaving(name, leaf)))
        for name, parameter in self._model.named_parameters():
            if parameter.requires_grad:
                module_name, _, own = name.rpartition(".")
                hook = self._accumulated(module_name, own)
                self._handles.append(parameter.register_post_accumulate_grad_hook(hook))  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._forget()

    def note(self, name: str, tensor: Tensor, *, phase: Phase = "forward") -> None:
        """Watch a tensor of your own code as well, such as the loss, under a name of your choice."""
        self._note(phase, name, "value", tensor)

    def end_step(self, group: Any = None) -> Overflow | None:
        """Look at what was noted since the last call; call it once in every step, for notes add up.

        Args:
            group: ranks that compare, all of which must call this; the default group where there is one. Each must run
                the same layers in the same order, as data parallelism does.

        Returns:
            The first overflow over all ranks, the same on each; None when everything was finite.
        """
        found = self._first()
        self._forget()
        self._step += 1
        if not dist.is_initialized():
            return found
        everyones: list[Any] = [None] * dist.get_world_size(group)
        dist.all_gather_object(everyones, found, group=group)
        # a rank's inf reaches the others with the gradients' all-reduce: the earliest note is where it began
        return min((one for one in everyones if one is not None), key=lambda o: (o.number, o.rank), default=None)

    def largest(self, phase: Phase) -> float:
        """The largest finite magnitude noted in this step so far; waits for the device."""
        chosen = [note.magnitude for note in self._notes if note.phase == phase]
        values = torch.stack(chosen).tolist() if chosen else []
        return max((value for value in values if value < math.inf), default=0.0)

    def _forget(self) -> None:
        self._notes.clear()
        self._roles = WeakTensorKeyDictionary()
        self._went_in.clear()

    def _first(self) -> Overflow | None:
        if not self._notes:
            return None
        device = self._notes[0].magnitude.device
        values = torch.stack([note.magnitude.to(device) for note in self._notes]).tolist()  # the one wait
        number = next((n for n, value in enumerate(values) if not value < math.inf), None)
        if number is None:
            return None
        note = self._notes[number]
        before = [n for n in range(number) if self._notes[n].phase == note.phase]
        return Overflow(
            step=self._step,
            rank=dist.get_rank() if dist.is_initialized() else 0,
            phase=note.phase,
            module=note.module,
            tensor=note.tensor,
            kind=kind_of(values[number]),
            dtype=note.dtype,
            max_abs_before=max((values[n] for n in note.inputs or before), default=0.0),
            also=tuple(note.shared.consumed_by[1:]) if note.shared else (),
            number=number,
        )

    def _note(
        self,
        phase: Phase,
        module: str,
        tensor: str,
        value: Tensor,
        shared: _Roles | None = None,
        inputs: tuple[int, ...] = (),
    ) -> int | None:
        if not value.is_floating_point():
            return None
        self._notes.append(_Note(phase, module, tensor, value.dtype, magnitude_of(value), shared, inputs))
        return len(self._notes) - 1

    def _entering(self, name: str, leaf: bool) -> Any:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            if name not in self._went_in:  # once a step: an update, not the layer, may have broken its weights
                for own, parameter in module.named_parameters(recurse=False):
                    self._note("forward", name, own, parameter)
            numbers = []
            for tensor in tensors_in((args, kwargs)) if leaf else ():
                roles = self._follow(tensor)
                roles.consumed_by.append(name)
                if roles.number is None:
                    roles.number = self._note("forward", name, "input", tensor, roles)
                numbers.append(roles.number)
            self._went_in[name] = tuple(number for number in numbers if number is not None)

        return hook

    def _leaving(self, name: str, leaf: bool) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            for tensor in tensors_in(output):
                if not leaf and tensor in self._roles:
                    continue  # a container hands on what its last layer made
                roles = self._follow(tensor)
                if roles.consumed_by[-1:] == [name]:  # changed in place: it is not what went in any more
                    del self._roles[tensor]
                    roles = self._follow(tensor)
                roles.produced_by = name
                roles.number = self._note("forward", name, "output", tensor, inputs=self._went_in.get(name, ()))

        return hook

    def _follow(self, tensor: Tensor) -> _Roles:
        """Remember what a tensor is to which layers, and watch its gradient, once."""
        roles: _Roles | None = self._roles.get(tensor)  # type: ignore[no-untyped-call]
        if roles is None:
            roles = self._roles[tensor] = _Roles(None, [])
            if tensor.requires_grad and not isinstance(tensor, nn.Parameter):
                tensor.register_hook(self._backward(roles))  # type: ignore[no-untyped-call]
        return roles

    def _backward(self, roles: _Roles) -> Any:
        step = self._step

        def hook(gradient: Tensor) -> None:
            if not self._handles or step != self._step:
                return  # the graph, or an input that is used again, has outlived the watch or the step
            if roles.consumed_by:
                self._note("backward", roles.consumed_by[0], "gradient of input", gradient, roles)
            else:
                self._note("backward", roles.produced_by or "", "gradient of output", gradient)

        return hook

    def _accumulated(self, module: str, name: str) -> Any:
        def hook(parameter: Tensor) -> None:
            if parameter.grad is not None:
                self._note("backward", module, f"gradient of {name}", parameter.grad)

        return hook
