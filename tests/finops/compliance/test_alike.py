"""Many results that say the same become one, and no other does. Oracle: groups made by hand."""

from course_lib.finops.compliance import Result, together


def result(check="ebs", region="r1", resource="disk", evidence="off", status="failed"):
    return Result(check, region, status, resource, evidence)


def test_three_stay_and_four_become_one():
    three = [result(region=f"r{number}") for number in range(3)]
    assert together(three) == three
    (one,) = together([*three, result(region="r9")])
    assert (one.region, one.resource) == ("r0, r1 and 2 more", "disk")


def test_other_evidence_status_and_checks_stay_apart_and_in_order():
    many = [result(resource=f"d{number}") for number in range(5)]
    others = [result(evidence="on"), result(check="tls"), result(status="unseen")]
    found = together([others[0], *many, *others[1:]])
    assert found == [others[0], result(resource="d0, d1 and 3 more"), *others[1:]]
