"""Steps of doubt in a plan: what they are about, and the bands that they give."""

import json

import numpy as np
import pytest

from segmentation.images import write_volume
from segmentation.volume import ImageGeometry, Volume
from workstation.__main__ import main
from workstation.bands import doubt_steps, image_of, repeat_seconds, with_bands, with_doubt
from workstation.case import create_case, open_case
from workstation.planning.plan import Plan, PlanError, Step

GRID = ImageGeometry((30, 28, 20), (2, 2, 2.5), (-40, 3, 5), (1, 0, 0, 0, 1, 0, 0, 0, 1), "1.2")
STEPS = (
    Step("segmentation.threshold", "liver", 1, {"volume": "ct"}, {"lower_hu": 40.0}),
    Step("planning.cut_plane", "cut", 1, {"liver": "liver"}, {"normal": (1.0, 0.0, 0.0)}),
    Step("planning.remnant", "remnant", 1, {"liver": "liver", "cut": "cut"}),
    Step("meshing.isosurface", "liver_surface", 1, {"labels": "liver"}),
)


@pytest.fixture
def folder(tmp_path):
    array = np.full(GRID.shape, -20.0)
    array[5:15, 6:22, 8:24] = 70
    noise = np.random.default_rng(5).standard_normal(array.shape) * 15.0
    write_volume(Volume(np.rint(array + noise).astype(np.int16), GRID), tmp_path / "ct.nrrd")
    with create_case(tmp_path / "case") as case:
        case.import_file(tmp_path / "ct.nrrd", "ct", "volume", "1.2")
        case.add_plan(Plan("1.2", {"ct": case.record.sources["ct"]["sha256"]}, STEPS), "Start")
        case.run(case.plan())
    return case.folder


def test_a_label_brings_the_doubt_of_its_parts_along():
    plan = Plan("1.2", {"ct": "x"}, STEPS)
    more = with_doubt(plan, "liver", {"repeats": 5})
    assert doubt_steps(more) == {"liver_doubt": "liver", "remnant_doubt": "remnant"}
    assert more.step("remnant_doubt").inputs == {"labels": "remnant", "volume": "ct"}
    again = with_doubt(more, "liver", {"repeats": 6})
    assert len(again.steps) == len(more.steps)
    assert {again.step(name).params["repeats"] for name in doubt_steps(again)} == {6}
    assert with_doubt(more, "liver") == more


def test_what_cannot_be_repeated_is_refused():
    plan = Plan("1.2", {"ct": "x", "file": "y"}, STEPS)
    with pytest.raises(PlanError, match="'cut' is no label"):
        with_doubt(plan, "cut")
    smoothed = plan.added(Step("segmentation.smooth", "smoothed", 1, {"labels": "file"}))
    with pytest.raises(PlanError, match="from no image"):
        image_of(smoothed, "smoothed")


def test_bands_move_to_the_numbers_of_the_label():
    plan = with_doubt(Plan("1.2", {"ct": "x"}, STEPS), "liver")
    bare = {"unit": "mL", "low": None, "high": None, "source": "voxels"}
    banded = {"unit": "mL", "low": 4.0, "high": 6.0, "source": "voxels; band: repeats"}
    shown = with_bands(
        plan,
        [
            {"name": "liver.volume", "step": "liver", "value": 5.0, **bare},
            {"name": "remnant.volume", "step": "remnant", "value": 2.0, **bare},
            {"name": "liver_doubt.volume", "step": "liver_doubt", "value": 5.0, **banded},
        ],
    )
    assert [n["name"] for n in shown] == ["liver.volume", "remnant.volume"]
    assert (shown[0]["low"], shown[0]["high"]) == (4.0, 6.0)
    assert "repeats" in shown[0]["source"]
    assert shown[1]["low"] is None


def test_the_cost_is_that_of_what_is_repeated():
    plan = with_doubt(Plan("1.2", {"ct": "x"}, STEPS), "liver")
    steps = [
        {"output": o, "seconds": s, "state": "done"} for o, s in (("liver", 4.0), ("cut", 9.0))
    ]
    assert repeat_seconds(plan, "liver", [{"steps": steps}]) == 4.0
    assert repeat_seconds(plan, "remnant", [{"steps": steps}]) is None


def test_the_command_gives_the_volume_a_band(folder, capsys):
    assert main(["doubt", str(folder), "liver", "--set", "repeats=4", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    numbers = {n["name"]: n for n in summary["numbers"]}
    assert "liver_doubt.volume" not in numbers
    for name in ("liver.volume", "remnant.volume"):
        assert numbers[name]["low"] < numbers[name]["high"]
    assert numbers["remnant.fraction"]["low"] is None
    states = {s["output"]: s["state"] for s in summary["steps"]}
    assert states["remnant_doubt"] == "fresh"
    assert main(["run", str(folder), "--check"]) == 0
    with open_case(folder) as case:
        moved = case.plan().with_params("liver", lower_hu=30.0)
        case.add_plan(moved, "Lower")
        case.run(moved.only("liver"))
        records = {n["name"]: n for n in case.summary()["numbers"]}
    assert records["liver.volume"]["low"] is None, "a band is of one result and no other"
    capsys.readouterr()
    assert main(["doubt", str(folder), "cut"]) == 1
    assert "is no label" in capsys.readouterr().err
