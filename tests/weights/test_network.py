"""The first public weight file of each model can still be had from its address, and knows what is on photographs."""

import numpy as np
import pytest

import keras_vision as kv
from keras_vision.registry import find
from keras_vision.runtime import open_image

MODELS = [name for name in kv.list_models(pretrained=True) if find(name).weights[0].classes == 1000]
CLASSES = {"n02510455_giant_panda": 388, "n02391049_zebra": 340, "n06874185_traffic_light": 920}


@pytest.mark.network
@pytest.mark.parametrize("name", MODELS)
def test_the_public_weights_know_what_they_see(name, shared, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_VISION_HOME", str(tmp_path))
    model = kv.create_model(name, weights=find(name).weights[0].name)
    photographs = [shared / f"data/imagenet_sample/{stem}.JPEG" for stem in CLASSES]
    images = np.stack([model.preprocessing(open_image(path)) for path in photographs])
    found = model.predict(images, verbose=0).argmax(axis=1)
    assert (found == list(CLASSES.values())).sum() >= 2, found
