"""The real photographs of BSDS500 and what people drew on them."""

import pytest

from keras_vision.data import bsds500, unpack


@pytest.fixture(scope="session")
def berkeley(shared, tmp_path_factory):
    """The 100 shared images of the test set."""
    return bsds500(unpack(shared / "data/bsds500/bsds500.tar.gz", tmp_path_factory.mktemp("bsds") / "BSDS500"), "test")
