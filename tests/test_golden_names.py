"""Layer and variable names are checkpoint keys: they change only on purpose."""

import importlib.util
from pathlib import Path

import pytest

import keras_vision as kv

GOLDEN = Path(__file__).with_name("golden")
HOW = "names or shapes changed and old checkpoints no longer load; if meant, run: python tests/golden/make_names.py"

_spec = importlib.util.spec_from_file_location("make_names", GOLDEN / "make_names.py")
make_names = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_names)


@pytest.mark.parametrize("name", kv.list_models())
def test_names_and_shapes_are_the_golden_ones(name, undrawn):
    file = GOLDEN / "names" / f"{name}.txt"
    assert file.exists(), f"{name} has no golden names; run: python tests/golden/make_names.py"
    assert make_names.lines(name) == file.read_text().splitlines(), HOW


def test_no_golden_file_is_left_over():
    assert sorted(path.stem for path in (GOLDEN / "names").glob("*.txt")) == kv.list_models(), HOW
