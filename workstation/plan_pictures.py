"""A picture of each plan, all seen by the same eye, so that only what differs looks different."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import floor, log10
from pathlib import Path

import numpy as np
from PIL import Image

from hemodynamics.flow_result import FlowResult
from segmentation.contract import Progress, share, silent
from workstation.actors import BUILDERS
from workstation.camera import Side, Size
from workstation.case import Case
from workstation.comparing import treated_flows
from workstation.figures import figures_of, plan_scene
from workstation.flow_pictures import FlowLook, items, prepare
from workstation.picture import Picture, SceneItem, render_scenes
from workstation.planning.plan import Plan
from workstation.stages import find_stage
from workstation.store import write_atomically
from workstation.views import burn_in

DRAWN = frozenset(kind.__name__ for kind in BUILDERS)
PICTURE_PX = (480, 330)
LEAST = 2.0
"""Percent of the walls whose shear may lie below a bar."""


def plan_items(case: Case, plan: Plan) -> dict[str, SceneItem]:
    """Return what the 3D picture of a plan shows, as far as it is computed."""
    keys = plan.keys()
    values = {
        step.output: case.values[keys[step.output]]
        for step in plan.steps
        if find_stage(step).output_kind in DRAWN and keys[step.output] in case.values
    }
    return plan_scene(values, figures_of(plan))


def _scenes(case: Case, plans: Mapping[int, Plan]) -> dict[int, Mapping[str, SceneItem]]:
    """Return what is shown of each plan: of treatments the wall's shear, else the plans' scenes.

    All walls have one bar, and a logarithmic one, since shear in a dome is small.
    """
    flows: dict[int, FlowResult] = {}
    for (number, plan), name in zip(plans.items(), treated_flows(list(plans.values()))):
        flow = case.values.get(plan.keys()[name]) if name else None
        if isinstance(flow, FlowResult) and len(flow.times_s):
            flows[number] = flow
    if len(flows) < 2:
        return {number: plan_items(case, plan) for number, plan in plans.items()}
    every = list(flows.values())
    shear = np.concatenate([flow.wall.point_data["tawss_pa"] for flow in every])
    least = float(np.percentile(shear[shear > 0], LEAST)) if (shear > 0).any() else 1.0
    look = FlowLook("tawss_pa", log=True, low=10.0 ** floor(log10(least)))
    return {
        number: items(prepare(flows[number], look, compared=every), 0) if number in flows else {}
        for number in plans
    }


def plan_pictures(
    case: Case, numbers: Sequence[int], side: Side = "A", size: Size = PICTURE_PX
) -> Iterator[Picture | None]:
    """Yield a picture of each plan from the patient's ``side``, None where nothing is computed."""
    scenes = _scenes(case, {number: case.plan(number) for number in dict.fromkeys(numbers)})
    drawn = render_scenes((shown for shown in scenes.values() if shown), side, size)
    found = {number: next(drawn) if shown else None for number, shown in scenes.items()}
    yield from (found[number] for number in numbers)


def write_plan_pictures(
    case: Case, numbers: Sequence[int], folder: Path, progress: Progress = silent
) -> list[Path]:
    """Write ``plan0001.png`` and so on into ``folder``, which is made; return the files.

    A plan of which nothing is computed has none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted, files = list(dict.fromkeys(numbers)), []
    for n, (number, pixels) in enumerate(zip(wanted, plan_pictures(case, wanted))):
        share(progress, n, len(wanted))(0.0, f"picture of plan {number}")
        if pixels is None:
            continue
        drawn, file = Image.fromarray(pixels), folder / f"plan{number:04d}.png"
        burn_in(drawn)
        write_atomically(file, partial(drawn.save, format="PNG"))
        files.append(file)
    progress(1.0)
    return files
