"""`keras-vision regions`: the regions of photographs, as overlays and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_vision.cli.dense_images import Images, Job, Overwrite, Threads, plan, run
from keras_vision.cli.region_images import Network, Single, Spectral, check_json, network, pixels_of, write

if TYPE_CHECKING:
    from PIL import Image


def regions(
    images: Images,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the overlays and JSON, named as the images.")],
    model: Network = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Contour strength at or below which regions join.")
    ] = 0.4,
    single_scale: Single = False,
    spectral: Spectral = 0.3,
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Regions of images: an overlay, and JSON with the area, box and COCO mask of each.

    The hierarchy is that of Multiscale Combinatorial Grouping, cut at the threshold; a lower one gives more regions.
    """
    jobs, skipped = plan(images, out, overwrite)
    check_json(jobs, overwrite)
    contours = network(model, threads)

    def work(job: Job, image: Image.Image) -> None:
        from keras_vision.proposals import multiscale_hierarchies, region_overlay, region_records, segment

        pixels, scales = pixels_of(image), (1.0,) if single_scale else (0.5, 1.0, 2.0)
        ucm = multiscale_hierarchies(pixels, scales, contours, spectral=spectral)[-1]
        found = region_records(ucm, threshold)
        write(job, region_overlay(pixels, segment(ucm, threshold)), {"threshold": threshold, "regions": found})

    run(jobs, skipped, work, "Finding regions")
