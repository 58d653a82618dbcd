"""TensorBoard: curves, and what the network sees."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.runtime import Preprocessing

EXAMPLES = 16


def board(folder: Path, batches: tf.data.Dataset, preprocessing: Preprocessing) -> list[keras.callbacks.Callback]:
    """Callbacks that write for TensorBoard: metrics and learning rate of each epoch, and once some training images.

    Args:
        folder: to give to `tensorboard --logdir`.
        batches: normalised images, as the network gets them, and targets.
        preprocessing: of the network.

    Raises:
        KerasVisionError: TensorBoard is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise KerasVisionError('TensorBoard is not installed; run: pip install "keras-vision[tensorboard]".')
    return [keras.callbacks.TensorBoard(folder, write_graph=False), _Examples(folder / "train", batches, preprocessing)]


class _Examples(keras.callbacks.Callback):
    def __init__(self, folder: Path, batches: tf.data.Dataset, preprocessing: Preprocessing):
        super().__init__()
        self.folder, self.batches, self.preprocessing = folder, batches, preprocessing

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        images = next(iter(self.batches))[0][:EXAMPLES].numpy()
        with tf.summary.create_file_writer(str(self.folder)).as_default():
            tf.summary.image("training images", shown(images, self.preprocessing), step=0, max_outputs=EXAMPLES)


def shown(images: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Normalised images `(n, h, w, c)` as pixels from 0 to 1, RGB or grey."""
    pixels = images * np.asarray(preprocessing.std) + np.asarray(preprocessing.mean)
    pixels = pixels[..., ::-1] if preprocessing.color == "BGR" else pixels
    return np.clip(pixels / 255, 0, 1).astype(np.float32)
