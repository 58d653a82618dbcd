"""An interruption in the middle of training."""

import keras


class Stop(Exception):
    pass


class StopAt(keras.callbacks.Callback):
    """Ends training before a step, counted over epochs."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_begin(self, batch, logs=None):
        self.left -= 1
        if self.left < 0:
            raise Stop
