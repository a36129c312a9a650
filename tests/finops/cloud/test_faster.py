"""moto's quickened answers. Oracle: moto's own serializer and xmltodict, byte for byte."""

import os
import re
import subprocess
import sys

import pytest
import xmltodict

from course_lib.finops.cloud.faster import document

# In a process of its own: `quicken` changes moto for good.
PROGRAM = """
import hashlib, re, sys
from datetime import UTC, datetime
from course_lib.finops.cloud import faster, server
from course_lib.finops.cloud.application import Account
from course_lib.finops.cloud.clock import Clock

account = Account(server.moto_application(), Clock(datetime(2026, 12, 1, tzinfo=UTC), 0))
bodies = []
ask = account.ask_moto
account.ask_moto = lambda environ: bodies.append(ask(environ)) or bodies[-1]
ec2 = account.client("ec2", "us-east-1", "tester")
tags = [{"ResourceType": kind, "Tags": [{"Key": "a<b", "Value": "c & 'd\\""}]} for kind in ("instance", "volume")]
for count, options in ((3, {"TagSpecifications": tags}), (1, {"InstanceMarketOptions": {"MarketType": "spot"}})):
    ec2.run_instances(ImageId="ami-12c6146b", InstanceType="trn1.2xlarge", MinCount=count, MaxCount=count, **options)
ec2.allocate_address(Domain="vpc")
calls = ["instances", "volumes", "addresses", "vpcs", "subnets", "security_groups", "tags", "key_pairs", "images"]
def look():
    bodies.clear()
    for call in calls:
        getattr(ec2, "describe_" + call)()
    for name in ("i-0123456789abcdef0", "nonsense"):
        try:
            ec2.describe_instances(InstanceIds=[name])
        except Exception:
            pass
    return [re.sub(rb"<request[Ii][dD]>[^<]*|<RequestID>[^<]*", b"", body) for _, _, body in bodies]
slow = look()
faster.quicken()
quick = look()
again = look()
assert len(slow) == len(calls) + 2
for one, two, three in zip(slow, quick, again, strict=True):
    assert one == two == three, (one[:2000], two[:2000])
print(sum(map(len, slow)))
"""


def test_answers_are_the_same_bytes():
    environment = {**os.environ, "MOTO_EC2_LOAD_DEFAULT_AMIS": "false", "PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr[-2000:]
    assert int(told.stdout) > 20_000


@pytest.mark.parametrize(
    "tree",
    [
        {"a": {"@xmlns": 'http://x/?a=1&b="2"', "b": "text & <tags>", "c": "", "d": 3}},
        {"a": {"b": [], "c": {"item": [{"x": "1"}, {"x": "2"}, "three", {}]}}},
        {"a": {"b": {}, "c": {"@k": "v"}}},
        {"a": "only text"},
        {"a": {"b": "line\nend\ttab ü €"}},
    ],
)
def test_a_document_is_what_xmltodict_writes(tree):
    assert document(tree) == xmltodict.unparse(tree, full_document=True, short_empty_elements=True)


@pytest.mark.parametrize(
    "tree", [{"a": {"b": 1.5}}, {"a": {"b": None}}, {"a": {"#text": "x"}}, {"a": {"b c": "x"}}, {}]
)
def test_another_kind_of_tree_is_left_to_xmltodict(tree):
    assert document(tree) is None


def test_the_pattern_of_names_takes_no_markup():
    assert document({"a": {"<b": "x"}}) is None
    assert re.fullmatch(r"<\?xml.*\?>\n<a/>", document({"a": {}}))
