"""A stenosis and an aorta as a user plans them: files in, numbers, report and tables out."""

import csv

import numpy as np
import pytest
from pypdf import PdfReader

from meshing.files import write_surface
from segmentation.images import write_labels
from segmentation.volume import ImageGeometry, Label, LabelMap
from tests.end_to_end.test_aneurysm import numbers_of, run
from tests.meshing.vessels import swept
from workstation.__main__ import main
from workstation.case import open_case
from workstation.picture import probe
from workstation.report import write_report
from workstation.session import Session

ALONG = np.linspace(0, 24, 49)
NARROW, LEAST, NORMAL = 11.0, 1.6, 3.2
WIDE = np.linspace(0, 120, 49)


def codes(document):
    return {finding["code"] for finding in document["findings"]}


def artery(where):
    """Write a bent artery of 3.2 mm, half as wide at 11 mm, as a surface; return its path."""
    bump = np.exp(-(((ALONG - NARROW) / 2) ** 2))
    turn = ALONG / 20
    axis = np.stack([20 * np.sin(turn), 20 * (1 - np.cos(turn)), 0.2 * ALONG], axis=1)
    lumen = swept(axis + np.array([5.0, -30, 40]), (NORMAL - (NORMAL - LEAST) * bump) / 2, sides=24)
    write_surface(lumen, where / "artery.stl")
    return where / "artery.stl"


def aorta(where, name, widest_mm):
    """Write an aorta of 22 mm that widens at 70 mm, as a surface; return its path."""
    axis = np.stack([0.1 * WIDE + 9, -4 + 0 * WIDE, 300 - WIDE], axis=1)
    bump = np.exp(-(((WIDE - 70) / 14) ** 2))
    write_surface(swept(axis, 11 + (widest_mm / 2 - 11) * bump, sides=32), where / name)
    return where / name


@pytest.fixture(scope="module")
def narrowed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stenosis")
    code, document = run(
        folder, "plan", "stenosis", "--case", folder / "case", "--source",
        f"lumen={artery(folder)}", "--set", "narrowing.aortic_pressure_mmhg=92",
        "--set", "narrowing.flow_ml_s=2.5", "--set", "narrowing.flow_source=assumed",
        "--with", "flow", "--set", "flow.spacing_mm=0.33", "--set", "flow.most_exchanges=2",
        "--set", "flow.settled_percent=10",
    )  # fmt: skip
    assert code == 0
    return folder / "case", document


@pytest.fixture(scope="module")
def widened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aorta")
    now, then = aorta(folder, "now.stl", 52.0), aorta(folder, "then.stl", 46.0)
    code, document = run(
        folder, "plan", "aorta", "--case", folder / "case", "--source", f"aorta={now}",
        "--source", f"earlier={then}", "--set", "change.earlier_date=2021-03-05",
        "--set", "change.later_date=2024-03-05", "--set", "repair.female=true",
        "--set", "repair.site=infrarenal", "--set", "diameters.renal_mm=[12,-4,270]",
        "--set", "line.inlet_mm=[9,-4,300]",
        "--with", "landing", "--set", "landing.minimum_diameter_mm=18",
        "--set", "landing.maximum_diameter_mm=30",
    )  # fmt: skip
    assert code == 0
    return folder / "case", document


def test_a_surface_becomes_a_narrowing_and_its_reserve_from_measures_and_flow(narrowed):
    _, document = narrowed
    found = numbers_of(document)
    assert found["narrowing.minimum_diameter"] == pytest.approx(LEAST, rel=0.03)
    assert found["narrowing.reference_diameter"] == pytest.approx(NORMAL, rel=0.03)
    assert found["narrowing.diameter_stenosis"] == pytest.approx(50, abs=2)
    assert found["narrowing.area_stenosis"] == pytest.approx(75, abs=2)
    assert found["narrowing.position"] == pytest.approx(NARROW, abs=1.0)
    assert 0.7 < found["fractional_flow_reserve"] < 0.99
    assert found["flow.inlet.flow"] == pytest.approx(found["narrowing.flow"], rel=0.03)
    assert found["reserve_3d.of_measures"] == found["fractional_flow_reserve"]
    assert 0.6 < found["reserve_3d.fractional_flow_reserve"] < 0.99
    assert {"reserve_model", "coarse_throat", "narrowest_place"} <= codes(document)


def test_the_window_begins_at_the_narrowing(narrowed):
    session = Session()
    session.open(narrowed[0])
    with open_case(narrowed[0], write=False) as case:
        assert session.view.crosshair_mm == pytest.approx(case.value("narrowing").text_mm)
    assert "narrowing" not in session.view.hidden
    session.close()


def test_the_pressure_along_the_line_goes_to_a_table(narrowed, tmp_path):
    assert main(["export", str(narrowed[0]), "reserve_3d", str(tmp_path / "r.line.csv")]) == 0
    with (tmp_path / "r.line.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["pressure_mmhg"]) == pytest.approx(92)
    assert float(rows[-1]["pressure_3d_mmhg"]) < 92


@pytest.mark.skipif(probe() is not None, reason="3D cannot be drawn here")
def test_the_report_draws_the_diameters_along_the_line(widened, tmp_path):
    with open_case(widened[0], write=False) as case:
        write_report(case, tmp_path / "report.pdf")
    pages = PdfReader(tmp_path / "report.pdf").pages
    words = " ".join(" ".join(page.extract_text() for page in pages).split())
    for told in ("Aorta: plan 1", "Largest diameter of the aorta", "Along the line: diameters",
                 "Diameter over the distance", "maximum diameter"):  # fmt: skip
        assert told in words, told


def test_a_label_is_cut_down_to_the_narrowing_and_nothing_is_assumed(tmp_path):
    geometry = ImageGeometry(
        (20, 20, 80), (0.5, 0.5, 0.5), (-5.0, -5.0, 0.0), tuple(np.eye(3).ravel()), "1.2.3"
    )
    k, j, i = np.indices(geometry.shape)
    x, y, z = np.moveaxis(geometry.to_world(np.stack([i, j, k], axis=-1)), -1, 0)
    wall = 2.4 - 1.1 * np.exp(-(((z - 18) / 3) ** 2))
    label = LabelMap((np.hypot(x, y) < wall).astype(np.uint8), geometry, {1: Label("artery")})
    write_labels(label, tmp_path / "artery.nii.gz")
    code, document = run(
        tmp_path, "plan", "stenosis", "--case", tmp_path / "case", "--source",
        f"lumen={tmp_path / 'artery.nii.gz'}", "--set", "region.reach_mm=15",
    )  # fmt: skip
    assert code == 0
    found = numbers_of(document)
    assert found["narrowing.diameter_stenosis"] == pytest.approx(46, abs=6)
    assert "fractional_flow_reserve" not in found
    assert {"reserve_inputs", "narrowing_chosen"} <= codes(document)
    assert found["centerline.length"] < 32


def test_an_aorta_has_diameters_neck_threshold_landing_zone_and_growth(widened):
    _, document = widened
    found = numbers_of(document)
    assert found["diameters.maximum_diameter"] == pytest.approx(52, rel=0.01)
    assert found["earlier_diameters.maximum_diameter"] == pytest.approx(46, rel=0.01)
    assert found["change.growth"] == pytest.approx(6, abs=0.3)
    assert found["change.growth_per_year"] == pytest.approx(2, abs=0.1)
    assert found["repair.threshold"] == 50
    assert found["repair.to_threshold"] == pytest.approx(-2, abs=0.5)
    assert found["diameters.neck.diameter"] == pytest.approx(22, rel=0.03)
    assert found["landing.zones"] >= 1
    assert all(step["state"] == "fresh" for step in document["steps"])


def test_what_an_aorta_lacks_is_told_before_anything_is_computed(tmp_path, capsys):
    case = ["--case", str(tmp_path / "case")]
    assert main(["plan", "aorta", *case]) == 1
    assert "needs the source 'aorta'" in capsys.readouterr().err
    path = aorta(tmp_path, "now.stl", 40.0)
    assert main(["plan", "aorta", *case, "--source", f"aorta={path}", "--with", "landing"]) == 1
    assert "minimum_diameter_mm" in capsys.readouterr().err
