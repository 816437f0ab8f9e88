from hemodynamics.verification import liver_trends
from hemodynamics.verification.rows import Means


def test_every_row_passes_or_says_why_there_is_none(monkeypatch):
    monkeypatch.setattr(liver_trends, "PATIENTS", 12)
    rows = list(liver_trends.liver(Means()))
    assert [row.quantity for row in rows if row.verdict == "fail"] == []
    assert sum(row.verdict == "pass" for row in rows) >= 10
    for row in rows:
        assert row.source
        assert row.verdict == "pass" or row.note


def test_virtual_patients_are_spread_and_the_same_each_time():
    some = list(liver_trends.virtual_patients(20))
    assert some == list(liver_trends.virtual_patients(20))
    pressures = [patient.arterial_mmhg for patient in some]
    assert min(pressures) < 70
    assert max(pressures) > 105
