"""Where a bucket is, as S3 says it. Oracle: GetBucketLocation in S3's API reference, which names the two exceptions."""

import pytest

from course_lib.finops.aws import bucket_place, region_told


@pytest.mark.parametrize(
    ("answer", "region"),
    [
        ({"LocationConstraint": None}, "us-east-1"),
        ({}, "us-east-1"),
        ({"LocationConstraint": "EU"}, "eu-west-1"),
        ({"LocationConstraint": "eu-central-1"}, "eu-central-1"),
    ],
)
def test_the_oldest_regions_have_other_names(answer, region):
    assert region_told(answer) == region


def test_a_new_bucket_names_every_region_but_the_first():
    assert bucket_place("us-east-1") == {}
    assert bucket_place("us-west-2") == {"CreateBucketConfiguration": {"LocationConstraint": "us-west-2"}}
