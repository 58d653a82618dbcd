"""Every model at its default size: parameters, card, catalogue entry, names and shapes of its weights."""

import dataclasses
import hashlib
import importlib.util
import json
import types
import typing
from pathlib import Path

import pytest
from published_networks import CIFAR, COUNTS, EXITS, INPUTS, MODELS

import keras_vision as kv
from keras_vision.registry import ModelCard, catalogue, catalogue_entry

GOLDEN = Path(__file__).with_name("golden")
HOW = "names or shapes changed and old checkpoints no longer load; if meant, run: python tests/golden/make_names.py"

_spec = importlib.util.spec_from_file_location("make_names", GOLDEN / "make_names.py")
make_names = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_names)


@pytest.fixture(scope="module", params=kv.list_models())
def built(request, undrawing):
    """Name and model; the tests of one model follow each other, so each is built once."""
    with undrawing():
        return request.param, kv.create_model(request.param, weights=None)


def test_names_and_shapes_are_the_golden_ones(built):
    """Layer and variable names are checkpoint keys: they change only on purpose."""
    name, model = built
    file = GOLDEN / "names" / f"{name}.txt"
    assert file.exists(), f"{name} has no golden names; run: python tests/golden/make_names.py"
    assert make_names.lines(model) == file.read_text().splitlines(), HOW


@pytest.mark.parametrize("built", MODELS, indirect=True)
def test_parameters_and_shapes_are_the_published_ones(built):
    name, model = built
    assert name in COUNTS, "a new model needs its published counts in published_networks.py"
    assert (model.card.parameters, model.card.trainable_parameters) == COUNTS[name][:2]
    assert model.input_shape == (None, INPUTS[name], INPUTS[name], 1 if name == "BLeNet" else 3)
    classes = 10 if name in CIFAR else 200 if name.startswith("TinyImageNet") else 1000
    assert [tuple(x.shape) for x in model.outputs] == [(None, classes)] * EXITS.get(name, 1)
    assert model.name == name.lower()


def test_no_golden_file_is_left_over():
    assert sorted(path.stem for path in (GOLDEN / "names").glob("*.txt")) == kv.list_models(), HOW


def conforms(value, annotation) -> bool:
    """Whether a value has the annotated type, inside tuples and unions too."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is types.UnionType:
        return any(conforms(value, a) for a in arguments)
    if origin is tuple:
        inner = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        return isinstance(value, tuple) and all(conforms(v, a) for v, a in zip(value, inner, strict=True))
    if origin is dict:
        return isinstance(value, dict) and all(conforms(key, arguments[0]) for key in value)
    if dataclasses.is_dataclass(annotation):
        hints = typing.get_type_hints(annotation)
        return isinstance(value, annotation) and all(conforms(getattr(value, k), t) for k, t in hints.items())
    return type(value) is annotation


def test_card_has_the_declared_types_and_survives_json(built):
    name, card = built[0], built[1].card
    assert conforms(card, ModelCard)
    assert ModelCard.from_dict(json.loads(json.dumps(card.to_dict()))) == card
    assert card.name == name
    assert card.output == {"segmentation": "logit"}.get(card.task, "probability")
    assert card.loaded is None
    assert all((card.paper.title, card.table, card.licence))
    assert (card.multiply_adds is None) == (None in card.input_shape)
    assert card.paper.arxiv or card.paper.year < 2013 or card.family == "tiny_imagenet"  # a course report
    assert all(file.hash.partition(":")[0] in hashlib.algorithms_guaranteed and file.licence for file in card.weights)


def test_catalogue_holds_what_the_built_model_says(built):
    name, model = built
    assert catalogue()[name] == catalogue_entry(model.card), "run: python tests/golden/make_names.py"
