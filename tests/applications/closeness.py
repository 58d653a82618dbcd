"""When two networks are the same one."""

import numpy as np


def close(actual, expected):
    """Whether they differ by at most 1e-5 of the range, which has to be one."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert np.ptp(expected) > 1e-3
    return np.abs(actual - expected).max() <= 1e-5 * np.ptp(expected)
