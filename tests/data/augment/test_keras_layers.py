"""Keras' layers as functions of a seed: reproducible, distributed as Keras' own calls, without touching the layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy import stats

from keras_vision import KerasVisionError
from keras_vision.data import augment

SIGNIFICANT = 1e-3
LAYERS = {
    "AugMix": lambda: layers.AugMix(),
    "AutoContrast": lambda: layers.AutoContrast(),
    "Equalization": lambda: layers.Equalization(),
    "RandAugment": lambda: layers.RandAugment(),
    "RandomBrightness": lambda: layers.RandomBrightness(0.3),
    "RandomColorDegeneration": lambda: layers.RandomColorDegeneration(0.4),
    "RandomColorJitter": lambda: layers.RandomColorJitter(
        brightness_factor=0.3, contrast_factor=0.3, saturation_factor=(0.3, 0.7), hue_factor=0.2
    ),
    "RandomContrast": lambda: layers.RandomContrast(0.3),
    "RandomElasticTransform": lambda: layers.RandomElasticTransform(),
    "RandomErasing": lambda: layers.RandomErasing(),
    "RandomFlip": lambda: layers.RandomFlip(),
    "RandomGaussianBlur": lambda: layers.RandomGaussianBlur(kernel_size=3),
    "RandomGrayscale": lambda: layers.RandomGrayscale(0.5),
    "RandomHue": lambda: layers.RandomHue(0.2),
    "RandomInvert": lambda: layers.RandomInvert(),
    "RandomPerspective": lambda: layers.RandomPerspective(),
    "RandomPosterization": lambda: layers.RandomPosterization(4),
    "RandomRotation": lambda: layers.RandomRotation(0.1),
    "RandomSaturation": lambda: layers.RandomSaturation((0.2, 0.8)),
    "RandomSharpness": lambda: layers.RandomSharpness(0.4),
    "RandomShear": lambda: layers.RandomShear((0.0, 0.1), (0.0, 0.1)),
    "RandomTranslation": lambda: layers.RandomTranslation(0.1, 0.1),
    "RandomZoom": lambda: layers.RandomZoom(0.1),
    "Solarization": lambda: layers.Solarization(0.3, 0.3),
}
MIXING = {"MixUp": lambda: layers.MixUp(), "CutMix": lambda: layers.CutMix()}


def _images(count, shape=(31, 40, 3)):
    return np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.float32)


def _seeds(count):
    return np.random.default_rng(1).integers(0, 2**31, (count, 2)).astype(np.int32)


def _mapped(change, *values):
    return [*tf.data.Dataset.from_tensor_slices(values).map(change).as_numpy_iterator()]


@pytest.mark.parametrize("name", LAYERS)
def test_the_same_eagerly_and_in_a_map(name):
    images, seeds = _images(20), _seeds(20)
    change = augment.keras_photometric(LAYERS[name]())
    mapped = np.stack(_mapped(change, images, seeds))
    eager = np.stack([change(tf.constant(image), tf.constant(seed)) for image, seed in zip(images, seeds, strict=True)])
    np.testing.assert_array_equal(mapped, eager)
    assert mapped.min() >= 0
    assert mapped.max() <= 255
    assert (mapped != images).any() or name == "AutoContrast"  # these images have the full range already


@pytest.mark.parametrize("name", MIXING)
def test_mixtures_are_the_same_eagerly_and_in_a_map(name):
    images, labels, seeds = _images(40), np.eye(40, dtype=np.float32), _seeds(3)
    mix = augment.keras_batch(MIXING[name]())
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)  # the last has 8, so the size is unknown
    keyed = tf.data.Dataset.zip(batches, tf.data.Dataset.from_tensor_slices(seeds))
    mapped = [*keyed.map(lambda batch, seed: mix(*batch, seed)).as_numpy_iterator()]
    assert [len(batch) for batch, _ in mapped] == [16, 16, 8]
    for (batch, seed), expected in zip(keyed, mapped, strict=True):
        for part, same in zip(mix(*batch, seed), expected, strict=True):
            np.testing.assert_array_equal(part, same)


@pytest.mark.parametrize("name", sorted({*LAYERS} - {"AutoContrast", "Equalization"}))
def test_the_layer_itself_is_left_alone(name):
    layer = LAYERS[name]()
    before = layer.generator.state.numpy()
    change = augment.keras_photometric(layer)
    image = _images(1)[0]
    results = {np.array(change(image, seed)).tobytes() for seed in _seeds(20)}
    assert len(results) > 1
    np.testing.assert_array_equal(layer.generator.state.numpy(), before)
    assert layer(image[None], training=True).shape == (1, *image.shape)


def _erased(images):
    """Height and width of what differs from 100, and that it is a full rectangle."""
    sizes = []
    for image in images:
        rows, columns = np.nonzero((image != 100).any(-1))
        sizes.append((np.ptp(rows) + 1, np.ptp(columns) + 1))
        assert rows.size == np.prod(sizes[-1])
    return np.array(sizes)


def test_random_erasing_is_distributed_as_in_keras():
    images = np.full((1000, 60, 60, 3), 100, np.float32)
    layer = layers.RandomErasing(factor=(1.0, 1.0), fill_value=7, seed=1)
    got = _erased(_mapped(augment.keras_photometric(layer), images, _seeds(1000)))
    expected = _erased(layer(images, training=True).numpy())
    for sizes, same in zip(got.T, expected.T, strict=True):
        assert stats.ks_2samp(sizes, same).pvalue > SIGNIFICANT


def test_rand_augment_draws_each_operation_as_often():
    """Of eleven operations, one changes nothing."""
    layer = layers.RandAugment(num_ops=1)
    image = _images(1, (8, 8, 3))
    image[0, 0, 0], image[0, 0, 1] = 0, 255  # so that AutoContrast changes nothing
    results = _mapped(augment.keras_photometric(layer), np.repeat(image, 600, 0), _seeds(600))
    unchanged = sum(np.array_equal(result, image[0]) for result in results)
    assert stats.binomtest(unchanged, 600, 1 / 11).pvalue > SIGNIFICANT


def test_aug_mix_draws_its_operations_for_each_image():
    """Of seven operations and "none", two change nothing; Keras draws once per graph, for all images the same."""
    layer = layers.AugMix(num_chains=1, chain_depth=1, all_ops=False)
    image = _images(1, (9, 9, 3))
    image[0, 0, 0], image[0, 0, 1] = 0, 255  # so that AutoContrast changes nothing
    results = _mapped(augment.keras_photometric(layer), np.repeat(image, 400, 0), _seeds(400))
    unchanged = sum(np.abs(result - image[0]).max() < 1e-2 for result in results)
    assert stats.binomtest(unchanged, 400, 2 / 8).pvalue > SIGNIFICANT


@pytest.mark.parametrize("name", MIXING)
def test_labels_are_mixed_as_their_images(name):
    """Image k is all k, and its label class k: the mean of a mixture is the mean of its classes."""
    images = np.broadcast_to(np.arange(16, dtype=np.float32)[:, None, None, None], (16, 50, 40, 3))
    labels = np.eye(16, dtype=np.float32)
    mix = augment.keras_batch(MIXING[name]())
    for seed in _seeds(10):
        mixed, classes = (part.numpy() for part in mix(tf.constant(images), tf.constant(labels), tf.constant(seed)))
        np.testing.assert_allclose(classes.sum(1), 1, atol=1e-6)
        error = np.abs(mixed.mean((1, 2, 3)) - classes @ np.arange(16))
        # The box that CutMix pastes covers whole pixels, its label weight a fraction: up to a row and a column apart.
        assert (error <= (1e-4 if name == "MixUp" else 15 * (1 / 50 + 1 / 40))).all()
        assert (mixed != images).any()


def test_mixing_weights_are_of_the_beta_distribution():
    mix = augment.keras_batch(layers.MixUp(alpha=0.4))
    images, labels = tf.zeros([500, 1, 1, 3]), tf.eye(500)
    _, mixed = mix(images, labels, tf.constant([3, 4]))
    own = np.diag(mixed)[mixed.numpy().max(1) < 1]  # leaves out who was mixed with itself
    assert own.size > 450
    assert stats.ks_1samp(own, stats.beta(0.4, 0.4).cdf).pvalue > SIGNIFICANT


@pytest.mark.parametrize(("name", "moves"), [
    ("RandomErasing", False), ("RandomColorJitter", False), ("Solarization", False), ("RandAugment", True),
    ("AugMix", True), ("RandomRotation", True), ("RandomFlip", True),
])  # fmt: skip
def test_what_moves_pixels_is_known(name, moves):
    assert augment.keras_photometric(LAYERS[name]()).moves_pixels == moves


class Unrepeatable(layers.RandomBrightness):
    def get_config(self):
        return super().get_config() | {"factor": "much"}


@pytest.mark.parametrize(("call", "message"), [
    (lambda: augment.keras_photometric(layers.MixUp()), "mixes the images of a batch; use keras_batch"),
    (lambda: augment.keras_photometric(layers.Dense(3)), "Dense.*no image augmentation layer"),
    (lambda: augment.keras_photometric(layers.RandomBrightness(0.1, value_range=(0, 1))), r"value_range=\(0, 255\)"),
    (lambda: augment.keras_photometric(Unrepeatable(0.1)), "make unrepeatable.* again from its own settings"),
    (lambda: augment.keras_photometric(layers.RandomCrop(8, 8))(_images(1)[0], (1, 2)), "the size must stay"),
    (lambda: augment.keras_batch(layers.RandomErasing()), "RandomErasing.*mixes no images"),
    (lambda: augment.keras_batch(layers.MixUp())(tf.zeros([4, 8, 8, 3]), tf.range(4), (1, 2)), r"int32.*\(4,\).*hot"),
])  # fmt: skip
def test_what_cannot_work_is_refused(call, message):
    with pytest.raises(KerasVisionError, match=message):
        call()


@pytest.mark.parametrize("name", ["RandAugment", "RandomErasing"])
def test_pixels_stay_float32_where_networks_compute_in_float16(name):
    expected = augment.keras_photometric(LAYERS[name]())(_images(1)[0], (8, 9))
    keras.config.set_dtype_policy("mixed_float16")
    try:
        got = augment.keras_photometric(LAYERS[name]())(_images(1)[0], (8, 9))
    finally:
        keras.config.set_dtype_policy("float32")
    assert got.dtype == tf.float32
    np.testing.assert_array_equal(got, expected)


def test_the_seed_of_the_layer_plays_no_part():
    one, other = (augment.keras_photometric(layers.RandomBrightness(0.5, seed=seed)) for seed in (5, 6))
    np.testing.assert_array_equal(one(_images(1)[0], (8, 9)), other(_images(1)[0], (8, 9)))
