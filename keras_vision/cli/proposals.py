"""`keras-vision proposals`: regions of photographs that may be objects, as overlays and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_vision.cli.dense_images import Images, Job, Overwrite, Threads, plan, run
from keras_vision.cli.region_images import Network, Single, Spectral, check_json, network, pixels_of, write

if TYPE_CHECKING:
    from PIL import Image


def proposals(
    images: Images,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the overlays and JSON, named as the images.")],
    model: Network = None,
    count: Annotated[int, typer.Option(min=1, help="Proposals of each image, at most.")] = 500,
    ranker: Annotated[
        Path | None, typer.Option(help="A .npz of ProposalRanker.save. Default: strong contours first.")
    ] = None,
    single_scale: Single = False,
    spectral: Spectral = 0.3,
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Proposals of objects: a sheet of the first twelve, and JSON with the area, box and COCO mask of each.

    Single regions, pairs, triplets and quadruples of Multiscale Combinatorial Grouping.
    """
    jobs, skipped = plan(images, out, overwrite)
    check_json(jobs, overwrite)
    contours = network(model, threads)
    from keras_vision.proposals import ProposalRanker, mcg, proposal_overlay, proposal_records, scg

    order = None if ranker is None else ProposalRanker.load(ranker)
    group = scg if single_scale else mcg

    def work(job: Job, image: Image.Image) -> None:
        pixels = pixels_of(image)
        found = group(pixels, contours, spectral=spectral, ranker=order).first(count)
        write(job, proposal_overlay(pixels, found), {"proposals": proposal_records(found)})

    run(jobs, skipped, work, "Proposing objects")
