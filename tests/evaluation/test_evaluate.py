"""The evaluation loop: averages against a naive loop, ensembles, resuming, files that cannot be read."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

import keras_vision as kv
from keras_vision.data import LabelledImages
from keras_vision.errors import KerasVisionError
from keras_vision.evaluation import PROTOCOLS, evaluate
from keras_vision.evaluation.networks import views
from keras_vision.evaluation.result import ImageScore, wilson
from keras_vision.fully_convolutional import fully_convolutional
from keras_vision.model import VisionModel
from keras_vision.runtime import Preprocessing, open_image

NAMES = ("ant", "bee", "cat", "dog")
SPEC = Preprocessing((24, 24), 28, "BGR", (104.0, 117.0, 123.0), (60.0, 60.0, 60.0))


def classifier(seed=0, classes=4, activation="softmax", auxiliary=False, spec=SPEC):
    """A small network whose posteriors are far from uniform."""
    rng = np.random.default_rng(seed)
    inputs = keras.Input((*spec.size, 3))
    x = keras.layers.Conv2D(8, 5, strides=2, activation="relu", name="conv1")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="pool1")(x)
    outputs = keras.layers.Dense(classes, activation=activation, name="predictions")(x)
    if auxiliary:
        outputs = [outputs, keras.layers.Dense(classes, activation="softmax", name="auxiliary")(x)]
    card = dataclasses.replace(
        kv.model_card("SqueezeNet"),
        name=f"Small{seed}",
        preprocessing=spec,
        output="probability" if activation else "logit",
    )
    model = VisionModel(inputs, outputs, card=card, name=f"small{seed}")
    model.set_weights([rng.normal(0, 1.5 / np.sqrt(w[..., 0].size), w.shape) for w in model.get_weights()])
    return model


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    sizes = [(40, 60), (50, 30), (28, 28), (31, 64), (90, 45), (33, 47), (60, 60)]
    sources = [np.kron(rng.integers(0, 256, (h, w, 3)), np.ones((3, 3, 1))).astype(np.uint8) for h, w in sizes]
    return LabelledImages(sources, np.array([0, 1, 2, 3, 0, 1, 2]), NAMES)


@pytest.fixture
def files(tmp_path):
    """Twelve readable images, an empty one and a damaged one."""
    rng = np.random.default_rng(1)
    for number in range(12):
        pixels = np.kron(rng.integers(0, 256, (9, 9 + number, 3)), np.ones((5, 5, 1)))
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{number:02d}.png")
    (tmp_path / "12.png").write_bytes(b"")
    (tmp_path / "13.png").write_bytes((tmp_path / "00.png").read_bytes()[:300])
    return LabelledImages(sorted(tmp_path.glob("*.png")), np.arange(14) % 4, NAMES)


def posteriors(result):
    """`(n, classes)` in the order of the classes; there are few enough for the result to hold all."""
    found = np.zeros((result.n, result.classes))
    for row, image in zip(found, result.images, strict=True):
        row[list(image.classes)] = image.probabilities
    return found


def naive(model, image, protocol):
    """Class posteriors of one image: one view at a time."""
    parts = []
    for part in PROTOCOLS[protocol].parts:
        shares = []
        for stack in views(part, model.preprocessing, open_image(image)):
            for pixels in stack:
                inputs = model.preprocessing.normalize(pixels)[None]
                if part.dense:
                    logits = np.asarray(fully_convolutional(model)(inputs))[0]
                    shares.append(softmax(logits.mean((0, 1))))
                else:
                    scores = np.asarray(keras.tree.flatten(model(inputs, training=False))[0])[0]
                    shares.append(softmax(scores) if model.card.output == "logit" else scores)
        parts.append(np.mean(shares, axis=0))
    return np.mean(parts, axis=0)


@pytest.mark.parametrize("protocol", ["single", "squash", "ten", "twelve", "dense_multi_scale", "dense_and_fifty"])
def test_posteriors_are_averaged_over_views(protocol, images):
    model = classifier()
    expected = np.stack([naive(model, image, protocol) for image in images.sources])
    assert np.ptp(expected, axis=1).max() > 0.1
    result = evaluate(model, images, protocol, batch_size=8)
    np.testing.assert_allclose(posteriors(result), expected, atol=1e-6)
    assert [image.classes[0] for image in result.images] == expected.argmax(1).tolist()
    assert result.hits(1) == (expected.argmax(1) == images.labels).sum()


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_batch_size_changes_nothing(batch_size, images):
    model = classifier()
    results = [posteriors(evaluate(model, images, "ten", batch_size=size)) for size in (batch_size, 32)]
    np.testing.assert_allclose(*results, atol=1e-6)


def test_dense_at_the_native_size_is_the_network_itself(images):
    """Of a square image resized to the native size, the score map has one cell."""
    model = classifier()
    square = LabelledImages(images.sources[2:3], images.labels[2:3], NAMES)
    dense = evaluate(model, square, kv.evaluation.protocol("dense", (24,)))
    pixels = views(PROTOCOLS["squash"].parts[0], SPEC, open_image(square.sources[0]))
    pair = np.concatenate([v for p in pixels for v in (p, p[:, :, ::-1])])
    np.testing.assert_allclose(posteriors(dense)[0], model.predict(SPEC.normalize(pair), verbose=0).mean(0), atol=1e-6)


def test_an_ensemble_averages_the_models_each_with_its_own_preprocessing(images):
    other = Preprocessing((32, 32), 40, "RGB", (127.5,) * 3, (127.5,) * 3)
    models = [classifier(0), classifier(1, activation=None, spec=other), classifier(2, auxiliary=True)]
    expected = np.mean([[naive(m, image, "ten") for image in images.sources] for m in models], axis=0)
    result = evaluate(models, images, "ten")
    assert result.models == ("Small0", "Small1", "Small2")
    np.testing.assert_allclose(posteriors(result), expected, atol=1e-6)


def test_labels_say_which_output_a_class_name_means(images):
    model = classifier(classes=6)
    model.labels = ("wasp", "dog", "cat", "bee", "ant", "fly")
    result = evaluate(model, images)
    assert [image.label for image in result.images] == [4, 3, 2, 1, 4, 3, 2]


class Interruption(Exception):
    """Raised by a progress callback."""


@pytest.mark.parametrize("protocol", ["single", "ten", "dense_and_fifty"])
def test_an_interrupted_evaluation_goes_on(protocol, files, tmp_path, monkeypatch):
    model = classifier()
    whole = evaluate(model, files, protocol, batch_size=4)

    def interrupt(done, total):
        if done == 6:
            raise Interruption

    journal = tmp_path / "runs" / "journal.jsonl"
    with pytest.raises(Interruption):
        evaluate(model, files, protocol, batch_size=4, resume=journal, progress=interrupt)
    finished = {json.loads(line)["name"] for line in journal.read_text().splitlines()[1:]}
    assert 5 <= len(finished) <= 6
    with journal.open("ab") as file:
        file.write(b'{"index": 11, "name": "cut o')

    opened = []
    monkeypatch.setattr(
        "keras_vision.evaluation.evaluating.open_image", lambda s: opened.append(str(s)) or open_image(s)
    )
    calls = []
    result = evaluate(model, files, protocol, batch_size=4, resume=journal, progress=lambda *c: calls.append(c))
    assert {str(s) for s in files.sources} - set(opened) == finished
    assert calls == [(done, 14) for done in range(len(finished) + 1, 15)]
    assert [(i.name, i.label, i.rank, i.classes) for i in result.images] == [
        (i.name, i.label, i.rank, i.classes) for i in whole.images
    ]
    np.testing.assert_allclose(posteriors(result), posteriors(whole), atol=1e-6)
    assert result.skipped == whole.skipped

    opened.clear()
    assert evaluate(model, files, protocol, resume=journal) == result
    assert len(opened) == 2  # those that could not be read are tried again


def test_an_exact_copy_may_go_on_and_nothing_else(files, tmp_path):
    journal = tmp_path / "journal.jsonl"
    result = evaluate(classifier(), files, resume=journal)
    assert evaluate(classifier(), files, resume=journal) == result
    content = journal.read_bytes()
    other_weights = classifier()
    other_weights.layers[-1].bias.assign_add([0, 0, 0, 1e-3])
    fewer = LabelledImages(files.sources[1:], files.labels[1:], NAMES)
    for arguments in [(other_weights, files), (classifier(), files, "ten"), (classifier(), fewer)]:
        with pytest.raises(KerasVisionError, match="belongs to other models, images or another protocol"):
            evaluate(*arguments, resume=journal)
    assert journal.read_bytes() == content


@pytest.mark.parametrize(("content", "message"), [
    (b"a list of mine\nof two lines\n", "is no file of evaluate"),
    (b"one line", "is no file of evaluate"),
])  # fmt: skip
def test_another_file_is_not_overwritten(content, message, files, tmp_path):
    (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(KerasVisionError, match=message):
        evaluate(classifier(), files, resume=tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_bytes() == content


def test_a_damaged_file_is_not_read_as_scores(files, tmp_path):
    journal = tmp_path / "journal.jsonl"
    evaluate(classifier(), files, resume=journal)
    header, _, *rest = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([header, '{"index": 0}\n', *rest]))
    with pytest.raises(KerasVisionError, match="is damaged"):
        evaluate(classifier(), files, resume=journal)


def test_a_file_cut_off_in_its_first_line_begins_anew(files, tmp_path):
    journal = tmp_path / "journal.jsonl"
    result = evaluate(classifier(), files, resume=journal)
    journal.write_bytes(journal.read_bytes()[:20])
    assert evaluate(classifier(), files, resume=journal) == result
    assert len(journal.read_text().splitlines()) == 1 + result.n


def test_a_folder_in_place_of_the_file_is_an_error(files, tmp_path):
    with pytest.raises(KerasVisionError, match="cannot be used as a journal"):
        evaluate(classifier(), files, resume=tmp_path)


def test_unreadable_images_are_listed_and_not_counted(files):
    result = evaluate(classifier(), dataclasses.replace(files, skipped=(("before.png", "damaged"),)))
    assert result.n == 12
    reasons = {name.rpartition("/")[2]: reason for name, reason in result.skipped}
    assert reasons.keys() == {"before.png", "12.png", "13.png"}
    assert reasons["12.png"] == "the file is empty"
    assert "damaged" in reasons["13.png"]
    broken = LabelledImages(files.sources[12:], files.labels[12:], NAMES)
    with pytest.raises(KerasVisionError, match=r"none of 2 images could be scored. .*12.png: the file is empty"):
        evaluate(classifier(), broken)


@pytest.mark.parametrize("classes", [2, 5, 6])
def test_few_classes_have_no_top_5(classes, images):
    names = tuple("abcdef"[:classes])
    result = evaluate(classifier(classes=classes), LabelledImages(images.sources, images.labels % 2, names))
    assert len(result.images[0].classes) == min(classes, 5)
    assert (result.top5 is None) == (result.top5_interval is None) == (classes < 5)
    document = json.loads(json.dumps(result.to_dict()))
    assert document["n"] == 7
    assert document["top1"] == result.top1 == result.hits(1) / 7
    assert document["hits5"] == (None if classes < 5 else sum(i.rank <= 5 for i in result.images))
    assert document["images"][0]["name"] == "image 0"


def test_equal_probabilities_rank_by_position():
    score = ImageScore.of("grey", 3, np.full(8, 0.125))
    assert (score.rank, score.classes) == (4, (0, 1, 2, 3, 4))


@pytest.mark.parametrize(("hits", "n", "published"), [  # Newcombe (1998), Table I, method 3
    (81, 263, (0.2553, 0.3662)),
    (15, 148, (0.0624, 0.1605)),
    (0, 20, (0.0, 0.1611)),
    (1, 29, (0.0061, 0.1718)),
])  # fmt: skip
def test_wilson_interval_as_published_and_by_its_formula(hits, n, published):
    z, p = 1.959963984540054, hits / n
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = wilson(hits, n)
    assert found == pytest.approx(published, abs=5e-5)
    assert found == pytest.approx(((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)), abs=1e-12)


def _with(model, **card):
    return model.with_card(dataclasses.replace(model.card, **card))


@pytest.mark.parametrize(("models", "arguments", "message"), [
    (lambda: [], {}, "at least one model"),
    (lambda: [classifier(), classifier(1, classes=5)], {}, "all of the same classes"),
    (lambda: classifier(classes=5), {}, "the images have 4 classes and small0 has 5"),
    (lambda: _with(classifier(), output="features"), {}, "gives feature maps, not classes"),
    (lambda: keras.Sequential([keras.Input((24, 24, 3)), keras.layers.Flatten()]), {}, "has no model card"),
    (lambda: _with(classifier(), preprocessing=SPEC.for_input(24, 24, 5)), {}, "takes 5 channels"),
    (lambda: classifier(spec=Preprocessing((24, 24), None)), {"protocol": "ten"}, "no scale of their own"),
    (classifier, {"protocol": "dens"}, "Did you mean dense"),
    (classifier, {"batch_size": 0}, "give at least 1"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(models, arguments, message, images):
    with pytest.raises(KerasVisionError, match=message):
        evaluate(models(), images, **arguments)


def test_labels_that_do_not_fit_are_refused(images):
    model, other = classifier(), classifier(1)
    model.labels = ("ant", "bee", "cat", "fly")
    with pytest.raises(KerasVisionError, match="'dog' is no label of small0"):
        evaluate(model, images)
    other.labels = NAMES
    with pytest.raises(KerasVisionError, match="the models' labels differ"):
        evaluate([model, other], images)
    model.labels = ("ant", "ant", "bee", "cat")
    with pytest.raises(KerasVisionError, match="two labels"):
        evaluate(model, images)
    with pytest.raises(KerasVisionError, match="no images to evaluate on"):
        evaluate(other, LabelledImages([], np.array([], np.int64), NAMES))


def test_scores_that_are_no_numbers_are_an_error(images):
    model = classifier()
    model.layers[-1].bias.assign([np.nan] * 4)
    with pytest.raises(KerasVisionError, match="not finite"):
        evaluate(model, images)
