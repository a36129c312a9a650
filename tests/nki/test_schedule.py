"""Oracle: hand-drawn timelines of a few instructions, and NumPy's account of which bytes two views share."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.catalog import neuron_core
from course_lib.nki.constants import MemoryRegion, engine
from course_lib.nki.dtypes import as_dtype
from course_lib.nki.instruction import Access, Instruction, Operand
from course_lib.nki.kernel import Kernel, run_kernel
from course_lib.nki.options import Options
from course_lib.nki.schedule import schedule
from course_lib.nki.storage import Storage

GEN2, GEN3 = neuron_core("gen2"), neuron_core("gen3")
VECTOR_NS, SCALAR_NS = 512 / 0.96, 512 / 1.2  # an fp32 instruction on 512 columns, NeuronCore-v3
START = 1300.0


class Program:
    """Instructions put together by hand."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []

    def tile(self, columns=512, where="sbuf", dtype="float32", address=None):
        storage = Storage((128, columns), as_dtype(dtype), MemoryRegion(where), np.empty(0), "tile", "")
        storage.address = address
        return storage

    def add(self, op, on, reads, write, line="k.py:1", **about):
        index = len(self.instructions)
        for storage in (*reads, write):
            storage.last = index
        if write.first < 0:
            write.first = index
        operands = tuple(
            Operand(one.shape, one.dtype, (one.shape[1], 1), one.buffer, one, False) for one in (*reads, write)
        )
        boxes = [Access(one, 0, 127, 0, one.partition_bytes - 1) for one in (*reads, write)]
        made = Instruction(
            index, op, engine[on], tuple(boxes[:-1]), (boxes[-1],), line, {"operands": operands, **about}
        )
        self.instructions.append(made)
        return index

    def run(self, core=GEN3):
        return schedule(self.instructions, core)


def test_independent_instructions_of_two_engines_run_side_by_side():
    made = Program()
    made.add("tensor_scalar", "vector", [made.tile()], made.tile())
    made.add("activation", "scalar", [made.tile()], made.tile())
    plan = made.run()
    assert plan.start == [0, 0]
    assert plan.end == pytest.approx([VECTOR_NS, SCALAR_NS])
    assert plan.total == pytest.approx(VECTOR_NS)


def test_one_engine_runs_in_program_order_back_to_back():
    made = Program()
    for _ in range(4):
        made.add("tensor_scalar", "vector", [made.tile()], made.tile())
    plan = made.run()
    assert plan.start == pytest.approx([at * VECTOR_NS for at in range(4)])


def test_a_reader_on_another_engine_waits_for_the_writer_and_the_access_latency():
    made = Program()
    between = made.tile()
    made.add("tensor_scalar", "vector", [made.tile()], between)
    made.add("activation", "scalar", [between], made.tile())
    plan = made.run()
    assert plan.start[1] == pytest.approx(VECTOR_NS + 60 / 1.2)
    assert plan.cause[1] == 0


def test_a_chain_on_one_engine_pays_the_latency_and_100_cycles_for_each_link():
    """Performance guide, Opt #5a: dependent one-element instructions started every 264 cycles on NeuronCore-v2."""
    made = Program()
    chain = [made.tile(1) for _ in range(11)]
    for source, target in pairwise(chain):
        made.add("activation", "scalar", [source], target)
    plan = made.run(GEN2)
    interval = (plan.start[-1] - plan.start[0]) / 9 * GEN2.scalar_ghz
    assert interval == pytest.approx(64 + 60 + 100)
    assert interval == pytest.approx(264, rel=0.2)  # the model is 15 % below the measurement


def test_independent_work_in_between_hides_the_latency():
    made = Program()
    first = made.tile()
    made.add("tensor_scalar", "vector", [made.tile()], first)
    made.add("tensor_scalar", "vector", [made.tile()], made.tile())
    made.add("tensor_scalar", "vector", [first], made.tile())
    assert made.run().start[2] == pytest.approx(2 * VECTOR_NS)


def test_a_writer_waits_for_the_readers_and_writers_of_what_it_overwrites():
    made = Program()
    shared = made.tile()
    made.add("tensor_scalar", "vector", [shared], made.tile())
    made.add("activation", "scalar", [made.tile()], shared)  # write after read
    made.add("iota", "gpsimd", [], shared)  # write after write
    plan = made.run()
    assert plan.start[1] == pytest.approx(VECTOR_NS)
    assert plan.start[2] == pytest.approx(plan.end[1])


def test_tiles_placed_at_the_same_address_wait_for_each_other():
    made = Program()
    made.add("tensor_scalar", "vector", [made.tile(address=(0, 0))], made.tile(address=(0, 4096)))
    made.add("activation", "scalar", [made.tile(address=(0, 65536))], made.tile(address=(0, 1024)))
    made.add("activation", "scalar", [made.tile(address=(0, 65536))], made.tile(address=(0, 32768)))
    plan = made.run()
    assert plan.start[1] == pytest.approx(VECTOR_NS)  # bytes 1024 to 3071 are still being read
    apart = Program()
    apart.add("tensor_scalar", "vector", [apart.tile(address=(0, 0))], apart.tile(address=(0, 4096)))
    apart.add("activation", "scalar", [apart.tile(address=(0, 65536))], apart.tile(address=(0, 2048)))
    assert apart.run().start[1] == 0


def test_depends_on_orders_instructions_that_share_nothing():
    made = Program()
    made.add("tensor_scalar", "vector", [made.tile()], made.tile())
    made.add("activation", "scalar", [made.tile()], made.tile())
    made.instructions[1].depends_on.append(0)
    assert made.run().start[1] == pytest.approx(VECTOR_NS)


def test_accumulating_matmuls_follow_each_other_without_a_gap():
    made = Program()
    sums = made.tile(512, "psum")
    for _ in range(8):
        made.add("nc_matmul", "tensor", [made.tile(128), made.tile(512)], sums, k=128, m=128, n=512)
    plan = made.run()
    assert plan.total == pytest.approx(8 * 4 * 512 / 2.4)


def test_a_dma_starts_1300_ns_late_and_the_next_one_of_its_line_right_behind():
    made = Program()
    for _ in range(3):
        made.add("dma_copy", "dma", [made.tile(4096, "private_hbm")], made.tile(4096))
    plan = made.run()
    each = plan.busy[0]
    assert plan.start == pytest.approx([START, START + each, START + 2 * each])
    assert plan.dma_busy == pytest.approx(3 * 16 * each)


def test_a_dma_that_waits_for_its_data_does_not_hold_up_those_of_other_lines():
    made = Program()
    result = made.tile(4096)
    made.add("tensor_scalar", "vector", [made.tile(4096)], result)
    made.add("dma_copy", "dma", [result], made.tile(4096, "private_hbm"), "k.py:2")
    made.add("dma_copy", "dma", [made.tile(512, "private_hbm")], made.tile(512), "k.py:3")
    plan = made.run()
    assert plan.start[2] == START
    assert plan.start[1] == pytest.approx(plan.end[0] + START)


def test_on_v2_vector_and_gpsimd_take_turns_in_sbuf_and_on_v3_they_do_not():
    made = Program()
    made.add("tensor_scalar", "vector", [made.tile()], made.tile())
    made.add("iota", "gpsimd", [], made.tile())
    made.add("activation", "scalar", [made.tile()], made.tile())
    assert made.run(GEN3).start[1] == 0
    old = made.run(GEN2)
    assert old.start[1] == pytest.approx(old.end[0])
    assert old.start[2] == 0


def test_loads_run_ahead_only_as_far_as_sbuf_has_room():
    """Tiles of a third of SBUF: the fourth load waits until the first tile's reader is done."""
    made = Program()
    columns = GEN3.sbuf_partition_bytes // 4 // 3 - 8
    sink = made.tile(1, "psum")
    for _ in range(5):
        loaded = made.tile(columns)
        made.add("dma_copy", "dma", [made.tile(columns, "private_hbm")], loaded)
        made.add("tensor_reduce", "vector", [loaded], sink)
    plan = made.run()
    assert plan.start[4] == pytest.approx(plan.end[2])  # the third load follows the second
    assert plan.start[6] >= plan.end[1] + START
    assert plan.start[8] >= plan.end[3] + START


VIEWS = st.tuples(st.integers(0, 7), st.integers(1, 8), st.integers(0, 15), st.integers(1, 16), st.booleans())


@settings(max_examples=30, deadline=None)
@given(st.lists(VIEWS, min_size=2, max_size=12))
def test_no_two_accesses_that_share_bytes_run_at_the_same_time_unless_both_read(views):
    """Oracle: a NumPy mask of the elements of each view."""
    made, shared = Program(), Storage((8, 16), as_dtype("float32"), MemoryRegion.sbuf, np.empty(0), "shared", "")
    shared.first, shared.last = 0, len(views)
    masks = []
    engines = ("vector", "scalar", "gpsimd")
    for at, (row, rows, column, columns, writes) in enumerate(views):
        rows, columns = min(rows, 8 - row), min(columns, 16 - column)
        box = Access(shared, row, row + rows - 1, 4 * column, 4 * (column + columns) - 1)
        made.add("some_op", engines[at % 3], [made.tile()], made.tile())
        last = made.instructions[-1]
        if writes:
            last.writes = (box,)
        else:
            last.reads = (box,)
        mask = np.zeros((8, 16), dtype=bool)
        mask[row : row + rows, column : column + columns] = True
        masks.append(mask)
    plan = made.run()
    for one in range(len(views)):
        for other in range(one):
            if (masks[one] & masks[other]).any() and (views[one][4] or views[other][4]):
                assert plan.start[one] >= plan.end[other] - 1e-9


def test_stores_of_column_blocks_of_one_matrix_do_not_wait_for_each_other():
    """Blocks of columns interleave in memory without sharing a byte."""

    def kernel(source):
        out = nl.ndarray(source.shape, dtype=source.dtype, buffer=nl.shared_hbm)
        block = nl.ndarray((128, 512), dtype=source.dtype, buffer=nl.sbuf)
        nisa.memset(block, 0.0)
        for at in range(4):
            nisa.dma_copy(dst=out[:, at * 512 : (at + 1) * 512], src=block)
        return out

    _, (core,) = run_kernel(Kernel(kernel), (np.zeros((128, 2048), np.float32),), {}, Options("gen3", record=True))
    plan = schedule(core.instructions, core.hardware)
    assert plan.start[2] == pytest.approx(plan.end[1])  # right behind, not 1300 ns later


def test_10_000_instructions_are_scheduled():
    made = Program()
    for _ in range(2500):
        loaded, sums = made.tile(128), made.tile(512, "psum")
        made.add("dma_copy", "dma", [made.tile(128, "private_hbm")], loaded)
        made.add("nc_matmul", "tensor", [loaded, loaded], sums, k=128, m=128, n=128)
        made.add("tensor_copy", "vector", [sums], made.tile(512))
        made.add("activation", "scalar", [loaded], made.tile(128))
    plan = made.run()
    assert len(plan.start) == 10_000


def test_two_tiles_that_live_and_die_together_make_room_for_later_ones():
    """Oracle: four pairs of tiles of 64 KiB a partition can't be alive at once, one pair after the other can."""

    def kernel(x):
        out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        for _ in range(4):
            power = nl.ndarray(x.shape, dtype=nl.float32, buffer=nl.sbuf)
            total = nl.ndarray((128, 1), dtype=nl.float32, buffer=nl.sbuf)
            tile = nl.ndarray(x.shape, dtype=nl.float32, buffer=nl.sbuf)
            nisa.dma_copy(dst=tile, src=x)
            nisa.activation_reduce(dst=power, op=nl.exp, data=tile, reduce_op=nl.add, reduce_res=total)
            nisa.tensor_scalar(dst=tile, data=power, op0=nl.multiply, operand0=total)
            nisa.dma_copy(dst=out, src=tile)
        return out

    options = Options(target="gen3", record=True, execute=False)
    _, cores = run_kernel(Kernel(kernel), (np.zeros((128, 16384), np.float32),), {}, options)
    plan = schedule(cores[0].instructions, GEN3)
    loads = [at for at, made in enumerate(cores[0].instructions) if made.op == "dma_copy"][::2]
    assert all(plan.start[later] > plan.start[earlier] for earlier, later in pairwise(loads))
