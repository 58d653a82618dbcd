"""The ready-made augmentations: what they are made of, what they refuse, and that they run on photographs."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_vision import KerasVisionError
from keras_vision.data import augment, decode_image

PRESETS = {
    "inception": augment.inception(),
    "vgg": augment.vgg(),
    "alexnet": augment.alexnet(),
    "fcn": augment.fcn(),
    "cifar": augment.cifar(),
    "segmentation": augment.segmentation(),
    "evaluation": augment.evaluation(shorter=256),
}


@pytest.mark.parametrize(("call", "message"), [
    (lambda: augment.inception(area=(1.0, 0.08)), r"area=\(1\.0, 0\.08\).*low <= high"),
    (lambda: augment.inception(area=(0.5, 1.5)), "at most 1"),
    (lambda: augment.inception(area=(0, 1)), "above 0"),
    (lambda: augment.inception(aspect=(4 / 3, 3 / 4)), "aspect"),
    (lambda: augment.inception(aspect=0.75), r"aspect=0\.75.*\(low, high\)"),
    (lambda: augment.inception(mirror=1.5), r"mirror=1\.5 is a probability"),
    (lambda: augment.inception(distortion=-1), "distortion=-1"),
    (lambda: augment.AreaCrop(tries=0), "tries=0"),
    (lambda: augment.AreaCrop(tries=2.5), r"tries=2\.5; give a whole number"),
    (lambda: augment.vgg(scales=(512, 256)), "scales"),
    (lambda: augment.vgg(scales=(256.5, 512)), r"scales=256\.5"),
    (lambda: augment.vgg(scales=0), "scales"),
    (lambda: augment.vgg(pca=-0.1), r"deviation=-0\.1"),
    (lambda: augment.vgg(mirror=-0.5), "mirror"),
    (lambda: augment.alexnet(shorter=0), "shorter=0"),
    (lambda: augment.alexnet(shorter=float("nan")), "shorter=nan"),
    (lambda: augment.fcn(pixels=-1), "pixels=-1"),
    (lambda: augment.cifar(pad=-4), "pad=-4"),
    (lambda: augment.cifar(pad=0.5), r"pad=0\.5"),
    (lambda: augment.segmentation(scales=(-0.5, 1.5)), "scales"),
    (lambda: augment.segmentation(scales=(0.5, float("inf"))), "scales"),
    (lambda: augment.evaluation(shorter=0), "shorter=0"),
    (lambda: augment.ColorDistortion(hue=0.6), "hue.*at most 0.5"),
    (lambda: augment.ColorDistortion(brightness=-1), "brightness=-1"),
    (lambda: augment.ColorDistortion(contrast=(1.5, 0.5)), "contrast"),
    (lambda: augment.Cutout(0), "size=0"),
    (lambda: augment.Cutout(rate=2), "rate=2"),
    (lambda: augment.HideAndSeek(()), r"sizes=\(\)"),
    (lambda: augment.HideAndSeek((16, -1)), "sizes=-1"),
    (lambda: augment.HideAndSeek(rate=-1), "rate=-1"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(KerasVisionError, match=message):
        call()


@pytest.mark.parametrize("geometry", [augment.ScaleJitter(), augment.CentrePatchCrop(), augment.CentreCrop(256)])
def test_a_crop_larger_than_the_resized_image_is_refused(geometry):
    with pytest.raises(KerasVisionError, match=r"256 pixels leaves no room for a crop of \(224, 299\).*at least 299"):
        geometry((400, 400), (224, 299), (0, 0))


def test_arguments_reach_their_places():
    assert augment.vgg(scales=384, pca=0) == augment.Augmentation(augment.ScaleJitter((384, 384)))
    assert augment.vgg() == augment.Augmentation(augment.ScaleJitter((256, 512)), (augment.PCAColor(0.1),))
    assert augment.alexnet() == augment.Augmentation(augment.CentrePatchCrop(256), (augment.PCAColor(0.1),))
    assert augment.inception() == augment.Augmentation(augment.AreaCrop(), (augment.ColorDistortion(),))
    assert augment.inception(distortion=0).photometric == ()
    half = augment.ColorDistortion(16.0, (0.75, 1.25), 0.1, (0.75, 1.25))
    assert augment.inception(distortion=0.5, mirror=0).photometric == (half,)
    assert augment.inception(mirror=0).geometry == augment.AreaCrop(mirror=0)
    assert augment.fcn(pixels=8).geometry == augment.Translation(8)
    assert augment.cifar(mirror=1).geometry == augment.PaddedCrop(4, 1)
    assert augment.segmentation(scales=(0.5, 2.0)).geometry == augment.ScaleAndCrop((0.5, 2.0))


@pytest.mark.parametrize("name", PRESETS)
def test_photographs(name, shared):
    """The parts that are shown have the photograph's colours, within what the colour changes allow."""
    file = next((shared / "data" / "imagenet_sample").glob("*_hen.JPEG"))
    pixels = decode_image(file.read_bytes())
    augmentation = PRESETS[name]

    def shown(seed):
        window = augmentation.geometry(tf.shape(pixels)[:2], (224, 224), seed)
        result = augment.show(pixels, window, (224, 224), fill=128.0)
        for change in augmentation.photometric:
            result = change(result, seed)
        return result

    seeds = np.arange(24).reshape(12, 2)
    mapped = np.stack([*tf.data.Dataset.from_tensor_slices(seeds).map(shown).as_numpy_iterator()])
    np.testing.assert_array_equal(mapped, np.stack([shown(tf.constant(seed)) for seed in seeds]))
    means = mapped.mean((1, 2))
    assert (np.abs(means - means.mean(0)) < 70).all()
    assert augmentation.mask_safe
    different = len({image.tobytes() for image in mapped})
    assert different == (1 if name == "evaluation" else 12)


@pytest.mark.parametrize("call", [augment.auto_augment, augment.rand_augment])
def test_without_the_extra_the_error_says_how_to_get_it(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "official.vision.ops.augment", None)  # as if it could not be found
    with pytest.raises(KerasVisionError, match=r'pip install "keras-vision\[models\]"'):
        call()
