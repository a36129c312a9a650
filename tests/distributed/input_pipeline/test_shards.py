"""Shards on disk. Oracle: NumPy's own loader, hashlib, and the tokens that went in."""

import hashlib
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.distributed import TrainingSetupError
from course_lib.distributed.input_pipeline import ShardError, Throttled, open_shards, write_shards


def tokens_of(count, vocab=1000, seed=0):
    return np.random.default_rng(seed).integers(0, vocab, count)


@settings(max_examples=20)
@given(pieces=st.lists(st.integers(0, 30), min_size=1, max_size=6), size=st.integers(2, 17))
def test_pieces_of_any_length_are_joined_and_cut(tmp_path_factory, pieces, size):
    """Oracle: numpy.concatenate, and numpy.load on each file."""
    arrays = [tokens_of(count, seed=index) for index, count in enumerate(pieces)]
    whole = np.concatenate(arrays)
    folder = tmp_path_factory.mktemp("shards") / "data"
    if not len(whole):
        with pytest.raises(TrainingSetupError, match="tokens=0 must be at least 1"):
            write_shards(folder, iter(arrays), size, 1000)
        assert not folder.exists()
        return
    shards = write_shards(folder, iter(arrays), size, 1000)
    files = [np.load(folder / shard.name) for shard in shards.shards]
    assert np.array_equal(np.concatenate(files), whole)
    assert all(len(file) == size for file in files[:-1])
    assert shards.lengths == tuple(len(file) for file in files)
    for shard in shards.shards:
        assert hashlib.sha256((folder / shard.name).read_bytes()).hexdigest() == shard.sha256


@pytest.mark.parametrize(("vocab", "bytes_each"), [(2**16, 2), (2**16 + 1, 4)])
def test_the_smallest_dtype_that_holds_the_vocabulary_is_used(tmp_path, vocab, bytes_each):
    """Oracle: numpy.load."""
    shards = write_shards(tmp_path / "data", np.array([0, vocab - 1]), 10, vocab)
    assert np.load(tmp_path / "data/00000.npy").itemsize == bytes_each
    assert shards.read(0, 1, 2).tolist() == [vocab - 1]


def test_what_is_read_is_a_copy_and_travels_without_the_data(tmp_path):
    """Oracle: pickle's size; the file is unchanged after a write into what was read."""
    shards = write_shards(tmp_path / "data", tokens_of(100_000), 50_000, 1000)
    before = shards.read(1, 5, 9)
    shards.read(1, 5, 9)[:] = 0
    assert np.array_equal(shards.read(1, 5, 9), before)
    assert len(pickle.dumps(shards)) < 2_000
    again = pickle.loads(pickle.dumps(shards))
    assert again == shards
    assert np.array_equal(again.read(1, 5, 9), before)


def test_the_fingerprint_tells_data_apart_and_copies_alike(tmp_path):
    """Oracle: equal and unequal arrays."""
    first = write_shards(tmp_path / "a", tokens_of(50), 20, 1000)
    same = write_shards(tmp_path / "b", tokens_of(50), 20, 1000)
    other = write_shards(tmp_path / "c", tokens_of(50, seed=1), 20, 1000)
    assert first.fingerprint == same.fingerprint != other.fingerprint


def test_a_flipped_byte_is_found_by_its_checksum(tmp_path):
    """Oracle: one byte changed by hand; lengths alone do not tell."""
    write_shards(tmp_path / "data", tokens_of(50), 20, 1000)
    path = tmp_path / "data/00001.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    open_shards(tmp_path / "data")
    with pytest.raises(ShardError, match=r"00001\.npy has sha256="):
        open_shards(tmp_path / "data", verify=True)


def spoil_index(folder):
    (folder / "index.json").write_text("{")


def truncate(folder):
    path = folder / "00000.npy"
    path.write_bytes(path.read_bytes()[:-8])


def shorten(folder):
    np.save(folder / "00000.npy", np.zeros(3, np.uint16))


def wrong_fields(folder):
    (folder / "index.json").write_text(json.dumps({"vocab_size": 3, "shards": [{"name": "x"}]}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_index, "no index of shards"),
        (wrong_fields, "no index of shards"),
        (truncate, r"00000\.npy .*can't be read"),
        (shorten, r"00000\.npy has shape=\(3,\), the index says \(20,\)"),
        (lambda folder: (folder / "00002.npy").unlink(), r"00002\.npy .*can't be read"),
        (lambda folder: (folder / "index.json").unlink(), "no index of shards"),
    ],
)
def test_a_broken_folder_is_refused_when_it_is_opened(tmp_path, spoil, words):
    """Oracle: one defect made by hand."""
    write_shards(tmp_path / "data", tokens_of(50), 20, 1000)
    spoil(tmp_path / "data")
    with pytest.raises(ShardError, match=words):
        open_shards(tmp_path / "data")


def test_a_writer_that_fails_leaves_nothing_behind(tmp_path):
    """Oracle: the directory listing."""

    def broken():
        yield tokens_of(30)
        raise OSError("the network is gone")

    with pytest.raises(OSError, match="network"):
        write_shards(tmp_path / "data", broken(), 10, 1000)
    with pytest.raises(TrainingSetupError, match="token=1000 is not in 0 to 999"):
        write_shards(tmp_path / "data", [tokens_of(15), np.array([1000])], 10, 1000)
    with pytest.raises(TrainingSetupError, match="token=-1"):
        write_shards(tmp_path / "data", np.array([-1, 2]), 10, 1000)
    with pytest.raises(TrainingSetupError, match="whole numbers in one row"):
        write_shards(tmp_path / "data", np.zeros(4), 10, 1000)
    assert list(tmp_path.iterdir()) == []
    write_shards(tmp_path / "data", tokens_of(30), 10, 1000)
    with pytest.raises(ShardError, match="exists"):
        write_shards(tmp_path / "data", tokens_of(30), 10, 1000)


def test_a_throttled_source_gives_the_same_tokens(tmp_path):
    """Oracle: the source itself."""
    shards = write_shards(tmp_path / "data", tokens_of(50), 20, 1000)
    slow = Throttled(shards, seconds_per_read=1e-4, bytes_per_second=1e6)
    assert (slow.lengths, slow.fingerprint) == (shards.lengths, shards.fingerprint)
    assert np.array_equal(slow.read(1, 3, 9), shards.read(1, 3, 9))
    for bad in ({"seconds_per_read": -1}, {"bytes_per_second": 0}):
        with pytest.raises(TrainingSetupError, match=next(iter(bad))):
            Throttled(shards, **bad)
