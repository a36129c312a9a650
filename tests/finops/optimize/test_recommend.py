"""Recommendations. Oracle: savings by hand from the catalog's prices, botocore's models for the commands, and the
account's ledger, in which nothing but reads may stand."""

import shlex
from datetime import timedelta

import botocore.session
import pytest
from botocore import xform_name

from course_lib.catalog import instance
from course_lib.finops.optimize import (
    HOURS_PER_MONTH,
    AdviceSettings,
    Metric,
    OptimizeError,
    StoragePrices,
    recommend,
    utilization,
)
from tests.finops.conftest import START

SETTINGS = AdviceSettings(days=1)
GPU = Metric("CWAgent", "nvidia_smi_utilization_gpu", of_chips=True)


@pytest.fixture
def ec2(account):
    account.reset(START)
    return account.client("ec2")


@pytest.fixture
def launch(ec2):
    def run(kind, tags=None, **options):
        told = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
        named = [{"ResourceType": "instance", "Tags": told}] if told else []
        options = {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1, "TagSpecifications": named, **options}
        return ec2.run_instances(InstanceType=kind, **options)["Instances"][0]["InstanceId"]

    return run


@pytest.fixture
def busy(account):
    """Sends percentages of a metric, one an hour."""

    def send(one, metric, values, **dimensions):
        watch = account.client("cloudwatch")
        names = [{"Name": "InstanceId", "Value": one}, *({"Name": k, "Value": v} for k, v in dimensions.items())]
        data = [
            {
                "MetricName": metric.name,
                "Dimensions": names,
                "Timestamp": START + timedelta(hours=hour, minutes=5),
                "Value": value,
            }
            for hour, value in enumerate(values)
        ]
        watch.put_metric_data(Namespace=metric.namespace, MetricData=data)

    return send


def look(account, **how):
    return recommend(account, regions=["us-east-1"], settings=SETTINGS, **how)


def kinds(advice):
    return sorted((one.kind, one.resource) for one in advice.recommendations)


def check_command(command):
    """Every `aws` command in a line names a service, an operation and options that botocore knows."""
    for part in command.split(" && "):
        words = shlex.split(part)
        assert words[0] == "aws"
        model = botocore.session.get_session().get_service_model(words[1])
        if words[2] == "wait":
            continue
        operation = next(one for one in model.operation_names if xform_name(one, "-") == words[2])
        members = {xform_name(name, "-") for name in model.operation_model(operation).input_shape.members}
        options = {word[2:] for word in words if word.startswith("--")} - {"region"}
        assert options <= members, (operation, options - members)


def test_idle_needs_data_of_every_metric_and_saves_the_whole_price(account, launch, busy):
    lazy, training, young = launch("g6.xlarge", {"owner": "ada"}), launch("g6.xlarge"), launch("g6.xlarge")
    busy(lazy, Metric("AWS/EC2", "CPUUtilization"), [2.0] * 24)
    busy(training, Metric("AWS/EC2", "CPUUtilization"), [2.0] * 24)
    busy(training, GPU, [97.0] * 24, index="0")
    busy(young, Metric("AWS/EC2", "CPUUtilization"), [1.0] * 3)
    account.advance(timedelta(hours=25))
    advice = look(account)
    (one,) = [one for one in advice.recommendations if one.kind == "idle"]
    assert (one.resource, one.owner) == (lazy, "ada")
    assert one.usd_per_month == pytest.approx(instance("g6.xlarge").usd_per_hour() * HOURS_PER_MONTH)
    assert "CPUUtilization 2.0% on average and 2.0% at most in 23 hours" in one.evidence
    assert "look at its chips first" in one.risk
    assert one.command == f"aws ec2 stop-instances --region us-east-1 --instance-ids {lazy}"


def test_a_capacity_block_is_paid_and_so_stopping_it_saves_nothing(account, launch, busy):
    lazy = launch("g6.xlarge")
    busy(lazy, Metric("AWS/EC2", "CPUUtilization"), [2.0] * 24)
    account.advance(timedelta(hours=25))
    assert kinds(look(account)) == [("idle", lazy)]

    def block(parsed, **_):
        for found in parsed["Reservations"]:
            for one in found["Instances"]:
                one["InstanceLifecycle"] = "capacity-block"

    events = account.client("ec2", region="us-east-1").meta.events
    events.register("after-call.ec2.DescribeInstances", block)
    try:
        assert kinds(look(account)) == []
    finally:
        events.unregister("after-call.ec2.DescribeInstances", block)


def test_the_busiest_chip_counts(account, launch, busy):
    one = launch("g6.12xlarge")
    busy(one, GPU, [10.0, 20.0], index="0")
    busy(one, GPU, [60.0, 40.0], index="1")
    account.advance(timedelta(hours=3))
    (usage,) = utilization(account, "us-east-1", START, START + timedelta(hours=3))[one]
    assert (usage.hours, usage.mean, usage.highest) == (2, pytest.approx(0.5), pytest.approx(0.6))


def test_a_quarter_of_the_chips_at_their_peak_need_a_smaller_machine(account, launch, busy):
    one = launch("g6.12xlarge")
    busy(one, GPU, [15.0] * 24, index="0")
    account.advance(timedelta(hours=25))
    (found,) = [r for r in look(account).recommendations if r.kind == "oversized"]
    saved = instance("g6.12xlarge").usd_per_hour() - instance("g6.xlarge").usd_per_hour()
    assert found.usd_per_month == pytest.approx(saved * HOURS_PER_MONTH)
    assert "1 of 4 chips are enough" in found.evidence
    check_command(found.command)


def test_without_data_nothing_is_said_about_use(account, launch):
    one = launch("g6.12xlarge")
    account.advance(timedelta(days=2))
    advice = look(account)
    assert advice.unmeasured == (one,)
    assert not {"idle", "oversized"} & {r.kind for r in advice.recommendations}


def test_loose_ends_cost_their_price(account, ec2, launch):
    stopped = launch("trn1.2xlarge")
    volume = ec2.create_volume(Size=500, VolumeType="gp3", AvailabilityZone="us-east-1a")["VolumeId"]
    other = ec2.create_volume(Size=10, VolumeType="io2", Iops=100, AvailabilityZone="us-east-1a")["VolumeId"]
    address = ec2.allocate_address()["AllocationId"]
    ec2.stop_instances(InstanceIds=[stopped])
    prices = StoragePrices({"gp3": 0.08, "gp2": 0.10}, 0.005)
    advice = recommend(account, regions=["us-east-1"], settings=AdviceSettings(days=1, storage=prices))
    saved = {one.resource: one.usd_per_month for one in advice.recommendations}
    assert saved == {stopped: pytest.approx(8 * 0.10), volume: 40.0, other: None, address: pytest.approx(3.65)}
    assert advice.recommendations[0].resource == volume
    assert advice.recommendations[-1].resource == other
    assert advice.usd_per_month == pytest.approx(0.8 + 40 + 3.65)
    for one in advice.recommendations:
        check_command(one.command)


def test_spot_is_proposed_to_those_who_said_that_they_can_be_interrupted(account, launch):
    said, silent = launch("g6.xlarge", {"interruptible": "true"}), launch("g6.xlarge")
    spot = launch("g6.xlarge", {"interruptible": "true"}, InstanceMarketOptions={"MarketType": "spot"})
    (found,) = [one for one in look(account).recommendations if one.kind == "spot_able"]
    assert found.resource == said not in (silent, spot)
    history = account.client("ec2").describe_spot_price_history(
        InstanceTypes=["g6.xlarge"], ProductDescriptions=["Linux/UNIX"], StartTime=account.now(), EndTime=account.now()
    )
    cheapest = min(float(row["SpotPrice"]) for row in history["SpotPriceHistory"])
    # Daly's ratio for C = 2 min, M = 4 h, R = 10 min: the figure that `arithmetic` is tested with
    saved = instance("g6.xlarge").usd_per_hour() - cheapest * 1.18959
    assert found.usd_per_month == pytest.approx(saved * HOURS_PER_MONTH, rel=1e-4)
    check_command(found.command)


def test_the_same_work_for_less_and_a_successor(account, launch):
    old, new = launch("trn1.32xlarge"), launch("p5.48xlarge")
    advice = look(account)
    by = {(one.kind, one.resource): one for one in advice.recommendations}
    better = by["better_instance", new]
    # 6 N D and MFU cancel: price over peak is left; TFLOP/s: H100 989, Trainium2 667, Trainium1 190
    ratio = (35.76 / (16 * 667)) / (55.04 / (8 * 989))
    assert better.what == "train on trn2.48xlarge"
    assert better.usd_per_month == pytest.approx(55.04 * (1 - ratio) * HOURS_PER_MONTH, rel=2e-3)
    assert "price of us-east-2" in better.evidence
    older = by["old_generation", old]
    assert older.what == "move to trn2.48xlarge"
    assert older.usd_per_month == pytest.approx((21.5 - 35.76 * 190 / 667) * HOURS_PER_MONTH, rel=2e-3)
    for one in advice.recommendations:
        check_command(one.command)


def test_nothing_is_changed_and_a_closed_region_is_told(account, launch):
    launch("trn1.2xlarge", {"protected": "true"})
    account.inject("denied", "ec2.DescribeInstances")
    before = len(account.records())
    advice = recommend(account, regions=["us-east-1"], settings=SETTINGS)
    account.heal()
    assert list(advice.unseen) == ["us-east-1"]
    assert "Remedy" in advice.unseen["us-east-1"]
    advice = look(account)
    calls = {one["operation"] for one in account.records(before)}
    assert all(call.startswith(("Describe", "Get", "List")) for call in calls), calls
    assert all(one.risk.startswith("it is tagged protected") for one in advice.recommendations)
    assert advice.frame()["kind"].tolist() == [one.kind for one in advice.recommendations]


@pytest.mark.parametrize("wrong", [{"days": 0}, {"idle_mean": 5}, {"mfu": 40}, {"tokens": -1}, {"fill": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(OptimizeError, match=r"Remedy: "):
        AdviceSettings(**wrong)
