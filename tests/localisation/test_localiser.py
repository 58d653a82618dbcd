"""Regressors made from classifiers, their loss, and the protocols; against crops run one by one."""

import dataclasses

import keras
import numpy as np
import pytest
from PIL import Image
from small_networks import unpadded_pooled, unpadded_vgg

import keras_vision as kv
from keras_vision.localisation import (
    EuclideanLoss,
    Localiser,
    SlidingNetwork,
    box_regressor,
    centre_crop_box,
    dense_boxes,
    localise,
    merge_boxes,
)


def weights_of(model):
    return {w.path: np.asarray(w) for layer in model.layers for w in layer.weights}


@pytest.fixture
def classifier(randomize):
    return randomize(unpadded_vgg())


@pytest.fixture
def regressors(classifier, randomize):
    """A single-class and a per-class one, with boxes of a fair size inside the window."""
    made = [box_regressor(classifier, per_class) for per_class in (False, True)]
    for seed, model in enumerate(made):
        boxes = randomize(model, seed).get_layer("boxes")
        boxes.set_weights([boxes.kernel * 0.05, np.resize([0.5, 0.4, 0.6, 0.7], boxes.units)])
    return made


@pytest.fixture
def photograph():
    smooth = np.random.default_rng(3).integers(0, 256, (9, 13, 3), np.uint8)
    return Image.fromarray(smooth).resize((95, 61), Image.Resampling.BICUBIC)


# --------------------------------------------------------------------------------------------- regressors


@pytest.mark.parametrize(("per_class", "outputs"), [(False, 4), (True, 40)])
def test_a_vgg_keeps_all_its_weights_but_the_last_layers(per_class, outputs, randomize):
    vgg = randomize(kv.create_model("VGG11", weights=None, classes=10, input_shape=(32, 32, 3)))
    regressor = box_regressor(vgg, per_class)
    before, after = weights_of(vgg), weights_of(regressor)
    assert set(before) - set(after) == {"fc8/kernel", "fc8/bias"}
    assert set(after) - set(before) == {"boxes/kernel", "boxes/bias"}
    assert all(np.array_equal(before[name], after[name]) for name in before.keys() & after.keys())
    assert regressor.output_shape == (None, outputs)
    card = regressor.card
    assert card.parameters == card.trainable_parameters == regressor.count_params()
    assert card.multiply_adds == vgg.card.multiply_adds + 4096 * (outputs - 10)
    assert (card.name, card.output, card.input_shape) == ("VGG11", "features", (32, 32, 3))
    assert "in place of the classes" in card.deviations[-1]


def test_the_classifier_is_left_alone_and_the_new_layer_repeatable(classifier):
    before = weights_of(classifier)
    kernels = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        regressor = box_regressor(classifier)
        kernels.append(np.asarray(regressor.get_layer("boxes").kernel))
        regressor.compile("sgd", EuclideanLoss())
        regressor.train_on_batch(np.ones((2, 26, 26, 3)), np.ones((2, 4)))
    assert np.array_equal(*kernels)
    assert np.ptp(kernels[0]) > 0
    assert all(np.array_equal(value, before[name]) for name, value in weights_of(classifier).items())
    assert classifier.get_layer("fc8").trainable


@pytest.mark.parametrize("fine_tune", ["dense", "all"])
def test_what_one_step_changes(fine_tune, classifier):
    regressor = box_regressor(classifier, per_class=True, fine_tune=fine_tune)
    assert regressor.card.trainable_parameters == sum(np.prod(w.shape) for w in regressor.trainable_weights)
    before = weights_of(regressor)
    regressor.compile(keras.optimizers.SGD(0.1), EuclideanLoss(classes=7))
    rng = np.random.default_rng(0)
    targets = np.column_stack([rng.integers(0, 7, 8), rng.uniform(0, 1, (8, 4))])
    regressor.train_on_batch(rng.normal(0, 1, (8, 26, 26, 3)), targets)
    changed = {path.split("/")[0] for path, value in weights_of(regressor).items() if (value != before[path]).any()}
    assert changed == {"fc6", "fc7", "boxes"} | ({"conv1", "conv2"} if fine_tune == "all" else set())


@pytest.mark.parametrize(("name", "size"), [("SqueezeNet", 99), ("VGG11BN", 32)])
def test_other_classifiers(name, size, randomize, tmp_path):
    settings = dict(weights=None, classes=6, input_shape=(size, size, 3))
    regressor = randomize(box_regressor(kv.create_model(name, **settings), per_class=True, fine_tune="dense"))
    x = np.random.default_rng(0).normal(0, 1, (2, size, size, 3)).astype("float32")
    expected = np.asarray(regressor(x))
    assert expected.shape == (2, 24)
    regressor.save(tmp_path / "regressor.keras")
    again = keras.models.load_model(tmp_path / "regressor.keras")
    np.testing.assert_array_equal(again(x), expected)
    assert again.card == regressor.card
    trainable = {path.split("/")[0] for path in (w.path for w in again.trainable_weights)}
    assert trainable == ({"fc6", "fc7", "boxes"} if name == "VGG11BN" else {"boxes"})


# --------------------------------------------------------------------------------------------------- loss


def test_the_loss_is_half_the_squared_distance():
    rng = np.random.default_rng(0)
    true, predicted = rng.normal(0, 1, (2, 6, 4)).astype("float32")
    expected = ((predicted - true) ** 2).sum(1).mean() / 2
    assert float(EuclideanLoss()(true, predicted)) == pytest.approx(expected, rel=1e-6)
    classes, outputs = rng.integers(0, 3, 6), rng.normal(0, 1, (6, 12)).astype("float32")
    chosen = np.stack([row[4 * c : 4 * c + 4] for row, c in zip(outputs, classes, strict=True)])
    expected = ((chosen - true) ** 2).sum(1).mean() / 2
    assert float(EuclideanLoss(3)(np.column_stack([classes, true]), outputs)) == pytest.approx(expected, rel=1e-6)


def test_only_the_classs_outputs_have_a_gradient():
    import tensorflow as tf

    rng = np.random.default_rng(1)
    outputs, true, classes = tf.Variable(rng.normal(0, 1, (5, 12))), rng.normal(0, 1, (5, 4)), np.array([2, 0, 1, 2, 1])
    with tf.GradientTape() as tape:
        loss = EuclideanLoss(3)(np.column_stack([classes, true]), tf.cast(outputs, "float32"))
    gradient = tape.gradient(loss, outputs).numpy().reshape(5, 3, 4)
    expected = np.zeros((5, 3, 4))
    rows = np.arange(5)
    expected[rows, classes] = (outputs.numpy().reshape(5, 3, 4)[rows, classes] - true) / 5
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    assert (gradient[expected == 0] == 0).all()


def test_the_loss_of_a_class_out_of_range_is_nan_and_other_shapes_are_refused():
    for index in (-1, 3):
        assert np.isnan(EuclideanLoss(3)(np.array([[index, 0, 0, 0, 0]]), np.zeros((1, 12))))
    for loss, true, predicted in ((EuclideanLoss(), 5, 4), (EuclideanLoss(3), 5, 4), (EuclideanLoss(3), 4, 12)):
        with pytest.raises(kv.KerasVisionError, match="needs"):
            loss(np.zeros((2, true)), np.zeros((2, predicted)))
    with pytest.raises(kv.KerasVisionError, match="classes=0"):
        EuclideanLoss(0)


def test_the_loss_is_serialised():
    loss = keras.losses.deserialize(keras.losses.serialize(EuclideanLoss(classes=3)))
    assert (type(loss), loss.classes, loss.name) == (EuclideanLoss, 3, "euclidean_loss")


# ---------------------------------------------------------------------------------------------- protocols


def naive_dense(regressor, image, scale, stride=4):
    """The regressor on every crop of the resized image by itself: boxes (windows, k, 4) in pixels of the image."""
    size, spec = regressor.input_shape[1], regressor.preprocessing
    ratio = scale / min(image.size)
    width, height = (round(side * ratio) for side in image.size)
    pixels = spec.normalize(np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)))
    found = []
    for top in range(0, height - size + 1, stride):
        for left in range(0, width - size + 1, stride):
            crop = pixels[top : top + size, left : left + size]
            for x, y, w, h in np.asarray(regressor(crop[None])).reshape(-1, 4):
                w, h = max(w, 0), max(h, 0)
                corners = left + size * (x - w / 2), top + size * (y - h / 2)
                corners += left + size * (x + w / 2), top + size * (y + h / 2)
                scales = (image.width / width, image.height / height) * 2
                limits = (image.width, image.height) * 2
                found.append([min(max(c * s, 0), m) for c, s, m in zip(corners, scales, limits, strict=True)])
    return np.reshape(found, (-1, regressor.output_shape[-1] // 4, 4))


@pytest.mark.parametrize("which", [0, 1])
def test_dense_boxes_equal_those_of_crops_run_one_by_one(which, regressors, classifier, photograph):
    boxes, posteriors = dense_boxes(regressors[which], classifier, photograph, (38, 53))
    expected = np.concatenate([naive_dense(regressors[which], photograph, scale) for scale in (38, 53)])
    assert boxes.shape == expected.shape == (4 * 9 + 7 * 15, (1, 7)[which], 4)
    np.testing.assert_allclose(boxes, expected, atol=1e-3)
    assert (boxes[..., 2:] - boxes[..., :2]).mean() > 5
    assert posteriors.shape == (len(boxes), 7)
    np.testing.assert_allclose(posteriors.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("convolution", [False, True])
def test_global_pooling_slides_too(convolution, randomize, photograph):
    classifier = randomize(unpadded_pooled(convolution))
    regressor = randomize(box_regressor(classifier, fine_tune="dense"), 3)
    assert {w.path for w in regressor.trainable_weights} == {"boxes/kernel", "boxes/bias"}
    boxes = dense_boxes(regressor, classifier, photograph, (38,))[0]
    assert np.ptp(boxes) > 5
    np.testing.assert_allclose(boxes, naive_dense(regressor, photograph, 38), atol=1e-3)


def test_dense_posteriors_equal_the_classifier_on_crops(regressors, classifier, photograph):
    posteriors = dense_boxes(regressors[0], classifier, photograph, (38,))[1]
    pixels = classifier.preprocessing.normalize(np.asarray(photograph.resize((59, 38), Image.Resampling.BILINEAR)))
    crops = [pixels[r : r + 26, c : c + 26] for r in range(0, 13, 4) for c in range(0, 34, 4)]
    np.testing.assert_allclose(posteriors, classifier(np.stack(crops)), atol=1e-5)


def test_at_the_native_size_dense_equals_the_centre_crop(regressors, classifier):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (26, 26, 3), np.uint8) for _ in range(3)]
    boxes = [dense_boxes(regressors[1], classifier, image, (26,))[0] for image in images]
    assert [found.shape for found in boxes] == [(1, 7, 4)] * 3
    regressors[1].with_card(_with_resize(regressors[1].card, None))
    expected = np.stack([found[0, c] for found, c in zip(boxes, (6, 0, 3), strict=True)])
    np.testing.assert_allclose(centre_crop_box(regressors[1], images, (6, 0, 3)), expected, atol=1e-4)


def test_centre_crop_boxes_are_in_pixels_of_each_image(regressors, photograph):
    images = [photograph, photograph.resize((190, 122), Image.Resampling.NEAREST)] * 17  # more than a batch
    model = regressors[0]
    boxes = centre_crop_box(model, images)
    assert boxes.shape == (34, 4)
    for image, actual in zip(images[:2], boxes, strict=False):
        left, top, right, bottom = model.preprocessing.source_box(image.height, image.width)
        x, y, w, h = np.asarray(model(model.preprocessing(image)[None]))[0] * np.tile([right - left, bottom - top], 2)
        expected = [left + x - w / 2, top + y - h / 2, left + x + w / 2, top + y + h / 2]
        np.testing.assert_allclose(actual, np.clip(expected, 0, [image.width, image.height] * 2), atol=1e-3)
    assert centre_crop_box(model, []).shape == (0, 4)


@pytest.mark.parametrize("which", [0, 1])
def test_localise_is_the_merged_box_of_each_likely_class(which, regressors, classifier, photograph):
    found = localise(regressors[which], classifier, photograph, (38, 53), top=3)
    parts = [dense_boxes(regressors[which], classifier, photograph, (scale,)) for scale in (38, 53)]
    probabilities = np.mean([posteriors.mean(0) for _, posteriors in parts], axis=0)
    assert [p.class_index for p in found] == np.argsort(-probabilities)[:3].tolist()
    for class_index, probability, box in found:
        assert probability == pytest.approx(probabilities[class_index], abs=1e-6)
        boxes = np.concatenate([b[:, class_index if which else 0] for b, _ in parts])
        scores = np.concatenate([p[:, class_index] for _, p in parts])
        np.testing.assert_allclose(box, merge_boxes(boxes, scores)[0][0], atol=1e-4)
    assert len(localise(regressors[which], classifier, photograph, (38,), top=20)) == 7


def test_several_networks_and_scales_are_one_union(regressors, classifier, photograph, randomize):
    second = randomize(unpadded_vgg(name="second"), 9)
    scales = [(30,), (38, 53)]
    found = Localiser(regressors, [classifier, second], scales)(photograph, top=1)[0]
    judges = [[dense_boxes(regressors[0], c, photograph, (s,))[1] for c in (classifier, second)] for s in (30, 38, 53)]
    posteriors = [np.mean(pair, axis=0) for pair in judges]
    probabilities = np.mean([p.mean(0) for p in posteriors], axis=0)
    assert found.class_index == probabilities.argmax()
    boxes = [dense_boxes(regressors[0], classifier, photograph, (30,))[0][:, 0]]
    boxes += [dense_boxes(regressors[1], classifier, photograph, (s,))[0][:, found.class_index] for s in (38, 53)]
    scores = np.concatenate(posteriors)[:, found.class_index]
    np.testing.assert_allclose(found.box, merge_boxes(np.concatenate(boxes), scores)[0][0], atol=1e-4)


def test_the_stride_is_the_models_own(randomize):
    vgg = kv.create_model("VGG11", weights=None, classes=10, input_shape=(64, 64, 3))
    network = SlidingNetwork(box_regressor(vgg))
    assert (network.size, network.stride, network.outputs) == ((64, 64), (32, 32), 4)
    assert network.boxes(np.zeros((70, 100, 3), np.uint8), 96).shape == (2 * 3, 1, 4)
    squeezenet = kv.create_model("SqueezeNet", weights=None, classes=10, input_shape=(99, 99, 3))
    assert SlidingNetwork(box_regressor(squeezenet)).stride == (16, 16)


def test_what_is_refused(regressors, classifier, photograph, randomize):
    single, per_class = regressors
    more, wider = unpadded_vgg(classes=9, name="more"), unpadded_vgg(size=30, name="wider")
    calls = [
        (lambda: box_regressor(classifier, fine_tune="none"), "fine_tune='none'"),
        (lambda: box_regressor(kv.create_model("SqueezeNet", weights=None, include_top=False)), "fixed input size"),
        (lambda: dense_boxes(single, classifier, photograph, (25,)), "scale=25"),
        (lambda: dense_boxes(single, classifier, photograph, ()), "no scales"),
        (lambda: dense_boxes(single, classifier, np.zeros((1, 6000, 3), np.uint8), (30,)), "more than"),
        (lambda: Localiser(single, classifier, (30, 25)), "at least 26"),
        (lambda: Localiser(single, classifier, ()), "at least 26"),
        (lambda: Localiser(single, classifier, [(30,), (30,)]), "each of 1"),
        (lambda: Localiser([], classifier, (30,)), "at least one"),
        (lambda: Localiser([single, box_regressor(more, True)], classifier, (30,)), r"classes \[7, 9\]"),
        (lambda: dense_boxes(per_class, more, photograph, (30,)), r"classes \[7, 9\]"),
        (lambda: dense_boxes(single, wider, photograph, (30,)), "different windows"),
        (lambda: dense_boxes(classifier, classifier, photograph, (30,)), "7 outputs"),
        (lambda: dense_boxes(keras.Model(single.input, single.output), classifier, photograph, (30,)), "model card"),
        (lambda: Localiser(single, classifier, (30,))(photograph, top=0), "top=0"),
        (lambda: centre_crop_box(per_class, [photograph]), "from 0 to 6"),
        (lambda: centre_crop_box(per_class, [photograph], [7]), "from 0 to 6"),
        (lambda: centre_crop_box(per_class, [photograph], [0, 1]), "1 images"),
    ]
    for call, message in calls:
        with pytest.raises(kv.KerasVisionError, match=message):
            call()


def _with_resize(card, resize_shorter):
    spec = dataclasses.replace(card.preprocessing, resize_shorter=resize_shorter)
    return dataclasses.replace(card, preprocessing=spec)
