"""A profile as text that fits a terminal or a notebook cell."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_lib.nki.profile import Profile

_MOST_LINES = 8
_WIDTH = 76  # what a page of the course and a notebook show without scrolling
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def duration(seconds: float) -> str:
    """A time with a unit that fits it."""
    for unit, name in _UNITS:
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return "0 s"


def size(bytes_: float) -> str:
    """A number of bytes with a unit that fits it."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if bytes_ >= unit:
            return f"{bytes_ / unit:.3g} {name}"
    return f"{bytes_:,.0f} B"


def summary(profile: Profile) -> str:
    """The profile in words and two tables."""
    core = profile.core.hardware
    rows = [
        f"{profile.kernel} on {core.title} ({profile.target}), modelled: {duration(profile.seconds)}",
        profile.bottleneck,
        "",
    ]
    if profile.cores:
        each = ", ".join(duration(made.seconds) for made in profile.cores)
        rows[2:2] = [f"{len(profile.cores)} cores: {each}; engines and memory below are the slower one's."]
    rows += [f"{'engine':<8} {'busy':>6} {'time':>10} {'cycles':>14} {'instructions':>13}"]
    for name, use in profile.engines.items():
        cycles = f"{use.cycles:,.0f}" if name != "dma" else "-"
        rows.append(f"{name:<8} {use.busy:>6.1%} {duration(use.seconds):>10} {cycles:>14} {use.instructions:>13,}")
    rows += [
        "",
        f"HBM: {size(profile.hbm_read_bytes)} read, {size(profile.hbm_written_bytes)} written",
        f"Peak of a partition: SBUF {size(profile.sbuf_peak_bytes)} of {size(core.sbuf_partition_bytes)}, "
        f"PSUM {size(profile.psum_peak_bytes)} of {size(core.psum_partition_bytes)}",
        f"Rate: {profile.tflops:.3g} of {profile.peak_tflops:.3g} TFLOP/s ({profile.peak_fraction:.1%}; "
        f"{profile.peak_name}), {profile.arithmetic_intensity:.3g} operations for each byte of HBM",
        "",
        f"{'line':<24} {'critical':>10} {'busy':>10} {'count':>8}  operations",
    ]
    for line in profile.line_costs[:_MOST_LINES]:
        rows.append(
            f"{line.line:<24} {duration(line.critical_seconds):>10} {duration(line.seconds):>10} "
            f"{line.instructions:>8,}  {', '.join(line.operations)}"
        )
    rows.append("")
    if profile.estimated:
        rows.append(f"No page prints a cost for {', '.join(profile.estimated)}: the general rule stands in.")
    rows.append("A model of the documented costs, not a measurement; see course_lib.nki.profile.")
    return "\n".join(row if len(row) <= _WIDTH else textwrap.fill(row, _WIDTH, subsequent_indent="  ") for row in rows)
