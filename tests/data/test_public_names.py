"""What `keras_vision.data` exports is there, and only that."""

import pytest

from keras_vision import data


@pytest.mark.parametrize("name", sorted({*data.__all__} - {"augment", "CAMVID_PALETTE"}))
def test_every_public_name_is_a_class_or_a_function(name):
    assert callable(getattr(data, name))
    assert name in dir(data)


@pytest.mark.parametrize("name", data.augment.__all__)
def test_every_augmentation_is_a_class_or_a_function(name):
    assert callable(getattr(data.augment, name))
    assert name in dir(data.augment)


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match=r"keras_vision\.data.*no attribute 'nothing'"):
        _ = data.nothing
    with pytest.raises(AttributeError, match=r"keras_vision\.data\.augment.*no attribute 'nothing'"):
        _ = data.augment.nothing
