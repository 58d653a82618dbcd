"""The models that this project trained: whole, small, and as good as their cards say."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_vision.zoo  # noqa: F401 - registers the classes of the files
from keras_vision.captioning.text import words_of
from keras_vision.data import binarized_mnist, bsds500, camvid, digits, mnist, unpack
from keras_vision.edges import evaluate_boundaries, suppress_non_maxima
from keras_vision.evaluation import caption_scores, segmentation_scores
from keras_vision.generative import nearest_images, variational_bound
from keras_vision.runtime import Captioner, DensePredictor, Generator, Predictor, StagedPredictor, open_image
from keras_vision.training.recipes.caption_data import caption_parts

FOLDER = Path(__file__).parents[1] / "savedmodels"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())
LARGEST = 8 << 20
CAPTIONER = "show-attend-tell-flickr8k"
MAPS = [name for name, entry in MANIFEST.items() if entry["task"] in ("segmentation", "edges")]


@pytest.fixture(scope="module")
def test_images(shared, tmp_path_factory):
    """The images that a task is measured on, by task."""
    folder = tmp_path_factory.mktemp("data")

    def images(task):
        if task == "segmentation":
            return camvid(unpack(shared / "data/camvid/camvid_test.tar", folder / "camvid"))
        return bsds500(unpack(shared / "data/bsds500/bsds500.tar.gz", folder / "bsds"), "test")

    return images


@pytest.mark.parametrize("name", MANIFEST)
def test_files_are_whole_and_small(name):
    files = {path.name for path in (FOLDER / name).iterdir()}
    assert files == set(MANIFEST[name]["files"])
    for file, facts in MANIFEST[name]["files"].items():
        content = (FOLDER / name / file).read_bytes()
        assert len(content) == facts["bytes"] <= LARGEST
        assert hashlib.sha256(content).hexdigest() == facts["sha256"]


@pytest.mark.parametrize("name", MAPS)
def test_both_files_give_the_same_for_any_size(name):
    predictor = DensePredictor(FOLDER / name / "model.tflite")
    model = keras.models.load_model(FOLDER / name / "model.keras", compile=False)
    assert predictor.task == MANIFEST[name]["task"] == model.card.task
    pixels = np.random.default_rng(0).integers(0, 256, (75, 102, 3)).astype(np.uint8)
    expected = np.asarray(model(model.preprocessing.normalize(pixels)[None]))[0]
    if model.card.output == "logit":
        expected = np.asarray(keras.ops.softmax(expected))
    np.testing.assert_allclose(predictor.predict(pixels), expected, atol=1e-4)


@pytest.mark.parametrize("name", [*MAPS, CAPTIONER])
def test_every_layer_is_trained(name, shared):
    """No tensor is one of the public weights that training started from."""
    model = keras.models.load_model(FOLDER / name / "model.keras", compile=False)
    with np.load(shared / "weights/squeezenet_v1.1.npz") as arrays:
        public = {key.split("__kernel")[0]: arrays[key] for key in arrays.files if "kernel" in key}
    common = [
        layer.name for layer in model.layers if layer.name.replace("_", "__", 1) in public or layer.name in public
    ]
    assert "conv1" in common
    assert len(common) > 20
    for layer in common:
        before = public.get(layer, public.get(layer.replace("_", "__", 1)))
        assert np.mean(np.asarray(model.get_layer(layer).kernel) == before) < 0.01


@pytest.mark.parametrize("name", [name for name in MANIFEST if MANIFEST[name]["task"] == "segmentation"])
def test_a_segmenter_reaches_its_mean_iu(name, test_images):
    """The LiteRT file, on whole scenes, as a user of the runtime runs it."""
    images, predictor = test_images("segmentation"), DensePredictor(FOLDER / name / "model.tflite")
    scores = segmentation_scores(images, (predictor.predict(source).argmax(-1) for source in images.sources))
    assert scores.mean_iu == pytest.approx(MANIFEST[name]["metrics"]["mean_iu"], abs=2e-3)
    assert scores.mean_iu >= 0.50


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MANIFEST if MANIFEST[name]["task"] == "edges"])
def test_an_edge_detector_reaches_its_ods(name, test_images):
    images, predictor = test_images("edges"), DensePredictor(FOLDER / name / "model.tflite")
    maps = (suppress_non_maxima(predictor.predict(source)[..., 0]) for source in images.sources)
    scores = evaluate_boundaries(maps, images, workers=2)
    assert scores.ods == pytest.approx(MANIFEST[name]["metrics"]["ods"], abs=2e-3)
    assert scores.ods >= 0.70


def test_b_lenet_leaves_early_and_reads_mnist(shared):
    """Its stages, on the published test images: as accurate, and as cheap, as the card says."""
    folder, metrics = FOLDER / "b-lenet-mnist", MANIFEST["b-lenet-mnist"]["metrics"]
    images, staged = mnist(shared / "data/mnist", "test"), StagedPredictor(folder)
    exited = staged.predict(images.sources, batch_size=512)
    assert np.mean(exited.classes == images.labels) == pytest.approx(metrics["accuracy"], abs=3e-4)
    assert np.mean(exited.exits == 0) == pytest.approx(metrics["shares"][0], abs=1e-3)
    assert metrics["accuracy"] >= metrics["main_accuracy"] - 0.001
    assert metrics["whole"] >= 3.5 * metrics["multiply_adds"]
    model = keras.models.load_model(folder / "model.keras", compile=False)
    pixels = np.stack([model.preprocessing.pixels(open_image(source)) for source in images.sources[:50]])
    expected = keras.tree.flatten(model(model.preprocessing.normalize(pixels), training=False))
    first = StagedPredictor(folder, thresholds=[2.3]).run(model.preprocessing.normalize(pixels)).probabilities
    np.testing.assert_allclose(first, expected[1], atol=1e-5)


def test_draw_reaches_the_nats_of_its_card_and_draws_digits(shared):
    """The bound with other noise than the run's; both files draw the same; the committed B-LeNet reads the drawings."""
    folder, metrics = FOLDER / "draw-mnist", MANIFEST["draw-mnist"]["metrics"]
    model = keras.models.load_model(folder / "model.keras", compile=False)
    training, test = (binarized_mnist(shared / "data/binarized_mnist", part) for part in ("train", "test"))
    assert variational_bound(model, test.astype(np.float32), seed=1).nats == pytest.approx(metrics["nats"], abs=0.3)
    assert metrics["nats"] <= 95
    drawn = Generator(folder / "model.tflite").generate(200, seed=3).canvases
    np.testing.assert_allclose(drawn, model.generate(200, seed=3, steps=True), atol=1e-4)
    samples = (np.random.default_rng(0).random(drawn[:, -1].shape) < drawn[:, -1]).astype(np.float32)
    apart = nearest_images(samples, training[:20_000]).distances
    assert apart.mean() >= 0.95 * metrics["nearest_distance_of_test_images"]  # a copy would be nearer than test digits
    reader = StagedPredictor(FOLDER / "b-lenet-mnist")
    ink = np.rint(255 * drawn[:, -1]).astype(np.uint8)[..., 0]
    read = reader.predict(list(ink)).probabilities
    assert np.mean(read.max(1) > 0.9) >= 0.7  # of test digits 0.98
    assert np.bincount(read.argmax(1), minlength=10).min() >= 6  # noise and the mean drawing are read as one digit


def test_the_digits_classifier_reads_the_digits_it_was_not_trained_on():
    """Both files, on the fifth that `keras-vision train` leaves out."""
    folder, metrics = FOLDER / "squeezenet-digits", MANIFEST["squeezenet-digits"]["metrics"]
    _, test = digits().split(0.2, 0)
    assert len(test) == metrics["test_images"]
    probabilities = Predictor(folder / "model.tflite").predict(test.sources)
    assert np.mean(probabilities.argmax(1) == test.labels) == pytest.approx(metrics["accuracy"], abs=3e-3)
    assert metrics["accuracy"] >= 0.97
    model = keras.models.load_model(folder / "model.keras", compile=False)
    pixels = np.stack([model.preprocessing.pixels(open_image(source)) for source in test.sources[:20]])
    np.testing.assert_allclose(probabilities[:20], model(model.preprocessing.normalize(pixels)), atol=1e-4)


def test_the_captioner_says_what_its_card_scores(shared, tmp_path):
    """Its LiteRT file, on the photographs that the run left out; and both files say the same."""
    folder, metrics = FOLDER / CAPTIONER, MANIFEST[CAPTIONER]["metrics"]
    test = caption_parts(
        "folder", unpack(shared / "data/flickr8k_1000/flickr8k_900.tar", tmp_path / "flickr"), 100, 0
    ).test
    captioner = Captioner(folder / "model.tflite")
    told = [captioner.caption(source, beam=1, longest=26).words for source in test.sources]
    scores = caption_scores([words_of(captions) for captions in test.captions], told)
    assert scores.captions == metrics["test_images"]
    np.testing.assert_allclose(scores.bleu, [metrics[f"bleu{n}"] for n in (1, 2, 3, 4)], atol=5e-3)
    assert metrics["bleu1"] >= 0.40
    assert len({tuple(words) for words in told}) >= 30  # different photographs, different words
    model = keras.models.load_model(folder / "model.keras", compile=False)
    images = np.stack([model.preprocessing(open_image(source)) for source in test.sources[:4]])
    again = model.tell(images, beam=3)
    for source, sentence, attention in zip(test.sources, again.sentences, again.attention, strict=False):
        caption = captioner.caption(source, beam=3)
        assert " ".join(caption.words) == sentence
        np.testing.assert_allclose(caption.attention, attention[0, : len(caption.words)], atol=1e-4)
