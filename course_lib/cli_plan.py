"""The command `course plan`: a thin face over `course_lib.arithmetic.plan`.

Only click is imported here at the top, so that `--help` answers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from course_lib.arithmetic import Cluster, Plans, Prediction

GB = 1e9


@click.command()
@click.argument("model")
@click.argument("clusters", metavar="[INSTANCE[:COUNT]]...", nargs=-1)
@click.option("--batch", type=int, help="Sequences per optimizer step.")
@click.option("--batch-tokens", type=float, help="Tokens per optimizer step, instead of --batch.")
@click.option("--sequence-length", type=int, help="Tokens per sequence.  [default: the model's context length]")
@click.option("--instances", default=1, show_default=True, help="How many of each INSTANCE without a :COUNT.")
@click.option("--by", default="time", show_default=True, type=click.Choice(["time", "cost", "tokens-per-dollar"]))
@click.option("--top", default=5, show_default=True, help="How many plans to show.")
@click.option("--tokens", type=float, help="Tokens of the whole run, for days and dollars.")
@click.option("--microbatch", type=int, help="Sequences per microbatch; searched when left out.")
@click.option("--fix", metavar="tp=8,pp=4", help="Settle tp, pp, cp, dp, ep, zero, shard, schedule, v, recompute.")
@click.option("--software", default="modern", show_default=True, help="Training stack whose techniques count.")
@click.option("--dtype", help="Format of the weight matmuls, such as fp8.  [default: bf16]")
@click.option("--chip", help="A cluster of your own, instead of INSTANCE: this accelerator ...")
@click.option("--devices", type=int, help="... so many of them ...")
@click.option("--per-node", default=8, show_default=True, help="... so many in a node ...")
@click.option("--network-gbit", default=0.0, help="... and a node's network, all cards, Gbit/s, one direction.")
@click.option("--usd-per-hour", type=float, help="Price of one instance or node, where the catalog has none.")
@click.option(
    "--purchase", default="on_demand", show_default=True, type=click.Choice(["on_demand", "spot", "capacity_block"])
)
@click.option("--failures", type=float, help="Failures per 1,000 node-days.  [default: as Llama 3 counted]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def plan(model: str, clusters: tuple[str, ...], by: str, top: int, as_json: bool, **options: Any) -> None:
    """Find the best layout for training MODEL on COUNT instances of INSTANCE: which parallelism, what memory and time.

    With several INSTANCEs it chooses among them. Published systems that nobody rents are given by --chip.

    \b
    Example: course plan llama3-70b p5.48xlarge:128 --batch 1024 --tokens 15e12
    Example: course plan gpt3-175b --chip a100-80gb --devices 1024 --network-gbit 1600 --batch 1536 --software megatron
    """
    from course_lib.arithmetic import Reliability
    from course_lib.arithmetic import plan as search
    from course_lib.cli import print_json, user_errors

    with user_errors():
        batch, unit = _batch(options)
        failures = options["failures"]
        found = search(
            model,
            _clusters(clusters, options),
            batch,
            batch_unit=unit,  # type: ignore[arg-type]
            sequence_length=options["sequence_length"],
            by=by,  # type: ignore[arg-type]
            top=top,
            tokens=options["tokens"],
            fixed=_fixed(options["fix"], options["microbatch"]),
            software=options["software"],
            dtype=options["dtype"],
            reliability=None if failures is None else Reliability(failures_per_1000_node_days=failures),
        )
        _check_finite(found)
    if as_json:
        print_json(_as_dict(found))
    else:
        _show(found)


def _batch(options: dict[str, Any]) -> tuple[int, str]:
    sequences, tokens = options["batch"], options["batch_tokens"]
    if (sequences is None) == (tokens is None):
        raise ValueError("the batch is not given. Remedy: give either --batch (sequences) or --batch-tokens.")
    if tokens is not None and not float(tokens).is_integer():  # neither nan nor inf is
        raise ValueError(f"--batch-tokens {tokens:g} is no whole number. Remedy: give one, such as 4194304.")
    return (sequences, "sequences") if tokens is None else (int(tokens), "tokens")


def _clusters(names: tuple[str, ...], options: dict[str, Any]) -> list[Cluster]:
    from course_lib.arithmetic import custom_cluster, instance_cluster

    price = options["usd_per_hour"]
    found = []
    for name in names:
        kind, colon, count = name.rpartition(":")
        if colon and not count.isdigit():
            raise ValueError(f"{name!r}: {count!r} is no number of instances. Remedy: write {kind or name}:16.")
        many = int(count) if colon else options["instances"]
        kind = kind if colon else name
        found.append(instance_cluster(kind, many, purchase=options["purchase"], usd_per_hour=price))
    if options["chip"]:
        if options["devices"] is None:
            raise ValueError("--chip needs the number of devices. Remedy: add --devices 1024.")
        found.append(
            custom_cluster(
                options["chip"],
                options["devices"],
                devices_per_node=options["per_node"],
                network_gbit_per_s_per_node=options["network_gbit"],
                usd_per_node_hour=price,
            )
        )
    elif options["devices"] is not None:
        raise ValueError("--devices goes with --chip. Remedy: add --chip h100, or give a count: p5.48xlarge:16.")
    if not found:
        raise ValueError("no cluster is given. Remedy: name an instance such as p5.48xlarge:16, or use --chip.")
    return found


def _fixed(text: str | None, microbatch: int | None) -> dict[str, object]:
    found: dict[str, object] = {} if microbatch is None else {"microbatch": microbatch}
    for part in (text or "").replace(" ", "").split(","):
        if not part:
            continue
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise ValueError(f"--fix {part!r} settles nothing. Remedy: write tp=8,pp=4 or recompute=full.")
        if name in found:
            raise ValueError(f"--fix settles {name} twice. Remedy: give one value, or plan once for each.")
        found[name] = int(value) if value.lstrip("-").isdigit() else value
    return found


def _check_finite(found: Plans) -> None:
    """Refuse figures beyond the range of a float, which JSON could not hold either."""
    from math import isfinite

    for one in found.best:
        if not all(isfinite(value) for value in (one.usd_per_step or 0, one.run_days or 0, one.run_usd or 0)):
            raise ValueError(
                "the price leaves the range of numbers (1e-308 to 1e308). Remedy: check --tokens and --usd-per-hour."
            )


def _as_dict(found: Plans) -> dict[str, Any]:
    from dataclasses import asdict

    from course_lib.arithmetic import winner

    return {**asdict(found), "why": winner(found)}


def _show(found: Plans) -> None:
    from course_lib.arithmetic import winner
    from course_lib.cli import print_table

    first = found.best[0]
    several = len({one.cluster for one in found.best}) > 1
    title = f"{first.model} on {first.cluster if not several else 'several clusters'}: best by {found.by}"
    columns = ["layout", "GB", "s/step", "MFU", "bubble", "exposed", "$/step", "tokens/$"]
    rows = []
    for one in found.best:
        time = one.time
        rows.append(
            [
                f"{one.cluster}: {one.layout}" if several else str(one.layout),
                f"{one.memory.total_bytes / GB:.1f}",
                f"{time.seconds:.4g}",
                f"{one.mfu:.1%}",
                f"{time.bubble_fraction:.1%}",
                f"{time.exposed_seconds / time.seconds:.1%}",
                _money(one.usd_per_step),
                "unknown" if one.tokens_per_usd is None else f"{one.tokens_per_usd:,.0f}",
            ]
        )
    print_table(title, columns, rows)
    click.echo(f"First: {winner(found)}")
    for line in _details(first):
        click.echo(line)
    click.echo(f"{found.considered:,} layouts considered, {found.timed:,} timed. Dropped:")
    for reason, count in sorted(found.dropped.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"  {count:>9,}  {reason}")


def _details(one: Prediction) -> list[str]:
    memory, time, losses = one.memory, one.time, one.losses
    kinds = ("parameters", "gradients", "optimizer", "activations", "logits", "buffers", "reserve")
    held = ", ".join(f"{kind} {getattr(memory, kind + '_bytes') / GB:.1f}" for kind in kinds)
    sent = ", ".join(
        f"{kind} {part.total_seconds:.3g} ({part.exposed_seconds:.3g})"
        for kind, part in time.communication.items()
        if part.total_seconds
    )
    lines = [
        f"Memory of the fullest device, GB: {held}; {memory.total_bytes / GB:.1f} of {memory.limit_bytes / GB:.1f}",
        f"Step: compute {time.compute_seconds:.3g} s in {time.microbatches} microbatches, bubble "
        f"{time.bubble_seconds:.3g} s, optimizer {time.optimizer_seconds:.2g} s; HFU {one.hfu:.1%}; "
        f"{one.tokens_per_second:,.0f} tokens/s",
        f"Communication, s (exposed): {sent or 'none'}",
        f"Failures: one each {losses.mtbf_seconds / 3600:.3g} h, a checkpoint each {losses.interval_seconds / 60:.3g} "
        f"min; they add {losses.added_share:.1%} to time and money, which the dollars here include",
    ]
    if one.run_days is not None:
        days = f"Run of {one.tokens:.3g} tokens: {one.run_days:,.1f} days, {one.failure_days:,.1f} of them for failures"
        price = "" if one.run_usd is None else f"; ${one.run_usd:,.0f}, ${one.failure_usd:,.0f} of it for failures"
        lines.append(days + price)
    if one.usd_per_million_tokens is not None:
        lines.append(f"Price: ${one.usd_per_million_tokens:.4f} per million tokens")
    if not one.calibrated:
        lines.append(
            "Note: no published run on this chip; the shares of its peaks are the H100's, so take time as rough"
        )
    return lines


def _money(usd: float | None) -> str:
    return "unknown" if usd is None else f"{usd:,.2f}"
