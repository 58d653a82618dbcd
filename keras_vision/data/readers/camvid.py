"""CamVid road scenes (Brostow et al., 2009): the original 32 colours, and the 11 classes of SegNet."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_vision.data.annotated_images import SegmentedImages
from keras_vision.data.listings import PathLike, check_present, existing_folder, images_in, read_lines
from keras_vision.data.masks import read_colours
from keras_vision.errors import KerasVisionError

CAMVID_CLASSES = (
    "Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist",
)  # fmt: skip
VOID = 11
# Colour in the original masks, name there, and which of the 11 classes it belongs to.
COLOURS = (
    ((64, 128, 64), "Animal", "Pedestrian"),
    ((192, 0, 128), "Archway", "Building"),
    ((0, 128, 192), "Bicyclist", "Bicyclist"),
    ((0, 128, 64), "Bridge", "Building"),
    ((128, 0, 0), "Building", "Building"),
    ((64, 0, 128), "Car", "Car"),
    ((64, 0, 192), "CartLuggagePram", "Pedestrian"),
    ((192, 128, 64), "Child", "Pedestrian"),
    ((192, 192, 128), "Column_Pole", "Pole"),
    ((64, 64, 128), "Fence", "Fence"),
    ((128, 0, 192), "LaneMkgsDriv", "Road"),
    ((192, 0, 64), "LaneMkgsNonDriv", "Road"),
    ((128, 128, 64), "Misc_Text", "SignSymbol"),
    ((192, 0, 192), "MotorcycleScooter", "Bicyclist"),
    ((128, 64, 64), "OtherMoving", "Car"),
    ((64, 192, 128), "ParkingBlock", "Pavement"),
    ((64, 64, 0), "Pedestrian", "Pedestrian"),
    ((128, 64, 128), "Road", "Road"),
    ((128, 128, 192), "RoadShoulder", "Pavement"),
    ((0, 0, 192), "Sidewalk", "Pavement"),
    ((192, 128, 128), "SignSymbol", "SignSymbol"),
    ((128, 128, 128), "Sky", "Sky"),
    ((64, 128, 192), "SUVPickupTruck", "Car"),
    ((0, 0, 64), "TrafficCone", "Pole"),
    ((0, 64, 64), "TrafficLight", "SignSymbol"),
    ((192, 64, 128), "Train", "Car"),
    ((128, 128, 0), "Tree", "Tree"),
    ((192, 128, 192), "Truck_Bus", "Car"),
    ((64, 0, 64), "Tunnel", "Building"),
    ((192, 192, 0), "VegetationMisc", "Tree"),
    ((0, 0, 0), "Void", None),
    ((64, 192, 0), "Wall", "Building"),
)


def camvid(folder: PathLike, split: str | None = None) -> SegmentedImages:
    """Road scenes with 11 classes, and 11 for void, as SegNet has them.

    Args:
        folder: `images` and `masks` with equal names; or SegNet's `<split>` and `<split>annot`.
        split: "train", "val" or "test", for SegNet's layout; also a subfolder with `images` and `masks`.

    Raises:
        KerasVisionError: a missing folder, or a scene without its mask.
    """
    root = existing_folder(folder, "a folder with images and masks, or SegNet's CamVid")
    if split is not None and not (root / f"{split}annot").is_dir():
        root = existing_folder(root / split, "one of SegNet's splits: train, val, test")
        split = None
    images, masks = ("images", "masks") if split is None else (split, f"{split}annot")
    sources = images_in(root / images)
    paths = [root / masks / f"{source.stem}.png" for source in sources]
    check_present(paths, root / images)
    return SegmentedImages(sources, paths, CAMVID_CLASSES, VOID)


def camvid_original(folder: PathLike, listing: PathLike | None = None) -> SegmentedImages:
    """The 701 scenes as first published; their 32 colours are mapped to the 11 classes, and 11 for void.

    Args:
        folder: holds `701_StillsRaw_full` and `LabeledApproved_full` (masks named `<scene>_L.png`).
        listing: text with the name of one scene per line, to take a part. None: all.

    Raises:
        KerasVisionError: a missing folder, scene or mask; on access, a colour that is none of the 32.
    """
    root = existing_folder(folder, "the folder with 701_StillsRaw_full and LabeledApproved_full")
    scenes = root / "701_StillsRaw_full"
    if listing is None:
        sources = images_in(scenes)
    else:
        sources = [scenes / f"{Path(line.split()[0]).stem}.png" for line in read_lines(listing)]
    masks = [root / "LabeledApproved_full" / f"{source.stem}_L.png" for source in sources]
    if not sources:
        raise KerasVisionError(f"{listing}: names no scenes; give one per line.")
    check_present([*sources, *masks], scenes if listing is None else listing)
    palette = np.array([colour for colour, _, _ in COLOURS], np.uint8)
    lookup = np.array([VOID if name is None else CAMVID_CLASSES.index(name) for _, _, name in COLOURS])
    return SegmentedImages(sources, masks, CAMVID_CLASSES, VOID, read_colours, palette, lookup)
