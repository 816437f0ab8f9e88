"""The future remnant beside its limits, and scores of liver function from worked examples."""

from math import exp

import numpy as np
import pytest

from segmentation.contract import Measurements, Severity
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.planning.patient import patient
from workstation.planning.resection_reserve import future_remnant, liver_reserve

GRID = ImageGeometry((20, 10, 10), (10, 10, 10), (0, 0, 0), tuple(np.eye(3).ravel()), "1.2.3")


def block(low: int, high: int, name: str = "liver") -> LabelMap:
    array = np.zeros(GRID.shape, np.uint8)
    array[:, :, low:high] = 1
    return LabelMap(array, GRID, {1: Label(name, (1, 2, 3))})


def values(result: Measurements) -> dict[str, float]:
    return {n.quantity: n.value for n in result.numbers}


def codes(result: Measurements) -> dict[str, Severity]:
    return {f.code: f.severity for f in result.findings}


BODY = patient(height_cm=175.0, body_weight_kg=75.0)


def test_shares_of_the_worked_example() -> None:
    found = future_remnant(block(0, 4), block(0, 16), BODY)
    assert values(found) == pytest.approx(
        {
            "volume": 400.0,
            "flr.total": 25.0,
            "flr.standard_vauthey": 100 * 400 / 1625.3,
            "flr.standard_urata": 100 * 400 / (706.2 * 1.9094 + 2.4),
            "flr.body_weight": 400 / 750,
        },
        rel=1e-4,
    )
    assert values(found)["flr.standard_vauthey"] == pytest.approx(24.6, abs=0.05)
    assert {n.full_name("flr") for n in found.numbers if n.plain} >= {"flr.body_weight"}
    assert codes(found) == {"flr_below_limit": Severity.INFO}


@pytest.mark.parametrize(
    ("background", "warned"), [("normal", False), ("chemotherapy", True), ("cirrhosis", True)]
)
def test_the_state_of_the_liver_chooses_the_limit(background: str, warned: bool) -> None:
    found = future_remnant(block(0, 4), block(0, 16), BODY, background=background)  # type: ignore[arg-type]
    assert (codes(found).get("flr_below_limit") == Severity.WARNING) == warned


def test_a_small_remnant_is_below_every_limit() -> None:
    found = future_remnant(block(0, 2), block(0, 16), BODY)
    assert codes(found) == {
        "flr_below_limit": Severity.WARNING,
        "flr_body_weight": Severity.WARNING,
    }


def test_tumour_is_no_liver_and_missing_values_are_named() -> None:
    tumor = block(3, 8, "tumor")
    found = future_remnant(block(0, 4), block(0, 16), None, tumor)
    assert values(found) == pytest.approx({"volume": 300.0, "flr.total": 100 * 3 / 11})
    (missing,) = (f for f in found.findings if f.code == "flr_inputs")
    assert "body weight and height" in missing.sentence
    with pytest.raises(ValueError, match="beside the tumour"):
        future_remnant(block(0, 4), block(0, 4), None, tumor=block(0, 16))


def test_scores_of_the_worked_examples() -> None:
    labs = patient(
        bilirubin_mg_dl=3.0,
        sodium_mmol_l=130.0,
        inr=1.8,
        creatinine_mg_dl=1.5,
        albumin_g_dl=2.8,
        female=True,
        ascites_grade=1,
        encephalopathy_grade=0,
        icg_r15_percent=100 * exp(-1.5),
    )
    shares = future_remnant(block(0, 4), block(0, 16))
    found = values(liver_reserve(labs, shares))
    assert found["meld"] == pytest.approx(21.05, abs=0.005)
    assert found["meld_na"] == pytest.approx(25.42, abs=0.005)
    assert found["meld_3"] == pytest.approx(26.87, abs=0.005)
    assert found["child_pugh"] == 2 + 2 + 2 + 2 + 1
    assert found["icg_k"] == pytest.approx(0.1)
    assert found["icg_k_remnant"] == pytest.approx(0.025)
    assert found["albi"] == pytest.approx(0.66 * np.log10(51.3) - 0.085 * 28)
    assert codes(liver_reserve(labs, shares))["icg_below_limit"] == Severity.WARNING


def test_what_is_missing_is_named_and_nothing_computed() -> None:
    found = liver_reserve(patient(bilirubin_mg_dl=1.0, inr=1.1))
    assert found.numbers == ()
    said = {f.code: f.sentence for f in found.findings}
    assert said["meld_inputs"].endswith("not entered: creatinine.")
    assert said["child_pugh_inputs"].endswith("albumin, ascites, encephalopathy.")
    assert set(said) == {
        f"{n}_inputs" for n in ("icg", "albi", "meld", "meld_na", "meld_3", "child_pugh")
    }
