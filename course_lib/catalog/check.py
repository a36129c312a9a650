"""Checks every data file of the catalog at once and reports all errors, so that one run tells everything to mend."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from course_lib.catalog.accelerators import FILE as ACCELERATORS
from course_lib.catalog.accelerators import Accelerator
from course_lib.catalog.claims import FILE as CLAIMS
from course_lib.catalog.claims import KEY as CLAIM_KEY
from course_lib.catalog.claims import Claim
from course_lib.catalog.errors import CatalogError
from course_lib.catalog.instances import FILE as INSTANCES
from course_lib.catalog.instances import Instance
from course_lib.catalog.loader import DATA, check_csv, check_toml
from course_lib.catalog.lookup import index_names
from course_lib.catalog.model_config import CatalogedModel
from course_lib.catalog.networks import FILE as NETWORKS
from course_lib.catalog.networks import Network
from course_lib.catalog.neuron_cores import FILE as CORES
from course_lib.catalog.neuron_cores import NeuronCore
from course_lib.catalog.prices import FILE as PRICES
from course_lib.catalog.prices import KEY as PRICE_KEY
from course_lib.catalog.prices import Price
from course_lib.catalog.published import FILE as PUBLISHED
from course_lib.catalog.published import check_published
from course_lib.catalog.rows import Loaded
from course_lib.catalog.service_prices import FILE as SERVICE_PRICES
from course_lib.catalog.service_prices import KEY as SERVICE_PRICE_KEY
from course_lib.catalog.service_prices import ServicePrice
from course_lib.catalog.training_runs import FILE as RUNS
from course_lib.catalog.training_runs import TrainingRun


def check_catalog(folder: Path | str | None = None) -> list[str]:
    """Read every file of a catalog folder and collect what is wrong.

    Args:
        folder: the folder; None for the catalog's own.

    Returns:
        One message per error, naming file, row, field, value, limit and remedy; empty when all is well.
    """
    root = Path(folder) if folder is not None else DATA
    chips = check_toml(root / ACCELERATORS, Accelerator)
    machines = check_csv(root / INSTANCES, Instance, references={"accelerator": chips.names})
    observed = check_csv(root / PRICES, Price, key=PRICE_KEY, references={"instance": machines.names})
    copied = check_csv(root / CLAIMS, Claim, key=CLAIM_KEY)
    shapes = check_toml(root / "models.toml", CatalogedModel)
    cores = check_toml(root / CORES, NeuronCore)
    joined = {"accelerators": chips.names, "instances": machines.names}
    wires = check_toml(root / NETWORKS, Network, references=joined)
    points = check_published(root / PUBLISHED)
    runs = check_csv(root / RUNS, TrainingRun, references={"accelerator": chips.names})
    kept = check_csv(root / SERVICE_PRICES, ServicePrice, key=SERVICE_PRICE_KEY)
    loaded: tuple[Loaded[Any], ...] = (chips, machines, observed, copied, shapes, cores, wires, points, runs, kept)
    errors: list[CatalogError] = [error for file in loaded for error in file.errors]
    errors += _ambiguous_names("accelerator", chips)
    errors += _ambiguous_names("network", wires)
    errors += _without_on_demand_row(machines, observed)
    if folder is None and not errors:  # facts resolve in the installed, sound catalog
        errors += _facts_that_lead_nowhere(copied)
    return [str(error) for error in errors]


def _ambiguous_names(kind: str, file: Loaded[Accelerator] | Loaded[Network]) -> Iterable[CatalogError]:
    rows = {row.name: row for _, row in file.rows}
    try:
        index_names(kind, rows, {name: row.aliases for name, row in rows.items()})
    except CatalogError as error:
        yield error


def _without_on_demand_row(machines: Loaded[Instance], observed: Loaded[Price]) -> Iterable[CatalogError]:
    priced = {row.instance for _, row in observed.rows if row.purchase == "on_demand"}
    for where, row in machines.rows:
        if row.name not in priced and not observed.errors:
            remedy = f"add an on_demand row to {PRICES}; leave usd_per_hour empty and say why if it is unknown"
            limit = f"has no on_demand row in {PRICES}"
            yield CatalogError.at(machines.file, where, "name", row.name, limit, remedy)


def _facts_that_lead_nowhere(copied: Loaded[Claim]) -> Iterable[CatalogError]:
    for where, row in copied.rows:
        try:
            _ = row.official
        except CatalogError as error:
            yield CatalogError.at(copied.file, where, "fact", row.fact, f"leads nowhere ({error})", "correct the fact")
