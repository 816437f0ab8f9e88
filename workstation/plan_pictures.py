"""A picture of each plan, all seen by the same eye, so that only what differs looks different."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from segmentation.contract import Progress, share, silent
from workstation.actors import BUILDERS
from workstation.camera import Side, Size
from workstation.case import Case
from workstation.figures import figures_of, plan_scene
from workstation.picture import Picture, SceneItem, render_scenes
from workstation.planning.plan import Plan
from workstation.stages import find_stage
from workstation.store import write_atomically
from workstation.views import burn_in

DRAWN = frozenset(kind.__name__ for kind in BUILDERS)
PICTURE_PX = (480, 330)


def plan_items(case: Case, plan: Plan) -> dict[str, SceneItem]:
    """Return what the 3D picture of a plan shows, as far as it is computed."""
    keys = plan.keys()
    values = {
        step.output: case.values[keys[step.output]]
        for step in plan.steps
        if find_stage(step).output_kind in DRAWN and keys[step.output] in case.values
    }
    return plan_scene(values, figures_of(plan))


def plan_pictures(
    case: Case, numbers: Sequence[int], side: Side = "A", size: Size = PICTURE_PX
) -> Iterator[Picture | None]:
    """Yield a picture of each plan from the patient's ``side``, None where nothing is computed."""
    scenes = {number: plan_items(case, case.plan(number)) for number in dict.fromkeys(numbers)}
    drawn = render_scenes((items for items in scenes.values() if items), side, size)
    found = {number: next(drawn) if items else None for number, items in scenes.items()}
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
