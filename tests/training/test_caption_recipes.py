"""Recipes of captions: from drawn photographs on disk to a captioner and its scores; data that is damaged; batches."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from PIL import Image
from stopping import Stop, StopAt

from keras_vision.captioning import vocabulary_of
from keras_vision.data import CaptionedImages, flickr_captions
from keras_vision.errors import KerasVisionError
from keras_vision.training import CAPTION_RECIPES, find_recipe, plan_captions, run_caption_recipe, with_settings
from keras_vision.training.recipes.caption_data import (
    NumberedCaptions,
    annotation_file,
    buckets,
    caption_epochs,
    caption_parts,
    inputs_of,
    numbered,
    steps_of,
)
from keras_vision.training.recipes.caption_running import network

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 50, 230)}
TINY = dataclasses.replace(
    find_recipe("show-attend-tell-small"), start=None, size=48, held_out=6, vocabulary=50, least=1, longest=8, epochs=2,
    batch_size=8, tuned_epochs=1, tuned_batch=6,
    model_settings=dict(row="soft", units=8, embedding=6, keys=5, dropout=0.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs of one colour each, and what colour that is."""
    root = tmp_path_factory.mktemp("colours")
    (root / "images").mkdir()
    lines = ["image,caption"]
    for number in range(24):
        name, colour = f"p{number:02d}.png", list(COLOURS)[number % 3]
        Image.new("RGB", (60, 52), COLOURS[colour]).save(root / "images" / name)
        lines += [f"{name},A {colour} square .", f"{name},the picture is {colour}"]
    (root / "captions.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "out"
    return out, run_caption_recipe(TINY, folder, out)


def test_a_run_leaves_a_captioner_its_captions_and_their_scores(finished, folder):
    out, metrics = finished
    files = {"captions.json", "history.csv", "history_tuned.csv", "metrics.json", "model.keras", "run.json"}
    assert {path.name for path in out.iterdir()} == files
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert metrics["test_images"] == 6
    assert metrics["training_captions"] == 36
    assert 0 <= metrics["bleu4"] <= metrics["bleu1"] <= 1
    model, said = keras.models.load_model(out / "model.keras"), json.loads((out / "captions.json").read_text())
    part = caption_parts("folder", folder, 6, TINY.split_seed).test
    images = inputs_of(part.sources, model.preprocessing)(np.arange(6))
    assert model.tell(images, longest=9).sentences == [said[path.name] for path in part.sources]


def test_every_layer_of_the_encoder_is_tuned(finished, folder):
    """Between a run without tuning and one with it, all weights of the convolutions have moved."""
    texts = [
        text for captions in caption_parts("folder", folder, 6, TINY.split_seed).training.captions for text in captions
    ]
    keras.utils.set_random_seed(TINY.seed)
    start = network(TINY, vocabulary_of(texts, 50, 1))
    found = keras.models.load_model(finished[0] / "model.keras")
    for layer in start.encoder.layers:
        for before, after in zip(layer.get_weights(), found.get_layer(layer.name).get_weights(), strict=True):
            assert np.abs(before - after).max() > 0, layer.name


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_weights(finished, folder, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Stop):
        run_caption_recipe(TINY, folder, out, callbacks=[StopAt(6)], every=0.0)
    assert (out / "checkpoints" / "annotations-training.npy").exists()
    run_caption_recipe(TINY, folder, out)
    expected, found = (keras.models.load_model(path / "model.keras").get_weights() for path in (finished[0], out))
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.slow
def test_training_learns_the_colours(folder, tmp_path):
    longer = dataclasses.replace(TINY, epochs=60, learning_rate=1e-2, tuned_epochs=0, patience=60)
    assert run_caption_recipe(longer, folder, tmp_path / "out")["bleu1"] > 0.9


def test_a_plan_counts(folder):
    plan = plan_captions(TINY, folder)
    assert plan.images == (18, 6, 6)
    assert plan.captions == 36
    assert (plan.locations, plan.channels) == (4, 512)
    assert plan.encoder == 722_496


@pytest.mark.parametrize("name", CAPTION_RECIPES)
def test_recipes_say_what_they_are_of(name):
    recipe = find_recipe(name)
    assert recipe.result
    assert with_settings(recipe, ["beam=3", "lr=0.01"]).beam == 3


@pytest.mark.parametrize("setting", ["listing=mscoco", "beam=0", "model=DRAW", "schedule=plateau", "penalty=-1"])
def test_settings_that_make_no_sense_are_errors(setting):
    with pytest.raises(KerasVisionError, match=setting.partition("=")[0]):
        with_settings(TINY, [setting])


# ------------------------------------------------------------------------------------------------------ data


def captioned(*captions, skipped=()):
    return CaptionedImages([f"{k}.jpg" for k in range(len(captions))], captions, skipped)


def test_captions_that_cannot_be_learned_are_left_out_and_counted():
    """An empty one, one of punctuation, a long one, an image with none left, and files that are missing."""
    vocabulary = vocabulary_of(["a dog runs on the grass"])
    images = captioned(
        ("A dog runs.", "", "..."), ("a " * 9,), ("A cat!", "the dog on the grass"),
        skipped=(("x.jpg", "no such file"), ("y.jpg", "no caption")),
    )  # fmt: skip
    found = numbered(images, vocabulary, longest=8)
    assert found.sources == ["0.jpg", "2.jpg"]
    assert found.images.tolist() == [0, 1, 1]
    assert found.references == [[["a", "dog", "runs"]], [["a", "cat"], ["the", "dog", "on", "the", "grass"]]]
    assert found.left_out == {
        "captions without a word": 2,
        "captions of more than 8 words": 1,
        "images without a caption": 2,
        "captioned images without a file": 1,
        "words that the vocabulary lacks": 1,
    }
    with pytest.raises(KerasVisionError, match="from 1 to 1 words"):
        numbered(captioned(("a dog",)), vocabulary, longest=1)


def test_a_batch_has_one_length_and_an_epoch_every_caption_once():
    lengths = np.random.default_rng(0).integers(3, 9, 200)
    batches = buckets(lengths, 16, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(200))
    assert all(len(set(lengths[batch])) == 1 and len(batch) <= 16 for batch in batches)
    assert [len(lengths[b]) for b in buckets(lengths, 16, np.random.default_rng(2))] != [len(b) for b in batches]


def test_batches_are_the_same_however_training_got_there():
    numbers = [np.arange(4, 4 + n, dtype=np.int32) for n in (3, 5, 3, 3, 5, 3)]
    captions = NumberedCaptions(["a", "b", "c"], [], np.array([0, 0, 1, 1, 2, 2]), numbers, {})
    kept = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    epochs = caption_epochs(captions, kept.__getitem__, 2, seed=3)
    whole = [(a.numpy(), before.numpy(), words.numpy()) for (a, before), words in epochs(1, 0)]
    assert len(whole) == steps_of(captions, 2) == 3
    later = [words.numpy() for _, words in epochs(1, 1)]
    for (_, _, expected), found in zip(whole[1:], later, strict=True):
        np.testing.assert_array_equal(expected, found)
    single = caption_epochs(captions, kept.__getitem__, 2, seed=3, one_of_each=True)
    seen = np.concatenate([a.numpy()[:, 0, 0] for (a, _), _ in single(0, 0)])
    assert sorted(seen.tolist()) == [0.0, 4.0, 8.0]
    filled = caption_epochs(captions, kept.__getitem__, 6, seed=3, bucketed=False)
    (_, before), words = next(iter(filled(0, 0)))
    assert before.shape == (6, 6)
    assert ((words.numpy() > 0).sum(1) == np.where((before.numpy() > 0).sum(1) == 6, 6, 4)).all()
    assert steps_of(captions, 4, bucketed=False) == 2


def test_annotation_vectors_are_written_once_and_mapped(folder, tmp_path):
    keras.utils.set_random_seed(0)
    model, sources = network(TINY, vocabulary_of(["a dog"])), flickr_captions(folder).sources[:3]
    file = tmp_path / "annotations.npy"
    found = annotation_file(model.encoder, model.preprocessing, sources, file)
    expected = model.encoder.predict(inputs_of(sources, model.preprocessing)(np.arange(3)), verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert isinstance(found, np.memmap)
    stamp = file.stat().st_mtime_ns
    annotation_file(model.encoder, model.preprocessing, sources, file)
    assert file.stat().st_mtime_ns == stamp


def test_the_published_listings_are_read(folder, tmp_path):
    names = sorted(path.name for path in (folder / "images").iterdir())
    sentences = [{"tokens": ["a", "square"], "raw": "A square."}]
    records = [
        dict(filename=name, split=split, sentences=sentences)
        for name, split in zip(names, ["train"] * 18 + ["val"] * 3 + ["test"] * 3, strict=True)
    ]
    (tmp_path / "images").symlink_to(folder / "images")
    (tmp_path / "dataset_flickr8k.json").write_text(json.dumps({"images": records}))
    assert [len(part) for part in caption_parts("flickr8k", tmp_path, 1, 0)] == [18, 3, 3]
    with pytest.raises(KerasVisionError, match="lower held_out"):
        caption_parts("folder", folder, 24, 0)
