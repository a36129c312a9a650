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
#     title: Roofline and the bill
#     hours: 1
#     points: 50
#     after: book/foundations/03-finops-first
#     requires:
#     - book/foundations/01-training-step
#     - book/foundations/02-accelerators
#     - book/foundations/03-finops-first
#     rooms: [catalog, labkit]
#     equivalent_mutants: []
# ---

# %% [markdown]
# # Lab 00 · Roofline and the bill
#
# It is Monday. Your team wants to train an 8-billion-parameter language model on one trillion tokens, and a slide is
# making the rounds: *"Move from H100 to Trainium2 and save 59 %."* By lunch you owe three answers: **what will the run
# cost, does it fit in memory, and is the slide right?**
#
# You will write seven small functions, two to eight lines each. Together they answer the three questions for any model
# on any instance. Plan one hour: about 45 minutes for the functions, 15 for the written answer.
#
# **How it works**
#
# - Write your code where a cell says `# YOUR CODE HERE`, and delete the line `raise NotImplementedError()`.
# - Below each such cell is a test cell. Run it as often as you like: it says what your function returned, what was
#   expected, and gives a hint. Part of a cell's points counts even when one check fails.
# - When you hand in, hidden checks run too. They ask for the same thing with other numbers, edge cases included, so
#   what is right in general also passes there.
# - Before you hand in: **Kernel → Restart Kernel and Run All Cells**, then press **Validate** in the toolbar (in a
#   terminal: `nbgrader validate lab00-cost-of-a-run.ipynb`). It runs the checks that you can see, and counts the written
#   answer as missing until you replace `YOUR ANSWER HERE`.
#
# **What you need**: the chapters *Anatomy of a training step*, *Accelerators side by side* and *FinOps first*.
# Facts (peak rates, prices, model shapes) come from `course_lib.catalog`. The formulas are yours to write: a function
# that calls `course_lib.arithmetic` is recognized and earns nothing.
#
# | task | function | points |
# |---|---|---|
# | 1 | `training_flops` | 6 |
# | 2 | `training_memory_bytes` | 6 |
# | 3 | `first_stage_that_fits` | 4 |
# | 4 | `roofline` | 6 |
# | 5 | `run_bill` | 6 |
# | 6 | `saving` | 6 |
# | 7 | `tokens_per_usd` | 6 |
# | 8 | written advice | 10 |
#
# Units are in the names: FLOPs are counts, `flops_per_s` is a rate, bytes are bytes (1 GB is 1e9 of them), and every
# ratio is a fraction: an MFU of 40 % is `0.4`.

# %%
import plotly.graph_objects as go
import plotly.io as pio

from course_lib.catalog import accelerator, instance, model

# Figures travel as data and JupyterLab draws them: no network needed.
pio.renderers.default = "plotly_mimetype"

RUN = model("llama3-8b")
PARAMETERS = RUN.published_total
TOKENS = 1e12
print(f"{RUN.title}: {PARAMETERS / 1e9:.2f} billion parameters, {RUN.layers} layers, {TOKENS:.0e} tokens")

# %% [markdown]
# ## 1 · How much work is it?
#
# Each parameter takes part in one multiplication and one addition per token on the way forward, and in twice as many on
# the way back: **6 operations per parameter and token**. Attention adds the products of queries with keys and of weights
# with values, which no parameter stands for: **12 · layers · attention width · sequence length** per token, where the
# attention width is heads × head size (PaLM, arXiv:2204.02311, appendix B; nothing is taken off for causal masking).


# %% nbgrader={"solution": true, "grade_id": "training-flops"}
def training_flops(parameters, tokens, layers=0, attention_width=0, sequence_length=0):
    """Operations to train a transformer on `tokens` tokens.

    TODO: return the operations of the parameters plus those of attention, for all tokens.

    APPROACH:
    1. Refuse parameters or tokens of zero or less: raise a ValueError that names the offending value.
    2. Add up the operations per token: 6 per parameter, and 12 * layers * attention_width * sequence_length.
    3. Multiply by the tokens.

    EXAMPLE: 1000 parameters, 10 tokens, 2 layers of width 8, sequences of 4:
        training_flops(1000, 10, 2, 8, 4) gives 67680.

    HINT: with layers=0, the default, attention adds nothing and 6 * parameters * tokens remains.
    """
    ### BEGIN SOLUTION
    if parameters <= 0:
        raise ValueError(f"parameters must be positive, got {parameters}")
    if tokens <= 0:
        raise ValueError(f"tokens must be positive, got {tokens}")
    per_token = 6 * parameters + 12 * layers * attention_width * sequence_length
    return per_token * tokens
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-training-flops", "points": 6} exercises=["training-flops"]
# Test 1 · training_flops · 6 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("training_flops", points=6, off_limits=("course_lib.arithmetic",))
check.number("1e9 parameters, 20e9 tokens", lambda: training_flops(1e9, 20e9), 1.2e20, hint="6 * parameters * tokens")
check.number(
    "the docstring's example, attention included",
    lambda: training_flops(1000, 10, 2, 8, 4),
    67680,
    hint="attention adds 12 * 2 * 8 * 4 operations to each token's 6 * 1000",
)
# GPT-3 XL: Brown et al. 2020, arXiv:2005.14165, table D.1
check.number("GPT-3 XL as published", lambda: training_flops(1.32e9, 300e9), 2.38e21, rel=0.01)
check.refuses(
    "tokens=0 is refused", lambda: training_flops(1e9, 0), naming="0", hint="raise ValueError(f'... {tokens}')"
)
### BEGIN HIDDEN TESTS
check.hide()
# GPT-3 175B: arXiv:2005.14165, table D.1. Chinchilla: Hoffmann et al. 2022, arXiv:2203.15556.
check.number("GPT-3 175B", lambda: training_flops(174.6e9, 300e9), 3.14e23, rel=0.01)
check.number("Chinchilla", lambda: training_flops(70e9, 1.4e12), 5.76e23, rel=0.03)
# PaLM 540B: Chowdhery et al. 2022, arXiv:2204.02311: 238.3 k tokens/s on 6,144 TPU v4 of 275 TFLOP/s are 46.2 % MFU.
check.number(
    "PaLM 540B with attention",
    lambda: training_flops(540.35e9, 238_300, 118, 48 * 256, 2048) / (6144 * 275e12),
    0.462,
    rel=0.002,
    hint="attention counts once per token, with the attention width, not once per head",
)
# By hand: 3 tokens of 12 * 5 * 7 * 11 operations above 3 * 6 * 13.
check.number("attention alone", lambda: training_flops(13, 3, 5, 7, 11) - training_flops(13, 3), 13860)
check.number("one parameter, one token", lambda: training_flops(1, 1), 6, hint="only zero and less are refused")
for parameters, tokens in ((0, 5), (-2, 5), (5, 0), (5, -3)):
    check.refuses(
        "values of zero or less are refused, by name",
        lambda parameters=parameters, tokens=tokens: training_flops(parameters, tokens),
        naming=str(min(parameters, tokens)),
        weight=0.5,
    )
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Now your own run. How much of it is attention?

# %%
attention_width = RUN.heads * RUN.head_dim
plain = training_flops(PARAMETERS, TOKENS)
exact = training_flops(PARAMETERS, TOKENS, RUN.layers, attention_width, RUN.context_length)
print(
    f"6ND: {plain:.3g} operations; with attention at {RUN.context_length} tokens: {exact:.3g} ({exact / plain - 1:+.0%})"
)

# %% [markdown]
# ## 2 · Does it fit?
#
# Training in mixed precision with Adam keeps, for every parameter, 2 bytes of weight, 2 bytes of gradient and 12 bytes of
# optimizer state (a 32-bit copy, momentum and variance). ZeRO splits them among the devices that work on different
# data: **stage 1** splits the optimizer state, **stage 2** the gradients too, **stage 3** also the weights
# (Rajbhandari et al. 2020, arXiv:1910.02054). Activations come on top; here they are a number that you are given.


# %% nbgrader={"solution": true, "grade_id": "training-memory"}
def training_memory_bytes(parameters, devices=1, zero_stage=0, optimizer_bytes=12):
    """Bytes of weights, gradients and optimizer state on each device.

    TODO: return the sum of the three, each divided among the devices if the stage says so.

    APPROACH:
    1. Refuse a zero_stage that is not 0, 1, 2 or 3 with a ValueError that names it.
    2. Start from 2, 2 and optimizer_bytes bytes per parameter.
    3. Divide by devices: optimizer state from stage 1 on, gradients from stage 2 on, weights at stage 3.

    EXAMPLE: 7.5e9 parameters on 4 devices at stage 1 take 52.5e9 bytes on each:
        2 * 7.5e9 + 2 * 7.5e9 + 12 * 7.5e9 / 4.

    HINT: at stage 0 every device holds everything, however many there are.
    """
    ### BEGIN SOLUTION
    if zero_stage not in (0, 1, 2, 3):
        raise ValueError(f"zero_stage must be 0, 1, 2 or 3, got {zero_stage}")
    weights = gradients = 2 * parameters
    optimizer = optimizer_bytes * parameters
    if zero_stage >= 1:
        optimizer = optimizer / devices
    if zero_stage >= 2:
        gradients = gradients / devices
    if zero_stage >= 3:
        weights = weights / devices
    return weights + gradients + optimizer
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-training-memory", "points": 6} exercises=["training-memory"]
# Test 2 · training_memory_bytes · 6 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("training_memory_bytes", points=6, off_limits=("course_lib.arithmetic",))
check.number(
    "7.5 billion parameters on one device: 120 GB",
    lambda: training_memory_bytes(7.5e9),
    120e9,
    hint="16 bytes per parameter: 2 + 2 + 12",
)
# ZeRO, arXiv:1910.02054, table 1: 7.5 billion parameters on 4 devices
check.number("stage 1 on 4 devices: 52.5 GB", lambda: training_memory_bytes(7.5e9, 4, 1), 52.5e9)
check.number("stage 3 on 4 devices: 30 GB", lambda: training_memory_bytes(7.5e9, 4, 3), 30e9)
check.refuses("there is no stage 4", lambda: training_memory_bytes(7.5e9, 4, 4), naming="4")
### BEGIN HIDDEN TESTS
check.hide()
# ZeRO, arXiv:1910.02054, table 1: 128 billion parameters; 41.3 is printed for 41.25.
check.number("stage 2 on 4 devices", lambda: training_memory_bytes(7.5e9, 4, 2), 41.25e9)
check.number("stage 0 on 64 devices", lambda: training_memory_bytes(128e9, 64, 0), 2048e9)
check.number("stage 1 on 64 devices", lambda: training_memory_bytes(128e9, 64, 1), 536e9)
check.number("stage 2 on 64 devices", lambda: training_memory_bytes(128e9, 64, 2), 284e9)
check.number("stage 3 on 64 devices", lambda: training_memory_bytes(128e9, 64, 3), 32e9)
# By hand: SGD with momentum keeps 8 bytes; 10 parameters on 2 devices at stage 1 are 20 + 20 + 40.
check.number(
    "another optimizer", lambda: training_memory_bytes(10, 2, 1, optimizer_bytes=8), 80, hint="use optimizer_bytes"
)
check.refuses("there is no stage -1", lambda: training_memory_bytes(7.5e9, 4, -1), naming="-1")
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ### Which stage do you need?
#
# A higher stage sends more data over the network, so take the lowest one that fits.


# %% nbgrader={"solution": true, "grade_id": "first-stage-that-fits"}
def first_stage_that_fits(bytes_by_stage, device_bytes, activation_bytes=0):
    """The lowest ZeRO stage whose state fits on a device beside the activations.

    TODO: return the lowest stage that fits, or None if none does.

    APPROACH:
    1. Go through the stages from the lowest to the highest, whatever order the dictionary has.
    2. Return the first whose bytes plus activation_bytes are at most device_bytes.
    3. Return None when you have tried them all.

    EXAMPLE: first_stage_that_fits({0: 120, 1: 52, 2: 41, 3: 30}, 80, activation_bytes=30) gives 2.

    HINT: filling a device to the last byte still fits.
    """
    ### BEGIN SOLUTION
    fitting = [stage for stage, needed in bytes_by_stage.items() if needed + activation_bytes <= device_bytes]
    return min(fitting) if fitting else None
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-first-stage-that-fits", "points": 4} exercises=["first-stage-that-fits"]
# Test 3 · first_stage_that_fits · 4 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("first_stage_that_fits", points=4, off_limits=("course_lib.arithmetic",))
STATE = {0: 120e9, 1: 52.5e9, 2: 41.25e9, 3: 30e9}
check.equal("80 GB, no activations: stage 1", lambda: first_stage_that_fits(STATE, 80e9), 1)
check.equal("30 GB of activations push it to stage 2", lambda: first_stage_that_fits(STATE, 80e9, 30e9), 2)
check.equal(
    "16 GB are too few: None, while 60 GB are enough: 1",
    lambda: (first_stage_that_fits(STATE, 16e9), first_stage_that_fits(STATE, 60e9)),
    (None, 1),
    hint="return None, not 0 or False",
)
### BEGIN HIDDEN TESTS
check.hide()
check.equal(
    "filled to the last byte, and one byte too much",
    lambda: (first_stage_that_fits(STATE, 60e9, 30e9), first_stage_that_fits(STATE, 60e9, 30e9 + 1)),
    (3, None),
    hint="at most means <=",
)
check.equal("stage 0 fits", lambda: first_stage_that_fits(STATE, 141e9, 20e9), 0)
check.equal(
    "the dictionary's order does not matter",
    lambda: first_stage_that_fits({3: 30, 1: 52, 2: 41, 0: 120}, 60),
    1,
    hint="sort the stages first",
)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Your run, on 16 devices with 20 GB of activations on each:

# %%
for name in ("a100-40gb", "h100", "trainium2"):
    chip = accelerator(name)
    state = {stage: training_memory_bytes(PARAMETERS, 16, stage) for stage in range(4)}
    print(f"{chip.title}: ZeRO stage {first_stage_that_fits(state, chip.memory_bytes, 20e9)}")

# %% [markdown]
# ## 3 · How fast can a chip be?
#
# A kernel that performs *I* operations for every byte it moves cannot run faster than memory delivers, *I* × bandwidth,
# nor faster than the arithmetic units, the peak. The two meet at the **ridge point**, peak ÷ bandwidth.


# %% nbgrader={"solution": true, "grade_id": "roofline"}
def roofline(peak_flops_per_s, bytes_per_s, intensity):
    """What a chip can attain at an arithmetic intensity, and what holds it back.

    TODO: return two values: the attainable rate in FLOP/s, and "memory" or "compute".

    APPROACH:
    1. Compute the ridge point: peak_flops_per_s / bytes_per_s.
    2. Left of it memory is the limit: intensity * bytes_per_s, "memory".
    3. At it and right of it the arithmetic units are: peak_flops_per_s, "compute".

    EXAMPLE: roofline(989e12, 3.35e12, 100) gives (335e12, "memory"): an H100 that waits for its memory.

    HINT: `return rate, "memory"` returns two values at once.
    """
    ### BEGIN SOLUTION
    ridge = peak_flops_per_s / bytes_per_s
    if intensity < ridge:
        return intensity * bytes_per_s, "memory"
    return peak_flops_per_s, "compute"
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-roofline", "points": 6} exercises=["roofline"]
# Test 4 · roofline · 6 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("roofline", points=6, off_limits=("course_lib.arithmetic",))
# H100: 989 TFLOP/s in BF16, 3.35 TB/s (NVIDIA data sheet)
check.number("H100, 100 FLOP per byte: the rate", lambda: roofline(989e12, 3.35e12, 100)[0], 335e12)
check.equal("H100, 100 FLOP per byte: the bound", lambda: roofline(989e12, 3.35e12, 100)[1], "memory")
check.number("H100, 1000 FLOP per byte: the rate", lambda: roofline(989e12, 3.35e12, 1000)[0], 989e12)
check.equal("H100, 1000 FLOP per byte: the bound", lambda: roofline(989e12, 3.35e12, 1000)[1], "compute")
### BEGIN HIDDEN TESTS
check.hide()
# Trainium2: 667 TFLOP/s in BF16, 2.9 TB/s; Trainium1: 190 and 0.82 (AWS Neuron documentation, 2026-08-21). Ridge: 230, 231.7.
check.number("Trainium2 below its ridge", lambda: roofline(667e12, 2.9e12, 229)[0], 664.1e12)
check.equal("Trainium2 below its ridge: the bound", lambda: roofline(667e12, 2.9e12, 229)[1], "memory")
check.equal("at the ridge itself", lambda: roofline(667e12, 2.9e12, 230)[1], "compute", hint="at the ridge: compute")
check.equal("Trainium1 above its ridge", lambda: roofline(190e12, 0.82e12, 240)[1], "compute")
check.number("Trainium1 above its ridge: the rate", lambda: roofline(190e12, 0.82e12, 240)[0], 190e12)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Your roofline, drawn. The markers are one square matrix product in BF16, *n* × *n* by *n* × *n*: it performs 2*n*³
# operations on 3*n*² elements of 2 bytes, so its intensity is *n*/3. Below the figure are the same numbers as text.

# %%
CHIPS = ("a100-40gb", "h100", "trainium1", "trainium2")
# Okabe and Ito's palette: distinct for color-blind readers too.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
SIZES = (128, 512, 2048, 8192)
figure = go.Figure()
for name, color in zip(CHIPS, COLORS, strict=True):
    chip = accelerator(name)
    peak, bandwidth = chip.peak_flops("bf16"), chip.memory_bandwidth_bytes_per_s
    intensities = sorted([2**exponent for exponent in range(13)] + [peak / bandwidth])
    rates = [roofline(peak, bandwidth, intensity)[0] / 1e12 for intensity in intensities]
    products = [roofline(peak, bandwidth, n / 3) for n in SIZES]
    figure.add_scatter(x=intensities, y=rates, mode="lines", name=chip.title, line_color=color)
    figure.add_scatter(
        x=[n / 3 for n in SIZES],
        y=[rate / 1e12 for rate, _ in products],
        mode="markers",
        marker={"color": color, "size": 9},
        showlegend=False,
        hovertext=[f"{chip.title}, n = {n}: {bound}-bound" for n, (_, bound) in zip(SIZES, products, strict=True)],
    )
    bounds = ", ".join(f"n={n}: {rate / 1e12:,.0f} ({bound})" for n, (rate, bound) in zip(SIZES, products, strict=True))
    print(f"{chip.title:24} ridge {peak / bandwidth:4.0f} FLOP/byte; attainable TFLOP/s at {bounds}")
figure.update_xaxes(type="log", title="arithmetic intensity (FLOP per byte)")
figure.update_yaxes(type="log", title="attainable (TFLOP/s)")
figure.update_layout(title="Where four chips stop waiting for memory (dense BF16)", height=430)
figure.show()

# %% [markdown]
# ## 4 · The bill
#
# Real runs reach a part of the peak, the **model FLOPs utilization (MFU)**: 0.3 to 0.5 is usual. Time is work divided by
# what all chips together really do; the bill is time × instances × price. On spot instances the price is lower, but
# whatever was lost at an interruption is done again: `repeated_work=0.1` means 10 % more time.


# %% nbgrader={"solution": true, "grade_id": "run-bill"}
def run_bill(flops, instances, accelerators_per_instance, peak_flops_per_s, mfu, usd_per_hour, repeated_work=0.0):
    """Time and cost of a run.

    TODO: return a dictionary with "days", "instance_hours" and "usd".

    APPROACH:
    1. Refuse an mfu that is not above 0 and at most 1 with a ValueError that names it.
    2. Seconds: flops divided by the rate of all accelerators at this mfu, times (1 + repeated_work).
    3. Days are seconds / 86400; instance-hours are seconds / 3600 times instances; usd follows from the price of one
       instance for one hour.

    EXAMPLE: 3.6e18 operations on 2 instances of 5 accelerators with 1e14 FLOP/s each, mfu 0.5, 10 USD per hour take
        2 hours: run_bill(3.6e18, 2, 5, 1e14, 0.5, 10.0)["usd"] gives 40.0.

    HINT: somebody will pass an mfu of 40 and mean percent; step 1 is there for them.
    """
    ### BEGIN SOLUTION
    if not 0 < mfu <= 1:
        raise ValueError(f"mfu is a fraction above 0 and at most 1, got {mfu}")
    achieved_flops_per_s = instances * accelerators_per_instance * peak_flops_per_s * mfu
    seconds = flops / achieved_flops_per_s * (1 + repeated_work)
    instance_hours = seconds / 3600 * instances
    return {"days": seconds / 86400, "instance_hours": instance_hours, "usd": instance_hours * usd_per_hour}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-run-bill", "points": 6} exercises=["run-bill"]
# Test 5 · run_bill · 6 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("run_bill", points=6, off_limits=("course_lib.arithmetic",))
check.number("the docstring's example: usd", lambda: run_bill(3.6e18, 2, 5, 1e14, 0.5, 10.0)["usd"], 40.0)
check.number("the docstring's example: days", lambda: run_bill(3.6e18, 2, 5, 1e14, 0.5, 10.0)["days"], 2 / 24)
# Narayanan et al. 2021, arXiv:2104.04473, section 5.1: GPT-3 on 1,024 A100 at 140 TFLOP/s takes 34 days.
check.number(
    "GPT-3 on 128 instances of 8 A100, 140 of 312 TFLOP/s: 34 days",
    lambda: run_bill(8 * 300e9 * 175e9, 128, 8, 312e12, 140 / 312, 21.957642)["days"],
    34,
    rel=0.01,
)
check.refuses("an mfu of 40 is refused", lambda: run_bill(1e18, 1, 8, 989e12, 40, 1.0), naming="40")
### BEGIN HIDDEN TESTS
check.hide()
# Llama 3.1 405B: 3.8e25 operations (arXiv:2407.21783), 30.84 million H100 hours (model card): 34.6 % of the peak.
check.number(
    "Llama 3.1 405B: instance-hours",
    lambda: run_bill(3.8e25, 2048, 8, 989e12, 0.346, 55.04)["instance_hours"],
    30.84e6 / 8,
    rel=0.005,
)
# DeepSeek-V3 (arXiv:2412.19437, table 1): 2.788 million chip-hours at 2 USD are 5.576 million USD.
check.number(
    "DeepSeek-V3: usd",
    lambda: run_bill(2.788e6 * 3600 * 1e15 * 0.25, 256, 8, 1e15, 0.25, 8 * 2.0)["usd"],
    5.576e6,
)
# By hand: the example's 2 hours become 2.5, on 2 instances.
check.number(
    "repeated work: instance-hours", lambda: run_bill(3.6e18, 2, 5, 1e14, 0.5, 10.0, 0.25)["instance_hours"], 5.0
)
check.number("repeated work: usd", lambda: run_bill(3.6e18, 2, 5, 1e14, 0.5, 10.0, 0.25)["usd"], 50.0)
check.number("an mfu of 1 is allowed", lambda: run_bill(8.64e18, 1, 1, 1e14, 1, 0.0)["days"], 1.0)
check.refuses("an mfu of 0 is refused", lambda: run_bill(1e18, 1, 8, 989e12, 0, 1.0), naming="0", weight=0.5)
check.refuses("an mfu of 1.5 is refused", lambda: run_bill(1e18, 1, 8, 989e12, 1.5, 1.0), naming="1.5", weight=0.5)
### END HIDDEN TESTS
check.score()

# %% [markdown]
# Your run on 16 instances at an MFU of 0.4 (an assumption: the same for all, which no real comparison should take for
# granted). A price that the catalog does not know stays unknown; it never becomes a guess.

# %%
OFFERS = (
    ("p4d.24xlarge", "us-east-1", "on_demand", 0.0),
    ("p5.48xlarge", "us-east-1", "on_demand", 0.0),
    ("p5en.48xlarge", "us-east-1", "on_demand", 0.0),
    ("p5en.48xlarge", "us-east-1", "spot", 0.1),
    ("trn1.32xlarge", "us-east-1", "on_demand", 0.0),
    ("trn1.32xlarge", "us-east-1", "spot", 0.1),
    ("trn2.48xlarge", "us-east-2", "on_demand", 0.0),
)
work = training_flops(PARAMETERS, TOKENS, RUN.layers, RUN.heads * RUN.head_dim, RUN.context_length)
bills = {}
for name, region, purchase, repeated_work in OFFERS:
    machine = instance(name)
    price = machine.price(purchase, region=region)
    label = f"{name} {purchase.replace('_', '-')} {region}"
    if price is None or price.usd_per_hour is None:
        print(f"{label:38} price unknown")
        continue
    peak = machine.accelerator_spec.peak_flops("bf16")
    bill = run_bill(work, 16, machine.accelerators, peak, 0.4, price.usd_per_hour, repeated_work)
    bills[label] = bill["usd"]
    print(f"{label:38} {bill['days']:6.1f} days {bill['usd']:12,.0f} USD  (price of {price.date})")

# %%
figure = go.Figure(go.Bar(x=list(bills.values()), y=list(bills), orientation="h", marker_color="#0072B2"))
figure.update_xaxes(title="USD for the whole run, 16 instances, MFU 0.4")
figure.update_layout(title=f"The same work, {len(bills)} offers with a known price", height=340, margin={"l": 260})
figure.show()

# %% [markdown]
# ## 5 · Is the slide right?
#
# The slide divides two prices per hour. What you buy is work, so compare **dollars per unit of work**. With equal
# throughputs your function must still reproduce the slide's figure; with real ones it says what the slide left out.


# %% nbgrader={"solution": true, "grade_id": "saving"}
def saving(baseline_usd_per_hour, baseline_flops_per_s, candidate_usd_per_hour, candidate_flops_per_s):
    """The fraction of the baseline's bill that the candidate saves for the same work.

    TODO: return 1 minus the ratio of the two costs per unit of work.

    APPROACH:
    1. The cost of work on each machine is its USD per hour divided by its FLOP/s.
    2. Return 1 - candidate's cost / baseline's cost.

    EXAMPLE: half the price at half the speed saves nothing: saving(10.0, 4e15, 5.0, 2e15) gives 0.0.

    HINT: a candidate that costs more per unit of work has a negative saving; let it be negative.
    """
    ### BEGIN SOLUTION
    baseline = baseline_usd_per_hour / baseline_flops_per_s
    candidate = candidate_usd_per_hour / candidate_flops_per_s
    return 1 - candidate / baseline
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-saving", "points": 6} exercises=["saving"]
# Test 6 · saving · 6 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("saving", points=6, off_limits=("course_lib.arithmetic",))
check.number("half the price, three quarters of the speed: a third", lambda: saving(10.0, 4e15, 5.0, 3e15), 1 / 3)
check.number("half the price, same speed: half", lambda: saving(10.0, 4e15, 5.0, 4e15), 0.5)
# The slide: 40 against 98.32 USD per hour, speeds taken as equal.
check.number("the slide's 59 %", lambda: saving(98.32, 1.0, 40.0, 1.0), 0.593, rel=0.002, hint="1 - 40 / 98.32")
### BEGIN HIDDEN TESTS
check.hide()
# List prices: p5 55.04 (us-east-1, 2026-07-20), trn2 35.76 (us-east-2, 2025-11-30), trn1.32xlarge 21.5, p4d 21.957642.
check.number("p5 and trn2 at later list prices", lambda: saving(55.04, 1.0, 35.76, 1.0), 0.350, rel=0.002)
check.number("p4d and trn1 at list prices", lambda: saving(21.957642, 1.0, 21.5, 1.0), 0.0208, rel=0.005)
# By hand: 1 - (35.76 / 10672) / (55.04 / 7912), peaks of 16 * 667 and 8 * 989 TFLOP/s.
check.number("per unit of peak work", lambda: saving(55.04, 8 * 989e12, 35.76, 16 * 667e12), 0.518319, rel=1e-5)
check.number("a candidate that costs more", lambda: saving(10.0, 2e15, 10.0, 1e15), -1.0, hint="let it be negative")
### END HIDDEN TESTS
check.score()

# %% [markdown]
# ## 6 · Tokens per dollar
#
# One number that survives a change of model, of cluster size and of price list: how many training tokens a dollar buys.


# %% nbgrader={"solution": true, "grade_id": "tokens-per-usd"}
def tokens_per_usd(parameters, achieved_flops_per_s, usd_per_hour):
    """Training tokens that one US dollar buys.

    TODO: return tokens per hour divided by USD per hour, counting 6 operations per parameter and token.

    APPROACH:
    1. Tokens per second: achieved_flops_per_s divided by the operations of one token.
    2. Tokens per hour: 3600 times that.
    3. Divide by usd_per_hour; refuse a price of zero or less with a ValueError that names it.

    EXAMPLE: 1e9 parameters at 6e12 FLOP/s for 3.6 USD per hour: 1000 tokens per second, so
        tokens_per_usd(1e9, 6e12, 3.6) gives 1e6.

    HINT: achieved means that the MFU is already in it: peak * mfu * accelerators.
    """
    ### BEGIN SOLUTION
    if usd_per_hour <= 0:
        raise ValueError(f"usd_per_hour must be positive, got {usd_per_hour}")
    tokens_per_second = achieved_flops_per_s / (6 * parameters)
    return tokens_per_second * 3600 / usd_per_hour
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-tokens-per-usd", "points": 6} exercises=["tokens-per-usd"]
# Test 7 · tokens_per_usd · 6 points
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("tokens_per_usd", points=6, off_limits=("course_lib.arithmetic",))
check.number("the docstring's example", lambda: tokens_per_usd(1e9, 6e12, 3.6), 1e6)
check.number("twice the price buys half the tokens", lambda: tokens_per_usd(1e9, 6e12, 7.2), 5e5)
check.refuses("a price of 0 is refused", lambda: tokens_per_usd(1e9, 6e12, 0), naming="0")
### BEGIN HIDDEN TESTS
check.hide()
# PaLM 540B (arXiv:2204.02311): 6ND alone at 238.3 k tokens/s is 45.7 % of 6,144 chips of 275 TFLOP/s; 1 USD per chip and hour.
check.number(
    "PaLM 540B at 1 USD per chip-hour",
    lambda: tokens_per_usd(540.35e9, 0.457 * 6144 * 275e12, 6144.0),
    238_300 * 3600 / 6144,
    rel=0.002,
)
# By hand: 12e12 / (6 * 2e9) = 1000 tokens per second, 3.6e6 per hour, for 9 USD.
check.number("by hand", lambda: tokens_per_usd(2e9, 12e12, 9.0), 400_000)
check.number("a price below 1 USD", lambda: tokens_per_usd(1e9, 6e12, 0.36), 1e7, hint="only zero and less are refused")
check.refuses("a negative price is refused", lambda: tokens_per_usd(1e9, 6e12, -1.5), naming="-1.5")
### END HIDDEN TESTS
check.score()

# %%
for name, region in (("p4d.24xlarge", "us-east-1"), ("p5.48xlarge", "us-east-1"), ("trn2.48xlarge", "us-east-2")):
    machine = instance(name)
    rate = machine.accelerators * machine.accelerator_spec.peak_flops("bf16")
    price = machine.usd_per_hour("on_demand", region=region)
    million = [f"{tokens_per_usd(PARAMETERS, mfu * rate, price) / 1e6:5.1f} (MFU {mfu})" for mfu in (0.3, 0.4, 0.5)]
    print(f"{name:14} million tokens per USD: {', '.join(million)}")

# %% [markdown]
# ## 7 · Your advice
#
# Write to the person who made the slide, in 120 to 200 words. A reader looks for four things:
#
# 1. **Where the 59 % comes from**, and what the same division gives at the prices above. Name the prices' dates and
#    regions.
# 2. **What a ratio of hourly prices leaves out**, shown with at least one number that you computed in this lab.
# 3. **What you recommend** for this run this week.
# 4. **Which measurement would change your mind**, and the value at which it would.

# %% [markdown] nbgrader={"grade": true, "solution": true, "grade_id": "written-advice", "points": 10}
# ### BEGIN SOLUTION
# The 59 % is 1 − 40 / 98.32: an unconfirmed trn2 price against the p5 price from before June 2025. At the list prices in
# the course's catalog (p5.48xlarge 55.04 USD/h in us-east-1, 2026-07-20; trn2.48xlarge 35.76 USD/h in us-east-2,
# 2025-11-30, not listed since) the same division gives 35 %.
#
# But we buy work, not hours. Per unit of peak BF16 work the saving would be 52 %, because a trn2 has 10.7 PFLOP/s and a
# p5 7.9; that holds only if both reach the same MFU. If our p5 runs at 0.40, trn2 breaks even at 0.40 × (1 − 0.52) =
# 0.19. The slide also compares two regions, and leaves out the porting.
#
# This week: reserve nothing. Port the 8B model, run it for an hour on one trn2.48xlarge and one p5.48xlarge, both with a
# time limit, and compare tokens per dollar. If trn2's MFU stays below 0.19, or the price cannot be confirmed, we stay on
# p5; above 0.30 we move.
# ### END SOLUTION

# %% [markdown]
# ## Stretch · The cheapest plan before a deadline
#
# Not graded, for those who have ten minutes left. More instances finish earlier and cost the same, as long as the MFU
# holds; so a deadline sets how many instances you need, and the price per unit of work decides which.


# %% nbgrader={"solution": true, "grade_id": "cheapest-plan"}
def cheapest_plan(flops, deadline_days, offers, mfu=0.4):
    """The cheapest offer that finishes in time, and how many instances of it that takes.

    TODO: return (name, instances, usd) of the cheapest plan.

    APPROACH:
    1. For each offer (name, flops_per_s of one instance at peak, usd_per_hour) find the smallest whole number of
       instances that finishes within deadline_days.
    2. Its cost: those instances for as long as the run takes.
    3. Return the plan with the lowest cost; take the first one of equals.

    EXAMPLE: cheapest_plan(8.64e19, 1, [("a", 1e15, 10.0), ("b", 1e15, 8.0)], mfu=0.5) gives ("b", 2, 384.0).

    HINT: math.ceil; and min(plans, key=...) finds the plan.
    """
    ### BEGIN SOLUTION
    import math

    plans = []
    for name, flops_per_s, usd_per_hour in offers:
        seconds_on_one = flops / (flops_per_s * mfu)
        instances = math.ceil(seconds_on_one / (deadline_days * 86400))
        plans.append((name, instances, seconds_on_one / 3600 * usd_per_hour))
    return min(plans, key=lambda plan: plan[2])
    ### END SOLUTION


# %% nbgrader={"grade": false, "grade_id": "self-check-cheapest-plan"}
# Self-check for the stretch task: no points, only an answer.
import importlib

from course_lib import labkit

check = importlib.reload(labkit).Check("cheapest_plan", points=0)
OFFERS_IN_TEST = [("a", 1e15, 10.0), ("b", 1e15, 8.0), ("c", 4e15, 33.0)]
check.equal("the name", lambda: cheapest_plan(8.64e19, 1, OFFERS_IN_TEST, mfu=0.5)[0], "b")
check.equal("the instances", lambda: cheapest_plan(8.64e19, 1, OFFERS_IN_TEST, mfu=0.5)[1], 2)
check.number("the bill", lambda: cheapest_plan(8.64e19, 1, OFFERS_IN_TEST, mfu=0.5)[2], 384.0)
check.equal("half the time, twice the instances", lambda: cheapest_plan(8.64e19, 0.5, OFFERS_IN_TEST, mfu=0.5)[1], 4)
check.score()
