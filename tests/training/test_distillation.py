"""Distillation and label refinement: the loss in NumPy, in `fit`, and on handwritten digits."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_vision.errors import KerasVisionError
from keras_vision.training import Distiller, distillation_loss

rng = np.random.default_rng(0)
TEACHER, STUDENT = rng.normal(0, 2, (2, 9, 5)).astype("float32")


def softmax(x):
    e = np.exp(x.astype(float) - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def naive(teacher, student, temperature):
    losses = []
    for t, s in zip(teacher, student, strict=True):
        p, q = softmax(t / temperature), softmax(s / temperature)
        losses.append(temperature**2 * sum(p[i] * np.log(p[i] / q[i]) for i in range(len(p))))
    return np.array(losses)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_loss_equals_the_formula_from_logits_and_from_probabilities(temperature):
    expected = naive(TEACHER, STUDENT, temperature)
    np.testing.assert_allclose(distillation_loss(TEACHER, STUDENT, temperature, True), expected, rtol=1e-4, atol=1e-5)
    of_probabilities = distillation_loss(
        softmax(TEACHER).astype("float32"), softmax(STUDENT).astype("float32"), temperature
    )
    np.testing.assert_allclose(of_probabilities, expected, rtol=1e-3, atol=1e-4)


def test_the_gradient_keeps_its_weight_at_high_temperatures():
    """Section 2.1: for high T it tends to ``(student - teacher) / classes`` of centred logits."""
    import tensorflow as tf

    student = tf.constant(STUDENT)
    with tf.GradientTape() as tape:
        tape.watch(student)
        loss = tf.reduce_sum(distillation_loss(TEACHER, student, 200.0, True))
    centred = [x - x.mean(axis=1, keepdims=True) for x in (STUDENT, TEACHER)]
    np.testing.assert_allclose(tape.gradient(loss, student), (centred[0] - centred[1]) / 5, atol=0.02)


def network(seed, units=8, inputs=64, classes=10):
    keras.utils.set_random_seed(seed)
    hidden = [keras.layers.Dense(units, "relu")] if units else []
    return keras.Sequential([keras.Input((inputs,)), *hidden, keras.layers.Dense(classes, "softmax")])


def digits():
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x, y = (data.data / 16).astype("float32")[order], data.target[order]
    return (x[:1000], y[:1000]), (x[1000:], y[1000:])


@pytest.mark.parametrize("hard", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_training_loss_is_the_weighed_sum(hard, weighted):
    (x, y), _ = digits()
    x, y = x[:20], y[:20]
    student, teacher = network(0), network(1)
    distiller = Distiller(student, teacher, temperature=3.0, hard=hard)
    distiller.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", jit_compile=False)
    weights = np.random.default_rng(1).random(20).astype("float32") if weighted else None
    p, q = np.asarray(teacher(x)), np.asarray(student(x))
    soft, labels = naive(np.log(p), np.log(q), 3.0), -np.log(q[np.arange(20), y])
    each = (1 - hard) * soft + hard * labels
    expected = np.mean(each if weights is None else each * weights)
    assert float(distiller.train_on_batch(x, y, weights)) == pytest.approx(expected, rel=1e-4)


def test_trains_the_student_alone_and_saves_it(tmp_path):
    train, test = digits()
    teacher = network(1, 64)
    teacher.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    teacher.fit(*train, epochs=30, batch_size=32, verbose=0)
    before, student = teacher.get_weights(), network(0, 16)
    distiller = Distiller(student, teacher)
    assert len(distiller.trainable_variables) == len(student.trainable_variables)
    distiller.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="val_accuracy", save_best_only=True)
    history = distiller.fit(
        *train, epochs=15, batch_size=32, validation_data=test, verbose=0, callbacks=[checkpoint]
    ).history
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    agreement = np.mean(np.argmax(student.predict(test[0], verbose=0), 1) == np.argmax(teacher(test[0]), 1))
    assert agreement > 0.9
    assert history["val_accuracy"][-1] > 0.9
    for old, new in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    loaded = keras.saving.load_model(tmp_path / "best.keras")
    assert isinstance(loaded, keras.Sequential)
    assert [w.shape for w in loaded.weights] == [w.shape for w in student.weights]
    distiller.save(tmp_path / "last.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "last.keras")(test[0]), student(test[0]))


def test_refined_labels_alone_teach_from_images_without_labels():
    """`hard=0`: the labels given are wrong on purpose."""
    (x, y), test = digits()
    teacher, student = network(1, 64), network(0)
    teacher.compile("adam", "sparse_categorical_crossentropy")
    teacher.fit(x, y, epochs=30, batch_size=32, verbose=0)
    refinery = Distiller(student, teacher, temperature=1.0, hard=0.0)
    refinery.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    refinery.fit(x, np.zeros_like(y), epochs=15, batch_size=32, verbose=0)
    assert np.mean(np.argmax(student(test[0]), 1) == test[1]) > 0.88


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(teacher=network(0, classes=7)), "student of 10 classes and a teacher of 7"),
        (dict(temperature=0), "temperature=0"),
        (dict(hard=1.5), "hard=1.5"),
    ],
)
def test_wrong_settings_are_errors(wrong, message):
    with pytest.raises(KerasVisionError, match=message):
        Distiller(network(0), **(dict(teacher=network(1)) | wrong))


@pytest.mark.parametrize("hard", [0, 0.1, 1])
def test_regularisers_of_the_student_count_whole(hard):
    def student(penalty):
        regularizer = keras.regularizers.L2(penalty) if penalty else None
        dense = keras.layers.Dense(2, kernel_initializer="ones", kernel_regularizer=regularizer)
        return keras.Sequential([keras.Input((3,)), dense])

    x, y = np.eye(3, dtype="float32"), np.array([0, 1, 0])
    losses = []
    for penalty in (0.0, 0.5):
        distiller = Distiller(student(penalty), student(0.0), temperature=2, hard=hard, from_logits=True)
        distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        losses.append(float(distiller.compute_loss(x, y, distiller(x, training=True), training=True)))
    assert losses[1] - losses[0] == pytest.approx(0.5 * 6, rel=1e-5)
