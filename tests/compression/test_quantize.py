"""Weight sharing by k-means, its fine-tuning, and rounding that keeps the outputs of layers."""

import keras
import numpy as np
import pytest
from sklearn.cluster import KMeans
from small_classifier import blobs, classifier

from keras_vision import KerasVisionError, compression
from keras_vision.compression.quantize import share


def naive_k_means(values, count):
    """Lloyd's rounds from values spread evenly, one weight at a time."""
    centroids = np.linspace(values.min(), values.max(), count)
    for _ in range(100):
        nearest = [int(np.argmin([abs(v - c) for c in centroids])) for v in values]
        centroids = np.array(
            [
                np.mean([v for v, n in zip(values, nearest, strict=True) if n == k]) if k in nearest else centroids[k]
                for k in range(count)
            ]
        )
    return centroids[nearest]


def test_values_are_those_of_a_naive_k_means():
    values = np.random.default_rng(3).normal(size=60)
    own = share(values.astype("float32"), 4, "linear")
    expected = naive_k_means(values, 16)
    # scikit-learn gives a value that no weight is near to another place; the naive rounds leave it
    assert 0 < np.square(own.weights - values).mean() <= 1.0001 * np.square(expected - values).mean()


@pytest.mark.parametrize("bits", [4, 5, 6, 8])
def test_a_large_kernel_is_clustered_as_all_its_values_would_be(bits):
    values = np.random.default_rng(bits).laplace(size=40_000).astype("float32")
    own = share(values, bits, "linear")
    start = np.linspace(values.min(), values.max(), 2**bits)[:, None]
    peer = KMeans(2**bits, init=start, n_init=1, max_iter=300, tol=0).fit(values[:, None])
    error = np.square(own.weights - values).mean()
    assert error == pytest.approx(peer.inertia_ / values.size, rel=0.25 if bits == 8 else 0.1)
    assert np.square(share(values, bits).weights - values).mean() < error


@pytest.mark.parametrize("bits", [4, 5, 6, 8])
def test_zeros_stay_and_the_rest_takes_few_values(bits):
    model = classifier()
    masks = compression.prune(model, 0.5)
    before = {path: np.asarray(v).copy() for path, v in compression.kernels(model).items()}
    biases = model.get_layer("first").get_weights()[1]
    shared = compression.share_weights(model, bits)
    for path, variable in compression.kernels(model).items():
        value = np.asarray(variable)
        assert np.array_equal(value != 0, masks[path])
        assert len(np.unique(value)) <= 2**bits
        assert np.array_equal(shared[path].weights, value)
        centroids = np.unique(value[value != 0])
        nearest = centroids[np.abs(before[path][..., None] - centroids).argmin(-1)]
        assert np.array_equal(np.where(masks[path], nearest, 0), value)
    assert np.array_equal(model.get_layer("first").get_weights()[1], biases)


def test_few_values_are_kept_exactly():
    values = np.random.default_rng(0).choice(np.float32([0, -0.3, 0.1, 2.5]), 500)
    assert np.array_equal(share(values, 4).weights, values)
    for special in (np.zeros(9, np.float32), np.float32([[0.5]]), np.full(7, -1, np.float32)):
        assert np.array_equal(share(special, 4).weights, special)


def test_bits_by_layer_and_bad_bits():
    model = classifier()
    shared = compression.share_weights(model, {"first": 4, "scores": 8})
    assert [kernel.centroids.size for kernel in shared.values()] == [16, min(256, 3 * 40)]
    for bits in (7, 0, "6"):
        with pytest.raises(KerasVisionError, match="4, 5, 6, 8 bits"):
            compression.share_weights(model, bits)


@pytest.fixture(scope="module")
def trained():
    model = classifier()
    model.fit(*blobs(), epochs=6, verbose=0)
    return model.get_weights()


def divergence(model, wanted):
    return float(np.mean(keras.losses.kl_divergence(wanted, model.predict(blobs(seed=5)[0], verbose=0))))


@pytest.mark.parametrize("labelled", [True, False])
def test_fine_tuned_centroids_come_closer_and_codes_stay(trained, labelled):
    teacher, model = classifier(), classifier()
    teacher.set_weights(trained), model.set_weights(trained)
    compression.prune(model, 0.6)
    shared = compression.share_weights(model, 4)
    images, labels = blobs()
    batches = [(images[i : i + 32], labels[i : i + 32]) for i in range(0, 256, 32)]
    losses = []
    tuned = compression.fine_tune_centroids(
        model, shared, batches if labelled else [x for x, _ in batches], steps=60,
        teacher=None if labelled else teacher, optimizer=keras.optimizers.Adam(2e-3),
        progress=lambda step, loss: losses.append(loss),
    )  # fmt: skip
    assert len(losses) == 60
    assert np.mean(losses[-8:]) < 0.7 * np.mean(losses[:8])
    for path, kernel in tuned.items():
        value = np.asarray(compression.kernels(model)[path])
        assert np.array_equal(kernel.weights, value)
        assert np.array_equal(kernel.codes, shared[path].codes)
        assert not value[shared[path].codes == 0].any()


def test_a_centroids_gradient_is_the_sum_over_its_weights():
    vector = keras.Input((4,))
    model = keras.Model(vector, keras.layers.Dense(3, use_bias=False, name="d")(vector))
    model.get_layer("d").kernel.assign(np.float32([[1, 1, 2], [2, 1, 1], [0, 2, 0], [1, 0, 2]]))
    shared = compression.share_weights(model, 4)
    x, y = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    y = y[:, :3]
    tuned = compression.fine_tune_centroids(
        model, shared, [(x, y)], steps=1, loss=keras.losses.MeanSquaredError(), optimizer=keras.optimizers.SGD(0.1)
    )["d/kernel"]
    weights = shared["d/kernel"].weights
    gradient = x.T @ (x @ weights - y) * 2 / y.size
    expected = [0.0, 1 - 0.1 * gradient[weights == 1].sum(), 2 - 0.1 * gradient[weights == 2].sum()]
    assert tuned.centroids == pytest.approx(expected, abs=1e-5)


def test_masked_training_towards_a_teacher(trained):
    teacher, model = classifier(), classifier()
    teacher.set_weights(trained), model.set_weights(trained)
    masks = compression.prune(model, 0.7)
    wanted = teacher.predict(blobs(seed=5)[0], verbose=0)
    before = divergence(model, wanted)
    compression.tune_masked(model, [blobs()[0]], steps=40, teacher=teacher, optimizer=keras.optimizers.Adam(2e-3))
    assert divergence(model, wanted) < 0.8 * before
    assert all(not np.asarray(compression.kernels(model)[path])[~mask].any() for path, mask in masks.items())


def test_reconstruction_beats_rounding(trained):
    teacher = classifier()
    teacher.set_weights(trained)
    wanted = teacher.predict(blobs(seed=5)[0], verbose=0)
    found = {}
    for how in ("rounded", "reconstructed"):
        model = classifier()
        model.set_weights(trained)
        masks = compression.magnitude_masks(model, 0.5)
        if how == "rounded":
            compression.apply_masks(model, masks)
            shared = compression.share_weights(model, 4)
        else:
            compression.prune_reconstructed(model, masks, [blobs()[0]])
            shared = compression.share_reconstructed(model, 4, [blobs()[0]])
        for path, variable in compression.kernels(model).items():
            assert np.array_equal(shared[path].weights, np.asarray(variable))
            assert not np.asarray(variable)[~masks[path]].any()
        found[how] = divergence(model, wanted)
    assert found["reconstructed"] < 0.8 * found["rounded"]


def test_reconstruction_of_one_layer_is_least_squares_where_that_is_exact():
    """With one weight an output left out, the best others follow from the normal equations."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6))).astype("float32")
    vector = keras.Input((6,))
    model = keras.Model(vector, keras.layers.Dense(5, name="d", use_bias=False)(vector))
    kernel = np.asarray(model.get_layer("d").kernel).copy()
    first = int(np.argmax(np.square(x).mean(0)))  # rounded first, so that all others can make it good
    mask = np.ones((6, 5), bool)
    mask[first] = False
    compression.prune_reconstructed(model, {"d/kernel": mask}, [x])
    others = np.delete(x, first, 1)
    best = np.linalg.lstsq(others, x @ kernel, rcond=None)[0]
    own = np.square(x @ kernel - x @ np.asarray(model.get_layer("d").kernel)).sum()
    least = np.square(x @ kernel - others @ best).sum()
    plain = np.square(x @ kernel - x @ np.where(mask, kernel, 0)).sum()
    assert least <= own <= least + 0.05 * (plain - least)


def test_bad_input_is_one_clear_error():
    model = classifier()
    shared = compression.share_weights(model, 4)
    images = blobs()[0][:4]
    for wrong, message in [
        (lambda: compression.fine_tune_centroids(model, shared, [images], steps=1), "batches without labels"),
        (lambda: compression.tune_masked(model, [], steps=1, teacher=model), "no batches"),
        (lambda: compression.share_reconstructed(model, 4, []), "no batches"),
        (
            lambda: compression.tune_masked(model, [images * np.nan], steps=1, teacher=model),
            "the loss of step 1 is nan",
        ),
    ]:
        with pytest.raises(KerasVisionError, match=message):
            wrong()
