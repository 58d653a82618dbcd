"""The rule of early exits, image by image."""

import numpy as np


def by_hand(exits, thresholds):
    """Probabilities and exits, one image after the other."""
    rows, left = [], []
    for image in range(len(exits[0])):
        for number, given in enumerate(exits):
            p = given[image].astype("float64")
            if number == len(thresholds) or -(p * np.log(p)).sum() < thresholds[number]:
                rows.append(given[image])
                left.append(number)
                break
    return np.stack(rows), np.array(left)
