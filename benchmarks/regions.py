"""Regions and proposals on BSDS500 beside scikit-image's, and the seconds that they take.

    python benchmarks/regions.py BSDS500 MNIST --model savedmodels/hed-squeezenet-bsds --images 200

Peers, on the same images in the same run: Felzenszwalb's graph, SLIC with its superpixels merged by colour, and
Quickshift, each at several settings, of which the best for the set (ODS) and for each image (OIS) count, as the
threshold does for a hierarchy. Claims: the hierarchy is better in covering, Rand index, variation of information and
boundary F; SCG is at least 4 times as fast as MCG; 500 proposals recall at least 0.75 of the pasted objects at a
Jaccard index of 0.5, and more than the peers' regions. `--shrink` divides the sides of images for a short run, whose
figures cannot be compared with published ones.
"""

import argparse
import platform
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from skimage import graph
from skimage.segmentation import felzenszwalb, find_boundaries, quickshift, slic

import keras_vision as kv

SETTINGS = {"Felzenszwalb": (50, 200, 800), "SLIC, merged": (10, 25, 50), "Quickshift": (5, 10, 20)}


def peer(name: str, image: np.ndarray, setting: float) -> np.ndarray:
    """A segmentation by scikit-image, `(h, w)` from 0."""
    if name == "Felzenszwalb":
        return felzenszwalb(image, scale=setting, sigma=0.8, min_size=50)
    if name == "Quickshift":
        return quickshift(image, kernel_size=3, max_dist=setting, ratio=0.5)
    parts = slic(image, 250, compactness=10, start_label=0)
    return graph.cut_threshold(parts, graph.rag_mean_color(image, parts), setting)


def halved(people: np.ndarray, shrink: int) -> np.ndarray:
    return people[:, ::shrink, ::shrink]


def boundary_f(maps: Sequence[np.ndarray], people: Sequence[np.ndarray]) -> float:
    """ODS of maps of edges against the borders of people's regions."""
    drawn = [np.stack([find_boundaries(one, mode="inner") for one in each]) for each in people]
    drawn = [np.stack([kv.edges.thin(one) for one in each]) for each in drawn]
    return kv.edges.evaluate_boundaries(maps, drawn, thresholds=33).ods


def peer_scores(name: str, images: Sequence[np.ndarray], people: Sequence[np.ndarray]) -> tuple[float, ...]:
    """Best over settings of the set: covering, Rand index, variation of information, boundary F."""
    rows = []
    for setting in SETTINGS[name]:
        found = [peer(name, image, setting) for image in images]
        scores = [
            [f(one, own) for one, own in zip(found, people, strict=True)]
            for f in (kv.proposals.covering, kv.proposals.probabilistic_rand_index)
        ]
        information = [kv.proposals.variation_of_information(o, p) for o, p in zip(found, people, strict=True)]
        maps = [kv.edges.thin(find_boundaries(one, mode="inner")).astype(float) for one in found]
        rows.append((np.mean(scores[0]), np.mean(scores[1]), -np.mean(information), boundary_f(maps, people)))
    best = np.max(rows, 0)
    return best[0], best[1], -best[2], best[3]


def timed(work: Callable) -> tuple[float, object]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def recall(masks: list[np.ndarray], found: list[kv.proposals.Proposals], count: int = 500) -> float:
    overlaps = [kv.proposals.proposal_overlaps(p, m) for p, m in zip(found, masks, strict=True)]
    return float(kv.proposals.proposal_recall(overlaps, [count])[0])


def peer_proposals(image: np.ndarray) -> kv.proposals.Proposals:
    """All regions of all peers and settings."""
    found = [peer(name, image, setting) for name, settings in SETTINGS.items() for setting in settings]
    labels, groups = np.zeros(image.shape[:2], int), []
    for one in found:  # common parts of all
        labels = np.unique(labels * (one.max() + 1) + one, return_inverse=True)[1].reshape(labels.shape)
    for one in found:
        first = np.zeros(labels.max() + 1, int)
        first[labels.ravel()] = one.ravel()
        groups.append(first[None] == np.unique(one)[:, None])
    return kv.proposals.Proposals(labels, np.concatenate(groups), np.zeros((0, 2), int))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of BSDS500, with images and groundTruth")
    parser.add_argument("mnist", type=Path, help="folder of MNIST's files")
    parser.add_argument("--model", type=Path, help="network of edges; default: gradients of colour")
    parser.add_argument("--images", type=int, default=10, help="of the test set, and as many pasted ones")
    parser.add_argument("--shrink", type=int, default=1, help="divides the images' sides")
    options = parser.parse_args()
    data = kv.data.bsds500(options.folder, "test")
    contours = kv.proposals.network_contours(options.model) if options.model else kv.proposals.gradient_contours
    chosen = np.unique(np.linspace(0, len(data) - 1, options.images).astype(int)).tolist()
    step = options.shrink
    images = [np.asarray(Image.fromarray(data.image(i)))[::step, ::step] for i in chosen]
    people = [halved(data.segmentations(i), step) for i in chosen]

    table = Table("what", "covering", "Rand", "variation, bits", "boundary F", title=f"{len(images)} images, ODS")
    for name, weight in (("multiscale map", 0.3), ("without normalised cuts", 0.0)):
        maps = [kv.proposals.multiscale_contours(image, contours, spectral=weight) for image in images]
        scores = kv.proposals.evaluate_regions(maps, people)
        row = scores.covering_ods, scores.rand_ods, scores.variation_ods
        table.add_row(name, *(f"{x:.3f}" for x in (*row, boundary_f([m.contours() for m in maps], people))))
    for name in SETTINGS:
        table.add_row(name, *(f"{x:.3f}" for x in peer_scores(name, images, people)))
    Console().print(table)

    seconds = [timed(lambda way=way: way(images[0], contours))[0] for way in (kv.proposals.scg, kv.proposals.mcg)]
    print(f"processor seconds of the first image: SCG {seconds[0]:.1f}, MCG {seconds[1]:.1f}")
    scenes = list(kv.data.pasted_objects(kv.data.mnist(options.mnist, "test"), data, len(images), seed=0))
    small = [scene.image[::step, ::step] for scene in scenes]
    masks = [scene.masks[:, ::step, ::step] for scene in scenes]
    ours = [recall(masks, [way(i, contours) for i in small]) for way in (kv.proposals.scg, kv.proposals.mcg)]
    theirs = recall(masks, [peer_proposals(i) for i in small])
    print(f"recall at 0.5 of 500, in contour order: SCG {ours[0]:.3f}, MCG {ours[1]:.3f}; scikit-image's {theirs:.3f}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    print(f"memory: {memory:.2f} GB at most; machine: {platform.processor() or platform.machine()}")


if __name__ == "__main__":
    main()
