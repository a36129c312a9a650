"""The commands `course moe ...`: a thin face over `course_lib.serving` and `course_lib.moe`.

Only click is imported here at the top, so that `--help` answers at once.
"""

from __future__ import annotations

from typing import Any

import click

SLOTS = click.option("--slots", default=8, show_default=True, help="Sequences that run at once.")
TOKENIZER = click.option("--tokenizer", help="A tokenizer.json.  [default: the one in FOLDER]")
DEVICE = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, hpu or neuron; auto takes what works here."
)
SEED = click.option("--seed", default=0, show_default=True, help="Of the draws.")


@click.group()
def moe() -> None:
    """Serve a mixture of experts, load it with requests, let it write, or report on its routing.

    \b
    Example: course moe serve checkpoints/mine
    Example: course moe load-test http://127.0.0.1:8000 --concurrency 16
    Example: course moe generate checkpoints/mine "Once upon a time"
    """


@moe.command()
@click.argument("folder", required=False)
@click.option("--untrained", is_flag=True, help="Instead of FOLDER: a small model with random weights, to try it out.")
@TOKENIZER
@click.option("--name", help="What clients call the model.  [default: FOLDER's last part]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port; 0 picks a free one.")
@SLOTS
@DEVICE
@click.option("--queue", default=1024, show_default=True, help="Sequences that may wait; more are told 429.")
@click.option("--prefill-tokens", default=64, show_default=True, help="Prompt tokens read between two decode steps.")
@click.option("--deadline", default=300.0, show_default=True, help="Seconds of a sequence, its waiting included.")
@click.option("--ray", is_flag=True, help="On Ray Serve, with as many replicas as the load needs.")
@click.option("--min-replicas", default=1, show_default=True, help="With --ray.")
@click.option("--max-replicas", default=2, show_default=True, help="With --ray.")
@click.option("--target-requests", default=8.0, show_default=True, help="With --ray: requests a replica should have.")
def serve(folder: str | None, untrained: bool, port: int, **options: Any) -> None:
    """Serve the checkpoint in FOLDER over HTTP as OpenAI's /v1/completions, until Ctrl-C.

    Requests under way are finished before it ends. GET /healthz tells how it is, GET /metrics counts.

    \b
    Example: course moe serve checkpoints/mine --port 8000 --slots 16
    Example: curl http://127.0.0.1:8000/v1/completions -d '{"model": "mine", "prompt": "Once", "max_tokens": 16}'
    """
    from course_lib.cli import user_errors
    from course_lib.serving import Limits

    with user_errors():
        if (folder is None) != untrained:
            raise ValueError("there is not one model to serve. Remedy: give either FOLDER or --untrained.")
        limits = Limits(queue=options["queue"], prefill_tokens=options["prefill_tokens"], seconds=options["deadline"])
        source = {name: options[name] for name in ("tokenizer", "name", "slots", "device")}
        if options["ray"]:
            _serve_on_ray(folder, source, limits, port, options)
        else:
            _serve_here(folder, source, limits, port, options["host"])


def _serve_here(folder: str | None, source: dict[str, Any], limits: Any, port: int, host: str) -> None:
    from contextlib import suppress

    from course_lib.serving import create_app, listen, make_server, served_or_raise

    app = create_app(served_or_raise(folder, **source), limits)
    with listen(host, port) as sock:
        click.echo(f"http://{host}:{sock.getsockname()[1]} (Ctrl-C stops it)")
        with suppress(KeyboardInterrupt):  # uvicorn has finished what it had, and passes the signal on
            make_server(app).run(sockets=[sock])


def _serve_on_ray(folder: str | None, source: dict[str, Any], limits: Any, port: int, options: dict[str, Any]) -> None:
    import time
    from functools import partial
    from pathlib import Path

    from course_lib.serving import build_deployment, deployed, served_or_raise

    there = None if folder is None else str(Path(folder).resolve())
    served_or_raise(there, **source)  # what is wrong is told here, in one line, not in a replica's log
    application = build_deployment(
        partial(served_or_raise, there, **source),
        limits=limits,
        min_replicas=options["min_replicas"],
        max_replicas=options["max_replicas"],
        target_ongoing_requests=options["target_requests"],
    )
    with deployed(application, port=port, host=options["host"]) as url:
        click.echo(f"{url} (Ctrl-C stops it)")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            click.echo()


@moe.command("load-test")
@click.argument("url")
@click.option("--requests", default=100, show_default=True, help="In all.")
@click.option("--concurrency", default=8, show_default=True, help="Clients, each of which waits for its answer.")
@click.option("--rate", type=float, help="Instead: requests per second that arrive at random, whatever is answered.")
@click.option("--prompt", "prompts", multiple=True, help="Taken in turn, if there are several.")
@click.option("--max-tokens", default=16, show_default=True, help="Of each request.")
@click.option("--temperature", default=0.0, show_default=True, help="Of each request.")
@click.option("--model", help="Its name.  [default: the server's first]")
@click.option("--retries", default=0, show_default=True, help="How often a request that is told 429 comes back.")
@SEED
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def load_test(url: str, prompts: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Load the server at URL with requests and tell what their clients had to wait for.

    Exits with 1 if a request was lost or failed otherwise than by 429.

    \b
    Example: course moe load-test http://127.0.0.1:8000 --requests 200 --concurrency 16
    Example: course moe load-test http://127.0.0.1:8000 --rate 5 --json
    """
    import sys

    from course_lib.cli import print_json, print_table, user_errors
    from course_lib.serving import load_test as test

    with user_errors():
        found = test(url.rstrip("/"), prompts=prompts or ("Once upon a time",), **options)
    if as_json:
        print_json(found.as_dict())
    else:
        print_table(f"load test of {url}", ("what", "found"), found.rows())
    sys.exit(int(bool(found.errors)))


@moe.command()
@click.argument("folder")
@click.argument("prompt")
@TOKENIZER
@click.option("--max-tokens", default=64, show_default=True, help="To write at most.")
@click.option("--temperature", default=0.0, show_default=True, help="0 takes the likeliest token.")
@click.option("--top-p", default=1.0, show_default=True, help="Draw from the likeliest tokens with this probability.")
@SEED
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the text.")
def generate(folder: str, prompt: str, tokenizer: str | None, device: str, as_json: bool, **options: Any) -> None:
    """Continue PROMPT with the checkpoint in FOLDER, and print the text.

    Example: course moe generate checkpoints/mine "Once upon a time" --max-tokens 40 --temperature 0.8
    """
    from course_lib.cli import print_json, user_errors
    from course_lib.moe import generate as write
    from course_lib.serving import served_or_raise

    with user_errors():
        served = served_or_raise(folder, tokenizer=tokenizer, name=None, slots=1, device=device)
        tokens = served.tokenizer.encode(prompt).ids
        made = write(served.decoder.model, tokens, options.pop("max_tokens"), stop=served.end_tokens, **options)
    text = served.tokenizer.decode(made)
    if as_json:
        print_json({"prompt": prompt, "text": text, "prompt_tokens": len(tokens), "tokens": made})
    else:
        click.echo(prompt + text)


@moe.command()
@click.argument("run")
@click.option("--out", help="The file to write.  [default: RUN/report.html]")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON and write nothing.")
def report(run: str, out: str | None, as_json: bool) -> None:
    """Write one HTML file about the routing of RUN, the folder that a RoutingRecorder wrote.

    Of a run that is still training it shows what has been recorded so far.

    \b
    Example: course moe report runs/mine
    Example: course moe report runs/mine --json
    """
    from course_lib.cli import print_json, user_errors
    from course_lib.moe.analysis import summarize, write_report

    with user_errors():
        if as_json:
            print_json(summarize(run))
        else:
            click.echo(f"wrote {write_report(run, out)}")
