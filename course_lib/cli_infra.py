"""The commands `course finops infra ...`: Terraform modules to work with, and a check for them."""

from __future__ import annotations

from pathlib import Path

import click

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


@click.group()
def infra() -> None:
    """Terraform modules that make the guardrails, and a check for such modules.

    \b
    Example: course finops infra write guardrails --cloud aws
    Example: course finops infra check guardrails
    """


@infra.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--cloud", help="Only aws, azure or gcp.  [default: all]")
def write(directory: Path, cloud: str | None) -> None:
    """Copy the modules to DIRECTORY, a new or empty folder.

    Example: course finops infra write guardrails --cloud aws
    """
    from course_lib.cli import user_errors
    from course_lib.finops.infrastructure import write_modules

    with user_errors():
        copies = write_modules(directory, cloud)
    for copy in copies:
        click.echo(str(copy))
    click.echo("Each has a README.md. Start with aws/account and aws/lab-box; their variables say what they need.")


@infra.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@JSON
def check(directory: Path, as_json: bool) -> None:
    """Check every module in DIRECTORY: tags, lifetimes, pins, references, secrets. Needs no Terraform and no account.

    Exits with 1 if something is found. It knows no provider's arguments: `terraform validate` does.

    Example: course finops infra check guardrails
    """
    from course_lib.cli import print_json, print_table, user_errors
    from course_lib.finops.infrastructure import check_module, modules_in

    with user_errors():
        places = modules_in(directory)
        found = [one for place in places for one in check_module(place)]
    if as_json:
        print_json({"modules": len(places), "found": [vars(one) for one in found]})
    else:
        if found:
            rows = [(one.module, one.what, one.remedy) for one in found]
            print_table("what the modules lack", ("module", "found", "remedy"), rows)
        click.echo(f"{len(places)} modules, {len(found)} findings.")
    if found:
        raise SystemExit(1)
