"""Names are found however they are typed, and a wrong one leads to the right one."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.catalog import UnknownNameError, accelerator, instance
from course_lib.catalog.accelerators import accelerator_table
from course_lib.catalog.errors import CatalogError, nearest_names
from course_lib.catalog.instances import instance_table
from course_lib.catalog.lookup import index_names

NOISE = st.sampled_from(["", " ", "-", "_", ".", "  "])


@st.composite
def respelled(draw: st.DrawFn, names: list[str]) -> tuple[str, str]:
    """A name of the catalog and another spelling of it: any case, separators dropped, changed or added."""
    name = draw(st.sampled_from(names))
    letters = [draw(NOISE) + draw(st.sampled_from([c.lower(), c.upper()])) for c in name if c not in "-_. "]
    return name, "".join(letters) + draw(NOISE)


@given(respelled(list(accelerator_table())))
def test_an_accelerator_is_found_in_any_spelling(pair: tuple[str, str]) -> None:
    """Oracle: the name that the spelling was made from."""
    name, spelling = pair
    assert accelerator(spelling).name == name


@given(respelled(list(instance_table())))
def test_an_instance_is_found_in_any_spelling(pair: tuple[str, str]) -> None:
    """Oracle: the name that the spelling was made from."""
    name, spelling = pair
    assert instance(spelling).name == name


@given(st.data())
def test_one_wrong_letter_still_suggests_the_name_that_was_meant(data: st.DataObject) -> None:
    """Oracle: the name before one of its letters was replaced by a tilde, which no name contains."""
    name = data.draw(st.sampled_from([n for n in instance_table() if len(n) >= 9]))
    place = data.draw(st.sampled_from([i for i, c in enumerate(name) if c in string.ascii_letters]))
    typed = name[:place] + "~" + name[place + 1 :]
    with pytest.raises(UnknownNameError, match="Did you mean") as caught:
        instance(typed)
    suggested = nearest_names(typed, instance_table(), limit=3)
    assert all(repr(near) in str(caught.value) for near in suggested)
    assert name in nearest_names(typed, instance_table(), limit=8)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("a100", ["a100-40gb", "a100-80gb"]), ("V100", ["v100-16gb", "v100-32gb"]), ("trainium 4", ["trainium1"])],
)
def test_a_short_name_suggests_all_chips_that_it_may_mean(typed: str, meant: list[str]) -> None:
    """Oracle: what a reader would expect; "a100" alone is not guessed, since the two differ in memory."""
    with pytest.raises(UnknownNameError) as caught:
        accelerator(typed)
    assert all(repr(name) in str(caught.value) for name in meant)
    assert repr(typed) in str(caught.value)


@pytest.mark.parametrize("typed", ["", "zzz", None, 100])
def test_what_resembles_nothing_is_refused_with_the_way_to_the_list(typed: object) -> None:
    """Oracle: the remedy names the function that lists all names."""
    with pytest.raises(UnknownNameError, match=r"instances\(\) lists all names"):
        instance(typed)  # type: ignore[arg-type]


def test_an_unknown_name_is_a_value_error() -> None:
    """Oracle: the contract of the public surface: callers may catch ValueError."""
    with pytest.raises(ValueError, match="p5"):
        instance("p5.48xlarg")


def test_two_rows_that_answer_to_the_same_name_are_refused() -> None:
    """Oracle: `B-1` and `b1` fold to the same letters."""
    with pytest.raises(CatalogError, match=r"'B-1'.*already belongs to 'a'"):
        index_names("chip", {"a": 1, "c": 2}, {"a": ["b1"], "c": ["B-1"]})
