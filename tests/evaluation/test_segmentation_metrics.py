"""Metrics of training: equal to the scores of all pixels at once, in Keras' own fit and on two replicas."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_vision.errors import KerasVisionError
from keras_vision.evaluation import (
    FrequencyWeightedIU,
    MeanAccuracy,
    MeanIU,
    PixelAccuracy,
    SegmentationScores,
    confusion_matrix,
    segmentation_metrics,
)

NAMES = ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")


def data(n=6, size=(17, 22), classes=4, void=11, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 1, 3, void], (n, *size), p=[0.6, 0.2, 0.1, 0.1]).astype(np.uint8)
    return truth, rng.normal(0, 1, (n, *size, classes)).astype(np.float32)


def expected(truth, predicted, classes=4, void=11):
    scores = SegmentationScores(confusion_matrix(truth, predicted, classes, void))
    return [getattr(scores, name) for name in NAMES]


@pytest.mark.parametrize("kind", ["logits", "class maps", "last axis"])
def test_batches_sum_to_the_scores_of_all_pixels(kind):
    truth, logits = data()
    metrics = segmentation_metrics(4, void=11)
    for part in (slice(0, 1), slice(1, 4), slice(4, 6)):
        y_true = truth[part, ..., None] if kind == "last axis" else truth[part]
        y_pred = logits[part].argmax(-1) if kind == "class maps" else logits[part]
        for metric in metrics:
            metric.update_state(y_true, y_pred)
    np.testing.assert_allclose([float(m.result()) for m in metrics], expected(truth, logits.argmax(-1)), rtol=1e-6)
    assert [metric.name for metric in metrics] == list(NAMES)
    np.testing.assert_array_equal(metrics[2].scores().confusion, confusion_matrix(truth, logits.argmax(-1), 4, 11))
    metrics[2].reset_state()
    assert float(metrics[2].result()) == 0


def test_labels_are_subsampled_by_the_stride():
    truth, logits = data(size=(41, 33))
    metric = MeanIU(4, void=11, stride=8)
    metric.update_state(truth, logits[:, :6, :5])
    wanted = expected(truth[:, ::8, ::8], logits[:, :6, :5].argmax(-1))[2]
    assert float(metric.result()) == pytest.approx(wanted, rel=1e-6)
    with pytest.raises(KerasVisionError, match=r"labels at stride 8 are \(6, 5\), predictions \(41, 33\)"):
        metric.update_state(truth, logits)


@pytest.mark.parametrize("weight", ["images", "pixels"])
def test_weights_of_images_and_of_pixels(weight):
    truth, logits = data()
    chosen = np.random.default_rng(1).integers(0, 2, truth.shape if weight == "pixels" else len(truth))
    metric = PixelAccuracy(4, void=11)
    metric.update_state(truth, logits, sample_weight=chosen)
    kept = np.broadcast_to(chosen.reshape(chosen.shape + (1,) * (3 - chosen.ndim)), truth.shape) == 1
    assert float(metric.result()) == pytest.approx(expected(truth[kept], logits.argmax(-1)[kept])[0], rel=1e-6)


def test_counting_does_not_stop_where_float32_does():
    metric = MeanAccuracy(2, void=None)
    metric.high.assign([[2.0**8, 0, 0], [0, 0, 0], [0, 0, 0]])  # 2**28 pixels
    for _ in range(4):
        metric.update_state(np.zeros((1, 1, 3), int), np.zeros((1, 1, 3), int))
    assert metric.scores().confusion.tolist() == [[2**28 + 12, 0, 0], [0, 0, 0]]


def test_wrong_labels_are_loud_and_several_voids_are_not():
    truth, logits = data()
    metric = FrequencyWeightedIU(4, void=None)
    metric.update_state(truth, logits)
    assert np.isnan(float(metric.result()))
    with pytest.raises(KerasVisionError, match=f"{(truth == 11).sum()} pixels have labels that are neither 0 to 3"):
        metric.scores()
    several = MeanIU(4, void=(11, -1))
    changed = truth.astype(int)
    changed[0, 0, :3] = -1
    several.update_state(changed, logits)
    unvoided = np.where(changed == -1, 11, changed)
    assert float(several.result()) == pytest.approx(expected(unvoided, logits.argmax(-1))[2], rel=1e-6)
    with pytest.raises(KerasVisionError, match="counts 3 classes"):
        MeanIU(3).update_state(truth, logits)


def small_network(classes=4):
    image = keras.Input((None, None, 3))
    scores = keras.layers.Conv2D(classes, 3, padding="same", name="semantic")(image)
    return keras.Model(image, {"semantic": scores, "geometric": keras.layers.Conv2D(2, 1, name="geometric")(image)})


def test_keras_fit_reports_them_for_each_head():
    keras.utils.set_random_seed(0)
    truth, _ = data()
    images = np.random.default_rng(1).normal(0, 1, (*truth.shape, 3)).astype(np.float32)
    labels = {"semantic": np.where(truth == 11, 0, truth), "geometric": (truth > 0).astype(int)}
    network = small_network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    heads = {"semantic": segmentation_metrics(4, void=0), "geometric": segmentation_metrics(2)}
    network.compile("sgd", {"semantic": loss, "geometric": loss}, metrics=heads)
    network.fit(images, labels, batch_size=2, verbose=0)
    found = network.evaluate(images, labels, batch_size=4, verbose=0, return_dict=True)
    scores = network.predict(images, verbose=0)
    for head, classes, void in (("semantic", 4, 0), ("geometric", 2, 255)):
        wanted = expected(labels[head], scores[head].argmax(-1), classes, void)
        np.testing.assert_allclose([found[f"{head}_{name}"] for name in NAMES], wanted, rtol=1e-5)


def test_config_round_trip():
    metric = MeanIU(5, void=(255, -1), stride=8, name="iu")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert copy.get_config() == metric.get_config()
    assert (copy.classes, copy.void, copy.stride, copy.name) == (5, (255, -1), 8, "iu")


REPLICAS = """
import numpy as np, tensorflow as tf, keras
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0],
                                           [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_vision.evaluation import segmentation_metrics, SegmentationScores, confusion_matrix
from keras_vision.training.pixel_loss import PixelCrossentropy
keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
images = rng.normal(0, 1, (8, 9, 9, 3)).astype("float32")
truth = rng.choice([0, 1, 2, 255], images.shape[:3])
def network():
    net = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 3, padding="same", name="conv")])
    net.get_layer("conv").kernel.assign(np.random.default_rng(1).normal(0, 1, (3, 3, 3, 3)))
    return net
results = []
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    with strategy.scope():
        net = network()
        net.compile(keras.optimizers.SGD(0.0), PixelCrossentropy(normalize="sum"), metrics=segmentation_metrics(3))
    logs = net.fit(images, truth, batch_size=4, verbose=0, shuffle=False).history
    results.append([logs[k][0] for k in ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")])
s = SegmentationScores(confusion_matrix(truth, network()(images).numpy().argmax(-1), 3))
wanted = [s.pixel_accuracy, s.mean_accuracy, s.mean_iu, s.frequency_weighted_iu]
print(max(abs(a - b) for r in results for a, b in zip(r, wanted)) < 1e-6)
"""


def test_two_replicas_count_all_pixels():
    done = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("True\n")
