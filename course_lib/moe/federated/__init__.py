"""Federated averaging of mixtures: clients train on text of their own, a server averages what they have learned."""

from course_lib.moe.federated.averaging import ExpertWeighting, Update, average
from course_lib.moe.federated.rounds import Client, Federation, Round, domain_clients, federate

__all__ = [
    "Client",
    "ExpertWeighting",
    "Federation",
    "Round",
    "Update",
    "average",
    "domain_clients",
    "federate",
]
