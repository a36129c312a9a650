"""One run of a learner's function for several checks. Oracle: what each function below is written to do."""

import itertools
import sys
import threading
from datetime import UTC, datetime

import pytest

from course_lib import labkit
from course_lib.arithmetic import saving
from course_lib.labkit.failures import LabFailure, NoResult
from course_lib.labkit.pristine import changed
from course_lib.labkit.wording import plain_data

FRIDAY = datetime(2026, 12, 4, 18, tzinfo=UTC)


def checks(**options):
    return labkit.Check("subject", points=4, **options)


def test_the_function_runs_once_and_every_check_sees_what_it_gave():
    count = itertools.count()
    check = checks()
    told = check.outcome(lambda: {"ids": [f"i-{next(count)}"], "at": FRIDAY})
    check.equal("one", lambda: told()["ids"][0], "i-0")
    check.equal("again", lambda: (told()["ids"][0], told()["at"].hour), ("i-0", 18))
    assert check.score() == 4.0
    assert next(count) == 1


def test_what_it_raised_is_raised_in_every_check():
    check = checks()

    def refuse():
        raise ValueError("7 is too many")

    told = check.outcome(refuse)
    check.refuses("named", told, naming="7")
    check.equal("not done", lambda: told() and 1, 1)
    assert check.score() == 2.0


def test_a_stub_is_told_as_not_written():
    check = checks()

    def stub():
        raise NotImplementedError

    check.equal("anything", check.outcome(stub), 1)
    with pytest.raises(NotImplementedError, match="not written yet"):
        check.score()


def test_what_was_borrowed_counts_in_no_check_and_not_in_a_thread_either():
    def direct():
        return saving(1.0, 2.0)

    def threaded():
        thread = threading.Thread(target=direct)
        thread.start()
        thread.join()
        return 0.5

    for call in (direct, threaded):
        check = checks(off_limits=(saving.__module__,))
        told = check.outcome(call)
        check.equal("first", told, 0.5)
        check.equal("second", told, 0.5)
        with pytest.raises(LabFailure, match="asks for your own"):
            check.score()
        assert threading.getprofile() is None
        assert sys.getprofile() is None


class Endless:
    def __getitem__(self, key):
        return self


@pytest.mark.parametrize("value", [Endless(), [Endless()], {"a": {"b": Endless()}}, (1, Endless()), object(), len])
def test_objects_that_could_answer_for_themselves_are_refused(value):
    with pytest.raises(NoResult, match="expected plain values"):
        plain_data(value)


def test_plain_values_are_copied():
    rows = [{"id": "i-1", "tags": {"a": "b"}, "at": FRIDAY, "n": (1, 2.5, None, True), "set": {3}}]
    copied = plain_data(rows)
    assert copied == rows
    assert copied[0]["tags"] is not rows[0]["tags"]


def test_a_package_with_lazy_modules_can_be_compared_with_its_files(monkeypatch):
    """botocore carries six, whose lazy modules import what may not be there when anything is asked of them."""
    import botocore.client

    assert changed(("botocore.client", "botocore.vendored.six")) in ([], ["botocore.vendored.six.raise_from"])
    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", lambda *_: {})
    assert changed(("botocore.client",)) == ["botocore.client.BaseClient._make_api_call"]
