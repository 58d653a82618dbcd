"""`python -m benchmarks` knows every script, and gives each only options that it has."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
SPEC = importlib.util.spec_from_file_location("benchmarks_main", FOLDER / "__main__.py")
benchmarks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(benchmarks)


def arguments(name):
    """What a script's parser is told of: its options, and how many positional arguments it must have."""
    calls = [node for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())) if isinstance(node, ast.Call)]
    adds = [call for call in calls if getattr(call.func, "attr", "") == "add_argument"]
    names = [ast.literal_eval(call.args[0]) for call in adds]
    optional = {ast.literal_eval(c.args[0]) for c in adds if any(k.arg == "nargs" for k in c.keywords)}
    return {n for n in names if n.startswith("--")}, [n for n in names if not n.startswith("--") and n not in optional]


def test_every_script_is_listed_once():
    scripts = {path.stem for path in FOLDER.glob("[a-z]*.py")}
    assert set(benchmarks.SMALLEST) | set(benchmarks.BY_HAND) == scripts
    assert not set(benchmarks.SMALLEST) & set(benchmarks.BY_HAND)


@pytest.mark.parametrize("name", benchmarks.SMALLEST)
def test_a_script_has_the_options_it_is_given(name):
    options, positional = arguments(name)
    given = benchmarks.SMALLEST[name].split()
    first = next((i for i, word in enumerate(given) if word.startswith("--")), len(given))
    assert first == len(positional)
    assert {word for word in given if word.startswith("--")} <= options


def test_the_smallest_run_is_written(shared, tmp_path):
    command = [sys.executable, "-m", "benchmarks", "scan", "--shared", shared, "--out", tmp_path / "page.md"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    page = (tmp_path / "page.md").read_text()
    assert done.returncode == 0, page
    assert "| scan |" in page
    assert "Pillow" in page.partition("## scan")[2]


def test_an_unknown_benchmark_is_named(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "speed"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "speed" in done.stderr
    assert "stochastic_depth" in done.stderr
