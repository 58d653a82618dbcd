"""Photographs of BSDS500, and networks that this project trained."""

from pathlib import Path

import pytest

from keras_vision.data import bsds500, unpack


@pytest.fixture(scope="session")
def berkeley_training(shared, tmp_path_factory):
    """The shared images of the training set."""
    folder = tmp_path_factory.mktemp("bsds_regions") / "BSDS500"
    return bsds500(unpack(shared / "data/bsds500/bsds500.tar.gz", folder), "train")


@pytest.fixture(scope="session")
def networks_folder():
    return Path(__file__).parents[2] / "savedmodels"
