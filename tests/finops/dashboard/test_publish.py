"""Publishing. Oracle: what S3 then holds, asked with plain boto3, its conditional writes, and the account's ledger."""

import hashlib
import json
from datetime import timedelta

import pytest

from course_lib.finops.aws import AwsError
from course_lib.finops.dashboard import PublishError, apply_publish, handler, plan_publish, publish, render, update
from course_lib.finops.errors import FinopsError
from tests.finops.conftest import START
from tests.finops.dashboard.pictures import NOW, picture

PAGE = render(picture())
KEYS = ["2026/12/15/090000Z.html", "index.html"]


@pytest.fixture
def s3(account):
    account.reset(START)
    client = account.client("s3")
    client.create_bucket(Bucket="pages")
    return client


def keys(s3):
    return [one["Key"] for one in s3.list_objects_v2(Bucket="pages").get("Contents", ())]


def test_a_plan_writes_nothing_and_says_what_it_would(account, s3):
    before = len(account.records())
    told = str(publish(account, "pages", PAGE, NOW))
    assert keys(s3) == []
    assert "create s3://pages/index.html (no-cache)" in told
    assert "it is not public" in told
    asked = {record["operation"] for record in account.records()[before:]}
    assert not {one for one in asked if not one.startswith(("Head", "Get", "List"))}


def test_the_page_and_a_dated_copy_are_there_with_their_headers(account, s3):
    publish(account, "pages", PAGE, NOW, apply=True)
    assert keys(s3) == KEYS
    newest, dated = (s3.get_object(Bucket="pages", Key=key) for key in ("index.html", KEYS[0]))
    assert newest["ContentType"] == dated["ContentType"] == "text/html; charset=utf-8"
    assert (newest["CacheControl"], dated["CacheControl"]) == ("no-cache", "private, max-age=31536000, immutable")
    body = newest["Body"].read()
    assert body.decode() == PAGE
    assert newest["Metadata"]["sha256"] == hashlib.sha256(body).hexdigest()


def test_the_same_page_again_changes_nothing_and_a_newer_one_replaces_it(account, s3):
    publish(account, "pages", PAGE, NOW, prefix="/spend/", apply=True)
    assert apply_publish(account, plan_publish(account, "pages", PAGE, NOW, prefix="spend")) == ()
    later = NOW + timedelta(hours=1)
    publish(account, "pages", PAGE + "<!-- later -->", later, prefix="spend", apply=True)
    assert keys(s3) == [f"spend/{key}" for key in (KEYS[0], "2026/12/15/100000Z.html", KEYS[1])]
    assert s3.get_object(Bucket="pages", Key="spend/index.html")["Body"].read().endswith(b"<!-- later -->")


def test_two_pages_of_one_second_stay_two_copies(account, s3):
    """What was dated, and told to caches as immutable, must be the same for ever."""
    second = PAGE + "<!-- the same second -->"
    for page, moment in ((PAGE, NOW), (second, NOW + timedelta(milliseconds=300)), (PAGE, NOW)):
        publish(account, "pages", page, moment, apply=True)
    assert keys(s3) == ["2026/12/15/090000Z-2.html", *KEYS]
    bodies = [s3.get_object(Bucket="pages", Key=key)["Body"].read().decode() for key in keys(s3)]
    assert bodies == [second, PAGE, PAGE]


def test_of_two_writers_in_one_second_one_is_told_to_plan_again(account, s3):
    plans = [plan_publish(account, "pages", page, NOW) for page in (PAGE, PAGE + " ")]
    apply_publish(account, plans[0])
    with pytest.raises(PublishError, match=r"090000Z\.html='another page' was written meanwhile. Remedy: plan again"):
        apply_publish(account, plans[1])
    assert s3.get_object(Bucket="pages", Key=KEYS[0])["Body"].read().decode() == PAGE


def test_an_older_page_does_not_replace_a_newer_one(account, s3):
    publish(account, "pages", PAGE, NOW, apply=True)
    with pytest.raises(PublishError, match=r"index\.html='2026-12-15T09:00:00Z' is newer than 2026-12-15T08:00:00Z"):
        publish(account, "pages", PAGE + " ", NOW - timedelta(hours=1), apply=True)


def test_whoever_wrote_between_plan_and_write_stays(account, s3):
    for first in (None, b"old"):
        if first:
            s3.put_object(Bucket="pages", Key="index.html", Body=first)
        plan = plan_publish(account, "pages", PAGE, NOW)
        s3.put_object(Bucket="pages", Key="index.html", Body=b"somebody else's")
        with pytest.raises(PublishError, match="was written meanwhile"):
            apply_publish(account, plan)
        assert s3.get_object(Bucket="pages", Key="index.html")["Body"].read() == b"somebody else's"


def test_a_write_that_fails_leaves_the_old_page_whole(account, s3):
    publish(account, "pages", PAGE, NOW, apply=True)
    plan = plan_publish(account, "pages", PAGE + "<!-- new -->", NOW + timedelta(hours=1))
    account.inject("denied", "s3.PutObject")
    with pytest.raises(AwsError, match=r"writing s3://pages/2026/12/15/100000Z\.html: AccessDenied"):
        apply_publish(account, plan)
    account.heal()
    assert s3.get_object(Bucket="pages", Key="index.html")["Body"].read().decode() == PAGE


def test_a_public_bucket_is_refused_unless_it_is_meant(account, s3):
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::pages/*"}
    s3.put_bucket_policy(Bucket="pages", Policy=json.dumps({"Version": "2012-10-17", "Statement": [everybody]}))
    with pytest.raises(PublishError, match="bucket='pages' is readable by everybody"):
        publish(account, "pages", PAGE, NOW)
    assert "everybody on the Internet may read it" in str(publish(account, "pages", PAGE, NOW, public=True))


def test_bad_buckets_and_times_are_one_line(account, s3):
    with pytest.raises(AwsError, match="looking at bucket nowhere"):
        publish(account, "nowhere", PAGE, NOW)
    with pytest.raises(PublishError, match="names no time zone"):
        publish(account, "pages", PAGE, NOW.replace(tzinfo=None))


def test_the_job_collects_and_replaces_the_page(account, s3):
    plan = update(account, "pages", regions=["us-east-1"], apply=False)
    assert keys(s3) == []
    update(account, "pages", regions=["us-east-1"])
    assert keys(s3) == [f"{plan.now:%Y/%m/%d/%H%M%SZ}.html", "index.html"]
    assert b"2026-12-01 08:" in s3.get_object(Bucket="pages", Key="index.html")["Body"].read()


def test_lambdas_handler_takes_the_bucket_from_its_environment(account, s3, monkeypatch):
    monkeypatch.delenv("DASHBOARD_BUCKET", raising=False)
    with pytest.raises(FinopsError, match="DASHBOARD_BUCKET='' names no bucket"):
        handler({}, None)
    for name, value in {
        "AWS_ENDPOINT_URL": account.url,
        "AWS_ACCESS_KEY_ID": "practice",
        "AWS_SECRET_ACCESS_KEY": "practice",
        "AWS_DEFAULT_REGION": "us-east-1",
        "DASHBOARD_BUCKET": "pages",
        "DASHBOARD_PREFIX": "spend",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    told = handler({}, None)
    assert told["keys"] == keys(s3)
    assert told["keys"][-1] == "spend/index.html"
    json.dumps(told)
