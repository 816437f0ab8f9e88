import json
import shutil

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from segmentation.images import write_labels, write_volume
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from workstation.case import CaseError, create_case
from workstation.importing import start_plan
from workstation.picture import probe
from workstation.plan_pictures import write_plan_pictures
from workstation.planning.template import find_template
from workstation.report import RESEARCH_USE, SYNTHETIC, write_report
from workstation.report_layout import (
    number_title,
    shown_band,
    shown_date,
    shown_value,
    size_to_fit,
    text,
)

FLIPPED = (0, 1, 0, 1, 0, 0, 0, 0, -1)
GRID = ImageGeometry((44, 40, 24), (4.0, 4.0, 6.0), (-80, -60, 90), FLIPPED, "1.2")


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A case with a box for a liver, another for its tumour, and a plan that was run."""
    folder = tmp_path_factory.mktemp("report")
    liver = np.zeros(GRID.shape, np.uint8)
    liver[4:20, 6:34, 5:30] = 1
    tumor = np.zeros(GRID.shape, np.uint8)
    tumor[8:11, 10:14, 8:12] = 1
    write_volume(Volume((100 * liver - 60 * tumor).astype(np.int16), GRID), folder / "ct.nrrd")
    for name, mask in {"liver": liver, "tumor": tumor}.items():
        write_labels(LabelMap(mask, GRID, {1: Label(name)}), folder / f"{name}.nrrd")
    sources = {name: folder / f"{name}.nrrd" for name in ("ct", "liver", "tumor")}
    with create_case(folder / "case") as case:
        template = find_template("liver-resection")
        case.run(start_plan(case, template, sources, [("patient", "body_weight_kg", 71.5)]))
        yield case


def pages_of(case, tmp_path, **identity):
    case.record.patient = {"patient_id": "P-17", "birth_date": "19610203", "sex": "F"} | identity
    path = tmp_path / "report.pdf"
    write_report(case, path)
    return [page.extract_text() for page in PdfReader(path).pages]


@pytest.mark.skipif(probe() is not None, reason="3D cannot be drawn here")
def test_every_page_names_the_patient_and_research_use(planned, tmp_path):
    planned.record.synthetic = True
    pages = pages_of(planned, tmp_path, name="Παπαδοπούλου^Ελένη")
    assert len(pages) >= 2
    for number, page in enumerate(pages, 1):
        assert "Παπαδοπούλου^Ελένη" in page
        assert "ID P-17" in page
        assert "born 1961-02-03" in page
        assert RESEARCH_USE in page
        assert SYNTHETIC in page
        assert f"page {number}" in page


@pytest.mark.skipif(probe() is not None, reason="3D cannot be drawn here")
def test_the_report_holds_every_number_finding_and_parameter(planned, tmp_path):
    planned.record.synthetic = False
    summary = planned.summary()
    words = " ".join(" ".join(pages_of(planned, tmp_path, name="Ángel^Muñoz")).split())
    assert SYNTHETIC not in words
    assert "Ángel^Muñoz" in words
    assert len(summary["numbers"]) > 10
    for number in summary["numbers"]:
        assert shown_value(number) in words, number
        name = number_title(find_template("liver-resection").figures, number["name"])
        assert name.replace(" ", "") in words.replace(" ", "")
    for finding in summary["findings"]:
        assert finding["sentence"].replace(" ", "") in words.replace(" ", "")
    assert "body_weight_kg = 71.5" in words
    assert planned.plan().digest().replace(" ", "") in words.replace(" ", "")


@pytest.mark.skipif(probe() is not None, reason="3D cannot be drawn here")
@pytest.mark.parametrize("name", ["王^小东", "홍^길동", "やまだ^たろう", "<b>&^" + "n" * 200])
def test_any_name_makes_a_report(planned, tmp_path, name, monkeypatch):
    monkeypatch.setattr("workstation.resection_report.resection_pictures", lambda values: [])
    assert all(RESEARCH_USE in page for page in pages_of(planned, tmp_path, name=name))


def test_only_a_pdf_is_written(planned, tmp_path):
    with pytest.raises(CaseError, match=r"\.pdf"):
        write_report(planned, tmp_path / "report.docx")
    assert list(tmp_path.iterdir()) == []


def test_a_report_of_a_plan_that_was_not_run_says_so(planned, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(planned.folder, copy, ignore=shutil.ignore_patterns("results", ".lock"))
    record = json.loads((copy / "case.json").read_text())
    assert record["history"]
    from workstation.case import open_case

    with open_case(copy, write=False) as case:
        write_report(case, tmp_path / "report.pdf")
    words = " ".join(PdfReader(tmp_path / "report.pdf").pages[0].extract_text().split())
    assert "Not computed for this plan" in words
    assert "The report is incomplete" in words


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1523.96, "mL", "1,524 mL"),
        (17.09, "mL", "17.1 mL"),
        (76.234, "%", "76.2 %"),
        (-53.37, "mm", "-53.4 mm"),
        (113.37, "cm2", "113.4 cm²"),
        (0.2914, "L/min", "0.291 L/min"),
        (0.0366, "GiB", "0.037 GiB"),
        (0.0484, "1/min", "0.0484 1/min"),
        (4.0, "", "4"),
        (0.253, "", "0.25"),
    ],
)
def test_numbers_are_shown_with_their_unit(value, unit, shown):
    number = {"value": value, "unit": unit, "low": value - 1, "high": value + 1}
    assert shown_value(number) == shown
    assert shown_band(number | {"low": None}) == "uncertainty not known"
    assert shown_band(number).endswith(unit.replace("cm2", "cm²"))


def test_words_fit_and_find_their_letters():
    assert shown_date("20260102") == "2026-01-02"
    assert shown_date("unknown") == "unknown"
    assert size_to_fit("short", "Helvetica", 11, 300) == 11
    assert 0 < size_to_fit("long" * 100, "Helvetica", 11, 300) < 3
    assert text("王小东", "small").style.fontName == "STSong-Light"


@pytest.mark.skipif(probe() is not None, reason="3D cannot be drawn here")
def test_each_plan_has_its_picture(planned, tmp_path):
    (file,) = write_plan_pictures(planned, [1, 1], tmp_path / "new")
    assert file.name == "plan0001.png"
    pixels = np.asarray(Image.open(file))
    assert pixels.shape == (330, 480, 3)
    assert np.ptp(pixels[120:210, 180:300].astype(int)) > 60, "the organ stands in the middle"
