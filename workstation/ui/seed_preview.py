"""What points that were just placed make of the image, coarse and at once, until it is computed."""

from __future__ import annotations

from typing import Any

from segmentation.contract import Progress
from segmentation.preview import reduced
from segmentation.volume import LabelMap, Volume
from workstation.jobs import Job
from workstation.planning.plan import Step
from workstation.stages import STAGES
from workstation.ui.desk import Desk, Trial

MARKS = "foreground_mm"
REACH = "reach_mm"
RADIUS = "radius_mm"
MARK_VOXELS = 2.0
QUICK = "quick"


class SeedPreview:
    """Shows the coarse answer of the stage that makes the target label from points."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._key = ""
        desk.left.connect(self._forget)
        desk.bindings.add(self.refresh)

    def _forget(self) -> None:
        self._key = ""

    def start(self, target: str) -> None:
        """Begin to preview the label ``target`` of the present plan, if it grows from points."""
        desk = self._desk
        step = desk.session.require_plan().step(target)
        if step.stage not in STAGES:
            return
        stage = STAGES[step.stage]
        inputs = [needed.kind for needed in stage.inputs]
        image = desk.value(next(iter(step.inputs.values()), ""))
        if (
            inputs != ["Volume"]
            or not (QUICK in stage.parameters or REACH in stage.parameters)
            or not (QUICK in stage.parameters or step.params.get(MARKS))
            or not isinstance(image, Volume)
        ):
            return
        self._key = key = desk.key_of(target)

        def work(progress: Progress) -> Any:
            return coarse_answer(step, image, progress)

        def take(job: Job[Any]) -> None:
            waited_for = self._key == key == desk.key_of(target) and not desk.is_current(target)
            if isinstance(job.result, LabelMap) and waited_for:
                desk.trial = Trial(target, job.result)
                desk.session.notify()

        desk.jobs.start(Job("Preview", work), take, light=True)

    def refresh(self) -> None:
        """Let the preview go once the label itself is there, or the plan has another."""
        desk, trial = self._desk, self._desk.trial
        if not self._key or trial is None:
            return
        if desk.key_of(trial.target) != self._key or desk.is_current(trial.target):
            self._key, desk.trial = "", None
            desk.session.notify()


def coarse_answer(step: Step, image: Volume, progress: Progress) -> Any:
    """Return what ``step`` makes of a reduced image, or its own quick answer."""
    stage = STAGES[step.stage]
    if QUICK in stage.parameters:
        return stage.run({stage.inputs[0].name: image}, {**step.params, QUICK: True}, progress)
    reach = step.params.get(REACH, stage.parameters[REACH].default)
    small = reduced(image, step.params[MARKS], float(reach))
    params = dict(step.params)
    if RADIUS in stage.parameters:  # a mark must hold enough voxels to tell what is alike
        asked = float(params.get(RADIUS, stage.parameters[RADIUS].default))
        params[RADIUS] = max(asked, MARK_VOXELS * max(small.geometry.spacing_mm))
    return stage.run({stage.inputs[0].name: small}, params, progress)
