import json

import pytest

from workstation import benchmark
from workstation.benchmark import SUITES, Row, dicom, suites, table, to_json, trial
from workstation.benchmark.rows import median_ms
from workstation.benchmark.series import write_series
from workstation.dicom.files import read, scan


def test_the_median_leaves_the_warming_up_out():
    calls: list[int] = []
    assert median_ms(lambda: calls.append(1), 3) >= 0.0
    assert len(calls) == 4


@pytest.mark.parametrize("name", ["start-up", "surface", "threshold", "preview"])
def test_suites_measure_beside_their_peers(monkeypatch, name):
    def once(work, repeats=1):
        work()
        return 2.0

    monkeypatch.setattr(suites, "median_ms", once)
    (row,) = benchmark.run([name], peers=True)
    assert row.ms == 2.0
    assert row.ratio == (1.0 if row.peer else None)
    (alone,) = benchmark.run([name])
    assert alone.peer_ms is None


def test_dicom_is_measured_beside_every_peer_that_is_here(monkeypatch):
    asked: list[tuple[str, int]] = []

    def measured(work, folder):
        asked.append((work, len(list(folder.rglob("*.dcm")))))
        return (3.0, 10.0) if "-" in work else (6.0, 20.0)

    monkeypatch.setattr(dicom, "measured", measured)
    monkeypatch.setattr(dicom, "dcm2niix", list)
    monkeypatch.setattr(dicom, "HEADERS", 250)
    monkeypatch.setattr(dicom, "SLICES", 2)
    monkeypatch.setattr(dicom, "SIZE", 16)
    rows = dicom.reading(peers=True)
    assert [row.peer for row in rows] == ["SimpleITK", "GDCM Scanner", "SimpleITK", "SimpleITK"]
    assert {row.ratio for row in rows} == {2.0}
    assert [count for work, count in asked if work in ("scan", "load")] == [250, 2, 2]
    assert [row.peer_ms for row in dicom.reading(peers=False)] == [None] * 3


def test_a_trial_runs_in_a_process_of_its_own(tmp_path):
    write_series(tmp_path / "in", 3, 16, "1.2.3")
    ms, mb = dicom.measured("load", tmp_path / "in")
    assert ms > 0
    assert mb >= 0
    with pytest.raises(RuntimeError, match="could not be measured"):
        dicom.measured("load", tmp_path / "absent")


@pytest.mark.parametrize("work", sorted(set(trial.WORK) - {"scan-dcm2niix", "load-dcm2niix"}))
def test_every_trial_reads_the_series(tmp_path, work):
    folder = tmp_path / "in"
    write_series(folder / "1" if work.startswith("scan") else folder, 3, 16, "1.2.3")
    trial.WORK[work](folder)


@pytest.mark.parametrize("jpeg_ls", [False, True])
def test_the_measured_series_is_a_cylinder_of_soft_tissue(tmp_path, jpeg_ls):
    write_series(tmp_path / "in", 4, 32, "1.2.3", jpeg_ls=jpeg_ls)
    (volume,) = scan([tmp_path / "in"]).volumes
    array = read(volume).array
    assert array.shape == (4, 32, 32)
    assert array[:, 16, 16].mean() == pytest.approx(40, abs=25)
    assert array[:, 0, 0].mean() == pytest.approx(-1000, abs=25)


def test_rows_in_json_and_as_text():
    rows = [
        Row("a", "first", 10.0, 33.0),
        Row("b", "second", 5.0, None, "peer", 20.0, mb=7.0, peer_mb=14.0),
    ]
    document = json.loads(json.dumps(to_json(rows)))
    assert [row["ratio"] for row in document["rows"]] == [None, 0.25]
    assert document["cores"] >= 1
    lines = table(rows).splitlines()
    assert lines[1].split() == ["first", "10.0", "33"]
    assert lines[2].split() == ["b", "5.0", "20.0", "0.25", "7", "14", "peer"]


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="no benchmark 'magic'; there are: start-up"):
        benchmark.run(["magic"])
    assert {"start-up", "views", "dicom", "surface"} <= set(SUITES)
