"""The command `course finops export`: have AWS deliver the bill to a bucket each day, in FOCUS columns.

Only click is imported here at the top, so that `--help` answers at once.
"""

from __future__ import annotations

import click

from course_lib.cli_launch import APPLY, DRY

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.command("export")
@click.argument("bucket")
@click.option("--name", default="focus", show_default=True, help="The export's name.")
@click.option("--prefix", default="billing", show_default=True, help="What the keys in the bucket begin with.")
@click.option("--region", default="us-east-1", show_default=True, help="The bucket's region.")
@click.option(
    "--rows", type=click.Choice(["hourly", "daily", "monthly"]), default="daily", show_default=True, help="One row for."
)
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Of what is made; may be repeated.")
@APPLY
@JSON
def export(
    bucket: str, name: str, prefix: str, region: str, rows: str, tags: tuple[str, ...], apply: bool, as_json: bool
) -> None:
    """Have AWS deliver the bill to BUCKET each day, in FOCUS 1.2 columns; without --apply say what is missing.

    A bucket that is there keeps its policy and gets one statement more. The first delivery takes up to a day.

    \b
    Example: course finops export my-group-bills --tag owner=ada@example.org --tag project=platform
    Example: course finops export my-group-bills --apply
    Example: course finops chargeback --bucket my-group-bills --prefix billing
    """
    from course_lib.cli import print_json, user_errors
    from course_lib.finops.aws import RealAccount, check_regions
    from course_lib.finops.focus import FocusError, apply_export, plan_export

    with user_errors():
        labels = {}
        for text in tags:
            key, sign, value = text.partition("=")
            if not (key and sign and value):
                raise FocusError.of("--tag", text, "is no KEY=VALUE", "write it as in owner=ada@example.org")
            labels[key] = value
        account = RealAccount()
        check_regions(account, [region])
        plan = plan_export(
            account,
            bucket,
            name=name,
            prefix=prefix,
            region=region,
            granularity=rows.upper(),  # type: ignore[arg-type]
            tags=labels,
        )
        arn = apply_export(account, plan) if apply else ""
    if as_json:
        print_json({"bucket": bucket, "name": name, "steps": plan.steps, "applied": apply, "arn": arn})
        return
    click.echo(str(plan))
    read = f"course finops chargeback --bucket {bucket} --prefix {prefix}"
    if not plan.steps:
        click.echo(f"Read it: {read}")
    elif apply:
        click.echo(f"Made. The first delivery takes up to a day. Then: {read}")
    else:
        click.echo(DRY)
