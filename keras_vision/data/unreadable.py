"""Images that a pipeline could not read: counted, named, replaced, and too many of them refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vision.data.sources import Source
from keras_vision.errors import ImageError, KerasVisionError, KerasVisionWarning
from keras_vision.runtime.images import open_image

_NAMED = 5  # files in one message


class Unreadable:
    """The unreadable images of a data set, as far as they were met.

    Args:
        images: the data set.
        source: of its images.
        tolerated: share of the images that may be unreadable.
        replace: other images of the batch take their places, so that batches keep their size.

    Attributes:
        reasons: name of each to what is wrong with it.
        error: raised because there were too many, or None.
    """

    def __init__(self, images: Any, source: Source, tolerated: float, replace: bool):
        self._images, self._source, self._tolerated, self._replace = images, source, tolerated, replace
        self._positions: set[int] = set()
        self.reasons: dict[str, str] = {}
        self.error: KerasVisionError | None = None

    def kept(self, readable: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Places in the batch of the images to take; warns of those that were not met before.

        Raises:
            KerasVisionError: too many images are unreadable.
        """
        self._note([p for p in positions[~readable].tolist() if p not in self._positions])
        good = np.flatnonzero(readable)
        if not self._replace or not len(good):
            return good
        places = np.arange(len(readable))
        return np.where(readable, places, good[places % len(good)])

    def _note(self, positions: list[int]) -> None:
        new = {self._source.name(position): self._reason(position) for position in positions}
        self._positions.update(positions)
        self.reasons.update(new)
        named = "; ".join(f"{name}: {reason}" for name, reason in list(new.items())[:_NAMED])
        named += f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
        if len(self._positions) > self._tolerated * len(self._images):
            self.error = KerasVisionError(
                f"{len(self._positions)} of {len(self._images)} images cannot be read, more than the tolerated "
                f"{self._tolerated:.1%}: {named or 'see above'}. Leave them out with a skip list (`keras-vision data "
                "scan`), or raise tolerated=."
            )
            raise self.error
        if new:
            warnings.warn(f"left out, as they cannot be read: {named}", KerasVisionWarning, stacklevel=2)

    def _reason(self, position: int) -> str:
        try:
            np.asarray(open_image(self._source.read(position)))
            for annotation in ("mask", "boundaries"):
                if (look := getattr(self._images, annotation, None)) is not None:
                    look(position)
        except ImageError as error:
            return error.reason
        except tf.errors.OpError as error:
            return error.message
        except (KerasVisionError, OSError) as error:
            return str(error)
        return "not read by TensorFlow; convert it to JPEG or PNG"
