"""Instances against AWS's own DescribeInstanceTypes data, which moto ships."""

import gzip
import json
import re
from importlib.resources import files
from typing import Any

import pytest

from course_lib.catalog.instances import Instance, instance_table

# A device in DescribeInstanceTypes, and the accelerators that it can be.
DEVICES = {
    "V100": ("v100-16gb", "v100-32gb"),
    "A100": ("a100-40gb", "a100-80gb"),
    "H100": ("h100",),
    "H200": ("h200",),
    "B200": ("b200",),
    "A10G": ("a10g",),
    "L4": ("l4",),
    "L40S": ("l40s",),
    "Trainium": ("trainium1",),
    "Trainium2": ("trainium2",),
    "Inferentia2": ("inferentia2",),
}
# Not in moto's table: retired or never described there. Their rows cite other sources.
ABSENT = {"p3.2xlarge", "p3.8xlarge", "p3.16xlarge", "dl1.24xlarge", "trn3-gen1-ultraserver", "trn3-gen2-ultraserver"}


def described_by_aws() -> dict[str, dict[str, Any]]:
    packed = files("moto.ec2").joinpath("resources/instance_types.json.gz").read_bytes()
    data = json.loads(gzip.decompress(packed))
    return data if isinstance(data, dict) else {row["InstanceType"]: row for row in data}


AWS = described_by_aws()
SHARED = [row for name, row in instance_table().items() if name in AWS]


def device_of(name: str) -> dict[str, Any] | None:
    described = AWS[name]
    devices = described.get("GpuInfo", {}).get("Gpus", []) + described.get("NeuronInfo", {}).get("NeuronDevices", [])
    return devices[0] if devices else None


def test_moto_describes_all_but_the_rows_listed() -> None:
    """Oracle: the list above, so that a misspelled instance cannot escape the comparison."""
    assert set(instance_table()) - set(AWS) == ABSENT


@pytest.mark.parametrize("row", SHARED, ids=lambda row: row.name)
def test_host_and_accelerators_are_as_aws_describes_them(row: Instance) -> None:
    """Oracle: DescribeInstanceTypes."""
    described = AWS[row.name]
    assert row.vcpus == described["VCpuInfo"]["DefaultVCpus"]
    assert row.memory_gib == described["MemoryInfo"]["SizeInMiB"] / 1024
    device = device_of(row.name)
    if device is None:  # trn2u.48xlarge: moto's row has no devices; the Neuron docs say 16 Trainium2
        assert row.name == "trn2u.48xlarge"
        return
    assert row.accelerators == device["Count"]
    assert row.accelerator in DEVICES[device["Name"]]


@pytest.mark.parametrize("row", SHARED, ids=lambda row: row.name)
def test_device_memory_is_as_aws_describes_it(row: Instance) -> None:
    """Oracle: DescribeInstanceTypes, within 7.5 % (GB on the label against usable MiB); its Trainium2 is wrong."""
    device = device_of(row.name)
    if device is None:
        return
    described = device["MemoryInfo"]["SizeInMiB"] * 2**20
    if row.accelerator == "trainium2":
        assert described == 512 * 2**30, "moto has mended its Trainium2 row: drop this exception"
        return
    assert row.accelerator_spec.memory_bytes == pytest.approx(described, rel=0.075)


@pytest.mark.parametrize("row", SHARED, ids=lambda row: row.name)
def test_network_is_the_sustained_bandwidth(row: Instance) -> None:
    """Oracle: NetworkPerformance, or the first card's baseline where it says "Up to"."""
    network = AWS[row.name]["NetworkInfo"]
    text = network["NetworkPerformance"]
    if text.startswith("Up to"):
        assert row.network_gbit_per_s == pytest.approx(network["NetworkCards"][0]["BaselineBandwidthInGbps"], rel=1e-3)
        assert f"bursts to {text.removeprefix('Up to ').removesuffix(' Gigabit')} Gbit/s" in row.notes
    else:
        cards, gbit = re.fullmatch(r"(?:(\d+)x )?([\d.]+) Gigabit", text).groups()  # type: ignore[union-attr]
        assert row.network_gbit_per_s == int(cards or 1) * float(gbit)


@pytest.mark.parametrize("row", instance_table().values(), ids=lambda row: row.name)
def test_every_instance_has_an_on_demand_row_even_if_it_only_says_why_the_price_is_unknown(row: Instance) -> None:
    """Oracle: the rule itself: a reader must never meet a price that is silently absent."""
    price = row.price("on_demand")
    assert price is not None
    assert price.usd_per_hour is not None or price.note
