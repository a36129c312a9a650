"""A page's calculator without a server and without formulas: every answer is computed at build time and looked up.

An explorer is a set of axes (what the reader chooses) and slots (what is shown for a choice). book/_static/explorers.js
finds a slot's value by its position in the product of the axes that the slot depends on, and knows nothing else.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import product
from typing import Any


class ExplorerError(ValueError):
    """An explorer whose axes, slots and words do not fit together."""


@dataclass(frozen=True)
class Axis:
    """One choice of the reader.

    Args:
        name: Short name, used in templates and as the control's name.
        label: The control's visible label.
        options: Pairs of value (what the slots are computed from) and words (what the reader sees).
        default: The value chosen at first.
    """

    name: str
    label: str
    options: tuple[tuple[Any, str], ...]
    default: Any

    @property
    def values(self) -> tuple[Any, ...]:
        """The options' values, in order."""
        return tuple(value for value, _ in self.options)

    @property
    def start(self) -> int:
        """Position of the default among the options."""
        if self.default not in self.values:
            raise ExplorerError(f"axis {self.name!r} has no option {self.default!r}; its options are {self.values}")
        return self.values.index(self.default)


@dataclass(frozen=True)
class Slot:
    """One thing that is shown, as a function of some of the axes.

    Args:
        name: Used in templates and in the drawing's `data-slots`.
        axes: Names of the axes that it depends on.
        compute: From the axes' values, in that order, to the words shown.
    """

    name: str
    axes: tuple[str, ...]
    compute: Callable[..., str]


@dataclass(frozen=True)
class Explorer:
    """A calculator, ready to be written into a page.

    Args:
        id: Anchor on the page.
        title: Its name, which assistive technology reads first.
        axes: What the reader chooses.
        slots: What is shown for a choice.
        answer: The sentence that is read out after each change; {axis} and {slot} stand for words.
        rows: Pairs of label and slot, shown as a list under the answer.
        note: Assumptions, in plain text.
        drawing: An SVG whose elements name their attributes' slots in `data-slots="attribute:slot ..."`.
    """

    id: str
    title: str
    axes: tuple[Axis, ...]
    slots: tuple[Slot, ...]
    answer: str
    rows: tuple[tuple[str, str], ...] = ()
    note: str = ""
    drawing: str = ""

    def html(self) -> str:
        """The explorer as HTML, the default choice's answer written out for readers without JavaScript."""
        by_name = {axis.name: axis for axis in self.axes}
        tables = {slot.name: _table(slot, by_name) for slot in self.slots}
        shown = {axis.name: axis.options[axis.start][1] for axis in self.axes}
        for slot in self.slots:
            shown[slot.name] = tables[slot.name][_position(slot, by_name)]
        document = {
            "axes": {axis.name: len(axis.options) for axis in self.axes},
            "slots": {slot.name: {"axes": list(slot.axes), **_packed(tables[slot.name])} for slot in self.slots},
            "answer": self.answer,
        }
        packed = json.dumps(document, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
        controls = "".join(self._control(axis) for axis in self.axes)
        rows = "".join(
            f'<div><dt>{escape(label)}</dt><dd data-slot="{slot}">{escape(shown[slot])}</dd></div>'
            for label, slot in self.rows
        )
        return (
            f'<section class="kit-explorer" id="{self.id}" aria-label="{escape(self.title)}">'
            f'<script type="application/json">{packed}</script>'
            f'<form class="kit-controls" autocomplete="off">{controls}</form>'
            f'<p class="kit-answer" role="status" aria-live="polite" id="{self.id}-answer">'
            f"{escape(self.answer.format(**shown))}</p>"
            + (f"<dl>{rows}</dl>" if rows else "")
            + self.drawing.format(**{name: escape(words) for name, words in shown.items()})
            + (f'<p class="kit-note">{escape(self.note)}</p>' if self.note else "")
            + "<noscript><p>Choosing takes JavaScript; without it you see the answer for the first choice.</p>"
            + "</noscript></section>"
        )

    def _control(self, axis: Axis) -> str:
        options = "".join(
            f'<option value="{index}"{" selected" if index == axis.start else ""}>{escape(words)}</option>'
            for index, (_, words) in enumerate(axis.options)
        )
        return f'<label>{escape(axis.label)}<select name="{axis.name}">{options}</select></label>'


def _table(slot: Slot, axes: dict[str, Axis]) -> list[str]:
    for name in slot.axes:
        if name not in axes:
            raise ExplorerError(f"slot {slot.name!r} depends on {name!r}, but the axes are {', '.join(axes)}")
    return [slot.compute(*values) for values in product(*(axes[name].values for name in slot.axes))]


def _position(slot: Slot, axes: dict[str, Axis]) -> int:
    position = 0
    for name in slot.axes:
        position = position * len(axes[name].options) + axes[name].start
    return position


def _packed(values: Sequence[str]) -> dict[str, Any]:
    """Words that recur are written once and pointed at."""
    words = list(dict.fromkeys(values))
    if 2 * len(words) > len(values):
        return {"words": list(values)}
    index = {word: number for number, word in enumerate(words)}
    return {"words": words, "at": [index[value] for value in values]}
