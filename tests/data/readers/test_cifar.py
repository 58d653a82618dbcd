"""CIFAR: records against files written by hand, the JPEG copy of the real pictures, what is refused."""

import numpy as np
import pytest
from PIL import Image

from keras_vision.data import cifar10, cifar100, class_folders, unpack
from keras_vision.data.readers.cifar import CIFAR10_CLASSES
from keras_vision.errors import KerasVisionError

NAMES = {"fine": [f"fine {n}" for n in range(100)], "coarse": [f"coarse {n}" for n in range(20)]}


def record(labels: list[int], pixels: np.ndarray) -> bytes:
    return bytes(labels) + b"".join(pixels[..., channel].tobytes() for channel in range(3))


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def ten(tmp_path, pixels):
    for number in range(5):
        two = [record([label], pixels[label]) for label in (2 * number, 2 * number + 1)]
        (tmp_path / f"data_batch_{number + 1}.bin").write_bytes(b"".join(two))
    (tmp_path / "test_batch.bin").write_bytes(record([7], pixels[3]))
    return tmp_path


@pytest.fixture
def hundred(tmp_path, pixels):
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    (folder / "train.bin").write_bytes(record([19, 99], pixels[0]) + record([4, 0], pixels[1]))
    for kind, names in NAMES.items():
        (folder / f"{kind}_label_names.txt").write_text("\n".join(names) + "\n\n")
    return tmp_path


def test_cifar10_batches_in_order(ten, pixels):
    train, test = cifar10(ten), cifar10(ten, "test")
    np.testing.assert_array_equal(np.stack(train.sources), pixels)
    assert train.labels.tolist() == list(range(10))
    assert test.labels.tolist() == [7]
    assert test.class_names[7] == "horse"
    np.testing.assert_array_equal(test.sources[0], pixels[3])


@pytest.mark.parametrize(("labels", "expected"), [("fine", [99, 0]), ("coarse", [19, 4])])
def test_cifar100_has_two_labels(hundred, pixels, labels, expected):
    found = cifar100(hundred, "train", labels)  # the folder of the archive
    assert found.labels.tolist() == expected
    assert list(found.class_names) == NAMES[labels]
    np.testing.assert_array_equal(np.stack(found.sources), pixels[:2])


def test_pickles_are_refused_by_name(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "data_batch_1").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(KerasVisionError, match=r"pickles.*binary version"):
        cifar10(tmp_path)


def test_damage_is_one_error(ten, hundred):
    with pytest.raises(KerasVisionError, match=r"no test\.bin"):
        cifar100(hundred, "test")
    with pytest.raises(KerasVisionError, match="labels='medium'; accepted: 'coarse', 'fine'"):
        cifar100(hundred, labels="medium")
    (hundred / "cifar-100-binary/fine_label_names.txt").write_text("one\n")
    with pytest.raises(KerasVisionError, match="1 names"):
        cifar100(hundred)
    whole = (ten / "data_batch_3.bin").read_bytes()
    (ten / "data_batch_3.bin").write_bytes(bytes([10]) + whole[1:])
    with pytest.raises(KerasVisionError, match="label 10; expected 0 to 9"):
        cifar10(ten)
    (ten / "data_batch_3.bin").write_bytes(whole[:-1])
    with pytest.raises(KerasVisionError, match=r"data_batch_3\.bin: 6145 bytes.*truncated"):
        cifar10(ten)
    with pytest.raises(KerasVisionError, match="no such folder"):
        cifar10(ten / "nowhere")


def test_the_jpeg_copy_is_a_folder_per_class(shared, tmp_path):
    folder = unpack(shared / "data/cifar10_jpeg/cifar10_jpeg_test.tar.gz", tmp_path / "cifar")
    images = class_folders(folder / "test")
    assert images.class_names == CIFAR10_CLASSES  # sorted names are the usual order
    assert np.bincount(images.labels).tolist() == [1000] * 10
    assert Image.open(images.sources[0]).size == (32, 32)
