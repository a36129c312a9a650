"""The commands `course finops guard ...`: plan, apply and audit an account's guardrails, and check a quota.

Only click is imported here at the top, so that `--help` answers at once. Nothing changes without --apply, or the
command `apply` itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from course_lib.finops.guardrails import GuardrailPlan, Line

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.group()
def guard() -> None:
    """What keeps an account from spending by accident: budgets, policies, tags, quotas.

    The account is the one that boto3 finds: your profile's, or the practice account after `eval "$(course cloud env)"`.

    \b
    Example: course finops guard example > guardrails.toml
    Example: course finops guard plan guardrails.toml
    Example: course finops guard audit
    Example: course finops guard quota trn1.32xlarge 4
    """


@guard.command()
def example() -> None:
    """Print a guardrails file to start from.

    Example: course finops guard example > guardrails.toml
    """
    from course_lib.finops.guardrails import EXAMPLE

    click.echo(EXAMPLE, nl=False)


@guard.command()
@FILE
@JSON
def plan(file: Path, as_json: bool) -> None:
    """Compare the account with FILE and say what would change; changes nothing.

    Exits with 1 if something needs a person.

    Example: course finops guard plan guardrails.toml
    """
    from course_lib.cli import print_json, user_errors

    with user_errors():
        found = _plan(file)
    if as_json:
        print_json(_told(found))
    else:
        _show(found)
        click.echo(f"Nothing was changed. To do it: course finops guard apply {file}" if found.changes else "")
    if found.drifts:
        raise SystemExit(1)


@guard.command()
@FILE
@click.option("--yes", is_flag=True, help="Don't ask.")
@JSON
def apply(file: Path, yes: bool, as_json: bool) -> None:
    """Plan FILE again, ask, and do what the plan says and nothing else.

    Exits with 1 if something failed or needs a person. Running it again goes on from there.

    Example: course finops guard apply guardrails.toml
    """
    from course_lib.cli import print_json, user_errors
    from course_lib.finops.guardrails import apply_guardrails

    with user_errors():
        found = _plan(file)
        if not as_json:
            _show(found)
        if found.changes and not yes:
            click.confirm(f"Make {len(found.changes)} changes in account {found.account}?", abort=True, err=as_json)
        report = apply_guardrails(found)
    if as_json:
        told = {
            "account": found.account,
            "done": [_row(line) for line in report.done],
            "failed": _row(report.failed) if report.failed else None,
            "error": report.error,
            "left": [_row(line) for line in report.left],
            "drift": [_row(line) for line in found.drifts],
        }
        print_json(told)
    else:
        click.echo(str(report))
    if report.failed or found.drifts:
        raise SystemExit(1)


@guard.command()
@click.option("--region", "regions", multiple=True, help="Only here; may be repeated.  [default: everywhere]")
@click.option("--tag", "tags", multiple=True, help="A key that must be there.  [default: owner, project, expires-at]")
@JSON
def audit(regions: tuple[str, ...], tags: tuple[str, ...], as_json: bool) -> None:
    """Name every instance and volume without its tags or past its end, and whom to ask.

    Exits with 1 if something breaks a rule, or a region could not be seen.

    Example: course finops guard audit --region us-east-1
    """
    from course_lib.cli import print_json, print_table, user_errors
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.guardrails import audit as look

    with user_errors():
        required: dict[str, Any] = {"required": tags} if tags else {}
        found = look(RealAccount(), regions=regions or None, **required)
    rows = [vars(one) for one in found.violations]
    if as_json:
        seen = {"now": found.now.isoformat(), "instances": found.instances, "volumes": found.volumes}
        print_json({**seen, "violations": rows, "unseen": found.unseen})
    else:
        columns = ("resource", "kind", "region", "owner", "rule", "detail")
        title = f"{found.instances} instances and {found.volumes} volumes at {found.now:%Y-%m-%d %H:%M} UTC"
        print_table(title, columns, [tuple(row.values()) for row in rows])
        for region, reason in found.unseen.items():
            click.echo(f"not seen: {region}: {reason}")
        click.echo(f"{len(rows)} rules broken.")
    if not found.clean:
        raise SystemExit(1)


@guard.command()
@click.argument("instance_type")
@click.argument("count", type=int)
@click.option("--region", default="us-east-1", show_default=True, help="Where.")
@click.option("--spot", is_flag=True, help="The spot quota, which is another one.")
@click.option("--apply", is_flag=True, help="Ask for what is lacking; without this option nothing changes.")
@JSON
def quota(instance_type: str, count: int, region: str, spot: bool, apply: bool, as_json: bool) -> None:
    """Say whether COUNT instances of INSTANCE_TYPE fit into the vCPU quota; with --apply ask for more.

    Exits with 1 if they don't fit now.

    Example: course finops guard quota trn1.32xlarge 4 --region us-east-1
    """
    from course_lib.cli import print_json, user_errors
    from course_lib.finops.aws import RealAccount, one_line
    from course_lib.finops.guardrails import PlannedLaunch, check_quota, quota_line

    with user_errors():
        account = RealAccount()
        check = check_quota(account, PlannedLaunch(instance_type, count, region, "spot" if spot else "on_demand"))
        line = quota_line(account, check)
        asked = apply and line.do is not None
        if apply and line.do is not None:
            with one_line(f"asking for a higher {line.name}"):
                line.do()
    if as_json:
        told = {name: getattr(check, name) for name in ("limit", "in_use", "needed", "short", "fits", "asked")}
        print_json({"code": check.quota.code, "name": check.quota.name, **told, "requested_now": asked})
    else:
        click.echo(line.why)
        if asked:
            click.echo("Asked. Service Quotas answers in minutes to days; see `course finops guard quota` again.")
        elif line.do is not None:
            click.echo("Nothing was asked for. To do it, add --apply.")
    if not check.fits:
        raise SystemExit(1)


def _plan(file: Path) -> GuardrailPlan:
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.guardrails import plan_guardrails, read_guardrails

    return plan_guardrails(RealAccount(), read_guardrails(file))


def _row(line: Line) -> dict[str, str]:
    return {"change": line.change, "kind": line.kind, "name": line.name, "why": line.why}


def _told(found: GuardrailPlan) -> dict[str, Any]:
    return {"account": found.account, "lines": [_row(line) for line in found.lines]}


def _show(found: GuardrailPlan) -> None:
    from course_lib.cli import print_table

    rows = [tuple(_row(line).values()) for line in found.lines if line.change != "nothing"]
    in_place = len(found.lines) - len(rows)
    title = (
        f"account {found.account}: {len(found.changes)} to do, {len(found.drifts)} for a person, {in_place} in place"
    )
    if rows:
        print_table(title, ("change", "what", "name", "why"), rows)
    else:
        click.echo(f"{title}.")
