"""The kit hands on what chapters call, and its commands start without the chapters' heavy imports.

Oracle: a fresh interpreter's list of loaded modules.
"""

import subprocess
import sys

import pytest

import book.kit


@pytest.mark.parametrize("name", book.kit.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(book.kit, name) is not None


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'plot'; it offers .*show_table"):
        book.kit.plot  # noqa: B018


@pytest.mark.parametrize("module", ["book.kit.serve", "book.kit.freshness"])
def test_a_command_loads_neither_pandas_nor_plotly(module: str) -> None:
    code = f"import sys, {module}; print({{'pandas', 'plotly', 'torch'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"
