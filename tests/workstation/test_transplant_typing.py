from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workstation.planning.tissue_type import SPLITS, UnreadableTyping
from workstation.planning.transplant_dictionary import ALLELES
from workstation.planning.transplant_hla import Mismatch, mismatch
from workstation.planning.transplant_serology import ASSOCIATED, BW4, BW6
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
        ("B*50:02", "B", [{"B45", "B50"}]),  # the dictionary and its experts differ
        ("B*15:24", "B", [{"B62", "B77"}]),
        ("B*15", "B", [{"B15", "B70"}]),
        ("B*14:01+B*14:02", "B", [{"B64"}, {"B65"}]),
        ("B*39:01+B*39:06", "B", [{"B3901"}, {"B39"}]),
        ("B*58:01+B*58:02", "B", [{"B58"}, {""}]),  # of the second it only assumes one
        ("A*02:03+A*24:10", "A", [{"A203"}, {"A2403"}]),
        ("A*02+A*26:10", "A", [{"A2"}, {"A10"}]),
        ("DRB1*14:15+DRB1*16:03", "DRB1", [{"DR8", "DR14"}, {"DR2"}]),
        ("DRB1*03:02+DRB1*03:05", "DRB1", [{"DR18"}, {"DR3"}]),
        ("DQB1*06:11+DQB1*03:19", "DQB1", [{"DQ1"}, {""}]),
        ("C*14:02+C*08:02", "C", [{""}, {"C8"}]),
        ("DRB3*02:02+DRB3*02:12", "DRB3", [{"DR52"}, {""}]),
        ("DPB1*04:01", "DPB1", [{""}]),
        ("B*15:281", "B", [{""}]),
        ("A*02:01/03", "A", [{"A2", "A203"}]),
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


SOME = st.sampled_from(["A1", "A2", "A3", "A11", "A23", "A24", "A9"])


@given(st.tuples(SOME, SOME), st.tuples(SOME, SOME))
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
        ("B*15:24", "B62", "perhaps"),
        ("B*15:24", "B15", "yes"),  # whichever of the two it carries
        ("B*15:24", "B*15:24", "yes"),
        ("B77", "B*15:24", "perhaps"),
        ("B8", "Bw6", "yes"),
        ("B*08:02", "Bw6", "perhaps"),  # it is known to carry another one
        ("B46", "Bw4", "perhaps"),  # it carries neither, which no table here says
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


def test_every_row_of_the_dictionary_names_known_antigens() -> None:
    assert len(ALLELES) > 500
    for allele, numbers in ALLELES.items():
        copy = next(iter(read_typing(allele).values())).copies[0]
        assert {p.allele for p in copy} == {allele}
        assert len({p.antigen for p in copy}) == len(numbers)
        for product in copy:
            number = int(product.antigen.lstrip("ABCDRQ"))
            assert number < 100 or product.antigen in ASSOCIATED
    parents = set(SPLITS) | {s for splits in SPLITS.values() for s in splits.split()}
    plain = {f"A{n}" for n in (2,)} | {"B7", "B27", "DR1"}
    assert set(ASSOCIATED.values()) <= parents | plain
    assert not BW4 & BW6
