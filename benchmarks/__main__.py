"""Run every benchmark and print the ratios. `python -m benchmarks NAME ...` runs those named."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

NOT_BENCHMARKS = {"__init__", "__main__", "ratio"}


def main(names: list[str]) -> int:
    """Measure the benchmarks named (all when none is); return 2 when a name is unknown."""
    known = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in NOT_BENCHMARKS)
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    table = Table(title="ratios, ours / peer, medians of one run", title_justify="left")
    for column in ("what", "ours (s)", "peer", "peer (s)", "ratio"):
        table.add_column(column)
    console = Console()
    for name in names or known:
        with console.status(f"measuring {name}"):
            for row in importlib.import_module(f"benchmarks.{name}").measure():
                figures = (f"{row.our_seconds:.3f}", row.peer, f"{row.peer_seconds:.3f}", f"{row.ratio:.2f}")
                table.add_row(row.what, *figures)
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
