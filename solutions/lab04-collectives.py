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
#     title: Build a ring all-reduce and predict it
#     hours: 2
#     points: 50
#     after: book/distributed/02-collectives
#     requires:
#     - book/foundations/01-training-step
#     - book/distributed/01-paradigms
#     - book/distributed/02-collectives
#     rooms: [arithmetic, arithmetic.network, labkit, runtime, runtime.messages]
#     equivalent_mutants: []
# ---

# %% [markdown]
# # Lab 04 · Build a ring all-reduce and predict it
#
# Your team trains an 8-billion-parameter model on 128 instances of eight H100, 1,024 devices in all. Each step ends with
# one operation: every device has 16 GB of gradients, and every device needs the **sum** of all of them. That is an
# all-reduce, and somebody has measured that it takes a fifth of the step. Two offers are on the table: network cards
# twice as fast, or a library that promises half the latency. Which one would you buy?
#
# You find out by building the thing. You write a ring all-reduce that moves real bytes between real processes, and
# beside it an algorithm for small messages. You count what they send, measure what they take, fit a line of two numbers,
# and predict a size that nobody has measured. Then you go where no laptop goes, to 1,024 devices, with a simulator.
# On the way a rank dies, another one never arrives, and four published figures turn out not to be what they seem.
#
# **How it works**
#
# - Write your code where a cell says `# YOUR CODE HERE`, and delete the line `raise NotImplementedError()`.
# - Below each such cell is a test cell. Run it as often as you like. For tasks 2 to 6 it starts real processes, which
#   takes a few seconds. If they wait for each other, they are ended after 15 seconds and the message says where each of
#   them stood: read it, that is what a hanging job on a cluster looks like.
# - When you hand in, hidden checks run too: the same with other sizes and numbers of ranks.
# - Before you hand in: **Kernel → Restart Kernel and Run All Cells**, then press **Validate** in the toolbar (in a
#   terminal: `nbgrader validate lab04-collectives.ipynb`). The written answer counts as missing until you replace
#   `YOUR ANSWER HERE`.
#
# **What you need**: the chapters *Paradigms and workloads* and *Collectives and networks*. Inside the ranks only `isend`,
# `irecv`, `send` and `recv` of `torch.distributed` count: a collective of the library is recognized and stops the test,
# and so is one of the course's own. Plan two hours, one of them for tasks 2 to 6.
#
# | task | function | points |
# |---|---|---|
# | 1 | `odd_one_out`: who holds the others up? | 2 |
# | 2 | `exchange`: one message out, one in | 3 |
# | 3 | `ring_reduce_scatter` | 6 |
# | 4 | `ring_all_gather` | 4 |
# | 5 | `ring_all_reduce` | 4 |
# | 6 | `doubling_all_reduce`, for small messages | 4 |
# | 7 | `all_reduce_seconds` and `crossover_bytes` | 4 |
# | 8 | `fit_ring`: alpha and beta | 4 |
# | 9 | `layouts` on 1,024 devices | 3 |
# | 10 | four published figures | 8 |
# | 11 | written answer | 8 |
#
# Units are in the names: `bytes_` are bytes, `alpha` is seconds for each message, `beta` seconds for each byte.

# %%
import math
import time
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import torch
import torch.distributed as dist

from course_lib.runtime import Launcher, LaunchError

# Figures travel as data and JupyterLab draws them: no network needed.
pio.renderers.default = "plotly_mimetype"

RANKS = 4  # processes of this machine that play the cluster in tasks 1 to 8
KIB, MIB = 2**10, 2**20

# %% [markdown]
# ## 1 · Ranks, and two ways to lose one
#
# A **rank** is one of several processes that run the same program. `Launcher` starts them, hands each the same function,
# and brings back what they returned. Inside, `dist.get_rank()` says who one is and `dist.get_world_size()` how many
# there are. That is all a program has to tell ranks apart.
#
# A collective needs everybody. Ask people who run large jobs what hurts, and you hear two stories. In the first **one
# rank raises**, and the others wait for it until somebody looks. In the second **one rank never makes the call**: it is
# still reading its data, or took another branch of an `if`. Then nothing fails at all, and the log just ends.
#
# See both before you build anything. The course's launcher ends all ranks when one has failed; and when its time limit is
# over, it asks each of them where it is.


# %%
def train_one_step(story):
    if dist.get_rank() == 2 and story == "raises":
        raise FloatingPointError("the loss is nan")
    if dist.get_rank() == 2 and story == "still reads its data":
        time.sleep(600)
    loss = torch.tensor(float(dist.get_rank()))
    dist.all_reduce(loss)  # the library's, for now
    return f"rank {dist.get_rank()} of {dist.get_world_size()}: {loss}"


with Launcher() as run_on:
    for story, allowed in (("does its work", 300), ("raises", 60), ("still reads its data", 5)):
        print(f"--- rank 2 {story}")
        try:
            print(run_on(train_one_step, RANKS, story, timeout_seconds=allowed, output="none"))
        except LaunchError as stopped:
            print(stopped)

# %% [markdown]
# The last message names no culprit, since nothing went wrong anywhere. But those who wait stand at one place, and the
# one they wait for stands somewhere else. PyTorch's flight recorder gives you just this table for a cluster; with a
# thousand ranks nobody wants to read it by eye.


# %% nbgrader={"solution": true, "grade_id": "odd-one-out"}
def odd_one_out(waiting):
    """The ranks that hold the others up.

    TODO: return a tuple with the numbers of the ranks that are not where most ranks are, in order.

    APPROACH:
    1. waiting is a dictionary from rank to place, as text. Find the place that occurs most often.
    2. Return all ranks that are elsewhere, sorted, as a tuple.

    EXAMPLE: odd_one_out({0: "in wait", 1: "in wait", 2: "in sleep", 3: "in wait"}) gives (2,).

    HINT: places.count(place) counts in a list; max takes a key. If all are at one place, nobody is odd: ().
    """
    ### BEGIN SOLUTION
    places = list(waiting.values())
    crowded = max(places, key=places.count)
    return tuple(sorted(rank for rank, place in waiting.items() if place != crowded))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-odd-one-out", "points": 2} exercises=["odd-one-out"]
# Test 1 · odd_one_out · 2 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("odd_one_out", points=2)
RING = "waiting in wait, called from train.py:31 in exchange"
check.equal(
    "one of four sleeps",
    lambda: odd_one_out({0: RING, 1: RING, 2: "waiting in sleep, called from train.py:7 in step", 3: RING}),
    (2,),
)
check.equal("all at one place: the order of their calls is wrong", lambda: odd_one_out({0: RING, 1: RING}), ())
### BEGIN HIDDEN TESTS
check.hide()
SAVING, DONE = "waiting in fsync, called from checkpoint.py:88 in save", "returned"
check.equal(
    "two of eight, told out of order",
    lambda: odd_one_out({6: DONE, 3: RING, 1: SAVING, 7: RING, 0: RING, 2: RING, 5: RING, 4: RING}),
    (1, 6),
    hint="sort the ranks",
)
check.equal(
    "most are elsewhere than rank 0",
    lambda: odd_one_out({0: SAVING, 1: RING, 2: RING}),
    (0,),
    hint="the most frequent place, not the first",
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 2 · One message out, one in
#
# In every step of every algorithm below, a rank sends one tensor and receives another one **at the same time**. That is
# harder than it looks. `dist.send` returns when the other side has taken the message. If all ranks send first and
# receive afterwards, nobody is there to take anything, and all wait forever: a **deadlock**.
#
# `dist.isend(tensor, to)` and `dist.irecv(tensor, source)` only *start* a message and return a handle. The message is
# through when the handle's `wait()` returns. Until then keep the handle, and do not read the tensor that is being filled.


# %% nbgrader={"solution": true, "grade_id": "exchange"}
def exchange(outgoing, to, incoming, source):
    """Send one tensor and receive another at the same time.

    TODO: send `outgoing` to rank `to`, fill `incoming` with what rank `source` sends, and return the bytes sent.

    APPROACH:
    1. Start both messages with dist.isend(outgoing, to) and dist.irecv(incoming, source).
    2. Wait for both handles.
    3. Return the number of elements times the size of one: outgoing.numel() and outgoing.element_size().

    EXAMPLE: ranks 0 and 1 call exchange(mine, 1, theirs, 1) and exchange(mine, 0, theirs, 0): each now has the other's
        numbers in theirs, and five float32 make both calls return 20.

    HINT: a handle that nobody keeps is thrown away by Python, and its message with it.
    """
    ### BEGIN SOLUTION
    for handle in (dist.isend(outgoing, to), dist.irecv(incoming, source)):
        handle.wait()
    return outgoing.numel() * outgoing.element_size()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-exchange", "points": 3} exercises=["exchange"]
# Test 2 · exchange · 3 points
import importlib

import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.runtime import Launcher
from course_lib.runtime.messages import Messages

check = importlib.reload(labkit).Check("exchange", points=3, unchanged=("course_lib.runtime",))


def pass_right(counts, dtype):
    rank, world = dist.get_rank(), dist.get_world_size()
    found = {}
    with Messages() as messages:
        for count in counts:
            incoming = torch.full((count,), -1, dtype=dtype)
            outgoing = torch.arange(count).to(dtype) + 100 * rank
            found[f"bytes of {count}"] = exchange(outgoing, (rank + 1) % world, incoming, (rank - 1) % world)
            found[count] = incoming
    return found | {"messages": (len(messages.sent), len(messages.received))}


def from_the_left(count, world, dtype):
    return np.array([np.arange(count) + 100 * ((rank - 1) % world) for rank in range(world)]).astype(dtype)


with Launcher() as launch:
    four = labkit.Ranks(launch, pass_right, 4, (5, 4, 3, 2, 300_000), torch.float32, timeout_seconds=15)
    two = labkit.Ranks(launch, pass_right, 2, (3, 0), torch.float64, timeout_seconds=15)
check.array(
    "four ranks in a ring, five numbers to the right",
    four.stacked(5),
    from_the_left(5, 4, np.float32),
    hint="start both messages before you wait for either, and wait for both",
)
check.array(
    "the same with 300,000 numbers",
    four.stacked(300_000),
    from_the_left(300_000, 4, np.float32),
    hint="incoming is complete only when its handle's wait() has returned",
)
check.equal("bytes sent for five float32", four.of("bytes of 5"), 20, hint="elements times bytes of one element")
check.equal("one message out and one in for each call", four.of("messages", 3), (5, 5))
### BEGIN HIDDEN TESTS
check.hide()
check.array("two ranks, float64", two.stacked(3), from_the_left(3, 2, np.float64))
check.equal("bytes sent for three float64", two.of("bytes of 3", 1), 24, hint="ask the tensor for its element_size()")
check.equal("bytes of an empty message", two.of("bytes of 0", 1), 0)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 3 · Reduce-scatter on a ring
#
# The ranks stand in a ring; everybody sends to the right and receives from the left. The tensor is cut into as many
# chunks as there are ranks, with `torch.tensor_split`, which also copes with sizes that don't divide: the first chunks
# get one element more.
#
# In step 0 rank *r* sends its chunk *r − 1* to the right, and receives chunk *r − 2* from the left. It adds what it
# received to its own chunk *r − 2*, and that is what it sends in step 1. So every chunk travels around the ring once
# and collects one summand at every rank. After *p* − 1 steps rank *r* holds chunk *r*, complete. Four ranks:
#
# | step | rank 0 sends, receives | rank 1 | rank 2 | rank 3 |
# |---|---|---|---|---|
# | 0 | 3, 2 | 0, 3 | 1, 0 | 2, 1 |
# | 1 | 2, 1 | 3, 2 | 0, 3 | 1, 0 |
# | 2 | 1, **0** | 2, **1** | 3, **2** | 0, **3** |


# %% nbgrader={"solution": true, "grade_id": "ring-reduce-scatter"}
def ring_reduce_scatter(tensor):
    """The sum over all ranks, of which this rank gets its own chunk.

    TODO: return chunk number `rank` of the sum of all ranks' tensors; leave `tensor` as it was.

    APPROACH:
    1. Cut a copy of the one-dimensional tensor into world chunks: torch.tensor_split(tensor.clone(), world).
    2. In step 0, 1, ..., world - 2: send chunk rank - step - 1 to the right, receive chunk rank - step - 2 from the left
       into an empty tensor of the same size, and add that to your own chunk of that number.
    3. Return chunk number rank.

    EXAMPLE: four ranks with [1, 2, 3, 4, 5] each: rank 0 returns [4, 8], rank 3 returns [20].

    HINT: Python counts negative indices from the end, so chunks[rank - step - 1] needs no modulo; a neighbor's number
        does: (rank - 1) % world. torch.empty_like(chunk) makes room for what comes in.
    """
    ### BEGIN SOLUTION
    rank, world = dist.get_rank(), dist.get_world_size()
    chunks = torch.tensor_split(tensor.clone(), world)
    for step in range(world - 1):
        mine = chunks[rank - step - 2]
        incoming = torch.empty_like(mine)
        exchange(chunks[rank - step - 1], (rank + 1) % world, incoming, (rank - 1) % world)
        mine += incoming
    return chunks[rank]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-ring-reduce-scatter", "points": 6} exercises=["exchange", "ring-reduce-scatter"]
# Test 3 · ring_reduce_scatter · 6 points
import importlib

import numpy as np
import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.runtime import Launcher
from course_lib.runtime.messages import Messages

check = importlib.reload(labkit).Check("ring_reduce_scatter", points=6, unchanged=("course_lib.runtime",))


def reduce_scatter_on_rank(counts, dtype):
    rank = dist.get_rank()
    found = {}
    for count in counts:
        given = torch.arange(1, count + 1).to(dtype) * (rank + 1)
        kept = given.clone()
        with Messages(off_limits=("course_lib.distributed",)) as messages:
            found[count] = ring_reduce_scatter(given)
        found[f"{count} kept"] = (torch.equal(given, kept), len(messages.sent))
        found[f"{count} sent"] = tuple((message.peer, message.bytes_) for message in messages.sent)
    return found


def summed(count, world, dtype):
    return (np.arange(1, count + 1) * (world * (world + 1) // 2)).astype(dtype)


with Launcher() as launch:
    four = labkit.Ranks(launch, reduce_scatter_on_rank, 4, (8, 10, 3), torch.float32, timeout_seconds=15)
    three = labkit.Ranks(launch, reduce_scatter_on_rank, 3, (7, 50_000, 0), torch.float64, timeout_seconds=15)
    one = labkit.Ranks(launch, reduce_scatter_on_rank, 1, (2,), torch.float32, timeout_seconds=15)
check.array(
    "four ranks, 8 elements: row r is the chunk of rank r",
    four.stacked(8),
    summed(8, 4, np.float32).reshape(4, 2),
    hint="follow one chunk through the table above: whom does it meet, and where does it end?",
    weight=2,
)
check.array(
    "four ranks, 10 elements: chunks of 3, 3, 2 and 2",
    four.joined(10),
    summed(10, 4, np.float32),
    hint="torch.tensor_split cuts, and incoming has the size of the chunk that arrives, not of the one that leaves",
)
check.array("four ranks, 3 elements: the last chunk is empty", four.joined(3), summed(3, 4, np.float32))
check.equal(
    "after three messages the argument is as it was",
    four.of("8 kept", 1),
    (True, 3),
    hint="cut a copy: tensor.clone()",
)
check.equal(
    "rank 2 sends three chunks of 8 bytes to rank 3",
    four.of("8 sent", 2),
    ((3, 8),) * 3,
    hint="world - 1 steps, one chunk in each, always to the right",
)
### BEGIN HIDDEN TESTS
check.hide()
check.array("three ranks, 7 elements, float64", three.joined(7), summed(7, 3, np.float64))
check.array("three ranks, 50,000 elements", three.joined(50_000), summed(50_000, 3, np.float64))
check.array("nothing to sum", three.joined(0), np.zeros(0), weight=0.5)
check.equal("rank 2 of three sends to rank 0", three.of("7 sent", 2), ((0, 16), (0, 24)))
check.array("a single rank has the sum already", one.joined(2), summed(2, 1, np.float32), weight=0.5)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 4 · All-gather on a ring
#
# Now every rank has one finished chunk, and all need all of them. Same ring, no sums: in step 0 rank *r* sends its own
# chunk *r* and receives chunk *r − 1*; in the next step it passes on what it has just received.


# %% nbgrader={"solution": true, "grade_id": "ring-all-gather"}
def ring_all_gather(chunk, elements):
    """The whole tensor, of which each rank brings one chunk.

    TODO: return a tensor of `elements` elements, put together from the chunks of all ranks in the order of ranks.

    APPROACH:
    1. Make room with chunk.new_empty(elements), and cut it with torch.tensor_split into one view for each rank.
    2. Copy your own chunk to its place.
    3. In step 0, 1, ..., world - 2: send chunk rank - step to the right, receive chunk rank - step - 1 from the left.

    EXAMPLE: rank 0 brings [7, 8], rank 1 brings [9]; both call ring_all_gather(chunk, 3) and get [7, 8, 9].

    HINT: torch.tensor_split gives views: what is received into a view stands in the whole.
    """
    ### BEGIN SOLUTION
    rank, world = dist.get_rank(), dist.get_world_size()
    whole = chunk.new_empty(elements)
    chunks = torch.tensor_split(whole, world)
    chunks[rank].copy_(chunk)
    for step in range(world - 1):
        exchange(chunks[rank - step], (rank + 1) % world, chunks[rank - step - 1], (rank - 1) % world)
    return whole
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-ring-all-gather", "points": 4} exercises=["exchange", "ring-all-gather"]
# Test 4 · ring_all_gather · 4 points
import importlib

import numpy as np
import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.runtime import Launcher
from course_lib.runtime.messages import Messages

check = importlib.reload(labkit).Check("ring_all_gather", points=4, unchanged=("course_lib.runtime",))


def all_gather_on_rank(counts, dtype):
    rank, world = dist.get_rank(), dist.get_world_size()
    found = {}
    for count in counts:
        whole = torch.arange(1, count + 1).to(dtype)
        mine = torch.tensor_split(whole, world)[rank].clone()
        with Messages(off_limits=("course_lib.distributed",)) as messages:
            found[count] = ring_all_gather(mine, count)
        found[f"{count} sent"] = tuple((message.peer, message.bytes_) for message in messages.sent)
    return found


def on_all_ranks(count, world, dtype):
    return np.tile(np.arange(1, count + 1, dtype=dtype), (world, 1))


with Launcher() as launch:
    four = labkit.Ranks(launch, all_gather_on_rank, 4, (8, 10), torch.float32, timeout_seconds=15)
    three = labkit.Ranks(launch, all_gather_on_rank, 3, (2, 50_000), torch.int64, timeout_seconds=15)
    one = labkit.Ranks(launch, all_gather_on_rank, 1, (2,), torch.float32, timeout_seconds=15)
check.array(
    "four ranks, 8 elements: row r is what rank r returned",
    four.stacked(8),
    on_all_ranks(8, 4, np.float32),
    hint="which chunk did you receive in the step before? That one goes on to the right",
)
check.array("four ranks, 10 elements", four.stacked(10), on_all_ranks(10, 4, np.float32))
check.equal("rank 3 sends three chunks of 8 bytes to rank 0", four.of("8 sent", 3), ((0, 8),) * 3)
### BEGIN HIDDEN TESTS
check.hide()
check.array("three ranks, 2 elements: one chunk is empty", three.stacked(2), on_all_ranks(2, 3, np.int64))
check.array("three ranks, 50,000 elements", three.stacked(50_000), on_all_ranks(50_000, 3, np.int64))
check.array("a single rank has all of it", one.stacked(2), on_all_ranks(2, 1, np.float32), weight=0.5)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 5 · All-reduce
#
# Put the two together: first every rank gets the sum of one chunk, then all collect the chunks. Gradients come in any
# shape, and most trainers want the **mean** over the ranks, not the sum. Forget that division and the learning rate
# is multiplied by the number of ranks: the run diverges, and nothing crashes.


# %% nbgrader={"solution": true, "grade_id": "ring-all-reduce"}
def ring_all_reduce(tensor, average=False):
    """The sum (or the mean) of all ranks' tensors, on every rank.

    TODO: return a new tensor of the same shape.

    APPROACH:
    1. Make the tensor flat: tensor.reshape(-1).
    2. ring_reduce_scatter, then ring_all_gather.
    3. Divide by the number of ranks if average is true, and give the result the shape of the argument.

    EXAMPLE: two ranks with [[1., 2.]] and [[3., 4.]]: ring_all_reduce(tensor) gives [[4., 6.]] on both, with average=True
        it gives [[2., 3.]].

    HINT: total.reshape(tensor.shape) at the end.
    """
    ### BEGIN SOLUTION
    flat = tensor.reshape(-1)
    total = ring_all_gather(ring_reduce_scatter(flat), flat.numel())
    if average:
        total = total / dist.get_world_size()
    return total.reshape(tensor.shape)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-ring-all-reduce", "points": 4} exercises=["exchange", "ring-reduce-scatter", "ring-all-gather", "ring-all-reduce"]
# Test 5 · ring_all_reduce · 4 points
import importlib

import numpy as np
import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.runtime import Launcher
from course_lib.runtime.messages import Messages

check = importlib.reload(labkit).Check("ring_all_reduce", points=4, unchanged=("course_lib.runtime",))
SHAPES = ((1,), (2,), (3,), (5,), (7,), (1009,), (3, 5), (6,))


def noise(shape, rank):
    made = torch.randn(shape, generator=torch.Generator().manual_seed(10 + rank))
    return made if len(shape) == 1 else made.t()


def all_reduce_on_rank():
    *awkward, matrix, last = (noise(shape, dist.get_rank()) for shape in SHAPES)
    found = {}
    with Messages(off_limits=("course_lib.distributed",)):
        found["awkward"] = torch.cat([ring_all_reduce(one) for one in awkward])
        found["matrix"] = ring_all_reduce(matrix)
        found["mean"] = ring_all_reduce(last, average=True)
    with Messages(off_limits=("course_lib.distributed",)) as messages:
        ring_all_reduce(torch.ones(1000))
    return found | {"messages": len(messages.sent), "bytes": messages.bytes_sent}


def gloo_on_rank():
    *awkward, matrix, last = (noise(shape, dist.get_rank()).contiguous() for shape in SHAPES)
    for one in (*awkward, matrix):
        dist.all_reduce(one)
    dist.all_reduce(last, op=dist.ReduceOp.AVG)
    return {"awkward": torch.cat(awkward), "matrix": matrix, "mean": last}


with Launcher() as launch:
    four = labkit.Ranks(launch, all_reduce_on_rank, 4, timeout_seconds=15)
    three = labkit.Ranks(launch, all_reduce_on_rank, 3, timeout_seconds=15)
    gloo = labkit.Ranks(launch, gloo_on_rank, 4, timeout_seconds=60)
check.array(
    "four ranks, 1, 2, 3, 5, 7 and 1,009 elements, one after another: as gloo sums them",
    four.stacked("awkward"),
    gloo.stacked("awkward")().numpy(),
    hint="pass flat.numel() on to ring_all_gather",
)
check.array("a transposed matrix", four.stacked("matrix"), gloo.stacked("matrix")().numpy(), hint="reshape, twice")
check.array("the mean", four.stacked("mean"), gloo.stacked("mean")().numpy(), hint="divide by the number of ranks")
# 1,000 float32 are 4,000 bytes, in chunks of 1,000 bytes, three times for each half.
check.equal("messages that rank 1 sends for 4,000 bytes", four.of("messages", 1), 6, hint="2 (p - 1)")
check.equal("bytes that rank 1 sends for them", four.of("bytes", 1), 6000, hint="2 (p - 1) / p for each byte")
### BEGIN HIDDEN TESTS
check.hide()
by_rank = [[noise(shape, rank) for shape in SHAPES] for rank in range(3)]
sums = [sum(same_shape).numpy() for same_shape in zip(*by_rank, strict=True)]
check.array("three ranks, awkward sizes", three.stacked("awkward"), np.tile(np.concatenate(sums[:6]), (3, 1)))
check.array("three ranks, a matrix", three.stacked("matrix"), np.tile(sums[6], (3, 1, 1)))
check.array("three ranks, the mean", three.stacked("mean"), np.tile(sums[7] / 3, (3, 1)).astype(np.float32))
# chunks of 334, 333 and 333 elements: rank 0 sends 2, 1 and then 0, 2, that is 4 * (333 + 333 + 334 + 333) bytes
check.equal("bytes that rank 0 of three sends", three.of("bytes", 0), 5332)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 6 · For small messages: recursive doubling
#
# A ring of *p* ranks takes 2 (*p* − 1) steps, whatever the size. For a single number on 1,024 devices that is 2,046
# messages one after another. **Recursive doubling** needs log₂ *p*, here ten: in round *i* rank *r* swaps its whole sum
# so far with rank *r* xor 2ⁱ, and both add. It is the tree of a knock-out tournament, climbed by all ranks at once. The
# price: every message carries everything.


# %% nbgrader={"solution": true, "grade_id": "doubling-all-reduce"}
def doubling_all_reduce(tensor):
    """The sum of all ranks' tensors, on every rank, in log2(world) rounds.

    TODO: return a new tensor with the sum.

    APPROACH:
    1. Refuse a number of ranks that is no power of two: raise a ValueError that names it.
    2. Start from a copy of the tensor.
    3. With distances 1, 2, 4, ... below world: exchange the sum so far with rank ^ distance, and add what came.

    EXAMPLE: four ranks with 1, 2, 3 and 4: after the round of distance 1 they have 3, 3, 7, 7, after that of distance 2
        all have 10.

    HINT: ^ is Python's "xor": 5 ^ 1 is 4, 5 ^ 2 is 7. A power of two has a single bit: world & (world - 1) is 0.
    """
    ### BEGIN SOLUTION
    rank, world = dist.get_rank(), dist.get_world_size()
    if world & (world - 1):
        raise ValueError(f"recursive doubling pairs ranks, so their number must be a power of two, got {world}")
    total = tensor.clone()
    distance = 1
    while distance < world:
        incoming = torch.empty_like(total)
        exchange(total, rank ^ distance, incoming, rank ^ distance)
        total += incoming
        distance *= 2
    return total
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-doubling-all-reduce", "points": 4} exercises=["exchange", "doubling-all-reduce"]
# Test 6 · doubling_all_reduce · 4 points
import importlib

import numpy as np
import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.runtime import Launcher
from course_lib.runtime.messages import Messages

check = importlib.reload(labkit).Check("doubling_all_reduce", points=4, unchanged=("course_lib.runtime",))


def doubling_on_rank():
    given = torch.arange(1.0, 6.0) * (1 + dist.get_rank())
    kept = given.clone()
    found = {"refused": ""}
    with Messages(off_limits=("course_lib.distributed",)) as messages:
        try:
            found["sum"] = doubling_all_reduce(given)
        except ValueError as error:
            found |= {"refused": str(error), "sum": None}
    sent = tuple((message.peer, message.bytes_) for message in messages.sent)
    return found | {"kept": (torch.equal(given, kept), len(sent)), "sent": sent}


def sum_on_all_ranks(world):
    return np.tile(np.arange(1, 6) * (world * (world + 1) // 2), (world, 1)).astype(np.float32)


with Launcher() as launch:
    four, three, eight, one = (
        labkit.Ranks(launch, doubling_on_rank, world, timeout_seconds=15) for world in (4, 3, 8, 1)
    )
check.array(
    "four ranks: row r is what rank r returned",
    four.stacked("sum"),
    sum_on_all_ranks(4),
    hint="distances 1 and 2; send the sum so far, not the tensor that you were given",
    weight=2,
)
check.equal("rank 2 sends 20 bytes to rank 3, then to rank 0", four.of("sent", 2), ((3, 20), (0, 20)))
check.equal(
    "after two messages the argument is as it was", four.of("kept"), (True, 2), hint="start from tensor.clone()"
)
check.equal(
    "three ranks are refused, by number",
    lambda: "3" in three.of("refused")(),
    True,
    hint="raise ValueError(f'... {world}')",
)
### BEGIN HIDDEN TESTS
check.hide()
check.array("eight ranks", eight.stacked("sum"), sum_on_all_ranks(8))
check.array("a single rank", one.stacked("sum"), sum_on_all_ranks(1), weight=0.5)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 7 · What it should take
#
# The simplest useful model of a network has two numbers. A message of *n* bytes takes **α + n β**: a start-up time, and
# a time for each byte. You have counted the messages already. Per rank, one after another:
#
# - ring: 2 (*p* − 1) messages of *n* / *p* bytes,
# - recursive doubling: log₂ *p* messages of *n* bytes.
#
# (Hockney 1994; Thakur, Rabenseifner and Gropp 2005.) What the additions take is not counted, or rather: it hides in β.


# %% nbgrader={"solution": true, "grade_id": "all-reduce-seconds"}
def all_reduce_seconds(algorithm, ranks, bytes_, alpha, beta):
    """Time of an all-reduce of `bytes_` bytes in the alpha-beta model.

    TODO: return the seconds of "ring" or "doubling".

    APPROACH:
    1. "ring": 2 (ranks - 1) messages of bytes_ / ranks bytes, each alpha plus beta for each byte.
    2. "doubling": log2(ranks) messages of bytes_ bytes.
    3. Anything else: raise a ValueError that names the algorithm.

    EXAMPLE: all_reduce_seconds("ring", 4, 1000, 2.0, 0.01) gives 27.0: six messages of 250 bytes, 2.0 + 2.5 each.

    HINT: math.log2. A single rank needs no message and no time.
    """
    ### BEGIN SOLUTION
    if algorithm == "ring":
        return 2 * (ranks - 1) * (alpha + bytes_ / ranks * beta)
    if algorithm == "doubling":
        return math.log2(ranks) * (alpha + bytes_ * beta)
    raise ValueError(f"unknown algorithm {algorithm!r}: ring or doubling")
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-all-reduce-seconds", "points": 2} exercises=["all-reduce-seconds"]
# Test 7a · all_reduce_seconds · 2 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("all_reduce_seconds", points=2, off_limits=("course_lib.arithmetic",))
check.number("the docstring's example", lambda: all_reduce_seconds("ring", 4, 1000, 2.0, 0.01), 27.0)
check.number(
    "doubling: two messages of 1,000 bytes, 12 each",
    lambda: all_reduce_seconds("doubling", 4, 1000, 2.0, 0.01),
    24.0,
    hint="each of the log2(ranks) messages carries all bytes",
)
check.refuses("an unknown algorithm is refused", lambda: all_reduce_seconds("star", 4, 1, 1.0, 1.0), naming="star")
### BEGIN HIDDEN TESTS
check.hide()
# The oracle is the course's own library, tested against Thakur et al. 2005.
from course_lib.arithmetic import collective_time

for ranks, algorithm, name in ((7, "ring", "ring"), (64, "doubling", "recursive_doubling")):
    expected = collective_time(
        "all_reduce", 3e7, ranks, alpha_seconds=1.5e-5, beta_seconds_per_byte=2e-11, algorithm=name
    )
    check.number(
        f"{algorithm}, {ranks} ranks, 30 MB",
        lambda ranks=ranks, algorithm=algorithm: all_reduce_seconds(algorithm, ranks, 3e7, 1.5e-5, 2e-11),
        expected.seconds,
    )
check.number(
    "a single rank needs no time: 0 + 27",
    lambda: all_reduce_seconds("ring", 1, 1000, 2.0, 0.01) + all_reduce_seconds("ring", 4, 1000, 2.0, 0.01),
    27.0,
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Doubling wins for small messages, the ring for large ones. Where do they meet?


# %% nbgrader={"solution": true, "grade_id": "crossover-bytes"}
def crossover_bytes(ranks, alpha, beta):
    """The size at which ring and recursive doubling take the same time.

    TODO: return the bytes up to which doubling is faster; math.inf if it always is.

    APPROACH:
    1. The ring pays 2 (ranks - 1) - log2(ranks) more start-up times.
    2. Doubling pays log2(ranks) - 2 (ranks - 1) / ranks more beta for each byte.
    3. They meet where bytes times the second times beta equals the first times alpha. If doubling sends no more bytes
       than the ring, they never meet.

    EXAMPLE: crossover_bytes(4, 1.0, 0.1) gives 80.0: four start-up times against half a beta for each byte.

    HINT: with two ranks both send n bytes, but doubling in one message and the ring in two.
    """
    ### BEGIN SOLUTION
    rounds = math.log2(ranks)
    more_messages = 2 * (ranks - 1) - rounds
    more_bytes = rounds - 2 * (ranks - 1) / ranks
    return more_messages * alpha / (more_bytes * beta) if more_bytes > 0 else math.inf
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-crossover-bytes", "points": 2} exercises=["crossover-bytes"]
# Test 7b · crossover_bytes · 2 points
import importlib
import math

from course_lib import labkit

check = importlib.reload(labkit).Check("crossover_bytes", points=2, off_limits=("course_lib.arithmetic",))
check.number("the docstring's example", lambda: crossover_bytes(4, 1.0, 0.1), 80.0)
check.number("eight ranks, by hand: 11 / (3 - 1.75)", lambda: crossover_bytes(8, 1.0, 1.0), 8.8)
check.equal(
    "two ranks: doubling always; four ranks: not",
    lambda: (crossover_bytes(2, 1e-5, 1e-9), round(crossover_bytes(4, 1.0, 0.1))),
    (math.inf, 80),
    hint="doubling sends no more bytes than the ring: return math.inf",
)
### BEGIN HIDDEN TESTS
check.hide()
# The oracle searches for the size with the simulator, schedule against schedule, on one switch.
from course_lib.arithmetic.network import Switch
from course_lib.arithmetic.network import crossover_bytes as searched
from course_lib.arithmetic.network import schedule as rounds_of

for ranks in (16, 1024):
    doubling, ring = (rounds_of("all_reduce", ranks, name) for name in ("recursive_doubling", "ring"))
    check.number(
        f"{ranks} ranks, 12 µs, 25 GB/s",
        lambda ranks=ranks: crossover_bytes(ranks, 12e-6, 1 / 25e9),
        searched(doubling, ring, Switch(ranks, 25e9, 12e-6)),
        rel=1e-6,
    )
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 8 · What it does take
#
# Now measure. Sizes take turns and each is measured several times; a repetition counts as long as its **slowest** rank
# took, since the step cannot go on before; the median over repetitions keeps a hiccup of the machine out. As a yardstick
# for the "link", one large message is sent back and forth between two ranks.
#
# One size, 1.5 MiB, is measured too but put aside: **it takes no part in the fit**.

# %%
SIZES = tuple(KIB * 4**exponent for exponent in range(2, 7))  # 16 KiB to 4 MiB
PUT_ASIDE = 3 * MIB // 2


def slowest_seconds(work):
    dist.barrier()
    start = time.perf_counter()
    work()
    elapsed = torch.tensor(time.perf_counter() - start)
    dist.all_reduce(elapsed, op=dist.ReduceOp.MAX)
    return elapsed.item()


def there_and_back(part):
    if dist.get_rank() == 0:
        dist.send(part, 1)
        dist.recv(part, 1)
    elif dist.get_rank() == 1:
        dist.recv(part, 0)
        dist.send(part, 0)


def measure(sizes, repetitions):
    methods = {
        "ring": ring_all_reduce,
        "doubling": doubling_all_reduce,
        "gloo": lambda tensor: dist.all_reduce(tensor.clone()),
        "link": there_and_back,
    }
    record = {(method, volume): [] for method in methods for volume in sizes}
    for turn in range(1 + repetitions):
        for volume in sizes:
            numbers = torch.ones(volume // 4)
            for method, call in methods.items():
                elapsed = slowest_seconds(lambda call=call, numbers=numbers: call(numbers))
                record[method, volume] += [elapsed] if turn else []  # the first turn warms up
    return record


with Launcher() as run_on:
    record = run_on(measure, RANKS, (*SIZES, PUT_ASIDE), 5, threads_per_rank=1, timeout_seconds=300)[0]
medians = {which: float(np.median(samples)) for which, samples in record.items()}
for volume in SIZES:
    told = ", ".join(f"{method} {medians[method, volume] * 1e3:7.2f} ms" for method in ("ring", "doubling", "gloo"))
    busbw = 2 * (RANKS - 1) / RANKS * volume / medians["ring", volume]
    print(f"{volume / KIB:7,.0f} KiB: {told}; busbw of the ring {busbw / 1e9:.2f} GB/s")
link = max(2 * volume / medians["link", volume] for volume in SIZES)
print(f"one message between two ranks, while the others idle: up to {link / 1e9:.2f} GB/s")

# %% [markdown]
# The **bus bandwidth** (busbw) is what a rank sends for each byte, 2 (*p* − 1) / *p*, times the size, over the time. If
# nothing but the link counted, it would equal the link's own rate. Keep the two numbers for your written answer.
#
# ### Fit alpha and beta
#
# The ring's times should lie on a line in the size. Times span a factor of hundreds, and their noise is a *share* of
# them, so it is the **relative** errors that should be small: otherwise the largest size decides everything and α is
# whatever is left over. Divide each equation by its measured time, and least squares does just that:
#
# $$\frac{2 (p-1)}{t_i}\,\alpha + \frac{2 (p-1)\, n_i}{p\, t_i}\,\beta = 1 \quad\text{for each measured size } n_i.$$


# %% nbgrader={"solution": true, "grade_id": "fit-ring"}
def fit_ring(ranks, sizes, seconds):
    """Alpha and beta from measured times of a ring all-reduce.

    TODO: return (alpha, beta) with the smallest sum of squared relative errors.

    APPROACH:
    1. Refuse fewer than two different sizes: raise a ValueError that names how many there are.
    2. Make a matrix with a row for each measurement: what alpha and beta are multiplied with in the equation above.
    3. Solve it for ones with np.linalg.lstsq(matrix, ones, rcond=None), whose first result holds alpha and beta.

    EXAMPLE: fit_ring(2, [1000, 3000], [3.0, 5.0]) gives (1.0, 0.001): two messages of 500 bytes, 1.5 each, take 3.0.

    HINT: np.column_stack([first, second]) makes a matrix of two columns; np.array(seconds) lets you divide by all at once.
    """
    ### BEGIN SOLUTION
    if len(set(sizes)) < 2:
        raise ValueError(f"a line needs two different sizes, got {len(set(sizes))}")
    steps = 2 * (ranks - 1)
    took = np.array(seconds)
    matrix = np.column_stack([steps / took, steps / ranks * np.array(sizes) / took])
    (alpha, beta), *_ = np.linalg.lstsq(matrix, np.ones_like(took), rcond=None)
    return alpha, beta
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-fit-ring", "points": 4} exercises=["fit-ring"]
# Test 8 · fit_ring · 4 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("fit_ring", points=4, off_limits=("course_lib.arithmetic",))
KNOWN = {"alpha": 4e-5, "beta": 5e-10}
LADDER = [2**power for power in range(12, 25, 2)]


def made_up(ranks, sizes, off=()):
    """Times of a ring with the known alpha and beta; each entry of `off` disturbs one of them by that share."""
    exact = [2 * (ranks - 1) * (KNOWN["alpha"] + size / ranks * KNOWN["beta"]) for size in sizes]
    return [seconds * (1 + share) for seconds, share in zip(exact, [*off, *[0] * (len(sizes) - len(off))], strict=True)]


check.number("the docstring's example: alpha", lambda: fit_ring(2, [1000, 3000], [3.0, 5.0])[0], 1.0)
check.number("the docstring's example: beta", lambda: fit_ring(2, [1000, 3000], [3.0, 5.0])[1], 0.001)
check.number(
    "four ranks, exact times: 40 µs",
    lambda: fit_ring(4, LADDER, made_up(4, LADDER))[0],
    KNOWN["alpha"],
    rel=1e-6,
    hint="alpha is paid 2 (ranks - 1) times",
)
check.number(
    "four ranks, exact times: 0.5 ns for each byte",
    lambda: fit_ring(4, LADDER, made_up(4, LADDER))[1],
    KNOWN["beta"],
    rel=1e-6,
    hint="beta is paid for bytes / ranks in each message",
)
check.number(
    "the largest size took 10 % longer: alpha hardly moves",
    lambda: fit_ring(4, LADDER, made_up(4, LADDER, [0] * 6 + [0.1]))[0],
    KNOWN["alpha"],
    rel=0.03,
    hint="errors count relative to their time: divide each equation by it",
)
check.refuses("one size, measured twice, is refused", lambda: fit_ring(4, [8, 8], [1.0, 1.1]), naming="1")
### BEGIN HIDDEN TESTS
check.hide()
from course_lib.arithmetic.network import fit_alpha_beta as library_fit

# Noise of a few percent. The oracle is the interval of the library's fit, at a size that is not among the measurements.
NOISE = [0.03, -0.04, 0.02, -0.01, 0.04, -0.03, -0.01]
noisy = made_up(8, LADDER, NOISE)
between = library_fit(LADDER, noisy, "all_reduce", "ring", 8).predict(3_000_000)
center, half = (between.high + between.low) / 2, (between.high - between.low) / 2
check.number(
    "eight ranks, noise of 4 %: the prediction for 3 MB lies in the library's interval",
    lambda: (lambda fitted: 14 * (fitted[0] + 3e6 / 8 * fitted[1]))(fit_ring(8, LADDER, noisy)),
    center,
    rel=half / center,
)
check.number("alpha, in spite of the noise", lambda: fit_ring(8, LADDER, noisy)[0], KNOWN["alpha"], rel=0.05)
check.number("two sizes are enough", lambda: fit_ring(3, [300, 900], made_up(3, [300, 900]))[1], 5e-10, rel=1e-6)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Your fit, and the size that it has not seen. The interval comes from the library's fit of all single measurements: in it
# a new measurement should lie, 19 times out of 20, if the machine goes on as it did. If yours lies outside, something else
# was running; measure again, and say so in your answer.

# %%
from course_lib.arithmetic.network import fit_alpha_beta

my_alpha, my_beta = fit_ring(RANKS, SIZES, [medians["ring", volume] for volume in SIZES])
foretold = all_reduce_seconds("ring", RANKS, PUT_ASIDE, my_alpha, my_beta)
points = [(volume, sample) for volume in SIZES for sample in record["ring", volume]]
theirs = fit_alpha_beta(*zip(*points, strict=True), "all_reduce", "ring", RANKS).predict(PUT_ASIDE)
came = medians["ring", PUT_ASIDE]
print(
    f"alpha {my_alpha * 1e6:.0f} µs for each message; beta {my_beta * 1e9:.3f} ns a byte, {1 / my_beta / 1e9:.2f} GB/s"
)
print(f"1.5 MiB: your line says {foretold * 1e3:.2f} ms; measured {came * 1e3:.2f} ms, {came / foretold - 1:+.0%}")
print(
    f"         the library says {theirs.seconds * 1e3:.2f} ms, {theirs.low * 1e3:.2f} to {theirs.high * 1e3:.2f}: "
    + ("the measurement lies inside" if theirs.low <= came <= theirs.high else "the measurement lies OUTSIDE")
)
print(f"doubling should win below {crossover_bytes(RANKS, my_alpha, my_beta) / KIB:,.0f} KiB")

# %%
figure = go.Figure()
smooth = np.geomspace(SIZES[0], SIZES[-1], 60)
# Okabe and Ito's palette: distinct for color-blind readers too.
for method, color, symbol in (
    ("ring", "#0072B2", "circle"),
    ("doubling", "#D55E00", "diamond"),
    ("gloo", "#009E73", "x"),
):
    dots = [medians[method, volume] * 1e3 for volume in SIZES]
    figure.add_scatter(
        x=SIZES, y=dots, name=method, mode="markers", marker={"color": color, "symbol": symbol, "size": 9}
    )
    if method != "gloo":
        curve = [all_reduce_seconds(method, RANKS, volume, my_alpha, my_beta) * 1e3 for volume in smooth]
        figure.add_scatter(x=smooth, y=curve, name=f"{method}, your model", mode="lines", line={"color": color})
figure.update_xaxes(type="log", title="bytes")
figure.update_yaxes(type="log", title="milliseconds")
figure.update_layout(title=f"All-reduce on {RANKS} ranks: measured points, and the line fitted to the ring", height=430)
figure.show()

# %% [markdown]
# ## 9 · 1,024 devices
#
# Your cluster has two kinds of links: NVLink inside an instance, and network cards between instances that are many times
# slower. A **flat** ring through all devices runs at the pace of its slowest link, in each of its 2,046 steps. A
# **hierarchical** all-reduce sums inside each instance first (reduce-scatter), then between instances, each device with
# its own eighth, then gathers inside. And between instances a **double tree** can take the ring's place.
#
# `course_lib.arithmetic.network` knows the links of many instances. Where the catalog has no share of the peak rate or no
# start-up time, 0.8 and 10 µs are **assumed** here. It plays schedules of messages on a model of the network:
# `schedule(op, ranks, algorithm)` and `hierarchical(op, per_node, nodes, outer=...)` make a schedule, and
# `price(made, cluster).seconds(bytes_)` says what it takes.


# %%
from course_lib.arithmetic.network import cluster_topology, hierarchical, price, schedule

cluster = cluster_topology("p5.48xlarge", 128, assumed_efficiency=0.8, assumed_alpha_seconds=1e-5)
print(f"{cluster.nodes} nodes of {cluster.node.ranks} devices: {cluster.ranks:,} ranks")


# %% nbgrader={"solution": true, "grade_id": "layouts"}
def layouts(cluster, bytes_):
    """Three ways to all-reduce on a cluster.

    TODO: return a dictionary with the seconds of "flat", "hierarchical" and "double_tree".

    APPROACH:
    1. "flat": schedule("all_reduce", ranks, "ring") for all cluster.ranks.
    2. "hierarchical": hierarchical("all_reduce", ranks of a node, nodes); a ring between nodes is its default.
    3. "double_tree": the same with outer="double_tree".
    4. price each on the cluster and ask for the seconds of bytes_.

    EXAMPLE: layouts(cluster_topology("p5.48xlarge", 2), 1e9)["hierarchical"] is below ["flat"].

    HINT: cluster.nodes is the number of nodes, cluster.node.ranks the devices in each.
    """
    ### BEGIN SOLUTION
    node = cluster.node.ranks
    made = {
        "flat": schedule("all_reduce", cluster.ranks, "ring"),
        "hierarchical": hierarchical("all_reduce", node, cluster.nodes),
        "double_tree": hierarchical("all_reduce", node, cluster.nodes, outer="double_tree"),
    }
    return {name: price(one, cluster).seconds(bytes_) for name, one in made.items()}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-layouts", "points": 3} exercises=["layouts"]
# Test 9 · layouts · 3 points
import importlib

from course_lib import labkit
from course_lib.arithmetic.network import Cluster, Switch

check = importlib.reload(labkit).Check("layouts", points=3, unchanged=("course_lib.arithmetic.network",))


def by_hand(per_node, nodes, bytes_):
    """Inside 200 GB/s and 2 µs, between 20 GB/s and 10 µs: the ring's formula, level by level."""
    ranks = per_node * nodes
    inside = 2 * (per_node - 1) * (2e-6 + bytes_ / per_node / 200e9)
    between = 2 * (nodes - 1) * (10e-6 + bytes_ / ranks / 20e9)
    return {"flat": 2 * (ranks - 1) * (10e-6 + bytes_ / ranks / 20e9), "hierarchical": inside + between}


def small_cluster(per_node, nodes):
    return Cluster(Switch(per_node, 200e9, 2e-6), Switch(per_node * nodes, 20e9, 10e-6), nodes, per_node)


check.number(
    "3 nodes of 4, 1 GB: one ring through all",
    lambda: layouts(small_cluster(4, 3), 1e9)["flat"],
    by_hand(4, 3, 1e9)["flat"],
    rel=1e-6,
)
check.number(
    "3 nodes of 4, 1 GB: in two levels",
    lambda: layouts(small_cluster(4, 3), 1e9)["hierarchical"],
    by_hand(4, 3, 1e9)["hierarchical"],
    rel=1e-6,
    hint="hierarchical(op, ranks of a node, nodes), in this order",
)
### BEGIN HIDDEN TESTS
check.hide()
for name in ("flat", "hierarchical"):
    check.number(
        f"5 nodes of 2, 3 kB, {name}",
        lambda name=name: layouts(small_cluster(2, 5), 3e3)[name],
        by_hand(2, 5, 3e3)[name],
        rel=1e-6,
    )
# With one device in each of two nodes each of the two trees is one edge: half of the bytes there, the sum back.
check.number(
    "2 nodes of 1, the double tree",
    lambda: layouts(small_cluster(1, 2), 4e6)["double_tree"],
    2 * (10e-6 + 2e6 / 20e9),
    rel=1e-6,
)
check.equal(
    "1,024 devices, 1 kB: the double tree takes less than a fifth of the hierarchical rings",
    lambda: bool((lambda made: made["double_tree"] * 5 < made["hierarchical"])(layouts(small_cluster(8, 128), 1e3))),
    True,
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Your cluster, and the two offers:

# %%
for size in (1e4, 1e6, 1e8, 16e9):
    made = layouts(cluster, size)
    print(f"{size / 1e6:10,.2f} MB: " + ", ".join(f"{name} {seconds * 1e3:9.3f} ms" for name, seconds in made.items()))

inside, between = cluster.node, cluster.fabric
offers = {
    "as it is": cluster,
    "cards twice as fast": replace(cluster, fabric=replace(between, bytes_per_second=2 * between.bytes_per_second)),
    "half the latency": replace(cluster, fabric=replace(between, alpha_seconds=between.alpha_seconds / 2)),
    "NVLink twice as fast": replace(cluster, node=replace(inside, bytes_per_second=2 * inside.bytes_per_second)),
}
print("\nthe best of the three layouts for 16 GB of gradients, and for 1 MB:")
for name, offer in offers.items():
    print(
        f"{name:22s} {min(layouts(offer, 16e9).values()) * 1e3:7.1f} ms {min(layouts(offer, 1e6).values()) * 1e6:7.0f} µs"
    )

# %% [markdown]
# ## 10 · Four figures that cannot be right, or cannot mean that
#
# Before you promise anything from a paper, recompute it. All four below concern this lab: which ranks form a ring, how
# often one of them dies, how many bytes must be sent.
#
# **a) Llama 3, table 4** (arXiv:2407.21783, as the copy prints it that this course was written from). Every GPU belongs to
# one tensor (TP), context (CP), pipeline (PP) and data-parallel (DP) group, so the sizes multiply to the number of
# GPUs. And the tokens of a batch are DP × sequences for each of the DP groups × their length.
#
# | GPUs | TP | CP | PP | DP | sequence length | batch size / DP | tokens / batch |
# |---|---|---|---|---|---|---|---|
# | 8,192 | 8 | 1 | 16 | 64 | 8,192 | 32 | 16 Mi |
# | 16,384 | 8 | 1 | 16 | 128 | 8,192 | 16 | 16 Mi |
# | 16,384 | 8 | 16 | 16 | 4 | 131,072 | 16 | 16 Mi |


# %% nbgrader={"solution": true, "grade_id": "misprint"}
def misprint(row):
    """The cell of a row that cannot be right, and what it should say.

    TODO: return (column, value), or None for a row without contradiction.

    APPROACH:
    1. The row is a dictionary with gpus, tp, cp, pp, dp, sequence, batch and tokens (of the whole batch).
    2. Compute the GPUs and the tokens that follow from the other columns.
    3. If only one of the two differs from what is printed, return that column and what you computed. If both differ, the
       wrong cell is the one that both need: return "dp" and the value that satisfies the number of GPUs.

    EXAMPLE: with tp=2, cp=1, pp=1, dp=2, sequence=10, batch=3, tokens=60 but gpus=8: ("gpus", 4).

    HINT: the value for dp is a whole number: use //.
    """
    ### BEGIN SOLUTION
    model_gpus = row["tp"] * row["cp"] * row["pp"]
    gpus = model_gpus * row["dp"]
    tokens = row["dp"] * row["batch"] * row["sequence"]
    if gpus != row["gpus"] and tokens != row["tokens"]:
        return "dp", row["gpus"] // model_gpus
    if gpus != row["gpus"]:
        return "gpus", gpus
    if tokens != row["tokens"]:
        return "tokens", tokens
    return None
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-misprint", "points": 2} exercises=["misprint"]
# Test 10a · misprint · 2 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("misprint", points=2, off_limits=("course_lib.arithmetic",))
COLUMNS = ("gpus", "tp", "cp", "pp", "dp", "sequence", "batch", "tokens")
TABLE_4 = [
    dict(zip(COLUMNS, row, strict=True))
    for row in (
        (8_192, 8, 1, 16, 64, 8_192, 32, 2**24),
        (16_384, 8, 1, 16, 128, 8_192, 16, 2**24),
        (16_384, 8, 16, 16, 4, 131_072, 16, 2**24),
    )
]
check.equal(
    "the third row",
    lambda: misprint(dict(TABLE_4[2])),
    ("dp", 8),
    hint="both the GPUs and the tokens come out at half: which cell do both need?",
)
check.equal(
    "of the three rows only the third is wrong",
    lambda: tuple(misprint(dict(row)) for row in TABLE_4),
    (None, None, ("dp", 8)),
    hint="return None where both products agree with what is printed",
)
### BEGIN HIDDEN TESTS
check.hide()
check.equal("a wrong number of GPUs", lambda: misprint(TABLE_4[0] | {"gpus": 6_145}), ("gpus", 8_192))
check.equal("wrong tokens", lambda: misprint(TABLE_4[1] | {"tokens": 2**23}), ("tokens", 2**24))
check.equal("a wrong dp in another row", lambda: misprint(TABLE_4[1] | {"dp": 64}), ("dp", 128))
UNEVEN = dict(zip(COLUMNS, (210, 2, 3, 5, 7, 11, 13, 1001), strict=True))
check.equal(
    "210 = 2 x 3 x 5 x 7 and 1001 = 7 x 11 x 13; then dp misprinted",
    lambda: (misprint(UNEVEN), misprint(UNEVEN | {"dp": 9})),
    (None, ("dp", 7)),
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# **b) Llama 3, table 5**: 419 unexpected interruptions in 54 days on 16,384 GPUs, each of which stopped a collective.
# Percentages as printed. The text adds the six GPU rows up to 58.7 %.

# %%
TABLE_5 = (  # cause, interruptions, percent as printed
    ("Faulty GPU", 148, 30.1), ("GPU HBM3 memory", 72, 17.2), ("Software bug", 54, 12.9), ("Switch or cable", 35, 8.4),
    ("Host maintenance", 32, 7.6), ("GPU SRAM memory", 19, 4.5), ("GPU system processor", 17, 4.1), ("NIC", 7, 1.7),
    ("NCCL watchdog timeout", 7, 1.7), ("Silent data corruption", 6, 1.4), ("GPU thermal interface", 6, 1.4),
    ("SSD", 3, 0.7), ("Power supply", 3, 0.7), ("Server chassis", 2, 0.5), ("IO expansion board", 2, 0.5),
    ("Dependency", 2, 0.5), ("CPU", 2, 0.5), ("System memory", 2, 0.5),
)  # fmt: skip
GPU_ROWS = ("Faulty GPU", "GPU HBM3 memory", "GPU SRAM memory", "GPU system processor", "Silent data corruption",
            "GPU thermal interface")  # fmt: skip
printed = sum(percent for cause, _, percent in TABLE_5 if cause in GPU_ROWS)
print(
    f"{sum(count for _, count, _ in TABLE_5)} interruptions; the GPU rows' printed percentages add up to {printed:.1f} %"
)


# %% nbgrader={"solution": true, "grade_id": "wrong-percentages"}
def wrong_percentages(rows):
    """Percentages that do not follow from their counts.

    TODO: return a dictionary from cause to right percentage, rounded to one decimal, of the rows that are wrong.

    APPROACH:
    1. The total is the sum of all counts; rows are (cause, count, printed percentage).
    2. The right percentage is 100 times count / total, rounded to one decimal.
    3. Keep the rows whose printed percentage differs from that.

    EXAMPLE: wrong_percentages([("disk", 1, 25.0), ("net", 3, 70.0)]) gives {"net": 75.0}.

    HINT: round(value, 1).
    """
    ### BEGIN SOLUTION
    total = sum(count for _, count, _ in rows)
    right = {cause: round(100 * count / total, 1) for cause, count, _ in rows}
    return {cause: right[cause] for cause, _, printed in rows if printed != right[cause]}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-wrong-percentages", "points": 2} exercises=["wrong-percentages"]
# Test 10b · wrong_percentages · 2 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("wrong_percentages", points=2, off_limits=("course_lib.arithmetic",))
# 148 of 419 are 35.3 %: the row behind the paper's headline, which should read 64.0 %, 268 of 419.
check.number("what 148 of 419 are", lambda: wrong_percentages(TABLE_5)["Faulty GPU"], 35.3)
check.number("only one row is wrong", lambda: wrong_percentages(TABLE_5).__len__(), 1, hint="compare rounded values")
### BEGIN HIDDEN TESTS
check.hide()
OTHER = (("a", 2, 25.0), ("b", 1, 12.5), ("c", 5, 65.2), ("d", 8, 50.0))
check.number("another table: the wrong row", lambda: wrong_percentages(OTHER)["c"], 31.2, rel=1e-3)
check.number("another table: three more", lambda: wrong_percentages(OTHER).__len__(), 3)
check.number("a sound table", lambda: wrong_percentages((OTHER[3], ("e", 8, 50.0))).__len__(), 0)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# **c) PowerSGD** (arXiv:1905.13727, appendix F) sends two thin factors in place of each gradient matrix. A slide takes the
# paper's 243× for ResNet-18 at rank 1 and concludes: *"At rank 2 that is 121×, at rank 4 it is 61×."* A matrix of *n* rows
# and *m* columns becomes *r* (*n* + *m*) numbers; a convolution (out, in, k, k) is a matrix of `out` rows. So at rank 2 each
# matrix does shrink half as much. What did the slide forget?

# %%
WIDTHS = ((64, 64), (64, 128), (128, 256), (256, 512))
CONVOLUTIONS = [(64, 3, 3, 3)]
for narrow, wide in WIDTHS:
    shortcut = [(wide, narrow, 1, 1)] if narrow != wide else []
    CONVOLUTIONS += [(wide, narrow, 3, 3), *[(wide, wide, 3, 3)] * 3, *shortcut]
NORMS = [(shape[0],) for shape in CONVOLUTIONS for _ in ("weight", "bias")]
RESNET_18 = [*CONVOLUTIONS, *NORMS, (10, 512), (10,)]
print(f"ResNet-18 for CIFAR-10: {len(RESNET_18)} tensors, {sum(math.prod(shape) for shape in RESNET_18):,} parameters")


# %% nbgrader={"solution": true, "grade_id": "compression"}
def compression(shapes, rank):
    """How many times fewer numbers PowerSGD sends.

    TODO: return the numbers of all gradients over the numbers that are sent at this rank.

    APPROACH:
    1. A shape with one dimension (a bias, a norm) is sent as it is.
    2. Any other is a matrix of shape[0] rows and as many columns as the product of the rest; its factors have
       rank * (rows + columns) numbers.
    3. Divide the sum of all sizes by the sum of what is sent.

    EXAMPLE: compression([(10, 20), (10,)], 1) gives 5.25: 210 numbers against 30 + 10.

    HINT: math.prod multiplies the numbers of a tuple.
    """
    ### BEGIN SOLUTION
    sent = sum(math.prod(shape) if len(shape) == 1 else rank * (shape[0] + math.prod(shape[1:])) for shape in shapes)
    return sum(math.prod(shape) for shape in shapes) / sent
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-compression", "points": 2} exercises=["compression"]
# Test 10c · compression · 2 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("compression", points=2, off_limits=("course_lib.arithmetic",))
check.number("the docstring's example", lambda: compression([(10, 20), (10,)], 1), 5.25)
# Vogels et al. 2019, arXiv:1905.13727, appendix F: 243, 136 and 72.
check.number("ResNet-18 at rank 1", lambda: compression(RESNET_18, 1), 243, rel=0.005)
check.number("ResNet-18 at rank 2", lambda: compression(RESNET_18, 2), 136, rel=0.005, hint="norms do not get smaller")
### BEGIN HIDDEN TESTS
check.hide()
check.number("ResNet-18 at rank 4", lambda: compression(RESNET_18, 4), 72, rel=0.005)
# The paper's LSTM: an embedding, three layers of 650 with four gates, biases.
LSTM = [(28869, 650), *[(2600, 650)] * 6, *[(2600,)] * 6, (28869,)]
for rank, published in ((1, 310), (2, 203), (4, 120)):
    check.number(f"the LSTM at rank {rank}", lambda rank=rank: compression(LSTM, rank), published, rel=0.005)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# **d) RSC-1** (arXiv:2410.21680): a research cluster with 6.50 failures in 1,000 node-days, eight GPUs to a node. If nodes
# fail independently, a job's mean time to failure falls as one over its nodes. The paper's three values, one of them
# measured, two projected:
#
# | GPUs of the job | 1,024 | 16,384 | 131,072 |
# |---|---|---|---|
# | mean time to failure | 7.9 h (measured) | 1.8 h | 0.23 h |
#
# A model that "explains" all three is wrong. Which one does this rate not explain, and what does it predict there?


# %% nbgrader={"solution": true, "grade_id": "unexplained"}
def unexplained(failures_per_1000_node_days, rows, within=0.1):
    """The jobs whose mean time to failure does not follow from a failure rate.

    TODO: return a dictionary from GPUs to predicted hours, of the rows that the prediction misses.

    APPROACH:
    1. A job of so many GPUs has gpus / 8 nodes; its failures per day are nodes times the rate / 1000.
    2. The prediction is 24 hours over its failures per day.
    3. Keep rows (gpus, hours) whose hours are not close to the prediction: math.isclose with rel_tol=within.

    EXAMPLE: unexplained(10, [(800, 24.0), (1600, 20.0)]) gives {1600: 12.0}.

    HINT: the rate is for 1,000 node-days, so 128 nodes at 6.5 fail 0.832 times a day.
    """
    ### BEGIN SOLUTION
    predicted = {gpus: 24 / (gpus / 8 * failures_per_1000_node_days / 1000) for gpus, _ in rows}
    return {gpus: predicted[gpus] for gpus, hours in rows if not math.isclose(predicted[gpus], hours, rel_tol=within)}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-unexplained", "points": 2} exercises=["unexplained"]
# Test 10d · unexplained · 2 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("unexplained", points=2, off_limits=("course_lib.arithmetic",))
RSC_1 = [(1024, 7.9), (16384, 1.8), (131072, 0.23)]
check.number("what the rate predicts for 1,024 GPUs", lambda: unexplained(6.5, RSC_1)[1024], 28.846, rel=1e-3)
check.number("it explains the two others", lambda: unexplained(6.5, RSC_1).__len__(), 1)
### BEGIN HIDDEN TESTS
check.hide()
check.number("another rate: 800 and 1,600 GPUs", lambda: unexplained(10, [(800, 24.0), (1600, 20.0)])[1600], 12.0)
check.number("and only that one", lambda: unexplained(10, [(800, 24.0), (1600, 20.0)]).__len__(), 1)
check.number("a wider margin forgives more", lambda: unexplained(10, [(800, 30.0), (1600, 12.0)], 0.5).__len__(), 0)
check.number("too low counts as well", lambda: unexplained(10, [(800, 11.0)], 0.5)[800], 24.0)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 11 · What would you buy?
#
# Write to the colleague who has the two offers on the table, in 150 to 250 words. A reader looks for four things:
#
# 1. **When does the tree win?** The size at which your two algorithms cross on this machine, from your α and β, whether the
#    measurements agree, and which way it moves on 1,024 devices, and why.
# 2. **Why does the measured busbw differ from the link?** Your two numbers, and at least two causes, each with what would
#    show it.
# 3. **What would you buy** for 16 GB of gradients on the 1,024 devices, faster cards or lower latency, with the numbers; and
#    for which job would you decide otherwise?
# 4. **How far do you trust it?** What your prediction for the size put aside came to, and one thing that the model leaves
#    out.

# %% [markdown] nbgrader={"grade": true, "solution": true, "grade_id": "what-to-buy", "points": 8}
# ### BEGIN SOLUTION
# On my machine the fit gives α = 3.9 ms and β = 3.4 ns a byte. So doubling should win below 9 MiB; measured, they cross
# between 1 and 4 MiB (at 4 MiB 69 against 47 ms), because doubling's additions of whole buffers cost more than my β, which
# comes from the ring. The crossing grows with the ranks: 8 α/β for 4, 254 α/β for 1,024, since the ring pays 2,036
# more start-ups there.
#
# The ring's busbw is at most 0.13 GB/s, the link did 1.16. First, latency: at 1 MiB six α are 23 of 27 ms; busbw
# still rises with the size, which shows it. Second, the link was measured with two ranks alone; here four share two
# cores, and they also copy and add. Running it with one rank for each core would show how much.
#
# For 16 GB the best layout takes 202 ms. Cards twice as fast bring 141, half the latency 200: I would buy the cards. For sums
# of 1 MB, as in tensor parallelism, it is 467 against 297 µs with the double tree, so there I would pay for latency.
#
# My line said 31.5 ms for 1.5 MiB, and I measured 29.3: inside the library's interval, but that runs from 0 to 68 ms, as
# the machine was busy; I would repeat it on an idle one. The model adds nothing for the reduction itself, and lets nothing
# overlap with the backward pass. Then the time that matters is what is left exposed.
# ### END SOLUTION

# %% [markdown]
# ## Stretch · Half the bytes
#
# Not graded. Send bfloat16 in place of float32 and the ring moves half the bytes. But if the *sum* is kept in bfloat16 too,
# it loses digits at each of its *p* − 1 additions. So add in float32, and round only what travels. One trap is left: all
# ranks must end with the **same bits**, also the rank whose own chunk never traveled. If they differ, the replicas of your
# model drift apart, slowly and without any error message.


# %% nbgrader={"solution": true, "grade_id": "bf16-all-reduce"}
def bf16_all_reduce(tensor):
    """The sum of all ranks' float32 tensors with bfloat16 messages, the same bits on every rank.

    TODO: return a float32 tensor of the same, one-dimensional shape.

    APPROACH:
    1. Start from ring_reduce_scatter: what leaves is chunk.bfloat16(), what comes is received in bfloat16 and added to a
       float32 chunk.
    2. Round the finished chunk, then ring_all_gather it as bfloat16.
    3. Return the result as float32.

    EXAMPLE: four ranks with [1., 2.] each: [4., 8.], which bfloat16 holds exactly.

    HINT: ring_all_gather makes its result in the dtype of the chunk that it is given.
    """
    ### BEGIN SOLUTION
    rank, world = dist.get_rank(), dist.get_world_size()
    chunks = torch.tensor_split(tensor.clone(), world)
    for step in range(world - 1):
        mine = chunks[rank - step - 2]
        incoming = torch.empty_like(mine, dtype=torch.bfloat16)
        exchange(chunks[rank - step - 1].bfloat16(), (rank + 1) % world, incoming, (rank - 1) % world)
        mine += incoming
    return ring_all_gather(chunks[rank].bfloat16(), tensor.numel()).float()
    ### END SOLUTION


# %% nbgrader={"grade": false, "grade_id": "self-check-bf16-all-reduce"}
# Self-check for the stretch task: no points, only an answer.
import importlib

import numpy as np
import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.runtime import Launcher
from course_lib.runtime.messages import Messages

check = importlib.reload(labkit).Check("bf16_all_reduce", points=0)


def bf16_on_rank():
    with Messages(off_limits=("course_lib.distributed",)) as messages:
        total = bf16_all_reduce(given(dist.get_rank()))
    return {"total": total, "bytes": messages.bytes_sent}


def given(rank):
    return torch.rand(1000, generator=torch.Generator().manual_seed(rank))


with Launcher() as launch:
    ranks = labkit.Ranks(launch, bf16_on_rank, 4, timeout_seconds=15)
exact = sum(given(rank) for rank in range(4)).numpy()
check.array("within a rounding of bfloat16 or two", ranks.stacked("total"), np.tile(exact, (4, 1)), rel=0.01)
check.array(
    "the same bits on every rank",
    lambda: ranks.stacked("total")() - ranks.of("total", 0)(),
    np.zeros((4, 1000), dtype=np.float32),
    abs=0,
    hint="your own chunk must be rounded too before you keep it",
)
check.equal("half the bytes of float32", ranks.of("bytes"), 3000)
check.score()
