"""The machines that a plan runs on: accelerators, how many share a node, what the links carry, and the price.

A cluster is made from an instance type of the catalog, or from numbers, since most published systems are not rented.
"""

from dataclasses import dataclass

from course_lib.arithmetic.errors import ArithmeticInputError, check_count, check_not_negative, check_positive
from course_lib.arithmetic.roofline import as_accelerator
from course_lib.catalog import Accelerator, CatalogError, Instance, UnknownPriceError, network_of
from course_lib.catalog import instance as find_instance

PCIE_BYTES_PER_S = 31.5e9  # one direction of PCI Express 4.0 x16, for cards without links of their own


@dataclass(frozen=True)
class Cluster:
    """Equal nodes of equal accelerators.

    Args:
        name: what tables call it.
        accelerator: the chip.
        devices: accelerators in the whole cluster.
        devices_per_node: accelerators that one node's fast links join.
        link_bytes_per_s: what one accelerator can send to its neighbors in the node, one direction.
        network_bytes_per_s: what one node can send to others, all its cards together, one direction; 0 when there is
            one node only.
        usd_per_node_hour: price of one node for one hour; None when nobody knows.
    """

    name: str
    accelerator: Accelerator
    devices: int
    devices_per_node: int
    link_bytes_per_s: float
    network_bytes_per_s: float
    usd_per_node_hour: float | None = None

    def __post_init__(self) -> None:
        check_count("devices", self.devices)
        check_count("devices_per_node", self.devices_per_node)
        check_positive("link_bytes_per_s", self.link_bytes_per_s, "give bytes per second, e.g. 300e9 for an A100")
        check_not_negative("network_bytes_per_s", self.network_bytes_per_s)
        if self.usd_per_node_hour is not None:
            check_positive("usd_per_node_hour", self.usd_per_node_hour, "give a price above 0, or None")
        if self.devices > self.devices_per_node and self.devices % self.devices_per_node:
            nodes = -(-self.devices // self.devices_per_node)
            raise ArithmeticInputError.of(
                "devices",
                self.devices,
                f"does not fill nodes of {self.devices_per_node}",
                f"use {nodes * self.devices_per_node}, the devices of {nodes} nodes",
            )
        if self.nodes > 1 and self.network_bytes_per_s <= 0:
            raise ArithmeticInputError.of(
                "network_bytes_per_s",
                self.network_bytes_per_s,
                f"joins no {self.nodes} nodes",
                "give bytes per second of one node's network cards together, e.g. 200e9 for 8 cards of 200 Gbit/s",
            )

    @property
    def nodes(self) -> int:
        """How many nodes; a part of a node counts as one."""
        return -(-self.devices // self.devices_per_node)

    @property
    def usd_per_hour(self) -> float | None:
        """Price of the whole cluster for one hour, or None."""
        return None if self.usd_per_node_hour is None else self.usd_per_node_hour * self.nodes


def instance_cluster(
    instance: Instance | str,
    instances: int = 1,
    *,
    purchase: str = "on_demand",
    region: str | None = None,
    usd_per_hour: float | None = None,
) -> Cluster:
    """A cluster of one instance type.

    Args:
        instance: an instance type, or its name in the catalog.
        instances: how many of them.
        purchase, region: which price counts; an unknown price leaves the cluster without one.
        usd_per_hour: your own price of one instance, instead of the catalog's.

    Returns:
        The cluster. Links count in one direction: half of what vendors print.

    Raises:
        ArithmeticInputError: for a number out of range, or several instances of a type whose network is unknown.
        CatalogError: (a ValueError) for a name or a way of purchase that the catalog does not hold.

    Source: the catalog's rows.
    """
    check_count("instances", instances)
    spec = find_instance(instance) if isinstance(instance, str) else instance
    price = usd_per_hour
    if price is None:
        try:
            price = spec.usd_per_hour(purchase, region)
        except UnknownPriceError:
            price = None
    chip = spec.accelerator_spec
    return Cluster(
        name=f"{instances} x {spec.name}",
        accelerator=chip,
        devices=instances * spec.accelerators,
        devices_per_node=spec.accelerators,
        link_bytes_per_s=_inside_node(spec),
        network_bytes_per_s=(spec.network_gbit_per_s or 0) / 8 * 1e9,
        usd_per_node_hour=price,
    )


def custom_cluster(
    accelerator: Accelerator | str,
    devices: int,
    *,
    devices_per_node: int = 8,
    network_gbit_per_s_per_node: float = 0.0,
    link_gb_per_s: float | None = None,
    usd_per_node_hour: float | None = None,
    name: str | None = None,
) -> Cluster:
    """A cluster that no catalog lists.

    Args:
        accelerator: the chip, or its name in the catalog.
        devices: accelerators in all.
        devices_per_node: accelerators in one node.
        network_gbit_per_s_per_node: all cards of a node together, 1e9 bit/s, one direction: 1600 for eight of 200.
        link_gb_per_s: one chip's links inside a node, both directions, 1e9 bytes/s; the catalog's when left out.
        usd_per_node_hour: price of one node for one hour.
        name: for tables.

    Returns:
        The cluster.

    Raises:
        ArithmeticInputError: for a number out of range, or devices that do not fill their nodes.
        CatalogError: (a ValueError) for an unknown chip.

    Source: definition.
    """
    chip = as_accelerator(accelerator)
    check_not_negative("network_gbit_per_s_per_node", network_gbit_per_s_per_node)
    if link_gb_per_s is not None:
        check_positive("link_gb_per_s", link_gb_per_s)
    return Cluster(
        name=name or f"{devices} x {chip.name}",
        accelerator=chip,
        devices=devices,
        devices_per_node=devices_per_node,
        link_bytes_per_s=_one_direction(chip) if link_gb_per_s is None else link_gb_per_s / 2 * 1e9,
        network_bytes_per_s=network_gbit_per_s_per_node / 8 * 1e9,
        usd_per_node_hour=usd_per_node_hour,
    )


def _inside_node(spec: Instance) -> float:
    """What one chip sends inside its node: of a torus only the links that stay there, of a mesh those to all others"""
    try:
        wires = network_of(spec.name, "node")
    except CatalogError:
        return _one_direction(spec.accelerator_spec)
    if wires.shape == "torus":
        return sum(wires.dimension_gb_per_s) / 2 * 1e9
    return wires.link_bytes_per_s[0] * (spec.accelerators - 1 if wires.shape == "mesh" else 1)


def _one_direction(chip: Accelerator) -> float:
    return chip.link_gb_per_s / 2 * 1e9 if chip.link_gb_per_s else PCIE_BYTES_PER_S
