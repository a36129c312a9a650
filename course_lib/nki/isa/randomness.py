"""Random numbers, their seeds and states, and dropout.

Source: Neuron documentation 2.32, `nki.isa.rng`, `rand2`, `set_rng_seed`, `rand_set_state`, `rand_get_state`,
`dropout`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from course_lib.nki import xorwow
from course_lib.nki.constants import engine, nc_version
from course_lib.nki.errors import broken_rule
from course_lib.nki.isa.operands import broadcast, need_tile, operand, store_bits
from course_lib.nki.isa.rules import SBUF, need_buffer, need_engine, need_same_layout, need_sbuf_on_gpsimd
from course_lib.nki.session import NkiInstruction, current_core
from course_lib.nki.tensor import NkiTensor
from course_lib.nki.values import raw, store

_INTEGERS = ("int8", "int16", "int32", "uint8", "uint16", "uint32")
_RANDOM = ("float8_e4m3", "float8_e5m2", "float16", "bfloat16", "float32", "tfloat32", *_INTEGERS)


def rng(dst: NkiTensor, engine: engine = engine.vector, name: str | None = None) -> NkiInstruction:
    """Fills an integer tile with random bits: the lowest of 32 for each element.

    Args:
        dst: (P, N) tile of integers; in SBUF for the GpSimd engine.
        engine: vector; gpsimd from NeuronCore-v3.
        name: a name for the instruction.
    """
    core = current_core()
    need_tile("rng", "dst", dst)
    if dst.dtype not in _INTEGERS:
        raise broken_rule(f"rng: dst is {dst.dtype}", limit=", ".join(_INTEGERS), hint="scale the integers afterwards")
    on = _generator("rng", engine, core.version, gpsimd=nc_version.gen3, vector=nc_version.gen2)
    need_sbuf_on_gpsimd("rng", on, dst)
    elements = dst.size // dst.shape[0]
    handle = core.issue("rng", on, (), (dst,), {"elements": elements, "op": "rng", "operands": (dst,)})
    if core.options.execute:
        store_bits(dst, xorwow.draw(core, on, dst.shape[0], elements).reshape(dst.shape))
    return handle


def rand2(dst: NkiTensor, min: Any, max: Any, name: str | None = None) -> NkiInstruction:
    """Fills a tile with numbers distributed evenly in [min, max) (NeuronCore-v4).

    Args:
        dst: (P, N) tile.
        min, max: numbers or (P, 1) float32 tiles, min < max.
        name: a name for the instruction.
    """
    core = current_core()
    if core.version < nc_version.gen4:
        raise broken_rule("nisa.rand2", limit="from NeuronCore-v4", generation=core.version.name, hint="use nisa.rng")
    need_tile("rand2", "dst", dst)
    if dst.dtype not in _RANDOM:
        raise broken_rule(f"rand2: dst is {dst.dtype}", limit=", ".join(_RANDOM))
    low, high = operand("rand2", "min", min, dst), operand("rand2", "max", max, dst)
    tiles = tuple(value for value in (low, high) if isinstance(value, NkiTensor))
    for tile in tiles:
        if tile.dtype != "float32":
            raise broken_rule(f"rand2: {tile.name} is {tile.dtype}", limit="float32 bounds")
    if not tiles and low >= high:
        raise broken_rule(f"rand2: min={low}, max={high}", limit="min < max")
    elements = dst.size // dst.shape[0]
    about = {"elements": elements, "op": "rand2", "operands": (*tiles, dst)}
    handle = core.issue("rand2", engine.vector, tiles, (dst,), about)
    if core.options.execute:
        share = xorwow.uniform(xorwow.draw(core, engine.vector, dst.shape[0], elements))
        lowest, highest = broadcast(low, 2), broadcast(high, 2)
        store(dst, (lowest + (highest - lowest) * share).reshape(dst.shape))
    return handle


def set_rng_seed(src_seeds: NkiTensor, name: str | None = None) -> NkiInstruction:
    """Seeds the vector engine's generator; the same seed gives the same numbers.

    Args:
        src_seeds: (1, 1) tile of a 32-bit format in SBUF or PSUM.
        name: a name for the instruction.
    """
    core = current_core()
    need_tile("set_rng_seed", "src_seeds", src_seeds)
    if src_seeds.shape[0] != 1 or src_seeds.size != 1 or src_seeds.dtype.itemsize != 4:
        raise broken_rule(
            f"set_rng_seed: src_seeds has shape {src_seeds.shape} and format {src_seeds.dtype}",
            limit="(1, 1), 32 bits",
        )
    about = {"elements": 1, "op": "set_rng_seed", "operands": (src_seeds,)}
    handle = core.issue("set_rng_seed", engine.vector, (src_seeds,), (), about)
    if core.options.execute:
        seed = int(np.ascontiguousarray(raw(src_seeds)).view(np.uint32).reshape(-1)[0])
        core.generators[_vector] = xorwow.from_seed(seed, _vector)
    return handle


_vector, _gpsimd = engine.vector, engine.gpsimd


def rand_set_state(src_seeds: NkiTensor, engine: engine = engine.gpsimd, name: str | None = None) -> NkiInstruction:
    """Loads the generator's states, one partition for each lane (from NeuronCore-v3).

    Args:
        src_seeds: (P, 6) uint32 tile in SBUF for gpsimd, (P, 24) for vector.
        engine: gpsimd; vector from NeuronCore-v4.
        name: a name for the instruction.
    """
    core = current_core()
    on = _check_state("rand_set_state", "src_seeds", src_seeds, engine, core.version)
    need_buffer("rand_set_state", "src_seeds", src_seeds, SBUF, "copy it to SBUF with nisa.tensor_copy")
    about = {"elements": src_seeds.shape[1], "op": "rand_set_state", "operands": (src_seeds,)}
    handle = core.issue("rand_set_state", on, (src_seeds,), (), about)
    if core.options.execute:
        state = xorwow.states(core, on)
        state[: src_seeds.shape[0]] = raw(src_seeds).reshape(-1, *state.shape[1:])
    return handle


def rand_get_state(dst: NkiTensor, engine: engine = engine.gpsimd, name: str | None = None) -> NkiInstruction:
    """Stores the generator's states, one partition for each lane (from NeuronCore-v3).

    Args:
        dst: (P, 6) uint32 tile for gpsimd, (P, 24) for vector; in SBUF (in PSUM too for the vector engine).
        engine: gpsimd; vector from NeuronCore-v4.
        name: a name for the instruction.
    """
    core = current_core()
    on = _check_state("rand_get_state", "dst", dst, engine, core.version)
    need_sbuf_on_gpsimd("rand_get_state", on, dst)
    about = {"elements": dst.shape[1], "op": "rand_get_state", "operands": (dst,)}
    handle = core.issue("rand_get_state", on, (), (dst,), about)
    if core.options.execute:
        store_bits(dst, xorwow.states(core, on)[: dst.shape[0]].reshape(dst.shape))
    return handle


def _generator(op: str, wanted: Any, version: nc_version, *, gpsimd: nc_version, vector: nc_version) -> engine:
    """The engine whose generator is meant, if this generation has it; each since the generation given."""
    need_engine(op, wanted, engine.vector, engine.gpsimd)
    since = {engine.gpsimd: gpsimd, engine.vector: vector}
    if wanted is engine.unknown:
        wanted = min(since, key=lambda on: since[on])
    if version < since[wanted]:
        raise broken_rule(
            f"nisa.{op} with engine={wanted.name}",
            limit=f"from NeuronCore-v{int(since[wanted])}",
            generation=version.name,
        )
    return wanted  # type: ignore[no-any-return]


def _check_state(op: str, role: str, tile: NkiTensor, wanted: Any, version: nc_version) -> engine:
    on = _generator(op, wanted, version, gpsimd=nc_version.gen3, vector=nc_version.gen4)
    need_tile(op, role, tile)
    words = xorwow.STATES[on] * xorwow.WORDS
    if tile.dtype != "uint32" or tile.ndim != 2 or tile.shape[1] != words:
        raise broken_rule(
            f"{op}: {role} has shape {tile.shape} and format {tile.dtype}",
            limit=f"(P, {words}) uint32 for the {on.name} engine",
        )
    return on


def dropout(dst: NkiTensor, data: NkiTensor, prob: Any, name: str | None = None) -> NkiInstruction:
    """`dst = data` with elements replaced by zero with probability `prob`; what is kept is not scaled.

    Args:
        dst, data: (P, N) tiles of one format.
        prob: a number from 0 to 1, or a (P, 1) tile: float32 for integer data, any float format for floats.
        name: a name for the instruction.

    Raises:
        NkiValidationError: for other shapes and formats.
    """
    core = current_core()
    need_tile("dropout", "dst", dst)
    need_tile("dropout", "data", data)
    need_same_layout("dropout", dst, data, "dst and data")
    if dst.dtype != data.dtype:
        raise broken_rule(f"dropout: dst is {dst.dtype}, data {data.dtype}", limit="one format for both")
    chance = operand("dropout", "prob", prob, data)
    tiles: tuple[NkiTensor, ...] = ()
    if isinstance(chance, NkiTensor):
        tiles = (chance,)
        if not chance.dtype.is_float or (data.dtype.is_integer and chance.dtype != "float32"):
            raise broken_rule(
                f"dropout: prob is {chance.dtype} and data {data.dtype}",
                limit="float32 for integer data" if data.dtype.is_integer else "a float format",
            )
    elif not 0.0 <= chance <= 1.0:
        raise broken_rule(f"dropout: prob={chance}", limit="0 to 1")
    elements = dst.size // dst.shape[0]
    about = {"elements": elements, "op": "dropout", "operands": (data, *tiles, dst)}
    handle = core.issue("dropout", engine.vector, (data, *tiles), (dst,), about)
    if core.options.execute:
        values = raw(data)
        share = xorwow.uniform(xorwow.draw(core, engine.vector, dst.shape[0], elements)).reshape(values.shape)
        kept = share >= broadcast(chance, values.ndim)
        store(dst, np.where(kept, values, np.zeros((), dtype=values.dtype)))
    return handle
