"""Widgets for Orange, the visual programming tool: local embedding of images, and their segmentation.

Orange finds this package by its entry points and shows the widgets under the name below; the workflows stand among its
examples. Needs the extra: ``pip install "keras-vision[orange]"``.

Source: Godec et al., "Democratized image analytics by visual programming", Nature Communications 10 (2019), 4551.
"""

NAME = "Keras Vision"
DESCRIPTION = "Images as vectors and as classes of pixels, by networks on this machine."
ICON = "icons/category.svg"
BACKGROUND = "#d7e3c4"
PRIORITY = 1001  # behind Image Analytics
