"""Show, Attend and Tell against loops in NumPy; gradients; captions word by word; files; refusals."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from naive_caption import first, log_softmax, naive_caption, naive_loss, naive_step, weights_of
from small_caption_models import SMALL, WORDS, annotations_of, captions_of, small_model

from keras_vision.captioning import Objective, ShowAttendTell
from keras_vision.captioning.attend_cell import AttendCell, LocationNoise
from keras_vision.captioning.show_attend_tell import CaptionModel
from keras_vision.captioning.telling import caption_layers, telling
from keras_vision.errors import KerasVisionError
from keras_vision.runtime.caption_words import END, NEVER, START


@pytest.fixture(scope="module")
def models():
    return {row: small_model(row) for row in ("soft", "hard", "mean")}


@pytest.mark.parametrize("row", ["soft", "hard", "mean"])
def test_words_and_attention_are_those_of_the_equations(models, row):
    model = models[row]
    annotations, (before, _) = annotations_of(model), captions_of()
    found = model.decoder([annotations, before], training=False)
    np.testing.assert_allclose(np.asarray(found["attention"]).sum(-1), 1, atol=1e-6)
    for number in range(3):
        logits, alpha = naive_caption(model, annotations[number], before[number])
        np.testing.assert_allclose(found["words"][number], logits, atol=1e-5)
        np.testing.assert_allclose(found["attention"][number], alpha, atol=1e-6)


@pytest.mark.parametrize("row", ["soft", "hard", "mean"])
def test_a_step_is_that_of_the_equations_and_one_memory_serves_many_words(models, row):
    model = models[row]
    annotations, words = annotations_of(model, 1), np.array([START, 5, 7, 9], "int32")
    h, c, *looked = model.first_states(annotations)
    states = [np.repeat(h, 4, axis=0), np.repeat(c, 4, axis=0), *looked]
    logits, (h_after, c_after, *_), alpha = model.next_word(words, states)
    for number, word in enumerate(words):
        expected = naive_step(model, annotations[0].astype(float), word, *first(model, annotations[0].astype(float)))
        for one, other in zip((logits, h_after, c_after, alpha), expected, strict=True):
            np.testing.assert_allclose(one[number], other, atol=1e-5)


def test_the_loss_is_likelihood_and_doubly_stochastic_penalty(models):
    model, (before, words) = models["soft"], captions_of()
    annotations = annotations_of(model)
    found = model.decoder([annotations, before], training=False)
    costs = Objective(penalty=0.7).costs(words, found)
    for number in range(3):
        loss, log_p = naive_loss(model, annotations[number], before[number], words[number], penalty=0.7)
        assert float(costs.log_p[number]) == pytest.approx(log_p, abs=1e-4)
        assert float(costs.loss[number]) == pytest.approx(loss, abs=1e-4)


def test_soft_gradients_are_finite_differences(models):
    """Along a random direction of each weight's space: TensorFlow's gradient, and differences of the loops in NumPy."""
    model, (before, words) = models["soft"], captions_of()
    annotations, rng = annotations_of(model), np.random.default_rng(0)
    weights = model.decoder.trainable_weights
    with tf.GradientTape() as tape:
        loss = model.decoder.compute_loss(y=words, y_pred=model.decoder([annotations, before], training=False))
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    assert len(weights) == 19
    for weight, gradient in zip(weights, gradients, strict=True):
        own, name = weights_of(model), "/".join(weight.path.split("/")[-2:])
        direction, slopes = rng.normal(0, 1, weight.shape), []
        for step in (1e-5, -1e-5):
            moved = {**own, name: own[name] + step * direction}
            losses = [naive_loss(model, annotations[k], before[k], words[k], 1.0, moved)[0] for k in range(3)]
            slopes.append(np.mean(losses))
        slope = (slopes[0] - slopes[1]) / 2e-5
        found = float((np.asarray(tf.convert_to_tensor(gradient)) * direction).sum())
        assert found == pytest.approx(slope, rel=1e-3, abs=1e-4), name


# ------------------------------------------------------------------------------------------- hard attention


def enumerated(weights, words, targets, model, annotations):
    """The exact gradient of ``-sum_s p(s) log p(y | s)`` over all s, by TensorFlow on each."""
    locations = model.cell.locations
    with tf.GradientTape() as tape:
        total = 0.0
        for way in itertools.product(range(locations), repeat=len(words)):
            log_s, log_p = along(model, annotations, words, targets, way)
            total -= tf.exp(log_s) * log_p
    return tape.gradient(total, weights)


def along(model, annotations, words, targets, way):
    """log p(s | a) and log p(y | s, a) where the decoder looks at given locations."""
    cell = model.cell
    states, log_s, log_p = model.first_states(annotations), 0.0, 0.0
    for word, target, place in zip(words, targets, way, strict=True):
        h, c, a, keys = states
        alpha = cell.alpha(h, a, keys)
        embedded = model.get_layer("embedding")(np.array([word]))
        z = a[:, place]
        _, (h, c) = cell.lstm(tf.concat([embedded, z], -1), [h, c])
        total = embedded + model.get_layer("output_h")(h) + model.get_layer("output_z")(z)
        log_p += tf.nn.log_softmax(model.get_layer("output")(total))[0, target]
        log_s += tf.math.log(alpha[0, place])
        states = [h, c, a, keys]
    return log_s, log_p


def test_reinforce_agrees_with_the_gradient_over_all_locations():
    """The mean over 40,000 samples, in 100 batches, within three standard errors of the enumerated gradient."""
    decoder = four_locations()
    annotations = np.random.default_rng(5).normal(0, 1, (1, 4, decoder.cell.channels)).astype("float32")
    words, targets = [START, 5], [5, 7]
    weights = [decoder.cell.query.kernel.value, decoder.cell.score.kernel.value, decoder.cell.lstm.bias.value]
    exact = [np.asarray(g) for g in enumerated(weights, words, targets, decoder, annotations)]
    objective = Objective(entropy=0.0)
    many, before = np.repeat(annotations, 400, 0), np.repeat([words], 400, 0).astype("int32")
    wanted = np.repeat([targets], 400, 0).astype("int32")

    @tf.function
    def sampled(baseline):
        with tf.GradientTape() as tape:
            costs = objective.costs(wanted, decoder([many, before], training=True), baseline)
            loss = tf.reduce_mean(costs.loss)
        return tape.gradient(loss, weights)

    for baseline in (0.0, -4.0):  # which changes the spread and not the mean
        found = [sampled(tf.constant(baseline)) for _ in range(100)]
        for number, expected in enumerate(exact):
            batches = np.stack([np.asarray(gradients[number]) for gradients in found])
            error = batches.std(0, ddof=1) / np.sqrt(len(batches))
            off = np.abs(batches.mean(0) - expected) / (error + 1e-7)
            assert np.sqrt((off**2).mean()) < 1.5
            assert (off < 3).mean() > 0.97
            assert np.abs(expected).max() > 10 * error.mean()  # there is something to agree with


def four_locations():
    """A decoder with four locations and six channels."""
    cell = AttendCell(5, 4, locations=4, channels=6, keys=4, attention="hard", gate=False)
    parts = caption_layers(cell, len(WORDS), 0.0, 0.0, seed=7)
    annotations, words = keras.Input((4, 6)), keras.Input((None,), dtype="int32")
    outputs = telling(parts.__getitem__, cell, annotations, words)
    decoder = CaptionModel([annotations, words], outputs).spoken(WORDS, (2, 2))
    rng = np.random.default_rng(8)
    for weight in decoder.trainable_weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    return decoder


def test_locations_are_sampled_by_alpha_and_half_of_the_images_take_the_expectation():
    cell = AttendCell(3, 2, locations=4, channels=3, keys=3, attention="hard", gate=False)
    alpha = np.array([0.1, 0.2, 0.3, 0.4], "float32")
    noisy = np.asarray(LocationNoise(4, expected=0.5, seed=1)(np.zeros((8000, 2, 2), "float32"), training=True))
    expected = noisy[:, :, -1]
    np.testing.assert_array_equal(expected[:, 0], expected[:, 1])  # of an image in all of its words
    assert abs(expected.mean() - 0.5) < 4 * 0.5 / np.sqrt(8000)
    chosen = np.asarray(cell.chosen(np.repeat(alpha[None], 8000, 0), noisy[:, 0, 2:]))
    np.testing.assert_allclose(chosen[expected[:, 0] == 1], np.broadcast_to(alpha, (int(expected[:, 0].sum()), 4)))
    samples = chosen[expected[:, 0] == 0]
    np.testing.assert_array_equal(np.sort(samples, axis=1)[:, :3], 0)
    spread = np.sqrt(alpha * (1 - alpha) / len(samples))
    assert (np.abs(samples.mean(0) - alpha) < 4 * spread).all()
    plain = np.asarray(LocationNoise(4)(np.zeros((2, 2, 2), "float32"), training=False))
    np.testing.assert_array_equal(plain[..., 2:], np.broadcast_to([0, 0, 0, 0, 1], (2, 2, 5)))


def test_the_baseline_is_a_moving_average_of_log_likelihoods():
    decoder = four_locations()
    decoder.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    annotations = np.random.default_rng(0).normal(0, 1, (4, 4, 6)).astype("float32")
    before, words = captions_of(4)
    decoder.fit([annotations, before], words, batch_size=4, epochs=2, verbose=0)
    assert -40 < float(decoder.cell.baseline) < 0
    decoder.cell.baseline.assign(-10.0)
    decoder.evaluate([annotations, before], words, verbose=0)
    assert float(decoder.cell.baseline) == -10.0
    found = decoder([annotations, before], training=False)
    decoder.compute_loss(y=words, y_pred=found, training=True)
    mean = float(np.mean(Objective().costs(words, found).log_p))
    assert float(decoder.cell.baseline) == pytest.approx(0.9 * -10 + 0.1 * mean, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("row", ["soft", "hard", "mean"])
def test_training_learns_two_captions_by_heart(row):
    model = small_model(row, spread=0.1, units=16, dropout=0.0)
    annotations = annotations_of(model, 2)
    before, words = captions_of(2)
    decoder = model.decoder
    decoder.objective = Objective(penalty=0.1)
    decoder.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    decoder.fit([annotations, before], words, batch_size=2, epochs=150, verbose=0)
    found = model.tell(annotations, beam=2, longest=6)  # whose weights the decoder shares
    for number in range(2):
        wanted = words[number][words[number] > 0]
        assert found.words[number, 0, : len(wanted)].tolist() == wanted.tolist()


# ------------------------------------------------------------------------------------------------- captions


def test_greedy_captions_are_those_of_a_loop(models):
    for model in models.values():
        annotations = annotations_of(model)
        found = model.tell(annotations, beam=1, longest=6)
        for number in range(3):
            a, word, log_p = annotations[number].astype(float), START, []
            h, c = first(model, a)
            for t in range(int(found.lengths[number, 0])):
                logits, h, c, alpha = naive_step(model, a, word, h, c)
                logits[list(NEVER)] = -1e9
                word = int(logits.argmax())
                log_p.append(log_softmax(logits)[word])
                assert found.words[number, 0, t] == word
                np.testing.assert_allclose(found.attention[number, 0, t].ravel(), alpha, atol=1e-5)
            np.testing.assert_allclose(found.log_p[number, 0, : len(log_p)], log_p, atol=1e-4)
            assert float(found.scores[number, 0]) == pytest.approx(sum(log_p), abs=1e-4)
            assert len(log_p) == 6 or word == END
            assert found.sentences[number] == " ".join(WORDS[w] for w in found.words[number, 0, : len(log_p)] if w > 3)


def test_a_beam_finds_the_best_of_all_captions(models):
    """All captions of up to three words over nine: the beam of the vocabulary's size has the best one."""
    model = models["soft"]
    a = annotations_of(model, 1)
    found = model.tell(a, beam=len(WORDS), longest=3)
    scores = {}

    def extend(words, total, h, c):
        logits, h, c, _ = naive_step(model, a[0].astype(float), words[-1] if words else START, h, c)
        logits[list(NEVER)] = -1e9
        log_p = log_softmax(logits)
        for word in range(END, len(WORDS)):
            longer = [*words, word]
            if word == END or len(longer) == 3:
                scores[tuple(longer)] = total + log_p[word]
            else:
                extend(longer, total + log_p[word], h, c)

    extend([], 0.0, *first(model, a[0].astype(float)))
    best = max(scores, key=scores.get)
    assert tuple(found.words[0, 0, : len(best)]) == best
    assert float(found.scores[0, 0]) == pytest.approx(scores[best], abs=1e-4)
    assert (np.diff(found.scores[0]) <= 1e-6).all()
    sums = found.attention.sum((-1, -2))
    lengths = found.lengths[..., None]
    np.testing.assert_allclose(sums, np.arange(3) < lengths, atol=1e-5)
    np.testing.assert_allclose(found.log_p.sum(-1), found.scores, atol=1e-4)


def test_a_batch_gives_what_each_image_gives(models):
    model = models["soft"]
    pixels = np.random.default_rng(0).normal(0, 40, (3, 48, 48, 3)).astype("float32")
    whole = model.tell(pixels, beam=3, longest=5)
    assert whole.attention.shape == (3, 3, 5, *model.grid)
    for number in range(3):
        alone = model.tell(pixels[number : number + 1], beam=3, longest=5)
        assert alone.sentences == whole.sentences[number : number + 1]
        np.testing.assert_allclose(alone.attention[0], whole.attention[number], atol=1e-5)


def test_a_file_gives_the_same_captions(models, tmp_path):
    model = models["hard"]
    annotations = annotations_of(model)
    model.save(tmp_path / "told.keras")
    again = keras.models.load_model(tmp_path / "told.keras")
    assert (again.vocabulary, again.grid, again.card) == (WORDS, model.grid, model.card)
    assert again.card.task == "captioning"
    expected, found = (m.tell(annotations, beam=2, longest=5) for m in (model, again))
    np.testing.assert_array_equal(expected.words, found.words)
    np.testing.assert_array_equal(expected.attention, found.attention)


def test_the_default_looks_at_196_places_of_vgg(undrawn):
    model = ShowAttendTell(WORDS)
    assert model.encoder.output.shape == (None, 196, 512)
    assert model.grid == (14, 14)
    assert model.card.preprocessing.color == "BGR"


def test_annotation_vectors_are_scaled(models):
    model = small_model(scale=0.25)
    pixels = np.random.default_rng(0).normal(0, 50, (2, 48, 48, 3)).astype("float32")
    plain = models["soft"].encoder
    model.encoder.set_weights(plain.get_weights())
    np.testing.assert_allclose(model.encoder(pixels), 0.25 * np.asarray(plain(pixels)), rtol=1e-5)


@pytest.mark.parametrize(("settings", "says"), [
    (dict(scale=0), "scale=0; give a number above 0"),
    (dict(row="soft2"), "row='soft2'; accepted: soft, hard, mean"),
    (dict(vocabulary=WORDS[:4]), "a vocabulary of 4"),
    (dict(vocabulary=("a",)), "a vocabulary of 1"),
    (dict(tap="pool10"), "no feature map at tap='pool10'"),
    (dict(input_shape=(None, None, 3)), "an open size"),
    (dict(attention="all"), "attention='all'"),
    (dict(units=0), "units=0"),
    (dict(dropout=1.0), "give shares"),
    (dict(encoder="SqueezeNat"), "no model is called"),
])  # fmt: skip
def test_wrong_settings_are_one_error(settings, says, undrawn):
    with pytest.raises(KerasVisionError, match=says):
        ShowAttendTell(**{**SMALL, "vocabulary": WORDS, **settings})


def test_what_cannot_be_told_is_refused(models):
    model = models["soft"]
    for beam in (0, len(WORDS) + 1):
        with pytest.raises(KerasVisionError, match=f"give a beam from 1 to {len(WORDS)}"):
            model.tell(annotations_of(model), beam=beam)
    with pytest.raises(KerasVisionError, match="annotation vectors"):
        model.tell(np.zeros((2, 7, 7)))
    with pytest.raises(KerasVisionError, match="a decoder alone"):
        _ = model.decoder.encoder
    with pytest.raises(KerasVisionError, match="factors of 0 or above"):
        Objective(penalty=-1)
