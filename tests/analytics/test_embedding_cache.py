"""What was embedded once is not embedded again."""

import contextlib
import sqlite3

import numpy as np
import pytest

from keras_vision.analytics import ImageEmbedder, reading
from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.runtime import open_image


def test_what_was_embedded_is_not_decoded_again(file, paths, photographs, tmp_path, monkeypatch):
    embedder = ImageEmbedder(file, cache=tmp_path / "cache", threads=1, batch_size=1)

    def interrupt(done):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedder.embed(paths, interrupt)
    opened = []
    monkeypatch.setattr(reading, "open_image", lambda encoded: opened.append(1) or open_image(encoded))
    whole = embedder.embed(paths).vectors
    assert 0 < len(opened) <= 3  # two were done, and perhaps begun
    opened.clear()
    (photographs / "top.png").rename(photographs / "renamed.png")
    again = embedder.embed([*paths[:4], photographs / "renamed.png"]).vectors
    assert opened == []
    assert (again == whole).all()


def test_a_cache_of_another_version_is_left_alone(file, photographs, tmp_path):
    embedder = ImageEmbedder(file, cache=tmp_path / "cache")
    expected = embedder.transform([photographs / "top.png"])
    (database,) = (tmp_path / "cache").glob("*.sqlite")
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.warns(KerasVisionWarning, match="format 99, and this version reads 1") as caught:
        found = embedder.transform([photographs / "top.png"])
    assert len(caught) == 1
    assert (found == expected).all()
    database.write_bytes(b"no database" * 1000)
    with pytest.raises(KerasVisionError, match=r"cannot be used as a cache of embeddings .* remove it"):
        embedder.transform([photographs / "top.png"])


def test_another_layer_does_not_read_this_one_s_vectors(model, photographs, tmp_path):
    one, other = (ImageEmbedder(model, pooling=way, backend="keras", cache=tmp_path) for way in ("avg", "max"))
    paths = [photographs / "top.png"]
    assert not np.allclose(one.transform(paths), other.transform(paths))
    assert one.network_hash != other.network_hash
