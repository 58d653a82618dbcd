"""BranchyNet's networks with early exits, in Keras and exported: the rule, from the whole network's outputs."""

import numpy as np
import pytest
from exits_by_hand import by_hand

import keras_vision as kv
from keras_vision.early_exit import EarlyExit
from keras_vision.export import to_staged_litert
from keras_vision.runtime import StagedPredictor


@pytest.fixture(
    scope="module", params=[("BLeNet", {}), ("BAlexNet", {}), ("BResNet110", dict(n=1))], ids=lambda p: p[0]
)
def network(request, randomize):
    name, settings = request.param
    model = randomize(kv.create_model(name, weights=None, **settings))
    for layer in model.layers:
        if layer.name.endswith("predictions"):  # weaker, so that no exit is certain of every image
            layer.kernel.assign(layer.kernel / 4)
    return model


@pytest.fixture(scope="module")
def images(network):
    return np.random.default_rng(1).normal(0, 1, (24, *network.input_shape[1:])).astype("float32")


@pytest.fixture(scope="module")
def exits(network, images):
    """Probabilities of each exit for all images, by the whole network, whose first output is the last exit."""
    last, *sides = map(np.asarray, network(images))
    return [*sides, last]


@pytest.fixture(scope="module")
def thresholds(exits):
    """Midway between two images' entropies, so that some leave by each exit and none is near to staying."""
    middle = []
    for p, rank in zip(exits[:-1], (10, 12), strict=False):
        spread = np.sort(-(p * np.log(p)).sum(1))
        assert spread[rank] - spread[rank - 1] > 1e-4
        middle.append(float(spread[rank - 1 : rank + 1].mean()))
    return middle


def test_images_leave_where_the_rule_says_and_the_batch_shrinks(network, images, exits, thresholds, monkeypatch):
    runner = EarlyExit(network, thresholds)
    seen = []
    counted = [lambda x, run=run: seen.append(len(x[0])) or run(x) for run in runner._runs]
    monkeypatch.setattr(runner, "_runs", counted)
    found = runner.predict(images)
    rows, left = by_hand(exits, thresholds)
    assert set(left) == set(range(len(exits)))
    np.testing.assert_array_equal(found.exits, left)
    np.testing.assert_allclose(found.probabilities, rows, atol=1e-5)
    np.testing.assert_array_equal(found.classes, rows.argmax(1))
    assert seen == [(left >= number).sum() for number in range(len(exits))]


def test_exported_stages_give_the_same_and_run_only_as_far(network, images, exits, thresholds, tmp_path):
    parity = to_staged_litert(network, tmp_path / "stages", thresholds)
    assert parity.max_difference <= parity.bound
    rows, left = by_hand(exits, thresholds)
    predictor = StagedPredictor(tmp_path / "stages")
    for batch_size in (24, 5, 1):
        found = predictor.run(images, batch_size)
        np.testing.assert_array_equal(found.exits, left)
        np.testing.assert_allclose(found.probabilities, rows, atol=1e-5)
    last, calls = len(exits) - 1, []
    predictor._stages[last] = lambda carried: calls.append(carried)
    assert set(predictor.run(images[left < last]).exits) == set(range(last))
    assert calls == []
