"""A few steps on real photographs: from the pipeline's shares of people to a detector that finds what they drew."""

import dataclasses

import keras
import numpy as np

import keras_vision as kv


def test_a_few_steps_on_photographs_find_drawn_boundaries(shared, tmp_path):
    folder = kv.data.unpack(shared / "data/bsds500/bsds500.tar.gz", tmp_path / "BSDS500")
    images = kv.data.bsds500(folder, "train")
    images = dataclasses.replace(images, sources=images.sources[:8], annotations=images.annotations[:8])
    keras.utils.set_random_seed(0)
    trunk = shared / "weights/squeezenet_v1.1.npz"
    model = kv.edges.HED(trunk="SqueezeNetV1_1", trunk_weights=trunk, output="all")
    spec = dataclasses.replace(model.preprocessing, size=(160, 240))
    pipeline = kv.data.Pipeline(images, spec, 2, seed=0)
    model.compile(keras.optimizers.Adam(3e-4), kv.edges.BalancedEdgeLoss(0.3, normalize=True), jit_compile=False)
    before = model.evaluate(kv.edges.deep_supervision(model, pipeline.epoch(0)), return_dict=True, verbose=0)
    for epoch in range(6):
        model.fit(kv.edges.deep_supervision(model, pipeline.epoch(epoch)), verbose=0)
    after = model.evaluate(kv.edges.deep_supervision(model, pipeline.epoch(0)), return_dict=True, verbose=0)
    assert set(after) == {"loss", "side1_loss", "side2_loss", "side3_loss", "side4_loss", "fuse_loss"}
    assert after["loss"] < 0.8 * before["loss"]
    assert after["fuse_loss"] < 0.7 * before["fuse_loss"]
    detector = kv.edges.with_output(model)
    drawn, elsewhere = [], []
    for x, share in pipeline.epoch(0):
        found = np.asarray(detector(x))[..., 0]
        drawn.append(found[share.numpy() >= 0.3])
        elsewhere.append(found[share.numpy() == 0])
    assert np.median(np.concatenate(drawn)) > 2 * np.median(np.concatenate(elsewhere))
