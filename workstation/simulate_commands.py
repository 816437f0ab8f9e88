"""What ``hilum simulate-user`` does: how many prompts a method needs, by a stated rule."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from math import isfinite
from typing import Any

from segmentation.contract import Progress, silent
from segmentation.images import ENDINGS, read_labels, write_labels
from segmentation.simulation import Answer, Method, Prompt, simulate_user
from segmentation.volume import LabelMap, Volume
from workstation.console import Work
from workstation.direct import check_target, methods, read_image
from workstation.stage import Stage, StageError


def main(options: argparse.Namespace, work: Work) -> int:
    """Simulate the user and print Dice after every prompt."""
    if options.out:
        check_target(options.out, ENDINGS)
    method = prompted_method(options.method)
    answers = work("Simulate a user", lambda progress: _simulate(options, method, progress))
    if options.out:
        write_labels(answers[-1].result, options.out)
    if options.json:
        document = to_json(answers, options.label, options.method)
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
        print()
    else:
        print(table(answers))
    return 0


def _simulate(options: argparse.Namespace, method: Method, progress: Progress) -> list[Answer]:
    volume = read_image(options.image, options.series, silent)[0]
    reference = read_labels(options.reference, volume.geometry.frame_uid)
    return simulate_user(
        volume,
        reference,
        method,
        label=_label(reference, options.label),
        prompts=options.prompts,
        marks="clicks" if options.clicks else "strokes",
        stroke_mm=options.stroke_mm,
        progress=progress,
    )


def _label(reference: LabelMap, text: str) -> int | str | None:
    """Return the label that a name or, if no label is called so, a value means."""
    names = [label.name for label in reference.labels.values()]
    if text.isdecimal() and text not in names:
        return int(text)
    return text or None


def prompted_method(name: str) -> Method:
    """Return the method that the stage of this short name is, when it is given prompts.

    A stage that takes no strokes is given their points.

    Raises:
        StageError: if no stage of that name takes points.
    """
    fitting = {n: s for n, s in methods().items() if _takes_points(s)}
    stage = fitting.get(name)
    if stage is None:
        raise StageError(f"{name!r} takes no prompts; these do: {', '.join(fitting)}")

    def method(volume: Volume, prompts: tuple[Prompt, ...]) -> LabelMap:
        inputs = {stage.inputs[0].name: volume}
        result: LabelMap = stage.run(inputs, prompt_params(stage, prompts), silent)
        return result

    return method


def _takes_points(stage: Stage) -> bool:
    return "prompts" in stage.parameters or "background_mm" in stage.parameters


def prompt_params(stage: Stage, prompts: tuple[Prompt, ...]) -> Mapping[str, Any]:
    """Return the parameters of a stage that say what the prompts say."""
    if "prompts" in stage.parameters:
        sides = {True: "inside", False: "outside"}
        return {"prompts": [(sides[p.foreground], p.points_mm) for p in prompts]}
    return {
        name: [point for p in prompts if p.foreground is foreground for point in p.points_mm]
        for name, foreground in (("foreground_mm", True), ("background_mm", False))
    }


def to_json(answers: list[Answer], label: str, method: str) -> dict[str, Any]:
    """Return the document of ``hilum simulate-user --json``; a distance to nothing is null."""
    records = [
        {
            "n": answer.n,
            "kind": answer.prompt.kind,
            "points_mm": [list(point) for point in answer.prompt.points_mm],
            **_measured(answer),
        }
        for answer in answers
    ]
    final = {"prompts": len(answers)} | _measured(answers[-1])
    return {"label": label, "method": method, "prompts": records, "final": final}


def _measured(answer: Answer) -> dict[str, Any]:
    far = answer.hausdorff95_mm
    return {
        "dice": answer.dice,
        "hausdorff95_mm": far if isfinite(far) else None,
        "seconds": round(answer.seconds, 3),
    }


def table(answers: list[Answer]) -> str:
    """Return one line per prompt."""
    lines = [f"{'n':>3} {'prompt':20} {'Dice':>7} {'HD95 mm':>9} {'seconds':>9}"]
    for a in answers:
        lines.append(
            f"{a.n:3} {a.prompt.kind:20} {a.dice:7.3f} {a.hausdorff95_mm:9.1f} {a.seconds:9.2f}"
        )
    return "\n".join(lines)
