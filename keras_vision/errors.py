"""The package's own errors and warnings. A leaf: it imports nothing, and every module may import it."""


class KerasVisionError(ValueError):
    """Something given to keras_vision cannot be used; the message says what was given and what to do."""


class WeightsError(KerasVisionError):
    """A weight file is missing, damaged, or belongs to another network."""


class ExportError(KerasVisionError):
    """An exported file could not be written, or does not agree with the Keras model."""


class ImageError(KerasVisionError):
    """An image file cannot be decoded. `reason` is the message without the file's name."""

    def __init__(self, source: object, reason: str):
        super().__init__(f"{source}: {reason}")
        self.reason = reason


class KerasVisionWarning(UserWarning):
    """Something was done that the caller may not expect, such as a new classifier in place of the trained one."""
