"""The loss of pixels against loops, finite differences and Keras; median-frequency weights against SegNet's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

from keras_vision.data import SegmentedImages, camvid, unpack
from keras_vision.errors import KerasVisionError
from keras_vision.training import PixelCrossentropy, median_frequency_weights


def data(n=2, size=(9, 10), classes=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 2, 3, 11, -1, 255], (n, *size)).astype(np.int32)
    return labels, rng.normal(0, 2, (n, *size, classes)).astype(np.float32)


def naive(labels, logits, void, weights=None, normalize="pixels", counted=None):
    total, count = 0.0, 0
    for index, label in np.ndenumerate(labels):
        if label in void or (counted is not None and not counted[index]):
            continue
        total -= (1 if weights is None else weights[label]) * log_softmax(logits[index].astype(np.float64))[label]
        count += 1
    return total / max(count, 1) if normalize == "pixels" else total


@pytest.mark.parametrize("normalize", ["pixels", "sum"])
@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 0.0, 1.5)])
def test_it_is_the_loop(normalize, weights):
    labels, logits = data()
    void = (255, 11, -1)
    loss = PixelCrossentropy(void, class_weights=weights, normalize=normalize)
    expected = naive(labels, logits, void, weights, normalize)
    assert float(loss(labels, logits)) == pytest.approx(expected, rel=1e-5)
    assert float(loss(labels[..., None], logits)) == pytest.approx(expected, rel=1e-5)
    assert float(tf.function(loss)(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_without_void_it_is_kerass_own():
    labels, logits = data()
    labels = labels % 4
    own = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = PixelCrossentropy(None)
    assert float(loss(labels, logits)) == pytest.approx(float(own(labels, logits)), rel=1e-6)
    weights = np.array([1.0, 3.0], np.float32)
    per_image = [float(own(labels[i : i + 1], logits[i : i + 1])) for i in range(2)]
    assert float(loss(labels, logits, weights)) == pytest.approx(np.mean(weights * per_image), rel=1e-5)


@pytest.mark.parametrize("size", [(321, 17), (8, 1), (1, 1), (33, 40)])
def test_labels_at_the_stride_of_the_output(size):
    labels, _ = data(1, size)
    cells = [-(-length // 8) for length in size]
    logits = data(1, cells)[1]
    void = (255, 11, -1)
    found = float(PixelCrossentropy(void, stride=8)(labels, logits))
    assert found == pytest.approx(naive(labels[:, ::8, ::8], logits, void), rel=1e-5, abs=1e-7)
    with pytest.raises(KerasVisionError, match="labels at stride 1 are"):
        PixelCrossentropy(void)(labels, np.zeros((1, size[0] + 1, size[1], 4), np.float32))


@pytest.mark.parametrize("options", [{}, {"class_weights": (1, 2, 3, 4)}, {"normalize": "sum"}, {"stride": 2}])
def test_gradient_is_that_of_finite_differences(options):
    stride = options.get("stride", 1)
    labels = data(1, (4, 5))[0]
    logits = data(1, (-(-4 // stride), -(-5 // stride)))[1].astype(np.float64)
    loss = PixelCrossentropy((255, 11, -1), **options)
    variable = tf.Variable(logits.astype(np.float32))
    with tf.GradientTape() as tape:
        value = loss(labels, variable)
    gradient = tape.gradient(value, variable).numpy()
    weights, normalize = options.get("class_weights"), options.get("normalize", "pixels")
    for index in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[index] = 1e-4
        low, high = (
            naive(labels[:, ::stride, ::stride], logits + s, (255, 11, -1), weights, normalize) for s in (-step, step)
        )
        assert gradient[index] == pytest.approx((high - low) / 2e-4, abs=1e-5)


@pytest.mark.parametrize("normalize", ["pixels", "sum"])
def test_all_void_is_zero_with_a_zero_gradient(normalize):
    logits = tf.Variable(data()[1] * 1e4)
    with tf.GradientTape() as tape:
        value = PixelCrossentropy(255, normalize=normalize, keep=0.5, seed=0)(np.full((2, 9, 10), 255), logits)
    assert float(value) == 0
    assert not tape.gradient(value, logits).numpy().any()


def test_a_label_that_is_neither_is_loud():
    labels, logits = data()
    assert np.isnan(float(PixelCrossentropy((255, -1))(labels, logits)))  # 11 is left


def test_half_precision_computes_in_float32():
    labels, logits = data()
    half = (logits * 30).astype(np.float16)
    loss = PixelCrossentropy((255, 11, -1), normalize="sum")
    found = loss(labels, tf.constant(half))
    assert found.dtype == "float32"
    assert float(found) == pytest.approx(naive(labels, half, (255, 11, -1), None, "sum"), rel=1e-5)


def test_kept_cells_are_a_share_drawn_anew_and_repeatable():
    labels = np.zeros((1, 200, 200), int)
    logits = np.zeros((1, 200, 200, 2), np.float32)
    losses = [PixelCrossentropy(keep=0.3, normalize="sum", seed=seed) for seed in (1, 1, 2)]
    counts = np.array([[float(loss(labels, logits)) / np.log(2) for _ in range(4)] for loss in losses])
    np.testing.assert_allclose(counts, 12_000, atol=5 * np.sqrt(40_000 * 0.3 * 0.7))  # five standard deviations
    np.testing.assert_array_equal(counts[0], counts[1])
    assert len(set(counts[0])) > 1
    assert (counts[0] != counts[2]).any()
    random = data(1, (200, 200))[1]
    sampled, whole = (float(PixelCrossentropy(keep=k, seed=0)(labels, random)) for k in (0.3, 1.0))
    assert sampled == pytest.approx(whole, rel=0.05)  # the mean stays, over fewer pixels
    assert sampled != whole


def test_two_heads_train_and_the_compiled_loss_is_saved(tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    heads = {"semantic": 4, "geometric": 3}
    model = keras.Model(image, {n: keras.layers.Conv2D(k, 1, strides=2, name=n)(image) for n, k in heads.items()})
    losses = {"semantic": PixelCrossentropy(11, stride=2, keep=0.5, seed=3), "geometric": PixelCrossentropy(stride=2)}
    model.compile(keras.optimizers.SGD(0.1), losses)
    images = np.random.default_rng(0).normal(0, 1, (8, 9, 10, 3)).astype(np.float32)
    labels = {"semantic": (images[..., 0] > 0) * 3, "geometric": (images[..., 1] > 0) * 1}
    history = model.fit(images, labels, epochs=15, batch_size=4, verbose=0).history
    for head in heads:
        assert history[f"{head}_loss"][-1] < 0.7 * history[f"{head}_loss"][0]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.loss["semantic"].get_config() == losses["semantic"].get_config()
    assert loaded.evaluate(images, labels, verbose=0)[0] > 0


def test_config_round_trip():
    loss = PixelCrossentropy((11, -1), 8, (1, 2), 0.5, "sum", 7, "loss")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.get_config() == loss.get_config()
    assert (copy.void, copy.class_weights, copy.reduction) == ((11, -1), (1.0, 2.0), "sum")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "a stride of at least 1"),
        ({"keep": 0}, "a share above 0"),
        ({"normalize": "mean"}, "one of pixels, sum"),
        ({"class_weights": (1, -1)}, "finite numbers, 0 or above"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(KerasVisionError, match=message):
        PixelCrossentropy(**options)
    with pytest.raises(KerasVisionError, match="2 class weights for 4 classes"):
        PixelCrossentropy(class_weights=(1, 2))(*data())


def test_weights_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    masks = [rng.choice(values, (6, 7)).astype(np.uint8) for values in ([0, 1], [0, 0, 2, 9], [1, 9], [9, 9])]
    images = SegmentedImages([np.zeros((6, 7, 3), np.uint8)] * 4, masks, tuple("abcd"), 9)
    frequencies = {}
    for label in (0, 1, 2):
        where = [mask for mask in masks if (mask == label).any()]
        frequencies[label] = sum((mask == label).sum() for mask in where) / sum((mask != 9).sum() for mask in where)
    median = sorted(frequencies.values())[1]
    expected = [median / frequencies[label] for label in (0, 1, 2)] + [1]
    np.testing.assert_allclose(median_frequency_weights(images), expected, rtol=1e-6)
    with pytest.raises(KerasVisionError, match="no labelled pixel in 1 images"):
        median_frequency_weights(SegmentedImages(images.sources[3:], masks[3:], images.class_names, 9))


SEGNET = [
    0.2595,
    0.1826,
    4.5640,
    0.1417,
    0.9051,
    0.3826,
    9.6446,
    1.8418,
    0.6823,
    6.2478,
    7.3614,
]  # segnet_train.prototxt


def test_camvids_weights_are_near_segnets_published_ones(shared, tmp_path):
    unpack(shared / "data/camvid/camvid_train.tar", tmp_path / "train")
    ratio = median_frequency_weights(camvid(tmp_path / "train")) / SEGNET
    signs = 6  # published as 9.64; these masks give 3.85, so SegNet counted them on other masks
    others = np.delete(ratio, signs)
    # One factor of about 1.08, the median's: SegNet seems to have counted void as a class of it.
    np.testing.assert_allclose(others, np.median(others), rtol=0.13)
    assert np.median(others) == pytest.approx(1.08, abs=0.03)
