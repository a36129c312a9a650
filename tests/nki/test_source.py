"""Oracle: this file itself, read with `pathlib`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import profile
from course_lib.nki.source import target_of, text_of

from .profiled import add

ROWS = Path(__file__).read_text().splitlines()


def scaled(a):
    out = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=a)
    nisa.tensor_scalar(
        dst=tile,
        data=tile,
        op0=nl.multiply,
        operand0=2.0,
    )
    nisa.dma_copy(dst=out, src=tile)  # the result
    return out


def made():
    return profile(scaled, execute=False)(np.ones((128, 64), np.float32))


def test_a_cost_names_its_line_and_quotes_it_without_its_comment():
    for cost in made().line_costs:
        row = ROWS[int(cost.line.split(":")[1]) - 1].split("  #")[0].strip()
        assert cost.line.startswith("test_source.py:")
        assert cost.text.startswith(row.removesuffix("("))


def test_a_call_of_several_lines_is_quoted_as_one():
    texts = [cost.text for cost in made().line_costs]
    assert "nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=2.0)" in texts
    assert "nisa.dma_copy(dst=out, src=tile)" in texts


def test_the_data_frame_and_the_trace_hold_the_text():
    run = made()
    assert list(run.lines()["text"]) == [cost.text for cost in run.line_costs]
    texts = {event["args"]["text"] for event in run.chrome_trace()["traceEvents"] if event["ph"] == "X"}
    assert texts == {cost.text for cost in run.line_costs}


def test_a_tile_is_named_by_what_its_line_assigns_to():
    run = made()
    lines = {storage.line for storage in run.core.storages if storage.buffer is nl.sbuf}
    assert {target_of(line) for line in lines} == {"tile"}
    assert all(target_of(cost.line) == "" for cost in run.line_costs)  # calls that assign nothing
    boxes = [trace.name for trace in run.memory_map()[0].data if trace.fill == "toself"]
    assert boxes == ["tile"]


def test_a_file_that_is_not_at_hand_has_no_text():
    assert text_of("nowhere.py:3") == text_of("") == text_of("In[7]:3") == target_of("nowhere.py:3") == ""


def test_transfers_are_charged_as_the_average_of_their_engines():
    run = profile(add, execute=False, target="gen3")(*[np.ones((256, 4096), np.float32)] * 2)
    moved = sum(cost.seconds for cost in run.line_costs if cost.operations == ("dma_copy",))
    assert abs(moved / run.engines["dma"].seconds - 1) < 1e-9
