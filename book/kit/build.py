"""Build the book: `python -m book.kit.build`, which is what `make book` runs.

Runs Jupyter Book with warnings as errors and an exit code that can be trusted. With page names it builds a draft of
just those pages, warnings shown but not fatal, in a folder of its own.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from .rendered import pages, traceback_findings

ROOT = Path(__file__).resolve().parents[2]


def build(root: Path = ROOT, output: Path | None = None) -> int:
    """Build the whole book into `<output>/_build/html`.

    Args:
        root: The folder of `_config.yml`.
        output: Where `_build` goes; the root unless told.

    Returns:
        0 when every page was built with no warning and no failed cell, else 1.
    """
    target = (output or root) / "_build"
    _run(root, ["-m", "book.kit.ahead", str(root)])
    code = _jupyter_book(root, ["--path-output", str(output or root), "-W", "-n", "--keep-going"])
    findings = traceback_findings(target / "html")
    for finding in findings:
        print(finding, file=sys.stderr)
    if code or findings:
        # Sphinx reports a page's warnings only while it reads the page: with its trees kept, a second run would find
        # nothing out of date and call the same faulty book good.
        shutil.rmtree(target / ".doctrees", ignore_errors=True)
        print("The book has faults, listed above; it will be read again in full next time.", file=sys.stderr)
        return 1
    return 0


def draft(names: list[str], root: Path = ROOT) -> int:
    """Build only some pages, for their writer: links to other pages stay open and warnings do not fail the build.

    Args:
        names: Pages such as "book/foundations/01-training-step", with or without ".md".

    Returns:
        Jupyter Book's exit code.
    """
    stems = [str(Path(name).with_suffix("")) if name.endswith(".md") else name for name in names]
    folder = root / "_build" / "draft" / "-".join(stem.split("/")[-1] for stem in stems)
    folder.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    settings["only_build_toc_files"] = True
    settings["sphinx"]["config"]["course_cache_folder"] = str(folder / "cache")
    (folder / "_config.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    contents: dict[str, object] = {"format": "jb-book", "root": stems[0]}
    if stems[1:]:
        contents["chapters"] = [{"file": stem} for stem in stems[1:]]
    (folder / "_toc.yml").write_text(yaml.safe_dump(contents), encoding="utf-8")
    return _jupyter_book(
        root,
        ["--path-output", str(folder), "--config", str(folder / "_config.yml"), "--toc", str(folder / "_toc.yml")],
    )


def _jupyter_book(root: Path, arguments: list[str]) -> int:
    # the package cannot be run with -m; calling its entry point keeps to this interpreter, whatever PATH says
    return _run(root, ["-c", "from jupyter_book.cli.main import main; main()", "build", str(root), *arguments])


def _run(root: Path, arguments: list[str]) -> int:
    environment = os.environ | {"IPYTHONDIR": str(_ipython_profile(root / "_build" / "ipython"))}
    # Threads of torch that wait for each other by spinning take a busy machine's cores from the thread they wait for: a
    # cell of 20 seconds then takes minutes. Sleeping costs a quiet machine next to nothing.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"} | environment
    return subprocess.run([sys.executable, *arguments], check=False, env=environment).returncode


def _ipython_profile(folder: Path) -> Path:
    """A profile for the chapters' kernels: a reader's own start-up files must not change what a chapter prints.

    It also keeps a kernel from warning about its unencrypted loopback sockets, which the build would take for a fault.
    """
    settings = folder / "profile_default" / "ipython_kernel_config.py"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('c.IPKernelApp.log_level = "ERROR"\nc.HistoryManager.enabled = False\n', encoding="utf-8")
    return folder


def main() -> int:
    """Parse the command line, build, and say what was built and how long it took."""
    parser = argparse.ArgumentParser(prog="python -m book.kit.build", description="Build the book into _build/html.")
    parser.add_argument("pages", nargs="*", help="build a draft of these pages only, such as book/start/welcome")
    parser.add_argument("--output", type=Path, help="put _build here instead of beside _config.yml")
    options = parser.parse_args()
    started = time.monotonic()
    code = draft(options.pages) if options.pages else build(output=options.output)
    if code == 0 and not options.pages:
        html = (options.output or ROOT) / "_build" / "html"
        print(f"{len(pages(html))} pages in {html} ({time.monotonic() - started:.0f} s). Read them with `make serve`.")
    return code


if __name__ == "__main__":
    sys.exit(main())
