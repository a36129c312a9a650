"""The commands `course finops dashboard write` and `publish`: the page of an account's money, in a file or a bucket.

Only click is imported here at the top, so that `--help` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from course_lib.cli_values import OUT_FILE

if TYPE_CHECKING:
    from course_lib.finops.dashboard import DashboardData

OPTIONS = (
    click.option("--days", default=90, show_default=True, help="How far back the bill is read."),
    click.option("--region", "regions", multiple=True, help="Look for instances only here.  [default: everywhere]"),
    click.option("--bills", help="BUCKET or BUCKET/PREFIX with FOCUS files, for the part about who pays."),
    click.option("--by", default="project", show_default=True, help="The tag by which the bill is divided."),
    click.option("--title", default="Spend", show_default=True, help="The page's title."),
    click.option("--show-account", is_flag=True, help="Write the account's number in full, not its last four digits."),
)


def asked(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of what is collected and how it is titled."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.group()
def dashboard() -> None:
    """One static page: what was spent, what runs, what is unusual, what comes next, and who pays.

    It holds no script and loads nothing. To keep it fresh, let a schedule call it, such as this line of cron:

    \b
    Example: 5 * * * * course finops dashboard publish dashboards --bills bills/billing --apply

    \b
    Example: course finops dashboard write spend.html
    Example: course finops dashboard publish dashboards --prefix spend
    """


@dashboard.command()
@click.argument("path", type=OUT_FILE)
@asked
def write(path: Path, title: str, show_account: bool, **wanted: Any) -> None:
    """Read the account and write the page to the file PATH; changes nothing in the account.

    Exits with 1 if a part could not be read; the page then says which and why.

    Example: course finops dashboard write spend.html --region us-east-1 --bills bills/billing
    """
    from course_lib.cli import user_errors
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.dashboard import render
    from course_lib.runtime import whole_file

    with user_errors():
        data = _collect(RealAccount(), wanted)
        page = render(data, title=title, show_account=show_account)
        with whole_file(path) as part:
            part.write_text(page, encoding="utf-8")
    click.echo(f"Wrote {path}: {len(page.encode()):,} bytes.")
    _finish(data, wanted["bills"])


@dashboard.command()
@click.argument("bucket")
@click.option("--prefix", default="", help="A folder in the bucket.")
@click.option("--public", is_flag=True, help="Allow a bucket that everybody may read.")
@click.option("--apply", is_flag=True, help="Do it; without this option nothing changes.")
@asked
def publish(bucket: str, prefix: str, public: bool, apply: bool, title: str, show_account: bool, **wanted: Any) -> None:
    """Read the account and put the page into BUCKET as index.html, with a dated copy beside it.

    Exits with 1 if a part could not be read; the page then says which and why.

    \b
    Example: course finops dashboard publish dashboards --prefix spend
    Example: course finops dashboard publish dashboards --bills bills/billing --apply
    """
    from course_lib.cli import user_errors
    from course_lib.finops.aws import RealAccount
    from course_lib.finops.dashboard import apply_publish, plan_publish, render

    with user_errors():
        account = RealAccount()
        data = _collect(account, wanted)
        page = render(data, title=title, show_account=show_account)
        plan = plan_publish(account, bucket, page, data.now, prefix=prefix, public=public)
        click.echo(str(plan))
        if apply:
            click.echo(f"Written: {', '.join(apply_publish(account, plan)) or 'nothing, it was there'}.")
        else:
            click.echo("Nothing was changed. To do it, add --apply.")
    _finish(data, wanted["bills"])


def _collect(account: Any, wanted: dict[str, Any]) -> DashboardData:
    from course_lib.finops.dashboard import collect

    regions = wanted["regions"] or None
    return collect(account, days=wanted["days"], regions=regions, bills=wanted["bills"], by=wanted["by"])


def _finish(data: DashboardData, bills: str | None) -> None:
    click.echo(f"Cost Explorer was asked {data.calls} times: {data.usd_of_reading} USD.")
    failed = {part: reason for part, reason in data.unread.items() if part != "chargeback" or bills}
    for part, reason in failed.items():
        click.echo(f"not read: {part}: {reason}")
    if failed:
        raise SystemExit(1)
