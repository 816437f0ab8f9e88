from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workstation.planning.tissue_type import UnreadableTyping
from workstation.planning.transplant_hla import Mismatch, mismatch
from workstation.planning.transplant_typing import copy_carries, read_target, read_typing


def antigens_of(text: str, locus: str) -> list[set[str]]:
    return [{p.antigen for p in copy} for copy in read_typing(text)[locus].copies]


@pytest.mark.parametrize(
    ("text", "locus", "antigens"),
    [
        ("A1,A2", "A", [{"A1"}, {"A2"}]),
        ("Cw3 Cw7", "C", [{"C3"}, {"C7"}]),
        ("DR17; DR4", "DRB1", [{"DR17"}, {"DR4"}]),
        ("DR52", "DRB3", [{"DR52"}]),
        ("HLA-A*02:01+HLA-A*24:02:01:02", "A", [{"A2"}, {"A24"}]),
        ("HLA-B*15:01+HLA-B*15:03", "B", [{"B62"}, {"B72"}]),
        ("B*40:01/B*40:02", "B", [{"B60", "B61"}]),
        ("HLA-C*03:03+HLA-C*12:03", "C", [{"C9"}, {""}]),
        ("DRB1*03:01+DRB1*01:03", "DRB1", [{"DR17"}, {"DR103"}]),
        ("DQB1*03:01~DQA1*05:05", "DQB1", [{"DQ7"}]),
        ("B*50:02", "B", [{"B45"}]),
        ("B*15:281", "B", [{""}]),
        ("A*02:01/03", "A", [{"A2"}]),
        ("A*02:XX", "A", [{""}]),
        ("A*24:09N", "A", [{""}]),
    ],
)
def test_typings_are_read_and_what_the_table_does_not_tell_stays_unknown(
    text: str, locus: str, antigens: list[set[str]]
) -> None:
    assert antigens_of(text, locus) == antigens


def test_an_nmdp_code_is_read_only_with_its_table() -> None:
    (copy,) = read_typing("B*40:AB")["B"].copies
    assert {p.antigen for p in copy} == {""}
    (copy,) = read_typing("B*40:AB", {"AB": "01/02"})["B"].copies
    assert {p.allele for p in copy} == {"B*40:01", "B*40:02"}


@pytest.mark.parametrize("text", ["A", "Q7", "A*", "A*02:01:", "A1 A2 A3", "hello", "", "A*XX:01"])
def test_what_is_no_typing_is_refused(text: str) -> None:
    with pytest.raises(UnreadableTyping):
        read_typing(text)


@pytest.mark.parametrize(
    ("donor", "recipient", "low", "high"),
    [
        ("A1 A2", "A1 A2", 0, 0),
        ("A1 A3", "A1 A2", 1, 1),
        ("A1 A3", "A2 A11", 2, 2),
        ("A3 A3", "A1 A2", 1, 1),  # homozygous: one at most
        ("A3", "A1 A2", 1, 2),  # the other copy is not named
        ("A1 A2", "A1", 0, 1),
        ("A9 A1", "A24 A1", 0, 1),  # broad against split
        ("A23 A1", "A24 A1", 1, 1),
        ("A*02:01/A*03:01+A*01:01", "A1 A2", 0, 1),
        ("A*02:XX+A*01:01", "A1 A2", 0, 1),
        ("A*24:09N+A*01:01", "A1 A2", 0, 0),  # a null allele is not on the cell
        ("A*01:01+A*02:01|A*03:01+A*02:01", "A1 A2", 0, 2),
    ],
)
def test_mismatches_are_counted_with_their_doubt(
    donor: str, recipient: str, low: int, high: int
) -> None:
    found = mismatch(read_typing(donor)["A"], read_typing(recipient)["A"])
    assert found == Mismatch(low, high)


SPLITS = st.sampled_from(["A1", "A2", "A3", "A11", "A23", "A24", "A9"])


@given(st.tuples(SPLITS, SPLITS), st.tuples(SPLITS, SPLITS))
def test_the_order_of_copies_does_not_matter(one: tuple[str, str], other: tuple[str, str]) -> None:
    def count(a: tuple[str, ...], b: tuple[str, ...]) -> Mismatch:
        return mismatch(read_typing(" ".join(a))["A"], read_typing(" ".join(b))["A"])

    assert count(one, other) == count(one[::-1], other[::-1])
    assert 0 <= count(one, other).low <= count(one, other).high <= 2
    assert count(one, one).low == 0


@pytest.mark.parametrize(
    ("typing", "target", "answer"),
    [
        ("B62", "B15", "yes"),  # against the broad antigen means against its splits
        ("B15", "B62", "perhaps"),
        ("B*15:01", "B62", "yes"),
        ("B*15:01", "B*15:01", "yes"),
        ("B*15:01", "B*15:02", "no"),
        ("B62", "B*15:01", "perhaps"),
        ("B7", "B62", "no"),
        ("B7", "Bw6", "yes"),
        ("B7", "Bw4", "no"),
        ("B*40:01/B*07:02", "B60", "perhaps"),
    ],
)
def test_antibodies_are_matched_with_what_a_copy_carries(
    typing: str, target: str, answer: str
) -> None:
    (copy,) = read_typing(typing)["B"].copies
    assert copy_carries(copy, read_target(target)) == answer


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = read_typing(text)
    except UnreadableTyping:
        return
    assert all(1 <= len(typing.copies) <= 2 for typing in found.values())
