"""The roofline explorer: one operation of a model under the roof of a chip, moved by the reader.

Rates, intensities and the roof's corners come from `course_lib.arithmetic`; this module turns them into words and
places.
"""

from functools import cache
from math import log10

from IPython.display import HTML

from course_lib import arithmetic, catalog
from course_lib.arithmetic import Operation, RooflinePoint

from . import quantities
from .explorer import Axis, Explorer, Slot

CHIPS = (
    "v100-32gb", "a100-40gb", "a100-80gb", "h100", "h200", "b200",
    "trainium1", "trainium2", "trainium3", "inferentia2", "gaudi2", "gaudi3",
)  # fmt: skip
DTYPES = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "fp8": 1, "int8": 1}  # bytes an element takes in device memory
OPERATIONS = (
    ("decode", "all", "generating one token per sequence, whole model"),
    ("decode", "ffn_up", "generating one token per sequence, one feed-forward matrix"),
    ("decode", "attention", "generating one token per sequence, attention"),
    ("prefill", "all", "reading the prompts, whole model"),
    ("prefill", "attention", "reading the prompts, attention"),
    ("training", "all", "training step, whole model"),
)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
OFF_THE_PLANE = "-20"
NO_RATE = "no dense rate is published for it"

# the drawing: a plane of 1 to 100,000 FLOP per byte by 0.1 to 10,000 TFLOP/s
WIDTH, HEIGHT = 420.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 396.0, 12.0, 256.0
INTENSITIES = (0.1, 1e5)
RATES = (1e10, 1e16)


def roofline_explorer(model: str = "llama3-8b", sequence_length: int = 2048) -> HTML:
    """The explorer for one model; put it last in a cell.

    Args:
        model: A model of the catalog.
        sequence_length: Tokens in each sequence: already in the cache for generating, in the prompt for the rest.

    Raises:
        UnknownNameError: (a ValueError) The catalog has no such model.
    """
    return HTML(_explorer(model, sequence_length).html())


def _explorer(model: str, sequence_length: int) -> Explorer:
    title = catalog.model(model).title

    @cache
    def operation(number: int, batch: int, dtype: str) -> Operation:
        phase, name, _ = OPERATIONS[number]
        found = arithmetic.transformer_operations(
            model,
            phase,
            batch=batch,
            sequence_length=sequence_length,
            bytes_per_element=DTYPES[dtype],
        )
        return next(each for each in found if each.name == name)

    @cache
    def point(chip: str, dtype: str, number: int, batch: int) -> RooflinePoint | None:
        if dtype not in catalog.accelerator(chip).peak_tflops:
            return None
        return arithmetic.roofline(chip, operation(number, batch, dtype).intensity_flops_per_byte, dtype)

    def attainable(chip: str, dtype: str, number: int, batch: int) -> str:
        found = point(chip, dtype, number, batch)
        return NO_RATE if found is None else f"at most {quantities.rate(found.attainable_flops_per_s)}"

    def share(chip: str, dtype: str, number: int, batch: int) -> str:
        found = point(chip, dtype, number, batch)
        return "unknown" if found is None else f"{found.attainable_fraction:.1%} of peak"

    def bound(chip: str, dtype: str, number: int, batch: int) -> str:
        found = point(chip, dtype, number, batch)
        if found is None:
            return "so there is no roof to stand under"
        return "limited by memory bandwidth" if found.bound == "memory" else "limited by the arithmetic units"

    def height(chip: str, dtype: str, number: int, batch: int) -> str:
        found = point(chip, dtype, number, batch)
        return OFF_THE_PLANE if found is None else f"{_y(found.attainable_flops_per_s):.1f}"

    everything = ("chip", "dtype", "operation", "batch")
    work = ("operation", "batch", "dtype")
    return Explorer(
        id="roofline-explorer",
        title="Roofline explorer",
        axes=(
            Axis("chip", "Accelerator", tuple((name, catalog.accelerator(name).title) for name in CHIPS), "h100"),
            Axis("dtype", "Number format", tuple((name, name) for name in DTYPES), "bf16"),
            Axis("operation", "Operation", tuple((i, words) for i, (_, _, words) in enumerate(OPERATIONS)), 0),
            Axis("batch", "Sequences in the batch", tuple((size, str(size)) for size in BATCHES), 1),
        ),
        slots=(
            Slot("rate", everything, attainable),
            Slot("share", everything, share),
            Slot("bound", everything, bound),
            Slot("intensity", work, lambda *a: f"{operation(*a).intensity_flops_per_byte:,.4g} FLOP per byte"),
            Slot("peak", ("chip", "dtype"), _peak),
            Slot("bandwidth", ("chip",), _bandwidth),
            Slot("ridge", ("chip", "dtype"), _ridge),
            Slot("roof", ("chip", "dtype"), _roof_path),
            Slot("x", work, lambda *a: f"{_x(operation(*a).intensity_flops_per_byte):.1f}"),
            Slot("y", everything, height),
        ),
        answer="{chip}, {dtype}, {operation}, batch of {batch}: {rate}, {bound}.",
        rows=(
            ("Attainable, as a share of peak", "share"),
            ("Intensity of the operation", "intensity"),
            ("Ridge: from here on, arithmetic is the limit", "ridge"),
            ("Peak rate, dense", "peak"),
            ("Memory bandwidth", "bandwidth"),
        ),
        note=f"{title}, sequences of {sequence_length:,} tokens. A roof is a limit, not a forecast: it counts the "
        "least traffic that the operation needs and no time for launching, waiting or communicating.",
        drawing=_drawing(),
    )


def _peak(chip: str, dtype: str) -> str:
    spec = catalog.accelerator(chip)
    if dtype not in spec.peak_tflops:
        return f"not published for {dtype}; published: {', '.join(spec.peak_tflops)}"
    return quantities.rate(spec.peak_flops(dtype))


def _bandwidth(chip: str) -> str:
    return f"{catalog.accelerator(chip).memory_bandwidth_tb_per_s:g} TB/s"


def _ridge(chip: str, dtype: str) -> str:
    if dtype not in catalog.accelerator(chip).peak_tflops:
        return "unknown"
    return f"{arithmetic.roofline(chip, 1.0, dtype).ridge_flops_per_byte:,.0f} FLOP per byte"


def _roof_path(chip: str, dtype: str) -> str:
    if dtype not in catalog.accelerator(chip).peak_tflops:
        return "M0 0"
    ridge = arithmetic.roofline(chip, 1.0, dtype).ridge_flops_per_byte
    corners = (INTENSITIES[0], ridge, INTENSITIES[1])
    places = ((_x(i), _y(arithmetic.roofline(chip, i, dtype).attainable_flops_per_s)) for i in corners)
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _x(intensity: float) -> float:
    low, high = (log10(limit) for limit in INTENSITIES)
    return LEFT + (log10(intensity) - low) / (high - low) * (RIGHT - LEFT)


def _y(flops_per_s: float) -> float:
    low, high = (log10(limit) for limit in RATES)
    return BOTTOM - (log10(flops_per_s) - low) / (high - low) * (BOTTOM - TOP)


def _drawing() -> str:
    """The plane with its grid; the roof and the point take their places from slots."""
    lines = []
    for power in range(-1, 6):
        x = _x(10.0**power)
        words = f"{10.0**power:,g}"
        lines.append(f'<path class="grid" d="M{x:.1f} {TOP} V{BOTTOM}"/>')
        lines.append(f'<text x="{x:.1f}" y="{BOTTOM + 15}" text-anchor="middle">{words}</text>')
    for power in range(-2, 5):
        y = _y(10.0**power * 1e12)
        lines.append(f'<path class="grid" d="M{LEFT} {y:.1f} H{RIGHT}"/>')
        lines.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:,g}</text>')
    return (
        f'<svg class="kit-drawing" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        'aria-label="Roofline: attainable rate against intensity, both logarithmic; a dot marks the chosen operation" '
        'aria-describedby="roofline-explorer-answer">'
        + "".join(lines)
        + f'<text x="{(LEFT + RIGHT) / 2:.0f}" y="{HEIGHT - 10:.0f}" text-anchor="middle">'
        "intensity (FLOP per byte)</text>"
        + f'<text transform="translate(12 {(TOP + BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle">'
        "attainable (TFLOP/s)</text>"
        '<path class="roof" data-slots="d:roof" d="{roof}"/>'
        '<circle class="point" r="6" data-slots="cx:x cy:y" cx="{x}" cy="{y}"/></svg>'
    )
