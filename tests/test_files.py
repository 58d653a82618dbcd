"""Files and folders appear whole or not at all."""

import resource

import numpy as np
import pytest

from keras_vision.compression import pack
from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file, whole_folder


@pytest.fixture
def little_room():
    """No file of more than 4 KiB can be written by this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_what_was_there_stays_where_the_disk_is_full(tmp_path, whole, little_room):
    path = tmp_path / "result"
    if whole is whole_file:
        path.write_text("before")
    else:
        path.mkdir()
        (path / "file").write_text("before")
    raises = pytest.raises(KerasVisionError, match="result cannot be written: File too large")
    with raises, whole(path, overwrite=True) as new:
        (new if whole is whole_file else new / "file").write_bytes(bytes(8192))
    assert (path if whole is whole_file else path / "file").read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["result"]


def test_a_packed_file_that_does_not_fit_is_one_error(tmp_path, little_room):
    import keras

    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(40)])
    model.layers[0].kernel.assign(np.random.default_rng(0).normal(size=(40, 40)))
    with pytest.raises(KerasVisionError, match="cannot be written: File too large"):
        pack(model, tmp_path / "model.kvpack")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_other_errors_pass(tmp_path, whole):
    with pytest.raises(FileNotFoundError), whole(tmp_path / "result"):
        (tmp_path / "lost").read_text()
    assert not list(tmp_path.iterdir())
