"""Oracle: Marsaglia's XORWOW in Python integers, and the moments and frequencies of the uniform distribution."""

import ml_dtypes
import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import NkiValidationError

from .on_tiles import run

SHAPE = (128, 256)
WORDS = np.random.default_rng(3).integers(1, 2**32, (128, 24)).astype(np.uint32)


def xorwow(state, count):
    """`count` numbers from six 32-bit words, and the words afterwards."""
    x, y, z, w, v, d = (int(word) for word in state)
    numbers = []
    for _ in range(count):
        t = x ^ (x >> 2)
        x, y, z, w = y, z, w, v
        v = (v ^ (v << 4) ^ t ^ (t << 1)) & 0xFFFFFFFF
        d = (d + 362437) & 0xFFFFFFFF
        numbers.append((v + d) & 0xFFFFFFFF)
    return numbers, [x, y, z, w, v, d]


def test_the_gpsimd_generator_is_xorwow_with_a_state_for_each_partition():
    def body(dst, seeds):
        nisa.rand_set_state(seeds)
        nisa.rng(dst[:, :9], engine=nisa.engine.gpsimd)
        nisa.rand_get_state(dst[:, 9:])

    found = run(body, WORDS[:5, :6], shape=(5, 15), dtype=nl.uint32)
    for row, words in zip(found, WORDS, strict=False):
        numbers, after = xorwow(words[:6], 9)
        assert row.tolist() == numbers + after


def test_the_vector_generator_takes_turns_between_four_states():
    def body(dst, seeds):
        nisa.rand_set_state(seeds, engine=nisa.engine.vector)
        nisa.rng(dst)

    found = run(body, WORDS[:3], shape=(3, 10), dtype=nl.uint32)
    for row, words in zip(found, WORDS, strict=False):
        four = [xorwow(part, 3)[0] for part in words.reshape(4, 6)]
        assert row.tolist() == [four[place % 4][place // 4] for place in range(10)]


@pytest.mark.parametrize("engine", [nisa.engine.gpsimd, nisa.engine.vector])
def test_a_stored_state_gives_the_same_numbers_again(engine):
    words = 6 if engine is nisa.engine.gpsimd else 24

    def body(dst):
        state = nl.ndarray((128, words), nl.uint32)
        nisa.rand_get_state(state, engine=engine)
        nisa.rng(dst[:, :16], engine=engine)
        nisa.rand_set_state(state, engine=engine)
        nisa.rng(dst[:, 16:], engine=engine)

    found = run(body, shape=(128, 32), dtype=nl.uint32)
    np.testing.assert_array_equal(found[:, :16], found[:, 16:])


@pytest.mark.parametrize("target", ["gen2", "gen3", "gen4"])
def test_a_seed_fixes_the_numbers_of_the_vector_engine(target):
    def body(dst, seeds):
        for place in range(3):
            nisa.set_rng_seed(seeds[:, place : place + 1])
            nisa.rng(dst[:, 64 * place : 64 * place + 64])

    found = run(body, np.array([[7, 8, 7]], np.int32), shape=(128, 192), dtype=nl.int32, target=target)
    first, other, again = np.split(found, 3, axis=1)
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.99


@pytest.mark.parametrize("dtype", [nl.uint8, nl.int8, nl.uint16, nl.int16, nl.int32, nl.uint32])
def test_random_bits_are_even_and_lanes_differ(dtype):
    found = run(lambda dst: nisa.rng(dst), shape=SHAPE, dtype=dtype)
    bits = np.unpackbits(found.view(np.uint8), axis=1)
    assert abs(bits.mean() - 0.5) < 0.01
    assert len(np.unique(found[:, :8].astype(np.int64), axis=0)) == 128


def test_small_formats_keep_the_lowest_bits():
    def body(dst, seed):
        nisa.set_rng_seed(seed)
        wide = nl.ndarray((4, 8), nl.uint32)
        nisa.rng(wide)
        nisa.set_rng_seed(seed)
        narrow = nl.ndarray((4, 8), nl.uint8)
        nisa.rng(narrow)
        nisa.tensor_scalar(wide, wide, nl.bitwise_and, 0xFF)
        nisa.tensor_copy(dst[:, :8], wide)
        nisa.tensor_copy(dst[:, 8:], narrow)

    found = run(body, np.array([[11]], np.uint32), shape=(4, 16), dtype=nl.uint32)
    np.testing.assert_array_equal(found[:, :8], found[:, 8:])


@pytest.mark.parametrize("dtype", [nl.float32, nl.bfloat16, nl.float16])
def test_rand2_is_uniform_between_its_bounds(dtype):
    found = run(lambda dst: nisa.rand2(dst, -2.0, 4.0), shape=SHAPE, dtype=dtype).astype(np.float64)
    assert -2 <= found.min() < -1.98
    assert 3.98 < found.max() <= 4
    assert abs(found.mean() - 1) < 0.03
    assert abs(found.var() - 36 / 12) < 0.06
    counts, _ = np.histogram(found, bins=6, range=(-2, 4))
    assert np.abs(counts / found.size - 1 / 6).max() < 0.01


def test_rand2_takes_bounds_for_each_partition():
    low = np.arange(128, dtype=np.float32).reshape(-1, 1)
    found = run(lambda dst, a, b: nisa.rand2(dst, a, b), low, low + 1, shape=SHAPE)
    assert ((found >= low) & (found <= low + 1)).all()
    assert abs((found - low).mean() - 0.5) < 0.01


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.int16])
@pytest.mark.parametrize("prob", [0.0, 0.25, 1.0])
def test_dropout_replaces_that_share_with_zeros_and_keeps_the_rest(dtype, prob):
    x = (np.arange(128 * 256).reshape(SHAPE) % 100 + 1).astype(dtype)
    found = run(lambda dst, t: nisa.dropout(dst, t, prob), x, dtype=x.dtype).astype(np.float32)
    kept = found != 0
    assert abs((1 - kept).mean() - prob) < 0.01
    np.testing.assert_array_equal(found[kept], x.astype(np.float32)[kept])


def test_dropout_takes_a_probability_for_each_partition():
    prob = np.linspace(0, 1, 128, dtype=np.float32).reshape(-1, 1)
    found = run(lambda dst, t, p: nisa.dropout(dst, t, p), np.ones(SHAPE, np.float32), prob)
    assert np.abs((found == 0).mean(axis=1) - prob[:, 0]).max() < 0.12
    assert (found[0] == 1).all()
    assert (found[-1] == 0).all()


def seeded(dst, shape=(1, 1), dtype=nl.int32):
    seeds = nl.ndarray(shape, dtype)
    nisa.memset(seeds, 1)
    nisa.set_rng_seed(seeds)


def loaded(dst, shape, engine, dtype=nl.uint32, buffer=nl.sbuf):
    state = nl.ndarray(shape, dtype, buffer)
    nisa.memset(state, 1)
    nisa.rand_set_state(state, engine=engine)


def dropped(dst, prob, data=nl.float32):
    x = nl.ndarray(dst.shape, data)
    nisa.memset(x, 1)
    nisa.dropout(dst, x, prob)


def columned(dst, dtype):
    prob = nl.ndarray((4, 1), nl.bfloat16)
    nisa.memset(prob, 0.5)
    x = nl.ndarray(dst.shape, dtype)
    nisa.memset(x, 1)
    nisa.dropout(x, x, prob)


GPSIMD, VECTOR = nisa.engine.gpsimd, nisa.engine.vector
REFUSED = {
    "random floats": (lambda d: nisa.rng(d), "gen4", "int8"),
    "gpsimd numbers on trn1": (lambda d: nisa.rng(nl.ndarray((4, 8), nl.int32), engine=GPSIMD), "gen2", "v3"),
    "gpsimd numbers in PSUM": (
        lambda d: nisa.rng(nl.ndarray((4, 8), nl.int32, nl.psum), engine=GPSIMD),
        "gen4",
        "SBUF only",
    ),
    "rand2 before trn3": (lambda d: nisa.rand2(d, 0.0, 1.0), "gen3", "NeuronCore-v4"),
    "bounds in the wrong order": (lambda d: nisa.rand2(d, 1.0, 0.0), "gen4", "min < max"),
    "a row of seeds": (lambda d: seeded(d, (1, 2)), "gen4", "32 bits"),
    "a seed of 16 bits": (lambda d: seeded(d, dtype=nl.int16), "gen4", "32 bits"),
    "a state on trn1": (lambda d: loaded(d, (4, 6), GPSIMD), "gen2", "NeuronCore-v3"),
    "a vector state on trn2": (lambda d: loaded(d, (4, 24), VECTOR), "gen3", "NeuronCore-v4"),
    "a vector state of 6 words": (lambda d: loaded(d, (4, 6), VECTOR), "gen4", "24"),
    "a state of int32": (lambda d: loaded(d, (4, 6), GPSIMD, nl.int32), "gen4", "uint32"),
    "a state in PSUM": (lambda d: loaded(d, (4, 6), GPSIMD, buffer=nl.psum), "gen4", "sbuf"),
    "a probability above 1": (lambda d: dropped(d, 1.5), "gen4", "0 to 1"),
    "dropout into another format": (lambda d: dropped(d, 0.5, nl.bfloat16), "gen4", "one format"),
    "a bfloat16 probability for integers": (lambda d: columned(d, nl.int32), "gen4", "float32 for integer data"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_randomness_refuses(what):
    body, target, message = REFUSED[what]
    with pytest.raises(NkiValidationError, match=message):
        run(body, shape=(4, 8), target=target)
