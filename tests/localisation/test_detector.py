"""The pasted objects, and a detector that finds coloured squares on real photographs."""

import keras
import numpy as np
import pytest
from scipy import ndimage

import keras_vision as kv
from keras_vision.data import bsds500, mnist, unpack
from keras_vision.errors import KerasVisionError
from keras_vision.layers import SpatialPyramidPooling2D


@pytest.fixture(scope="module")
def sources(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pasted") / "BSDS500"
    return mnist(shared / "data/mnist", "test"), bsds500(
        unpack(shared / "data/bsds500/bsds500.tar.gz", folder), "train"
    )


def test_pasted_objects_are_what_their_masks_say(sources):
    digits, photographs = sources
    scenes = list(kv.data.pasted_objects(digits, photographs, 6, seed=1))
    again = list(kv.data.pasted_objects(digits, photographs, 6, seed=1))
    originals = [photographs.image(i) for i in range(len(photographs))]
    assert {scene.labels.size for scene in scenes} <= {1, 2, 3, 4}
    labels = np.concatenate([scene.labels for scene in scenes])
    assert (labels == 10).any()
    assert (labels < 10).any()
    for scene, same in zip(scenes, again, strict=True):
        np.testing.assert_array_equal(scene.image, same.image)
        assert not (scene.masks.sum(0) > 1).any()  # the later one hides the earlier
        for mask, box in zip(scene.masks, scene.boxes, strict=True):
            (y, x) = ndimage.find_objects(mask.astype(int))[0]
            assert box.tolist() == [x.start, y.start, x.stop, y.stop]
        rest = ~ndimage.binary_dilation(scene.masks.any(0), iterations=12)
        unchanged = [image for image in originals if image.shape == scene.image.shape]
        assert any((image[rest] == scene.image[rest]).all() for image in unchanged)
    with pytest.raises(KerasVisionError, match=r"objects=\(0, 4\)"):
        kv.data.pasted_objects(digits, photographs, 1, objects=(0, 4))


def network():
    """Random filters and a pyramid; enough to tell colours."""
    keras.utils.set_random_seed(0)
    image = x = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(24, 3, padding="same", activation="relu")(x)
    x = keras.layers.MaxPooling2D(4)(x)
    x = SpatialPyramidPooling2D((2, 1))(x)
    return kv.localisation.PyramidWindows(keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x))))


def scene(rng, photographs):
    """A red and a green square on a photograph, their boxes, and proposals: jittered objects and others."""
    picture = photographs.image(int(rng.integers(len(photographs))))[:96, :128] / 255.0
    boxes, windows = [], []
    for k in range(2):
        side, left, top = rng.integers(20, 36), rng.integers(2, 28) + 62 * k, rng.integers(2, 60)
        picture[top : top + side, left : left + side] = ((0.95, 0.05, 0.1), (0.05, 0.9, 0.1))[k]
        boxes.append([left, top, left + side, top + side])
        windows += [np.clip(np.add(boxes[k], rng.integers(-5, 6, 4)), 0, [128, 96] * 2) for _ in range(6)]
    start = rng.integers(0, 60, (30, 2))
    windows += list(np.column_stack([start, start + rng.integers(15, 36, (30, 2))]))
    return picture.astype(np.float32), np.array(boxes, float), np.array(windows, float)


def test_a_detector_finds_squares_on_photographs(sources, tmp_path):
    rng = np.random.default_rng(0)
    images, boxes, windows = zip(*(scene(rng, sources[1]) for _ in range(20)), strict=True)
    labels = [np.array([0, 1])] * 20
    detector = kv.localisation.RegionDetector.fit(
        network(), images[:14], windows[:14], boxes[:14], labels[:14], 3, c=0.1, ridge=100.0
    )
    found = [detector.detect(image, some) for image, some in zip(images[14:], windows[14:], strict=True)]
    curves = [
        kv.localisation.precision_recall([each.of_class(k) for each in found], [b[labels[0] == k] for b in boxes[14:]])
        for k in range(3)
    ]
    assert kv.localisation.mean_average_precision(curves) > 0.8
    assert not any((each.labels == 2).any() for each in found)  # a class without objects never fires
    for each in found:
        assert (np.diff(each.scores) <= 0).all()
        for k in range(2):
            own, _ = each.of_class(k)
            assert (np.triu(kv.localisation.iou(own, own), 1) <= 0.3).all()
    nothing = detector.detect(images[0], [])
    assert nothing.boxes.shape == (0, 4)
    detector.save(tmp_path / "detector")
    again = kv.localisation.RegionDetector.load(tmp_path / "detector").detect(images[14], windows[14])
    for before, after in zip(found[0], again, strict=True):
        np.testing.assert_array_equal(before, after)
    with pytest.raises(KerasVisionError, match="exists already"):
        detector.save(tmp_path / "detector")
    with np.load(tmp_path / "detector" / "heads.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "detector" / "heads.npz", **arrays | {"planes": arrays["planes"][:, 1:]})
    with pytest.raises(KerasVisionError, match=r"heads of \(3, 120\) .* do not fit pyramids of 120 numbers"):
        kv.localisation.RegionDetector.load(tmp_path / "detector")
    (tmp_path / "detector" / "heads.npz").write_bytes(b"PK no archive")
    with pytest.raises(KerasVisionError, match="holds no detector"):
        kv.localisation.RegionDetector.load(tmp_path / "detector")
    with pytest.raises(KerasVisionError, match="holds no detector"):
        kv.localisation.RegionDetector.load(tmp_path / "nowhere")


def test_what_a_detector_cannot_learn_from(sources):
    picture, boxes, windows = scene(np.random.default_rng(1), sources[1])
    fit = kv.localisation.RegionDetector.fit
    with pytest.raises(KerasVisionError, match="give each one below 1"):
        fit(network(), [picture], [windows], [boxes], [[0, 1]], 1)
    with pytest.raises(KerasVisionError, match="no objects to learn from"):
        fit(network(), [picture], [windows], [[]], [[]], 1)
