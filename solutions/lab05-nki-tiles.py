# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   lab:
#     title: "NKI puzzles: tiles, partitions, DMA"
#     hours: 2
#     points: 50
#     after: book/accelerators/03-nki-tiles
#     requires:
#     - book/foundations/02-accelerators
#     - book/accelerators/03-nki-tiles
#     rooms: [labkit, nki]
#     equivalent_mutants: []
# ---

# %% [markdown]
# # Lab 05 · NKI puzzles: tiles, partitions, DMA
#
# A weather service keeps its readings in matrices, one row for each station and one column for each hour. Ten short
# lines of NumPy turn them into what the forecast model reads. The model has moved to Trainium, and **the ten lines
# must follow it as kernels**. Each is a puzzle: a picture, a formula, a kernel of three to fifteen lines, and a check
# that answers at once and draws where you went wrong. Each teaches one thing about the machine.
#
# **How it works**
#
# - Write your kernel where a cell says `# YOUR CODE HERE`, and delete the line `raise NotImplementedError()`.
# - Run the test cell below it as often as you like. It runs your kernel in the course's simulator and shows expected,
#   yours and the difference as pictures. When the simulator refuses something, read its message to the end: it names
#   the line, the limit, and what to try.
# - When you hand in, hidden checks run too: other shapes, ragged edges, and bfloat16 where the text says so. Inside a
#   kernel `x.shape` is a tuple of plain numbers, so write for any shape that the text allows.
# - The work must be done **by instructions**. A kernel sees shapes, never values, and the checks make sure of it.
#   `course_lib.nki.kernels` is off limits.
# - Before you hand in: **Kernel → Restart Kernel and Run All Cells**, then **Validate** in the toolbar.
#
# **What you need**: the chapter *NKI 1: tiles, SBUF and PSUM*, open beside you. What the chapter does not mention is
# explained here. Plan two hours: ten minutes for a puzzle on average, less for the first ones, and twenty for the
# written answer. Stuck? Go on to the next puzzle; none needs the one before.
#
# | puzzle | kernel | what it is about | points |
# |---|---|---|---|
# | 1 | `fahrenheit` | load, compute, store | 4 |
# | 2 | `blend` | two tiles | 4 |
# | 3 | `rectify` | more rows than partitions | 4 |
# | 4 | `fold` | a ragged last tile | 4 |
# | 5 | `calibrate` | a column and a row for a whole matrix | 4 |
# | 6 | `center` | a sum along the free dimension | 4 |
# | 7 | `weighted_total` | a sum across partitions | 4 |
# | 8 | `turn` | a transpose that is not slow | 4 |
# | 9 | `ahead` | one transfer, an unusual pattern | 4 |
# | 10 | `known_by` | a mask made of indices | 4 |
# | 11 | written answer | which transpose would you ship? | 10 |

# %%
import os

import numpy as np

from course_lib.nki import activate, profile

os.environ["NEURON_PLATFORM_TARGET_OVERRIDE"] = "trn2"  # for a Trainium2
activate()

import nki
import nki.isa as nisa
import nki.language as nl

# %% [markdown]
# ## 0 · Solved for you: there and back
#
# ![Three matrices of 4 rows and 6 columns with the same numbers: x in HBM, the tile in SBUF, out in HBM.](copy.svg)
#
# **Spec.** `out[i, j] = x[i, j]`. `x` has at most 128 rows; `out` has its shape and format.
#
# Every kernel of this lab has this shape: allocate a tile in SBUF and the result in HBM, load, (compute,) store.


# %%
@nki.jit
def copy(x):
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=tile, src=x)
    nisa.dma_copy(dst=out, src=tile)
    return out


readings = np.arange(24, dtype=np.float32).reshape(4, 6)
print(nki.simulate(copy)(readings))

# %% [markdown]
# To look at a tile while you work, put `print(tile)` into your kernel. That works in a simulator only, so take it out
# again.
#
# ## 1 · Fahrenheit
#
# ![x, a matrix of 4 by 6 temperatures from -20 to 95; out, the same in Fahrenheit, from -4 to 203.](fahrenheit.svg)
#
# **Spec.** `out[i, j] = 1.8 * x[i, j] + 32`. `x` has at most 128 rows, in float32 or bfloat16; `out` has its shape and
# format.
#
# The Vector engine does both steps in one instruction: `nisa.tensor_scalar(dst, data, op0, operand0, op1, operand1)`
# computes `(data op0 operand0) op1 operand1` for each element. Operators are objects such as `nl.add` and
# `nl.multiply`, and `dst` may be `data`.


# %% nbgrader={"solution": true, "grade_id": "fahrenheit"}
@nki.jit
def fahrenheit(x):
    """Degrees Celsius to degrees Fahrenheit.

    TODO: return a tensor in HBM with 1.8 * x + 32.

    APPROACH:
    1. Allocate a tile in SBUF and the result in HBM, both of x's shape and format.
    2. Load x into the tile.
    3. Compute in place, with one tensor_scalar.
    4. Store the tile and return the result.

    EXAMPLE: 0 degrees Celsius are 32 degrees Fahrenheit, 100 are 212.

    HINT: take puzzle 0 and add one instruction between the two transfers.
    """
    ### BEGIN SOLUTION
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=tile, src=x)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=1.8, op1=nl.add, operand1=32.0)
    nisa.dma_copy(dst=out, src=tile)
    return out
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-fahrenheit", "points": 4} exercises=["fahrenheit"]
# Test 1 · fahrenheit · 4 points
import importlib

import numpy as np
from ml_dtypes import bfloat16

from course_lib import labkit
from course_lib.nki import witness

check = importlib.reload(labkit).Check(
    "fahrenheit", points=4, off_limits=("course_lib.nki.kernels",), unchanged=("course_lib.nki", "numpy")
)
run = importlib.reload(witness).Watch(fahrenheit)
x = np.arange(24, dtype=np.float32).reshape(4, 6) * 5 - 20
check.array(
    "the picture's example", lambda: run(x), x * np.float32(1.8) + 32, hint="multiply by 1.8 first, then add 32"
)
zeros = np.zeros((2, 3), dtype=np.float32)
check.array("water freezes at 32", lambda: run(zeros), zeros + 32)
### BEGIN HIDDEN TESTS
check.hide()
x = np.random.default_rng(1).standard_normal((128, 200), dtype=np.float32)
check.array("all 128 partitions", lambda: run(x), x * np.float32(1.8) + 32, hint="take rows and columns from x.shape")
x = x[:5, :7].astype(bfloat16)
right = (x.astype(np.float32) * np.float32(1.8) + 32).astype(bfloat16)
check.array("bfloat16", lambda: run(x), right, rel=2**-7, hint="tile and result have x's format: dtype=x.dtype")
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 2 · Two thermometers
#
# ![x and y, matrices of 4 by 5; out, three quarters of x and a quarter of y.](blend.svg)
#
# Each station has two thermometers, and the first is trusted more.
#
# **Spec.** `out[i, j] = 0.75 * x[i, j] + 0.25 * y[i, j]`. `x` and `y` have one shape, with at most 128 rows, in
# float32; so has `out`.
#
# `nisa.tensor_tensor(dst, data1, data2, op)` combines two tiles element by element. You will need more than that one.


# %% nbgrader={"solution": true, "grade_id": "blend"}
@nki.jit
def blend(x, y):
    """A weighted mean of two matrices.

    TODO: return a tensor in HBM with 0.75 * x + 0.25 * y.

    APPROACH:
    1. Allocate a tile for each matrix and load both.
    2. Scale each tile.
    3. Add one to the other, store and return the sum.

    EXAMPLE: where x is 8 and y is 4 the result is 7.

    HINT: the sum may overwrite one of the tiles. (There is also one instruction that scales a tile and adds another:
    scalar_tensor_tensor, with which two instructions do everything.)
    """
    ### BEGIN SOLUTION
    x_tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    y_tile = nl.ndarray(y.shape, dtype=y.dtype, buffer=nl.sbuf)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=x_tile, src=x)
    nisa.dma_copy(dst=y_tile, src=y)
    nisa.tensor_scalar(dst=x_tile, data=x_tile, op0=nl.multiply, operand0=0.75)
    nisa.tensor_scalar(dst=y_tile, data=y_tile, op0=nl.multiply, operand0=0.25)
    nisa.tensor_tensor(dst=x_tile, data1=x_tile, data2=y_tile, op=nl.add)
    nisa.dma_copy(dst=out, src=x_tile)
    return out
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-blend", "points": 4} exercises=["blend"]
# Test 2 · blend · 4 points
import importlib

import numpy as np

from course_lib import labkit
from course_lib.nki import witness

check = importlib.reload(labkit).Check(
    "blend", points=4, off_limits=("course_lib.nki.kernels",), unchanged=("course_lib.nki", "numpy")
)
run = importlib.reload(witness).Watch(blend)
x = np.arange(20, dtype=np.float32).reshape(4, 5)
y = x[::-1] * 2
check.array("the picture's example", lambda: run(x, y), x * 0.75 + y * 0.25)
check.array("a second thermometer that says 0", lambda: run(x, x * 0), x * 0.75, hint="scale x by 0.75")
### BEGIN HIDDEN TESTS
check.hide()
x, y = np.random.default_rng(2).standard_normal((2, 128, 77), dtype=np.float32)
check.array("a first thermometer that says 0", lambda: run(y * 0, y), y * 0.25, hint="scale y by 0.25")
check.array("all 128 partitions", lambda: run(x, y), x * 0.75 + y * 0.25)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 3 · More rows than partitions
#
# ![x, a matrix of 12 by 6 with negative numbers; below each other three tiles of 4 rows, cut from it; out, with zeros in
# place of the negative numbers.](rectify.svg)
#
# Rain gauges sometimes report less than nothing. (In the picture four rows make a tile; on the machine, 128 do.)
#
# **Spec.** `out[i, j] = max(x[i, j], 0)`. The number of rows is a multiple of 128 and may be larger than 128; float32.
#
# Python's `range` walks over the tiles, and `nl.ds(start, size)` cuts one out: `x[nl.ds(256, 128), :]` are 128 rows
# from row 256 on. Allocate a tile inside the loop: it costs nothing, and the machine can load the next tile while it
# stores this one.


# %% nbgrader={"solution": true, "grade_id": "rectify"}
@nki.jit
def rectify(x):
    """Negative numbers become 0.

    TODO: return a tensor in HBM with the larger of x and 0.

    APPROACH:
    1. Allocate the result once, for all rows.
    2. For each 128 rows: allocate a tile, load these rows, compute, store into the same rows of the result.

    EXAMPLE: for 256 rows your loop runs twice, from row 0 and from row 128.

    HINT: nl.maximum is an operator like nl.add. A tile of 256 rows is refused; try it and read why.
    """
    ### BEGIN SOLUTION
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    for row in range(0, x.shape[0], 128):
        part = nl.ds(row, 128)
        tile = nl.ndarray((128, x.shape[1]), dtype=x.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile, src=x[part, :])
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.maximum, operand0=0.0)
        nisa.dma_copy(dst=out[part, :], src=tile)
    return out
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-rectify", "points": 4} exercises=["rectify"]
# Test 3 · rectify · 4 points
import importlib

import numpy as np

from course_lib import labkit
from course_lib.nki import witness

check = importlib.reload(labkit).Check(
    "rectify", points=4, off_limits=("course_lib.nki.kernels",), unchanged=("course_lib.nki", "numpy")
)
run = importlib.reload(witness).Watch(rectify)
x = np.random.default_rng(3).standard_normal((256, 12), dtype=np.float32)
check.array("128 rows, one tile", lambda: run(x[:128]), x[:128] * (x[:128] > 0))
check.array("256 rows, two tiles", lambda: run(x), x * (x > 0), hint="one turn of the loop for each 128 rows")
check.array("nothing to do where all are positive", lambda: run(x * x), x * x)
### BEGIN HIDDEN TESTS
check.hide()
x = np.random.default_rng(3).standard_normal((640, 33), dtype=np.float32)
check.array("640 rows, five tiles", lambda: run(x), x * (x > 0), hint="let the loop end at the last row of x")
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 4 · A ragged last tile
#
# ![x, a matrix of 10 by 4; out, of 5 by 4, the upper half plus the lower half; in two tiles of 4 rows and 1 row.](fold.svg)
#
# Each station has two gauges. The file lists all eastern gauges first, then all western ones in the same order, and the
# model wants their sum. How many stations there are changes every month.
#
# **Spec.** With `h` for half of `x`'s rows, `out[i, j] = x[i, j] + x[i + h, j]` for `i` from 0 to `h - 1`. The number
# of rows is even, and otherwise any; float32.


# %% nbgrader={"solution": true, "grade_id": "fold"}
@nki.jit
def fold(x):
    """The upper half of a matrix plus the lower half.

    TODO: return a tensor in HBM with half as many rows: row i plus row i + half.

    APPROACH:
    1. Walk over the rows of the result in steps of 128; the last tile has only what is left.
    2. Load the tile's rows of the upper half, and the rows that lie half a matrix below.
    3. Add, and store.

    EXAMPLE: for 300 rows the result has 150: a tile of 128 rows, then one of 22.

    HINT: min(128, what is left) is the height of a tile. nl.ds refuses to reach past the last row; a plain slice gets
    shorter without a word.
    """
    ### BEGIN SOLUTION
    rows, columns = x.shape
    half = rows // 2
    out = nl.ndarray((half, columns), dtype=x.dtype, buffer=nl.shared_hbm)
    for row in range(0, half, 128):
        height = min(128, half - row)
        upper = nl.ndarray((height, columns), dtype=x.dtype, buffer=nl.sbuf)
        lower = nl.ndarray((height, columns), dtype=x.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=upper, src=x[nl.ds(row, height), :])
        nisa.dma_copy(dst=lower, src=x[nl.ds(row + half, height), :])
        nisa.tensor_tensor(dst=upper, data1=upper, data2=lower, op=nl.add)
        nisa.dma_copy(dst=out[nl.ds(row, height), :], src=upper)
    return out
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-fold", "points": 4} exercises=["fold"]
# Test 4 · fold · 4 points
import importlib

import numpy as np

from course_lib import labkit
from course_lib.nki import witness

check = importlib.reload(labkit).Check(
    "fold", points=4, off_limits=("course_lib.nki.kernels",), unchanged=("course_lib.nki", "numpy")
)
run = importlib.reload(witness).Watch(fold)
x = np.arange(40, dtype=np.float32).reshape(10, 4)
check.array("the picture's example, one tile", lambda: run(x), x[:5] + x[5:])
x = np.random.default_rng(4).standard_normal((300, 12), dtype=np.float32)
check.array(
    "300 rows: tiles of 128 and 22", lambda: run(x), x[:150] + x[150:], hint="the last tile: min(128, half - row)"
)
### BEGIN HIDDEN TESTS
check.hide()
x = np.random.default_rng(4).standard_normal((600, 9), dtype=np.float32)
check.array("512 rows, two full tiles", lambda: run(x[:512]), x[:256] + x[256:512])
check.array("600 rows, three tiles", lambda: run(x), x[:300] + x[300:], hint="the lower half begins at row + half")
check.array("2 rows", lambda: run(x[:2]), x[:1] + x[1:2])
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 5 · A column and a row for a whole matrix
#
# ![x, 4 by 6; gain, a column of 4 numbers; offset, a row of 6; out, in which each row of x is scaled and the offset
# added.](calibrate.svg)
#
# Every station has a gain, and every hour an offset.
#
# **Spec.** `out[i, j] = gain[i, 0] * x[i, j] + offset[0, j]`. `x` is `(rows, columns)` with at most 128 rows, `gain`
# is `(rows, 1)`, `offset` is `(1, columns)`; all float32.
#
# Two broadcasts, and they are not alike. One number **for each partition** is free: the operand of `tensor_scalar` may
# be a tile of `(rows, 1)` instead of a number. One row **for all partitions** must be in each of them, because a lane
# sees its own partition alone. The cheapest way there is the transfer itself: `offset.broadcast(0, rows)` is a view of
# HBM in which row 0 is read `rows` times. A loop over rows would need a transfer for each.


# %% nbgrader={"solution": true, "grade_id": "calibrate"}
@nki.jit
def calibrate(x, gain, offset):
    """Scale each row by its own gain, add one row of offsets to all.

    TODO: return a tensor in HBM with gain * x + offset.

    APPROACH:
    1. Allocate three tiles: for x, for the gains (rows, 1), and for the offsets, as large as x.
    2. Load each with one transfer.
    3. Multiply by the gains, add the offsets, store.

    EXAMPLE: calibrate of [[1, 2], [3, 4]] with gain [[10], [100]] and offset [[5, 6]] is [[15, 26], [305, 406]].

    HINT: four transfers are enough, however many rows there are.
    """
    ### BEGIN SOLUTION
    rows = x.shape[0]
    x_tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    gains = nl.ndarray(gain.shape, dtype=gain.dtype, buffer=nl.sbuf)
    offsets = nl.ndarray(x.shape, dtype=offset.dtype, buffer=nl.sbuf)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=x_tile, src=x)
    nisa.dma_copy(dst=gains, src=gain)
    nisa.dma_copy(dst=offsets, src=offset.broadcast(0, rows))
    nisa.tensor_scalar(dst=x_tile, data=x_tile, op0=nl.multiply, operand0=gains)
    nisa.tensor_tensor(dst=x_tile, data1=x_tile, data2=offsets, op=nl.add)
    nisa.dma_copy(dst=out, src=x_tile)
    return out
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-calibrate", "points": 4} exercises=["calibrate"]
# Test 5 · calibrate · 4 points
import importlib

import numpy as np

from course_lib import labkit
from course_lib.nki import witness

check = importlib.reload(labkit).Check(
    "calibrate", points=4, off_limits=("course_lib.nki.kernels",), unchanged=("course_lib.nki", "numpy")
)
run = importlib.reload(witness).Watch(calibrate)
x = np.arange(24, dtype=np.float32).reshape(4, 6)
gain = np.arange(1, 5, dtype=np.float32).reshape(4, 1)
offset = np.arange(0, 60, 10, dtype=np.float32).reshape(1, 6)
check.array("gains alone, offsets of 0", lambda: run(x, gain, offset * 0), gain * x, hint="operand0 may be a tile")
check.array("offsets alone, gains of 1", lambda: run(x, gain * 0 + 1, offset), x + offset, hint="broadcast in the src")
right = check.array("the picture's example", lambda: run(x, gain, offset), gain * x + offset)
check.budget(
    "transfers",
    lambda: run.transfers,
    at_most=(4,),
    at_least=4,
    unit="DMA instructions",
    given=right,
    hint="three loads and a store; offset.broadcast(0, rows) is loaded at once",
    weight=1,
)
### BEGIN HIDDEN TESTS
check.hide()
random = np.random.default_rng(55)
x, gain = random.standard_normal((128, 50), dtype=np.float32), random.standard_normal((128, 1), dtype=np.float32)
offset = random.standard_normal((1, 50), dtype=np.float32)
check.array("all 128 partitions", lambda: run(x, gain, offset), gain * x + offset)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 6 · A sum along the free dimension
#
# ![x, 4 by 5; its means, a column of 4; out, x less the mean of each row, around zero.](center.svg)
#
# **Spec.** `out[i, j] = x[i, j] - mean[i]`, where `mean[i]` is the mean of row `i`. At most 128 rows, float32 or
# bfloat16; `out` has the format of `x`.
#
# `nisa.tensor_reduce(dst, op, data, axis)` combines the elements of each partition, along the free axis 1, into a `dst`
# of `(rows, 1)`. There is no operator for the mean. Sums belong in float32 whatever the format of `x`: a sum of 500
# numbers in bfloat16, with its 8 bits of precision, would have forgotten most of them.


# %% nbgrader={"solution": true, "grade_id": "center"}
@nki.jit
def center(x):
    """Each row less its mean.

    TODO: return a tensor in HBM with x less the mean of each row.

    APPROACH:
    1. Load x into a tile.
    2. Sum along axis 1 into a float32 tile of (rows, 1), and make means of the sums.
    3. Subtract them from the tile: one number for each partition, as in puzzle 5.

    EXAMPLE: the row 1, 2, 6 becomes -2, -1, 3.

    HINT: columns is a plain number, so 1 / columns is one too. x needs to cross HBM only once.
    """
    ### BEGIN SOLUTION
    rows, columns = x.shape
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    mean = nl.ndarray((rows, 1), dtype=nl.float32, buffer=nl.sbuf)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=tile, src=x)
    nisa.tensor_reduce(dst=mean, op=nl.add, data=tile, axis=1)
    nisa.tensor_scalar(dst=mean, data=mean, op0=nl.multiply, operand0=1 / columns)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.subtract, operand0=mean)
    nisa.dma_copy(dst=out, src=tile)
    return out
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-center", "points": 4} exercises=["center"]
# Test 6 · center · 4 points
import importlib

import numpy as np
from ml_dtypes import bfloat16

from course_lib import labkit
from course_lib.nki import witness

check = importlib.reload(labkit).Check(
    "center", points=4, off_limits=("course_lib.nki.kernels",), unchanged=("course_lib.nki", "numpy")
)
run = importlib.reload(witness).Watch(center)
row, column = np.indices((4, 5))
x = (10 * row + 2 * (row + 1) * column).astype(np.float32)
right = check.array("the picture's example", lambda: run(x), x - x.mean(axis=1, keepdims=True), abs=1e-4)
check.budget(
    "traffic",
    lambda: run.hbm_bytes,
    at_most=(2 * x.nbytes,),
    at_least=2 * x.nbytes,
    unit="bytes over HBM",
    given=right,
    hint="load x once: the tile is still in SBUF when the mean is known",
    weight=0.5,
)
check.array("a row of one number is its own mean", lambda: run(x[:, :1]), x[:, :1] * 0)
### BEGIN HIDDEN TESTS
check.hide()
x = np.random.default_rng(6).standard_normal((128, 500), dtype=np.float32) + 3
check.array("all 128 partitions", lambda: run(x), x - x.mean(axis=1, keepdims=True), abs=1e-4)
x = x.astype(bfloat16)
right = (x.astype(np.float32) - x.astype(np.float32).mean(axis=1, keepdims=True)).astype(bfloat16)
check.array(
    "bfloat16", lambda: run(x), right, rel=2**-7, abs=0.001, hint="the sums are float32, the rest has x's format"
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 7 · A sum across partitions
#
# ![w, a column of 6 weights; x, 6 by 5; out, a row of 5: the sum of the rows of x, each times its weight.](weighted_total.svg)
#
# The rain of a region is that of its stations, each weighted by the area it stands for.
#
# **Spec.** `out[0, j]` is the sum over `i` of `w[i, 0] * x[i, j]`. `x` is `(rows, columns)` with any number of rows and
# at most 512 columns, `w` is `(rows, 1)`; both float32 or both bfloat16. `out` is `(1, columns)` in float32.
#
# Stations lie on partitions, and no lane sees another's. Which engine adds across them? Its instruction is
# `nisa.nc_matmul(dst, stationary, moving)`: `dst = stationary.T @ moving`, into PSUM, where repeated products into one
# place add up.


# %% nbgrader={"solution": true, "grade_id": "weighted-total"}
@nki.jit
def weighted_total(w, x):
    """The weighted sum of all rows.

    TODO: return a (1, columns) tensor in HBM, in float32, with the sum of w[i] * x[i].

    APPROACH:
    1. Allocate the total in PSUM, in float32.
    2. For each 128 rows, the last time fewer: load the weights and the rows, and multiply them into the total.
    3. Copy the total from PSUM to SBUF, store it and return the result.

    EXAMPLE: weights 1, 2, 3 for the rows [1, 1], [10, 0], [0, 100] give [21, 301].

    HINT: write down the formula of the product with the shapes (rows, 1) and (rows, columns). DMA doesn't reach PSUM:
    nisa.tensor_copy does.
    """
    ### BEGIN SOLUTION
    rows, columns = x.shape
    total = nl.ndarray((1, columns), dtype=nl.float32, buffer=nl.psum)
    for row in range(0, rows, 128):
        part = nl.ds(row, min(128, rows - row))
        weights = nl.ndarray(w[part, :].shape, dtype=w.dtype, buffer=nl.sbuf)
        tile = nl.ndarray(x[part, :].shape, dtype=x.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=weights, src=w[part, :])
        nisa.dma_copy(dst=tile, src=x[part, :])
        nisa.nc_matmul(dst=total, stationary=weights, moving=tile)
    result = nl.ndarray(total.shape, dtype=nl.float32, buffer=nl.sbuf)
    out = nl.ndarray(total.shape, dtype=nl.float32, buffer=nl.shared_hbm)
    nisa.tensor_copy(dst=result, src=total)
    nisa.dma_copy(dst=out, src=result)
    return out
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-weighted-total", "points": 4} exercises=["weighted-total"]
# Test 7 · weighted_total · 4 points
import importlib

import numpy as np
from ml_dtypes import bfloat16

from course_lib import labkit
from course_lib.nki import witness

check = importlib.reload(labkit).Check(
    "weighted_total", points=4, off_limits=("course_lib.nki.kernels",), unchanged=("course_lib.nki", "numpy")
)
run = importlib.reload(witness).Watch(weighted_total)
w = np.arange(1, 7, dtype=np.float32).reshape(6, 1)
x = np.arange(30, dtype=np.float32).reshape(6, 5)
check.array("the picture's example", lambda: run(w, x), (w * x).sum(axis=0, keepdims=True))
random = np.random.default_rng(7)
w, x = random.random((300, 1), dtype=np.float32), random.random((300, 5), dtype=np.float32)
check.array(
    "300 rows: products over 128, 128 and 44",
    lambda: run(w, x),
    (w * x).sum(axis=0, keepdims=True),
    hint="one product for each 128 rows, all into the same place in PSUM",
)
### BEGIN HIDDEN TESTS
check.hide()
w, x = random.random((513, 1), dtype=np.float32), random.random((513, 512), dtype=np.float32)
check.array("128 rows", lambda: run(w[:128], x[:128]), (w[:128] * x[:128]).sum(axis=0, keepdims=True))
check.array("513 rows, 512 columns", lambda: run(w, x), (w * x).sum(axis=0, keepdims=True))
w, x = w[:40, :].astype(bfloat16), x[:40, :9].astype(bfloat16)
right = (w.astype(np.float32) * x.astype(np.float32)).sum(axis=0, keepdims=True)
check.array("bfloat16 in, float32 out", lambda: run(w, x), right, hint="PSUM and the result are nl.float32")
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 8 · A transpose that is not slow
#
# ![x, 3 by 7; out, 7 by 3, with the rows of x as columns.](turn.svg)
#
# The model wants hours in rows.
#
# **Spec.** `out[j, i] = x[i, j]`. `x` has at most 128 rows and any number of columns, in float32 or bfloat16; `out` has
# its format.
#
# `nisa.nc_transpose(dst, data)` turns a tile of up to 128 × 128 from SBUF into PSUM, in the same format; the partitions
# of `dst` are the columns of `data`, so wide matrices take several. You could also ask the DMA engines for it, which
# reorder anything. Try that too and see what the budget says: the written answer is about the difference.


# %% nbgrader={"solution": true, "grade_id": "turn"}
@nki.jit
def turn(x):
    """The transpose of a matrix.

    TODO: return a (columns, rows) tensor in HBM with x transposed, within the budget.

    APPROACH:
    1. Load x once, as it lies.
    2. For each 128 columns of the tile, the last time fewer: transpose them on the Tensor engine.
    3. Copy what arrives in PSUM to SBUF, and store it into the right rows of the result.

    EXAMPLE: for 300 columns, three transposes, which give 128, 128 and 44 rows of the result.

    HINT: a slice of a tile along the free dimension is a view and costs nothing: tile[:, nl.ds(start, size)].
    """
    ### BEGIN SOLUTION
    rows, columns = x.shape
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    out = nl.ndarray((columns, rows), dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=tile, src=x)
    for column in range(0, columns, 128):
        part = nl.ds(column, min(128, columns - column))
        turned = nl.ndarray(out[part, :].shape, dtype=x.dtype, buffer=nl.psum)
        result = nl.ndarray(turned.shape, dtype=x.dtype, buffer=nl.sbuf)
        nisa.nc_transpose(dst=turned, data=tile[:, part])
        nisa.tensor_copy(dst=result, src=turned)
        nisa.dma_copy(dst=out[part, :], src=result)
    return out
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-turn", "points": 4} exercises=["turn"]
# Test 8 · turn · 4 points
import importlib

import numpy as np
from ml_dtypes import bfloat16

from course_lib import labkit
from course_lib.nki import witness

check = importlib.reload(labkit).Check(
    "turn", points=4, off_limits=("course_lib.nki.kernels",), unchanged=("course_lib.nki", "numpy")
)
run = importlib.reload(witness).Watch(turn)
x = np.arange(21, dtype=np.float32).reshape(3, 7)
check.array("the picture's example, one tile", lambda: run(x), x.T)
x = np.random.default_rng(8).standard_normal((128, 300), dtype=np.float32)
right = check.array(
    "128 × 300: three transposes", lambda: run(x), x.T, hint="the last one has min(128, columns - column)"
)
check.budget(
    "modelled time of 128 × 300",
    lambda: run.microseconds,
    at_most=(10,),
    at_least=2.6,
    unit="µs",
    given=right,
    hint="a transfer that reorders elements moves them one at a time; move rows, and turn them on the Tensor engine",
    weight=2,
)
### BEGIN HIDDEN TESTS
check.hide()
check.array("100 × 256", lambda: run(x[:100, :256]), x[:100, :256].T)
x = x[:50, :130].astype(bfloat16)
check.array("bfloat16", lambda: run(x), x.T, hint="a transpose casts nothing: PSUM tile and result have x's format")
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 9 · One transfer, an unusual pattern
#
# ![x, 5 by 8, in which a band of 4 squares in each row, one further right in every row, is kept; out, 5 by 4, that band
# with its left edge straight.](ahead.svg)
#
# Row `i` of `x` holds the forecast that was made at hour `i`, and column `j` what it says about hour `j`. To compare
# forecasts you want the one for the same hour, the next hour, two hours ahead …
#
# **Spec.** `out[i, k] = x[i, i + k]` for `k` from 0 to `width - 1`. `x` is `(rows, columns)` with at most 128 rows and
# at least `rows + width - 1` columns, float32; `out` is `(rows, width)`. `width` is a plain number.
#
# No slice says that, and a loop over rows needs a transfer for each. But HBM is one long line of numbers, and a view
# is only a *pattern* over it: `x.ap([[stride, count], [stride, count]])` steps `count` times by `stride` elements for
# the rows, and within each row for the columns. A plain `(rows, columns)` matrix is
# `[[columns, rows], [1, columns]]`. How far is it from `x[i, i]` to `x[i + 1, i + 1]`?


# %% nbgrader={"solution": true, "grade_id": "ahead"}
@nki.jit
def ahead(x, width):
    """The band of a matrix that begins at its diagonal.

    TODO: return a (rows, width) tensor in HBM with x[i, i + k] at [i, k], in two transfers.

    APPROACH:
    1. Work out the pattern of the band: from one row of it to the next, and from one column to the next.
    2. Load the band into a tile of (rows, width) through that pattern.
    3. Store the tile and return the result.

    EXAMPLE: for the rows 0 1 2 3 and 4 5 6 7 and a width of 3, the result is 0 1 2 and 5 6 7.

    HINT: number the elements of x row by row: in a matrix of 8 columns x[0, 0] is 0 and x[1, 1] is 9.
    """
    ### BEGIN SOLUTION
    rows, columns = x.shape
    tile = nl.ndarray((rows, width), dtype=x.dtype, buffer=nl.sbuf)
    out = nl.ndarray((rows, width), dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=tile, src=x.ap([[columns + 1, rows], [1, width]]))
    nisa.dma_copy(dst=out, src=tile)
    return out
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-ahead", "points": 4} exercises=["ahead"]
# Test 9 · ahead · 4 points
import importlib

import numpy as np

from course_lib import labkit
from course_lib.nki import witness

check = importlib.reload(labkit).Check(
    "ahead", points=4, off_limits=("course_lib.nki.kernels",), unchanged=("course_lib.nki", "numpy")
)
run = importlib.reload(witness).Watch(ahead)


def band(x, width):
    return np.array([x[i, i : i + width] for i in range(len(x))])


x = np.arange(40, dtype=np.float32).reshape(5, 8)
right = check.array(
    "the picture's example", lambda: run(x, 4), band(x, 4), hint="x[i + 1, i + 1] is a row and an element on"
)
check.budget(
    "transfers",
    lambda: run.transfers,
    at_most=(2,),
    at_least=1,
    unit="DMA instructions",
    given=right,
    hint="one load through x.ap(...), one store",
    weight=1.5,
)
check.array("the first row alone", lambda: run(x[:1], 5), band(x[:1], 5))
check.array("the diagonal: a width of 1", lambda: run(x, 1), band(x, 1))
### BEGIN HIDDEN TESTS
check.hide()
x = np.random.default_rng(9).standard_normal((128, 170), dtype=np.float32)
check.array("128 rows, a width of 43", lambda: run(x, 43), band(x, 43))
check.array(
    "more columns than the band needs", lambda: run(x[:30], 20), band(x[:30], 20), hint="the stride counts columns"
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 10 · A mask made of indices
#
# ![x, 6 by 6; out, the same on and below the diagonal, and -10000 above it.](known_by.svg)
#
# A model that forecasts hour `i` may look at the readings of the hours up to `i` and no further. What it must not see
# becomes a large negative number. You will meet this mask again in attention.
#
# **Spec.** `out[i, j] = x[i, j]` where `j <= i`, else `-10000`. Any number of rows and columns; float32.
#
# The GpSimd engine makes masks from indices, without any tile that holds them. Its instruction `nisa.affine_select` has
# the arguments `dst, pattern, channel_multiplier, on_true_tile, on_false_value, cmp_op, offset`. For partition `p` and
# column `j` of the tile it computes the whole number `offset + channel_multiplier * p + step * j`, where `pattern` is
# `[[step, columns]]`, and compares it with 0. Where `cmp_op` (`nl.greater_equal`, `nl.less`, …) holds, `dst` takes the
# element of `on_true_tile`, elsewhere the number `on_false_value`. `dst` may be `on_true_tile`.
#
# Write `j <= i` as "something is at least 0", and remember that `p` counts from 0 in every tile.


# %% nbgrader={"solution": true, "grade_id": "known-by"}
@nki.jit
def known_by(x):
    """What is known by each hour; the future is masked.

    TODO: return a tensor in HBM with x on and below the diagonal and -10000 above it.

    APPROACH:
    1. For each 128 rows, the last time fewer: load a tile.
    2. Select in place, with the condition on the row in the matrix and not in the tile.
    3. Store the tile into the same rows of the result.

    EXAMPLE: of 200 rows, partition 3 of the second tile is row 131 and keeps the columns 0 to 131.

    HINT: partition p of a tile that begins at row r is row r + p, so j <= i is r + p - j >= 0.
    """
    ### BEGIN SOLUTION
    rows, columns = x.shape
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    for row in range(0, rows, 128):
        part = nl.ds(row, min(128, rows - row))
        tile = nl.ndarray(x[part, :].shape, dtype=x.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile, src=x[part, :])
        nisa.affine_select(tile, [[-1, columns]], 1, tile, -10000.0, nl.greater_equal, offset=row)
        nisa.dma_copy(dst=out[part, :], src=tile)
    return out
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-known-by", "points": 4} exercises=["known-by"]
# Test 10 · known_by · 4 points
import importlib

import numpy as np

from course_lib import labkit
from course_lib.nki import witness

check = importlib.reload(labkit).Check(
    "known_by", points=4, off_limits=("course_lib.nki.kernels",), unchanged=("course_lib.nki", "numpy")
)
run = importlib.reload(witness).Watch(known_by)


def masked(x):
    hidden = np.arange(x.shape[1]) > np.arange(x.shape[0]).reshape(-1, 1)
    return x * (1 - hidden).astype(np.float32) - hidden.astype(np.float32) * 10000


x = np.arange(1, 37, dtype=np.float32).reshape(6, 6)
check.array("the picture's example", lambda: run(x), masked(x), hint="row - column >= 0")
check.array("one column: nothing is hidden", lambda: run(x[:, :1]), x[:, :1])
x = np.random.default_rng(10).standard_normal((200, 210), dtype=np.float32)
check.array("200 rows, two tiles", lambda: run(x), masked(x), hint="the offset is the tile's first row")
### BEGIN HIDDEN TESTS
check.hide()
check.array("more rows than columns", lambda: run(x[:, :90]), masked(x[:, :90]))
check.array("128 rows", lambda: run(x[:128]), masked(x[:128]))
check.array("one row", lambda: run(x[:1]), masked(x[:1]))
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 11 · Which transpose would you ship?
#
# A colleague shows you a transpose in three lines. Why write ten?


# %%
@nki.jit
def turn_by_dma(x):
    out = nl.ndarray((x.shape[1], x.shape[0]), dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=x.permute((1, 0)))
    return out


print("  rows × columns   ten lines   three lines   bytes over HBM")
for shape in ((2, 8), (4, 8), (16, 16), (128, 128), (128, 512), (128, 2048)):
    matrix = np.zeros(shape, dtype=np.float32)
    ten, three = (profile(kernel, execute=False)(matrix) for kernel in (turn, turn_by_dma))
    moved = " and ".join(f"{run.hbm_bytes:,}" for run in (ten, three))
    print(f"{shape[0]:>6} × {shape[1]:<7} {ten.seconds * 1e6:9.2f} µs {three.seconds * 1e6:10.2f} µs   {moved}")
print()
print(three)

# %% [markdown]
# Write to your colleague, in 120 to 200 words. A reader looks for four things:
#
# 1. **What the two cost**, at a size where they differ much and at one where they hardly do: numbers from the table,
#    called what they are.
# 2. **Why**, in terms of the machine: both move the same bytes. What is different about how they lie, and what do the
#    other engines of your kernel do meanwhile?
# 3. **The same rule elsewhere**: one other puzzle of this lab in which it decides how you write the kernel, or where
#    it would bite if you wrote it another way.
# 4. **When you would ship the three lines** all the same, and **what you would measure on a Trainium** before you
#    trust the table.

# %% [markdown] nbgrader={"grade": true, "solution": true, "grade_id": "written-transpose", "points": 10}
# ### BEGIN SOLUTION
# At 128 × 2048 the model gives your three lines 1,768 µs and my ten lines 19.6 µs: 90 times as long. At 2 × 8 yours is
# ahead, 3.0 against 4.0 µs.
#
# Both move the same 2 MiB. But what lies side by side in x lies a row apart in the result, so each element of yours is
# a descriptor of its own: 4 bytes that take as long as some 2 KiB would, a quarter of a million times. Mine loads rows
# of 8 KiB and stores rows of 512 bytes. In between the Tensor engine turns the tile; that and the copy out of PSUM run
# while other pieces are being stored, so they hardly add to the time.
#
# The same rule sits in puzzle 9. One transfer fetches the band, but each of its rows is a run of 4 · width bytes only:
# a narrow band is slow, however few transfers it takes.
#
# I would ship your three lines for a matrix of a few dozen numbers, or where it runs once. Before I believed the table I
# would time both at 128 × 2048 on a Trainium: below a factor of two there, I would take yours, because it is simpler.
# ### END SOLUTION

# %% [markdown]
# ## Stretch · The rain so far
#
# ![x, 5 by 4; a square of 5 by 5 with ones on and above the diagonal; out, 5 by 4, each row the sum of the rows up to it.](rain_so_far.svg)
#
# Not graded. Rows are hours now, and you want the running total down the rows: `out[i, j]` is the sum of `x[k, j]` over
# all `k` up to and including `i`. At most 128 rows and 512 columns, float32.
#
# A loop over rows would be 127 additions, each waiting for the one before, and each between two partitions that don't
# see each other. One matrix product does it. Which stationary tile turns `stationary.T @ x` into running totals, and
# how do you make it without loading anything? (Puzzles 7 and 10; `nisa.memset(dst, value)` fills a tile.)


# %% nbgrader={"solution": true, "grade_id": "rain-so-far"}
@nki.jit
def rain_so_far(x):
    """Running totals down the rows.

    TODO: return a tensor in HBM of x's shape, in which row i is the sum of the rows 0 to i of x.

    APPROACH:
    1. Make a (rows, rows) tile in SBUF with 1 where row k counts towards total i, and 0 elsewhere.
    2. Multiply: that tile is stationary, x moves.
    3. PSUM to SBUF, SBUF to HBM.

    EXAMPLE: the rows [1, 5], [2, 5], [3, 5] become [1, 5], [3, 10], [6, 15].

    HINT: the stationary tile has k on its partitions and i along them: 1 where k <= i.
    """
    ### BEGIN SOLUTION
    rows = x.shape[0]
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    counts = nl.ndarray((rows, rows), dtype=x.dtype, buffer=nl.sbuf)
    totals = nl.ndarray(x.shape, dtype=nl.float32, buffer=nl.psum)
    result = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=tile, src=x)
    nisa.memset(dst=counts, value=1.0)
    nisa.affine_select(counts, [[1, rows]], -1, counts, 0.0, nl.greater_equal)
    nisa.nc_matmul(dst=totals, stationary=counts, moving=tile)
    nisa.tensor_copy(dst=result, src=totals)
    nisa.dma_copy(dst=out, src=result)
    return out
    ### END SOLUTION


# %% nbgrader={"grade": false, "grade_id": "self-check-rain-so-far"}
# Self-check for the stretch puzzle: no points, only an answer.
import importlib

import numpy as np

from course_lib import labkit
from course_lib.nki import witness

check = importlib.reload(labkit).Check("rain_so_far", points=0)
run = importlib.reload(witness).Watch(rain_so_far)
x = np.arange(20, dtype=np.float32).reshape(5, 4)
check.array("the picture's example", lambda: run(x), x.cumsum(axis=0))
check.budget("transfers", lambda: run.transfers, at_most=(2,), unit="DMA instructions")
x = np.ones((128, 512), dtype=np.float32)
check.array("128 hours of 1 mm", lambda: run(x), x.cumsum(axis=0))
check.score()
