"""Oracle: NumPy's indexing with the documented differences, and the documented examples of shapes and patterns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.nki import NkiValidationError, simulate
from course_lib.nki import isa as nisa
from course_lib.nki import language as nl
from course_lib.nki.options import Options
from course_lib.nki.session import Core, running


@pytest.fixture(autouse=True)
def core():
    with running(Core(Options())) as made:
        yield made


def numbered(*shape, buffer=nl.sbuf, dtype=nl.float32):
    tensor = nl.ndarray(shape, dtype, buffer=buffer)
    tensor.array[...] = np.arange(tensor.size).reshape(shape)
    return tensor


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ((0, 0, 10), (1, 1)),
        ((slice(None), 0), (64, 64)),
        ((slice(None), 0, 10), (64, 1)),
        ((slice(0, 64), 0, slice(0, 64)), (64, 64)),
        ((slice(None), slice(None), slice(None, None, 2)), (64, 64, 32)),
        ((...,), (64, 64, 64)),
        ((0, ..., slice(None)), (1, 64, 64)),
        ((..., 0), (64, 64)),
        ((-1, slice(-4, None)), (1, 4, 64)),
        ((nl.ds(8, 16), nl.ds(2, 3)), (16, 3, 64)),
    ],
)
def test_on_chip_the_partition_dimension_stays(key, shape):
    tensor = numbered(64, 64, 64)
    view = tensor[key]
    assert view.shape == shape
    plain = tuple(slice(k.start, k.start + k.size) if isinstance(k, nl.DynamicSlice) else k for k in key)
    np.testing.assert_array_equal(view.array.reshape(-1), tensor.array[plain].reshape(-1))
    assert np.shares_memory(view.array, tensor.array)


@pytest.mark.parametrize(
    ("key", "shape"), [(0, (128, 32)), ((0, 5), (32,)), ((1, 2, 3), (1,)), ((slice(None), 3), (4, 32))]
)
def test_in_hbm_an_indexed_dimension_goes(key, shape):
    tensor = numbered(4, 128, 32, buffer=nl.shared_hbm)
    assert tensor[key].shape == shape
    np.testing.assert_array_equal(tensor[key].array.reshape(-1), tensor.array[key].reshape(-1))


def test_a_tensor_describes_its_layout():
    tensor = nl.ndarray((128, 64), dtype=nl.float32, buffer=nl.sbuf)
    assert (tensor.shape, tensor.strides, tensor.offset, tensor.ndim, tensor.size) == ((128, 64), (64, 1), 0, 2, 8192)
    part = tensor.slice(dim=1, start=8, end=24)
    assert part.get_pattern() == [[64, 128], [1, 16]]
    assert part.offset == 8
    same = tensor.ap(pattern=[[64, 128], [1, 16]], offset=8)
    assert (same.get_pattern(), same.offset) == (part.get_pattern(), part.offset)
    assert tensor.is_contiguous()
    assert tensor[0:64].is_contiguous()
    assert not tensor[:, ::2].is_contiguous()
    assert numbered(128, 1, 64).permute((0, 2, 1)).is_contiguous()  # a dimension of one entry has no say
    assert not part.is_indirect()


def test_view_methods_compose():
    tensor = numbered(128, 4, 16)
    assert tensor[0:64, :, :].permute((0, 2, 1))[:, 0, :].shape == (64, 4)
    np.testing.assert_array_equal(tensor.permute((0, 2, 1)).array, tensor.array.transpose(0, 2, 1))
    assert tensor.reshape_dim(1, (2, -1)).shape == (128, 2, 2, 16)
    assert tensor.flatten_dims(1, 2).shape == (128, 64)
    assert tensor.expand_dim(1).shape == (128, 1, 4, 16)
    assert tensor.expand_dim(1).squeeze_dim(1).shape == (128, 4, 16)
    np.testing.assert_array_equal(tensor[:, 0:1].broadcast(1, 8).array, np.repeat(tensor.array[:, 0:1], 8, axis=1))


def test_rearrange_splits_and_reorders():
    tensor = numbered(8, 12, 5)
    got = tensor.rearrange(("p", ("a", "b"), "c"), ("p", "b", "a", "c"), {"a": 3})
    np.testing.assert_array_equal(got.array, tensor.array.reshape(8, 3, 4, 5).transpose(0, 2, 1, 3))


def test_view_reads_the_same_bytes():
    tensor = numbered(128, 64)
    assert tensor.view(nl.uint8).shape == (128, 256)
    assert tensor.view(nl.int32).shape == (128, 64)
    assert nl.ndarray((128, 256), nl.uint8).view(nl.float32).shape == (128, 64)
    np.testing.assert_array_equal(tensor.reinterpret_cast(nl.int32).array, tensor.array.view(np.int32))
    bits = nl.ndarray((128, 256), nl.int32).ap(pattern=[[512, 128], [1, 512]], offset=0, dtype=nl.bfloat16)
    assert (bits.shape, bits.dtype) == ((128, 512), nl.bfloat16)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_ap_walks_the_flattened_storage(data):
    with running(Core(Options())):
        tensor = numbered(16, 32, buffer=nl.shared_hbm)
        pairs = data.draw(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 5)), min_size=1, max_size=4))
        reach = sum(step * (count - 1) for step, count in pairs)
        offset = data.draw(st.integers(0, 511 - reach)) if reach <= 511 else 0
        if reach > 511:
            with pytest.raises(NkiValidationError, match="reaches elements"):
                nisa.dma_copy(
                    dst=nl.ndarray(tuple(count for _, count in pairs), nl.float32, nl.hbm), src=tensor.ap(pairs)
                )
            return
        got = tensor.ap(pairs, offset=offset)
    expected = np.empty([count for _, count in pairs])
    for place in np.ndindex(*expected.shape):
        expected[place] = offset + sum(step * at for (step, _), at in zip(pairs, place, strict=True))
    np.testing.assert_array_equal(got.array, expected)


def test_ap_is_not_composable():
    tensor = numbered(128, 256)
    inner = tensor.ap(pattern=[[256, 128], [2, 128]])
    outer = inner.ap(pattern=[[256, 128], [1, 64]])
    np.testing.assert_array_equal(outer.array, tensor.array[:, :64])


def test_on_chip_a_pattern_steps_through_neighbouring_partitions():
    tensor = numbered(16, 32)
    with pytest.raises(NkiValidationError, match="steps from partition to partition by 64"):
        tensor.ap(pattern=[[64, 8], [1, 32]], offset=0)
    for pattern in ([[32, 8], [1, 33]], [[32, 16], [1, 33]]):  # legal to write down, not to use
        with pytest.raises(NkiValidationError, match="reaches elements"):
            nisa.memset(dst=tensor.ap(pattern=pattern, offset=0), value=0.0)
    np.testing.assert_array_equal(tensor.ap([[32, 8], [0, 3]], offset=5).array, np.repeat(tensor.array[:8, 5:6], 3, 1))


def gather(make_view, table, indices, shape):
    def kernel(table, indices):
        out = nl.ndarray(shape, table.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out, src=make_view(table, nl.load(indices)))
        return out

    return simulate(kernel)(table, indices)


TABLE = np.arange(4 * 128 * 32, dtype=np.float32).reshape(4, 128, 32)


def test_select_takes_one_index_at_run_time():
    got = gather(lambda t, i: t.select(0, i), TABLE, np.array([[3]], np.int32), (128, 32))
    np.testing.assert_array_equal(got, TABLE[3])


def test_an_indirect_view_can_be_sliced_and_rearranged_further():
    index = np.array([[2]], np.int32)
    got = gather(lambda t, i: t.select(0, i)[16:32, ::2].permute((1, 0)), TABLE, index, (16, 16))
    np.testing.assert_array_equal(got, TABLE[2, 16:32, ::2].T)
    got = gather(lambda t, i: t.select(0, i).reshape((16, 8, 32)).select(1, 3), TABLE, index, (16, 32))
    np.testing.assert_array_equal(got, TABLE[2].reshape(16, 8, 32)[:, 3])


def test_vector_select_takes_a_row_for_each_partition():
    rows = np.random.default_rng(0).integers(0, 128, (64, 1)).astype(np.int32)
    got = gather(lambda t, i: t.vector_select(0, i), TABLE[0], rows, (64, 32))
    np.testing.assert_array_equal(got, TABLE[0][rows[:, 0]])
    got = gather(lambda t, i: t.vector_select(0, i)[:, 4:8], TABLE[0], rows, (64, 4))
    np.testing.assert_array_equal(got, TABLE[0][rows[:, 0], 4:8])


def test_ap_with_offsets_counts_in_the_tensors_own_rows():
    flat = TABLE.reshape(512, 32)
    got = gather(
        lambda t, i: t.ap([[32, 128], [1, 16]], offset=0, scalar_offset=i, indirect_dim=0),
        flat,
        np.array([[3 * 128]], np.int32),
        (128, 16),
    )
    np.testing.assert_array_equal(got, flat[384:, :16])
    rows = np.arange(0, 128, 2, dtype=np.int32).reshape(64, 1)
    got = gather(lambda t, i: t.ap([[32, 64], [1, 32]], 0, vector_offset=i, indirect_dim=0), flat, rows, (64, 32))
    np.testing.assert_array_equal(got, flat[rows[:, 0]])


def test_one_run_time_index_for_each_view():
    index = nl.zeros((1, 1), nl.int32)
    table = numbered(4, 128, 8, buffer=nl.shared_hbm)
    chosen = table.select(0, index)
    assert chosen.is_indirect()
    with pytest.raises(NkiValidationError, match="one run-time index"):
        chosen.select(0, index)
    each = table.vector_select(0, nl.zeros((128, 1), nl.int32))
    assert each.shape == (128, 128, 8)
    with pytest.raises(NkiValidationError, match="looks up its own index"):
        each[0:4]
    with pytest.raises(NkiValidationError, match="looks up its own index"):
        each.permute((1, 0, 2))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda t: t.permute((1, 0, 2)), "partition dimension"),
        (lambda t: t.broadcast(0, 4), "partition dimension"),
        (lambda t: t.flatten_dims(0, 1), "partition dimension"),
        (lambda t: t.reshape_dim(0, (2, 4)), "partition dimension"),
        (lambda t: t.reshape((4, 128)), "partition dimension"),
        (lambda t: t.expand_dim(0), "partition dimension"),
        (lambda t: t.select(0, nl.zeros((1, 1), nl.int32)), "partition dimension"),
        (lambda t: t.vector_select(0, nl.zeros((8, 1), nl.int32)), "in HBM"),
        (lambda t: t.reshape((8, 63)), "64 elements|512 elements"),
        (lambda t: t[:, ::2].flatten_dims(1, 2), "no copy"),
        (lambda t: t.slice(1, 0, 9), "end <= 8"),
        (lambda t: t[:, 8], "-8 to 7"),
        (lambda t: t[:, nl.ds(6, 4)], "shorten the last tile"),
        (lambda t: nisa.tensor_copy(dst=t[:, 3:3], src=t[:, 3:3]), "selects nothing"),
        (lambda t: t[0, 0, 0, 0], "4 indices"),
        (lambda t: t.expand_dim(1).expand_dim(1).expand_dim(1), "at most 5 dimensions"),
    ],
)
def test_views_that_the_hardware_cannot_address_are_refused(act, message):
    with pytest.raises(NkiValidationError, match=message):
        act(numbered(8, 8, 8))


def test_a_core_without_rows_may_slice_them_but_not_move_them():
    def kernel(x, moves):
        rows = x[nl.ds(4, 0), :]
        assert rows.shape == (0, 3)
        if moves:
            nisa.dma_copy(dst=rows, src=rows)

    ones = np.ones((4, 3), np.float32)
    simulate(kernel)(ones, False)
    for changes in ({}, {"execute": False}, {"record": True}):
        with pytest.raises(NkiValidationError, match=r"nl\.ds\(4, 0\).* selects nothing.*Try: leave the instruction"):
            simulate(kernel, **changes)(ones, True)


def test_a_pattern_on_a_part_of_a_tile_may_step_by_the_part_own_width():
    whole = numbered(4, 16)
    part = whole.ap([[16, 4], [1, 8]], offset=8)
    assert np.array_equal(part.ap([[8, 4], [1, 8]]).array, whole.array[:, 8:])
    assert np.array_equal(part.ap([[8, 2], [2, 3]], offset=1).array, whole.array[:2, 9:15:2])
    with pytest.raises(NkiValidationError, match="steps from partition to partition by 4 elements"):
        part.ap([[4, 4], [1, 4]])


def test_a_pattern_without_elements_is_refused_where_it_is_used():
    x = numbered(4, 16, buffer=nl.shared_hbm)
    nothing = x.ap([[16, 0], [1, 16]])
    assert nothing.shape == (0, 16)
    with pytest.raises(NkiValidationError, match="each count is 1 or more"):
        nisa.dma_copy(dst=nothing, src=nothing)


def test_classes_of_kernels_are_initialised_from_their_annotations():
    class Config(nl.NKIObject):
        x: int
        y: bool = False

        def __post_init__(self):
            self.seen = True

    made = Config(1)
    assert (made.x, made.y, made.seen) == (1, False, True)
    assert Config(2, y=True).y
    assert Config().x is None
    with pytest.raises(TypeError, match="2 fields"):
        Config(1, 2, 3)


def test_printing_a_tile_shows_its_values():
    assert "0." in str(numbered(2, 2))
    assert "shape=(2, 2)" in str(numbered(2, 2))
