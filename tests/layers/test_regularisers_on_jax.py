"""The layers that act in training alone, trained on JAX."""

import subprocess
import sys
import textwrap

CODE = """
    import jax, keras, numpy as np
    from keras_vision import layers
    assert keras.backend.backend() == "jax"

    def training(layer, inputs):
        "Output of a step, and the gradient of its sum, compiled."
        layer(inputs)
        state = [v.value for v in layer.non_trainable_variables]
        call = lambda x: layer.stateless_call([], state, x, training=True)[0]
        return np.asarray(jax.jit(call)(inputs)), jax.jit(jax.grad(lambda x: call(x).sum()))(inputs)

    ones, twos = np.ones((6, 8, 8, 2), "float32"), np.full((6, 8, 8, 2), 2, "float32")
    y, g = training(layers.DropBlock(0.7, 3, seed=0), ones)
    np.testing.assert_allclose(y, g, rtol=1e-6)
    assert abs(y.mean() - 1) < 1e-5 and 0.1 < (y == 0).mean() < 0.4

    y, (first, second) = training(layers.ShakeShake(seed=0), [ones, twos])
    a, b = 2 - y, first
    assert np.ptp(a, axis=(1, 2, 3)).max() < 1e-5 < np.ptp(a[:, 0, 0, 0]) and a.min() >= 0 and a.max() <= 1
    np.testing.assert_allclose(first + second, 1, atol=1e-6)
    assert np.abs(a - b).min() > 1e-4

    factors = [training(layers.ShakeDrop(0.5, seed=s), ones) for s in range(20)]
    kept = [np.allclose(y, 1) for y, _ in factors]
    assert 0 < sum(kept) < 20
    assert all(np.allclose(g, 1) if k else y.min() < 0 and (g >= 0).all() for (y, g), k in zip(factors, kept))

    outcomes = {float(training(layers.StochasticDepth(0.5, seed=s), [ones, twos])[0].mean()) for s in range(20)}
    assert outcomes == {1.0, 3.0}

    x = np.random.default_rng(0).normal(0, 1, (2, 7, 5, 3)).astype("float32")
    np.testing.assert_array_equal(layers.SpatialPyramidPooling2D((1,))(x)[:, 0], x.max(axis=(1, 2)))

    def branch(x):
        x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="one_conv")(x)
        return keras.layers.BatchNormalization(momentum=0.5, name="one_bn")(x)

    image = keras.Input((8, 8, 4))
    x = layers.stochastic_residual(image, branch, lambda x: x, survival_probability=0.5, seed=5, name="block")
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    inner = model.get_layer("block_add")
    seen = [inner.get_layer("one_bn").moving_mean, inner.get_layer("one_conv").kernel]
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x, moved = np.random.default_rng(0).normal(0, 1, (6, 8, 8, 4)).astype("float32"), []
    for _ in range(8):
        before = [np.array(v) for v in seen]
        model.fit(x, np.ones((6, 4)), batch_size=6, verbose=0)
        moved.append([bool(np.abs(np.asarray(v) - was).max()) for v, was in zip(seen, before)])
    generator = keras.random.SeedGenerator(5)
    survived = [bool(keras.random.uniform((), seed=generator) < 0.5) for _ in range(8)]
    assert moved == [[s, s] for s in survived] and 0 < sum(survived) < 8, (moved, survived)
    print("done")
"""


def test_rules_hold_in_compiled_training(on_jax):
    command = [sys.executable, "-c", textwrap.dedent(CODE)]
    done = subprocess.run(command, capture_output=True, text=True, env=on_jax)
    assert done.stdout == "done\n", done.stderr
