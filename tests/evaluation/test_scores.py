"""Published scores of real networks on 500 real photographs; the command line's test has the sixth row."""

import pytest

import keras_vision as kv

ALLOWED = 2  # images, for another JPEG decoder or resizer


@pytest.fixture(scope="module")
def photographs(shared):
    synsets = shared / "data/imagenet_labels/synset_words.txt"
    return kv.data.imagenet_validation(shared / "data/imagenet_sample", synsets=synsets)


@pytest.mark.parametrize(("name", "weights", "settings", "protocol", "top1", "top5"), [
    ("SqueezeNet", "compressed_SqueezeNet.net", {}, "squash", 314, 424),
    ("SqueezeNetV1_1", "squeezenet_v1.1.npz", {"ceil_mode": False}, "single", 297, 409),
    ("SqueezeNetV1_1", "squeezenet_v1.1.npz", {"ceil_mode": True}, "single", 302, 413),
    ("SqueezeNetV1_1", "squeezenet_v1.1.npz", {"ceil_mode": False}, "squash", 325, 432),
    ("SqueezeNetV1_1", "squeezenet_v1.1.npz", {"ceil_mode": True}, "squash", 324, 430),
])  # fmt: skip
def test_scores_as_published(shared, photographs, name, weights, settings, protocol, top1, top5):
    model = kv.create_model(name, weights=shared / "weights" / weights, **settings)
    result = kv.evaluate(model, photographs, protocol, batch_size=50)
    assert result.n == 500
    assert not result.skipped
    assert abs(result.hits(1) - top1) <= ALLOWED
    assert abs(result.hits(5) - top5) <= ALLOWED
