"""MNIST's files: the real ones against the published checksums, and damaged ones."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from keras_vision.data import mnist
from keras_vision.data.readers.mnist import FILES, read_idx
from keras_vision.errors import KerasVisionError

PUBLISHED = {  # MD5 of the uncompressed files
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape) + array.astype("uint8").tobytes()


@pytest.fixture
def folder(tmp_path):
    """Twelve digits of 3 x 2 pixels, one file compressed."""
    images = np.arange(72).reshape(12, 3, 2)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(12) % 10)))
    return tmp_path


@pytest.mark.parametrize(("part", "count"), [("train", 60_000), ("test", 10_000)])
def test_the_real_files_are_those_that_were_published(part, count, shared):
    digits = mnist(shared / "data" / "mnist", part)
    pixels, labels = np.stack(digits.sources), digits.labels
    assert pixels.shape == (count, 28, 28)
    assert digits.class_names == tuple("0123456789")
    for name, values in zip(FILES[part], (pixels, labels), strict=True):
        assert hashlib.md5(idx(values)).hexdigest() == PUBLISHED[name]


def test_compressed_and_plain_files_are_read(folder):
    digits = mnist(folder)
    np.testing.assert_array_equal(np.stack(digits.sources), np.arange(72).reshape(12, 3, 2))
    np.testing.assert_array_equal(digits.labels, np.arange(12) % 10)


@pytest.mark.parametrize(("content", "message"), [
    (b"", "damaged"),
    (b"\x00\x00\x08\x03\x00", "damaged"),
    (b"\x89PNG\r\n\x1a\n" + bytes(60), "no IDX file"),
    (idx(np.zeros((2, 3, 3)), kind=13), "no IDX file"),
    (idx(np.zeros((2, 3, 3)))[:-1], "truncated"),
    (idx(np.zeros((2, 3, 3))) + b"x", "truncated, or longer"),
    (struct.pack(">HBB3I", 0, 8, 3, 1 << 20, 1 << 20, 28), "more than 1 GiB"),
])  # fmt: skip
def test_damaged_files_are_one_error(content, message, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(KerasVisionError, match=message):
        read_idx(tmp_path / "file")


@pytest.mark.parametrize("damage", [lambda b: b[:-4], lambda b: b[:20] + b"\x00" * 8 + b[28:], lambda b: b"no gzip"])
def test_damaged_compression_is_one_error(damage, tmp_path):
    whole = gzip.compress(idx(np.random.default_rng(0).integers(0, 255, (9, 28, 28))))
    (tmp_path / "file.gz").write_bytes(damage(whole))
    with pytest.raises(KerasVisionError, match=r"file\.gz"):
        read_idx(tmp_path / "file.gz")


@pytest.mark.parametrize(("labels", "message"), [(np.arange(9), r"\(9,\)"), (np.arange(12), "up to 11")])
def test_labels_that_do_not_fit_are_one_error(labels, message, folder):
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    with pytest.raises(KerasVisionError, match=message):
        mnist(folder)


def test_a_missing_file_or_part_is_one_error(folder, tmp_path):
    with pytest.raises(KerasVisionError, match=r"holds no t10k-images-idx3-ubyte\.gz and no t10k"):
        mnist(folder, "test")
    with pytest.raises(KerasVisionError, match="part='validation'"):
        mnist(folder, "validation")
