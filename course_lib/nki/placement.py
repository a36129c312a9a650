"""What fits where in SBUF and PSUM: shapes, addresses, start partitions, and tiles whose addresses overlap.

Source: Neuron documentation 2.32, Trainium/Inferentia2 architecture guide, "Data movement" (start_partition).
"""

from __future__ import annotations

import math
from typing import Any

from course_lib.catalog import NeuronCore
from course_lib.nki.constants import MemoryRegion, engine
from course_lib.nki.dtypes import DType, as_dtype
from course_lib.nki.errors import broken_rule
from course_lib.nki.storage import Storage
from course_lib.nki.tensor import NkiTensor

_HINT = "more than 64 partitions start at 0, more than 32 at 0 or 64, others at a multiple of 32"


PARTITIONS = 128


def shape_of(shape: Any) -> tuple[int, ...]:
    """A shape as whole numbers.

    Raises:
        NkiValidationError: for anything else.
    """
    try:
        sizes = tuple([int(size) for size in shape])
    except TypeError:
        raise broken_rule(f"shape={shape!r}", limit="a tuple of whole numbers, e.g. (128, 512)") from None
    if not sizes or min(sizes) < 1:
        raise broken_rule(
            f"shape={sizes}",
            limit="one dimension or more, each 1 or more",
            hint="a slice beyond the end selects nothing: look for a loop that takes one tile too many" * (0 in sizes),
        )
    return sizes


def _room(buffer: MemoryRegion, hardware: NeuronCore) -> int:
    return hardware.sbuf_partition_bytes if buffer is MemoryRegion.sbuf else hardware.psum_partition_bytes


def form_of(shape: Any, dtype: Any, buffer: Any, hardware: NeuronCore) -> tuple[tuple[int, ...], DType]:
    """Shape and format of an allocation.

    Raises:
        NkiValidationError: for a shape, format or region that the core does not have.
    """
    sizes = shape_of(shape)
    fmt = as_dtype(dtype)
    if not isinstance(buffer, MemoryRegion):
        raise broken_rule(
            f"buffer={buffer!r}",
            limit="nl.sbuf, nl.psum, nl.hbm, nl.private_hbm or nl.shared_hbm",
            hint="pass the object nl.sbuf, not a string",
        )
    if buffer is MemoryRegion.sbuf or buffer is MemoryRegion.psum:
        if sizes == (1,):  # register_load and register_store document single elements in this form
            sizes = (1, 1)
        check_on_chip(sizes, fmt, buffer, hardware)
    return sizes, fmt


def check_on_chip(sizes: tuple[int, ...], dtype: DType, buffer: MemoryRegion, hardware: NeuronCore) -> None:
    """Refuses a tile that no SBUF or PSUM holds.

    Raises:
        NkiValidationError: for one dimension, more than 128 partitions, or more bytes than a partition has.
    """
    if len(sizes) < 2:
        raise broken_rule(
            f"shape={sizes} in {buffer.value}",
            limit="on-chip tensors have a partition dimension and at least one free dimension",
            hint=f"use ({sizes[0]}, 1)",
        )
    if sizes[0] > PARTITIONS:
        raise broken_rule(
            f"shape={sizes} in {buffer.value} has a partition dimension of {sizes[0]}",
            limit=f"{PARTITIONS} partitions",
            hint="split dimension 0 into tiles of nl.tile_size.pmax, or put it in a free dimension",
        )
    used = math.prod(sizes[1:]) * dtype.itemsize
    room = _room(buffer, hardware)
    if used > room:
        raise broken_rule(
            f"shape={sizes} {dtype} in {buffer.value} takes {used:,} bytes of each partition",
            limit=f"{room:,} bytes for each partition",
            generation=hardware.name,
            hint="use smaller tiles, or a format with fewer bytes",
        )


def check_address(storage: Storage, address: tuple[int, int], hardware: NeuronCore) -> None:
    """Notes where the kernel places a tile.

    Raises:
        NkiValidationError: for an address outside of the memory, or one that no engine can start from.
    """
    partition, byte = int(address[0]), int(address[1])
    if not storage.on_chip:
        raise broken_rule(f"address={address} for {storage.name} in {storage.buffer.value}", limit="SBUF and PSUM")
    room = _room(storage.buffer, hardware)
    last = byte + storage.partition_bytes
    if partition < 0 or partition + storage.partitions > PARTITIONS or byte < 0 or last > room:
        raise broken_rule(
            f"{storage.name} {storage.shape} {storage.dtype} at address {address} reaches partition "
            f"{partition + storage.partitions} and byte {last:,}",
            limit=f"partition {PARTITIONS} and byte {room:,} of {storage.buffer.value}",
            generation=hardware.name,
        )
    check_start_partition(storage, partition)
    storage.address = (partition, byte)


def _starts(count: int) -> tuple[int, ...]:
    return (0,) if count > 64 else (0, 64) if count > 32 else (0, 32, 64, 96)


def check_start_partition(storage: Storage, partition: int) -> None:
    """Refuses to place a tile where no engine can address it.

    Raises:
        NkiValidationError: naming the partitions at which it may start.
    """
    count = storage.partitions
    allowed = _starts(count)
    if partition not in allowed:
        raise broken_rule(
            f"{storage.name} with {count} partitions starts at partition {partition}",
            limit=f"tiles of {count} partitions start at {', '.join(map(str, allowed))}",
            hint=_HINT,
        )


def check_start(op: str, on: engine, tensor: NkiTensor) -> None:
    """Refuses a view that no compute engine can address, wherever its tile lies; DMA reaches every partition.

    Raises:
        NkiValidationError: naming the partitions at which it may start.
    """
    storage = tensor.storage
    if on is engine.dma or on is engine.sync or not storage.on_chip or tensor.indirection is not None:
        return
    if op == "nonzero_with_count":
        return  # each GpSimd core uses the first of its 16 partitions
    if op in ("quantize_mx", "nc_matmul_mx") and tensor.dtype in ("uint8", "float8_e8m0fnu"):
        return  # scales start 0, 4, 8 or 12 partitions into a quadrant, which these instructions check themselves
    first = tensor.start // tensor.base.strides[0] + (storage.address[0] if storage.address is not None else 0)
    allowed = _starts(tensor.shape[0])
    if first not in allowed:
        raise broken_rule(
            f"{op}: {storage.name}, partitions {first} to {first + tensor.shape[0] - 1}",
            limit=f"operands of {tensor.shape[0]} partitions start at partition {', '.join(map(str, allowed))}",
            hint=_HINT + "; a DMA moves data to any partition",
        )


def same_bytes(one: Storage, other: Storage) -> bool:
    """Whether two placed tiles share bytes."""
    if one.buffer is not other.buffer or one.address is None or other.address is None:
        return False
    (p, b), (q, c) = one.address, other.address
    return (
        p < q + other.partitions
        and q < p + one.partitions
        and b < c + other.partition_bytes
        and c < b + one.partition_bytes
    )
