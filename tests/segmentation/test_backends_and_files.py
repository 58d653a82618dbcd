"""The same logits on JAX, and in LiteRT and SavedModel files that take images of any size."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.segmentation import DeepLabLargeFOV, FCN8s

SMALL = {
    "fcn": (FCN8s, dict(backbone="SqueezeNetV1_1", classes=5)),
    "crop": (FCN8s, dict(backbone="VGG11", geometry="crop", classes=5, fc=8)),
    "deeplab": (DeepLabLargeFOV, dict(backbone="SqueezeNetV1_1", classes=5, fc6=(3, 16, 12), msc=True)),
}


def images(height, width):
    return np.random.default_rng(height + width).normal(0, 1, (1, height, width, 3)).astype("float32")


def assert_same(actual, expected):
    expected = np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.ptp(expected) > 0.1
    assert np.abs(np.asarray(actual) - expected).max() <= 1e-4 * np.ptp(expected)


JAX = """
    import sys, numpy as np, keras
    sys.path.insert(0, sys.argv[1])
    from test_backends_and_files import SMALL, images
    assert keras.backend.backend() == "jax"
    outputs = {}
    for name in sys.argv[3:]:
        build, arguments = SMALL[name]
        model = build(**arguments)
        model.load_weights(f"{sys.argv[2]}/{name}.weights.h5")
        outputs[name] = model.predict(images(33, 50), verbose=0)
    np.savez(f"{sys.argv[2]}/jax.npz", **outputs)
"""


def test_jax_gives_the_same_logits(tmp_path, randomize, on_jax):
    expected = {}
    for name in ("fcn", "deeplab"):
        build, arguments = SMALL[name]
        model = randomize(build(**arguments))
        model.save_weights(tmp_path / f"{name}.weights.h5")
        expected[name] = model(images(33, 50))
    command = [sys.executable, "-c", textwrap.dedent(JAX), os.path.dirname(__file__), str(tmp_path), *expected]
    subprocess.run(command, check=True, env=on_jax)
    actual = np.load(tmp_path / "jax.npz")
    for name, logits in expected.items():
        assert_same(actual[name], logits)


@pytest.mark.parametrize("name", SMALL)
def test_litert_s_builtin_operations_take_any_size(name, randomize):
    build, arguments = SMALL[name]
    model = randomize(build(**arguments))
    call = tf.function(lambda image: model(image, training=False), [tf.TensorSpec((1, None, None, 3), tf.float32)])
    module = tf.Module()
    module.tracked = [variable.value for variable in model.variables]  # which the converter then freezes
    converter = tf.lite.TFLiteConverter.from_concrete_functions([call.get_concrete_function()], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    interpreter = Interpreter(model_content=converter.convert())
    for size in ((33, 50), (64, 41), (1, 1)):
        index = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(index, (1, *size, 3))
        interpreter.allocate_tensors()
        interpreter.set_tensor(index, images(*size))
        interpreter.invoke()
        assert_same(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), model(images(*size)))


def test_savedmodel_takes_any_size(tmp_path, randomize):
    build, arguments = SMALL["fcn"]
    model = randomize(build(**arguments))
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    for size in ((33, 50), (64, 41)):
        assert_same(loaded.serve(images(*size)), model(images(*size)))


def test_what_takes_classifiers_says_that_this_is_none():
    model = FCN8s(backbone="SqueezeNetV1_1", input_shape=(64, 64, 3))
    with pytest.raises(KerasVisionError, match="is for segmentation; these protocols are for classification"):
        kv.evaluation.evaluate(model, [])
