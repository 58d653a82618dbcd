"""Curves of the boundary benchmark."""

import io

import numpy as np
import pytest
from PIL import Image

import keras_vision as kv
from keras_vision.errors import KerasVisionError


@pytest.fixture(scope="module")
def drawn():
    """One person's circle, another's a pixel larger, as bool (2, h, w)."""
    y, x = np.mgrid[:64, :64] - 32
    return np.stack([np.abs(np.hypot(x, y) - radius) < 0.5 for radius in (20, 21)])


def test_curves_and_the_human_point(drawn):
    rng = np.random.default_rng(0)
    good = kv.edges.evaluate_boundaries([drawn[0] * 0.9], [drawn], thresholds=9)
    soft = np.maximum(drawn[0] * 0.7, rng.random((64, 64)) * 0.8)
    poor = kv.edges.evaluate_boundaries([soft], [drawn], thresholds=9)
    human = kv.edges.human_consistency([drawn], tolerance=0.02)
    figure = kv.visualization.boundary_curves({"poor": poor, "good": good}, human=human)
    axes = figure.axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == [f"[F = {human.f:.3f}] human", f"[F = {good.ods:.3f}] good", f"[F = {poor.ods:.3f}] poor"]
    curve = lines[names[2]]
    there = poor.detected[0] > 0
    np.testing.assert_allclose(curve.get_xdata(), poor.recall[there])
    np.testing.assert_allclose(curve.get_ydata(), poor.precision[there])
    assert (lines[names[0]].get_xdata()[0], lines[names[0]].get_ydata()[0]) == (human.recall, human.precision)
    levels = [line for line in axes.lines if line.get_color() == "0.85"]
    assert len(levels) == 9
    for level, line in zip(np.arange(1, 10) / 10, levels, strict=True):
        p, r = line.get_ydata(), line.get_xdata()
        np.testing.assert_allclose(2 * p * r / (p + r), level)
        assert p.max() == pytest.approx(1)
    file = io.BytesIO()
    figure.savefig(file)
    assert min(Image.open(file).size) > 400


def test_bad_input():
    for nothing in ({}, None):
        with pytest.raises(KerasVisionError, match="takes scores by name"):
            kv.visualization.boundary_curves(nothing)
