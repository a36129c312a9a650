"""Oracle: the Trace Event Format (complete events, counters, metadata) and the schedule that the trace shows."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest

from course_lib.nki import jit, profile

from .profiled import add, halves


@pytest.fixture(scope="module")
def made():
    a = np.ones((512, 4096), np.float32)
    return profile(add, execute=False, target="gen3")(a, a)


def spans(trace):
    return [event for event in trace["traceEvents"] if event["ph"] == "X"]


def test_each_instruction_is_one_complete_event_with_its_line(made):
    found = spans(made.chrome_trace())
    assert [event["args"]["index"] for event in found] == list(range(len(made.instructions)))
    for event, timed in zip(found, made.instructions, strict=True):
        assert event["name"] == timed.instruction.op
        assert event["ts"] == pytest.approx(timed.start * 1e6)
        assert event["dur"] == pytest.approx((timed.end - timed.start) * 1e6)
        assert event["args"]["line"] == timed.instruction.line


def test_events_of_one_row_never_overlap(made):
    rows = defaultdict(list)
    for event in spans(made.chrome_trace()):
        rows[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    assert len(rows) > 2
    for row in rows.values():
        for (_, end), (start, _) in pairwise(sorted(row)):
            assert start >= end - 1e-9


def test_every_row_has_a_name_and_every_core_a_process(made):
    trace = made.chrome_trace()
    named = {(event["pid"], event["tid"]) for event in trace["traceEvents"] if event["name"] == "thread_name"}
    assert {(event["pid"], event["tid"]) for event in spans(trace)} <= named
    both = profile(jit(halves)[2], execute=False, target="gen3")(np.ones((256, 1024), np.float32)).chrome_trace()
    processes = [event["args"]["name"] for event in both["traceEvents"] if event["name"] == "process_name"]
    assert processes == ["core 0: NeuronCore-v3", "core 1: NeuronCore-v3"]


def test_memory_counters_start_above_zero_and_return_to_it(made):
    levels = [event["args"]["bytes"] for event in made.chrome_trace()["traceEvents"] if event["ph"] == "C"]
    assert max(levels) >= 2 * 2048 * 4
    assert levels[-1] == pytest.approx(0)
    assert min(levels) >= 0


def test_a_saved_trace_is_json_that_reads_back_the_same(made, tmp_path):
    path = made.save_trace(tmp_path / "add.json")
    assert json.loads(path.read_text()) == json.loads(json.dumps(made.chrome_trace()))
