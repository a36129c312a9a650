"""The columns of FOCUS 1.2: what each holds, whether it must be there, may be null, and which words it takes.

Source: https://focus.finops.org/focus-specification/v1-2/, the table "Content Constraints" of each column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "time", "pairs"]
Level = Literal["mandatory", "conditional", "recommended"]
VERSION = "1.2"
OWN = "x_"  # begins the name of every column that a provider or a company adds

CHARGE_CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
PRICING_CATEGORIES = ("Standard", "Dynamic", "Committed", "Other")
CHARGE_FREQUENCIES = ("One-Time", "Recurring", "Usage-Based")
SERVICE_CATEGORIES = (
    "AI and Machine Learning",
    "Analytics",
    "Business Applications",
    "Compute",
    "Databases",
    "Developer Tools",
    "Multicloud",
    "Identity",
    "Integration",
    "Internet of Things",
    "Management and Governance",
    "Media",
    "Migration",
    "Mobile",
    "Networking",
    "Security",
    "Storage",
    "Web",
    "Other",
)
USED = ("Used", "Unused")


@dataclass(frozen=True)
class Column:
    """One column of the specification.

    Attributes:
        name: as it stands in a file's first line.
        kind: "text", "number" (Decimal), "time" (UTC) or "pairs" (a JSON object of plain values).
        level: "mandatory" columns are in every data set; the others where the provider has such a thing.
        nullable: whether a row may leave it empty.
        allowed: the only words that it takes; empty where any will do.
        not_negative: whether a number must be 0 or more.
    """

    name: str
    kind: Kind = "text"
    level: Level = "conditional"
    nullable: bool = True
    allowed: tuple[str, ...] = ()
    not_negative: bool = False


def _must(name: str, kind: Kind = "text", *, nullable: bool = False, allowed: tuple[str, ...] = ()) -> Column:
    return Column(name, kind, "mandatory", nullable, allowed)


_ALL = (
    Column("AvailabilityZone", level="recommended"),
    _must("BilledCost", "number"),
    _must("BillingAccountId"),
    _must("BillingAccountName", nullable=True),
    Column("BillingAccountType", nullable=False),
    _must("BillingCurrency"),
    _must("BillingPeriodEnd", "time"),
    _must("BillingPeriodStart", "time"),
    Column("CapacityReservationId"),
    Column("CapacityReservationStatus", allowed=USED),
    _must("ChargeCategory", allowed=CHARGE_CATEGORIES),
    _must("ChargeClass", nullable=True, allowed=("Correction",)),
    _must("ChargeDescription", nullable=True),
    Column("ChargeFrequency", level="recommended", nullable=False, allowed=CHARGE_FREQUENCIES),
    _must("ChargePeriodEnd", "time"),
    _must("ChargePeriodStart", "time"),
    Column("CommitmentDiscountCategory", allowed=("Spend", "Usage")),
    Column("CommitmentDiscountId"),
    Column("CommitmentDiscountName"),
    Column("CommitmentDiscountQuantity", "number"),
    Column("CommitmentDiscountStatus", allowed=USED),
    Column("CommitmentDiscountType"),
    Column("CommitmentDiscountUnit"),
    Column("ConsumedQuantity", "number"),
    Column("ConsumedUnit"),
    _must("ContractedCost", "number"),
    Column("ContractedUnitPrice", "number", not_negative=True),
    _must("EffectiveCost", "number"),
    Column("InvoiceId", level="recommended"),
    _must("InvoiceIssuerName"),
    _must("ListCost", "number"),
    Column("ListUnitPrice", "number", not_negative=True),
    Column("PricingCategory", allowed=PRICING_CATEGORIES),
    Column("PricingCurrency"),
    Column("PricingCurrencyContractedUnitPrice", "number", not_negative=True),
    Column("PricingCurrencyEffectiveCost", "number"),
    Column("PricingCurrencyListUnitPrice", "number", not_negative=True),
    _must("PricingQuantity", "number", nullable=True),
    _must("PricingUnit", nullable=True),
    _must("ProviderName"),
    _must("PublisherName"),
    Column("RegionId"),
    Column("RegionName"),
    Column("ResourceId"),
    Column("ResourceName"),
    Column("ResourceType"),
    _must("ServiceCategory", allowed=SERVICE_CATEGORIES),
    _must("ServiceName"),
    Column("ServiceSubcategory", level="recommended", nullable=False),
    Column("SkuId"),
    Column("SkuMeter"),
    Column("SkuPriceDetails", "pairs"),
    Column("SkuPriceId"),
    Column("SubAccountId"),
    Column("SubAccountName"),
    Column("SubAccountType"),
    Column("Tags", "pairs"),
)
COLUMNS: dict[str, Column] = {column.name: column for column in _ALL}
MANDATORY: tuple[str, ...] = tuple(column.name for column in _ALL if column.level == "mandatory")
COSTS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")
