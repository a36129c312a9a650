"""Collectives on networks: schedules of messages, topologies, a simulator of both, and a fit of alpha and beta.

`simulate(schedule("all_reduce", 8, "ring"), node_topology("p5.48xlarge"), 1e9)` says what takes how long and which link
is busiest. The same schedules move real tensors in `course_lib.distributed`.
"""

from course_lib.arithmetic.collectives import Collective
from course_lib.arithmetic.network.cluster import Cluster
from course_lib.arithmetic.network.contributions import WrongScheduleError, holdings, verify
from course_lib.arithmetic.network.curves import CurvePoint, bandwidth_curves, crossover_bytes
from course_lib.arithmetic.network.fair_share import drain_seconds, fair_rates
from course_lib.arithmetic.network.fat_tree import FatTree
from course_lib.arithmetic.network.fit import Fit, Prediction, fit_alpha_beta
from course_lib.arithmetic.network.hardware import cluster_topology, node_topology
from course_lib.arithmetic.network.hierarchical import hierarchical, torus_all_reduce
from course_lib.arithmetic.network.message import Chunks, Message, Phase, Schedule
from course_lib.arithmetic.network.rings import parallel_rings_all_reduce
from course_lib.arithmetic.network.schedules import algorithms, schedule
from course_lib.arithmetic.network.simulate import PhaseTime, PricedSchedule, Simulation, price, simulate
from course_lib.arithmetic.network.topology import Degraded, Mesh, Route, Switch, Topology
from course_lib.arithmetic.network.torus import Torus, ring_order

__all__ = [
    "Chunks",
    "Cluster",
    "Collective",
    "CurvePoint",
    "Degraded",
    "FatTree",
    "Fit",
    "Mesh",
    "Message",
    "Phase",
    "PhaseTime",
    "Prediction",
    "PricedSchedule",
    "Route",
    "Schedule",
    "Simulation",
    "Switch",
    "Topology",
    "Torus",
    "WrongScheduleError",
    "algorithms",
    "bandwidth_curves",
    "cluster_topology",
    "crossover_bytes",
    "drain_seconds",
    "fair_rates",
    "fit_alpha_beta",
    "hierarchical",
    "holdings",
    "node_topology",
    "parallel_rings_all_reduce",
    "price",
    "ring_order",
    "schedule",
    "simulate",
    "torus_all_reduce",
    "verify",
]
