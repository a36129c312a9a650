"""PowerSGD's compression ratios. Oracle: Vogels et al. 2019, tables 3 and 6 and appendix F (published.json)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib import arithmetic as a
from course_lib.catalog import published_points


def resnet18_for_cifar():
    """(matrices, elements of vectors) of a ResNet18 with a 3x3 stem and 10 classes."""
    matrices, vectors, width = [(64, 27)], 64 * 2, 64
    for stage, channels in enumerate((64, 128, 256, 512)):
        for block in range(2):
            matrices += [(channels, width * 9), (channels, channels * 9)]
            vectors += channels * 4
            if stage and not block:
                matrices.append((channels, width))
                vectors += channels * 2
            width = channels
    return [*matrices, (10, 512)], vectors + 10


def lstm_on_wikitext2():
    """Three layers of 650 with the embedding of 28,869 words tied to the output."""
    return [(28_869, 650), *[(2_600, 650)] * 6], 6 * 2_600 + 28_869


def computed(p):
    i = p.inputs
    if "rows" in i:
        return a.low_rank_compression(i["rows"], i["cols"], i["rank"])
    matrices, vectors = resnet18_for_cifar() if "ResNet18" in i["model"] else lstm_on_wikitext2()
    if "params" in i:
        assert sum(n * m for n, m in matrices) + vectors == i["params"]
    return a.model_compression(matrices, vectors, i["rank"])


@pytest.mark.parametrize("point", [p for p in published_points() if p.topic == "compression"], ids=lambda p: p.id)
def test_our_function_agrees_with_the_published_value(point):
    """Oracle: the value that the source prints, within the tolerance that its printed digits allow."""
    assert computed(point) == pytest.approx(point.value, rel=max(point.tolerance, 1e-12), abs=0)


@given(rank=st.integers(1, 64), vectors=st.integers(0, 10_000))
def test_vectors_keep_a_doubled_rank_from_halving_the_ratio(rank, vectors):
    """Oracle: factors double, vectors do not; and nothing is ever sent larger than it is."""
    matrices, _ = resnet18_for_cifar()
    low, high = (a.model_compression(matrices, vectors, r) for r in (rank, 2 * rank))
    assert 1 <= high <= low <= 2 * high * (1 + 1e-12)
    assert low <= max(a.low_rank_compression(*m, rank) for m in matrices) or low == 1


def test_a_matrix_smaller_than_its_factors_is_sent_whole():
    """Oracle: 2 x 2 has 4 elements, its factors of rank 5 have 20."""
    assert a.low_rank_compression(2, 2, 5) == 0.2
    assert a.model_compression([(2, 2)], 0, 5) == 1
