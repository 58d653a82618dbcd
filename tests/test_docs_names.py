"""Names of the package in the pages of docs/ are there."""

import functools
import re
from pathlib import Path

import pytest

import keras_vision as kv

DOCS = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
NAMES = sorted({(page.name, name) for page in DOCS for name in re.findall(r"\bkv((?:\.\w+)+)", page.read_text())})


def test_the_pages_name_parts_of_the_package():
    assert {page for page, _ in NAMES} >= {"addons.md"}
    assert len(NAMES) > 10


@pytest.mark.parametrize(("page", "name"), NAMES)
def test_a_name_in_a_page_is_there(page, name):
    assert functools.reduce(getattr, name.split(".")[1:], kv) is not None
