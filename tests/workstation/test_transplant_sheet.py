from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workstation.transplant_people import DAY, record, row, sheet
from workstation.planning.transplant_rows import ORDER, Row, Sheet
from workstation.planning.transplant_sheet import TransplantError, transplant_sheet

CELLS = "donor 7"
TYPED = {"hla": "A1 A2 B7 B8 Cw1 Cw7 DR1 DR4 DQ5 DQ7", "abo": "O"}
FULL = {
    **TYPED, "sex": "F", "age": 40, "height": 165, "body_weight": 65, "creatinine": 1.0,
    "hypertension": "no", "diabetes": "no", "stroke_death": "no", "dcd": "no",
    "diameter_renal_artery": 5, "diameter_renal_vein": 11,
}  # fmt: skip
TAKER = {
    **TYPED, "sex": "M", "age": 55, "height": 178, "body_weight": 85, "diabetes": "no",
    "prior_transplant": "no", "dialysis_years": 2, "unacceptable_antigen": "none",
    "antibody": "none", "crossmatch_flow": {"value": "negative", "donor": CELLS},
    "diameter_external_iliac_artery": 7, "diameter_external_iliac_vein": 12,
}  # fmt: skip


@pytest.mark.parametrize(
    ("donor", "recipient", "verdict"),
    [
        *[("O", r, "pass") for r in ("O", "A", "B", "AB")],
        ("A", "A", "pass"), ("A", "AB", "pass"), ("A", "O", "block"), ("A1", "B", "block"),
        ("B", "B", "pass"), ("B", "AB", "pass"), ("B", "O", "block"), ("B", "A", "block"),
        ("AB", "AB", "pass"), ("AB", "A", "block"), ("AB", "O", "block"),
        ("A2", "O", "unknown"), ("A2", "B", "unknown"), ("A2B", "B", "unknown"),
        ("A2B", "O", "block"), ("A2", "A", "pass"),
    ],
)  # fmt: skip
def test_blood_groups(donor: str, recipient: str, verdict: str) -> None:
    assert row("abo", {"abo": donor}, {"abo": recipient}).verdict == verdict


@pytest.mark.parametrize(
    ("igg", "igm", "verdict"), [(8, 16, "warn"), (16, 16, "block"), (8, 32, "block"),
                                (8, None, "unknown"), (16, None, "block")]
)  # fmt: skip
def test_titres_of_an_a2_organ_by_the_limits_of_the_site(
    igg: int, igm: int | None, verdict: str
) -> None:
    taker: dict[str, Any] = {"abo": "B", "anti_a_igg": f"1:{igg}"}
    taker |= {} if igm is None else {"anti_a_igm": igm}
    found = row("abo", {"abo": "A2"}, taker, anti_a_igg_limit=8.0, anti_a_igm_limit=16.0)
    assert found.verdict == verdict


def test_the_published_example_of_mismatches() -> None:
    found = sheet({"hla": "A1,A2,B5,B7,DR1,DR4"}, {"hla": "A1,A2,B3,B15,DR4,DR7"})
    counts = {name: found.row(name).value for name in ("hla.a", "hla.b", "hla.dr", "hla.total")}
    assert counts == {"hla.a": 0.0, "hla.b": 2.0, "hla.dr": 1.0, "hla.total": 3.0}
    assert found.row("hla.dq").verdict == "unknown"


def test_the_worked_scores_to_the_digits() -> None:
    donor = {
        "age": 52, "height": 183, "body_weight": 81, "hypertension": "yes", "diabetes": "no",
        "stroke_death": "yes", "creatinine": 1.7, "dcd": "yes",
    }  # fmt: skip
    found = row("score.kdri", donor, {})
    assert found.value == pytest.approx(1.71236, abs=6e-5)
    heart = row("size.heart_mass_ratio", FULL, TAKER, organ="heart")
    assert (heart.value, heart.verdict) == (0.6995, "warn")
    assert "135.44 g against 193.62 g" in heart.reason
    lung = row(
        "size.lung_capacity_ratio", {"sex": "F", "height": 165}, {"sex": "M", "height": 175},
        organ="lung",
    )  # fmt: skip
    assert (lung.value, lung.verdict) == (0.7389, "warn")
    assert row("cpra", {}, {"haplotype_frequency_sum": 0.30}).value == 51.0
    candidate = {"age": 52.8788501, "diabetes": "no", "prior_transplant": "no", "dialysis_years": 0}
    assert row("score.epts_raw", {}, candidate).value == pytest.approx(1.440306, abs=1e-6)


def test_the_worked_living_donor_to_the_digits() -> None:
    donor = {
        "age": 55, "egfr": 90, "height": 170, "body_weight": 26 * 1.7**2, "black": "no",
        "smoker": "no", "related": "yes", "sex": "F", "systolic_pressure": 125, "abo": "O",
        "hla": "B7 B8 DR1 DR4",
    }  # fmt: skip
    weight = 26 * 1.7**2 / 0.85
    taker = {"abo": "O", "sex": "M", "body_weight": weight, "hla": "B7 B44 DR1 DR7"}
    found = row("score.lkdpi", donor, taker, donation="living")
    assert found.value == pytest.approx(22.67, abs=0.005)


@pytest.mark.parametrize(
    ("graft", "weight", "verdict"),
    [(559, 70, "block"), (560, 70, "pass"), (2100, 70, "pass"), (2101, 70, "warn")],
)
def test_graft_to_recipient_weight_at_its_edges(graft: float, weight: float, verdict: str) -> None:
    found = row(
        "size.grwr", {"graft_volume": graft}, {"body_weight": weight}, organ="partial liver"
    )
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("kept", "verdict"), [(299, "block"), (300, "pass"), (1000, "pass"), (1001, "unknown")]
)
def test_what_a_living_donor_keeps(kept: float, verdict: str) -> None:
    donor = {"liver_volume": 1000, "remnant_volume": kept}
    assert row("size.donor_remnant", donor, {}, organ="partial liver").verdict == verdict


@pytest.mark.parametrize(
    ("donor", "taker", "verdict"),
    [(("F", 60), ("M", 60), "pass"), (("F", 60), ("M", 61), "warn"), (("M", 60), ("F", 90), "pass"),
     (("M", 60), ("F", 91), "warn"), (("M", 60), ("M", 120), "pass")],
)  # fmt: skip
def test_weight_and_sex_of_a_kidney(
    donor: tuple[str, float], taker: tuple[str, float], verdict: str
) -> None:
    people = [{"sex": sex, "body_weight": weight} for sex, weight in (donor, taker)]
    assert row("size.weight", *people).verdict == verdict


@pytest.mark.parametrize(
    ("mm", "verdict"), [(7.5, "pass"), (7.51, "warn"), (3.33, "warn"), (3.34, "pass")]
)
def test_calibres_whichever_is_wider(mm: float, verdict: str) -> None:
    one, other = {"diameter_renal_artery": 5}, {"diameter_external_iliac_artery": mm}
    assert row("vessel.artery", one, other).verdict == verdict


@pytest.mark.parametrize(
    ("listed", "verdict"),
    [("none", "pass"), ("B57", "pass"), ("DR4", "block"), ("DR4, B57", "block"), ("DQ7", "block"),
     ("DP5", "unknown"), ("DR52", "unknown"), ("A*02:01", "unknown"), ("A*03:01", "pass"),
     ("Bw6", "block"), ("none, B57", "unknown"), (None, "unknown")],
)  # fmt: skip
def test_the_virtual_crossmatch(listed: str | None, verdict: str) -> None:
    taker = {} if listed is None else {"unacceptable_antigen": listed}
    assert row("virtual_crossmatch", TYPED, taker).verdict == verdict


@pytest.mark.parametrize(
    ("mfi", "warn", "block", "verdict"),
    [(999, 1000, 5000, "pass"), (1000, 1000, 5000, "warn"), (5000, 1000, 5000, "block"),
     (900, None, None, "unknown"), (900, None, 5000, "warn"), (None, 1000, 5000, "unknown")],
)  # fmt: skip
def test_antibodies_by_the_limits_of_the_site(
    mfi: float | None, warn: float | None, block: float | None, verdict: str
) -> None:
    taker = {"antibody": {"value": "DR4"} | ({} if mfi is None else {"mfi": mfi})}
    found = row("donor_specific_antibodies", TYPED, taker, mfi_warn=warn, mfi_block=block)
    assert found.verdict == verdict


def test_no_antibody_test_is_no_negative_one() -> None:
    assert row("donor_specific_antibodies", TYPED, {}).verdict == "unknown"
    assert row("donor_specific_antibodies", TYPED, {"antibody": "none"}).verdict == "pass"
    assert row("crossmatch", TYPED, {}).verdict == "unknown"


def crossmatched(*results: tuple[str, str, str], label: str = CELLS) -> Row:
    """Return the row of CDC crossmatches given as result, day and donor."""
    tests = [{"value": r, "date": day, "donor": cells} for r, day, cells in results]
    donor, taker = record({}, label=label), record({"crossmatch_cdc_t": tests})
    return transplant_sheet(donor, taker, review_date=DAY).row("crossmatch.cdc_t")


def test_the_newest_crossmatch_counts_and_an_earlier_positive_one_is_told() -> None:
    positive = ("positive", "2026-02-01", CELLS)
    found = crossmatched(positive, ("negative", DAY, "Donor  7"))
    assert (found.verdict, found.date) == ("warn", DAY)
    assert crossmatched(positive).verdict == "block"
    assert crossmatched(("negative", DAY, CELLS)).verdict == "pass"


@pytest.mark.parametrize("result", ["positive", "negative"])
def test_a_crossmatch_with_another_donor_never_counts(result: str) -> None:
    found = crossmatched((result, DAY, "donor 8"))
    assert found.verdict == "unknown"
    assert "donor 8" in found.reason
    other = ("negative" if result == "positive" else "positive", DAY, "donor 8")
    counts = crossmatched((result, "2026-02-20", CELLS), other)
    assert counts.verdict == {"positive": "block", "negative": "pass"}[result]
    assert crossmatched((result, DAY, CELLS), label="").verdict == "unknown"


def test_a_crossmatch_that_names_no_donor_never_passes() -> None:
    assert crossmatched(("negative", DAY, "")).verdict == "unknown"
    assert crossmatched(("positive", DAY, "")).verdict == "block"
    assert crossmatched(("negative", DAY, CELLS), ("positive", DAY, "")).verdict == "warn"


def test_a_crossmatch_of_an_old_serum_says_so() -> None:
    assert crossmatched(("negative", "2025-12-01", CELLS)).verdict == "pass"  # 90 days
    old = crossmatched(("negative", "2025-11-30", CELLS))
    assert (old.verdict, old.expires) == ("unknown", "2026-02-28")
    assert "too old" in old.reason
    assert "Too old" in crossmatched(("positive", "2025-11-30", CELLS)).reason


def test_the_stage_can_be_told_how_results_call_the_donor() -> None:
    taker = record({"crossmatch_flow": {"value": "negative", "donor": "D-17"}})
    found = transplant_sheet(record({}), taker, review_date=DAY, donor_name="D-17")
    assert found.row("crossmatch.flow").verdict == "pass"


def test_values_that_contradict_each_other_are_shown_and_none_is_chosen() -> None:
    found = row("abo", {"abo": ["A", "B"]}, {"abo": "AB"})
    assert found.verdict == "unknown"
    assert "A (" in found.reason
    assert "B (" in found.reason
    found = row("hla.a", {"hla": ["A1 A2", "A1 A3"]}, TYPED)
    assert found.verdict == "unknown"
    assert "typed twice" in found.reason
    assert row("hla.a", {"hla": ["A1 A2", "A*01:01+A*02:01"]}, TYPED).verdict == "pass"
    same_day = {"creatinine": [1.0, 1.4]}
    assert "given twice" in row("score.kdri", {**FULL, **same_day}, {}).reason


def test_old_values_never_pass_and_future_ones_are_not_used() -> None:
    old = {**FULL, "diameter_renal_artery": {"value": 5, "date": "2025-02-28"}}
    found = row("vessel.artery", old, TAKER)
    assert (found.verdict, found.expires) == ("unknown", "2026-02-28")
    edge = {**FULL, "diameter_renal_artery": {"value": 5, "date": "2025-03-01"}}
    assert row("vessel.artery", edge, TAKER).verdict == "pass"
    undated = {**FULL, "diameter_renal_artery": {"value": 5, "date": ""}}
    assert row("vessel.artery", undated, TAKER).verdict == "unknown"
    future = {**FULL, "abo": {"value": "O", "date": "2026-03-02"}}
    found_sheet = sheet(future, TAKER)
    assert found_sheet.row("abo").verdict == "unknown"
    assert any(f.code == "after_review" for f in found_sheet.findings)


def test_a_full_pair_has_few_unknowns_and_keeps_its_order() -> None:
    found = transplant_sheet(record(FULL, label=CELLS), record(TAKER), review_date=DAY)
    assert [r.name for r in found.rows if r.verdict == "unknown"] == []
    verdicts = [ORDER[r.verdict] for r in found.rows]
    assert verdicts == sorted(verdicts)
    assert all(r.source and r.rule for r in found.rows)
    assert Sheet.read(found.to_json()) == found


def test_swapped_and_equal_records_are_blocked() -> None:
    one, other = record(FULL, role="recipient"), record(TAKER, sha256="x")
    assert transplant_sheet(one, other, review_date=DAY).rows[0].name == "records"
    assert transplant_sheet(other, other, review_date=DAY).rows[0].verdict == "block"


def test_the_day_of_the_review_must_be_one() -> None:
    with pytest.raises(TransplantError, match="write it as"):
        transplant_sheet(record(FULL), record(TAKER), review_date="soon")
    found = transplant_sheet(record(FULL), record(TAKER))
    assert found.review_date == DAY
    assert found.findings[0].code == "review_date"


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(sorted({*FULL, *TAKER}))), st.sampled_from(["donor", "recipient"]))
def test_what_is_not_known_never_turns_into_pass(missing: set[str], whose: str) -> None:
    donor, taker = dict(FULL), dict(TAKER)
    thinned = donor if whose == "donor" else taker
    for key in missing:
        thinned.pop(key, None)
    full = {r.name: r.verdict for r in sheet(FULL, TAKER).rows}
    for found in sheet(donor, taker).rows:
        assert found.verdict in (full.get(found.name, "unknown"), "unknown")


def test_a_sheet_is_quick() -> None:
    one, other = record(FULL), record(TAKER)
    started = time.process_time()
    for _ in range(20):
        transplant_sheet(one, other, review_date=DAY)
    assert (time.process_time() - started) / 20 < 0.05


@settings(max_examples=30, deadline=None)
@given(st.permutations(["A1", "A2", "B7", "B8", "DR1", "DR4"]), st.booleans())
def test_the_order_of_a_typing_and_swapping_equal_people_change_nothing(
    words: list[str], swapped: bool
) -> None:
    people = [{"hla": " ".join(words)}, {"hla": "A1 A3 B7 B44 DR4 DR7"}]
    one, other = people[::-1] if swapped else people
    found = sheet(one, other)
    counts = [found.row(name).value for name in ("hla.a", "hla.b", "hla.dr", "hla.total")]
    assert counts == [1.0, 1.0, 1.0, 3.0]


@given(st.sampled_from([(66, "kg"), (66000, "g"), (66 / 0.45359237, "lb")]))
def test_units_may_be_mixed(weight: tuple[float, str]) -> None:
    given_weight = {"value": weight[0], "unit": weight[1]}
    found = row("size.weight", {"sex": "F", "body_weight": given_weight}, TAKER)
    assert found.value == pytest.approx(19.0)


ALLELES = st.sampled_from(["02:01", "02:05", "03:01", "23:01", "24:02", "01:01", "68:01"])


@given(
    st.lists(ALLELES, min_size=1, max_size=3), ALLELES, st.lists(ALLELES, min_size=2, max_size=2)
)
def test_an_ambiguous_gl_string_allows_all_that_its_alleles_allow_and_says_so(
    either: list[str], other: str, taker: list[str]
) -> None:
    def gl(*copies: list[str]) -> str:
        return "+".join("/".join(f"HLA-A*{allele}" for allele in copy) for copy in copies)

    def counted(donor: str) -> tuple[str, float, float]:
        found = row("hla.a", {"hla_a": donor}, {"hla_a": gl(*[[a] for a in taker])})
        ends = str(found.value).split(" to ")
        return found.verdict, float(ends[0]), float(ends[-1])

    verdict, low, high = counted(gl(either, [other]))
    resolved = [counted(gl([one], [other])) for one in either]
    assert all(least == most for _, least, most in resolved)  # homozygous ones too
    counts = [least for _, least, _ in resolved]
    assert low <= min(counts) <= max(counts) <= high
    assert (verdict == "unknown") == (low == 0 < high)
    assert (verdict == "pass") == (high == 0) <= (max(counts) == 0)
