"""Oracle: loops over groups, rows and elements that follow the documented definitions word by word."""

import ml_dtypes
import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, simulate

RNG = np.random.default_rng(7)


def call(function, shapes, inputs, **options):
    """Loads the inputs, lets `function` issue an instruction on fresh tiles, and returns these."""

    def kernel(*hbm):
        tiles = [nl.ndarray(each.shape, each.dtype) for each in hbm]
        for tile, each in zip(tiles, hbm, strict=True):
            nisa.dma_copy(tile, each)
        results = [nl.ndarray(shape, dtype) for shape, dtype in shapes]
        for tile in results:
            nisa.memset(tile, 9)
        function(*results, *tiles)
        outputs = [nl.ndarray(shape, dtype, nl.shared_hbm) for shape, dtype in shapes]
        for out, tile in zip(outputs, results, strict=True):
            nisa.dma_copy(out, tile)
        return tuple(outputs)

    results = simulate(kernel, **options)(*inputs)
    return results[0] if len(results) == 1 else results


def gathered(data, index, each, count):
    """The definition: 16 partitions share indices, read along the partitions first, and each takes `each` elements."""
    flat = data.reshape(len(data), -1)
    result = np.empty((len(data), count * each), data.dtype)
    for row in range(len(data)):
        group = row // 16 * 16
        shared = index[group : group + 16].flatten(order="F")[:count]
        for place, start in enumerate(shared):
            result[row, place * each : (place + 1) * each] = flat[row, start : start + each]
    return result


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.int32])
@pytest.mark.parametrize(("each", "count"), [(1, None), (4, 60), (32, 17), (2, 1)])
def test_local_gather_shares_indices_among_16_partitions(dtype, each, count):
    data = RNG.integers(-50, 50, (48, 30, 4)).astype(dtype)
    index = RNG.integers(0, 120 - each, (48, 5)).astype(np.uint16)
    used = 80 if count is None else count
    result = call(
        lambda out, src, idx: nisa.local_gather(out, src, idx, each, count),
        [((48, used * each), data.dtype)],
        [data, index],
    )
    np.testing.assert_array_equal(result, gathered(data, index, each, used))


LOCAL = {"rows": 32, "index": (32, 4), "index_dtype": np.uint16, "out": (32, 64), "dtype": nl.float32, "arguments": {}}


@pytest.mark.parametrize(
    ("match", "change"),
    [
        ("multiple of 16", {"rows": 24, "index": (24, 4), "out": (24, 64)}),
        ("uint16", {"index_dtype": np.uint32}),
        ("same format", {"dtype": nl.bfloat16}),
        ("num_elem_per_idx=3", {"arguments": {"num_elem_per_idx": 3}}),
        ("1 to 64", {"arguments": {"num_valid_indices": 65}}),
        ("4096", {"index": (32, 257), "out": (32, 4112)}),
        ("64 elements", {"out": (32, 63)}),
        ("same number of partitions", {"index": (16, 4)}),
    ],
)
def test_local_gather_refuses_what_the_engine_lacks(match, change):
    made = {**LOCAL, **change}
    inputs = [np.zeros((made["rows"], 100), np.float32), np.zeros(made["index"], made["index_dtype"])]
    with pytest.raises(NkiValidationError, match=match):
        call(
            lambda out, src, idx: nisa.local_gather(out, src, idx, **made["arguments"]),
            [(made["out"], made["dtype"])],
            inputs,
        )


def test_local_gather_out_of_bounds_is_an_error():
    index = np.full((16, 1), 98, np.uint16)
    with pytest.raises(NkiValidationError, match="element 101"):
        call(
            lambda out, src, idx: nisa.local_gather(out, src, idx, 4),
            [((16, 64), nl.float32)],
            [np.zeros((16, 100), np.float32), index],
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8])
def test_nc_n_gather_takes_elements_within_each_partition(dtype):
    data = RNG.integers(0, 100, (20, 6, 30)).astype(dtype)
    indices = RNG.integers(0, 180, (20, 3, 9)).astype(np.uint32)
    result = call(nisa.nc_n_gather, [((20, 27), data.dtype)], [data, indices])
    expected = np.stack([data[row].reshape(-1)[indices[row].reshape(-1)] for row in range(20)])
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("match", "data", "indices", "out", "dtype"),
    [
        ("uint32", (4, 8), np.zeros((4, 3), np.int32), (4, 3), nl.float32),
        ("same format", (4, 8), np.zeros((4, 3), np.uint32), (4, 3), nl.float16),
        ("as many elements", (4, 8), np.zeros((4, 3), np.uint32), (4, 4), nl.float32),
        ("same partitions", (5, 8), np.zeros((4, 3), np.uint32), (4, 3), nl.float32),
        ("element 8", (4, 8), np.full((4, 3), 8, np.uint32), (4, 3), nl.float32),
    ],
)
def test_nc_n_gather_refuses_what_the_engine_lacks(match, data, indices, out, dtype):
    with pytest.raises(NkiValidationError, match=match):
        call(nisa.nc_n_gather, [(out, dtype)], [np.zeros(data, np.float32), indices])


def test_gathers_refuse_psum():
    def kernel():
        index = nl.ndarray((16, 1), nl.uint32)
        nisa.nc_n_gather(nl.ndarray((16, 1), nl.float32), nl.ndarray((16, 4), nl.float32, nl.psum), index)

    with pytest.raises(NkiValidationError, match="must be in sbuf"):
        simulate(kernel)()


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_nonzero_with_count_lists_indices_pads_and_counts_in_every_16th_partition(dtype):
    data = RNG.integers(0, 2, (40, 11)).astype(dtype)
    data[16] = 0
    result = call(
        lambda out, src: nisa.nonzero_with_count(out, src, index_offset=100, padding_val=-7),
        [((40, 12), nl.int32)],
        [data],
    )
    expected = np.full((40, 12), 9)
    for row in (0, 16, 32):
        found = [at + 100 for at in range(11) if data[row, at] != 0]
        expected[row] = [*found, *[-7] * (11 - len(found)), len(found)]
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("match", "src", "shape", "dtype", "options"),
    [
        ("one element more", np.zeros((16, 8), np.int32), (16, 8), nl.int32, {}),
        ("dst is", np.zeros((16, 8), np.int32), (16, 9), nl.float32, {}),
        ("src is", np.zeros((16, 8), np.int16), (16, 9), nl.int32, {}),
        ("NeuronCore-v3", np.zeros((16, 8), np.int32), (16, 9), nl.int32, {"target": "gen2"}),
    ],
)
def test_nonzero_with_count_refuses_what_the_engine_lacks(match, src, shape, dtype, options):
    with pytest.raises(NkiValidationError, match=match):
        call(nisa.nonzero_with_count, [(shape, dtype)], [src], **options)


def bounds(ids):
    """Neighbours with one id form a segment; padding has id 0."""
    count = len(ids)
    result = np.empty((2, count))
    for at, number in enumerate(ids):
        first, last = at, at
        while first > 0 and ids[first - 1] == number:
            first -= 1
        while last + 1 < count and ids[last + 1] == number:
            last += 1
        result[:, at] = (count, -1) if number == 0 else (first, last + 1)
    return result


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
@pytest.mark.parametrize("ids", [[0, 1, 1, 2, 2, 2, 0, 3, 3], [5], [0], [1, 1, 0, 1, 1], [2, 1, 2]])
def test_sequence_bounds_gives_each_element_its_segment(dtype, ids):
    data = np.array([ids], dtype)
    result = call(nisa.sequence_bounds, [((1, 2, len(ids)), data.dtype)], [data])
    np.testing.assert_array_equal(result[0], bounds(ids))


@pytest.mark.parametrize(
    ("match", "ids", "shape", "dtype"),
    [
        ("one partition", np.ones((2, 4), np.int32), (2, 2, 4), nl.int32),
        ("float32 or int32", np.ones((1, 4), np.int16), (1, 2, 4), nl.int32),
        (r"\(1, 2, 4\)", np.ones((1, 4), np.int32), (1, 4), nl.int32),
    ],
)
def test_sequence_bounds_refuses_other_shapes_and_formats(match, ids, shape, dtype):
    with pytest.raises(NkiValidationError, match=match):
        call(nisa.sequence_bounds, [(shape, dtype)], [ids])
