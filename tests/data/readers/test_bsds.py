"""BSDS500: the real photographs and what people drew on them."""

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from keras_vision.data import bsds500, unpack
from keras_vision.errors import KerasVisionError

COUNTS = {"train": 200, "val": 100, "test": 100}  # the sample has half of the test set


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    return unpack(shared / "data/bsds500/bsds500.tar.gz", tmp_path_factory.mktemp("bsds") / "BSDS500")


@pytest.mark.parametrize("split", COUNTS)
def test_the_real_annotations(real, split):
    images = bsds500(real, split)
    assert len(images) == COUNTS[split]
    for position in range(0, len(images), 20):
        truth = loadmat(images.annotations[position], squeeze_me=True, struct_as_record=False)["groundTruth"]
        boundaries, regions = images.boundaries(position), images.segmentations(position)
        assert 4 <= len(boundaries) <= 9
        assert boundaries.dtype == np.uint8
        np.testing.assert_array_equal(boundaries, [person.Boundaries for person in truth])
        np.testing.assert_array_equal(regions, [person.Segmentation for person in truth])
        assert boundaries.max() == 1
        assert regions.min() == 1
        assert sorted(boundaries.shape[1:]) == [321, 481]


def test_orientations_of_the_whole_sample(real):
    sizes = [Image.open(path).size for split in COUNTS for path in bsds500(real, split).sources]
    assert (sizes.count((481, 321)), sizes.count((321, 481))) == (285, 115)


def test_damage_is_one_error(tmp_path):
    with pytest.raises(KerasVisionError, match="holds no groundTruth"):
        bsds500(tmp_path)
    (tmp_path / "data/images/val").mkdir(parents=True)
    (tmp_path / "data/groundTruth/val").mkdir(parents=True)
    Image.new("RGB", (6, 4)).save(tmp_path / "data/images/val/1.jpg")
    with pytest.raises(KerasVisionError, match=r"missing: .*1\.mat"):
        bsds500(tmp_path, "val")

    def write(*shapes):
        people = np.empty((1, len(shapes)), object)
        people[0, :] = [{"Segmentation": np.ones(s, np.uint16), "Boundaries": np.zeros(s, np.uint8)} for s in shapes]
        savemat(tmp_path / "data/groundTruth/val/1.mat", {"groundTruth": people})

    write((4, 6), (4, 6))
    images = bsds500(tmp_path, "val")
    assert images.boundaries(0).shape == (2, 4, 6)
    write((4, 6), (6, 4))
    with pytest.raises(KerasVisionError, match="maps of 2 people, of different sizes"):
        images.boundaries(0)
    write((5, 5))
    with pytest.raises(KerasVisionError, match=r"maps of \(5, 5\) pixels for an image of \(4, 6\)"):
        images.segmentations(0)
