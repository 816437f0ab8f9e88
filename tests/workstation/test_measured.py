"""Measurements as steps of a plan: kept, listed, drawn and written to files."""

import json
from pathlib import Path

import numpy as np
import pytest

from meshing.drawn import as_tubes
from meshing.surface import enclosed_mm3, is_watertight
from segmentation.images import write_volume
from segmentation.measured import Measured
from workstation.actors import MEASURED, scene_items
from workstation.case import Case, create_case, open_case
from workstation.export_any import export_any
from workstation.figures import fresh_values, plan_scene, slice_figure
from workstation.formats import digest_value
from workstation.planning.plan import Plan, Step
from workstation.report import write_report
from workstation.stages import STAGES

from ..flows.conftest import FRAME, STEPS, abdomen_like

START, END = (-32.0, 4.0, -6.0), (10.0, 4.0, -6.0)
MEASURES = (
    Step("meshing.distance", "span", inputs={"place": "ct"}, params={"points_mm": [START, END]}),
    Step("segmentation.profile", "values", inputs={"volume": "ct", "path": "span"}),
    Step("meshing.fit_sphere", "ball", inputs={"place": "tumor"}),
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("measured")
    write_volume(abdomen_like(), folder / "scan.nii.gz")
    steps = tuple(s for s in STEPS if s.output in ("liver", "tumor", "liver_surface"))
    with create_case(folder / "case") as case:
        case.import_file(folder / "scan.nii.gz", "ct", "volume", FRAME)
        plan = Plan(FRAME, {"ct": case.record.sources["ct"]["sha256"]}, (*steps, *MEASURES))
        case.add_plan(plan, "Start")
        case.run(plan)
    return open_case(folder / "case", write=False)


def test_measurements_are_kept_with_every_part(measured: Case) -> None:
    plan = measured.plan()
    keys = plan.keys()
    for name in ("span", "values", "ball"):
        fresh = Case(measured.folder, measured.record, None).values[keys[name]]
        assert isinstance(fresh, Measured)
        assert digest_value(fresh) == measured.values.record(keys[name])["digest"]
    values = measured.values[keys["values"]]
    assert len(values.samples["value_hu"]) == len(values.samples["distance_mm"]) > 20
    assert measured.values[keys["ball"]].places["centre_mm"] == pytest.approx(START, abs=1.0)


def test_they_are_the_same_when_computed_again(measured: Case) -> None:
    assert measured.check(measured.plan()) == []


def test_their_numbers_are_listed_with_unit_and_band(measured: Case) -> None:
    numbers = {n["name"]: n for n in measured.summary()["numbers"]}
    span = numbers["span.length"]
    assert span["value"] == pytest.approx(42.0)
    assert (span["unit"], span["low"] < 42.0 < span["high"]) == ("mm", True)
    assert "half a voxel" in span["source"]
    assert numbers["values.maximum"]["value"] == pytest.approx(200, abs=1)
    assert numbers["ball.radius"]["value"] == pytest.approx(9.0, abs=0.4)


def test_they_are_drawn_in_the_picture_and_the_report(measured: Case, tmp_path: Path) -> None:
    values = fresh_values(measured, measured.plan())
    items = plan_scene(values)
    assert {"span", "values", "ball"} <= items.keys()
    assert items["span"].kind == "mark"
    image = measured.value("ct")
    figure = slice_figure(image, "axial", START, values)
    lines = [parts for parts, colour in figure.outlines if colour == MEASURED]
    ends = figure.plane.to_pixel([START, END])[:, :2]
    assert any(len(parts) == 1 and np.allclose(parts[0], ends) for parts in lines)
    write_report(measured, tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").stat().st_size > 10_000


def test_they_go_to_a_file(measured: Case, tmp_path: Path) -> None:
    export_any(measured, "values", tmp_path / "values.json")
    record = json.loads((tmp_path / "values.json").read_text())
    assert len(record["samples"]["value_hu"]) > 20
    assert record["lines_mm"][0][0] == list(START)


def test_tubes_are_closed_sided_and_beads_are_solid() -> None:
    line = np.array([[0.0, 0, 0], [10, 0, 0], [10, 10, 0]])
    made = Measured("1", (line,), line[:1], "", (0, 0, 0))
    assert len(as_tubes(made).triangles)
    bead = as_tubes(Measured("1", (), line[:1], "", (0, 0, 0)))
    assert is_watertight(bead)
    assert enclosed_mm3(bead) > 0
    assert scene_items({"a": made})["a"].surface.name == "a"


def test_every_measure_that_needs_no_picked_point_can_be_added_by_a_form() -> None:
    group = {name: stage for name, stage in STAGES.items() if stage.group == "Measure"}
    assert len(group) >= 14
    for stage in group.values():
        assert stage.output_kind in ("Measured", "SurfaceMesh"), stage.name
        assert all(p.description for p in stage.parameters.values()), stage.name


def test_plans_with_points_read_back_the_same(measured: Case) -> None:
    plan = measured.plan()
    assert plan == Plan(FRAME, plan.sources, plan.steps, plan.template)
    assert plan.step("span").params["points_mm"] == (START, END)
