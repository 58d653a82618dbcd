"""Orange without a screen, and tables of images as its *Import Images* makes them."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before anything imports Qt

import numpy as np
import pytest
from PIL import Image

NAMES = ["cats/1.png", "cats/ö 2.png", "dogs/1.jpg", "dogs/2.png"]


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """A folder of four images in two classes, a damaged one and no image."""
    folder = tmp_path_factory.mktemp("photographs")
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(exist_ok=True)
        coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(coarse).resize((96, 72)).save(folder / name)
    (folder / "dogs" / "damaged.jpg").write_bytes((folder / "dogs" / "1.jpg").read_bytes()[:200])
    return folder


@pytest.fixture(scope="session")
def table(photographs):
    """All of them as *Import Images* has it, with an attribute, a file that is not there, no name and an address."""
    from Orange.data import ContinuousVariable, DiscreteVariable, Domain, StringVariable, Table

    image = StringVariable("image")
    image.attributes.update(type="image", origin=str(photographs))
    kind = DiscreteVariable("category", values=("cats", "dogs"))
    domain = Domain([ContinuousVariable("weight")], [kind], [StringVariable("image name"), image])
    rows = [*NAMES, "dogs/damaged.jpg", "gone.png", "", "http://127.0.0.1/1.png"]
    return Table.from_list(domain, [[n, "dogs" if "dogs" in r else "cats", f"name {n}", r] for n, r in enumerate(rows)])
