"""Networks between accelerators: who is wired to whom, how fast, and what one message costs before its first byte.

A rate that the chip's or the instance's own row holds is not repeated here. A latency or an efficiency that nobody
published is left out, and `notes` says so.
"""

import math
from functools import cache
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from course_lib.catalog.accelerators import accelerator_table
from course_lib.catalog.errors import CatalogError
from course_lib.catalog.instances import instance_table
from course_lib.catalog.loader import load_toml
from course_lib.catalog.lookup import find, index_names
from course_lib.catalog.rows import References
from course_lib.catalog.schema import ROW, Count, Date, Positive, Text

FILE = "networks.toml"

Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, config=ROW)
class Network:
    """One network, inside a node or between nodes.

    Args:
        name: key, e.g. `nvlink4`, `efa-p5`.
        title: as a reader knows it.
        scope: `node`: joins the devices of one node; `cluster`: joins nodes.
        shape: `switch` (any device to any other at the full rate of its port), `mesh` (links of its own between each
            two devices), `torus` (a ring in each dimension), `fat_tree` (leaf and spine switches).
        source: where the wiring was read.
        date: the day on which the source said so.
        accelerators: chips that it joins.
        instances: instance types that have it.
        devices: accelerators of one node.
        dims: of a torus, the sizes; their product is `devices`.
        dimension_gb_per_s: of a torus, one chip's links in each dimension, both directions, 1e9 bytes per second.
        links: of a mesh, between each two devices; of a cluster's network, network cards (ports) of one node.
        link_gbit_per_s: one of those links in one direction, 1e9 bits per second.
        per_leaf: of a fat tree, endpoints of one leaf switch; None when not published.
        latency_us: start-up time of one message, microseconds; None when nobody published it.
        latency_source: where that was read.
        efficiency: share of the peak rate that large messages reach; None when nobody published it.
        efficiency_source: where that was read.
        aliases: other names that a look-up accepts.
        notes: what a reader must know before using the row.
    """

    name: Text
    title: Text
    scope: Literal["node", "cluster"]
    shape: Literal["switch", "mesh", "torus", "fat_tree"]
    source: Text
    date: Date
    accelerators: tuple[Text, ...] = ()
    instances: tuple[Text, ...] = ()
    devices: Count | None = None
    dims: tuple[Count, ...] = ()
    dimension_gb_per_s: tuple[Positive, ...] = ()
    links: Count | None = None
    link_gbit_per_s: Positive | None = None
    per_leaf: Count | None = None
    latency_us: Positive | None = None
    latency_source: str = ""
    efficiency: Share | None = None
    efficiency_source: str = ""
    aliases: tuple[Text, ...] = ()
    notes: str = ""

    @model_validator(mode="after")
    def _complete(self) -> "Network":
        for figure, where in (("latency_us", "latency_source"), ("efficiency", "efficiency_source")):
            if (getattr(self, figure) is None) != (not getattr(self, where)):
                raise ValueError(f"{figure} and {where} come together or not at all")
        if self.scope == "node" and not (self.devices and self.accelerators):
            raise ValueError("a node's network needs devices and accelerators")
        if self.scope == "cluster" and self.shape not in ("switch", "fat_tree"):
            raise ValueError("a cluster's network is a switch or a fat_tree")
        if (self.scope == "cluster" or self.shape == "mesh") and not (self.links and self.link_gbit_per_s):
            raise ValueError("a mesh, and a cluster's network, need links and link_gbit_per_s")
        if self.shape == "torus" and (len(self.dims) != len(self.dimension_gb_per_s) or not self.dims):
            raise ValueError("a torus needs dims and as many dimension_gb_per_s")
        if self.shape == "torus" and math.prod(self.dims) != self.devices:
            raise ValueError("the product of dims must be devices")
        return self

    @property
    def link_bytes_per_s(self) -> tuple[float, ...]:
        """Peak of one link in one direction, bytes per second: by dimension for a torus, else one number.

        A switch in a node: one chip's port; a mesh: all links between two chips; a cluster: one network card.

        Raises:
            CatalogError: when the chip's row does not say how fast its links are.
        """
        if self.shape == "torus":
            # two links in each dimension, two directions in each link
            return tuple(rate * 1e9 / 4 for rate in self.dimension_gb_per_s)
        if self.link_gbit_per_s is not None:
            together = (self.links or 1) if self.shape == "mesh" else 1
            return (together * self.link_gbit_per_s * 1e9 / 8,)
        both_ways = accelerator_table()[self.accelerators[0]].link_gb_per_s
        if both_ways is None:
            raise CatalogError(
                f"network {self.name!r}: accelerator {self.accelerators[0]!r} has no link_gb_per_s. "
                "Remedy: add it to accelerators.toml, or link_gbit_per_s to the network."
            )
        return (both_ways * 1e9 / 2,)


@cache
def network_table() -> dict[str, Network]:
    """name → network, read once."""
    references: References = {"accelerators": accelerator_table(), "instances": instance_table()}
    return load_toml(FILE, Network, references=references)


@cache
def _index() -> dict[str, Network]:
    table = network_table()
    return index_names("network", table, {name: row.aliases for name, row in table.items()})


def network(name: str) -> Network:
    """Look a network up by name or alias.

    Args:
        name: e.g. `nvlink4`, `efa-p5`, `gaudi3-scale-up`; case, space, dash, underscore and dot do not matter.

    Returns:
        The network.

    Raises:
        UnknownNameError: with the nearest names.
    """
    return find("network", name, _index(), network_table())


def network_of(instance: str, scope: Literal["node", "cluster"]) -> Network:
    """The network inside an instance, or between instances of its type.

    Args:
        instance: key of the instance.
        scope: which of the two.

    Returns:
        The network.

    Raises:
        CatalogError: when the catalog has none for it.
    """
    for row in network_table().values():
        if row.scope == scope and instance in row.instances:
            return row
    raise CatalogError(
        f"instance {instance!r}: the catalog has no {scope} network of it. "
        "Remedy: choose an instance from course_lib.catalog.networks(), or name a network outright."
    )
