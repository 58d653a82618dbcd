"""The pages: links lead somewhere, names of other packages are there, the site lists every page, commands exist."""

import functools
import importlib
import re
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from keras_vision.cli.main import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *ROOT.glob("savedmodels/*.md"), *ROOT.glob("benchmarks/*.md")])
MIGRATION = (DOCS / "migration.md").read_text()
GENERATED = {"models.md"}  # docs/generated_pages.py writes it
OTHERS = sorted(
    set(re.findall(r"`((?:keras|keras_vision|pydensecrf)(?:\.\w+)+)`", MIGRATION)) - {"keras_vision.errors"}
)
CLI = get_command(app).commands
COMMANDS = sorted(
    {
        (page.name, *words)
        for page in PAGES
        for words in re.findall(r"keras-vision ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", page.read_text())
    }
)


def links(page):
    """Targets of the links and pictures of a page that are files."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return [found for found in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:|#", found)]


def imported(name):
    """An object by its full name."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        return functools.reduce(getattr, parts[length:], module)
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_to_files(page):
    missing = [link for link in links(page) if not (page.parent / link.partition("#")[0]).exists()]
    assert set(missing) <= GENERATED


@pytest.mark.parametrize("name", OTHERS)
def test_a_name_of_the_migration_page_is_there(name):
    assert imported(name) is not None


def test_the_migration_page_names_all_that_one_comes_from():
    assert re.findall(r"^## ([\w.-]+)", MIGRATION, re.MULTILINE) == [
        "keras.applications", "KerasHub", "pydensecrf", "tensorflow-addons", "tf-models-official",
    ]  # fmt: skip
    assert len(OTHERS) > 20


def test_a_name_that_is_not_there_is_found():
    with pytest.raises(AttributeError):
        imported("keras.applications.VGG17")


def test_the_site_lists_every_page():
    listed = set(re.findall(r"^ +- (\w+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert listed - GENERATED == {page.name for page in DOCS.glob("*.md")}


@pytest.mark.parametrize(("page", "group", "name"), COMMANDS)
def test_a_command_in_a_page_is_there(page, group, name):
    assert group in CLI, page
    if name and isinstance(CLI[group], TyperGroup):
        assert name in CLI[group].commands, page


def test_the_quick_start_runs(tmp_path, monkeypatch):
    page = (DOCS / "quick_start.md").read_text()
    code = "\n".join(line.removeprefix("    ") for line in page.splitlines() if line.startswith("    ") or not line)
    narrow = code.replace('"SqueezeNetV1_1", ', '"SqueezeNetV1_1", base_e=16, incr_e=16, ').replace(
        "kv.data.digits()", "few"
    )
    assert narrow.count("base_e") == narrow.count("= few") == 1
    import keras_vision as kv

    monkeypatch.chdir(tmp_path)
    few = kv.data.digits().split(0.1, seed=0)[1]
    names = {"few": few}
    exec(narrow, names)
    assert names["best"].label in few.class_names
