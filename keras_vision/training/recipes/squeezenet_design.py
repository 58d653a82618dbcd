"""SqueezeNet's design space (Iandola et al., 2016), sections 5 and 6: Figure 3 and Table 3, on CIFAR-10.

    keras-vision recipes squeezenet-design CIFAR10 OUT

Trains one network per point, each in a folder of its own below OUT, so that an interrupted call goes on: the squeeze
ratio SR from 0.125 to 1 (Figure 3a), the share of 3x3 filters from 1 to 99 % at SR 0.5 (Figure 3b), and no, simple and
complex bypass (Table 3). `design.json` holds their sizes and accuracies, `design.png` draws them.

The paper's, on ImageNet, top-5: SR 0.125, 0.5, 0.75 and 1: 80.3 % at 4.8 MB, 85.3 at 13, 86.0 at 19, no better. 1 % of
3x3: 76.3 % at 5.7 MB; 50 and 99 %: 85.3 at 13 and at 21. Bypass: none 57.5 % top-1, simple 60.4, complex 58.8.

Deviations: CIFAR-10 and top-1 accuracy in place of ImageNet and top-5. For 32 x 32 pixels conv1 is v1.1's 3x3 with 64
filters, and the poolings are after fire3 and fire5, which leaves 3 x 3 cells. The rate falls linearly, as the paper's
does; its height, 30 epochs, Adam and batches of 64 are a choice: at 1e-3, conv10's rectifiers died in six of the
eleven networks. With complex bypass they die at rates from 3e-5 to 3e-4, as the first logits are 25 from pixels of the
published scale (-128 to 128), where the other networks' are at most 1; it gets pixels divided by `COMPLEX_STD`. The
others learn best from the published scale. Sizes are of float32 weights of ten classes.

After 3 epochs of 9,000 of the training images all eleven learn: 20.7 to 36.5 % of 1,000 test images right, 33.6, 37.4
and 41.0 % with no, simple and complex bypass. The 30 epochs of all images have not been run.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file
from keras_vision.registry import create_model
from keras_vision.training.recipes.running import run_recipe
from keras_vision.training.recipes.settings import Recipe
from keras_vision.training.run_folder import METRICS

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

CIFAR_SIZE: Mapping[str, Any] = dict(conv1=(64, 3), pools=(3, 5), conv10_padding=0)
COMPLEX_STD = (64.0, 64.0, 64.0)
MEGABYTE = 1e6 / 4  # float32 weights in a megabyte
JSON, PICTURE = "design.json", "design.png"

BASE = Recipe(
    name="squeezenet-design",
    result="Figure 3 and Table 3, on ImageNet",
    model="SqueezeNet",
    model_settings=CIFAR_SIZE,
    data="CIFAR-10",
    size=32,
    resize_shorter=32,
    epochs=30,
    batch_size=64,
    optimizer="adam",
    learning_rate=3e-4,
    schedule="poly",
    weight_decay=2e-4,
    augment="cifar",
)

SWEEPS: Mapping[str, Mapping[Any, Mapping[str, Any]]] = {  # value on the axis, to the settings of the network
    "sr": {sr: dict(sr=sr) for sr in (0.125, 0.25, 0.5, 0.75, 1.0)},  # Figure 3a
    "pct_3x3": {share: dict(sr=0.5, pct_3x3=share) for share in (0.01, 0.25, 0.5, 0.75, 0.99)},  # Figure 3b
    "bypass": {kind or "none": dict(bypass=kind) for kind in (None, "simple", "complex")},  # Table 3
}


@dataclasses.dataclass(frozen=True)
class Point:
    """One network of a sweep.

    Attributes:
        sweep, value: where it stands, such as "sr" and 0.5.
        parameters: of the network with the classes of the data.
        top1: accuracy on the test images.
    """

    sweep: str
    value: Any
    parameters: int
    top1: float

    @property
    def megabytes(self) -> float:
        """Size of the float32 weights."""
        return self.parameters / MEGABYTE


def recipe_of(settings: Mapping[str, Any], base: Recipe = BASE) -> Recipe:
    """The recipe of one network; a `pixel_std` of the base holds for all."""
    std = base.pixel_std or (COMPLEX_STD if settings.get("bypass") == "complex" else ())
    return dataclasses.replace(base, model_settings={**base.model_settings, **settings}, pixel_std=std)


def folder_of(settings: Mapping[str, Any]) -> str:
    """Name of a network's folder; networks that two sweeps share are trained once."""
    full = {"sr": 0.125, "pct_3x3": 0.5, "bypass": None, **settings}
    return "-".join(f"{key}={value}" for key, value in full.items())


def run(
    data: Path,
    out: Path,
    base: Recipe = BASE,
    sweeps: Mapping[str, Mapping[Any, Mapping[str, Any]]] = SWEEPS,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    overwrite: bool = False,
) -> list[Point]:
    """Train every network of the sweeps on the data in `data`, write figures and picture to `out`.

    Args:
        data: folder, in a layout that `run_recipe` takes.
        out: folder; networks that it holds finished are not trained again.
        base: settings of all networks.
        sweeps: see `SWEEPS`.
        callbacks: Keras callbacks, of each training.
        overwrite: replace the figures and the picture if they are there; trained networks stay.

    Raises:
        KerasVisionError: no data, a network that cannot be, before anything is trained, or see `run_recipe`.
    """
    if not overwrite and (there := [name for name in (JSON, PICTURE) if (out / name).exists()]):
        raise KerasVisionError(f"{out} holds {' and '.join(there)} already; give another folder, or --overwrite them.")
    for settings in {folder_of(s): s for sweep in sweeps.values() for s in sweep.values()}.values():
        create_model(
            base.model, weights=None, input_shape=(base.size, base.size, 3), **recipe_of(settings, base).model_settings
        )
    points = [
        _trained(data, out, base, sweep, value, settings, callbacks)
        for sweep, values in sweeps.items()
        for value, settings in values.items()
    ]
    with whole_file(out / JSON, overwrite=True) as temporary:
        temporary.write_text(json.dumps([dataclasses.asdict(p) | {"megabytes": p.megabytes} for p in points], indent=1))
    with whole_file(out / PICTURE, overwrite=True) as temporary:
        figure_3(points).savefig(temporary, format="png", dpi=120)
    return points


def _trained(
    data: Path, out: Path, base: Recipe, sweep: str, value: Any, settings: Mapping[str, Any], callbacks: Sequence[Any]
) -> Point:
    import keras

    folder, recipe = out / folder_of(settings), recipe_of(settings, base)
    if not (folder / METRICS).exists():
        run_recipe(recipe, data, folder, callbacks=callbacks)
    top1 = json.loads((folder / METRICS).read_text())["top1"]
    return Point(sweep, value, keras.models.load_model(folder / "model.keras", compile=False).count_params(), top1)


def figure_3(points: Sequence[Point]) -> Figure:
    """Accuracy over size for each sweep, as Figure 3 has it, with the value at each point; bypasses as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    titles = {"sr": "(a) squeeze ratio SR", "pct_3x3": "(b) share of 3x3 filters, SR 0.5", "bypass": "bypass"}
    sweeps = list(dict.fromkeys(point.sweep for point in points))
    for axes, sweep in zip(figure.subplots(1, len(sweeps), squeeze=False)[0], sweeps, strict=True):
        own = [point for point in points if point.sweep == sweep]
        sizes, accuracies = [p.megabytes for p in own], [100 * p.top1 for p in own]
        if sweep == "bypass":
            axes.bar([str(p.value) for p in own], accuracies, width=0.5)
            axes.set_ylim(min(accuracies) - 5, max(accuracies) + 2)
        else:
            axes.plot(sizes, accuracies, "o-")
            for point, x, y in zip(own, sizes, accuracies, strict=True):
                axes.annotate(f"{point.value:g}", (x, y), textcoords="offset points", xytext=(4, 5))
            axes.margins(0.12)  # room for the labels
            axes.set_xlabel("size, MB of float32")
        axes.set(title=titles.get(sweep, sweep), ylabel="top-1 accuracy, %")
        axes.grid(alpha=0.3)
    return figure
