"""One training loop for one device, several devices and several machines, which goes on after an interruption.

It runs the `train_step` of a compiled Keras model, so losses, metrics, mixed precision, gradient accumulation and
moving averages are Keras' own, and drives `keras.callbacks`. `Model.fit` is as good on one device; on several machines
it fails (Keras 3.15), and it cannot begin in the middle of an epoch.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.training import snapshot
from keras_vision.training.snapshot import Place
from keras_vision.training.strategy import is_chief, summed, workers

# Number of the epoch from 0, and its finished steps, to the batches that are left.
Epochs = Callable[[int, int], tf.data.Dataset]
Logs = dict[str, float]
AutoShardPolicy = tf.data.experimental.AutoShardPolicy

_AGREE_EVERY = 8  # steps after which several machines ask each other whether a snapshot is due


def train(
    model: keras.Model,
    data: Epochs | tf.data.Dataset,
    *,
    epochs: int,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation: tf.data.Dataset | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    strategy: tf.distribute.Strategy | None = None,
    snapshots: Path | None = None,
    every: float = 600.0,
) -> list[Logs]:
    """Train a compiled model; the metrics of each epoch.

    With `snapshots`, an interrupted call goes on where the last one stopped, if the data are the same and in the same
    order: with the same result, bit for bit, where TensorFlow's operations are deterministic
    (`tf.config.experimental.enable_op_determinism`).

    Args:
        model: compiled; under a strategy, built and compiled in its scope and with `jit_compile=False`.
        data: batches of all replicas together; or a function of the epoch and of the steps to leave out. With several
            machines all read the same data, and TensorFlow gives each its share of every batch.
        epochs: number of the last epoch; all are counted, those before an interruption too.
        initial_epoch: epochs that other training had before, as in `fit`; the first here has this number, from 0.
        steps_per_epoch: what callbacks are told, such as a progress bar; an epoch ends with its data all the same.
        validation: batches, of which the metrics are called `val_...`.
        callbacks: Keras' or others; what they count is in the snapshot, too (see `snapshot.counts_of`).
        strategy: see `strategy_of`; None for the current one.
        snapshots: file that is written after each epoch and every so often within it. With several machines it has to
            be on a disk that all read. Another constant learning rate than before takes the place of the one in it.
            Where a callback ended training, the same call returns what there is: remove the file to go on. Batch
            norm that is not synchronised has statistics of its own on each replica, of which the first's are kept.
        every: seconds between snapshots.

    Raises:
        KerasVisionError: a model that is not compiled, no batches, a loss that is not finite, a worker that was lost,
            or a snapshot of something else.
    """
    if not getattr(model, "compiled", False) or not isinstance(epochs, int) or epochs < 1:
        raise KerasVisionError(f"epochs={epochs!r} of a model; give at least one, and compile the model first.")
    if snapshots is not None and any(getattr(callback, "restore_best_weights", False) for callback in callbacks):
        raise KerasVisionError(
            "EarlyStopping(restore_best_weights=True) keeps weights that no snapshot holds; use ModelCheckpoint beside "
            "EarlyStopping, or no snapshots."
        )
    if not 0 <= initial_epoch < epochs:
        raise KerasVisionError(f"initial_epoch={initial_epoch} with epochs={epochs}; give one from 0, below epochs.")
    strategy = strategy or tf.distribute.get_strategy()
    loop = _Loop(
        model, data, (initial_epoch, epochs), steps_per_epoch, validation, callbacks, strategy, snapshots, every
    )
    try:
        return loop.run()
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        raise KerasVisionError(
            f"a worker was lost ({str(error).splitlines()[0]}). Start all of them again with the same command: "
            "training goes on after the last snapshot."
        ) from error


@dataclasses.dataclass
class _Loop:
    model: keras.Model
    data: Epochs | tf.data.Dataset
    epochs: tuple[int, int]
    steps: int | None
    validation: tf.data.Dataset | None
    own_callbacks: Sequence[keras.callbacks.Callback]
    strategy: tf.distribute.Strategy
    snapshots: Path | None
    every: float

    def run(self) -> list[Logs]:
        model = self.model
        self._build()
        self.train_step, self.test_step = self._compiled(model.train_step), self._compiled(model.test_step)
        self.callbacks = keras.callbacks.CallbackList(
            self.own_callbacks, model=model, epochs=self.epochs[1], steps=self.steps, verbose=0
        )
        model.stop_training = False
        self.rate = self._constant_rate()
        self.callbacks.on_train_begin()
        place = self._resumed()
        self.saved = time.monotonic()
        while place.epoch < self.epochs[1] and not place.stopped:
            place = self._epoch(place)
        model.optimizer.finalize_variable_values(model.trainable_variables)
        self.callbacks.on_train_end(place.history[-1] if place.history else None)
        return list(place.history)

    def _epoch(self, place: Place) -> Place:
        if not place.step:
            self.callbacks.on_epoch_begin(place.epoch)
            self.model.reset_metrics()
        for batch in self._batches(place):
            self.callbacks.on_train_batch_begin(place.step)
            logs = self.train_step(batch)
            if not math.isfinite(loss := float(logs["loss"])):
                raise KerasVisionError(self._not_finite(place, loss))
            self.callbacks.on_train_batch_end(place.step, logs)
            place = dataclasses.replace(place, step=place.step + 1)
            if self.model.stop_training:
                break
            if self._is_due(place.step):
                self._save(place)
        if not place.step:
            raise KerasVisionError(f"epoch {place.epoch + 1} has no batches; give data of at least one.")
        logs = {key: float(value) for key, value in self.model.get_metrics_result().items()} | self._validated()
        self.callbacks.on_epoch_end(place.epoch, logs)
        self.model.reset_metrics()
        place = Place(place.epoch + 1, 0, (*place.history, logs), bool(self.model.stop_training))
        self._save(place)
        return place

    def _validated(self) -> Logs:
        if self.validation is None:
            return {}
        self.callbacks.on_test_begin()
        self.model.reset_metrics()
        for number, batch in enumerate(self.strategy.experimental_distribute_dataset(_untuned(self.validation))):
            self.callbacks.on_test_batch_begin(number)
            self.callbacks.on_test_batch_end(number, self.test_step(batch))
        logs = {key: float(value) for key, value in self.model.get_metrics_result().items()}
        self.callbacks.on_test_end(logs)
        return {f"val_{key}": value for key, value in logs.items()}

    def _build(self) -> None:
        """Create all variables now: under a strategy, TensorFlow cannot do it while it traces a step."""
        spec = self.data(0, 0).element_spec if callable(self.data) else self.data.element_spec
        with self.strategy.scope():
            self.model.optimizer.build(self.model.trainable_variables)
            self.model._symbolic_build(data_batch=spec)

    def _compiled(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def run(batch: Any) -> Any:
            self.strategy.run(step, args=(batch,))
            return self.model.get_metrics_result()  # of all replicas

        if self.model.run_eagerly:
            return run
        return tf.function(run, jit_compile=self.model.jit_compile, reduce_retracing=True)

    def _batches(self, place: Place) -> Iterator[Any]:
        left = self.data(place.epoch, place.step) if callable(self.data) else self.data.skip(place.step)
        if left.options().experimental_distribute.auto_shard_policy == AutoShardPolicy.AUTO:
            options = tf.data.Options()  # by files, each worker would leave out the steps of all
            options.experimental_distribute.auto_shard_policy = AutoShardPolicy.DATA
            left = left.with_options(options)
        for batch in self.strategy.experimental_distribute_dataset(_untuned(left)):
            if self.strategy.num_replicas_in_sync > 1:
                self._check_full(batch)
            yield batch

    def _check_full(self, batch: Any) -> None:
        """An empty part makes the statistics of batch norm not finite, without a word."""
        parts = self.strategy.experimental_local_results(keras.tree.flatten(batch)[0])
        if any(part.shape[0] == 0 for part in parts):
            raise KerasVisionError(
                f"a batch of {sum(part.shape[0] for part in parts)} images leaves one of "
                f"{self.strategy.num_replicas_in_sync} replicas without any; use batch(..., drop_remainder=True)."
            )

    def _resumed(self) -> Place:
        place, replicas = Place(self.epochs[0]), self.strategy.num_replicas_in_sync
        if self.snapshots is not None and self.snapshots.exists():
            if (place := snapshot.place_of(self.snapshots)).step:
                self.callbacks.on_epoch_begin(place.epoch)  # before the variables, which it has changed already
            snapshot.load(self.snapshots, self.model, self.own_callbacks, replicas, self.rate)
        if (count := workers(self.strategy)) > 1:
            here = [float(place.epoch), float(place.step)]
            if (summed(self.strategy, here) != [count * value for value in here]).any():
                raise KerasVisionError(
                    f"{self.snapshots} differs from worker to worker; put it on a disk that all read."
                )
        return place

    def _constant_rate(self) -> float | None:
        """The learning rate that the model was compiled with; None for a schedule."""
        rate = self.model.optimizer.get_config().get("learning_rate")
        return rate if isinstance(rate, float) else None

    def _is_due(self, step: int) -> bool:
        if self.snapshots is None:
            return False
        due = time.monotonic() - self.saved >= self.every
        if workers(self.strategy) == 1:
            return due
        return not step % _AGREE_EVERY and bool(summed(self.strategy, [float(due)])[0])

    def _save(self, place: Place) -> None:
        if self.snapshots is None:
            return
        # On every worker: to read some variables, all have to take part.
        arrays = snapshot.arrays_of(self.model, self.own_callbacks)
        if is_chief(self.strategy):
            counts = [snapshot.counts_of(callback) for callback in self.own_callbacks]
            replicas = self.strategy.num_replicas_in_sync
            snapshot.save(self.snapshots, arrays, place, counts, replicas, self.rate)
        self.saved = time.monotonic()

    def _not_finite(self, place: Place, loss: float) -> str:
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        kept = f" {self.snapshots} keeps what was good." if self.snapshots and self.snapshots.exists() else ""
        return (
            f"the loss is {loss} in epoch {place.epoch + 1} at batch {place.step + 1}, with a learning rate of "
            f"{rate:g}.{kept} Lower the rate, clip the gradients, or look at this batch."
        )


def _untuned(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Without TensorFlow's tuning of threads and buffers, unless the options ask for it.

    Tuning comes after 10 ms, 20 ms, 40 ms and so on, each wait twice as long, up to a minute. In TensorFlow 2.21 the
    iterator of a generator or of a `map` that is not parallel ends at the next of them: epochs last up to twice as
    long.
    """
    options = tf.data.Options()
    options.autotune.enabled = bool(batches.options().autotune.enabled)
    return batches.with_options(options)
