"""DRAW against loops in NumPy; counts of Table 3's rows, files, likelihoods, refusals."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from naive_draw import naive_draw, sigmoid

from keras_vision.errors import KerasVisionError
from keras_vision.generative import DRAW, BernoulliNats, log_likelihood, nats, nearest_images, variational_bound
from keras_vision.generative.draw_cell import DRAWCell

SMALL = dict(image_shape=(9, 12, 1), steps=3, units=7, codes=4, read=3, write=4)
ROWS = {  # computed from the equations: one bias for each LSTM gate, no learned initial states
    "mnist": (dict(), 959_467),
    "mnist without attention": (dict(attention=False), 2_749_400),
    "svhn": (dict(row="svhn"), 11_285_442),
    "cifar10": (dict(row="cifar10"), 2_677_685),
}


def small(seed=0, **settings):
    """A small network with weights of some size, and three images."""
    model, rng = DRAW(**{**SMALL, **settings}), np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.3, weight.shape))
    return model, rng.uniform(0, 1, (3, *model.cell.image_shape)).astype("float32")


@pytest.fixture(scope="module")
def drawn():
    return small(learned_start=True)


@pytest.mark.parametrize("name", ROWS)
def test_rows_have_the_counts_of_table_3(name):
    settings, count = ROWS[name]
    model = DRAW(**settings)
    assert sum(weight.numpy().size for weight in model.trainable_weights) == count == model.card.parameters


def test_two_digits_are_drawn_on_60_pixels():
    model = DRAW("two_digits")
    assert model.output["canvas"].shape == (None, 60, 60, 1)
    assert model.output["kl"].shape == (None,)


@pytest.mark.parametrize("settings", [
    dict(), dict(learned_start=True), dict(attention=False), dict(image_shape=(8, 6, 3)), dict(unroll=True),
], ids=str)  # fmt: skip
def test_canvas_and_nats_are_those_of_the_equations(settings):
    model, images = small(**settings)
    noise = model.codes_of(3, seed=1)
    found = model.posterior([images, noise])
    bound = variational_bound(model, images, seed=2)
    other = np.random.default_rng(2).standard_normal((3, model.steps, model.cell.codes), np.float32)
    drawn = model.reconstruct(images, seed=1, steps=True)
    for number, image in enumerate(images.astype("float64")):
        canvases, _ = naive_draw(model, image, noise[number])
        np.testing.assert_allclose(found["canvas"][number], canvases[-1], atol=2e-5)
        np.testing.assert_allclose(drawn[number], sigmoid(canvases), atol=1e-5)
        canvases, latent = naive_draw(model, image, other[number])
        p = sigmoid(canvases[-1])
        assert bound.latent[number] == pytest.approx(latent, rel=1e-4, abs=1e-4)
        assert bound.reconstruction[number] == pytest.approx(
            -(image * np.log(p) + (1 - image) * np.log(1 - p)).sum(), rel=1e-4
        )


def test_the_loss_is_the_bound(drawn):
    """What a step of training reports, with the network's own noise, is the bound in the mean over many samples."""
    model, images = drawn
    model.compile("sgd", nats())
    many = np.repeat(images, 400, axis=0)
    targets = {"canvas": many, "kl": np.zeros(len(many), "float32")}
    found = model.evaluate(many, targets, batch_size=400, verbose=0, return_dict=True)
    bound = variational_bound(model, many)
    spread = (bound.reconstruction + bound.latent).std() / np.sqrt(len(many))
    assert abs(found["loss"] - bound.nats) < 5 * spread + 1e-3
    assert found["loss"] == pytest.approx(found["canvas_loss"] + found["kl_loss"], rel=1e-5)


def test_generation_is_the_decoder_alone(drawn):
    """The same codes give the canvas that the recurrence itself reaches."""
    model, images = drawn
    noise = model.codes_of(3, seed=5)
    outputs = np.asarray(model.posterior([images, noise])["outputs"])
    z = outputs[..., :4] + np.exp(outputs[..., 4:8]) * noise
    drawing = model.draw(z)
    last = sigmoid(np.asarray(model.posterior([images, noise])["canvas"]))
    np.testing.assert_allclose(drawing.canvases[:, -1], last, atol=1e-6)
    for number in range(3):
        window = model.cell.write.window(outputs[number, :, 8:])
        np.testing.assert_allclose(drawing.windows[number, :, 0], window.y, atol=1e-5)
        np.testing.assert_allclose(drawing.windows[number, :, 3], np.sqrt(window.variance), rtol=1e-5)


def test_a_seed_gives_the_same_images_and_none_gives_others(drawn):
    model, _ = drawn
    np.testing.assert_array_equal(model.generate(2, seed=3), model.generate(2, seed=3))
    assert np.abs(model.generate(2) - model.generate(2)).max() > 1e-3
    assert model.generate(1, seed=3).shape == (1, 9, 12, 1)
    sequence = model.generate(2, seed=3, steps=True)
    assert sequence.shape == (2, 3, 9, 12, 1)
    np.testing.assert_array_equal(sequence[:, -1], model.generate(2, seed=3))


def test_a_file_gives_the_same_network(drawn, tmp_path):
    model, images = drawn
    model.save(tmp_path / "draw.keras")
    again = keras.models.load_model(tmp_path / "draw.keras")
    np.testing.assert_array_equal(again.generate(2, seed=0, steps=True), model.generate(2, seed=0, steps=True))
    np.testing.assert_array_equal(again.reconstruct(images, seed=0), model.reconstruct(images, seed=0))
    assert again.card == model.card
    assert again.card.task == "generation"


# ---------------------------------------------------------------------------------------------- likelihoods


def test_weighted_samples_find_the_likelihood_that_is_known():
    """One code in one step, whose integral is done on a grid: the estimate reaches it, the bound does not."""
    model, _ = small(seed=3, image_shape=(3, 3, 1), steps=1, units=3, codes=1, read=2, write=2)
    images = np.random.default_rng(0).integers(0, 2, (2, 3, 3, 1)).astype("float32")
    grid = np.linspace(-8, 8, 4001)[:, None, None].astype("float32")
    p = model.draw(grid).canvases[:, -1].astype("float64")
    density = np.exp(-(grid[:, 0, 0].astype("float64") ** 2) / 2) / np.sqrt(2 * np.pi)
    for image in images:
        likelihood = np.prod(np.where(image == 1, p, 1 - p), axis=(1, 2, 3))
        exact = np.log(np.trapezoid(likelihood * density, grid[:, 0, 0]))
        found = log_likelihood(model, image[None], samples=20_000, seed=1)[0]
        assert found == pytest.approx(exact, abs=0.02)
        bounds = variational_bound(model, np.repeat(image[None], 500, 0))
        assert bounds.nats > -exact


def test_more_samples_do_not_lower_the_estimate(drawn):
    model, images = drawn
    many = np.repeat(images, 200, axis=0)
    one = log_likelihood(model, many, 1)
    assert log_likelihood(model, images, 100).mean() > one.mean()
    spread = 5 * one.std() / np.sqrt(len(many))
    assert -one.mean() == pytest.approx(variational_bound(model, many).nats, abs=2 * spread)


def test_nats_of_pixels_are_keras_cross_entropy_summed():
    rng = np.random.default_rng(0)
    images, logits = rng.uniform(0, 1, (5, 4, 3, 3)).astype("float32"), rng.normal(0, 4, (5, 4, 3, 3)).astype("float32")
    each = keras.losses.binary_crossentropy(images.reshape(5, -1), logits.reshape(5, -1), from_logits=True)
    assert float(BernoulliNats()(images, logits)) == pytest.approx(36 * float(np.mean(each)), rel=1e-5)


def test_the_nearest_training_image_is_found():
    rng = np.random.default_rng(0)
    training, images = rng.uniform(0, 1, (5000, 4, 4, 1)), rng.uniform(0, 1, (6, 4, 4, 1))
    found = nearest_images(images, training)
    distances = np.array([[np.linalg.norm(x - t) for t in training] for x in images])
    np.testing.assert_array_equal(found.indices, distances.argmin(1))
    np.testing.assert_allclose(found.distances, distances.min(1), rtol=1e-6)
    assert nearest_images(training[4500:4502], training).distances.max() < 1e-6
    with pytest.raises(KerasVisionError, match="of one shape"):
        nearest_images(images, training[:, :3])


# ------------------------------------------------------------------------------------------- other backends


def test_jax_gives_the_same(drawn, tmp_path, on_jax):
    model, images = drawn
    model.save(tmp_path / "draw.keras")
    np.savez(
        tmp_path / "draw.npz", images=images, drawn=model.reconstruct(images, seed=0), new=model.generate(2, seed=0)
    )
    code = f"""
        import keras, numpy as np
        from keras_vision.generative import DRAW, nats
        assert keras.backend.backend() == "jax"
        model, known = keras.models.load_model(r"{tmp_path}/draw.keras"), np.load(r"{tmp_path}/draw.npz")
        np.testing.assert_allclose(model.reconstruct(known["images"], seed=0), known["drawn"], atol=1e-5)
        np.testing.assert_allclose(model.generate(2, seed=0), known["new"], atol=1e-5)
        model.compile("adam", nats())
        targets = dict(canvas=known["images"], kl=np.zeros(3, "float32"))
        assert np.isfinite(model.train_on_batch(known["images"], targets)).all()
        """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    subprocess.run(command, env=on_jax, check=True, timeout=120)


def test_mixed_precision_keeps_canvas_and_codes_in_float32(drawn):
    model, images = drawn
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = DRAW(**SMALL, learned_start=True)
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(model.get_weights())
    assert half.cell.decoder.compute_dtype == "float16"
    assert half.cell.decoder.variable_dtype == "float32"
    found = half.posterior([images, half.codes_of(3, seed=0)])
    assert {keras.backend.standardize_dtype(value.dtype) for value in found.values()} == {"float32"}
    expected = model.posterior([images, model.codes_of(3, seed=0)])
    np.testing.assert_allclose(found["canvas"], expected["canvas"], atol=2e-2)
    half.compile(keras.optimizers.Adam(), nats())
    targets = {"canvas": images, "kl": np.zeros(3, "float32")}
    assert np.isfinite(half.train_on_batch(images, targets)).all()
    again = DRAWCell.from_config(half.cell.get_config())
    assert again.encoder.compute_dtype == "float16"


# -------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(("settings", "says"), [
    (dict(row="mnsit"), "row='mnsit'; accepted: mnist, two_digits, svhn, cifar10"),
    (dict(read=1), "a patch of 1 x 1 filters has no stride"),
    (dict(write=29), "on an image of 28 x 28 pixels; give at most 28"),
    (dict(steps=0), "steps=0; give a whole number from 1"),
    (dict(codes=2.5), "codes=2.5; give a whole number from 1"),
    (dict(image_shape=(28, 28)), "give height, width and channels"),
])  # fmt: skip
def test_networks_that_make_no_sense(settings, says):
    with pytest.raises(KerasVisionError, match=says):
        DRAW(**settings)


@pytest.mark.parametrize(("images", "says"), [
    (np.full((2, 9, 12, 1), 255.0), "values from 255 to 255; give intensities from 0 to 1"),
    (np.full((2, 9, 12, 1), -0.1), "values from -0.1 to -0.1"),
    (np.full((2, 9, 12, 1), np.nan), "values from nan to nan"),
    (np.zeros((2, 9, 11, 1)), r"images of shape \(2, 9, 11, 1\); give \(n, 9, 12, 1\)"),
    (np.zeros((0, 9, 12, 1)), "n from 1"),
])  # fmt: skip
def test_images_that_are_none(drawn, images, says):
    model, _ = drawn
    for refused in (model.reconstruct, lambda x: variational_bound(model, x), lambda x: log_likelihood(model, x)):
        with pytest.raises(KerasVisionError, match=says):
            refused(images)


def test_a_single_image_and_rows_of_pixels_do(drawn):
    model, images = drawn
    expected = model.reconstruct(images[:1], seed=0)
    np.testing.assert_array_equal(model.reconstruct(images[:1].reshape(1, -1), seed=0), expected)
    assert variational_bound(model, images[:1]).latent.shape == (1,)
    for call in (lambda: model.generate(0), lambda: log_likelihood(model, images, samples=0)):
        with pytest.raises(KerasVisionError, match="at least one"):
            call()
