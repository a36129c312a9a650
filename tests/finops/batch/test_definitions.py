"""Job definitions and fleets. Oracles: botocore's validation of requests, and AWS's DescribeInstanceTypes in moto."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.validate import ParamValidator
from moto.ec2.models.instance_types import INSTANCE_TYPES

from course_lib.catalog import CatalogError, instances
from course_lib.finops.batch import (
    BatchError,
    ExitRule,
    Fleet,
    RetryStrategy,
    check_budget,
    definition,
    machine,
    worst_case,
)
from course_lib.finops.ephemeral import Lease
from course_lib.runtime import private_session
from tests.finops.batch.conftest import job

LEASE = Lease("ada", "bert", datetime(2026, 12, 2, tzinfo=UTC))
MODELS = private_session()._session  # boto3 keeps botocore's session here
EVERY = [name for name in instances()["name"] if name in INSTANCE_TYPES or name == "dl1.24xlarge"]


def problems(service, operation, parameters):
    """What botocore has against a request."""
    shape = MODELS.get_service_model(service).operation_model(operation).input_shape
    return ParamValidator().validate(parameters, shape).generate_report()


def fleet(**options):
    given = {"name": "fleet", "instance_types": ("trn1.2xlarge",), "max_vcpus": 192, "subnets": ("subnet-1",)}
    given |= {"security_groups": ("sg-1",), "instance_role": "ecs", "lease": LEASE}
    return Fleet(**{**given, **options})


@pytest.mark.parametrize("name", EVERY)
def test_every_type_of_the_catalog_gets_its_devices(name):
    found, told = machine(name), INSTANCE_TYPES.get(name, {})
    body = definition(job(LEASE, instance_type=name, usd_per_hour=1.0))
    assert problems("batch", "RegisterJobDefinition", body) == ""
    container = body["containerProperties"]
    devices = {device["hostPath"] for device in container["linuxParameters"].get("devices", ())}
    neurons = sum(device["Count"] for device in told.get("NeuronInfo", {}).get("NeuronDevices", ()))
    needs = {need["type"]: int(need["value"]) for need in container["resourceRequirements"]}
    if told:
        assert found.efa_interfaces == told["NetworkInfo"].get("EfaInfo", {}).get("MaximumEfaInterfaces", 0)
        assert needs.get("GPU", 0) == sum(gpu["Count"] for gpu in told.get("GpuInfo", {}).get("Gpus", ()))
        assert needs["VCPU"] == told["VCpuInfo"]["DefaultVCpus"]
        assert needs["MEMORY"] < told["MemoryInfo"]["SizeInMiB"]
        if neurons or not name.startswith("trn2u"):  # moto's file leaves its chips out
            assert devices == {f"/dev/neuron{number}" for number in range(neurons)}


def test_a_multi_node_job_gets_every_network_card():
    body = definition(job(LEASE, instance_type="trn1.32xlarge", nodes=4, purchase="on_demand"))
    assert problems("batch", "RegisterJobDefinition", body) == ""
    assert body["type"] == "multinode"
    (nodes,) = body["nodeProperties"]["nodeRangeProperties"]
    paths = [device["hostPath"] for device in nodes["container"]["linuxParameters"]["devices"]]
    assert len([path for path in paths if "neuron" in path]) == 16
    assert [path for path in paths if "uverbs" in path] == [f"/dev/infiniband/uverbs{number}" for number in range(8)]


def test_timeout_retries_tags_and_s3_are_in_the_definition():
    body = definition(job(LEASE, inputs="s3://b0t/in", outputs="s3://b0t/out", environment={"SEED": "1"}))
    assert body["timeout"] == {"attemptDurationSeconds": 3600}
    assert body["retryStrategy"]["evaluateOnExit"][0] == {"onStatusReason": "Host EC2*", "action": "RETRY"}
    assert body["propagateTags"] is True
    assert {"owner": "ada", "project": "bert", "expires-at": "2026-12-02T00:00:00Z"}.items() <= body["tags"].items()
    given = {pair["name"]: pair["value"] for pair in body["containerProperties"]["environment"]}
    assert given == {"COURSE_S3_INPUT": "s3://b0t/in", "COURSE_S3_OUTPUT": "s3://b0t/out", "SEED": "1"}


@pytest.mark.parametrize("purchase", ["spot", "on_demand"])
@pytest.mark.parametrize("name", EVERY)
def test_every_type_makes_a_valid_fleet(name, purchase):
    made = fleet(instance_types=(name,), purchase=purchase, efa=bool(machine(name).efa_interfaces))
    assert problems("batch", "CreateComputeEnvironment", made.environment()) == ""
    assert problems("batch", "CreateJobQueue", made.queue()) == ""
    template = {"LaunchTemplateName": made.template_name, "LaunchTemplateData": made.template_data()}
    assert problems("ec2", "CreateLaunchTemplate", template) == ""
    resources = made.environment()["computeResources"]
    assert (resources["minvCpus"], resources["type"]) == (0, "SPOT" if purchase == "spot" else "EC2")
    assert template["LaunchTemplateData"]["MetadataOptions"]["HttpTokens"] == "required"
    (disk,) = template["LaunchTemplateData"]["BlockDeviceMappings"]
    assert disk["Ebs"]["Encrypted"]
    assert disk["Ebs"]["DeleteOnTermination"]
    cards = template["LaunchTemplateData"].get("NetworkInterfaces", [])
    assert [card["NetworkCardIndex"] for card in cards] == list(range(machine(name).efa_interfaces))


def test_the_worst_case_is_a_product_done_by_hand():
    # 1.34375 USD/h x 2 h x 3 attempts x 4 children
    asked = job(LEASE, timeout=timedelta(hours=2), array_size=4, budget_usd=32.25)
    assert worst_case(asked).usd == pytest.approx(32.25)
    assert check_budget(asked).instance_hours == 24
    with pytest.raises(BatchError, match=r"budget_usd=32.24 is less than the worst case, 32.25 USD"):
        check_budget(replace(asked, budget_usd=32.24))
    multi = job(LEASE, instance_type="trn1.32xlarge", nodes=2, purchase="on_demand", retry=RetryStrategy(1))
    assert worst_case(multi).usd == pytest.approx(2 * 21.5)


def test_a_full_fleet_costs_its_vcpus_and_one_instance_more():
    # 192 vCPUs of trn1.2xlarge (8 each) and one more
    assert fleet().usd_per_hour_at_most() == pytest.approx(25 * 1.34375)


BAD_JOBS = [
    ({"timeout": timedelta(seconds=59)}, r"timeout='59s' must be from 60 s"),
    ({"timeout": timedelta(days=15)}, r"must be from 60 s to 14 days"),
    ({"command": ()}, r"no image or no command"),
    ({"name": "a"}, r"name='a' is no name in Batch"),
    ({"budget_usd": -1.0}, r"budget_usd=-1.0 must be a finite number above 0"),
    ({"array_size": 10_001}, r"array_size=10001 is above 10000"),
    ({"array_size": 0}, r"array_size=0 must be a whole number"),
    ({"nodes": 2}, r"nodes=2 on spot"),
    ({"nodes": 2, "purchase": "on_demand", "array_size": 2}, r"nodes=2 in an array"),
    ({"vcpus": 9}, r"vcpus=9 is more than the 8 that trn1.2xlarge can give"),
    ({"memory_mib": 32768}, r"memory_mib=32768 is more than the 29491"),
    ({"inputs": "http://bucket/x"}, r"inputs='http://bucket/x' is no S3 address"),
    ({"environment": {"AWS_BATCH_JOB_ID": "1"}}, r"is a name that Batch keeps for itself"),
    ({"instance_type": "trn9.huge"}, r"trn9.huge"),
]


@pytest.mark.parametrize(("options", "says"), BAD_JOBS)
def test_a_job_that_batch_would_refuse_or_never_end_is_one_line(options, says):
    given = {"name": "shards", "image": "x", "command": ("true",), "instance_type": "trn1.2xlarge"}
    given |= {"timeout": timedelta(hours=1), "lease": LEASE, "budget_usd": 1.0}
    with pytest.raises(BatchError, match=says) as caught:
        type(job(LEASE))(**{**given, **options})
    assert "\n" not in str(caught.value)
    assert "Remedy:" in str(caught.value)


BAD_FLEETS = [
    ({"max_vcpus": 4}, r"max_vcpus=4 is less than the 8"),
    ({"subnets": ()}, r"subnets=\(\) is empty"),
    ({"allocation": "SPOT_PRICE_CAPACITY_OPTIMIZED", "purchase": "on_demand"}, r"is no strategy for on_demand"),
    ({"allocation": "BEST_FIT"}, r"BEST_FIT on spot needs spot_fleet_role"),
    ({"efa": True}, r"efa=True for trn1.2xlarge"),
    ({"efa": True, "instance_types": ("trn1.32xlarge", "trn1n.32xlarge")}, r"same number of adapters"),
    ({"disk_gib": 8}, r"disk_gib=8 must be a whole number of at least 30"),
    ({"instance_types": ("t7.nano",)}, r"t7.nano"),
]


@pytest.mark.parametrize(("options", "says"), BAD_FLEETS)
def test_a_fleet_that_would_run_no_job_is_one_line(options, says):
    with pytest.raises(BatchError, match=says) as caught:
        fleet(**options)
    assert "Remedy:" in str(caught.value)


def test_an_unknown_price_needs_one():
    asked = job(LEASE, instance_type="trn2.3xlarge")
    with pytest.raises(BatchError, match=r"unknown on_demand price of 'trn2.3xlarge'") as caught:
        worst_case(asked)
    assert isinstance(caught.value.__cause__, CatalogError)
    assert worst_case(replace(asked, usd_per_hour=2.0)).usd == pytest.approx(6.0)


def test_the_digest_follows_what_runs_and_not_who_asks():
    one = definition(job(LEASE))["tags"]["definition-digest"]
    later = Lease("eve", "bert", LEASE.expires_at + timedelta(days=1))
    assert definition(job(later))["tags"]["definition-digest"] == one
    rules = RetryStrategy(3, (ExitRule("RETRY", on_reason="*"),))
    for change in ({"timeout": timedelta(hours=2)}, {"retry": rules}, {"image": "python:3.12-slim"}):
        assert definition(job(LEASE, **change))["tags"]["definition-digest"] != one
