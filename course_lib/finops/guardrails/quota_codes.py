"""EC2's vCPU quotas: which one counts an instance type, and the value in a new account.

Source: https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html (names, codes, defaults; read
2026-11). It names no spot quota for P6, HPC and High Memory: for those there is None here, not a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from course_lib.finops.guardrails.errors import GuardrailError

Purchase = Literal["on_demand", "spot"]
SERVICE = "ec2"


@dataclass(frozen=True)
class VcpuQuota:
    """A limit on the vCPUs of all running instances of some families, in one region.

    Attributes:
        code: Service Quotas' code.
        name: Service Quotas' name.
        families: that it counts, as prefixes of a type's family; "p5" also covers "p5en".
        purchase: how the counted instances are bought.
        default: vCPUs in a new account.
    """

    code: str
    name: str
    families: tuple[str, ...]
    purchase: Purchase
    default: int = 0


_STANDARD = ("a", "c", "d", "h", "i", "m", "r", "t", "z")
QUOTAS = (
    VcpuQuota("L-2C3B7624", "Running On-Demand Trn instances", ("trn",), "on_demand"),
    VcpuQuota("L-1945791B", "Running On-Demand Inf instances", ("inf",), "on_demand"),
    VcpuQuota("L-417A185B", "Running On-Demand P instances", ("p",), "on_demand"),
    VcpuQuota("L-DB2E81BA", "Running On-Demand G and VT instances", ("g", "gr", "vt"), "on_demand"),
    VcpuQuota("L-6E869C2A", "Running On-Demand DL instances", ("dl",), "on_demand"),
    VcpuQuota("L-74FC7D96", "Running On-Demand F instances", ("f",), "on_demand"),
    VcpuQuota("L-7295265B", "Running On-Demand X instances", ("x",), "on_demand"),
    VcpuQuota("L-F7808C92", "Running On-Demand HPC instances", ("hpc",), "on_demand"),
    VcpuQuota("L-43DA4232", "Running On-Demand High Memory instances", ("u",), "on_demand"),
    VcpuQuota(
        "L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", _STANDARD, "on_demand", 5
    ),
    VcpuQuota("L-6B0D517C", "All Trn Spot Instance Requests", ("trn",), "spot"),
    VcpuQuota("L-B5D1601B", "All Inf Spot Instance Requests", ("inf",), "spot"),
    VcpuQuota("L-C4BD4855", "All P5 Spot Instance Requests", ("p5",), "spot"),
    VcpuQuota("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests", ("p2", "p3", "p4"), "spot"),
    VcpuQuota("L-3819A6DF", "All G and VT Spot Instance Requests", ("g", "gr", "vt"), "spot"),
    VcpuQuota("L-85EED4F7", "All DL Spot Instance Requests", ("dl",), "spot"),
    VcpuQuota("L-88CF9481", "All F Spot Instance Requests", ("f",), "spot"),
    VcpuQuota("L-E3A00192", "All X Spot Instance Requests", ("x",), "spot"),
    VcpuQuota(
        "L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", _STANDARD, "spot", 5
    ),
)  # fmt: skip
_BY_CODE = {quota.code: quota for quota in QUOTAS}
_LETTERS = re.compile(r"([a-z]+)(\d*)")
_NOT_COUNTED = ("mac",)  # Mac instances run on Dedicated Hosts, which have quotas of their own


@lru_cache
def quota_of_type(instance_type: str, purchase: Purchase = "on_demand") -> VcpuQuota | None:
    """The quota that counts a type, or None where AWS names none.

    Args:
        instance_type: such as "trn1.2xlarge".
        purchase: "on_demand" or "spot".

    Raises:
        GuardrailError: for a text that is no instance type, or another way of purchase.
    """
    if purchase not in ("on_demand", "spot"):
        raise GuardrailError.of("purchase", purchase, "must be 'on_demand' or 'spot'", "give one of the two")
    if not isinstance(instance_type, str):
        raise GuardrailError.of("instance_type", instance_type, "is no text", "write it as in 'trn1.2xlarge'")
    family, dot, size = instance_type.partition(".")
    found = _LETTERS.match(family)
    if not found or not dot or not size:
        raise GuardrailError.of("instance_type", instance_type, "is no instance type", "write it as in 'trn1.2xlarge'")
    letters, generation = found.groups()
    if letters in _NOT_COUNTED:
        return None
    # "im4gn" and "is4gen" are counted with I, "c7i" with C; "trn", "inf", "gr", "vt", "dl" and "hpc" are words of
    # their own, so that the longest name of a family wins.
    for name in (f"{letters}{generation}", letters, letters[0]):
        for quota in QUOTAS:
            if quota.purchase == purchase and name in quota.families:
                return quota
        if name in ("hpc", "u"):
            return None
    return None


def quota_by_code(code: str) -> VcpuQuota:
    """One of `QUOTAS`.

    Raises:
        GuardrailError: for a code that isn't among them.
    """
    if code not in _BY_CODE:
        raise GuardrailError.of("code", code, "is no vCPU quota of EC2", f"give one of {', '.join(_BY_CODE)}")
    return _BY_CODE[code]
