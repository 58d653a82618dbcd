"""Magnitude pruning, masks that hold through training, and sensitivity."""

import keras
import numpy as np
import pytest
from small_classifier import blobs, classifier

from keras_vision import KerasVisionError, compression
from keras_vision.compression.gradual import GradualPruning, KeepPruned


def values(model):
    return {path: np.asarray(v) for path, v in compression.kernels(model).items()}


def naive_lamp(values, sparsity):
    """Lee et al. (2021), Equation 4, weight by weight."""
    scores = []
    for path, value in values.items():
        squares = [float(x) ** 2 for x in value.ravel()]
        scores += [(s / sum(t for t in squares if t >= s), path, i) for i, s in enumerate(squares)]
    gone = {(path, i) for _, path, i in sorted(scores)[: round(sparsity * len(scores))]}
    return {
        path: np.array([(path, i) not in gone for i in range(value.size)]).reshape(value.shape)
        for path, value in values.items()
    }


def test_kernels_are_what_is_compressed():
    model = classifier()
    assert list(compression.kernels(model)) == ["first/kernel", "second/kernel", "scores/kernel"]


def test_lamp_is_the_naive_loop():
    model = classifier()
    own, expected = compression.magnitude_masks(model, 0.6), naive_lamp(values(model), 0.6)
    assert all(np.array_equal(own[path], expected[path]) for path in expected)


@pytest.mark.parametrize("scope", ["lamp", "global", "layer"])
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9])
def test_the_smallest_weights_of_a_kernel_go_first(scope, sparsity):
    model = classifier()
    before = values(model)
    masks = compression.prune(model, sparsity, scope)
    for path, value in values(model).items():
        assert np.array_equal(value, np.where(masks[path], before[path], 0))
        if (~masks[path]).any():
            assert np.abs(before[path][~masks[path]]).max() <= np.abs(before[path][masks[path]]).min()
        if scope == "layer":
            assert (~masks[path]).sum() == round(sparsity * value.size)
    assert compression.sparsity_of(model) == pytest.approx(sparsity, abs=0.01)


def test_a_share_for_each_layer():
    model = classifier()
    masks = compression.prune(model, {"first": 0.5, "scores/kernel": 0.25})
    assert set(masks) == {"first/kernel", "scores/kernel"}
    assert [round(1 - mask.mean(), 2) for mask in masks.values()] == [0.5, 0.25]


def test_zeros_stay_through_training_and_after_an_earlier_fit():
    model = classifier()
    model.fit(*blobs(), epochs=1, verbose=0)  # a step is compiled already
    masks = compression.prune(model, 0.7)
    before = values(model)
    model.fit(*blobs(), epochs=2, verbose=0, callbacks=[KeepPruned(masks)])
    after = values(model)
    assert all((after[path][~mask] == 0).all() for path, mask in masks.items())
    assert any((after[path] != before[path]).any() for path in masks)
    model.fit(*blobs(), epochs=1, verbose=0)
    assert compression.sparsity_of(model) < 0.1  # the masks are gone with the callback


def test_a_kernels_own_constraint_holds_too():
    model = classifier()
    kernel = compression.kernels(model)["second/kernel"]
    kernel.constraint = keras.constraints.MaxNorm(0.1, axis=[0, 1, 2])
    own = kernel.constraint
    model.fit(*blobs(), epochs=2, verbose=0, callbacks=[KeepPruned(compression.prune(model, 0.5))])
    assert np.sqrt(np.square(np.asarray(kernel)).sum((0, 1, 2))).max() <= 0.1 + 1e-5
    assert kernel.constraint is own


def test_the_cubic_schedule():
    pruning = GradualPruning(0.8, 100, begin=20, initial=0.2)
    expected = [0.2, 0.2, 0.8 + (0.2 - 0.8) * 0.5**3, 0.8, 0.8]
    assert [pruning.sparsity_at(step) for step in (0, 20, 60, 100, 500)] == pytest.approx(expected)


@pytest.mark.parametrize("at_once", [1, 3])
def test_the_share_of_zeros_grows_to_the_end(at_once):
    model = classifier(steps_per_execution=at_once)
    seen = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(compression.sparsity_of(model)))
    pruning = GradualPruning(0.8, 20, every=4)
    model.fit(*blobs(), epochs=5, batch_size=32, verbose=0, callbacks=[pruning, watch])  # 8 steps an epoch
    assert seen == sorted(seen)
    assert 0.3 < seen[0] < 0.8
    assert seen[-2:] == pytest.approx([0.8, 0.8], abs=0.01)
    assert model.evaluate(*blobs(), verbose=0, return_dict=True)["accuracy"] > 0.6


def test_sensitivity_leaves_the_model_as_it_was():
    model = classifier()
    model.fit(*blobs(), epochs=8, verbose=0)
    before = values(model)

    def accuracy(model):
        return model.evaluate(*blobs(), verbose=0, return_dict=True)["accuracy"]

    found = compression.sensitivity(model, accuracy, shares=(0.2, 0.99))
    assert all(np.array_equal(before[path], after) for path, after in values(model).items())
    assert set(found) == set(before)
    assert min(scores[0.99] for scores in found.values()) < min(scores[0.2] for scores in found.values())
    shares = compression.tolerated(found, accuracy(model) - 0.1)
    assert set(shares.values()) <= {0.0, 0.2, 0.99}
    with pytest.raises(RuntimeError):
        compression.sensitivity(model, _fail)
    assert all(np.array_equal(before[path], after) for path, after in values(model).items())


def _fail(model):
    raise RuntimeError


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda m: compression.prune(m, 1.0), "from 0 to less than 1"),
        (lambda m: compression.prune(m, True), "from 0 to less than 1"),
        (lambda m: compression.prune(m, 0.5, "best"), "lamp, global, layer"),
        (lambda m: compression.prune(m, 0.5, layers=["conv9"]), "'conv9' names no kernel"),
        (lambda m: compression.apply_masks(m, {"first/kernel": np.ones(3)}), "which has shape"),
        (lambda m: compression.apply_masks(m, {"other/kernel": np.ones(3)}), "is no kernel of"),
        (lambda m: GradualPruning(0.5, 0), "0 <= begin < end"),
        (lambda m: compression.prune(3, 0.5), "give a built keras.Model"),
    ],
)
def test_bad_input_is_one_clear_error(wrong, message):
    with pytest.raises(KerasVisionError, match=message):
        wrong(classifier())


def test_nan_weights_are_refused():
    model = classifier()
    kernel = model.get_layer("second").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(KerasVisionError, match="second/kernel holds NaN"):
        compression.prune(model, 0.5)
