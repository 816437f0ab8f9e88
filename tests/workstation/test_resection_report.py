"""The pages about a resection: what they say and show, and that nothing missing stops them."""

import numpy as np
import pytest
from reportlab.platypus import Paragraph

from meshing.surface import isosurface
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.case import create_case
from workstation.compare_report import compare_pages
from workstation.named_plans import new_plan
from workstation.picture import probe
from workstation.planning.plan import Plan, Step
from workstation.planning.resection import CutPlane
from workstation.resection_pictures import painted
from workstation.resection_report import is_resection, resection_pages

GRID = ImageGeometry(
    (20, 16, 12), (2.0, 2.0, 3.0), (-40, 10, 5), (1, 0, 0, 0, 1, 0, 0, 0, 1), "1.2"
)


def labels(*names):
    array = np.zeros(GRID.shape, np.uint8)
    array[2:-2, 3:-3, 2:13] = 1
    array[2:-2, 3:-3, 13:18] = len(names)
    found = {n: Label(name, colour=(40 * n, 9, 9)) for n, name in enumerate(names, 1)}
    return LabelMap(array, GRID, found)


def words(part):
    """Return all text of flowables, also inside tables and groups."""
    if isinstance(part, Paragraph):
        return part.text
    inside = getattr(part, "_cellvalues", getattr(part, "_content", part))
    return " ".join(map(words, inside)) if isinstance(inside, list | tuple) else ""


def test_a_surface_is_painted_with_the_label_it_lies_on():
    two = labels("II", "VIII")
    whole = LabelMap((two.array > 0).astype(np.uint8), GRID, {1: Label("liver")})
    surface = isosurface(whole)
    parts = painted(surface, two)
    assert sum(len(part.surface.triangles) for part in parts.values()) == len(surface.triangles)
    border = GRID.to_world([12.5, 0, 0])[0]
    for value, left in (("1", True), ("2", False)):
        part = parts[value]
        x = part.surface.points_mm[part.surface.triangles].mean(axis=1)[:, 0]
        assert ((x < border) == left).mean() > 0.97
        assert part.colour == two.labels[int(value)].colour


def number(name, value, unit, low=None, high=None, source="measured"):
    known = {"value": value, "unit": unit, "low": low, "high": high, "source": source}
    return {"name": name, "step": name.split(".")[0]} | known


def test_limits_bands_assumptions_and_shares_are_said():
    two, stays = labels("II", "VIII"), labels("liver")
    array = stays.array.copy()
    array[:, :, 15:] = 0
    cut = CutPlane((0.0, 20.0, 20.0), (1.0, 0.0, 0.0), "1.2", isosurface(stays))
    values = {
        "cut": cut,
        "territories": two,
        "remnant": LabelMap(array, GRID, stays.labels),
        "specimen": two,
    }
    summary = {
        "numbers": [
            number("margin.minimum", 0.4, "mm", 0.1, 1.2),
            number("flr.total", 29.0, "%", 27.0, 31.0),
            number("portal_pressure.before", 10.0, "mmHg"),
            number("portal_pressure.after", 14.0, "mmHg", 12.0, 22.0, "closed"),
            number("portal_pressure.after_widened", 11.5, "mmHg", 10.5, 13.0, "widening"),
            number("liver_function.child_pugh", 8.0, "points", source="Pugh 1973"),
        ],
        "findings": [
            {"step": "portal_pressure", "code": "portal_pressure_assumed", "sentence": "<assumed>"},
            {"step": "liver_function", "code": "child_pugh", "sentence": "It is 8: class B."},
            {"step": "liver", "code": "proposed_liver", "sentence": "Proposed & unseen."},
            {"step": "margin", "code": "nearest", "sentence": "Not an assumption."},
        ],
    }
    assert is_resection(values)
    said = words(resection_pages(Plan("1.2", {}), values, summary))
    assert "▲ passed</b>: at least 1 mm, R0" in said
    assert "at least 30 % <b>▲ passed</b>" in said
    assert "at least 20 % kept" in said
    assert "&lt;assumed&gt;" in said
    assert "Proposed &amp; unseen." in said
    assert "Not an assumption" not in said
    assert "12.0 to 22.0 mmHg" in said
    assert "as those of cats   11.5 mmHg 10.5 to 13.0 mmHg" in said
    assert "8.0 points class B Pugh 1973" in said
    assert "40 %" in said, "two of the five columns of VIII stay"


def test_a_plan_without_both_parts_is_no_resection():
    assert not is_resection({"specimen": labels("a"), "remnant": labels("b")})


@pytest.mark.skipif(probe() is not None, reason="3D cannot be drawn here")
def test_plans_stand_side_by_side_where_two_have_names(tmp_path):
    step = Step("planning.patient", "patient", params={"body_weight_kg": 70.0})
    with create_case(tmp_path / "case") as case:
        case.add_plan(Plan("", {}, (step,)), "Start")
        assert compare_pages(case) == []
        new_plan(case)
        other = case.plan().with_params("patient", body_weight_kg=81.0)
        case.add_plan(other, "Heavier")
        case.run(other)
        said = words(compare_pages(case))
    assert "Plan B (this report)" in said
    assert "Plan A" in said
    assert "Not computed: plan A" in said
    assert "patient's values differ" in said.replace("&#x27;", "'")
