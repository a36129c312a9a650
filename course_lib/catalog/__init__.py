"""Facts as data: accelerators, instances, prices, model shapes and published results, each with source and date.

Rows are read on first use and kept; pandas is imported only by the functions that hand out frames.
"""

from course_lib.catalog.accelerators import Accelerator, accelerator
from course_lib.catalog.check import check_catalog
from course_lib.catalog.claims import Claim
from course_lib.catalog.errors import CatalogError, UnknownNameError, UnknownPriceError
from course_lib.catalog.frames import accelerators, claims, instances, networks, prices, published
from course_lib.catalog.input_error import InputError, is_number
from course_lib.catalog.instances import Instance, instance
from course_lib.catalog.models import ModelConfig, gpt_config, model, models
from course_lib.catalog.networks import Network, network, network_of
from course_lib.catalog.neuron_cores import NeuronCore, neuron_core
from course_lib.catalog.prices import Price
from course_lib.catalog.published import PublishedPoint, published_point, published_points
from course_lib.catalog.service_prices import ServicePrice, service_prices
from course_lib.catalog.training_runs import TrainingRun, training_runs

__all__ = [
    "Accelerator",
    "CatalogError",
    "Claim",
    "InputError",
    "Instance",
    "ModelConfig",
    "Network",
    "NeuronCore",
    "Price",
    "PublishedPoint",
    "ServicePrice",
    "TrainingRun",
    "UnknownNameError",
    "UnknownPriceError",
    "accelerator",
    "accelerators",
    "check_catalog",
    "claims",
    "gpt_config",
    "instance",
    "instances",
    "is_number",
    "model",
    "models",
    "network",
    "network_of",
    "networks",
    "neuron_core",
    "prices",
    "published",
    "published_point",
    "published_points",
    "service_prices",
    "training_runs",
]
