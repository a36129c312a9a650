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
#     title: Expert parallelism
#     hours: 2
#     points: 50
#     after: book/moe/03-expert-parallelism
#     requires:
#     - book/distributed/02-collectives
#     - book/distributed/03-ddp-fsdp-horovod
#     - book/moe/01-routing
#     - book/moe/02-load-balance
#     - book/moe/03-expert-parallelism
#     rooms: [labkit, moe, moe.expert_parallel, runtime, runtime.exchanges]
#     equivalent_mutants: []
# ---

# %% [markdown]
# # Lab 09 · Expert parallelism
#
# Your mixture has 64 experts in each layer, and they no longer fit on one device. Somebody proposes to put eight of them on
# each of eight devices and to send the tokens around. It sounds simple, and then the questions start. How does a
# token find its expert, and its result find the way back? What does a rank do that gets no token at all? Who divides which
# gradient by how many ranks? And what happens on the day when half of all tokens want the same expert?
#
# You find out by writing the whole path: sort, count, send, work, send back. It runs between real processes, and it has to
# give **the same output and the same gradients** as a layer that holds all experts itself. Then you predict the bytes that
# it sends and have them counted, fill blocks of fixed size, look at a hot expert, and repair the one division that almost
# everybody gets wrong.
#
# **How it works**
#
# - Write your code where a cell says `# YOUR CODE HERE`, and delete the line `raise NotImplementedError()`.
# - Below each such cell is a test cell. Run it as often as you like. For tasks 2, 3, 5, 6 and 9 it starts real processes,
#   which takes a few seconds. If they wait for each other, they are ended after 20 seconds, and the message says where each
#   of them stood.
# - When you hand in, hidden checks run too: the same with other sizes, routings and numbers of ranks.
# - Before you hand in: **Kernel → Restart Kernel and Run All Cells**, then press **Validate** in the toolbar (in a
#   terminal: `nbgrader validate lab09-expert-parallel.ipynb`). The written answer counts as missing until you replace
#   `YOUR ANSWER HERE`.
#
# **What you need**: the chapters *Routing*, *Load balance* and *Expert parallelism*, and *Collectives and networks* for the
# all-to-all. Inside the ranks, use `torch.distributed`'s `all_to_all_single`, and `all_reduce` in task 9; the course's
# own expert parallelism is recognized and stops the test. Plan two hours, one of them for tasks 3 to 5.
#
# | task | function | points |
# |---|---|---|
# | 1 | `sort_by_expert` | 3 |
# | 2 | `exchange_counts`: who gets how much? | 3 |
# | 3 | `send_rows`, and its gradient `send_back` | 5 |
# | 4 | `by_local_expert`: what arrives is not sorted | 4 |
# | 5 | `parallel_experts` and `parallel_layer` | 9 |
# | 6 | `bytes_sent` | 4 |
# | 7 | `pack`: blocks of fixed size | 4 |
# | 8 | `layer_seconds` with a hot expert | 3 |
# | 9 | `expert_gradient`: divided by what? | 4 |
# | 10 | two published tables | 3 |
# | 11 | written answer | 8 |
#
# Names: there are `ranks` processes and `count` experts; rank *r* holds experts *r · count / ranks* up to the next rank's
# first. A **row** is a token on its way to one expert: a token with two experts makes two rows.

# %%
import math
import time

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import torch
import torch.distributed as dist
import torch.nn.functional as F

from course_lib.runtime import Launcher, LaunchError

# Figures travel as data and JupyterLab draws them: no network needed.
pio.renderers.default = "plotly_mimetype"

RANKS = 4  # processes of this machine that play the cluster


def run_experts(rows, counts, up, down):
    """What an expert computes, given: rows (rows, hidden) sorted by expert, counts (experts,), the experts' matrices."""
    out = []
    for mine, up_e, down_e in zip(rows.split(counts.tolist()), up, down, strict=True):
        gate, value = F.linear(mine, up_e).chunk(2, dim=-1)  # (rows, inner) each
        out.append(F.linear(F.silu(gate) * value, down_e))
    return torch.cat(out)


# %% [markdown]
# ## 1 · Sort by expert
#
# A router gives each token *k* experts: a tensor `experts` of shape (tokens, k). Read line by line, it is a list of
# tokens · k **pairs**; pair number *i* belongs to token *i // k*. Experts want their rows side by side, and so does
# an all-to-all, which cuts one tensor into pieces for the ranks. As a rank's experts follow one another, **one
# sort serves both**.


# %% nbgrader={"solution": true, "grade_id": "sort-by-expert"}
def sort_by_expert(experts, count):
    """The pairs of tokens and experts in the order of the experts, and how many each expert has.

    TODO: return (order, counts): the numbers of the pairs sorted by expert, and the number of pairs of each expert.

    APPROACH:
    1. Make experts (tokens, k) one list.
    2. Sort it, and keep where each element came from. Pairs of the same expert must stay in their own order.
    3. Count how often each of the `count` experts occurs; one that never occurs has 0.

    EXAMPLE: sort_by_expert(torch.tensor([[2, 0], [0, 3]]), 5) gives [1, 2, 0, 3] and [2, 0, 1, 1, 0]: expert 0 is asked
        by pairs 1 and 2, that is by token 0 and by token 1.

    HINT: torch.argsort has an argument `stable`, torch.bincount has `minlength`.
    """
    ### BEGIN SOLUTION
    flat = experts.flatten()
    order = np.argsort(flat.numpy(), kind="stable")
    return torch.from_numpy(order), torch.bincount(flat, minlength=count)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-sort-by-expert", "points": 3} exercises=["sort-by-expert"]
# Test 1 · sort_by_expert · 3 points
import importlib

import numpy as np
import torch

from course_lib import labkit

check = importlib.reload(labkit).Check("sort_by_expert", points=3, off_limits=("course_lib.moe",))
PAIRS = torch.tensor([[2, 0], [0, 3]])
check.array("the docstring's example: order", lambda: sort_by_expert(PAIRS, 5)[0], np.array([1, 2, 0, 3]))
check.array(
    "the docstring's example: counts",
    lambda: sort_by_expert(PAIRS, 5)[1],
    np.array([2, 0, 1, 1, 0]),
    hint="an expert that nobody asks has a count too: minlength",
)
### BEGIN HIDDEN TESTS
check.hide()
many = np.random.default_rng(1).integers(6, size=(400, 3))
check.array(
    "1,200 pairs stay in their order within an expert",
    lambda: sort_by_expert(torch.from_numpy(many), 8)[0],
    many.ravel().argsort(kind="stable"),
    hint="stable=True",
)
check.array(
    "and are counted", lambda: sort_by_expert(torch.from_numpy(many), 8)[1], np.bincount(many.ravel(), minlength=8)
)
none = torch.zeros(0, 2, dtype=torch.int64)
check.array("no token at all", lambda: sort_by_expert(none, 3)[1], np.zeros(3, dtype=np.int64))
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 2 · Who gets how much?
#
# Nobody knows how many rows will come. A receiver has to make room before a message arrives, so **numbers travel first**.
# `dist.all_to_all_single(into, outof)` cuts `outof` into as many equal pieces as there are ranks, hands piece *r* to
# rank *r*, and collects in `into` what the others have cut for us, rank 0's piece first.


# %% nbgrader={"solution": true, "grade_id": "exchange-counts"}
def exchange_counts(counts):
    """Tell every rank how many rows each of its experts gets from here, and hear the same from all.

    TODO: return a tensor (ranks, experts on each rank): line r holds the rows that rank r has for each expert of ours.

    APPROACH:
    1. counts (experts of all ranks,) is sorted by expert, so it is sorted by rank already.
    2. Make room for as many numbers, of the same type, and exchange.
    3. Give the result one line for each rank.

    EXAMPLE: two ranks, four experts. Rank 0 brings [1, 2, 3, 4], rank 1 brings [5, 6, 7, 8]. Rank 0, which holds experts 0
        and 1, gets [[1, 2], [5, 6]]; rank 1 gets [[3, 4], [7, 8]].

    HINT: torch.empty_like(counts) makes room; dist.get_world_size() is the number of ranks.
    """
    ### BEGIN SOLUTION
    arriving = torch.empty_like(counts)
    dist.all_to_all_single(arriving, counts)
    return arriving.view(dist.get_world_size(), -1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-exchange-counts", "points": 3} exercises=["exchange-counts"]
# Test 2 · exchange_counts · 3 points
import importlib

import numpy as np
import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.runtime import Launcher
from course_lib.runtime.exchanges import Exchanges

check = importlib.reload(labkit).Check("exchange_counts", points=3, unchanged=("course_lib.runtime",))


def counts_on_rank(tables):
    with Exchanges(off_limits=("course_lib.moe",)) as exchanges:
        found = {name: exchange_counts(torch.from_numpy(table[dist.get_rank()])) for name, table in tables.items()}
    return found | {"exchanges": len(exchanges.all)}


FOUR = {"small": np.arange(1, 9).reshape(2, 4), "odd": np.random.default_rng(2).integers(99, size=(2, 10))}
SIX = {"three": np.random.default_rng(3).integers(99, size=(3, 6))}
with Launcher() as launch:
    two = labkit.Ranks(launch, counts_on_rank, 2, FOUR, timeout_seconds=20)
    three = labkit.Ranks(launch, counts_on_rank, 3, SIX, timeout_seconds=20)
check.array(
    "the docstring's example: rank 0",
    two.of("small", 0),
    np.array([[1, 2], [5, 6]]),
    hint="one line for each rank that sends, one column for each expert that lies here",
)
check.array("the docstring's example: rank 1", two.of("small", 1), np.array([[3, 4], [7, 8]]))
check.equal("one exchange for each call", two.of("exchanges"), 2)
### BEGIN HIDDEN TESTS
check.hide()
check.array("ten experts on two ranks", two.of("odd", 1), FOUR["odd"][:, 5:])
for rank in range(3):
    check.array(f"rank {rank} of three", three.of("three", rank), SIX["three"][:, 2 * rank : 2 * rank + 2])
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 3 · Send rows, and send gradients back
#
# Now the rows. `all_to_all_single(into, outof, receives, sends)` takes lists of sizes too: `sends[r]` rows of `outof` go to
# rank *r*, and `receives[r]` rows come from it.
#
# Autograd does not look through a message. What is the gradient of an exchange? Each row of the output **is** a row
# of some rank's input, so its gradient belongs to that rank: the backward pass is the same exchange with senders and
# receivers swapped. All ranks must take part in it, also one that has nothing to send: if autograd never reaches the
# exchange on one rank, the others wait for it for ever. (DeepSpeed users met this as a hang whenever some expert got no
# token; its issue 4808.)


# %% nbgrader={"solution": true, "grade_id": "send-rows"}
def send_rows(rows, sends, receives):
    """Hand out rows to all ranks and collect theirs.

    TODO: return a tensor with the rows that arrive, those of rank 0 first.

    APPROACH:
    1. Make room for sum(receives) rows of the same type and width.
    2. Exchange with dist.all_to_all_single, which wants contiguous memory: rows.contiguous().

    EXAMPLE: rank 0 has rows a, b, c and sends=[1, 2]; rank 1 has row d and sends=[1, 0]. Then rank 0 calls
        send_rows(rows, [1, 2], [1, 1]) and gets a, d; rank 1 calls send_rows(rows, [1, 0], [2, 0]) and gets b, c.

    HINT: rows.new_empty(shape) makes room with the type of `rows`.
    """
    ### BEGIN SOLUTION
    arriving = rows.new_empty((sum(receives), rows.shape[1]))
    dist.all_to_all_single(arriving, rows.contiguous(), receives, sends)
    return arriving
    ### END SOLUTION


# %% nbgrader={"solution": true, "grade_id": "send-back"}
def send_back(gradient, sends, receives):
    """The gradient of `send_rows(rows, sends, receives)`.

    TODO: return the gradient of `rows`, given the gradient of what arrived here.

    APPROACH: each row of `gradient` goes to the rank that the row came from. One call of send_rows does it.

    EXAMPLE: in the example of send_rows, rank 0 holds gradients for a and d; a's stays here and d's goes to rank 1.

    HINT: how many rows go to rank r now, and how many come from it?
    """
    ### BEGIN SOLUTION
    return send_rows(gradient, receives, sends)
    ### END SOLUTION


# %% [markdown]
# With these two, PyTorch can be told how to differentiate an exchange. This cell is given: from here on,
# `Exchange.apply(rows, sends, receives)` is `send_rows` with a gradient.


# %%
class Exchange(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows, sends, receives):
        ctx.sizes = sends, receives
        return send_rows(rows, sends, receives)

    @staticmethod
    def backward(ctx, gradient):
        return send_back(gradient, *ctx.sizes), None, None


# %% nbgrader={"grade": true, "grade_id": "test-send-rows", "points": 5} exercises=["send-rows", "send-back"]
# Test 3 · send_rows and send_back · 5 points
import importlib

import numpy as np
import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.runtime import Launcher
from course_lib.runtime.exchanges import Exchanges

check = importlib.reload(labkit).Check("send_rows and send_back", points=5, unchanged=("course_lib.runtime",))
# line: who sends; column: to whom
TABLES = {
    "example": [[1, 2], [1, 0]],
    "swap": [[0, 3], [2, 0]],
    "empty": [[0, 0], [0, 0]],
    "three": [[2, 0, 5], [1, 1, 1], [0, 4, 3]],
    "silent": [[0, 6, 0], [0, 0, 0], [0, 1, 0]],
}


def numbered(rank, count, dtype=np.float32):
    return (np.arange(3 * count).reshape(count, 3) + 100 * rank).astype(dtype)


def rows_on_rank(tables):
    rank, found = dist.get_rank(), {}
    for name, table in tables.items():
        sends, receives = list(table[rank]), [row[rank] for row in table]
        rows = torch.from_numpy(numbered(rank, sum(sends)))
        with Exchanges(off_limits=("course_lib.moe",)) as exchanges:
            found[name] = send_rows(rows, sends, receives)
        found[f"{name} sent"] = exchanges.bytes_sent
    columns = torch.from_numpy(numbered(rank, 3, np.float64)).t()  # not contiguous
    with Exchanges(off_limits=("course_lib.moe",)):
        found["columns"] = send_rows(columns[:2], [1, 1], [1, 1]) if dist.get_world_size() == 2 else columns
    return found


def back_on_rank(tables):
    rank, found = dist.get_rank(), {}
    for name, table in tables.items():
        sends, receives = list(table[rank]), [row[rank] for row in table]
        with Exchanges(off_limits=("course_lib.moe",)):
            found[name] = send_back(torch.from_numpy(numbered(rank, sum(receives))), sends, receives)
    return found


def arrived(table, rank, back=False):
    table = np.array(table).T if back else np.array(table)
    pieces = [np.split(numbered(r, sum(row)), np.cumsum(row)[:-1])[rank] for r, row in enumerate(table)]
    return np.concatenate(pieces)


with Launcher() as launch:
    of_two, of_three = ({name: table for name, table in TABLES.items() if len(table) == n} for n in (2, 3))
    two = labkit.Ranks(launch, rows_on_rank, 2, of_two, timeout_seconds=20)
    three = labkit.Ranks(launch, rows_on_rank, 3, of_three, timeout_seconds=20)
    two_back = labkit.Ranks(launch, back_on_rank, 2, of_two, timeout_seconds=20)
    three_back = labkit.Ranks(launch, back_on_rank, 3, of_three, timeout_seconds=20)
check.array(
    "the example: rank 0 gets a, d",
    two.of("example", 0),
    arrived(TABLES["example"], 0),
    hint="the order of the call is all_to_all_single(into, outof, receives, sends)",
    weight=2,
)
check.array("the example: rank 1 gets b, c", two.of("example", 1), arrived(TABLES["example"], 1))
check.array(
    "gradients on rank 0 go back to a, b and c",
    two_back.of("example", 0),
    arrived(TABLES["example"], 0, back=True),
    hint="what was received is sent now: swap the two lists",
    weight=2,
)
check.array("gradients on rank 1", two_back.of("example", 1), arrived(TABLES["example"], 1, back=True))
check.equal("rank 0 sends two rows of 12 bytes", two.of("example sent", 0), 24)
check.array("a rank that gets nothing", three.of("silent", 0), arrived(TABLES["silent"], 0))
### BEGIN HIDDEN TESTS
check.hide()
check.array("two ranks swap", two.of("swap", 1), arrived(TABLES["swap"], 1))
check.array("two ranks swap back", two_back.of("swap", 0), arrived(TABLES["swap"], 0, back=True))
check.array("nothing at all", two.of("empty", 1), arrived(TABLES["empty"], 1))
columns = [numbered(r, 3, np.float64).T for r in range(2)]
check.array("float64, not contiguous", two.of("columns", 1), np.stack([columns[0][1], columns[1][1]]))
for rank in range(3):
    check.array(f"rank {rank} of three", three.of("three", rank), arrived(TABLES["three"], rank))
    check.array(f"and back, rank {rank}", three_back.of("three", rank), arrived(TABLES["three"], rank, back=True))
check.array("all to one rank", three.of("silent", 1), arrived(TABLES["silent"], 1))
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 4 · What arrives is not sorted
#
# On the sender's side, one sort served both. On the receiver's side it does not: rows from rank 0 come first, sorted by
# expert, then those from rank 1, sorted by expert again. With two experts here, three ranks may have sent
#
# | from rank | 0 | 0 | 0 | 1 | 1 | 2 |
# |---|---|---|---|---|---|---|
# | for expert | A | A | B | A | B | B |
#
# The counts of task 2 say all of it: here `[[2, 1], [1, 1], [0, 1]]`.


# %% nbgrader={"solution": true, "grade_id": "by-local-expert"}
def by_local_expert(arriving):
    """In which order to take the rows that have arrived, so that they are sorted by expert.

    TODO: return the numbers of the rows, those of our first expert first; within an expert, those from rank 0 first.

    APPROACH:
    1. arriving is (ranks, experts here), the rows from each rank for each expert, as exchange_counts gives it.
    2. Write down the expert of each row in the order of arrival.
    3. Sort that list, and return where each element came from.

    EXAMPLE: by_local_expert(torch.tensor([[2, 1], [1, 1], [0, 1]])) gives [0, 1, 3, 2, 4, 5].

    HINT: the experts' numbers 0, 1, ... once for each rank, then torch.repeat_interleave with all counts in one line.
    """
    ### BEGIN SOLUTION
    experts = torch.arange(arriving.shape[1]).repeat(len(arriving))
    return torch.from_numpy(np.argsort(experts.repeat_interleave(arriving.flatten()).numpy(), kind="stable"))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-by-local-expert", "points": 4} exercises=["by-local-expert"]
# Test 4 · by_local_expert · 4 points
import importlib

import numpy as np
import torch

from course_lib import labkit

check = importlib.reload(labkit).Check("by_local_expert", points=4, off_limits=("course_lib.moe",))


def sorted_rows(arriving):
    rows = [(expert, rank) for rank, line in enumerate(arriving) for expert, n in enumerate(line) for _ in range(n)]
    return np.array(sorted(range(len(rows)), key=rows.__getitem__), dtype=np.int64)


for claim, line in (
    ("the table above", [[2, 1], [1, 1], [0, 1]]),
    ("one rank alone is sorted already", [[2, 0, 3]]),
    ("an expert without rows", [[1, 0, 1], [1, 0, 2]]),
):
    check.array(claim, lambda line=line: by_local_expert(torch.tensor(line)), sorted_rows(line))
### BEGIN HIDDEN TESTS
check.hide()
large = np.random.default_rng(4).integers(60, size=(5, 7))
check.array("five ranks, seven experts", lambda: by_local_expert(torch.from_numpy(large)), sorted_rows(large))
check.array("no row at all", lambda: by_local_expert(torch.zeros(2, 2, dtype=torch.int64)), sorted_rows([[0, 0]]))
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 5 · The whole way
#
# Put it together. First the part between two sorts: rows that are sorted by expert leave, are worked on, and come back
# **in the order in which they left**. Then the layer around it: it gives every pair its token, and sums each token's
# results with the router's weights.
#
# Two traps. Rows that come out of the experts are in the experts' order, and must be put back into the order of arrival
# before they are sent home. And nothing here may depend on how many rows there are: zero is a number like any
# other.


# %% nbgrader={"solution": true, "grade_id": "parallel-experts"}
def parallel_experts(rows, counts, up, down):
    """Have rows worked on by experts that lie on all ranks.

    TODO: return the experts' outputs in the order of `rows`; gradients must flow back to the rows and the matrices.

    APPROACH:
    1. exchange_counts. Rows for each rank are the sums of its experts' counts; rows from each rank the sums of lines.
       The lists must hold Python numbers: .tolist().
    2. Exchange.apply, then by_local_expert, then run_experts with the counts of our own experts.
    3. Undo the order of 2, and Exchange.apply the other way.

    EXAMPLE: rows (5, hidden) with counts [2, 0, 1, 2] on two ranks: the first two rows stay with rank 0's experts, the
        last three go to rank 1, and five rows come back.

    HINT: if sorted = x[order], then x = sorted[order.argsort()].
    """
    ### BEGIN SOLUTION
    arriving = exchange_counts(counts)
    sends = counts.view(len(arriving), -1).sum(1).tolist()
    receives = arriving.sum(1).tolist()
    order = by_local_expert(arriving)
    here = Exchange.apply(rows, sends, receives)[order]
    done = run_experts(here, arriving.sum(0), up, down)
    return Exchange.apply(done[order.argsort()], receives, sends)
    ### END SOLUTION


# %% nbgrader={"solution": true, "grade_id": "parallel-layer"}
def parallel_layer(x, experts, weights, up, down):
    """The mixture's output for this rank's tokens.

    TODO: return (tokens, hidden): for each token the sum over its experts of weight times expert(token).

    APPROACH:
    1. x is (tokens, hidden), experts and weights are (tokens, k); up and down are the matrices of this rank's experts, and
       every rank has equally many.
    2. sort_by_expert; pair i belongs to token i // k.
    3. parallel_experts, then multiply by the pairs' weights, in the same order, and add them up by token.

    EXAMPLE: with k = 1 and weights of 1, each token gets what its one expert makes of it.

    HINT: torch.zeros_like(x).index_add(0, token, values) adds values[i] to line token[i].
    """
    ### BEGIN SOLUTION
    order, counts = sort_by_expert(experts, len(up) * dist.get_world_size())
    token = order // experts.shape[1]
    outputs = parallel_experts(x[token], counts, up, down)
    return torch.zeros_like(x).index_add(0, token, outputs * weights.flatten()[order][:, None])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-parallel-experts", "points": 6} exercises=["exchange-counts", "send-rows", "send-back", "by-local-expert", "parallel-experts"]
# Test 5a · parallel_experts · 6 points
import importlib

import numpy as np
import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.runtime import Launcher
from course_lib.runtime.exchanges import Exchanges

check = importlib.reload(labkit).Check("parallel_experts", points=6, unchanged=("course_lib.runtime",))
HIDDEN, INNER, EXPERTS = 6, 5, 12


def experts_in_full():
    drawn = torch.Generator().manual_seed(7)
    return torch.randn(EXPERTS, 2 * INNER, HIDDEN, generator=drawn), torch.randn(
        EXPERTS, HIDDEN, INNER, generator=drawn
    )


def given_rows(rank, counts):
    return torch.randn(int(counts.sum()), HIDDEN, generator=torch.Generator().manual_seed(rank))


def loads(ranks):
    random = torch.randint(0, 7, (ranks, EXPERTS), generator=torch.Generator().manual_seed(ranks))
    hot, silent = torch.zeros_like(random), torch.zeros_like(random)
    hot[:, -1], silent[0, ::2] = 9, 3
    return {"random": random, "hot": hot, "silent": silent}


def experts_on_rank():
    rank, ranks, found = dist.get_rank(), dist.get_world_size(), {}
    up, down = (matrix.chunk(ranks)[rank].clone().requires_grad_() for matrix in experts_in_full())
    for name, counts in loads(ranks).items():
        rows = given_rows(rank, counts[rank]).requires_grad_()
        with Exchanges(off_limits=("course_lib.moe",)) as exchanges:
            out = parallel_experts(rows, counts[rank], up, down)
            found[name] = out.detach()
            (out * rows.detach().cos()).sum().backward()
        found[f"{name} sent"] = exchanges.bytes_sent
        zero = torch.zeros_like
        found[f"{name} rows"] = zero(rows) if rows.grad is None else rows.grad
        found[f"{name} up"] = zero(up) if up.grad is None else up.grad.clone()
        found[f"{name} down"] = zero(down) if down.grad is None else down.grad.clone()
        up.grad = down.grad = None
    return found


def in_one_process(name, ranks):
    up, down = (matrix.requires_grad_() for matrix in experts_in_full())
    outs, gradients = [], []
    for rank in range(ranks):
        counts = loads(ranks)[name][rank]
        rows = given_rows(rank, counts).requires_grad_()
        pieces = zip(rows.split(counts.tolist()), up, down, strict=True)
        out = torch.cat(
            [torch.nn.functional.silu(r @ u[:INNER].t()) * (r @ u[INNER:].t()) @ d.t() for r, u, d in pieces]
        )
        (out * rows.detach().cos()).sum().backward()
        outs.append(out.detach())
        gradients.append(rows.grad)
    return torch.cat(outs).numpy(), torch.cat(gradients).numpy(), up.grad.numpy().ravel(), down.grad.numpy().ravel()


with Launcher() as launch:
    tried = {ranks: labkit.Ranks(launch, experts_on_rank, ranks, timeout_seconds=20) for ranks in (1, 2, 3)}


def compare(name, ranks, weight=1.0):
    out, rows, up, down = in_one_process(name, ranks)
    told = f"{name} load, {ranks} ranks"
    close = {"rel": 1e-4, "abs": 1e-5, "weight": weight}
    check.array(
        f"{told}: outputs",
        tried[ranks].joined(name),
        out.ravel(),
        **close,
        hint="undo the order before you send back; and every rank takes part in every exchange, with no rows too",
    )
    check.array(
        f"{told}: gradients of rows",
        tried[ranks].joined(f"{name} rows"),
        rows.ravel(),
        **close,
        hint="use Exchange.apply both times: send_rows alone has no gradient",
    )
    check.array(
        f"{told}: gradients of up",
        tried[ranks].joined(f"{name} up"),
        up,
        **close,
        hint="an expert learns from the rows of all ranks",
    )
    check.array(f"{told}: gradients of down", tried[ranks].joined(f"{name} down"), down, **close)


def wire_bytes(name, ranks, rank):
    table = loads(ranks)[name].view(ranks, ranks, -1).sum(2)
    crossing = int(table[rank].sum() + table[:, rank].sum() - 2 * table[rank, rank])
    return 2 * crossing * HIDDEN * 4 + 8 * EXPERTS * (ranks - 1) // ranks


compare("random", 2, 3.0)
compare("silent", 2, 0.5)
check.equal(
    "rank 0 of two sends counts once, and rows and gradients four times",
    tried[2].of("random sent", 0),
    wire_bytes("random", 2, 0),
    hint="rows for other ranks out, results for them back, and their gradients; nothing else",
)
### BEGIN HIDDEN TESTS
check.hide()
compare("random", 1, 0.5)
compare("random", 3, 2.0)
compare("hot", 3, 0.5)
compare("silent", 3, 0.5)
check.equal("bytes of rank 2 of three", tried[3].of("random sent", 2), wire_bytes("random", 3, 2))
### END HIDDEN TESTS
check.score()

# %% nbgrader={"grade": true, "grade_id": "test-parallel-layer", "points": 3} exercises=["sort-by-expert", "exchange-counts", "send-rows", "send-back", "by-local-expert", "parallel-experts", "parallel-layer"]
# Test 5b · parallel_layer · 3 points
import importlib

import numpy as np
import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.moe import MoEConfig, MoELayer
from course_lib.runtime import Launcher
from course_lib.runtime.exchanges import Exchanges

check = importlib.reload(labkit).Check("parallel_layer", points=3, unchanged=("course_lib.runtime", "course_lib.moe"))


def local_layer(experts, chosen):
    torch.manual_seed(experts)
    layer = MoELayer(MoEConfig(hidden_size=8, expert_hidden_size=4, experts=experts, experts_per_token=chosen))
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer


def tokens_of(rank):
    return torch.randn(5 + 3 * rank, 8, generator=torch.Generator().manual_seed(20 + rank))


def layer_on_rank(experts, chosen):
    rank, ranks = dist.get_rank(), dist.get_world_size()
    layer, x = local_layer(experts, chosen), tokens_of(rank).requires_grad_()
    up, down = (p.detach().chunk(ranks)[rank].clone() for p in (layer.experts.up, layer.experts.down))
    routing = layer.router(x)
    with Exchanges(off_limits=("course_lib.moe",)) as exchanges:
        out = parallel_layer(x, routing.experts, routing.weights, up.requires_grad_(), down.requires_grad_())
    out.square().sum().backward()
    return {"out": out.detach(), "x": x.grad, "router": layer.router.weight.grad, "exchanges": len(exchanges.all)}


def by_the_local_layer(experts, chosen, ranks):
    layer, x = local_layer(experts, chosen), torch.cat([tokens_of(rank) for rank in range(ranks)]).requires_grad_()
    out = layer(x)
    out.square().sum().backward()
    return out.detach().numpy().ravel(), x.grad.numpy().ravel(), layer.router.weight.grad.numpy()


with Launcher() as launch:
    two = labkit.Ranks(launch, layer_on_rank, 2, 4, 2, timeout_seconds=20)
    four = labkit.Ranks(launch, layer_on_rank, 4, 12, 3, timeout_seconds=20)
out, gradient, router = by_the_local_layer(4, 2, 2)
close = {"rel": 1e-3, "abs": 1e-4}
check.array(
    "two ranks, four experts, top-2: the local layer's output",
    two.joined("out"),
    out,
    hint="weights.flatten()[order] puts the weights into the order of the rows",
    **close,
)
check.array("gradients of the tokens", two.joined("x"), gradient, **close)
check.array(
    "gradients of the router, added up over the ranks",
    lambda: two.of("router", 0)() + two.of("router", 1)(),
    router,
    hint="the router learns through the weights only: multiply by them after the exchange",
    **close,
)
check.equal("counts, dispatch, combine: three exchanges", two.of("exchanges"), 3)
### BEGIN HIDDEN TESTS
check.hide()
out, gradient, _ = by_the_local_layer(12, 3, 4)
check.array("four ranks, twelve experts, top-3: output", four.joined("out"), out, **close)
check.array("four ranks: gradients of the tokens", four.joined("x"), gradient, **close)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 6 · Predict the bytes
#
# A row crosses a wire twice in the forward pass: to its expert (**dispatch**) and back (**combine**). A row whose expert lies
# on its own rank crosses none. In the backward pass the gradients go the same ways in the other direction. From a table of
# rows, line = who sends, column = to whom, all bytes follow.


# %% nbgrader={"solution": true, "grade_id": "bytes-sent"}
def bytes_sent(rows, rank, row_bytes):
    """What one rank sends for a layer's forward pass, counts left out.

    TODO: return a tuple: (bytes of dispatch, bytes of combine).

    APPROACH:
    1. rows[a][b] is the number of rows that rank a has for experts of rank b; row_bytes is the size of one.
    2. In dispatch a rank sends its rows for other ranks' experts.
    3. In combine it sends back what others had sent to it.

    EXAMPLE: bytes_sent([[5, 1], [4, 7]], 0, 10) gives (10, 40).

    HINT: a line without its diagonal, and a column without its diagonal.
    """
    ### BEGIN SOLUTION
    leaving = sum(rows[rank]) - rows[rank][rank]
    coming = sum(line[rank] for line in rows) - rows[rank][rank]
    return row_bytes * leaving, row_bytes * coming
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-bytes-sent", "points": 4} exercises=["bytes-sent"]
# Test 6 · bytes_sent · 4 points
import importlib

import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.moe.expert_parallel import on_their_ranks
from course_lib.runtime import Launcher
from course_lib.runtime.exchanges import Exchanges

check = importlib.reload(labkit).Check(
    "bytes_sent",
    points=4,
    off_limits=("course_lib.arithmetic",),
    unchanged=("course_lib.runtime", "course_lib.moe"),
)


def counted_on_rank(table, hidden):
    """The course's own layer; what it sends is counted, forward and backward, without the exchange of counts."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    x = torch.randn(sum(table[rank]), hidden, requires_grad=True)
    with Exchanges() as exchanges:
        on_their_ranks(x, torch.tensor(table[rank]), lambda rows, _: rows * 2).sum().backward()
    found = {f"{name} sent": e.bytes_sent for name, e in zip(WAYS, exchanges.all[1:], strict=True)}
    return found | {"ranks": ranks}


WAYS = ("dispatch", "combine", "combine backward", "dispatch backward")
SKEWED = [[50, 10, 40], [70, 0, 5], [90, 20, 30]]  # three experts, one on each rank
with Launcher() as launch:
    three = labkit.Ranks(launch, counted_on_rank, 3, SKEWED, 64, timeout_seconds=60)
counted = [[three.of(f"{way} sent", rank)() for way in WAYS] for rank in range(3)]
check.equal("the docstring's example", lambda: bytes_sent([[5, 1], [4, 7]], 0, 10), (10, 40))
check.equal(
    "three real ranks: dispatch and combine of rank 0, as counted",
    lambda: bytes_sent(SKEWED, 0, 256),
    tuple(counted[0][:2]),
    hint="64 float32 are 256 bytes; what stays on the rank is sent to nobody",
)
check.equal("rank 1, as counted", lambda: bytes_sent(SKEWED, 1, 256), tuple(counted[1][:2]))
### BEGIN HIDDEN TESTS
check.hide()
check.equal("rank 2, as counted", lambda: bytes_sent(SKEWED, 2, 256), tuple(counted[2][:2]))
check.equal(
    "the backward pass of rank 2 sends combine's gradients first, as many bytes as dispatch",
    lambda: bytes_sent(SKEWED, 2, 256),
    (counted[2][2], counted[2][3]),
)
check.equal("balanced: (p - 1) / p of all rows", lambda: bytes_sent([[25] * 4] * 4, 3, 8), (600, 600))
check.equal("a rank alone sends nothing", lambda: bytes_sent([[9]], 0, 4), (0, 0))
### END HIDDEN TESTS
check.score()

# %% [markdown]
# With balanced experts, each rank sends *tokens · k · hidden · bytes · (p − 1) / p*, four times per layer and step. Put in
# numbers of a real model, with bfloat16 rows and 8,192 tokens on each device, and of your own layer, **counted**:

# %%
for name, hidden, chosen, layers in (("Mixtral 8x7B", 4096, 2, 32), ("DeepSeek-V3", 7168, 8, 58)):
    once = 8192 * chosen * hidden * 2 * 7 / 8
    print(
        f"{name}, 8 devices: {once / 1e6:,.0f} MB once, {4 * layers * once / 1e9:,.0f} GB for a step's {layers} layers"
    )


def count_my_layer(hidden=64, experts=8, tokens=500):
    from course_lib.runtime.exchanges import Exchanges

    rank, ranks = dist.get_rank(), dist.get_world_size()
    draw = torch.Generator().manual_seed(rank)
    up = torch.randn(experts // ranks, 16, hidden, generator=draw, requires_grad=True)
    down = torch.randn(experts // ranks, hidden, 8, generator=draw, requires_grad=True)
    x = torch.randn(tokens, hidden, generator=draw, requires_grad=True)
    chosen = torch.rand(tokens, experts, generator=draw).topk(2).indices
    with Exchanges() as exchanges:
        parallel_layer(x, chosen, torch.full((tokens, 2), 0.5), up, down).sum().backward()
    table = [[0] * ranks for _ in range(ranks)]
    table[rank] = torch.bincount(chosen.flatten() // (experts // ranks), minlength=ranks).tolist()
    return table[rank], [exchange.bytes_sent for exchange in exchanges.all]


try:
    with Launcher() as run_on:
        results = run_on(count_my_layer, RANKS, timeout_seconds=60, output="none")
    table = [rows for rows, _ in results]
    for rank, (_, sent) in enumerate(results):
        print(
            f"rank {rank}: predicted {bytes_sent(table, rank, 256)}, counted {tuple(sent[1:3])}, then back {sent[3:]}"
        )
except (NotImplementedError, LaunchError) as stopped:
    print(f"not yet: {str(stopped).splitlines()[0]}")

# %% [markdown]
# ## 7 · Blocks of fixed size
#
# Switch and GShard ran on chips whose compiler wants to know every shape before the first step. They gave each expert
# **room** for a fixed number of rows from each rank, `capacity`. A row that finds no room is dropped (the token
# passes the layer by on its residual path), and room that nobody uses is filled with zeros, sent, and worked on. In
# return nobody exchanges counts, and all messages are equally long.


# %% nbgrader={"solution": true, "grade_id": "pack"}
def pack(rows, counts, capacity):
    """Rows in blocks of fixed size, ready for an all-to-all without lists of sizes.

    TODO: return a tuple (blocks, dropped): blocks (experts, capacity, hidden), and how many rows found no room.

    APPROACH:
    1. rows (rows, hidden) are sorted by expert, counts says how many each has.
    2. Start from zeros. Copy each expert's first rows into its block, at most `capacity` of them.
    3. The rest is dropped: count it, as a Python int.

    EXAMPLE: three rows [1.], [2.], [3.] with counts [2, 0, 1] and capacity 1: blocks [[[1.]], [[0.]], [[3.]]], and 1 is
        dropped.

    HINT: rows.split(counts.tolist()) gives one piece for each expert; piece[:capacity] is never too long.
    """
    ### BEGIN SOLUTION
    blocks = rows.new_zeros(len(counts), capacity, rows.shape[1])
    for expert, piece in enumerate(rows.split(counts.tolist())):
        kept = piece[:capacity]
        blocks[expert, : len(kept)] = kept
    return blocks, int((counts - capacity).clamp(min=0).sum())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-pack", "points": 4} exercises=["pack"]
# Test 7 · pack · 4 points
import importlib

import numpy as np
import torch

from course_lib import labkit

check = importlib.reload(labkit).Check("pack", points=4, off_limits=("course_lib.moe",))


def packed(counts, capacity, hidden=2):
    rows = 1.0 + np.arange(sum(counts) * hidden).reshape(-1, hidden)
    blocks, start = np.zeros((len(counts), capacity, hidden)), 0
    for expert, count in enumerate(counts):
        kept = min(count, capacity)
        blocks[expert, :kept] = rows[start : start + kept]
        start += count
    return torch.from_numpy(rows), blocks, start - int(sum(min(count, capacity) for count in counts))


def compare_pack(claim, counts, capacity, hint=""):
    rows, blocks, dropped = packed(counts, capacity)
    check.array(claim, lambda: pack(rows, torch.tensor(counts), capacity)[0], blocks, hint=hint)
    check.equal(
        f"{claim}: dropped", lambda: pack(rows, torch.tensor(counts), capacity)[1], dropped, hint="an int: int(tensor)"
    )


compare_pack("an expert too many, one without any", [2, 0, 1], 1, "what is not filled stays zero")
compare_pack("room for all", [3, 1], 4)
### BEGIN HIDDEN TESTS
check.hide()
compare_pack("full to the last place", [5, 5, 5], 5)
compare_pack("most are dropped", [40, 1, 0, 7], 3)
compare_pack("no row", [0, 0], 2)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# What does it cost? Below, 4,096 rows for 16 experts, balanced by chance or with one expert that half of them want.
# Look at both ends: room for all means sending mostly zeros, little room means dropping.

# %%
draw = np.random.default_rng(0)
figure = go.Figure()
for name, hot in (("by chance", 1 / 16), ("one hot expert", 0.5)):
    share = np.full(16, (1 - hot) / 15)
    share[0] = hot
    load = torch.from_numpy(draw.multinomial(4096, share))
    factors = np.linspace(0.25, 8, 32)
    rooms = [math.ceil(factor * 4096 / 16) for factor in factors]
    dropped = [int((load - room).clamp(min=0).sum()) / 4096 for room in rooms]
    zeros = [int((room - load).clamp(min=0).sum()) / (16 * room) for room in rooms]
    figure.add_scatter(x=factors, y=dropped, name=f"{name}: dropped")
    figure.add_scatter(x=factors, y=zeros, name=f"{name}: zeros in the blocks", line={"dash": "dot"})
figure.update_layout(
    title="Capacity trades dropped tokens for zeros on the wire",
    xaxis_title="capacity factor",
    yaxis={"title": "share", "tickformat": ".0%"},
)
figure.show()

# %% [markdown]
# ## 8 · A hot expert
#
# Variable sizes drop nothing and send no zeros. But a layer is as slow as its busiest rank: all others wait in the next
# exchange. With *c* seconds of computing for a row, and *s* seconds for a row on a link that carries both directions at once,
# a forward pass takes


# %% nbgrader={"solution": true, "grade_id": "layer-seconds"}
def layer_seconds(rows, row_seconds, send_seconds):
    """Time of a layer's forward pass under any load.

    TODO: return the seconds of dispatch, experts and combine together, each as slow as its busiest rank.

    APPROACH:
    1. rows[a][b] as in task 6. Rank b works on the sum of column b, its own rows included.
    2. An exchange takes as long as the rank that sends or receives most, its own rows left out: send_seconds for each row
       of the larger of the two directions.
    3. Combine is dispatch with the directions swapped, so it takes as long.

    EXAMPLE: layer_seconds([[5, 1], [4, 7]], 1.0, 10.0) gives 89.0: rank 0 works on 9 rows, and 4 rows go to it, twice.

    HINT: the sum of all lines of a table, without the diagonal, column by column: zip(*rows) gives the columns.
    """
    ### BEGIN SOLUTION
    columns = [[line[rank] for line in rows] for rank in range(len(rows))]
    busiest = max(sum(column) for column in columns)
    link = max(sum(line) - line[rank] for lines in (rows, columns) for rank, line in enumerate(lines))
    return row_seconds * busiest + 2 * send_seconds * link
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-layer-seconds", "points": 3} exercises=["layer-seconds"]
# Test 8 · layer_seconds · 3 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("layer_seconds", points=3, off_limits=("course_lib.arithmetic",))
check.number("the docstring's example", lambda: layer_seconds([[5, 1], [4, 7]], 1.0, 10.0), 89.0)
check.number("computing alone", lambda: layer_seconds([[5, 1], [4, 7]], 2.0, 0.0), 18.0, hint="the larger column sum")
check.number("one rank sends all", lambda: layer_seconds([[0, 9, 9], [0, 0, 0], [0, 0, 0]], 0.0, 1.0), 36.0)
### BEGIN HIDDEN TESTS
check.hide()
check.number("balanced", lambda: layer_seconds([[4] * 4] * 4, 1.0, 1.0), 40.0)
check.number("all for one rank", lambda: layer_seconds([[16, 0, 0, 0]] * 4, 1.0, 1.0), 160.0)
check.number("a rank alone", lambda: layer_seconds([[7]], 1.0, 1.0), 7.0)
check.number("what stays at home costs no link", lambda: layer_seconds([[50, 1], [2, 3]], 0.0, 1.0), 4.0)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Now for real: your own `parallel_experts` on four ranks while a growing share of all rows wants the first expert.
# Times are those of this machine at this moment; the pattern is what counts.


# %%
def hot_expert(shares, hidden=128, inner=256, experts=8, rows=512):
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.set_num_threads(1)
    up = torch.randn(experts // ranks, 2 * inner, hidden) * 0.1
    down = torch.randn(experts // ranks, hidden, inner) * 0.1
    told = []
    for share in shares:
        others = int(rows * (1 - share)) // (experts - 1)
        counts = torch.tensor([rows - others * (experts - 1)] + [others] * (experts - 1))
        x = torch.randn(rows, hidden)
        parallel_experts(x, counts, up, down)
        took = []
        for _ in range(5):
            dist.barrier()
            started = time.perf_counter()
            parallel_experts(x, counts, up, down)
            took.append(time.perf_counter() - started)
        here = ranks * int(counts.view(ranks, -1).sum(1)[rank])
        told.append((share, here, sorted(took)[2]))
    return told


try:
    with Launcher() as run_on:
        hot = run_on(hot_expert, RANKS, (0.125, 0.25, 0.5, 0.9), timeout_seconds=120, output="none")
    for case in zip(*hot, strict=True):
        work = [here for _, here, _ in case]
        print(f"{case[0][0]:6.1%} for one expert: rows on the ranks {work}, {1e3 * max(t for *_, t in case):.1f} ms")
except (NotImplementedError, LaunchError) as stopped:
    print(f"not yet: {str(stopped).splitlines()[0]}")

# %% [markdown]
# ## 9 · Divided by what?
#
# Usually there are more devices than ranks that share experts. With *e* expert ranks and *d* replicas, *d · e* ranks in
# all, each has its own tokens, and the loss is the mean over the tokens of **all** of them: each rank computes the mean
# over its own, and what all ranks share is averaged over *d · e*, as DDP does it.
#
# Experts are different. An expert lies on *d* ranks only, one in each replica. The backward exchange has already brought
# it the gradients of all *e* ranks of its replica, **added up**. A DDP over its replicas divides by *d*, and the
# expert's gradient is *e* times too large. Nothing crashes: Adam hides the factor nearly completely. But the gradient norm
# counts experts *e*-fold, clipping starts too early, weight decay and learning rate no longer mean what they meant in the
# single process, and with SGD the experts diverge first.


# %% nbgrader={"solution": true, "grade_id": "expert-gradient"}
def expert_gradient(gradient, replicas):
    """The gradient of the mean loss of all ranks' tokens, for an expert that lies on some ranks.

    TODO: return it as a new tensor; every rank of the group `replicas` calls this.

    APPROACH:
    1. gradient is what the backward pass of this rank's mean loss, and of the other ranks' of its replica, has left here.
    2. Add up the gradients of the expert's replicas: dist.all_reduce(tensor, group=replicas) on a copy.
    3. Divide by the number of ranks whose means make up the loss.

    EXAMPLE: four ranks, two replicas with two expert ranks each. An expert's two copies hold 4.0 and 8.0; both get 3.0.

    HINT: dist.get_world_size() counts all ranks, dist.get_world_size(replicas) those of the group.
    """
    ### BEGIN SOLUTION
    total = gradient.clone()
    dist.all_reduce(total, group=replicas)
    return total / dist.get_world_size()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-expert-gradient", "points": 4} exercises=["expert-gradient"]
# Test 9 · expert_gradient · 4 points
import importlib

import numpy as np
import torch
import torch.distributed as dist

from course_lib import labkit
from course_lib.moe.expert_parallel import on_their_ranks
from course_lib.runtime import Launcher
from course_lib.runtime.exchanges import Exchanges

check = importlib.reload(labkit).Check("expert_gradient", points=4, unchanged=("course_lib.runtime", "course_lib.moe"))
WIDTH, TOKENS = 5, 6


def scaled_on_rank(expert_ranks):
    """One expert on each rank, a weight (width,); a token's loss is the sum of weight * token."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    layout = torch.arange(ranks).view(-1, expert_ranks)
    sharing = [dist.new_group(line.tolist()) for line in layout]
    copies = [dist.new_group(column.tolist()) for column in layout.t()]
    weight = torch.ones(WIDTH, requires_grad=True)
    rows, counts = rows_for(rank, expert_ranks)
    out = on_their_ranks(rows, counts, lambda here, _: here * weight, sharing[rank // expert_ranks])
    (out.sum() / TOKENS).backward()
    kept = weight.grad.clone()
    with Exchanges(off_limits=("course_lib.moe",), also=("allreduce",)):
        found = expert_gradient(weight.grad, copies[rank % expert_ranks])
    return {"gradient": found, "kept": torch.equal(weight.grad, kept)}


def rows_for(rank, expert_ranks):
    draw = torch.Generator().manual_seed(rank)
    rows = torch.randn(TOKENS, WIDTH, generator=draw).requires_grad_()
    counts = torch.bincount(torch.randint(expert_ranks, (TOKENS,), generator=draw), minlength=expert_ranks)
    return rows, counts


def in_one_process(ranks, expert_ranks):
    """Every expert's gradient of the mean over all ranks' tokens, one line for each rank."""
    found = np.zeros((ranks, WIDTH), dtype=np.float32)
    for rank in range(ranks):
        rows, counts = rows_for(rank, expert_ranks)
        for expert, mine in enumerate(rows.detach().split(counts.tolist())):
            found[expert::expert_ranks] += mine.sum(0).numpy() / (ranks * TOKENS)
    return found


with Launcher() as launch:
    tried = {
        (ranks, expert): labkit.Ranks(launch, scaled_on_rank, ranks, expert, timeout_seconds=20)
        for ranks, expert in ((4, 2), (4, 4), (2, 1), (3, 3))
    }
check.array(
    "two replicas of two expert ranks: as one process with all tokens",
    tried[4, 2].stacked("gradient"),
    in_one_process(4, 2),
    hint="twice too large? Then you divided by the replicas only; half as large: the copies were not added up",
    weight=2,
)
check.array(
    "four expert ranks, no replicas",
    tried[4, 4].stacked("gradient"),
    in_one_process(4, 4),
    hint="there is nothing to add up here, and still something to divide by",
)
check.equal("the gradient that was given is as it was", tried[4, 2].of("kept", 1), True, hint="copy it first")
### BEGIN HIDDEN TESTS
check.hide()
check.array("two replicas that hold all experts", tried[2, 1].stacked("gradient"), in_one_process(2, 1))
check.array("three expert ranks", tried[3, 3].stacked("gradient"), in_one_process(3, 3))
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 10 · Two published tables
#
# **a) Switch-XXL** (arXiv:2101.03961, table 9): 395 billion parameters, printed with **64 experts**. *d* = 4,096, the
# experts' inner width is 10,240, with a gate (three matrices), in 24 layers; everything that is no expert
# comes to about 8.1 billion (T5-XXL has 11.1 billion, 3.0 of them in the feed-forward blocks that the experts replace). A
# colleague plans the expert parallelism by the table: 64 ranks, one expert each. Would the model fit?


# %% nbgrader={"solution": true, "grade_id": "experts-that-fit"}
def experts_that_fit(total, rest, layers, hidden, inner, matrices):
    """How many experts a layer must have for a model to have so many parameters.

    TODO: return the nearest whole number.

    APPROACH: one expert has matrices * hidden * inner parameters, and each of the `layers` layers has equally many
        experts; `rest` is everything else.

    EXAMPLE: experts_that_fit(1000, 40, 2, 4, 10, 3) gives 4: 960 / (2 * 120).

    HINT: round(value).
    """
    ### BEGIN SOLUTION
    return round((total - rest) / (layers * matrices * hidden * inner))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-experts-that-fit", "points": 2} exercises=["experts-that-fit"]
# Test 10a · experts_that_fit · 2 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("experts_that_fit", points=2, off_limits=("course_lib.arithmetic",))
check.equal("the docstring's example", lambda: experts_that_fit(1000, 40, 2, 4, 10, 3), 4)
check.equal(
    "Switch-XXL: not the 64 that are printed",
    lambda: experts_that_fit(395e9, 8.1e9, 24, 4096, 10240, 3),
    128,
    hint="the public checkpoint is called switch-xxl-128",
)
### BEGIN HIDDEN TESTS
check.hide()
check.equal("Switch-Base, another row of the table", lambda: experts_that_fit(7.415e9, 0.167e9, 12, 768, 2048, 3), 128)
check.equal("two matrices", lambda: experts_that_fit(1e6, 1e5, 3, 50, 100, 2), 30)
check.equal("nearest, not below", lambda: experts_that_fit(1090, 40, 2, 4, 10, 3), 4)
check.equal("nearest, not above", lambda: experts_that_fit(1070, 40, 1, 4, 10, 3), 9)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# **b) GShard** (arXiv:2006.16668, table 1): every other layer has experts, and a column gives their number in the whole
# model.
#
# | experts in a layer | 2,048 | 2,048 | 512 | 512 | 128 |
# |---|---|---|---|---|---|
# | layers | 36 | 12 | 36 | 12 | 12 |
# | experts in all, as printed | 36,684 | 12,228 | 9,216 | 3,072 | 768 |
#
# If you read the numbers as ranks with one expert each, the first is a cluster. Which ones cannot be right?


# %% nbgrader={"solution": true, "grade_id": "wrong-totals"}
def wrong_totals(columns):
    """Totals that do not follow from their column.

    TODO: return a dictionary from printed to right total, of the columns that are wrong.

    APPROACH: columns is a list of (experts in a layer, layers, printed total); every other layer has experts.

    EXAMPLE: wrong_totals([(8, 4, 16), (8, 6, 42)]) gives {42: 24}.

    HINT: half of the layers: layers // 2.
    """
    ### BEGIN SOLUTION
    return {
        printed: experts * (layers // 2) for experts, layers, printed in columns if printed != experts * (layers // 2)
    }
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-wrong-totals", "points": 1} exercises=["wrong-totals"]
# Test 10b · wrong_totals · 1 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("wrong_totals", points=1, off_limits=("course_lib.arithmetic",))
GSHARD = [(2048, 36, 36684), (2048, 12, 12228), (512, 36, 9216), (512, 12, 3072), (128, 12, 768)]
check.number("the first column", lambda: wrong_totals(GSHARD)[36684], 36864)
check.number("how many are wrong", lambda: wrong_totals(GSHARD).__len__(), 2)
### BEGIN HIDDEN TESTS
check.hide()
check.number("the second column", lambda: wrong_totals(GSHARD)[12228], 12288)
check.number("another table", lambda: wrong_totals([(8, 4, 16), (8, 6, 42), (3, 10, 15)])[42], 24)
check.number("a sound table", lambda: wrong_totals([(8, 4, 16), (3, 7, 9)]).__len__(), 0)
check.equal("an odd number of layers", lambda: wrong_totals([(3, 7, 10)])[10], 9)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 11 · Where do the experts go?
#
# Write to the colleague with the 64 experts, who has eight nodes of eight devices, in 150 to 250 words. A reader looks for
# four things:
#
# 1. **Bytes.** What a layer sends for each rank and step with expert parallelism over eight devices, from your formula and
#    for a size of your choice, and whether counting agreed with predicting.
# 2. **Over what?** Experts shared inside a node (eight expert ranks, eight replicas) or over all 64 devices: what each
#    costs in bytes over which links, in memory, and in gradients that replicas must exchange.
# 3. **A hot expert.** What your measurement showed, whether fixed blocks would have helped, and what you would do
#    about it.
# 4. **A proof.** How you would find out that the gradients of experts are scaled rightly, before a run of weeks, and why
#    the loss curve alone would not tell.

# %% [markdown] nbgrader={"grade": true, "solution": true, "grade_id": "where-to", "points": 8}
# ### BEGIN SOLUTION
# With 8,192 tokens of hidden size 4,096 per device, top-2 and bf16, a rank sends 8,192 · 2 · 4,096 · 2 · 7/8 = 117 MB in
# each exchange, 470 MB for each layer and step. For my small layer prediction and count agreed to the byte, also with
# uneven load.
#
# I would share the experts inside a node. Then all of that stays on NVLink. A device holds 8 of 64 experts, and their
# gradients cross the nodes once a step, however many tokens there are. Over 64 devices a device holds one expert, so
# memory is an eighth and no expert has a replica, but 63/64 of the rows leave the device and 56/64 leave the node, four times per
# layer: 120 MB each time over cards that are an order of magnitude slower than NVLink. I would do that only if the experts do not fit
# otherwise.
#
# With half of all rows for one expert, its rank worked on 1,184 of 2,048 rows, and the layer took about twice as long as
# balanced, because all wait for it. Fixed blocks with factor 1.25 would keep the time, and drop about a third of the rows: the time is
# bought with quality. I would balance the router (bias or loss) and watch the load.
#
# Scaling: compare all gradients after one batch on 4 ranks (2 x 2) with one process in fp32, expert by expert. Adam divides by the
# gradient's own size, so a factor of e hardly shows in the loss; the norm before clipping would show it.
# ### END SOLUTION

# %% [markdown]
# ## Stretch · A token travels once
#
# Not graded. With *k* experts for a token and several experts on each rank, the same token often goes to the same rank
# twice. DeepSeek-V3 sends it once and copies it there; it also limits each token to four nodes, so that no token
# travels more often than that. How many rows does that save?


# %% nbgrader={"solution": true, "grade_id": "rows-once"}
def rows_once(experts, experts_here):
    """Rows that leave when a token goes to each rank at most once.

    TODO: return the number of different ranks of each token, added up over the tokens, as an int.

    APPROACH:
    1. experts is (tokens, k); rank r holds the experts from r * experts_here on.
    2. For each token, count the different ranks among its k experts.

    EXAMPLE: rows_once(torch.tensor([[0, 1], [0, 7]]), 4) gives 3: the first token needs one rank, the second two.

    HINT: sort each line; a rank is new where it differs from the one before.
    """
    ### BEGIN SOLUTION
    ranks = (experts // experts_here).sort(dim=1).values
    return len(ranks) + int((ranks[:, 1:] != ranks[:, :-1]).sum())
    ### END SOLUTION


# %% nbgrader={"grade": false, "grade_id": "self-check-rows-once"}
# Self-check for the stretch task: no points, only an answer.
import importlib

import numpy as np
import torch

from course_lib import labkit

check = importlib.reload(labkit).Check("rows_once", points=0, off_limits=("course_lib.moe",))
chosen = torch.rand(1000, 64, generator=torch.Generator().manual_seed(0)).topk(8).indices
check.equal("the docstring's example", lambda: rows_once(torch.tensor([[0, 1], [0, 7]]), 4), 3)
for here in (8, 16):
    expected = sum(len(set(line)) for line in (chosen // here).tolist())
    check.equal(f"top-8 of 64 experts, {here} on each rank", lambda here=here: rows_once(chosen, here), expected)
check.score()
