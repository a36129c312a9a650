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
#     title: Horovod and FSDP compared
#     hours: 3
#     points: 50
#     after: book/distributed/03-ddp-fsdp-horovod
#     requires:
#     - book/foundations/01-training-step
#     - book/foundations/02-accelerators
#     - book/distributed/01-paradigms
#     - book/distributed/02-collectives
#     - book/distributed/03-ddp-fsdp-horovod
#     rooms: [distributed, labkit, models, runtime]
#     equivalent_mutants:
#     - mutant: "largest-gaps: loss - true -> true - loss"
#       reason: abs takes the sign away
#     - mutant: "largest-gaps: True -> False"
#       reason: curves of other lengths have been refused before they are zipped
#     - mutant: "wrong-cells: row[column] - right -> right - row[column]"
#       reason: abs takes the sign away
#     - mutant: "wrong-peaks: printed - right[name] -> right[name] - printed"
#       reason: abs takes the sign away
#     - mutant: "mended-run: 8 -> 9"
#       reason: one reader more than enough; which number is right depends on the machine
#     - mutant: "mended-run: 8 -> 16"
#       reason: twice as many readers as enough; more are as good where storage answers late
# ---

# %% [markdown]
# # Lab 02 · Horovod and FSDP compared
#
# A colleague's training job is slow, and everybody knows the remedy. One swears by Horovod, the next wants FSDP, the
# third has read that DDP is fastest. Nobody has measured. You have two processes, one afternoon and this notebook.
#
# You train one model with Horovod, DDP and FSDP and check that they learn the same thing. You predict what each holds
# and sends, and let the operating system count. Then you time your colleague's loop and find out where its time
# really goes; you mend it, and show that it is **at least twice as fast**. On the way you meet a checkpoint that
# restores everything but the run, and three published figures that mislead anyone who compares engines. In the end
# you write the report that the team decides by.
#
# **How it works**
#
# - Write your code where a cell says `# YOUR CODE HERE`, and delete the line `raise NotImplementedError()`.
# - Below each such cell is a test cell. Run it as often as you like. For tasks 4, 6 and 7 it starts real processes
#   and takes up to half a minute. If they wait for each other, they are ended, and the message says where each of
#   them stood.
# - When you hand in, hidden checks run too: the same with other numbers and with three ranks.
# - Before you hand in: **Kernel → Restart Kernel and Run All Cells**, then press **Validate** in the toolbar (in a
#   terminal: `nbgrader validate lab02-horovod-vs-fsdp.ipynb`). The written answer counts as missing until you replace
#   `YOUR ANSWER HERE`.
#
# **What you need**: the chapters *Paradigms and workloads*, *Collectives and networks* and *DDP, FSDP and Horovod*.
# Plan three hours: one for tasks 1 to 3, one for the slow loop, one for the rest. **No task needs Horovod.** Where it
# is not built (`make setup` builds it), its row of the table is missing, and all points can be earned without it.
#
# | task | function | points |
# |---|---|---|
# | 1 | `largest_gaps`: do the engines learn the same? | 3 |
# | 2 | `held_bytes_per_rank` | 4 |
# | 3 | `sent_bytes_per_step` | 4 |
# | 4 | `timed_run`: where does the time go? | 5 |
# | 5 | `plan_readers`: what can be gained? | 3 |
# | 6 | `mended_run`: at least twice as fast | 9 |
# | 7 | `save_run` and `resume_run` | 6 |
# | 8 | three published figures | 6 |
# | 9 | the report | 10 |
#
# Times come from your machine, so they differ from run to run. Nothing here asks for a number of seconds: what is
# graded are counts, bytes, and one ratio that is measured with both loops taking turns.

# %%
import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import plotly.graph_objects as go
import plotly.io as pio
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from course_lib.distributed import (
    ReadAhead,
    Share,
    StepTimer,
    Throttled,
    TokenBatches,
    TrainConfig,
    build_engine,
    held_bytes,
    open_shards,
    rank_rows,
    sent_bytes,
    train,
    write_shards,
)
from course_lib.models import GPT, MarkovText, language_model_loss, tiny_config
from course_lib.runtime import Launcher, LaunchError

# Figures travel as data and JupyterLab draws them: no network needed.
pio.renderers.default = "plotly_mimetype"
torch.set_num_threads(1)  # the cores are for the ranks

RANKS = 2
MODEL = tiny_config(layers=4, hidden_size=64, heads=4, vocab_size=64, context_length=64)
CONFIG = TrainConfig(model=MODEL, global_batch=8, sequence_length=64)

# %% [markdown]
# ## The text, and three engines
#
# The training text is synthetic: 40,960 tokens of a Markov chain, in four files called **shards**. Batch number *i*
# is the same text for every engine and for any number of ranks, so that whatever differs is the engine's doing.

# %%
TEXT = Path(tempfile.mkdtemp(prefix="lab02-")) / "text"
tokens = MarkovText(MODEL.vocab_size).sample(64, 640, seed=0).flatten().numpy()
shards = write_shards(TEXT, tokens, shard_tokens=10_240, vocab_size=MODEL.vocab_size)
print(f"{sum(shards.lengths):,} tokens in {len(shards.lengths)} shards")

# %% [markdown]
# `build_engine` applies one kind of parallelism to the model, `train` runs the same loop for all of them. Each engine
# below runs in real processes of its own: twelve steps, then one more whose bytes the operating system counts, and
# one more backward pass to see the gradients. "single" is one process without any parallelism: the reference.


# %%
def trained(kind, steps=12):
    batches = TokenBatches(open_shards(TEXT), CONFIG.global_batch, CONFIG.sequence_length)
    engine = build_engine(kind, CONFIG)
    history = train(engine, batches, steps)
    sent = sent_bytes(lambda: engine.step(batches[steps]))
    engine.forward_backward(engine.share.of(batches[steps + 1]))
    held = held_bytes(engine)
    engine.close()
    return {"losses": history.losses, "seconds": history.step_seconds[2:], "sent": sent, "held": held}


runs = {}
with Launcher() as launch:
    for kind in ("single", "ddp", "fsdp", "horovod"):
        options = {"threads_per_rank": 1, "horovod": kind == "horovod"}  # one thread each: the same for all
        try:
            runs[kind] = launch(trained, 1 if kind == "single" else RANKS, kind, timeout_seconds=240, **options)
        except LaunchError as error:
            print(f"no row for {kind}: {error}\nEverything else in this lab works without it.")

print(f"{'engine':8s} {'ranks':>5s} {'step, ms':>9s} {'fastest to slowest':>20s} {'last loss':>10s}")
for kind, ranks in runs.items():
    slowest = [1000 * max(step) for step in zip(*(rank["seconds"] for rank in ranks), strict=True)]
    spread = f"{min(slowest):.0f} to {max(slowest):.0f}"
    print(f"{kind:8s} {len(ranks):5d} {statistics.median(slowest):9.0f} {spread:>20s} {ranks[0]['losses'][-1]:10.5f}")

# %% [markdown]
# Look at the spread before you name a winner. On a busy laptop the steps of one engine differ by more than the engines
# do, and a table of medians alone would hide that.
#
# ## 1 · Do they learn the same thing?
#
# An engine may be as fast as it likes: if its losses are not those of the reference, it trains another model. A
# forgotten division by the number of ranks, or rows that two ranks both see, raise no error. They bend the curve.


# %% nbgrader={"solution": true, "grade_id": "largest-gaps"}
def largest_gaps(curves, reference="single"):
    """How far each engine's loss curve strays from the reference.

    TODO: return a dictionary from engine to its largest relative difference; the reference itself is not in it.

    APPROACH:
    1. A curve is a list of losses. Refuse one whose length is not the reference's: a ValueError that names the engine.
    2. The difference at a step is abs(loss - right) / right.
    3. Keep the largest over all steps.

    EXAMPLE: largest_gaps({"single": [4.0, 2.0], "ddp": [4.0, 2.5]}) gives {"ddp": 0.25}.

    HINT: zip(curve, right, strict=True) walks through two lists together.
    """
    ### BEGIN SOLUTION
    right = curves[reference]
    gaps = {}
    for engine, curve in curves.items():
        if engine == reference:
            continue
        if len(curve) != len(right):
            raise ValueError(f"{engine} has {len(curve)} losses, {reference} has {len(right)}")
        gaps[engine] = max(abs(loss - true) / true for loss, true in zip(curve, right, strict=True))
    return gaps
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-largest-gaps", "points": 3} exercises=["largest-gaps"]
# Test 1 · largest_gaps · 3 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("largest_gaps", points=3)
MADE_UP = {"single": [4.0, 2.0, 1.0], "ddp": [4.0, 2.0, 1.0], "fsdp": [4.0, 1.5, 1.1]}
check.number("the largest gap of fsdp", lambda: largest_gaps(MADE_UP)["fsdp"], 0.25, hint="25 % at the second step")
check.number("an equal curve has no gap", lambda: largest_gaps(MADE_UP)["ddp"], 0.0)
check.equal("the reference is left out", lambda: tuple(sorted(largest_gaps(MADE_UP))), ("ddp", "fsdp"))
check.refuses(
    "a curve that is too short is refused",
    lambda: largest_gaps({"single": [4.0, 2.0], "horovod": [4.0]}),
    naming="horovod",
    hint="raise ValueError(f'{engine} has ...')",
)
### BEGIN HIDDEN TESTS
check.hide()
OTHER = {"horovod": [3.0, 2.0], "one": [2.0, 4.0], "ddp": [2.1, 2.0]}
check.number("another reference", lambda: largest_gaps(OTHER, "one")["horovod"], 0.5, hint="divide by the reference")
check.number("a loss below the reference counts too", lambda: largest_gaps(OTHER, "one")["ddp"], 0.5)
check.refuses("a curve that is too long", lambda: largest_gaps({"single": [4.0], "x": [4.0, 2.0]}), naming="x")
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Your engines. Sums in another order differ in the last digit, so expect about one in ten million, not zero:

# %%
gaps = largest_gaps({kind: ranks[0]["losses"] for kind, ranks in runs.items()})
for kind, gap in gaps.items():
    print(f"{kind:8s} strays from the single process by at most {gap:.1e}")

# %% [markdown]
# ## 2 · What does a rank hold?
#
# In 32 bits a parameter is 4 bytes, so is its gradient, and AdamW keeps two moments of 4 bytes each. DDP and Horovod
# keep all of it on every rank. FSDP, as ZeRO stage 3 does (Rajbhandari et al. 2020, arXiv:1910.02054), cuts all of it
# into as many parts as there are ranks.


# %% nbgrader={"solution": true, "grade_id": "held-bytes-per-rank"}
def held_bytes_per_rank(engine, parameters, ranks, moments=2):
    """Bytes of weights, gradients and optimizer state that one rank holds, everything in 32 bits.

    TODO: return a tuple of three: weights, gradients, optimizer.

    APPROACH:
    1. Refuse an engine that is not "single", "ddp", "horovod" or "fsdp" with a ValueError that names it.
    2. Weights and gradients take 4 bytes for each parameter, the optimizer 4 for each moment.
    3. With "fsdp" a rank has 1/ranks of each.

    EXAMPLE: held_bytes_per_rank("ddp", 1000, 2) gives (4000, 4000, 8000), "fsdp" gives (2000.0, 2000.0, 4000.0).

    HINT: SGD with momentum has one moment, plain SGD none.
    """
    ### BEGIN SOLUTION
    if engine not in ("single", "ddp", "horovod", "fsdp"):
        raise ValueError(f"engine {engine!r} is not known")
    part = parameters / ranks if engine == "fsdp" else parameters
    return 4 * part, 4 * part, 4 * part * moments
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-held-bytes-per-rank", "points": 4} exercises=["held-bytes-per-rank"]
# Test 2 · held_bytes_per_rank · 4 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("held_bytes_per_rank", points=4, off_limits=("course_lib.arithmetic",))
for kind, expected in (("ddp", 16_000), ("horovod", 16_000), ("fsdp", 8_000)):
    check.number(
        f"{kind} on 2 ranks, 1,000 parameters: everything together",
        lambda kind=kind: sum(held_bytes_per_rank(kind, 1000, 2)),
        expected,
        hint="4 bytes of weight, 4 of gradient and 8 of moments, and FSDP has a part of each",
    )
check.number("the optimizer's part alone", lambda: held_bytes_per_rank("ddp", 1000, 2)[2], 8_000)
check.refuses("an unknown engine", lambda: held_bytes_per_rank("zero9", 1000, 2), naming="zero9")
### BEGIN HIDDEN TESTS
check.hide()
# ZeRO, arXiv:1910.02054, section 3, in 32 bits: 16 bytes per parameter over 64 devices.
check.number("7.5 billion on 64 ranks: weights", lambda: held_bytes_per_rank("fsdp", 7.5e9, 64)[0], 0.46875e9)
check.number("gradients", lambda: held_bytes_per_rank("fsdp", 7.5e9, 64)[1], 0.46875e9)
check.number("one moment", lambda: held_bytes_per_rank("horovod", 10, 4, moments=1)[2], 40)
check.number("three moments, sharded", lambda: held_bytes_per_rank("fsdp", 10, 4, moments=3)[2], 30)
check.number("a single process", lambda: sum(held_bytes_per_rank("single", 10, 1)), 160)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Predicted beside counted. `held_bytes` looked at every tensor of rank 0, after a step and a backward pass:

# %%
PARAMETERS = sum(p.numel() for p in GPT(MODEL).parameters())
print(f"{PARAMETERS:,} parameters; weights, gradients, optimizer in MB")
for kind, ranks in runs.items():
    held = ranks[0]["held"]
    counted = (held.weights, held.gradients, held.optimizer)
    pairs = zip(held_bytes_per_rank(kind, PARAMETERS, len(ranks)), counted, strict=True)
    print(f"{kind:8s} " + "   ".join(f"predicted {a / 1e6:.2f}, counted {b / 1e6:.2f}" for a, b in pairs))

# %% [markdown]
# ## 3 · What does a rank send?
#
# For a tensor of *N* bytes on *p* ranks, a ring **all-gather** and a **reduce-scatter** each make every rank send
# (*p* − 1)/*p* · *N* bytes, and an **all-reduce** is one of each: twice that.
#
# - **DDP and Horovod** all-reduce all gradients, once a step.
# - **FSDP** gathers the weights of each block before its forward pass and again before its backward pass. What lies
#   outside of the blocks (embedding, last norm, output) stays gathered in between, so it is gathered once. Then all
#   gradients are reduce-scattered.
# - **Over gloo** a reduce-scatter is secretly an all-reduce of which every rank keeps its slice. It sends twice as
#   much as a ring's. Chapter *DDP, FSDP and Horovod* measured that.


# %% nbgrader={"solution": true, "grade_id": "sent-bytes-per-step"}
def sent_bytes_per_step(engine, block_bytes, rest_bytes, ranks, gloo=False):
    """Bytes that one rank sends in one step.

    TODO: return the bytes for engine "single", "ddp", "horovod" or "fsdp".

    APPROACH:
    1. One pass around the ring sends (ranks - 1) / ranks of the bytes.
    2. "single", "ddp" and "horovod": two passes with the gradients of everything, blocks and rest.
    3. "fsdp": two passes with the blocks' weights, one with the rest's, and one with the gradients of everything; that
       last one counts twice over gloo.

    EXAMPLE: 900 bytes of blocks, 100 of the rest, 2 ranks: DDP sends 1000.0, FSDP 1450.0, over gloo 1950.0.

    HINT: on one rank the share (ranks - 1) / ranks is 0, so "single" needs no case of its own.
    """
    ### BEGIN SOLUTION
    whole = block_bytes + rest_bytes
    passes = 2 * whole
    if engine == "fsdp":
        passes = 2 * block_bytes + rest_bytes + (2 * whole if gloo else whole)
    return passes * (ranks - 1) / ranks
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-sent-bytes-per-step", "points": 4} exercises=["sent-bytes-per-step"]
# Test 3 · sent_bytes_per_step · 4 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("sent_bytes_per_step", points=4, off_limits=("course_lib.arithmetic",))
for kind, gloo, expected in (
    ("ddp", True, 1000),
    ("horovod", False, 1000),
    ("fsdp", False, 1450),
    ("fsdp", True, 1950),
):
    check.number(
        f"{kind}{' over gloo' if gloo else ''}: 900 bytes of blocks, 100 of the rest, 2 ranks",
        lambda kind=kind, gloo=gloo: sent_bytes_per_step(kind, 900, 100, 2, gloo),
        expected,
        hint="count the passes first: how often do the blocks go around, how often the rest, how often the gradients?",
    )
check.number("one rank sends nothing", lambda: sent_bytes_per_step("single", 900, 100, 1), 0)
### BEGIN HIDDEN TESTS
check.hide()
check.number("DDP on 4 ranks", lambda: sent_bytes_per_step("ddp", 1200, 400, 4), 2400, hint="(ranks - 1) / ranks")
# ZeRO, arXiv:1910.02054, section 7.3: stage 3 moves 1.5 times as much as data parallelism, when nothing stays gathered.
check.number(
    "without a rest FSDP sends 1.5 times as much as DDP",
    lambda: sent_bytes_per_step("fsdp", 800, 0, 8) / sent_bytes_per_step("ddp", 800, 0, 8),
    1.5,
)
check.number("without blocks as much", lambda: sent_bytes_per_step("fsdp", 0, 800, 8), 1400)
check.number("FSDP over gloo on 4 ranks", lambda: sent_bytes_per_step("fsdp", 1200, 400, 4, True), 4500)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Predicted beside counted again. The operating system also counts headers and the loss that ranks exchange; Horovod's
# ranks tell each other every millisecond what they have ready:

# %%
blocks = 4 * sum(p.numel() for p in GPT(MODEL).layers.parameters())
rest = 4 * PARAMETERS - blocks
for kind, ranks in runs.items():
    predicted = sent_bytes_per_step(kind, blocks, rest, len(ranks), gloo=True)
    ring = sent_bytes_per_step(kind, blocks, rest, len(ranks))
    counted = ranks[0]["sent"]
    print(
        f"{kind:8s} predicted {predicted / 1e6:.2f} MB over gloo, counted {counted / 1e6:.2f}; a ring: {ring / 1e6:.2f}"
    )

# %% [markdown]
# ## 4 · Where does the time go?
#
# This is your colleague's loop. Read it closely; it is locked, and task 6 measures you against a copy of it. It trains
# correctly: its losses are those of DDP. At least four things in it are slow.


# %% nbgrader={"grade": false, "grade_id": "slow-run"}
def slow_run(model, optimizer, batches, steps, microbatch):
    """Train a model on this rank's rows of each global batch; returns the mean loss of each step."""
    rank, world = dist.get_rank(), dist.get_world_size()
    # This rank's rows of each batch.
    start, stop = rank_rows(batches.global_batch, rank, world)
    losses = []
    for step in range(steps):
        # A promise: tokens and targets, (global_batch, seq) each, are read when they are asked for.
        batch = batches[step]
        tokens, targets = batch.tokens, batch.targets
        sums = [torch.zeros_like(parameter) for parameter in model.parameters()]
        mean = 0.0
        for first in range(start, stop, microbatch):
            last = min(first + microbatch, stop)
            loss = language_model_loss(model(tokens[first:last]), targets[first:last])
            share = loss * (last - first) / (stop - start)
            share.backward()
            for parameter, total in zip(model.parameters(), sums, strict=True):
                dist.all_reduce(parameter.grad)
                total += parameter.grad / world
                parameter.grad = None
            told = share.detach()
            dist.all_reduce(told)
            mean += told.item() / world
        for parameter, total in zip(model.parameters(), sums, strict=True):
            parameter.grad = total
        optimizer.step()
        optimizer.zero_grad()
        losses.append(mean)
    return losses


# %% [markdown]
# It runs against storage that answers late, 20 ms after each request, as an object store does. (`Throttled` plays that
# part here.) A request brings one sequence.

# %%
SMALL = tiny_config(layers=2, hidden_size=32, heads=2, vocab_size=64, context_length=32)
LATENCY, STEPS, BATCH, SEQUENCE, MICROBATCH = 0.020, 6, 16, 32, 2


def from_storage(latency=LATENCY, global_batch=BATCH):
    return TokenBatches(Throttled(open_shards(TEXT), latency), global_batch, SEQUENCE)


def model_and_optimizer():
    model = GPT(SMALL, seed=1)
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


# %% [markdown]
# Guessing is free and mostly wrong, so measure. Take a copy of the loop and put a `StepTimer` into it. As a context
# manager, `timer.phase("forward")` adds what happens inside to that phase, and the timer's `end_step` closes a step.


# %% nbgrader={"solution": true, "grade_id": "timed-run"}
def timed_run(model, optimizer, batches, steps, microbatch):
    """The slow loop, timed.

    TODO: return two values: the losses, as slow_run returns them, and timer.times().

    APPROACH:
    1. Copy the body of slow_run and make a timer first: timer = StepTimer().
    2. Put what belongs together into phases named "data", "forward", "backward", "exchange" and "optimizer". Every
       dist.all_reduce and what is done with its result is "exchange".
    3. Close each step with the timer's end_step.

    EXAMPLE: losses, times = timed_run(...); times.shares then says, for instance, {"data": 0.6, "forward": 0.1, ...},
        and times.bottleneck is "data".

    HINT: batches[step] reads nothing; the line after it does. A phase may come several times in a step: its parts add
        up.
    """
    ### BEGIN SOLUTION
    rank, world = dist.get_rank(), dist.get_world_size()
    start, stop = rank_rows(batches.global_batch, rank, world)
    timer, losses = StepTimer(), []
    for step in range(steps):
        with timer.phase("data"):
            batch = batches[step]
            tokens, targets = batch.tokens, batch.targets
        sums = [torch.zeros_like(parameter) for parameter in model.parameters()]
        mean = 0.0
        for first in range(start, stop, microbatch):
            last = min(first + microbatch, stop)
            with timer.phase("forward"):
                loss = language_model_loss(model(tokens[first:last]), targets[first:last])
                share = loss * (last - first) / (stop - start)
            with timer.phase("backward"):
                share.backward()
            with timer.phase("exchange"):
                for parameter, total in zip(model.parameters(), sums, strict=True):
                    dist.all_reduce(parameter.grad)
                    total += parameter.grad / world
                    parameter.grad = None
                told = share.detach()
                dist.all_reduce(told)
                mean += told.item() / world
        with timer.phase("optimizer"):
            for parameter, total in zip(model.parameters(), sums, strict=True):
                parameter.grad = total
            optimizer.step()
            optimizer.zero_grad()
        losses.append(mean)
        timer.end_step()
    return losses, timer.times()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-timed-run", "points": 5} exercises=["timed-run"]
# Test 4 · timed_run · 5 points
import importlib
import time

import numpy as np
import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.distributed import Throttled, TokenBatches, open_shards
from course_lib.models import GPT, language_model_loss, tiny_config
from course_lib.runtime import Launcher

check = importlib.reload(labkit).Check(
    "timed_run",
    points=5,
    unchanged=("course_lib.distributed", "course_lib.models", "course_lib.runtime"),
)
NAP, SHAPE, FOLDER = 0.25, tiny_config(layers=1, hidden_size=16, heads=2, vocab_size=64, context_length=16), TEXT


def nap(*_):
    time.sleep(NAP)


def sleepy(place, batch=4, steps=3, microbatch=2):
    """A run in which one phase takes half a second longer than all others."""
    model = GPT(SHAPE, seed=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    if place == "forward" or (place == "exchange" and dist.get_rank() > 0):
        model.register_forward_pre_hook(nap)
    if place == "backward":
        model.output.weight.register_hook(nap)
    if place == "optimizer":
        optimizer.register_step_pre_hook(nap)
    source = open_shards(FOLDER)
    batches = TokenBatches(Throttled(source, NAP / 4 if place == "data" else 0.0), batch, 16)
    return model, optimizer, batches, steps, microbatch


def timed_on_rank(places, batch, microbatch):
    found = {}
    for place in places:
        losses, times = timed_run(*sleepy(place, batch, 3, microbatch))
        found[place] = times.bottleneck if times.seconds[place] >= NAP / 2 else f"no time in {place}"
    found["phases"] = tuple(sorted(times.seconds))
    found["steps"] = times.steps
    found["losses"] = torch.tensor(losses, dtype=torch.float64)
    return found


def by_one_process(model, optimizer, batches, steps, _microbatch):
    """The same training without any ranks: the mean over equal shares is the mean over the whole batch."""
    losses = []
    for step in range(steps):
        loss = language_model_loss(model(batches[step].tokens), batches[step].targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return np.array(losses)


PLACES = ("data", "forward", "backward", "exchange", "optimizer")
with Launcher() as launch:
    two = labkit.Ranks(launch, timed_on_rank, 2, PLACES, 4, 2, timeout_seconds=120)
    three = labkit.Ranks(launch, timed_on_rank, 3, ("data",), 9, 2, timeout_seconds=120)
SLEEPS = {
    "data": "storage is slow",
    "forward": "the forward pass is slow",
    "backward": "the backward pass is slow",
    "exchange": "rank 1 is late, so that rank 0 waits for it in its exchange",
    "optimizer": "the optimizer is slow",
}
for place, told in SLEEPS.items():
    check.equal(
        f"{told}: the bottleneck", two.of(place), place, hint=f"what belongs to {place!r}, and to no other phase?"
    )
check.equal(
    "the phases",
    two.of("phases"),
    ("backward", "data", "exchange", "forward", "optimizer", "other"),
    hint="'other' is made by the timer: what no phase covers",
)
check.array(
    "the losses are those of slow_run, and of a single process",
    two.of("losses"),
    by_one_process(*sleepy("")),
    rel=1e-5,
    hint="time the loop, do not change it",
    weight=4,
)
### BEGIN HIDDEN TESTS
check.hide()
check.equal("steps that count", two.of("steps", 1), 2, weight=0.5)
check.array(
    "three ranks with 3 sequences each, in microbatches of 2 and 1",
    three.of("losses", 2),
    by_one_process(*sleepy("", 9)),
    rel=1e-5,
    weight=3,
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Now the real thing: two ranks, slow storage. Keep these numbers for your report.


# %%
def timed_on_storage():
    return timed_run(*model_and_optimizer(), from_storage(), STEPS, MICROBATCH)[1]


with Launcher() as on_ranks:
    slow_times = on_ranks(timed_on_storage, RANKS, timeout_seconds=240)[0]
for phase, share_of_step in slow_times.shares.items():
    print(f"{phase:10s} {1000 * slow_times.seconds[phase]:6.0f} ms  {share_of_step:4.0%}")
worst = slow_times.bottleneck
print(f"If {worst} took no time at all, a step would be {slow_times.bound(worst):.1f} times as fast.")

# %% [markdown]
# ## 5 · What can be gained?
#
# Reading can be done **ahead**, in the background, while the model computes. Then a step takes as long as the slower
# of the two, not as both together. So one reader can at most halve a step, when both take equally long. But storage
# that answers *late* is not storage that is *busy*: several requests can be under way at once. With *n* readers, a
# batch arrives every data/*n* seconds.


# %% nbgrader={"solution": true, "grade_id": "plan-readers"}
def plan_readers(data_seconds, other_seconds, most=16):
    """How many readers hide the reading, and how much faster a step then is.

    TODO: return two values: the number of readers, and the old step's time over the new one's.

    APPROACH:
    1. Take the smallest number of readers for which data_seconds / readers is at most other_seconds.
    2. Take no more than `most`, and at least 1.
    3. The old step takes data_seconds + other_seconds, the new one the larger of data_seconds / readers and
       other_seconds.

    EXAMPLE: plan_readers(0.3, 0.1) gives (3, 4.0): three readers, 0.4 s become 0.1 s. plan_readers(0.1, 0.1) gives
        (1, 2.0).

    HINT: for readers in range(1, most + 1): the first that fits is the answer.
    """
    ### BEGIN SOLUTION
    fitting = [readers for readers in range(1, most) if data_seconds / readers <= other_seconds]
    readers = min([*fitting, most])
    return readers, (data_seconds + other_seconds) / max(data_seconds / readers, other_seconds)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-plan-readers", "points": 3} exercises=["plan-readers"]
# Test 5 · plan_readers · 3 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("plan_readers", points=3)
check.equal("reading takes three times as long: readers", lambda: plan_readers(0.75, 0.25)[0], 3)
check.number("and the gain", lambda: plan_readers(0.75, 0.25)[1], 4.0, hint="0.75 + 0.25 seconds become 0.25")
check.number("one reader at most halves a step", lambda: plan_readers(0.5, 0.5)[1], 2.0)
check.number(
    "3.5 times as long needs four readers",
    lambda: plan_readers(0.875, 0.25)[0],
    4,
    hint="the smallest whole number with data / readers <= other",
)
### BEGIN HIDDEN TESTS
check.hide()
check.number("not more than allowed", lambda: plan_readers(8.0, 0.5, most=4)[0], 4, hint="most is a limit")
check.number("then reading stays the bottleneck", lambda: plan_readers(8.0, 0.5, most=4)[1], 4.25)
check.number("reading is fast already: one", lambda: plan_readers(0.1, 0.4)[0], 1)
check.number("and what hiding it brings", lambda: plan_readers(0.1, 0.4)[1], 1.25)
check.number("sixteen by default", lambda: plan_readers(100.0, 1.0)[0], 16)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# For the loop above. Mind that it also reads rows that its rank never uses: with only its own rows, reading is half.

# %%
reading = slow_times.seconds["data"]
computing = sum(slow_times.seconds.values()) - reading
for scope, to_read in (("all rows", reading), ("own rows", reading / RANKS)):
    count, gain = plan_readers(to_read, computing)
    print(f"{scope}: readers: {count}, and {gain:.1f} times as fast as without")

# %% [markdown]
# ## 6 · At least twice as fast
#
# Mend the loop. It must train the same model: same losses, same weights. What you may use:
#
# - `ReadAhead(batches, Share(rank, world), depth=..., readers=...)` as a context manager: `ahead[step].rows(start,
#   stop)` is this rank's part of a batch, read by several threads before you ask. It reads no other rank's rows.
# - `DistributedDataParallel(model)`: exchanges gradients in large buckets, while the backward pass still runs. Within
#   `with wrapped.no_sync():` it exchanges nothing, and gradients add up.
# - Losses need not be exchanged in every step: nobody looks at them before the end.
#
# `build_engine` would do all of this for you, so it is off limits in this task: it is what you are going to understand.


# %% nbgrader={"solution": true, "grade_id": "mended-run"}
def mended_run(model, optimizer, batches, steps, microbatch):
    """What slow_run does, faster.

    TODO: train the model as slow_run does and return the same losses.

    APPROACH:
    1. Read ahead, and only this rank's rows. Choose the number of readers by task 5, and a depth of as many, so that
       all have something to do. A few more cost nothing and help when the machine is busy.
    2. Wrap the model in DistributedDataParallel. Run all but a step's last microbatch within no_sync().
    3. Scale each microbatch's loss as slow_run does, call backward, and add up what you want to report.
    4. After the last step exchange all losses at once: a tensor of them, dist.all_reduce, divided by the ranks.

    EXAMPLE: with 2 ranks, 16 sequences and microbatch=2, a rank runs 4 microbatches in a step and exchanges at the
        fourth.

    HINT: `with nullcontext() if it_is_the_last else wrapped.no_sync():` around the forward AND the backward pass. DDP
        divides by the number of ranks already.
    """
    ### BEGIN SOLUTION
    rank, world = dist.get_rank(), dist.get_world_size()
    start, stop = rank_rows(batches.global_batch, rank, world)
    wrapped, kept, readers = DistributedDataParallel(model), [], 8
    with ReadAhead(batches, Share(rank, world), depth=readers, readers=readers) as ahead:
        for step in range(steps):
            mine = ahead[step].rows(start, stop)
            for first in range(0, len(mine), microbatch):
                piece = mine.rows(first, first + microbatch)
                with nullcontext() if first + microbatch >= len(mine) else wrapped.no_sync():
                    loss = language_model_loss(wrapped(piece.tokens), piece.targets) * len(piece) / len(mine)
                    loss.backward()
                kept.append(loss.detach())
            optimizer.step()
            optimizer.zero_grad()
    losses = torch.stack(kept).reshape(steps, -1).sum(1)  # (steps,)
    dist.all_reduce(losses)
    return (losses / world).tolist()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-mended-run", "points": 9} exercises=["mended-run"]
# Test 6 · mended_run · 9 points
import importlib
import statistics
import sys
import time

import numpy as np
import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.distributed import Throttled, TokenBatches, open_shards, rank_rows, sent_bytes
from course_lib.models import GPT, language_model_loss, tiny_config
from course_lib.runtime import Launcher

check = importlib.reload(labkit).Check(
    "mended_run",
    points=9,
    unchanged=("course_lib.distributed", "course_lib.models", "course_lib.runtime"),
)
FOLDER, SHAPE = TEXT, tiny_config(layers=2, hidden_size=32, heads=2, vocab_size=64, context_length=32)


class Noted:
    """Shards that note which pieces are read."""

    def __init__(self, source):
        self.source, self.lengths, self.fingerprint, self.places = source, source.lengths, source.fingerprint, set()

    def read(self, shard, start, stop):
        self.places.add((shard, start))
        return self.source.read(shard, start, stop)


def ready(source, batch=16):
    model = GPT(SHAPE, seed=3)
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), TokenBatches(source, batch, 32)


def flat(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def no_engine(name):
    raise RuntimeError("build_engine is off limits in this task: write the loop yourself")


def compared_on_rank(batch, microbatch, steps=4):
    sys.modules["course_lib.distributed.build"].engine_builder = no_engine
    found, source = {}, Noted(open_shards(FOLDER))
    model, optimizer, batches = ready(source, batch)
    sent = sent_bytes(lambda: found.update(losses=mended_run(model, optimizer, batches, steps, microbatch)))
    found["losses"] = torch.tensor(found["losses"], dtype=torch.float64)
    found["weights"], found["places"] = flat(model), source.places
    found["exchanges"] = sent / steps / (4 * found["weights"].numel())
    return found


def colleagues_loop(model, optimizer, batches, steps, microbatch):
    """slow_run, written out once more: what you are measured against is in this cell, whatever stands above."""
    rank, world = dist.get_rank(), dist.get_world_size()
    # This rank's rows of each batch.
    start, stop = rank_rows(batches.global_batch, rank, world)
    losses = []
    for step in range(steps):
        # A promise: tokens and targets, (global_batch, seq) each, are read when they are asked for.
        batch = batches[step]
        tokens, targets = batch.tokens, batch.targets
        sums = [torch.zeros_like(parameter) for parameter in model.parameters()]
        mean = 0.0
        for first in range(start, stop, microbatch):
            last = min(first + microbatch, stop)
            loss = language_model_loss(model(tokens[first:last]), targets[first:last])
            share = loss * (last - first) / (stop - start)
            share.backward()
            for parameter, total in zip(model.parameters(), sums, strict=True):
                dist.all_reduce(parameter.grad)
                total += parameter.grad / world
                parameter.grad = None
            told = share.detach()
            dist.all_reduce(told)
            mean += told.item() / world
        for parameter, total in zip(model.parameters(), sums, strict=True):
            parameter.grad = total
        optimizer.step()
        optimizer.zero_grad()
        losses.append(mean)
    return losses


def timed_on_rank(latency=0.020, steps=6, clock=time.perf_counter):
    sys.modules["course_lib.distributed.build"].engine_builder = no_engine

    def seconds(loop):
        model, optimizer, batches = ready(Throttled(open_shards(FOLDER), latency))
        dist.barrier()
        started = clock()
        float(loop(model, optimizer, batches, steps, 2)[steps - 1])
        dist.barrier()
        return clock() - started

    # Once before yours has run at all: what yours does to this process must not slow the other down.
    untouched = seconds(colleagues_loop)
    pairs = [(seconds(mended_run), min(seconds(colleagues_loop), untouched)) for _ in range(5)]
    return {"share": statistics.median(mine / other for mine, other in pairs)}


def by_one_process(model, optimizer, batches, steps, _microbatch):
    """The same training without any ranks: the mean over equal shares is the mean over the whole batch."""
    losses = []
    for step in range(steps):
        loss = language_model_loss(model(batches[step].tokens), batches[step].targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return np.array(losses)


def expected(batch, steps=4):
    model, optimizer, batches = ready(open_shards(FOLDER), batch)
    return by_one_process(model, optimizer, batches, steps, 0), flat(model).numpy()


def reads_in_common(ranks):
    places = [ranks.of("places", rank)() for rank in range(2)]
    return len(places[0] & places[1])


losses, weights = expected(16)
with Launcher() as launch:
    two = labkit.Ranks(launch, compared_on_rank, 2, 16, 2, timeout_seconds=60)
    right = check.array(
        "the losses are those of slow_run, and of a single process",
        two.of("losses"),
        losses,
        rel=1e-4,
        hint="what is each microbatch's loss divided by, and what are the losses of all ranks divided by?",
        weight=0.5,
    )
    right &= check.array(
        "the weights after four steps",
        two.of("weights"),
        weights,
        rel=1e-3,
        abs=1e-5,
        hint="a step's gradient is the mean over ranks, of all its microbatches, and starts from zero",
        weight=0.5,
    )
    # What is wrong on two ranks needs no race.
    three = labkit.Ranks(launch, compared_on_rank, 3, 9, 2, timeout_seconds=60) if right else two
    race = labkit.Ranks(launch, timed_on_rank, 2, timeout_seconds=240) if right else two
check.equal(
    "sequences that both ranks read",
    lambda: reads_in_common(two),
    0,
    hint="read only this rank's rows: ReadAhead(batches, Share(rank, world), ...)",
    weight=1.5,
)
check.budget(
    "bytes that a rank sends in a step, in sizes of the gradients; slow_run: 4",
    two.of("exchanges"),
    at_most=(2.5, 1.5),
    at_least=0.4,
    unit="times the gradients",
    given=right,
    hint="exchange at a step's last microbatch only: no_sync() around the forward and backward pass of the others",
    weight=2,
)
check.budget(
    "time of six steps from slow storage, as a share of this cell's copy of slow_run (median of 5, in turn)",
    race.of("share"),
    at_most=(0.75, 0.5),
    unit="of its time",
    given=right,
    hint="how long does a rank still wait for data? More readers, and a depth of at least as many",
    weight=3.5,
)
### BEGIN HIDDEN TESTS
check.hide()
losses, weights = expected(9)
check.array("three ranks, a last microbatch of one", three.of("losses", 1), losses, rel=1e-4, weight=0.5)
check.array("and their weights", three.of("weights", 2), weights, rel=1e-3, abs=1e-5, weight=0.5)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# The ratio for your report, with everything in one run, both loops taking turns:


# %%
def race_on_rank(repeats=5):
    def seconds(loop):
        model, optimizer = model_and_optimizer()
        dist.barrier()
        started = time.perf_counter()
        loop(model, optimizer, from_storage(), STEPS, MICROBATCH)
        dist.barrier()
        return time.perf_counter() - started

    seconds(mended_run)  # a warm-up
    return [(seconds(slow_run), seconds(mended_run)) for _ in range(repeats)]


with Launcher() as on_ranks:
    pairs = on_ranks(race_on_rank, RANKS, timeout_seconds=400)[0]
ratios = sorted(slow / mended for slow, mended in pairs)
slow_ms, mended_ms = (statistics.median(side) / STEPS * 1000 for side in zip(*pairs, strict=True))
print(f"slow {slow_ms:.0f} ms a step, mended {mended_ms:.0f} ms")
print(
    f"{statistics.median(ratios):.1f} times as fast (median of {len(ratios)}; from {ratios[0]:.1f} to {ratios[-1]:.1f})"
)

# %% [markdown]
# ## 7 · A resume that does not resume
#
# *"Restored from checkpoint"*, says the log, and the run starts again from epoch 1
# ([ray-project/ray#46814](https://github.com/ray-project/ray/issues/46814)). It is among the most frequent complaints
# about distributed training, and it has quieter forms. The code below brings back the weights, as many tutorials do.
# The optimizer's moments, the learning rate's place in its warm-up and the data's place start anew. Nothing fails:

# %%
N, M = 5, 5


def warm_up(number):
    return min(1.0, (number + 1) / 8)


def text_batches(global_batch=CONFIG.global_batch):
    return TokenBatches(open_shards(TEXT), global_batch, CONFIG.sequence_length)


def uninterrupted(path):
    mine = build_engine("ddp", CONFIG)
    before = train(mine, text_batches(), N, schedule=warm_up).losses
    if dist.get_rank() == 0:
        torch.save(mine.full_state(), path)
    return before + train(mine, text_batches(), M, first_step=N, schedule=warm_up).losses


def from_weights_alone(path):
    mine = build_engine("ddp", CONFIG)
    mine.model.module.load_state_dict(torch.load(path))
    return train(mine, text_batches(), M, schedule=warm_up).losses


with Launcher() as on_ranks:
    weights_file = TEXT.parent / "weights.pt"
    whole_curve = on_ranks(uninterrupted, RANKS, weights_file, timeout_seconds=240)[0]
    broken_curve = on_ranks(from_weights_alone, RANKS, weights_file, timeout_seconds=240)[0]
print("step          " + "".join(f"{number:9d}" for number in range(N, N + M)))
print("uninterrupted " + "".join(f"{value:9.4f}" for value in whole_curve[N:]))
print("weights alone " + "".join(f"{value:9.4f}" for value in broken_curve))

# %% [markdown]
# Both curves look like training. Only the comparison shows that the second is another run. So this is the test that a
# resume must pass: **N + M steps in one go equal N steps, a save, new processes, a load, and M steps**, to the last
# digit.
#
# Write both halves. An `engine` has `.model` and `.optimizer`, both with `state_dict()` and `load_state_dict()`. The
# data's place comes from `batches.state(step)`, plain numbers; `batches.resume(state)` gives batches that go on
# there.


# %% nbgrader={"solution": true, "grade_id": "resume"}
def save_run(path, step, engine, batches):
    """Write what the rest of the run depends on, after `step` steps.

    TODO: write one file, from rank 0 alone: with DDP every rank holds the same.

    APPROACH:
    1. On rank 0 put the step, the data's place and both state_dicts into one dictionary.
    2. torch.save(dictionary, path).

    EXAMPLE: save_run("run.pt", 100, engine, batches) after the steps 0 to 99.

    HINT: other ranks must not touch the path. On a cluster they may not even see that disk.
    """
    ### BEGIN SOLUTION
    if dist.get_rank() == 0:
        states = {"model": engine.model.state_dict(), "optimizer": engine.optimizer.state_dict()}
        torch.save({"step": step, "data": batches.state(step), **states}, path)
    ### END SOLUTION


def resume_run(path, engine, batches):
    """Bring a fresh engine and fresh batches to where the run was saved.

    TODO: load the file into the engine, on every rank; return the number of the next step, and the batches that go on.

    APPROACH:
    1. Get the dictionary back with torch.load.
    2. Load the model's state, then the optimizer's.
    3. Return the step and batches.resume(...) of the data's place.

    EXAMPLE: step, batches = resume_run("run.pt", engine, batches); train(engine, batches, 50, first_step=step).

    HINT: resume returns new batches and leaves the old ones as they are.
    """
    ### BEGIN SOLUTION
    saved = torch.load(path)
    engine.model.load_state_dict(saved["model"])
    engine.optimizer.load_state_dict(saved["optimizer"])
    return saved["step"], batches.resume(saved["data"])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-resume", "points": 6} exercises=["resume"]
# Test 7 · save_run and resume_run · 6 points
import importlib
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.distributed import TokenBatches, TrainConfig, build_engine, open_shards, train
from course_lib.models import tiny_config
from course_lib.runtime import Launcher

check = importlib.reload(labkit).Check("save_run and resume_run", points=6, unchanged=("course_lib.distributed",))
FOLDER, SAVED = TEXT, Path(tempfile.mkdtemp(prefix="lab02-")) / "run.pt"
RUN = TrainConfig(
    model=tiny_config(layers=1, hidden_size=32, heads=2, vocab_size=64),
    global_batch=8,
    sequence_length=32,
    learning_rate=0.01,
)


def rate(step):
    return min(1.0, (step + 1) / 8)


def data(global_batch=8):
    return TokenBatches(open_shards(FOLDER), global_batch, 32)


def saved_on_rank(path, steps, more):
    here = path if dist.get_rank() == 0 else path.parent / "a disk that this rank does not have" / path.name
    engine = build_engine("ddp", RUN)
    train(engine, data(), steps, schedule=rate)
    save_run(here, steps, engine, data())
    rest = train(engine, data(), more, first_step=steps, schedule=rate).losses
    return {"losses": torch.tensor(rest, dtype=torch.float64)}


def resumed_on_rank(path, more):
    engine, again = build_engine("ddp", RUN), build_engine("ddp", RUN)
    step, batches = resume_run(path, engine, data())
    _, smaller = resume_run(path, again, data(4))
    rows = smaller[step].tokens
    losses = train(engine, batches, more, first_step=step, schedule=rate).losses
    return {
        "step": step,
        "losses": torch.tensor(losses, dtype=torch.float64),
        "rows": rows,
        "moments": sum(float(state["exp_avg"].norm()) for state in again.optimizer.state.values()),
        "size": batches.global_batch,
    }


with Launcher() as launch:
    saving = labkit.Ranks(launch, saved_on_rank, 2, SAVED, 5, 4, timeout_seconds=120)
    resumed = labkit.Ranks(launch, resumed_on_rank, 2, SAVED, 4, timeout_seconds=120)
# Nine steps without a stop, in this process.
expected = np.array(train(build_engine("single", RUN), data(), 9, schedule=rate).losses[5:])
check.array(
    "rank 0 saves, and the run goes on",
    saving.of("losses", 1),
    expected,
    rel=1e-5,
    hint="only rank 0 writes: if dist.get_rank() == 0",
    weight=0.5,
)
check.equal("the number of the next step", resumed.of("step"), 5, hint="as many as were taken: counting starts at 0")
check.array(
    "the four steps after a resume, in new processes",
    resumed.of("losses"),
    expected,
    rel=1e-5,
    hint="what differs: the first loss (weights, data), or those after it (moments, learning rate)?",
    weight=3,
)
check.equal("the batches that go on have the size that was asked for", resumed.of("size"), 8)
### BEGIN HIDDEN TESTS
check.hide()
check.array(
    "resumed with batches of 4: the first that comes is the 41st sequence",
    resumed.of("rows", 1),
    data().rows(40, 44).tokens.numpy(),
    hint="the data's place is counted in sequences, not in batches: batches.state(step) and batches.resume know it",
)
check.equal("the optimizer has its moments", lambda: resumed.of("moments", 1)() > 0, True)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# The third row should equal the first, digit by digit:


# %%
def first_half(path):
    mine = build_engine("ddp", CONFIG)
    train(mine, text_batches(), N, schedule=warm_up)
    save_run(path, N, mine, text_batches())


def second_half(path):
    mine = build_engine("ddp", CONFIG)
    taken, going_on = resume_run(path, mine, text_batches())
    return train(mine, going_on, M, first_step=taken, schedule=warm_up).losses


with Launcher() as on_ranks:
    run_file = TEXT.parent / "run.pt"
    on_ranks(first_half, RANKS, run_file, timeout_seconds=240)
    resumed_curve = on_ranks(second_half, RANKS, run_file, timeout_seconds=240)[0]
figure = go.Figure()
# Okabe and Ito's palette, and a dash of its own for each: distinct for color-blind readers and in gray.
for title, drawn, begins, color, dash in (
    ("uninterrupted", whole_curve, 0, "#000000", "solid"),
    ("weights alone", broken_curve, N, "#D55E00", "dash"),
    ("resumed", resumed_curve, N, "#0072B2", "dot"),
):
    line = {"color": color, "dash": dash, "width": 3}
    numbers = list(range(begins, begins + len(drawn)))
    figure.add_scatter(x=numbers, y=drawn, name=title, line=line, mode="lines+markers")
    print(f"{title:14s}" + "".join(f"{value:9.4f}" for value in drawn[-M:]))
figure.update_layout(
    title="Loss before and after a resume", xaxis_title="step", yaxis_title="loss (nats per token)", height=380
)
figure.show()

# %% [markdown]
# FSDP needs more: every rank holds another part, and next week there may be another number of ranks. That is what
# `CheckpointManager` of `course_lib.distributed` is for, which the chapter shows.
#
# ## 8 · Three figures that mislead whoever compares engines
#
# A report also cites. These three figures are in wide use, and each would spoil a comparison. All numbers below are as
# printed.
#
# **a) MegaScale, table 2** (Jiang et al. 2024, arXiv:2402.15627): Megatron-LM, 175 billion parameters, A100 (312
# TFLOP/s). The model is the same in all rows, so every token costs the same number of operations. One cell cannot be
# right.

# %%
TABLE_2 = [
    {"gpus": gpus, "tokens_per_s": 1e3 * thousands, "mfu": percent / 100, "flops_per_s": 1e15 * petaflops}
    for gpus, thousands, percent, petaflops in (
        (512, 74.1, 49.9, 77.6), (768, 103.8, 46.7, 111.9), (1024, 132.7, 44.7, 131.9), (3072, 433.6, 48.7, 466.8),
        (6144, 851.6, 47.8, 916.3), (8192, 1027.9, 43.3, 1106.7), (12288, 1466.8, 41.2, 1579.5),
    )
]  # fmt: skip
print(f"{'GPUs':>6s} {'tokens/s':>10s} {'MFU':>6s} {'PFLOP/s':>8s} {'PFLOP/s over peak':>18s}")
for row in TABLE_2:
    over_peak = row["flops_per_s"] / (row["gpus"] * 312e12)
    petaflops = row["flops_per_s"] / 1e15
    print(f"{row['gpus']:6,} {row['tokens_per_s']:10,.0f} {row['mfu']:6.1%} {petaflops:8,.1f} {over_peak:18.1%}")

# %% [markdown]
# Two columns contradict each other in one row: but which of them is wrong? A third column is the witness.


# %% nbgrader={"solution": true, "grade_id": "wrong-cells"}
def wrong_cells(rows, peak, within=0.05):
    """Cells that the tokens per second contradict, and what they should say.

    TODO: return a dictionary from (gpus, column) to the right value; columns are "mfu" and "flops_per_s".

    APPROACH:
    1. Operations per token: flops_per_s / tokens_per_s of each row; take the median over rows, which one wrong cell
       cannot move far.
    2. A row's right flops_per_s is its tokens_per_s times that, its right mfu is flops_per_s over gpus * peak.
    3. Keep the cells that differ from what is right by more than `within`, as a fraction of what is right.

    EXAMPLE: if three rows of 2 GPUs do 10 tokens and 100 operations a second, and a fourth says 10 tokens and 150
        operations, the result is {(2, "flops_per_s"): 100.0}.

    HINT: statistics.median; compute both right values for a row, then compare both.
    """
    ### BEGIN SOLUTION
    per_token = statistics.median(row["flops_per_s"] / row["tokens_per_s"] for row in rows)
    wrong = {}
    for row in rows:
        flops = row["tokens_per_s"] * per_token
        for column, right in (("flops_per_s", flops), ("mfu", flops / (row["gpus"] * peak))):
            if abs(row[column] - right) > within * right:
                wrong[row["gpus"], column] = right
    return wrong
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-wrong-cells", "points": 2} exercises=["wrong-cells"]
# Test 8a · wrong_cells · 2 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("wrong_cells", points=2, off_limits=("course_lib.arithmetic",))
PRINTED = [
    dict(zip(("gpus", "tokens_per_s", "mfu", "flops_per_s"), row, strict=True))
    for row in (
        (512, 74.1e3, 0.499, 77.6e15), (768, 103.8e3, 0.467, 111.9e15), (1024, 132.7e3, 0.447, 131.9e15),
        (3072, 433.6e3, 0.487, 466.8e15), (6144, 851.6e3, 0.478, 916.3e15), (8192, 1027.9e3, 0.433, 1106.7e15),
        (12288, 1466.8e3, 0.412, 1579.5e15),
    )
]  # fmt: skip
check.number("how many cells are wrong", lambda: wrong_cells(PRINTED, 312e12).__len__(), 1)
check.number(
    "1,024 GPUs: which cell, and what it should say",
    lambda: wrong_cells(PRINTED, 312e12)[1024, "flops_per_s"],
    142.8e15,
    rel=0.005,
    hint="does the tokens per second agree with the MFU or with the PFLOP/s?",
)
### BEGIN HIDDEN TESTS
check.hide()
SOUND = [{"gpus": n, "tokens_per_s": 10.0 * n, "mfu": 0.4, "flops_per_s": 40.0 * n} for n in (1, 2, 4, 8)]
check.number("a sound table", lambda: wrong_cells(SOUND, 100.0).__len__(), 0)
MISPRINT = [*SOUND[:3], SOUND[3] | {"mfu": 0.5}]
check.number("an MFU that is too high", lambda: wrong_cells(MISPRINT, 100.0)[8, "mfu"], 0.4)
check.number("and only that", lambda: wrong_cells(MISPRINT, 100.0).__len__(), 1)
LOW = [SOUND[0] | {"flops_per_s": 34.0}, *SOUND[1:]]
check.number("operations that are too low", lambda: wrong_cells(LOW, 100.0)[1, "flops_per_s"], 40.0)
check.number("a wider margin forgives that", lambda: wrong_cells(LOW, 100.0, within=0.2).__len__(), 0)
EDGE = [SOUND[0] | {"flops_per_s": 48.0}, *SOUND[1:]]
check.number("another peak makes every MFU wrong", lambda: wrong_cells(SOUND, 50.0).__len__(), 4)
check.number("20 % too many are over a margin of 15 %", lambda: wrong_cells(EDGE, 100.0, 0.15).__len__(), 1)
EVEN = [{"gpus": n, "tokens_per_s": 2.0 * n, "mfu": 0.25, "flops_per_s": 8.0 * n} for n in (1, 2, 4, 8)]
ON_THE_MARGIN = [EVEN[0] | {"flops_per_s": 9.0}, *EVEN[1:]]
check.number(
    "an eighth too many is not more than a margin of an eighth",
    lambda: wrong_cells(ON_THE_MARGIN, 32.0, 0.125).__len__(),
    0,
    weight=0.5,
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# **b) 47 % of peak, then 51 %.** SC21 (Narayanan et al. 2021, arXiv:2104.04473, table 1) prints 148 TFLOP/s and **47
# % of peak** for 145.6 billion parameters: 80 layers of width 12,288, sequences of 2,048, a vocabulary of 51,200. A
# year later Korthikanti et al. (arXiv:2205.05198, table 5) print an **MFU of 51.4 %** for 175 billion. A slide puts
# both into one column and finds the newer software 9 % faster. But SC21 counts the operations that its GPUs
# *performed*, and they computed every activation twice to save memory:
#
# - performed, with full recomputation: 96 · *B s l h*² · (1 + *s*/6*h* + *V*/16*lh*)
# - needed by the model, which MFU counts: 72 · *B s l h*² · (1 + *s*/6*h* + *V*/12*lh*)


# %% nbgrader={"solution": true, "grade_id": "comparable-mfu"}
def comparable_mfu(flops_per_s, peak, layers, hidden, sequence, vocabulary):
    """The MFU of a run whose operations were counted with full recomputation.

    TODO: return the fraction of the peak that the model's own operations make up.

    APPROACH:
    1. performed = 96 * (1 + sequence / (6 * hidden) + vocabulary / (16 * layers * hidden)); B s l h² cancels out.
    2. needed = 72 * (1 + sequence / (6 * hidden) + vocabulary / (12 * layers * hidden)).
    3. Return flops_per_s / peak times needed / performed.

    EXAMPLE: comparable_mfu(50, 100, 1, 1000, 0, 0) gives 0.375: without attention and vocabulary the ratio is 3 to 4.

    HINT: one of the two formulas divides the vocabulary by 16, the other by 12: the last layer is not computed twice.
    """
    ### BEGIN SOLUTION
    attention = sequence / (6 * hidden)
    performed = 96 * (1 + attention + vocabulary / (16 * layers * hidden))
    needed = 72 * (1 + attention + vocabulary / (12 * layers * hidden))
    return flops_per_s / peak * needed / performed
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-comparable-mfu", "points": 2} exercises=["comparable-mfu"]
# Test 8b · comparable_mfu · 2 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("comparable_mfu", points=2, off_limits=("course_lib.arithmetic",))
check.number(
    "what the slide should say in place of 47 %",
    lambda: comparable_mfu(148e12, 312e12, 80, 12288, 2048, 51200),
    0.35613,
    rel=1e-4,
)
check.number("three quarters without attention", lambda: comparable_mfu(50, 100, 1, 1000, 0, 0), 0.375)
### BEGIN HIDDEN TESTS
check.hide()
# SC21 table 1: 1.7 billion, 24 layers of 2,304, 137 TFLOP/s. A small model: the vocabulary matters.
check.number("1.7 billion", lambda: comparable_mfu(137e12, 312e12, 24, 2304, 2048, 51200), 0.33459, rel=1e-4)
check.number("by hand", lambda: comparable_mfu(1.0, 1.0, 2, 1, 6, 96), 0.75 * 6 / 5)
check.number("by hand, other shape", lambda: comparable_mfu(3.0, 4.0, 1, 2, 12, 96), 0.75 * 0.75 * 6 / 5)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# So the step from one to the other was 51.4 to 35.6, a factor of 1.44 in place of 1.09.
#
# **c) A peak that nobody ships.** A utilization needs a peak to divide by. A matrix engine performs 2 operations with
# each of its multipliers in each cycle. What the makers printed (BF16 or FP16, dense), and the clocks of the parts:
#
# | chip | matrix engines | multipliers in each | clock, GHz | printed TFLOP/s |
# |---|---|---|---|---|
# | V100 | 640 | 64 | 1.53 | 125 |
# | A100 | 432 | 256 | 1.41 | 312 |
# | H100 | 528 | 512 | 1.83 | 989 |
# | Gaudi 2 | 2 | 65,536 | 1.65 | 432 |
# | Gaudi 3 | 8 | 65,536 | 1.60 | 1,835 |


# %% nbgrader={"solution": true, "grade_id": "wrong-peaks"}
def wrong_peaks(chips, within=0.02):
    """Printed peaks that do not follow from the chip, and what they should say.

    TODO: return a dictionary from chip to right peak in TFLOP/s.

    APPROACH:
    1. A chip is (name, engines, multipliers, clock in GHz, printed TFLOP/s).
    2. The right peak is 2 * engines * multipliers * clock, in GFLOP/s; divide by 1000.
    3. Keep the chips whose printed peak differs by more than `within`, as a fraction of the right one.

    EXAMPLE: wrong_peaks([("toy", 1, 500, 1.0, 2.0)]) gives {"toy": 1.0}.

    HINT: a printed peak may also be too low.
    """
    ### BEGIN SOLUTION
    right = {name: 2 * engines * multipliers * clock / 1000 for name, engines, multipliers, clock, _ in chips}
    return {name: right[name] for name, *_, printed in chips if abs(printed - right[name]) > within * right[name]}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-wrong-peaks", "points": 2} exercises=["wrong-peaks"]
# Test 8c · wrong_peaks · 2 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check(
    "wrong_peaks", points=2, off_limits=("course_lib.arithmetic", "course_lib.catalog")
)
CHIPS = (
    ("V100", 640, 64, 1.53, 125), ("A100", 432, 256, 1.41, 312), ("H100", 528, 512, 1.83, 989),
    ("Gaudi 2", 2, 65_536, 1.65, 432), ("Gaudi 3", 8, 65_536, 1.60, 1835),
)  # fmt: skip
check.number("chips with a wrong peak", lambda: wrong_peaks(CHIPS).__len__(), 1)
check.number("what Gaudi 3 can do at its clock", lambda: wrong_peaks(CHIPS)["Gaudi 3"], 1677.7, rel=1e-3)
### BEGIN HIDDEN TESTS
check.hide()
TOYS = (("low", 2, 250, 3.0, 2.9), ("right", 2, 250, 3.0, 3.05))
check.number("a peak that is too low", lambda: wrong_peaks(TOYS)["low"], 3.0)
check.number("within 2 % is right", lambda: wrong_peaks(TOYS).__len__(), 1)
check.number("a wider margin", lambda: wrong_peaks(TOYS, 0.1).__len__(), 0)
check.number("a narrower one", lambda: wrong_peaks(TOYS, within=0.01).__len__(), 2)
check.number(
    "an eighth too much is not more than a margin of an eighth",
    lambda: wrong_peaks([("edge", 1, 500, 4.0, 4.5)], 0.125).__len__(),
    0,
    weight=0.5,
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# A Gaudi 3 has been measured at 1,243 TFLOP/s in a large matrix product (stas00/ml-engineering). That is 68 % of the
# printed peak and 74 % of what the part at hand can do. Neither is a lie, but only one compares it with an H100.
#
# ## 9 · The report
#
# Everything that you have measured, in one place. Your report uses these numbers:

# %%
print(f"{PARAMETERS:,} parameters, {CONFIG.global_batch} sequences of {CONFIG.sequence_length} tokens in a step")
heads = ("ms/step", "from, to", "held MB", "sent MB", "ring MB", "strays by")
print(f"{'engine':8s} {'ranks':>5s} " + " ".join(f"{head:>10s}" for head in heads))
for kind, ranks in runs.items():
    slowest = [1000 * max(step) for step in zip(*(rank["seconds"] for rank in ranks), strict=True)]
    spread = f"{min(slowest):.0f}, {max(slowest):.0f}"
    ring = sent_bytes_per_step(kind, blocks, rest, len(ranks))
    print(
        f"{kind:8s} {len(ranks):5d} {statistics.median(slowest):10.0f} {spread:>10s} "
        f"{ranks[0]['held'].total / 1e6:10.2f} {ranks[0]['sent'] / 1e6:10.2f} {ring / 1e6:10.2f} "
        f"{gaps.get(kind, 0.0):10.1e}"
    )
print("\nslow loop: " + ", ".join(f"{phase} {share:.0%}" for phase, share in slow_times.shares.items()))
print(f"mended: {statistics.median(ratios):.1f} times as fast, from {ratios[0]:.1f} to {ratios[-1]:.1f}")

# %% [markdown]
# Write to the team, in 200 to 350 words. Next month the job grows to a model of **7 billion parameters on 64 GPUs of
# 80 GB**, with NCCL in place of gloo, trained with AdamW in 32 bits as here. A reader looks for five things:
#
# 1. **The measurement**: which engines were compared how, whether they train the same model, and which differences of
#    your table are real and which are noise. Say which of them follow from gloo or from this laptop.
# 2. **The slow loop**: what held it back, by numbers, what you changed, and the ratio with its range. Did the gain
#    come near what task 5 predicted? If not, why?
# 3. **Memory**: what a rank holds at 7 billion parameters with each engine, by your formula, and what that rules out.
# 4. **The recommendation**: which engine, with what it costs in bytes sent, and one case in which you would decide
#    otherwise.
# 5. **What you do not know**: one claim that two ranks on a laptop cannot support, and the measurement that would
#    settle it.

# %% [markdown] nbgrader={"grade": true, "solution": true, "grade_id": "report", "points": 10}
# ### BEGIN SOLUTION
# Measured on two ranks of a shared laptop, twelve steps each, the same batches: all three engines stay within 1.2e-7
# of the single process, so they train the same model. DDP took 21 ms a step (19 to 28), Horovod 30 (26 to 40): the
# ranges touch, so I call DDP faster on this laptop and would not bet on it elsewhere. FSDP's 60 ms (53 to 68) is really
# slower here. It sends 1.66 MB a step against 0.84, of which 0.42 are gloo's doing, whose reduce-scatter is an
# all-reduce; a ring would send 1.24. Bytes and memory are exact, times are this laptop's.
#
# The slow loop waited for data 60 % of its time and exchanged gradients for 35 %: both ranks read all 16 sequences
# one by one, and 84 all-reduces ran in each step. I read own rows with 8 threads, exchange at the last microbatch in
# DDP's buckets, and gather losses at the end: 6.2 times as fast, from 6.2 to 6.6. Hiding the data alone would have
# given 2.5; the rest is the exchange.
#
# At 7 billion parameters DDP and Horovod hold 28 + 28 + 56 = 112 GB on every rank, more than 80 GB before any
# activation. FSDP holds 1.75 GB on each of 64. That rules the other two out as the job is specified.
#
# I recommend FSDP. It sends up to 83 GB a step and rank with a real reduce-scatter, DDP would send 55: one and a half
# times as much, and the next block's gather can run beside the computation. For a model of 3 billion (48 GB) I would
# take DDP, which sends less. Horovod had no advantage that I could measure, and its last release is old.
#
# What I cannot say is whether those 83 GB hide behind the computation over the cluster's network. Two ranks on one
# machine have no network. Twenty steps of FSDP on two nodes, with the exchange switched off and on, would show how
# much is exposed.
# ### END SOLUTION

# %% [markdown]
# ## Stretch · Send one number in a hundred
#
# Not graded. Most entries of a gradient are tiny. **Top-k** sends only the largest, as pairs of place and value, and
# keeps the rest in a **memory** that is added to the next gradient: nothing is lost, only late. Without the memory,
# entries that are always small are never sent, and the model never learns what they say.


# %% nbgrader={"solution": true, "grade_id": "top-k"}
def top_k(gradient, memory, count):
    """The largest entries of gradient plus memory, and what remains.

    TODO: return (places, values, memory): int64 and float32 tensors of `count` entries, and the new memory.

    APPROACH:
    1. Add the memory to the gradient.
    2. The places of the `count` largest magnitudes: torch.topk(total.abs(), count).indices.
    3. The new memory is the total with zeros at these places.

    EXAMPLE: top_k(torch.tensor([1., -5., 2.]), torch.zeros(3), 1) gives ([1], [-5.], [1., 0., 2.]).

    HINT: clone before you write zeros.
    """
    ### BEGIN SOLUTION
    total = gradient + memory
    places = torch.topk(total.abs(), count).indices
    rest = total.clone()
    rest[places] = 0
    return places, total[places], rest
    ### END SOLUTION


# %% nbgrader={"grade": false, "grade_id": "self-check-top-k"}
# Self-check for the stretch task: no points, only an answer.
import importlib

import numpy as np
import torch

from course_lib import labkit

check = importlib.reload(labkit).Check("top_k", points=0)


def sent_in_all(rounds):
    """What arrives when the same gradient comes again and again."""
    gradient, memory, arrived = torch.tensor([8.0, 1.0, 0.5, -4.0]), torch.zeros(4), torch.zeros(4)
    for _ in range(rounds):
        places, values, memory = top_k(gradient, memory, 1)
        arrived[places] += values
    return arrived + memory


check.array(
    "one of three", lambda: top_k(torch.tensor([1.0, -5.0, 2.0]), torch.zeros(3), 1)[1], np.array([-5.0], np.float32)
)
check.array(
    "nothing is lost: sent and remembered together, after 40 rounds",
    lambda: sent_in_all(40),
    np.array([320.0, 40.0, 20.0, -160.0], np.float32),
)
check.score()

# %% [markdown]
# The library has it as a hook of DDP: `build_engine("ddp", CONFIG, compression="topk")`. Horovod has
# `compression="fp16"` instead. Run `trained` with either (it takes more options after small changes) and look at two
# columns of your table: the bytes, and by how much the curve strays.
