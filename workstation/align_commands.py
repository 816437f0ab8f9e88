"""What ``hilum align`` does: one image file brought onto another, without a case."""

from __future__ import annotations

import argparse
import json
import sys

from segmentation.contract import Progress, share
from segmentation.images import ENDINGS, read_labels, write_labels, write_volume
from segmentation.registration import move_labels, move_volume
from segmentation.transform import Transform
from workstation.console import Work
from workstation.direct import check_target, read_image
from workstation.stages import STAGES

REGISTER = "segmentation.register"


def main(options: argparse.Namespace, work: Work) -> int:
    """Align two images, write the moved one, and print how well they agree."""
    found = work("Align", lambda progress: align_files(options, progress))
    document = {
        "file": str(options.out),
        "kind": options.kind,
        "matrix": list(found.matrix),
        "numbers": [number.to_json() for number in found.numbers],
        "findings": [finding.to_json() for finding in found.findings],
    }
    if options.json:
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
        print()
        return 0
    print(options.out)
    for number in found.numbers:
        print(f"  {number.quantity:32} {number.value:10.3f} {number.unit}".rstrip())
    for finding in found.findings:
        print(f"  {finding.severity.value}: {finding.sentence}")
    return 0


def align_files(options: argparse.Namespace, progress: Progress) -> Transform:
    """Bring the image ``options.moving`` onto ``options.fixed`` and write it.

    Nothing is written if the work fails.

    Raises:
        ValueError: for an ending, image, label or parameter that cannot be used.
    """
    check_target(options.out, ENDINGS)
    stage, params = STAGES[REGISTER], {**dict(options.params), "kind": options.kind}
    stage.check_params(params)
    fixed = read_image(options.fixed, options.fixed_series, share(progress, 0, 10))[0]
    moving = read_image(options.moving, options.moving_series, share(progress, 1, 10))[0]
    labels = None
    if options.labels:
        check_target(options.labels[1], ENDINGS)
        labels = read_labels(options.labels[0], moving.geometry.frame_uid)
    images = {"fixed": fixed, "moving": moving}
    found: Transform = stage.run(
        images, params, lambda part, told="": progress(0.2 + 0.6 * part, told)
    )
    moved = move_volume(moving, found, fixed, progress=share(progress, 8, 10))
    moved_labels = None
    if labels is not None:
        moved_labels = move_labels(labels, found, fixed, progress=share(progress, 9, 10))
        if not moved_labels.array.any():
            raise ValueError(f"{options.labels[0].name} does not reach {options.fixed.name}")
    write_volume(moved, options.out)
    if moved_labels is not None:
        write_labels(moved_labels, options.labels[1])
    return found
