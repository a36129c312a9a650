"""Max-min fair sharing of links."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.arithmetic.network import drain_seconds, fair_rates

LINKS = {"a": 10.0, "b": 6.0, "c": 1.0, "d": 25.0}
ROUTES = st.lists(st.lists(st.sampled_from(sorted(LINKS)), min_size=1, unique=True), min_size=1, max_size=12)


@given(routes=ROUTES)
@settings(max_examples=200)
def test_every_message_is_held_back_by_a_full_link_on_which_nobody_has_more(routes):
    """Oracle: the definition of max-min fairness by bottleneck links (Bertsekas & Gallager, 6.5.2)."""
    rates = fair_rates(routes, LINKS)
    loads = {link: sum(rate for rate, way in zip(rates, routes, strict=True) if link in way) for link in LINKS}
    assert all(loads[link] <= LINKS[link] * (1 + 1e-9) for link in LINKS)
    for rate, way in zip(rates, routes, strict=True):
        others = {link: max(r for r, w in zip(rates, routes, strict=True) if link in w) for link in way}
        assert any(loads[k] >= LINKS[k] * (1 - 1e-9) and rate >= others[k] * (1 - 1e-9) for k in way)


def test_the_textbook_example_of_three_links():
    """Oracle: by hand: the long message gets 1 of c; the two on b share the 5 that it leaves."""
    assert fair_rates([["a", "b", "c"], ["b"], ["b"], ["a"]], LINKS) == pytest.approx([1, 2.5, 2.5, 9])


@given(routes=ROUTES, data=st.data())
@settings(max_examples=100)
def test_no_link_carries_more_than_its_capacity_for_the_time_it_had(routes, data):
    """Oracle: bytes through a link over its capacity is a lower bound, all messages one after another an upper one."""
    sizes = data.draw(st.lists(st.floats(0, 100), min_size=len(routes), max_size=len(routes)))
    done = drain_seconds(routes, sizes, LINKS)
    alone = [size / min(LINKS[link] for link in way) for size, way in zip(sizes, routes, strict=True)]
    assert all(took >= single * (1 - 1e-6) for took, single in zip(done, alone, strict=True))
    for link, rate in LINKS.items():
        carried = sum(size for size, way in zip(sizes, routes, strict=True) if link in way)
        assert max(done) >= carried / rate * (1 - 1e-6)
    assert max(done) <= sum(alone) * (1 + 1e-6)


def test_what_a_finished_message_leaves_is_shared_anew():
    """Oracle: by hand: 2 messages on b (6/s) with 3 and 9 bytes: both at 3/s for 1 s, then the second at 6/s."""
    assert drain_seconds([["b"], ["b"]], [3, 9], LINKS) == pytest.approx([1, 2])


def test_nothing_to_send_takes_no_time():
    """Oracle: nothing."""
    assert drain_seconds([["a"], []], [0, 5], LINKS) == [0, 0]
    assert drain_seconds([], [], LINKS) == []


@pytest.mark.timeout(10)
def test_a_message_of_less_than_any_byte_is_done_at_once():
    """Oracle: by hand; 5e-324 is the smallest float, and a product with it rounds to 0."""
    assert drain_seconds([["b"], ["b", "c"]], [5e-324, 3], LINKS) == pytest.approx([0, 3])
    assert drain_seconds([["a"]] * 3, [5e-324, 1e-323, 0], LINKS) == pytest.approx([0, 0, 0])
