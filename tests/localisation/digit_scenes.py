"""Handwritten digits pasted at random place and size on photographs, and a small VGG that learns to find them."""

import gzip

import keras
import numpy as np
from keras import layers
from PIL import Image
from small_networks import with_card

from keras_vision.model import VisionModel

SIZE = 64  # of the network's input, in pixels
DIGITS = (22, 45)  # smallest and largest height of a pasted digit's square of 28 x 28


class Source:
    """The digits and photographs of one split, of which scenes are made."""

    def __init__(self, shared, split, photographs):
        name = {"train": "train", "test": "t10k"}[split]
        images, labels = (
            gzip.decompress((shared / f"data/mnist/{name}-{kind}-ubyte.gz").read_bytes())
            for kind in ("images-idx3", "labels-idx1")
        )
        self.digits = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
        self.labels = np.frombuffer(labels, np.uint8, offset=8).astype(int)
        paths = sorted((shared / "data/imagenet_sample").glob("*.JPEG"))[photographs]
        self.photographs = [self._read(path) for path in paths]

    @staticmethod
    def _read(path):
        with Image.open(path) as image:
            image.draft("RGB", (240, 240))
            return image.convert("RGB").resize((200, 160), Image.Resampling.BILINEAR)

    def scene(self, rng, height, width, inside=True):
        """Pixels `(height, width, 3)`, class, box of the ink; `inside=False`: only the digit's centre surely is."""
        photograph = self.photographs[rng.integers(len(self.photographs))]
        left, top = rng.integers(photograph.width - width + 1), rng.integers(photograph.height - height + 1)
        canvas = np.asarray(photograph.crop((left, top, left + width, top + height)), np.float32) * 0.7
        index, side = rng.integers(len(self.digits)), rng.integers(*DIGITS)
        ink = np.asarray(Image.fromarray(self.digits[index]).resize((side, side), Image.Resampling.BILINEAR))
        margin = 0 if inside else side // 2
        y, x = (rng.integers(-margin, size - side + margin + 1) for size in (height, width))
        alpha = np.pad(ink / np.float32(255), ((height, height), (width, width)))
        alpha = alpha[height - y : 2 * height - y, width - x : 2 * width - x, None]
        rows, columns = (np.flatnonzero(ink.max(axis) > 64) for axis in (1, 0))
        box = [x + columns[0], y + rows[0], x + columns[-1] + 1, y + rows[-1] + 1]
        return (canvas * (1 - alpha) + 255 * alpha).astype(np.uint8), self.labels[index], box

    def scenes(self, count, seed, height=SIZE, width=SIZE, inside=True):
        """Images, classes `(count,)`, boxes `(count, 4)`."""
        rng = np.random.default_rng(seed)
        images, labels, boxes = zip(*(self.scene(rng, height, width, inside) for _ in range(count)), strict=True)
        return np.stack(images), np.array(labels), np.array(boxes, float)


def small_vgg(stages):
    """A VGG for 64 x 64 pixels and ten classes; `stages` are the filters of each, one convolution and a pooling."""
    image = x = keras.Input((SIZE, SIZE, 3))
    for stage, filters in enumerate(stages, 1):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{stage}_1")(x)
        x = layers.MaxPooling2D(2, name=f"pool{stage}")(x)
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc6", "fc7"):
        x = layers.Dropout(0.2)(layers.Dense(256, activation="relu", name=name)(x))
    x = layers.Dense(10, activation="softmax", name="fc8")(x)
    return with_card(VisionModel(image, x, name="digits"), resize_shorter=SIZE)


def fit(model, images, targets, loss, epochs, rate=1e-3):
    inputs = model.preprocessing.normalize(images)
    steps = epochs * -(-len(inputs) // 64)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps), clipnorm=1.0), loss)
    model.fit(inputs, targets, batch_size=64, epochs=epochs, verbose=0)
