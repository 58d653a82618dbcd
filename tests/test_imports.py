"""Imports point one way, and the light parts stay light."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import keras_vision

PACKAGE = Path(keras_vision.__file__).parent
TENSORFLOW = ("ops/", "data/", "training/", "export/", "compression/", "captioning/text.py")  # may import it

# Each part, and the parts of the package it may import besides itself.
BELOW_LAYERS = {"errors", "files", "journal", "lazy", "runtime", "registry", "ops"}
BELOW_MODEL = BELOW_LAYERS | {"layers", "graph", "model", "early_exit", "fully_convolutional", "upsampling"}
TAKES_ANY_MODEL = {"weights", "data", "export", "compression", "analytics", "visualization"}
HEADS = {"segmentation", "edges", "captioning", "generative", "localisation"}
BELOW_TRAINING = BELOW_MODEL | TAKES_ANY_MODEL | {"applications"} | HEADS
EVERYTHING = BELOW_TRAINING | {"training", "evaluation", "proposals", "zoo"}
ALLOWED = {
    "errors": set(),
    "files": {"errors"},
    "journal": {"errors"},
    "lazy": set(),
    "runtime": {"errors", "files", "lazy"},
    "registry": {"errors", "runtime"},
    "ops": {"errors", "journal", "lazy"},
    "layers": BELOW_LAYERS,
    "graph": BELOW_LAYERS | {"layers", "model"},
    "model": BELOW_LAYERS | {"layers", "graph"},
    "early_exit": BELOW_LAYERS | {"graph", "model"},
    "fully_convolutional": BELOW_LAYERS | {"layers", "graph", "model"},
    "upsampling": BELOW_LAYERS | {"layers", "graph"},
    "batch_norm": BELOW_MODEL,
    "weights": BELOW_MODEL,
    "data": BELOW_MODEL,
    "export": BELOW_MODEL | {"data"},
    "compression": BELOW_MODEL | {"data", "export"},
    "analytics": BELOW_MODEL | {"data", "export", "zoo"},
    "visualization": BELOW_MODEL | {"data"},
    "proposals": BELOW_MODEL | {"data", "edges"},  # contours are edges; the boundary benchmark scores them
    "applications": BELOW_MODEL | {"weights"},
    **{part: BELOW_MODEL | {"weights", "data", "applications"} for part in HEADS},
    "training": BELOW_TRAINING | {"evaluation", "zoo"},
    "evaluation": BELOW_TRAINING | {"training"},
    "zoo": BELOW_MODEL | TAKES_ANY_MODEL | {"applications"} | HEADS,
    "orange": EVERYTHING,
    "cli": EVERYTHING,
    "__init__": EVERYTHING | {"cli"},
}
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def part(module: str) -> str:
    """The part of the package that a file, such as "layers/lrn.py", belongs to."""
    return module.partition("/")[0].removesuffix(".py")


def imports(module: str) -> set[str]:
    """Dotted names that a file imports, at any level: "keras_vision.errors", "numpy"."""
    folder = ["keras_vision", *module.split("/")[:-1]]
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / module).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*folder[: len(folder) + 1 - node.level], *filter(None, [node.module])])
            source = base if node.level else node.module
            found |= {f"{source}.{alias.name}" for alias in node.names}
    return found


def parts_imported(module: str) -> set[str]:
    own = {name.split(".")[1] for name in imports(module) if name.startswith("keras_vision.")}
    return own - {part(module)}


@pytest.mark.parametrize("module", MODULES)
def test_no_arrow_points_back(module):
    assert part(module) in ALLOWED, f"say in ALLOWED what {part(module)} may import"
    assert parts_imported(module) <= ALLOWED[part(module)] | {"__version__"}


@pytest.mark.parametrize("module", [m for m in MODULES if not m.startswith(TENSORFLOW)])
def test_tensorflow_is_imported_only_where_it_may_be(module):
    assert {name for name in imports(module) if name.split(".")[0] in ("tensorflow", "tf_keras")} == set()


@pytest.mark.parametrize("module", [m for m in MODULES if part(m) in ("runtime", "errors", "registry", "__init__")])
def test_the_light_parts_import_no_keras(module):
    assert {name for name in imports(module) if name.split(".")[0] in ("keras", "tensorflow", "h5py")} == set()


@pytest.mark.parametrize("module", MODULES)
def test_private_names_stay_in_their_part(module):
    others = [name.split(".") for name in imports(module) if name.startswith("keras_vision.")]
    private = [n for n in others if n[1] != part(module) and any(p.startswith("_") and p[1] != "_" for p in n[2:])]
    assert private == []


@pytest.mark.parametrize(("statement", "forbidden"), [
    ("import keras_vision", ["keras", "tensorflow", "numpy", "jax", "PIL"]),
    ("import keras_vision.errors", ["keras", "tensorflow", "numpy"]),
    ("import keras_vision.runtime", ["keras", "tensorflow", "h5py"]),
    ("import keras_vision.runtime.predictor", ["keras", "tensorflow", "h5py"]),
    ("from keras_vision import runtime; runtime.Predictor", ["keras", "tensorflow", "h5py"]),
    ("import keras_vision.registry", ["keras", "tensorflow", "h5py"]),
    ("import keras_vision.edges", ["keras", "tensorflow", "h5py"]),
    ("from keras_vision import proposals; proposals.covering", ["keras", "tensorflow", "h5py"]),
    ("import keras_vision.data.scan, keras_vision.data.skip_list", ["keras", "tensorflow", "h5py"]),
])  # fmt: skip
def test_light_imports_stay_light(statement, forbidden):
    code = f"import sys; {statement}; print(sorted(set({forbidden!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", keras_vision.__all__)
def test_every_public_name_is_there(name):
    assert getattr(keras_vision, name) is not None
    assert name in dir(keras_vision)


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'keras_vision' has no attribute 'nothing'"):
        _ = keras_vision.nothing


@pytest.mark.parametrize("module", [m for m in MODULES if m.endswith("__init__.py")])
def test_no_module_hides_a_public_name(module):
    """Importing a package's module binds its name in the package, in place of a function of that name."""
    name = ".".join(["keras_vision", *module.split("/")[:-1]])
    package = importlib.import_module(name)
    hidden = {found.name for found in pkgutil.iter_modules(package.__path__)} & set(getattr(package, "__all__", ()))
    for both in sorted(hidden):
        module = importlib.import_module(f"{name}.{both}")
        assert getattr(package, both) is not module or not hasattr(module, both)
