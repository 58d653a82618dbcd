"""Pages that are made while the site is built: the table of models and the reference of each public package.

A hook of MkDocs (`hooks:` in mkdocs.yml). It reads the sources without importing them, as mkdocstrings does, so that
the site builds in seconds and needs no TensorFlow.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
INTERNAL = {"graph", "registry"}  # importable, but for those who write models
HEADLESS = "{members: false, show_root_heading: false, show_root_toc_entry: false}"
MODELS = """# Models

Every name is a constructor in `kv.applications`, `kv.segmentation` or `kv.edges`, and a name for `kv.create_model`.
Counts are computed from the built graphs. `keras-vision models info NAME` prints the card: table of the paper,
deviations, preprocessing, and for each file of weights its source, hash and licence.

"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the reference to the navigation."""
    config.nav.append({"Reference": [{f"kv.{name}": f"reference/{name}.md"} for name in packages()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages to those of docs/."""
    command = [sys.executable, "-m", "keras_vision.cli.main", "models", "list", "--markdown"]
    table = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files.append(File.generated(config, "models.md", content=MODELS + table))
    for name in packages():
        page = f"# kv.{name}\n\n::: keras_vision.{name}\n    options: {HEADLESS}\n\n" + "\n".join(entries(name))
        files.append(File.generated(config, f"reference/{name}.md", content=page))
    return files


def on_page_content(html: str, **_: object) -> str:
    """A docstring announces a block with two colons; a page shows one."""
    return re.sub(r"::(</p>\s*<div class=\"[^\"]*highlight)", r":\1", html)


def packages() -> list[str]:
    """The public modules and packages that `keras_vision` imports on first use."""
    modules = next(node.value for node in parse("keras_vision").body if targets(node) == ["_MODULES"])
    return sorted({*ast.literal_eval(modules), "data.augment"} - INTERNAL)


def entries(package: str) -> Iterator[str]:
    """What is public in a package, each with the instruction for mkdocstrings, by name."""
    models = json.loads((ROOT / "keras_vision" / "catalogue.json").read_text())
    rows: dict[str, list[str]] = {}
    for name, home in sorted(public(f"keras_vision.{package}").items(), key=lambda item: item[0].lower()):
        if name in definitions(home):
            yield f"::: {home}.{name}\n"
        elif name in models:
            rows.setdefault(home, []).append(name)
    for home, names in sorted(rows.items()):
        yield f"## {home.rpartition('.')[2]}\n\n::: {home}\n    options: {HEADLESS}\n"
        yield "\n".join([f"- `{name}`: {models[name]['parameters']:,} parameters" for name in names]) + "\n"


def public(module: str) -> dict[str, str]:
    """Public names of a module, and the modules that define them."""
    homes = {name: module for name in definitions(module) if not name.startswith("_")}
    listed = None
    for node in ast.walk(parse(module)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("keras_vision"):
            homes |= {alias.name: node.module for alias in node.names}
        elif targets(node) == ["__all__"] and isinstance(node.value, ast.List):
            listed = ast.literal_eval(node.value)
        elif targets(node)[0].startswith("_") and isinstance(node.value, ast.Dict):
            homes |= late(module, ast.literal_eval(node.value))
    if listed is None:  # the list is computed from that of late names, or there is none
        listed = [name for name, home in homes.items() if home.startswith(module)]
    return {name: homes[name] for name in listed if name in homes}


def late(module: str, table: dict[str, str | tuple[str, ...]]) -> dict[str, str]:
    """Names that a package imports on first use; its table has the home of each name, or the names of each home."""
    pairs = [(name, home) for home, names in table.items() if isinstance(names, tuple) for name in names]
    pairs += [(name, home) for name, home in table.items() if isinstance(home, str)]
    return {name: f"{module}.{home}" for name, home in pairs}


def definitions(module: str) -> set[str]:
    """Classes and functions that a module defines."""
    return {node.name for node in parse(module).body if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def targets(node: ast.AST) -> list[str]:
    """Names that a statement assigns to."""
    if isinstance(node, ast.AnnAssign):
        return [ast.unparse(node.target)]
    return [ast.unparse(target) for target in node.targets] if isinstance(node, ast.Assign) else [""]


def parse(module: str) -> ast.Module:
    """The source of a module."""
    path = ROOT / module.replace(".", "/")
    return ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
