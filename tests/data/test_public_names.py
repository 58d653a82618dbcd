"""What `keras_vision.data` exports is there, and only that."""

import pytest

from keras_vision import data


@pytest.mark.parametrize("name", data.__all__)
def test_every_public_name_is_a_class_or_a_function(name):
    assert callable(getattr(data, name))
    assert name in dir(data)


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match=r"keras_vision\.data.*no attribute 'nothing'"):
        _ = data.nothing
