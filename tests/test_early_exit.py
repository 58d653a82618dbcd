"""Early exits: stages against the whole network, thresholds against loops, exported folders, bad input."""

import itertools
import json
import re

import keras
import numpy as np
import pytest
from exits_by_hand import by_hand
from keras import layers

import keras_vision as kv
from keras_vision.early_exit import EarlyExit, checked_thresholds, entropy, stages
from keras_vision.errors import ExportError, KerasVisionError
from keras_vision.evaluation import exit_curve, search_exits
from keras_vision.export import to_staged_litert
from keras_vision.runtime import StagedPredictor

rng = np.random.default_rng(0)
X = rng.normal(0, 1, (24, 32, 32, 3)).astype("float32")
ORDER = [1, 2, 0]  # of B-AlexNet's outputs, from the first exit to the last


@pytest.fixture(scope="module")
def network(randomize):
    return randomize(kv.create_model("BAlexNet", weights=None))


@pytest.fixture(scope="module")
def exits(network):
    """Probabilities of each exit for all images, by the whole network."""
    outputs = network(X)
    return [np.asarray(outputs[position]) for position in ORDER]


@pytest.fixture(scope="module")
def thresholds(exits):
    return [float(np.quantile(entropy(exits[0]), 0.4)), float(np.quantile(entropy(exits[1]), 0.5))]


def test_batches_change_nothing_and_no_image_is_no_error(network, thresholds):
    runner = EarlyExit(network, thresholds)
    whole, parts, none = runner.predict(X), runner.predict(X, batch_size=7), runner.predict(X[:0])
    np.testing.assert_array_equal(parts.exits, whole.exits)
    np.testing.assert_allclose(parts.probabilities, whole.probabilities, atol=1e-5)
    assert (none.probabilities.shape, none.exits.shape) == ((0, 10), (0,))


def test_a_later_stage_is_not_run_if_all_have_left(network, monkeypatch):
    runner = EarlyExit(network, [np.log(10), 0.0])
    monkeypatch.setattr(runner, "_runs", [runner._runs[0], None, None])
    assert set(runner.predict(X).exits) == {0}


def test_stages_are_the_network_cut_and_cost_what_it_costs(network, exits):
    cut = stages(network)
    assert [stage.exit for stage in cut] == ["branch1_predictions", "branch2_predictions", "predictions"]
    assert sum(stage.multiply_adds for stage in cut) == network.card.multiply_adds
    assert len(network.get_layer("conv1")._inbound_nodes) == 1  # the network itself is left as it was
    for own, expected in zip(EarlyExit(network, [0, 0]).probabilities(X, 10), exits, strict=True):
        np.testing.assert_allclose(own, expected, atol=1e-5)


def test_logits_are_made_probabilities(randomize, thresholds, exits):
    logits = randomize(kv.create_model("BAlexNet", weights=None, classifier_activation=None))
    np.testing.assert_array_equal(EarlyExit(logits, thresholds).predict(X).exits, by_hand(exits, thresholds)[1])


def test_some_of_the_exits_are_enough(network, exits):
    names = ["predictions", "branch2_predictions"]
    found = EarlyExit(network, [2.0], exits=names).probabilities(X)
    np.testing.assert_allclose(found, exits[1:], atol=1e-5)


def test_a_tensor_is_carried_past_a_stage_that_does_not_need_it(randomize):
    image = keras.Input((4,))
    early = layers.Dense(5, activation="relu", name="early")(image)
    middle = layers.Dense(6, activation="relu")(image)
    late = layers.Concatenate()([early, layers.Dense(3)(middle), image])
    exits = [layers.Dense(3, activation="softmax", name=f"exit{i}")(x) for i, x in enumerate((early, middle, late))]
    model = randomize(keras.Model(image, exits))
    x = rng.normal(0, 1, (9, 4)).astype("float32")
    found = EarlyExit(model, [0, 0]).probabilities(x)
    np.testing.assert_allclose(found, model(x), atol=1e-6)


def test_nested_models_are_cut_between(randomize):
    model = randomize(kv.create_model("BResNet110", weights=None, n=1))
    assert [len(stage.model.inputs) for stage in stages(model)] == [1, 1, 1]


# ---------------------------------------------------------------------------------------------- thresholds

LABELS = rng.integers(0, 3, 40)


def some_probabilities(sharpness):
    logits = rng.normal(0, sharpness, (40, 3)) + sharpness * np.eye(3)[LABELS]
    p = np.exp(logits)
    return p / p.sum(1, keepdims=True)


@pytest.mark.parametrize("count", [2, 3])
def test_the_curve_holds_the_best_of_all_thresholds(count):
    given, costs = [some_probabilities(s) for s in (0.5, 1, 2)][-count:], [1.0, 2.0, 5.0][:count]
    between = []
    for p in given[:-1]:
        values = np.sort(entropy(p))
        between.append([0.0, *(values[:-1] + values[1:]) / 2, np.log(3)])
    tried = []
    for chosen in itertools.product(*between):
        rows, left = by_hand(given, chosen)
        tried.append((float(np.cumsum(costs)[left].mean()), float((rows.argmax(1) == LABELS).mean())))
    best = []
    for cost, accuracy in sorted(tried, key=lambda pair: (pair[0], -pair[1])):
        if not best or accuracy > best[-1][1]:
            best.append((cost, accuracy))
    curve = exit_curve(given, LABELS, costs)
    np.testing.assert_allclose([(plan.cost, plan.accuracy) for plan in curve], best, atol=1e-9)
    for plan in curve:
        rows, left = by_hand(given, plan.thresholds)
        assert plan.accuracy == pytest.approx((rows.argmax(1) == LABELS).mean())
        assert plan.shares == pytest.approx([np.mean(left == number) for number in range(count)])


def test_the_search_takes_the_cheapest_that_is_good_enough():
    given, costs = [some_probabilities(s) for s in (0.5, 2)], [1.0, 9.0]
    curve = exit_curve(given, LABELS, costs)
    middle = curve[len(curve) // 2]
    assert search_exits(given, LABELS, costs, middle.accuracy) == middle
    assert search_exits(given, LABELS, costs, 0.0) == curve[0]


P = [np.full((4, 2), 0.5)] * 2


@pytest.mark.parametrize(("arguments", "message"), [
    ((P[:1], np.zeros(4), [1.0]), "two or more exits"),
    ((P, np.zeros(3), [1.0, 1.0]), "labels \\(3,\\)"),
    (([P[0], P[0][:2]], np.zeros(4), [1.0, 1.0]), "two or more exits"),
    (([P[0][:0]] * 2, np.zeros(0), [1.0, 1.0]), "two or more exits"),
    ((P, np.zeros(4), [1.0]), "of 2 stages"),
    ((P, np.zeros(4), [1.0, np.nan]), "give a finite one"),
    (([P[0] * np.nan] * 2, np.zeros(4), [1.0, 1.0]), "not finite"),
])  # fmt: skip
def test_a_search_over_what_does_not_fit_is_an_error(arguments, message):
    with pytest.raises(KerasVisionError, match=message):
        exit_curve(*arguments)


def test_an_accuracy_out_of_reach_is_an_error():
    with pytest.raises(KerasVisionError, match=r"accuracy=1\.5"):
        search_exits(P, np.zeros(4), [1.0, 1.0], 1.5)
    with pytest.raises(KerasVisionError, match=r"no thresholds reach more than 0\.0000"):
        search_exits(P, np.ones(4), [1.0, 1.0], 0.5)


# ------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("given", [[0.1], [0.1, 0.2, 0.3], [-0.1, 0.2], [0.1, 2.31], [0.1, np.nan], [np.inf, 0.1]])
def test_thresholds_out_of_range_are_errors(network, given):
    with pytest.raises(KerasVisionError, match=r"give one for each but the last|give entropies in nats"):
        EarlyExit(network, given)


NO_LIST = [["a"], [[0.1]], "0.1", None, {"a": 0.1}, [[0.1], [0.1, 0.2]], [None, 0.1], [True, False], [0.1j, 0.2]]


@pytest.mark.parametrize("given", NO_LIST, ids=repr)
def test_thresholds_that_are_no_list_of_numbers_are_errors(given):
    message = f"thresholds={given!r}; give a flat list of numbers, one for each of the 3 exits but the last."
    with pytest.raises(KerasVisionError, match=re.escape(message)):
        checked_thresholds(given, 3, 10)


@pytest.mark.parametrize("given", NO_LIST[:2], ids=repr)
def test_whoever_takes_thresholds_refuses_what_is_no_list_of_numbers(network, folder, tmp_path, given):
    for take in (
        lambda: EarlyExit(network, given),
        lambda: to_staged_litert(network, tmp_path / "new", given),
        lambda: StagedPredictor(folder, given),
    ):
        with pytest.raises(KerasVisionError, match="give a flat list of numbers"):
            take()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("names", "message"), [
    (["branch1_prediction", "predictions"], r"no layer 'branch1_prediction' to leave by. Did you mean branch1_pred"),
    (["zzz", "predictions"], "Outputs: predictions"),
    (["predictions"], "two or more layers"),
    (["conv1", "predictions"], "give scores of the same classes"),
    (["fc2", "predictions"], "give scores of the same classes"),
])  # fmt: skip
def test_an_exit_that_does_not_exist_is_an_error(network, names, message):
    with pytest.raises(KerasVisionError, match=message):
        stages(network, names)


def test_scores_that_are_not_finite_are_an_error(network):
    broken = kv.create_model("BAlexNet", weights=None)
    broken.get_layer("branch1_predictions").bias.assign(np.full(10, np.nan))
    with pytest.raises(KerasVisionError, match="exit 0 gives values that are not finite"):
        EarlyExit(broken, [0.1, 0.1]).predict(X)
    with pytest.raises(KerasVisionError, match="batch_size=0"):
        EarlyExit(network, [0.1, 0.1]).predict(X, batch_size=0)


# ---------------------------------------------------------------------------------------------------- export


@pytest.fixture(scope="module")
def folder(network, thresholds, tmp_path_factory):
    path = tmp_path_factory.mktemp("staged") / "balexnet"
    parity = to_staged_litert(network, path, thresholds)
    assert parity.max_difference <= parity.bound
    return path


def test_a_folders_thresholds_can_be_replaced(folder):
    assert set(StagedPredictor(folder, [0.0, 0.0]).run(X[:2]).exits) == {2}


def test_photographs_are_prepared_as_the_folder_says(network, thresholds, folder):
    pixels = rng.integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    expected = EarlyExit(network, thresholds).predict(network.preprocessing.normalize(pixels))
    found = StagedPredictor(folder).predict(list(pixels))
    np.testing.assert_array_equal(found.exits, expected.exits)
    assert StagedPredictor(folder).predict([]).probabilities.shape == (0, 10)


def test_a_damaged_folder_is_an_error(folder, tmp_path):
    with pytest.raises(KerasVisionError, match="no such file"):
        StagedPredictor(tmp_path)
    (tmp_path / "exits.json").write_text("{")
    with pytest.raises(KerasVisionError, match="damaged"):
        StagedPredictor(tmp_path)
    (tmp_path / "exits.json").write_text("[]")
    with pytest.raises(KerasVisionError, match="damaged"):
        StagedPredictor(tmp_path)
    index = json.loads((folder / "exits.json").read_text())
    (tmp_path / "exits.json").write_text(json.dumps(index))
    with pytest.raises(KerasVisionError, match=r"lacks stage1\.tflite, stage2"):
        StagedPredictor(tmp_path)
    for name in index["stages"]:
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(KerasVisionError, match="damaged, or not a LiteRT model"):
        StagedPredictor(tmp_path)
    (tmp_path / "exits.json").write_text(json.dumps({**index, "thresholds": None}))
    with pytest.raises(KerasVisionError, match=r"damaged|thresholds"):
        StagedPredictor(tmp_path)
    for wrong in (dict(classes="ten"), dict(classes=0), dict(stages=[1]), dict(preprocessing=[])):
        (tmp_path / "exits.json").write_text(json.dumps({**index, **wrong}))
        with pytest.raises(KerasVisionError, match=r"exits\.json is damaged"):
            StagedPredictor(tmp_path)


def test_what_cannot_be_exported_is_an_error_and_writes_nothing(network, thresholds, folder, tmp_path):
    with pytest.raises(KerasVisionError, match="exists already"):
        to_staged_litert(network, folder, thresholds)
    with pytest.raises(KerasVisionError, match="give entropies"):
        to_staged_litert(network, tmp_path / "new", [3.0, 0.1])
    with pytest.raises(ExportError, match="no model card"):
        to_staged_litert(keras.Model(network.input, network.outputs), tmp_path / "new", thresholds)
    assert not (tmp_path / "new").exists()
