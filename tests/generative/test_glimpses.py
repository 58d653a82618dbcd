"""The glimpse classifier, RAM and their data, against loops in NumPy."""

import keras
import numpy as np
import pytest
from draw_oracle import naive_bank, naive_read, naive_window
from naive_draw import dense, lstm

from keras_vision.data import cluttered_digits, two_digits
from keras_vision.errors import KerasVisionError
from keras_vision.generative import RAM, ConvolutionalBaseline, GlimpseClassifier, RAMLoss
from keras_vision.generative.ram import box_bank, squares

RNG = np.random.default_rng(0)
INK = RNG.integers(1, 256, (5, 8, 8)).astype(np.uint8)


def test_a_classifier_sees_what_the_equations_say():
    model = GlimpseClassifier(image_shape=(13, 11, 1), steps=3, units=6, patch=4, classes=5)
    for weight in model.trainable_weights:
        weight.assign(RNG.normal(0, 0.4, weight.shape))
    images = RNG.uniform(0, 1, (2, 13, 11, 1)).astype("float32")
    cell, found, windows = model.get_layer("glimpses").cell, model(images), model.windows(images)
    for number, image in enumerate(images.astype("float64")):
        h = c = np.zeros(6)
        for step in range(3):
            placed = 0.2 * dense(cell.read.placed, h) + [0, 0, 2 * np.log(2), 0, 0]  # 2: half of 12 / 3 pixels
            y, x, stride, variance, intensity = naive_window(placed, (13, 11), 4)
            np.testing.assert_allclose(windows[number, step], [y, x, stride, np.sqrt(variance)], rtol=1e-4)
            banks = naive_bank(y, stride, variance, 4, 13), naive_bank(x, stride, variance, 4, 11)
            h, c = lstm(cell.lstm, naive_read(image, *banks, intensity).ravel(), h, c)
        logits = dense(model.get_layer("predictions"), h)
        np.testing.assert_allclose(found[number], np.exp(logits) / np.exp(logits).sum(), atol=1e-5)


def test_the_papers_network_has_its_size_and_its_file(tmp_path):
    """An LSTM of 256 over 144 filters, a window of five numbers, ten classes."""
    model = GlimpseClassifier(steps=2)
    count = 4 * 256 * (144 + 256 + 1) + 5 * 257 + 10 * 257
    assert model.count_params() == count == model.card.parameters
    images = RNG.uniform(0, 1, (1, 100, 100, 1)).astype("float32")
    model.save(tmp_path / "glimpses.keras")
    again = keras.models.load_model(tmp_path / "glimpses.keras")
    np.testing.assert_array_equal(again(images), model(images))
    np.testing.assert_array_equal(again.windows(images), model.windows(images))


@pytest.mark.parametrize(("settings", "says"), [
    (dict(row="mnist"), "row='mnist'; accepted: cluttered_mnist"),
    (dict(steps=0), "steps=0"),
    (dict(patch=1), "has no stride"),
    (dict(patch=101), "give at most 100"),
])  # fmt: skip
def test_classifiers_that_make_no_sense(settings, says):
    with pytest.raises(KerasVisionError, match=says):
        GlimpseClassifier(**settings)


def test_windows_of_images_outside_the_range_are_refused():
    with pytest.raises(KerasVisionError, match="from 0 to 255; give intensities from 0 to 1"):
        GlimpseClassifier(image_shape=(9, 9, 1), steps=1, units=2, patch=2).windows([[[0.0] * 9] * 8 + [[255.0] * 9]])


# ------------------------------------------------------------------------------------------------------- RAM


def test_boxes_are_means_of_the_pixels_they_cover():
    bank = np.asarray(box_bank(np.float32([5.0, 0.0]), 8, 4, 10))
    expected = np.zeros((2, 4, 10))
    for cell in range(4):
        for pixel in (1 + 2 * cell, 2 + 2 * cell):
            expected[0, cell, pixel] = 0.5
        for pixel in (-4 + 2 * cell, -3 + 2 * cell):
            if pixel >= 0:
                expected[1, cell, pixel] = 0.5
    np.testing.assert_allclose(bank, expected, atol=1e-6)


def test_squares_are_the_image_at_several_scales():
    image = RNG.uniform(0, 1, (1, 16, 16, 1)).astype("float32")
    seen = np.asarray(squares(image, np.zeros((1, 2), "float32"), 4, 2)).reshape(4, 4, 2)
    np.testing.assert_allclose(seen[..., 0], image[0, 6:10, 6:10, 0], atol=1e-6)
    middle = image[0, 4:12, 4:12, 0].reshape(4, 2, 4, 2).mean((1, 3))
    np.testing.assert_allclose(seen[..., 1], middle, atol=1e-6)


def test_the_loss_is_reinforce_with_a_baseline():
    outputs, labels = RNG.normal(0, 1, (6, 3 + 4)).astype("float32"), np.array([0, 1, 2, 0, 1, 2])
    expected = []
    for row, label in zip(outputs.astype("float64"), labels, strict=True):
        logits, densities, rewards = row[:3], row[3:5], row[5:]
        reward = float(logits.argmax() == label)
        crossentropy = -logits[label] + np.log(np.exp(logits).sum())
        expected.append(crossentropy - ((reward - rewards) * densities).sum() + ((reward - rewards) ** 2).sum())
    assert float(RAMLoss(3)(labels, outputs)) == pytest.approx(np.mean(expected), rel=1e-5)


def test_ram_learns_places_and_classes_and_is_steady_in_inference(tmp_path):
    model = RAM(image_shape=(16, 16, 1), steps=3, units=8, patch=4, scales=2, classes=4, seed=0)
    images = RNG.uniform(0, 1, (5, 16, 16, 1)).astype("float32")
    assert model(images).shape == (5, 4 + 2 * 2)
    np.testing.assert_array_equal(model(images), model(images))
    assert np.abs(np.asarray(model(images, training=True)) - np.asarray(model(images, training=True))).max() > 0
    before = [np.array(weight) for weight in model.trainable_weights]
    model.compile("adam", RAMLoss(4))
    model.train_on_batch(images, np.array([0, 1, 2, 3, 0]))
    moved = {w.path: np.abs(np.array(w) - b).max() > 0 for w, b in zip(model.trainable_weights, before, strict=True)}
    assert all(moved.values()), moved
    model.save(tmp_path / "ram.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "ram.keras")(images), model(images))
    with pytest.raises(KerasVisionError, match="steps=0"):
        RAM(steps=0)


def test_the_convolutional_network_takes_cluttered_images():
    assert ConvolutionalBaseline().output_shape == (None, 10)


# ------------------------------------------------------------------------------------------------------ data


def test_two_digits_are_added_up_to_255():
    scenes = two_digits(INK, 40, np.random.default_rng(1), size=12)
    assert scenes.shape == (40, 12, 12)
    assert scenes.dtype == np.uint8
    totals = INK.reshape(5, -1).astype(int).sum(1)
    sums = {int(a + b) for a in totals for b in totals}
    assert all(scene.sum() <= max(sums) for scene in scenes)
    apart = two_digits(INK[:1], 200, np.random.default_rng(2), size=60)
    assert np.mean(apart.reshape(200, -1).sum(1) == 2 * totals[0]) > 0.8  # most do not overlap
    np.testing.assert_array_equal(scenes, two_digits(INK, 40, np.random.default_rng(1), size=12))


def test_a_cluttered_image_has_its_digit_and_its_pieces():
    chosen = np.array([3, 0, 4])
    scenes = cluttered_digits(INK, chosen, np.random.default_rng(0), size=60, pieces=4, side=3)
    assert scenes.shape == (3, 60, 60)
    for scene, number in zip(scenes, chosen, strict=True):
        assert np.count_nonzero(scene) <= 64 + 4 * 9
        whole = [
            (scene[y : y + 8, x : x + 8] >= INK[number]).all() for y in range(53) for x in range(53)
        ]  # clutter over the digit only adds
        assert any(whole)
    np.testing.assert_array_equal(
        scenes, cluttered_digits(INK, chosen, np.random.default_rng(0), size=60, pieces=4, side=3)
    )
    corners = cluttered_digits(np.ones((1, 2, 2), np.uint8), [0] * 400, np.random.default_rng(0), 4, 1, 1)
    assert (corners.any(0)).all()  # every place is reached


@pytest.mark.parametrize("wrong", [dict(pieces=0), dict(side=9), dict(side=0), dict(size=7)])
def test_clutter_that_does_not_fit_is_refused(wrong):
    with pytest.raises(KerasVisionError):
        cluttered_digits(INK, [0], np.random.default_rng(0), **wrong)


def test_no_digits_are_refused():
    with pytest.raises(KerasVisionError, match="0 digits"):
        two_digits(INK[:0], 1, np.random.default_rng(0))
