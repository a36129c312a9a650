"""Plotly figures of a profile: a timeline of the engines, tiles in SBUF and PSUM over time, the roofline.

Each function returns the figure and its alt text; plotly is imported when one is drawn.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from course_lib.nki.capacity import weight_bytes
from course_lib.nki.constants import MemoryRegion
from course_lib.nki.report import duration, size
from course_lib.nki.source import target_of, text_of
from course_lib.nki.trace import dma_rows, lifetimes, usage

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from course_lib.nki.profile import Profile
    from course_lib.nki.storage import Storage

# The book's palette, which readers with any color vision tell apart on a light and on a dark page.
_COLORS = ("#1F78B4", "#CF5A0A", "#0A8F6A", "#B0609A", "#A8780A", "#7A7F87")
_PATTERNS = ("", "/", "x", ".")  # tell the second six from the first
_LIMIT, _SUM = _COLORS[1], _COLORS[5]
_ENGINES = {"tensor": "Tensor", "vector": "Vector", "scalar": "Scalar", "gpsimd": "GpSimd", "sync": "Sync"}
_MOST_BARS = 1500
_MOST_TILES = 1500
_LONGEST_TEXT = 90
_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))


def _look(number: int) -> tuple[str, str]:
    """Color and pattern of the number-th kind."""
    return _COLORS[number % len(_COLORS)], _PATTERNS[number // len(_COLORS) % len(_PATTERNS)]


def _place(line: str) -> str:
    """A kernel's line with its text."""
    text = text_of(line)
    return f"{line}: {text[:_LONGEST_TEXT]}" if text else line


def _unit(nanoseconds: float) -> tuple[float, str]:
    return next((pair for pair in _UNITS if nanoseconds >= 10 * pair[0]), _UNITS[-1])


def timeline(profile: Profile) -> tuple[go.Figure, str]:
    """What each engine does when: one row for each engine, and as many rows for transfers as overlap at most.

    A row of transfers is not a DMA engine: each transfer is shared out among up to 16 of them.
    Instructions of one row that follow each other closely are drawn as one bar when there are more than 1,500.

    Returns:
        The figure and its alt text.
    """
    import plotly.graph_objects as go

    plan, made = profile.schedule, profile.core.instructions
    unit, name = _unit(plan.total)
    found = dma_rows(plan)
    several = any(found.values())
    rows = {index: f"transfers {row + 1}" if several else "transfers" for index, row in found.items()}
    bars: dict[tuple[str, str], list[tuple[float, float, int]]] = {}
    for index, instruction in enumerate(made):
        row = rows[index] if index in rows else _ENGINES[plan.queue[index]]
        key = (row, instruction.op)
        bars.setdefault(key, []).append((plan.start[index], plan.end[index], index))
    gap = plan.total / _MOST_BARS * 2 if len(made) > _MOST_BARS else 0.0
    present = {row for row, _ in bars}
    order = [title for title in _ENGINES.values() if title in present]
    order += sorted(set(rows.values()), key=lambda row: (len(row), row))
    operations = sorted({op for _, op in bars})
    places = {line: _place(line) for line in {one.line for one in made}}
    figure = go.Figure()
    for number, op in enumerate(operations):
        base, width, place, text = [], [], [], []
        for (row, other), spans in bars.items():
            if other != op:
                continue
            for start, end, count, first in _merged(spans, gap):
                base.append(start / unit)
                width.append((end - start) / unit)
                place.append(row)
                what = f"{count} x {op}" if count > 1 else op
                text.append(f"{what}, {duration((end - start) * 1e-9)}<br>{places[made[first].line]}")
        color, pattern = _look(number)
        line = {"color": "rgba(127, 127, 127, 0.6)", "width": 1}
        figure.add_trace(
            go.Bar(
                x=width,
                base=base,
                y=place,
                orientation="h",
                name=op,
                marker={"color": color, "line": line, "pattern": {"shape": pattern}},
                hovertext=text,
                hoverinfo="text",
            )
        )
    figure.update_layout(barmode="overlay", bargap=0.2)
    figure.update_xaxes(title_text=f"time ({name})", rangemode="tozero")
    figure.update_yaxes(title_text="engine", title_standoff=16, categoryorder="array", categoryarray=order[::-1])
    busy = ", ".join(f"{title} {use.busy:.0%}" for title, use in profile.engines.items() if use.instructions)
    alt = f"Timeline of {profile.kernel} over {duration(profile.seconds)}. Busy: {busy}. {profile.bottleneck}"
    return figure, alt


def _merged(spans: list[tuple[float, float, int]], gap: float) -> list[tuple[float, float, int, int]]:
    """Spans as (start, end, count, first), those closer than `gap` joined."""
    joined: list[tuple[float, float, int, int]] = []
    for start, end, index in sorted(spans):
        if gap and joined and start - joined[-1][1] <= gap:
            before = joined[-1]
            joined[-1] = (before[0], max(before[1], end), before[2] + 1, before[3])
        else:
            joined.append((start, end, 1, index))
    return joined


def memory_map(profile: Profile, buffer: str = "sbuf") -> tuple[go.Figure, str]:
    """Tiles in SBUF or PSUM: time to the right, bytes of a partition upwards, one box for each tile.

    Tiles with an address lie there; the others are put into the lowest gap, which shows how they fit, not where a
    compiler would place them. Beyond 1,500 tiles only the sum is drawn. The axis ends at the capacity, or closely above
    the tiles where they take less than a third of it.

    Args:
        profile: of a kernel.
        buffer: "sbuf" or "psum".

    Returns:
        The figure and its alt text.

    Raises:
        ValueError: for another buffer.
    """
    import plotly.graph_objects as go

    if buffer not in ("sbuf", "psum"):
        raise ValueError(f"buffer={buffer!r}: choose 'sbuf' or 'psum'.")
    region = MemoryRegion(buffer)
    hardware = profile.core.hardware
    room = hardware.sbuf_partition_bytes if buffer == "sbuf" else hardware.psum_partition_bytes
    lives = lifetimes(profile.core, profile.schedule, region)
    unit, name = _unit(profile.schedule.total)
    figure = go.Figure()
    if len(lives) <= _MOST_TILES:
        for number, (line, corners) in enumerate(_boxes(lives, unit).items()):
            x, y = zip(*corners, strict=True)
            color, pattern = _look(number)
            box = go.Scatter(x=x, y=y, fill="toself", mode="lines", name=target_of(line) or line or "argument")
            box.update(hovertext=_place(line), hoverinfo="text", line={"color": color, "width": 1})
            figure.add_trace(box.update(fillpattern={"shape": pattern}) if pattern else box)
    moments, used = usage(lives)
    figure.add_trace(
        go.Scatter(
            x=[moment / unit for moment in moments],
            y=used,
            name="in use",
            mode="lines",
            line={"color": _SUM, "shape": "hv"},
        )
    )
    peak = max(used, default=0.0)
    limit = go.Scatter(x=[0, profile.schedule.total / unit], y=[room, room], name="capacity", mode="lines")
    figure.add_trace(limit.update(line={"color": _LIMIT, "dash": "dash"}, showlegend=peak > room / 3))
    figure.update_xaxes(title_text=f"time ({name})")
    top = 1.05 * room if peak > room / 3 else 1.25 * peak or room
    step = 2 ** max(8, round(math.log2(top / 5)))
    places = list(range(0, room + 1, step))
    figure.update_yaxes(title_text=f"{buffer.upper()} of a partition (KiB)", range=[0, top])
    figure.update_yaxes(tickvals=places, ticktext=[f"{place / 1024:g}" for place in places])
    alt = (
        f"{len(lives)} tiles in {buffer.upper()} over {duration(profile.seconds)}: at most {size(peak)} of the "
        f"{size(room)} of a partition are in use at one time."
    )
    return figure, alt


def _boxes(lives: list[tuple[Storage, float, float]], unit: float) -> dict[str, list[tuple[Any, Any]]]:
    """Kernel line → corners of the boxes of its tiles, None between boxes."""
    placed: list[tuple[float, float, float]] = []  # end, lowest and highest byte of tiles still alive
    boxes: dict[str, list[tuple[Any, Any]]] = {}
    for storage, start, end in sorted(lives, key=lambda life: (life[1], life[2])):
        placed = [tile for tile in placed if tile[0] > start]
        height = weight_bytes(storage)
        low = float(storage.address[1]) if storage.address is not None else _lowest_gap(placed, height)
        placed.append((end, low, low + height))
        left, right = start / unit, end / unit
        boxes.setdefault(storage.line, []).extend(
            [(left, low), (left, low + height), (right, low + height), (right, low), (left, low), (None, None)]
        )
    return boxes


def _lowest_gap(placed: list[tuple[float, float, float]], height: float) -> float:
    low = 0.0
    for _, start, end in sorted(placed, key=lambda tile: tile[1]):
        if start - low >= height:
            break
        low = max(low, end)
    return low


def roofline(profile: Profile) -> tuple[go.Figure, str]:
    """The kernel as a point under its core's roof: the peak rate, and the DMA rate times the intensity.

    Returns:
        The figure and its alt text.
    """
    import plotly.graph_objects as go

    bandwidth, peak = profile.hbm_bytes_per_s, profile.peak_flops_per_s
    intensity = profile.arithmetic_intensity
    ridge = peak / bandwidth
    low, high = min(intensity or ridge, ridge) / 10, max(intensity, ridge) * 10
    figure = go.Figure()
    roof = {"color": _COLORS[0], "width": 2}
    figure.add_trace(
        go.Scatter(
            x=[low, ridge, high],
            y=[low * bandwidth / 1e12, peak / 1e12, peak / 1e12],
            mode="lines",
            name=f"roof: {profile.peak_name}",
            line=roof,
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[intensity],
            y=[profile.tflops],
            mode="markers",
            name=profile.kernel,
            marker={"color": _COLORS[5], "size": 12},
        )
    )
    figure.update_xaxes(title_text="arithmetic intensity (operations per byte of HBM)", type="log")
    figure.update_yaxes(title_text="rate (TFLOP/s)", type="log")
    attainable = min(peak, intensity * bandwidth) or peak
    side = "the DMA rate" if intensity < ridge else "the peak rate"
    alt = (
        f"Roofline: {profile.kernel} does {intensity:.3g} operations for each byte and reaches {profile.tflops:.3g} "
        f"TFLOP/s, {profile.flops_per_s / attainable:.0%} of what {side} allows at this intensity; the ridge lies at "
        f"{ridge:.3g} operations for each byte."
    )
    return figure, alt
