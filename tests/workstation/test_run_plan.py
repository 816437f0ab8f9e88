"""What becomes of a plan's other steps when one of them fails."""

import errno
import os

import numpy as np
import pytest

from segmentation.volume import ImageGeometry, Volume
from workstation.plan_run import StepFailed, run_plan
from workstation.planning.plan import Plan, Step

GRID = ImageGeometry((4, 5, 6), (1.0, 1.0, 1.0), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1), "1.2")
OUTSIDE = {"foreground_mm": ((900.0, 0.0, 0.0),)}
PLAN = Plan(
    "1.2",
    {"ct": "key"},
    (
        Step("segmentation.grow_from_seeds", "organ", 1, {"volume": "ct"}, OUTSIDE),
        Step("segmentation.keep_islands", "island", 1, {"labels": "organ"}),
        Step("segmentation.threshold", "bright", 1, {"volume": "ct"}, {"lower_hu": 1.0}),
    ),
)


def test_a_failed_step_stops_only_what_needs_it():
    image = Volume(np.arange(120, dtype=np.int16).reshape(6, 5, 4), GRID)
    store, seen = {"key": image}, []
    with pytest.raises(StepFailed, match="organ") as error:
        run_plan(PLAN, store, on_step=seen.append)
    assert error.value.__cause__ is not None
    assert [(step.output, step.state) for step in seen] == [("organ", "failed"), ("bright", "done")]
    assert PLAN.keys()["bright"] in store
    assert PLAN.keys()["island"] not in store


def test_a_full_disk_stops_all():
    class Full(dict):
        def __setitem__(self, key, value):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "store")

    image = Volume(np.zeros((6, 5, 4), np.int16), GRID)
    plan = Plan("1.2", {"ct": "key"}, (PLAN.steps[2], PLAN.steps[0]))
    seen = []
    with pytest.raises(StepFailed, match="bright"):
        run_plan(plan, Full(key=image), on_step=seen.append)
    assert len(seen) == 1
