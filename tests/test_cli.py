"""The `course` command. Oracle: a real process, as a user would start it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import __version__

COURSE = str(Path(sys.executable).with_name("course"))


def course(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COURSE, *words], capture_output=True, text=True, check=False)


COMMANDS = ["cloud", "cost", "doctor", "finops", "grade", "gradebook", "labs", "moe", "plan", "validate"]


def test_help_lists_every_command():
    text = course("--help").stdout
    assert all(f"\n  {name} " in text for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    done = course(name, "--help")
    assert done.returncode == 0
    assert f"course {name}" in done.stdout.partition("Example")[2]


def test_an_unknown_instance_gets_the_nearest_name_and_no_traceback():
    done = course("cost", "llama3-8b", "1e12", "p5.48xlrage")
    assert done.returncode == 1
    assert "p5.48xlarge" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_model_gets_the_nearest_name():
    done = course("cost", "lama3-8b", "1e12", "p5.48xlarge")
    assert done.returncode == 1
    assert "llama3-8b" in done.stderr


def test_an_unknown_price_says_so_and_names_the_option():
    done = course("cost", "llama3-8b", "1e12", "trn1.32xlarge", "--purchase", "spot")
    assert done.returncode == 1
    assert "trn1.32xlarge" in done.stderr
    assert "usd_per_hour" in done.stderr.replace("--usd-per-hour", "usd_per_hour")


def test_an_mfu_in_percent_is_refused_with_the_limit():
    done = course("cost", "llama3-8b", "1e12", "p5.48xlarge", "--mfu", "40")
    assert done.returncode == 1
    assert "40" in done.stderr
    assert "0.4" in done.stderr


@pytest.mark.parametrize(
    "words", [("1e308",), ("1e-320",), ("1e12", "--mfu", "1e-320"), ("1e12", "--instances", "9" * 400)]
)
def test_a_bill_beyond_the_range_of_numbers_is_refused(words):
    result = course("cost", "llama3-8b", words[0], "p5.48xlarge", *words[1:], "--json")
    assert result.returncode == 1
    assert "leaves the range of numbers" in result.stderr
    assert "Traceback" not in result.stderr


def test_cost_agrees_with_a_calculation_by_hand():
    """Oracle: tokens x 6N / (8 GPUs x 989e12 FLOP/s x 0.4) hours at 55.04 USD, with N from the Llama 3 model card."""
    (bill,) = json.loads(course("cost", "llama3-8b", "1e12", "p5.48xlarge", "--mfu", "0.4", "--json").stdout)
    hours = 1e12 * 6 * 8.030261248e9 / (8 * 989e12 * 0.4) / 3600
    assert bill["usd"] == pytest.approx(hours * 55.04, rel=0.1), "6ND leaves out attention, hence the tolerance"


def test_cost_without_an_instance_compares_all_and_names_those_without_a_price():
    done = course("cost", "llama3-8b", "1e12")
    assert done.returncode == 0, done.stderr
    assert "1 x p5.48xlarge" in done.stdout
    left_out = done.stdout.rpartition("peak: ")[2]
    assert "trn2.48xlarge" not in left_out, "priced in us-east-2"
    assert "trn3-gen2-ultraserver" in left_out
    assert "p3.2xlarge" in left_out, "V100 has no bf16"


def test_cost_without_an_instance_still_refuses_a_wrong_dtype():
    done = course("cost", "llama3-8b", "-5")
    assert done.returncode != 0


def test_the_catalog_validates():
    done = course("validate")
    assert (done.returncode, done.stdout) == (0, "the catalog is in order\n")


def modules_loaded_by(statement: str) -> set[str]:
    program = f"{statement}\nimport sys; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_importing_the_library_or_the_command_loads_nothing_heavy():
    heavy = {"torch", "pandas", "numpy", "ray", "boto3", "nbgrader", "rich", "pydantic", "plotly"}
    assert not heavy & modules_loaded_by("import course_lib, course_lib.cli")


def test_catalog_and_arithmetic_load_without_torch_or_pandas():
    assert not {"torch", "pandas"} & modules_loaded_by("import course_lib.catalog, course_lib.arithmetic")


def test_bootstrap_loads_with_the_standard_library_alone():
    """Set-up runs it before anything is installed: -I -S hides site-packages."""
    root = Path(__file__).resolve().parents[1]
    program = f"import sys; sys.path.insert(0, {str(root)!r}); import course_lib.runtime.bootstrap"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_module_is_the_command_too():
    """Oracle: the version in pyproject.toml; `python -m course_lib.cli` once did nothing and said nothing."""
    command = [sys.executable, "-m", "course_lib.cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"course, version {__version__}\n"
