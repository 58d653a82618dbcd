"""The five methods on JAX, against TensorFlow."""

import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
from keras import layers

from keras_vision import visualization

METHODS = {
    "saliency": {},
    "deconvnet": {},
    "guided_backpropagation": {},
    "guided_backpropagation of a layer": dict(layer="maps"),
    "grad_cam": dict(layer="maps"),
    "occlusion": dict(window=4, stride=2),
}


def tiny():
    """ReLU as an activation, as a layer, and with a bound that is reached; max pooling."""
    image = keras.Input((10, 12, 3))
    x = layers.Conv2D(5, 3, activation="relu", name="maps")(image)
    x = layers.ReLU(0.8)(layers.Conv2D(4, 2)(layers.MaxPooling2D(2)(x)))
    x = layers.ReLU()(layers.Dense(6)(layers.Flatten()(x)))
    return keras.Model(image, layers.Dense(3, activation="softmax")(x))


def all_found(model, images):
    """Of the classes of the highest score, and of a channel of `maps`, by the name in `METHODS`."""
    return {name: getattr(visualization, name.split()[0])(model, images, **how) for name, how in METHODS.items()}


JAX = """
    import sys
    sys.path.insert(0, sys.argv[1])
    import keras, numpy as np, test_evidence_on_jax as test
    assert keras.backend.backend() == "jax"
    given = np.load(sys.argv[2] + "/given.npz")
    model = test.tiny()
    model.set_weights([given[f"arr_{i}"] for i in range(len(model.weights))])
    np.savez(sys.argv[2] + "/found.npz", **test.all_found(model, given["images"]))
"""


def test_each_method_gives_what_it_gives_on_tensorflow(randomize, tmp_path, on_jax):
    model, images = randomize(tiny()), np.random.default_rng(1).normal(0, 1, (2, 10, 12, 3)).astype("float32")
    np.savez(tmp_path / "given.npz", *model.get_weights(), images=images)
    command = [sys.executable, "-c", textwrap.dedent(JAX), os.path.dirname(__file__), str(tmp_path)]
    subprocess.run(command, check=True, env=on_jax)
    bounded = keras.Model(model.input, model.layers[4].output)(images)
    assert 0 < np.mean(np.asarray(bounded) == np.float32(0.8)) < 0.9
    found, expected = np.load(tmp_path / "found.npz"), all_found(model, images)
    assert sorted(found) == sorted(METHODS)
    for name, values in expected.items():
        assert np.ptp(values) > 1e-3, name
        np.testing.assert_allclose(found[name], values, atol=1e-5 * np.ptp(values), rtol=0, err_msg=name)
