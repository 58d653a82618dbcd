"""SavedModels that hold the compiled CRF: they load after `import keras_vision`, which compiles nothing."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vision as kv

IMPORTS = {
    "before": "import keras_vision\nimport tensorflow as tf",
    "after": "import tensorflow as tf\nimport keras_vision",
    "asked for before": "import keras_vision, importlib.util\n"
    "importlib.util.find_spec('tensorflow')\nimport tensorflow as tf",
    "again": "import tensorflow as tf, keras_vision, sys\n"
    "[sys.modules.pop(name) for name in [*sys.modules] if name.startswith('keras_vision')]\nimport keras_vision",
}
LOAD = """
import sys, numpy as np
def labels():
    served = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
    given = {name: tf.constant(array) for name, array in np.load(sys.argv[2]).items()}
    (marginals,) = served(**given).values()
    return marginals
"""
SAVE = "np.save(sys.argv[3], labels())"
REFUSED = """
import os
try:
    labels()
except RuntimeError as error:
    assert "KerasVisionDenseCrf" in str(error), error
    print("refused", os.path.exists(os.environ["KERAS_VISION_CACHE"]))
os.environ["KERAS_VISION_CACHE"] = sys.argv[4]
keras_vision.ops.load_operations()
"""


@pytest.fixture(scope="module", params=["tf.saved_model.save", "keras.Model.export"])
def saved(request, tmp_path_factory):
    """A file, what it is given, and what it has to give."""
    folder = tmp_path_factory.mktemp("saved")
    rng = np.random.default_rng(0)
    arrays = rng.normal(0, 2, (1, 12, 14, 3)), rng.uniform(0, 255, (1, 12, 14, 3))
    logits, image = (array.astype(np.float32) for array in arrays)

    if request.param == "keras.Model.export":
        inputs = [keras.Input((12, 14, 3), name=name) for name in ("logits", "image")]
        model = keras.Model(inputs, kv.layers.DenseCRF(impl="custom")(inputs))
        model.export(str(folder / "model"), verbose=False)
        np.savez(folder / "given.npz", logits=logits, image=image)
        return folder, np.asarray(model([logits, image]))

    @tf.function(input_signature=[tf.TensorSpec((1, 12, 14, 3), tf.float32, name=name) for name in ("logits", "image")])
    def serve(logits, image):
        return kv.ops.dense_crf(logits, image, impl="custom")

    module = tf.Module()
    module.serve = serve
    tf.saved_model.save(module, str(folder / "model"), signatures=serve)
    np.savez(folder / "given.npz", logits=logits, image=image)
    return folder, serve(logits, image).numpy()


def run(code, *arguments, **environment):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stdout


@pytest.mark.parametrize("order", IMPORTS)
def test_loads_after_the_import(saved, tmp_path, order):
    folder, expected = saved
    assert "KerasVisionDenseCrf" in (folder / "model/saved_model.pb").read_bytes().decode("latin-1")
    code = IMPORTS[order] + LOAD + SAVE
    run(code, folder / "model", folder / "given.npz", tmp_path / "got.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "got.npy"), expected)


def test_where_nothing_was_compiled_one_call_does_it(saved, tmp_path):
    """The import compiles nothing; here what the call compiles is in another cache already."""
    folder, expected = saved
    from keras_vision.ops.build import cache_folder

    code = IMPORTS["before"] + LOAD + REFUSED + SAVE
    arguments = (folder / "model", folder / "given.npz", tmp_path / "got.npy", cache_folder())
    assert run(code, *arguments, KERAS_VISION_CACHE=str(tmp_path / "none")) == "refused False\n"
    np.testing.assert_array_equal(np.load(tmp_path / "got.npy"), expected)


def test_a_library_that_cannot_be_loaded_does_not_keep_tensorflow_away(tmp_path):
    code = """
import keras_vision, pathlib, sys
from keras_vision.ops.crf import library
broken = pathlib.Path(sys.argv[1])
broken.write_bytes(b"no library")
library.build = library.cached = lambda _: broken
import warnings
with warnings.catch_warnings(record=True) as caught:
    import tensorflow as tf
print(int(tf.constant(3)), [str(w.message)[:39] for w in caught if w.category.__name__ == "KerasVisionWarning"])
"""
    assert run(code, tmp_path / "broken.so") == "3 ['The compiled CRF cannot be loaded, so S']\n"


def test_bad_settings_do_not_keep_tensorflow_away():
    code = IMPORTS["before"].replace("\n", "\nimport warnings\nwarnings.simplefilter('ignore')\n")
    code += "\nprint(int(tf.constant(3)))"
    assert run(code, KERAS_VISION_CUDA_ARCHITECTURES="hopper", KERAS_VISION_CACHE="/dev/null/x") == "3\n"


def test_an_unknown_tensorflow_is_an_import_error():
    code = """
import sys, keras_vision
sys.path[:] = [path for path in sys.path if "site-packages" not in path]
try:
    import tensorflow
except ModuleNotFoundError as error:
    print(error.name, len([finder for finder in sys.meta_path if type(finder).__module__.startswith("keras_vision")]))
"""
    assert run(code) == "tensorflow 1\n"  # it may be installed later


def test_the_call_may_come_before_anything_imports_tensorflow():
    code = "import keras_vision as kv; kv.ops.load_operations(); print('loaded')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "loaded\n", done.stderr[-3000:]
