"""Training with a teacher's outputs in place of labels, or beside them."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vision.errors import KerasVisionError


@keras.saving.register_keras_serializable("keras_vision")
class Distiller(keras.Model):
    """A student in training by a teacher; compile and fit it like the student, whose weights it trains.

    ``hard * loss(y, student) + (1 - hard) * T**2 * KL(teacher_T || student_T)``, with the compiled loss, and where
    ``p_T = softmax(logits / T)``; the student's regularisers are added whole. T**2 keeps the weight of the second term
    when T changes. The teacher sees the same
    images as the student, augmented alike, and stays as it is: in inference mode, none of its weights trained.

    - Distillation: `temperature` 2 to 20 and a small `hard` (Hinton et al., 2015, section 2).
    - Label refinement: `temperature=1, hard=0`; a student of the teacher's own kind, trained to convergence, is the
      next teacher (Bagherinezhad et al., 2018).

    Evaluation, prediction and `save` are the student's own.

    Args:
        student, teacher: models of one output `(n, classes)`, of the same classes, from the same images.
        temperature: T, above 0.
        hard: weight of the labels, from 0 to 1.
        from_logits: whether the outputs are logits; else probabilities, whose logarithms are taken.

    Raises:
        KerasVisionError: models of other classes, a temperature or a weight out of range.

    Source: Hinton, Vinyals, Dean (2015); Bagherinezhad et al. (2018).
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model,
        temperature: float = 4.0,
        hard: float = 0.1,
        from_logits: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if student.output_shape[-1] != teacher.output_shape[-1]:
            raise KerasVisionError(
                f"a student of {student.output_shape[-1]} classes and a teacher of {teacher.output_shape[-1]}: "
                "both need the same."
            )
        if not temperature > 0 or not 0 <= hard <= 1:
            raise KerasVisionError(
                f"temperature={temperature!r}, hard={hard!r}; give a temperature above 0 and a weight from 0 to 1."
            )
        self.student, self.temperature, self.hard, self.from_logits = student, temperature, hard, from_logits
        self._teacher = lambda: teacher  # hidden from Keras: its weights are not this model's

    @property
    def teacher(self) -> keras.Model:
        """The teacher, which is no part of what is trained or saved."""
        return self._teacher()

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.student(inputs, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        if not training:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        soft = distillation_loss(self.teacher(x, training=False), y_pred, self.temperature, self.from_logits)
        if sample_weight is not None:
            soft = soft * ops.cast(ops.reshape(sample_weight, (-1,)), soft.dtype)
        # Keras sums gradients over the replicas, and scales its own losses for it.
        soft = (1 - self.hard) * ops.mean(soft) / _replicas()
        penalties = sum((self._aggregate_additional_loss(loss) for loss in self.losses), ops.zeros(()))
        if not self.hard:
            return soft + penalties
        given = super().compute_loss(x, y, y_pred, sample_weight, training)  # with the penalties
        return soft + self.hard * given + (1 - self.hard) * penalties

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the student alone; arguments as of `keras.Model.save`."""
        self.student.save(*args, **kwargs)


def _replicas() -> int:
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def distillation_loss(teacher: Any, student: Any, temperature: float, from_logits: bool = False) -> Any:
    """``T**2 * KL(teacher_T || student_T)`` of each image: two times `(n, classes)` to `(n,)`.

    Source: Hinton, Vinyals, Dean (2015), Equation 1 and section 2.
    """
    log_p, log_q = (_log_softened(outputs, temperature, from_logits) for outputs in (teacher, student))
    log_p = ops.stop_gradient(log_p)
    return temperature**2 * ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


def _log_softened(outputs: Any, temperature: float, from_logits: bool) -> Any:
    outputs = ops.cast(outputs, "float32")
    logits = outputs if from_logits else ops.log(ops.maximum(outputs, 1e-7))
    return ops.log_softmax(logits / temperature, axis=-1)
