"""BranchyNet's recipe on real digits, briefly: exits that save work, files that hold what was trained."""

import dataclasses
import itertools
import json

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from keras_vision.cli.main import app
from keras_vision.data import mnist
from keras_vision.errors import KerasVisionError
from keras_vision.runtime import StagedPredictor
from keras_vision.training.recipes import branchynet


@pytest.fixture(scope="module")
def digits(shared):
    folder = shared / "data" / "mnist"
    some = [mnist(folder, part)._take(np.arange(count)) for part, count in (("train", 2000), ("test", 500))]
    return folder, some


@pytest.fixture(scope="module")
def finished(digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("branchy") / "out"
    recipe = dataclasses.replace(branchynet.NETWORKS["b-lenet"], batch_size=32, main_epochs=2, joint_epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(branchynet, "training_and_validation", lambda data, seed: digits[1])
        seen = []
        record = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((epoch, len(logs))))
        outcome = branchynet.run(recipe, digits[0], out, callbacks=[record])
        assert seen == [(0, 1), (1, 1), (0, 3), (1, 3)]  # the loss; then it and those of two classifiers
        with pytest.raises(KerasVisionError, match="holds this run, finished"):
            branchynet.run(recipe, digits[0], out)
    return out, outcome


def test_the_papers_numbers():
    lenet, alexnet, resnet = branchynet.NETWORKS.values()
    assert (lenet.batch_size, lenet.main_epochs, lenet.joint_epochs) == (512, 50, 100)
    assert (resnet.batch_size, resnet.main_epochs, resnet.joint_epochs) == (64, 100, 100)
    assert (lenet.weights, alexnet.weights[:2]) == ((0.3, 1.0), (0.3, 1.0))  # the last classifier's, the first's


@pytest.mark.parametrize(("name", "weights"), [("BLeNet", (0.3, 1.7)), ("BAlexNet", (0.3, 1.7, 0.6))])
def test_the_joint_loss_weighs_the_classifiers_in_the_order_of_the_outputs(name, weights, digits, randomize, tmp_path):
    images = digits[1][0]._take(np.arange(16))
    recipe = branchynet.BranchyRecipe(name, weights, batch_size=16)
    model = randomize(branchynet.network(recipe, 10, branches=True))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    x, labels = branchynet.arrays(images, model)
    entropies = [-np.log(np.asarray(p, np.float64)[np.arange(16), labels]).mean() for p in model(x)]
    logs = {}
    record = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, own: logs.update(own))
    branchynet.trained(model, images, recipe, 1, tmp_path / "joint.npz", [record])  # one step
    assert [logs[f"{own}_loss"] for own in model.output_names] == pytest.approx(entropies, rel=1e-4)
    assert logs["loss"] == pytest.approx(np.dot(weights, entropies), rel=1e-4)
    others = [np.dot(order, entropies) for order in itertools.permutations(weights) if order != weights]
    assert min(abs(other / logs["loss"] - 1) for other in others) > 1e-3  # so another order would show


def test_digits_leave_early_at_little_loss(finished, digits):
    _, outcome = finished
    assert min(outcome.main_accuracy, outcome.accuracy, *outcome.exit_accuracies) > 0.7  # after four epochs of 1,800
    assert outcome.accuracy > outcome.main_accuracy - 0.03
    assert outcome.multiply_adds < 0.8 * outcome.whole
    assert sum(outcome.shares) == pytest.approx(1)
    by_hand = outcome.shares[0] * 220_150 + outcome.shares[1] * 1_247_720  # of one and of both stages
    assert outcome.multiply_adds == pytest.approx(by_hand)
    assert [plan.cost for plan in outcome.curve] == sorted(plan.cost for plan in outcome.curve)


def test_more_points_may_be_lost_for_less_work(finished, digits):
    model, images = finished[1].model, digits[1][1]
    x, labels = branchynet.arrays(images, model)
    by_exit = [np.mean(np.asarray(p).argmax(1) == labels) for p in model.predict(x, verbose=0)]
    best = int(np.argmax(by_exit))
    line = keras.Model(model.inputs, model.outputs[best])
    found = [branchynet.cheapest(line, model, images, points) for points in (0.0, 2.0, 100.0)]
    plans, curves = zip(*found, strict=True)
    for points, plan, curve in zip((0.0, 2.0), plans[:2], curves[:2], strict=True):
        aim = by_exit[best] - points / 100
        assert plan.accuracy >= aim
        assert all(other.accuracy < aim for other in curve if other.cost < plan.cost)
    assert plans[0].cost >= plans[1].cost >= plans[2].cost
    assert plans[2] == curves[2][0]


def test_the_files_hold_what_was_trained(finished, digits):
    out, outcome = finished
    assert sorted(path.name for path in out.iterdir()) == [
        "curve.png",
        "metrics.json",
        "model.keras",
        "run.json",
        "stages",
    ]
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["plan"]["thresholds"] == list(outcome.plan.thresholds)
    images = digits[1][1]
    found = StagedPredictor(out / "stages").predict(images.sources)
    assert np.mean(found.classes == images.labels) == pytest.approx(outcome.accuracy, abs=2e-3)
    assert keras.saving.load_model(out / "model.keras").labels == tuple("0123456789")


def test_the_curve_shows_every_plan(finished):
    out, outcome = finished
    axes = branchynet.curve_figure(outcome.curve, outcome.plan, outcome.whole).axes[0]
    curve, chosen, whole = axes.lines
    np.testing.assert_allclose(curve.get_xdata(), [plan.cost / 1e6 for plan in outcome.curve])
    np.testing.assert_allclose(curve.get_ydata(), [100 * plan.accuracy for plan in outcome.curve])
    assert (chosen.get_xdata()[0], whole.get_xdata()[0]) == (outcome.plan.cost / 1e6, outcome.whole / 1e6)
    assert Image.open(out / "curve.png").width == 600


def test_what_does_not_fit_is_an_error_before_anything_is_written(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(branchynet, "training_and_validation", lambda data, seed: digits[1])
    recipe = branchynet.NETWORKS["b-lenet"]
    with pytest.raises(KerasVisionError, match="of 2 classifiers"):
        branchynet.run(dataclasses.replace(recipe, weights=(1.0,)), digits[0], tmp_path / "out")
    with pytest.raises(KerasVisionError, match="do not fill a batch of 4096"):
        branchynet.run(dataclasses.replace(recipe, batch_size=4096), digits[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = CliRunner().invoke(app, ["recipes", "branchynet", "b-vgg", str(digits[0]), str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "b-lenet, b-alexnet, b-resnet-110" in str(done.exception) + done.output
