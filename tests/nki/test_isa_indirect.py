"""Oracle: NumPy fancy indexing, with offsets shared by groups of partitions as `NkiTensor.indirect` documents."""

import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError, simulate

RNG = np.random.default_rng(10)


def offsets_of(index, count, group):
    """Row p uses offset i = index[i % group, i // group] of its group."""
    result = np.empty((len(index), count), np.int64)
    for row in range(len(index)):
        rows = index[row // group * group :][:group]
        result[row] = [rows[i % group, i // group] for i in range(count)]
    return result


def load(*hbm):
    tiles = [nl.ndarray(each.shape, each.dtype) for each in hbm]
    for tile, each in zip(tiles, hbm, strict=True):
        nisa.dma_copy(tile, each)
    return tiles


def gather_kernel(count):
    def kernel(x, index):
        out = nl.ndarray((x.shape[0], count), x.dtype, nl.shared_hbm)
        tile, where = load(x, index)
        result = nl.ndarray((x.shape[0], count), x.dtype)
        nisa.tensor_copy(result, tile.indirect(where, count))
        nisa.dma_copy(out, result)
        return out

    return kernel


@pytest.mark.parametrize(("rows", "columns", "count"), [(16, 2, 32), (128, 3, 40), (64, 1, 7), (8, 4, 3)])
def test_a_vector_engine_gather_shares_offsets_among_16_partitions(rows, columns, count):
    data = RNG.normal(size=(rows, 50)).astype(np.float32)
    index = RNG.integers(0, 50, (rows, columns)).astype(np.uint16)
    expected = np.take_along_axis(data, offsets_of(index, count, 16), axis=1)
    np.testing.assert_array_equal(simulate(gather_kernel(count))(data, index), expected)


def test_a_scatter_writes_to_the_offsets_and_leaves_the_rest():
    def kernel(x, index):
        out = nl.ndarray((32, 20), x.dtype, nl.shared_hbm)
        values, where = load(x, index)
        tile = nl.ndarray((32, 20), x.dtype)
        nisa.memset(tile, 0)
        nisa.tensor_copy(tile.indirect(where, 6), values)
        nisa.dma_copy(out, tile)
        return out

    values = RNG.normal(size=(32, 6)).astype(np.float32)
    index = np.stack([RNG.permutation(20)[:16] for _ in range(2)]).reshape(32, 1).astype(np.uint16)
    expected = np.zeros((32, 20), np.float32)
    np.put_along_axis(expected, offsets_of(index, 6, 16), values, axis=1)
    np.testing.assert_array_equal(simulate(kernel)(values, index), expected)


def test_an_mx_matmul_shares_offsets_among_32_partitions():
    packed = RNG.integers(0, 2**32, (64, 10), dtype=np.uint32) & np.uint32(0x3F3F3F3F)  # no infinities
    scale = RNG.integers(120, 130, (64, 10)).astype(np.uint8)
    index = RNG.integers(0, 10, (64, 1)).astype(np.uint16)
    index[32:] = index[:32]  # both groups choose the same columns

    def kernel(x, s, i, gathered):
        out = nl.ndarray((24, 10), nl.float32, nl.shared_hbm)
        data, scales, where = load(x, s, i)
        data = data.view(nl.float8_e5m2_x4)
        left = (data.indirect(where, 24), scales.indirect(where, 24)) if gathered is None else load(*gathered)
        result, back = nl.ndarray((24, 10), nl.float32, nl.psum), nl.ndarray((24, 10), nl.float32)
        left = (left[0] if gathered is None else left[0].view(nl.float8_e5m2_x4), left[1])
        nisa.nc_matmul_mx(result, left[0], data, left[1], scales)
        nisa.tensor_copy(back, result)
        nisa.dma_copy(out, back)
        return out

    def direct(x, s, i, a, b):
        return kernel(x, s, i, (a, b))

    chosen = offsets_of(index, 24, 32)
    expected = simulate(direct)(packed, scale, index, packed[:, chosen[0]], scale[:, chosen[0]])
    np.testing.assert_array_equal(simulate(lambda x, s, i: kernel(x, s, i, None))(packed, scale, index), expected)


def test_a_matmul_gathers_with_offsets_shared_by_32_partitions_and_scatters_its_columns():
    def kernel(a, b, i, j):
        out = nl.ndarray((32, 40), nl.float32, nl.shared_hbm)
        left, right, where, columns = load(a, b, i, j)
        result, back = nl.ndarray((32, 40), nl.float32, nl.psum), nl.ndarray((32, 40), nl.float32)
        nisa.memset(result, 0)
        for _ in range(2):
            nisa.nc_matmul(result.indirect(columns, 20), left.indirect(where, 32), right)
        nisa.tensor_copy(back, result)
        nisa.dma_copy(out, back)
        return out

    a, b = RNG.normal(size=(64, 50)).astype(np.float32), RNG.normal(size=(64, 20)).astype(np.float32)
    index = RNG.integers(0, 50, (64, 1)).astype(np.uint16)
    columns = RNG.permutation(40)[:32].reshape(32, 1).astype(np.uint16)
    chosen = np.take_along_axis(a, offsets_of(index, 32, 32), axis=1)
    expected = np.zeros((32, 40), np.float32)
    expected[:, columns[:20, 0]] = 2 * chosen.T @ b
    np.testing.assert_allclose(simulate(kernel)(a, b, index, columns), expected, rtol=1e-4, atol=1e-4)


def refuse(match, kernel, *args, **options):
    with pytest.raises(NkiValidationError, match=match):
        simulate(kernel, **options)(*args)


def test_an_mx_operand_and_its_scales_are_gathered_alike():
    def kernel():
        data, scale = nl.ndarray((32, 8), nl.float8_e5m2_x4), nl.ndarray((32, 8), nl.uint8)
        index = nl.ndarray((32, 1), nl.uint16)
        nisa.nc_matmul_mx(nl.ndarray((8, 8), nl.float32, nl.psum), data.indirect(index, 8), data, scale, scale)

    refuse("not gathered alike", kernel)


def test_offsets_outside_the_tile_are_an_error():
    refuse("leaves", gather_kernel(4), np.zeros((16, 10), np.float32), np.full((16, 1), 10, np.int32))


def test_a_group_has_16_offsets_for_each_column_of_the_index():
    refuse("16 for each column", gather_kernel(17), np.zeros((32, 10), np.float32), np.zeros((32, 1), np.uint16))


def test_indirect_refuses_what_the_hardware_lacks():
    def made(shape=(16, 4), buffer=nl.sbuf, index=(16, 1), dtype=nl.uint16, count=4):
        return lambda: nl.ndarray(shape, nl.float32, buffer).indirect(nl.ndarray(index, dtype), count)

    def fine():
        made()()

    simulate(fine)()
    refuse("NeuronCore-v4", made(), target="gen3")
    refuse("SBUF or PSUM", made(buffer=nl.shared_hbm))
    refuse("SBUF or PSUM", made(shape=(16, 2, 2)))
    refuse("whole numbers", made(dtype=nl.float32))
    refuse("same partitions", made(index=(8, 1)))
    refuse("1 to 16", made(count=17))
    refuse("one indirection", lambda: made()().indirect(nl.ndarray((16, 1), nl.uint16)))


@pytest.mark.parametrize("kind", ["tile", "register"])
def test_a_dynamic_select_takes_one_entry_of_a_free_dimension(kind):
    def kernel(x, which):
        out = nl.ndarray((8, 5), x.dtype, nl.shared_hbm)
        tile, index = load(x, which)
        result = nl.ndarray((8, 5), x.dtype)
        if kind == "register":
            reg = nisa.register_alloc()
            nisa.register_load(reg, index)
            index = reg
        nisa.tensor_copy(result, tile.select(1, index))
        nisa.dma_copy(out, result)
        return out

    data = RNG.normal(size=(8, 3, 5)).astype(np.float32)
    for at in range(3):
        np.testing.assert_array_equal(simulate(kernel)(data, np.array([[at]], np.int32)), data[:, at])
    for at in (3, -1):
        refuse("leaves", kernel, data, np.array([[at]], np.int32))


def test_a_dynamic_pattern_on_chip_stays_in_its_partition():
    def kernel(x, start):
        out = nl.ndarray((4, 6), x.dtype, nl.shared_hbm)
        tile, index = load(x, start)
        result = nl.ndarray((4, 6), x.dtype)
        nisa.tensor_copy(result, tile.ap([[10, 4], [1, 6]], scalar_offset=index, indirect_dim=1))
        nisa.dma_copy(out, result)
        return out

    data = RNG.normal(size=(4, 10)).astype(np.float32)
    np.testing.assert_array_equal(simulate(kernel)(data, np.array([[4]], np.int32)), data[:, 4:])
    refuse("leaves", kernel, data, np.array([[5]], np.int32))


def test_vector_select_gathers_rows_of_any_shape():
    def kernel(x, rows):
        out = nl.ndarray((16, 3, 5), x.dtype, nl.shared_hbm)
        (index,) = load(rows)
        tile = nl.ndarray((16, 3, 5), x.dtype)
        nisa.dma_copy(tile, x.vector_select(0, index))
        nisa.dma_copy(out, tile)
        return out

    data = RNG.normal(size=(40, 3, 5)).astype(np.float32)
    rows = RNG.integers(0, 40, (16, 1)).astype(np.int32)
    np.testing.assert_array_equal(simulate(kernel)(data, rows), data[rows[:, 0]])


def test_one_index_scatters_several_rows_from_where_it_points():
    def kernel(cache, rows, values):
        index, tile = load(rows, values)
        view = cache.reshape((40, 6)).ap([[1, 4], [6, 2], [1, 6]], offset=0, vector_offset=index, indirect_dim=0)
        nisa.dma_copy(view, tile)
        return cache

    cache, values = np.zeros((4, 10, 6), np.float32), RNG.normal(size=(4, 2, 6)).astype(np.float32)
    rows = np.array([[3], [14], [20], [38]], np.int32)
    expected = cache.reshape(40, 6).copy()
    for each, row in zip(values, rows[:, 0], strict=True):
        expected[row : row + 2] = each
    np.testing.assert_array_equal(simulate(kernel)(cache.copy(), rows, values).reshape(40, 6), expected)
