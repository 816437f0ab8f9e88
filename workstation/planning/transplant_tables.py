"""Tables that a laboratory loads beside two people: NMDP codes, eplets, haplotype frequencies.

All are text in UTF-8 with a header, commas or tabs between columns, and read as a whole or not:

- codes: ``code,alleles`` with ``AB,01/02`` or ``ANGA,01:01/01:03``; the files of the NMDP
  (``CODE  SUBTYPE``, with their first line and column of stars) are read as they are.
- eplets: ``allele,eplets`` with ``A*02:01,62GE 65RA``; one two-field allele a line.
- frequencies: ``group,weight,haplotype,frequency`` with ``north,0.6,A1~B8~DR17,0.052``. The
  weight is the group's share of the donors, the same in each of its lines, and the weights sum
  to 1. A haplotype joins its antigens or alleles with ``~``; where each line names one only,
  they are frequencies of antigens, and loci are taken as independent.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isclose

from workstation.planning.tissue_type import UnreadableTyping
from workstation.planning.transplant_typing import read_typing

SUM_LIMIT = 1.001
"""Frequencies of a group may sum to this, since tables are rounded."""

_CODE = re.compile(r"[A-Z]{2,6}")
_PARTS = re.compile(r"\d{2,4}(?::\d{2,4})?(?:/\d{2,4}(?::\d{2,4})?)*")
_EPLET = re.compile(r"\w[\w.+-]{0,19}")
Cells = Mapping[str, str]


class UnreadableTable(ValueError):
    """A table with a line that cannot be used; the text names the line."""


@dataclass(frozen=True)
class Group:
    """Haplotypes of one population group: ``weight`` is its share of the donors."""

    weight: float
    haplotypes: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class HlaTables:
    """What was loaded; an empty table was not.

    ``codes`` has NMDP codes and their alleles, ``eplets`` those of two-field alleles, ``groups``
    the haplotype frequencies by population group.
    """

    codes: Mapping[str, str] = field(default_factory=dict)
    eplets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)


def read_tables(text: str) -> HlaTables | None:
    """Return the table that ``text`` holds, None if its header is that of none.

    Raises:
        UnreadableTable: for a line that cannot be used.
    """
    lines = text.splitlines()
    for start, line in enumerate(lines[:5]):
        tabs = "\t" if "\t" in line else ","
        heads = [head.strip().lower() for head in line.split(tabs)]
        heads = ["alleles" if head == "subtype" else head for head in heads]
        for wanted, read in _KINDS:
            if set(wanted) <= set(heads):
                return read(_cells(lines, start, heads, tabs))
    return None


def _cells(
    lines: list[str], start: int, heads: list[str], delimiter: str
) -> Iterator[tuple[int, Cells]]:
    """Yield the number of each line after the header, and its cells by column."""
    for number, line in enumerate(lines[start + 1 :], start + 2):
        cells = next(csv.reader([line], delimiter=delimiter), [])
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(heads):
            raise UnreadableTable(f"line {number} has {len(cells)} columns, not {len(heads)}")
        yield number, {head: cell.strip() for head, cell in zip(heads, cells)}


def _codes(rows: Iterable[tuple[int, Cells]]) -> HlaTables:
    found: dict[str, str] = {}
    for number, row in rows:
        code, alleles = row["code"].upper(), row["alleles"]
        if not _CODE.fullmatch(code) or not _PARTS.fullmatch(alleles):
            raise UnreadableTable(f"line {number}: {code[:20]!r} for {alleles[:40]!r} is no code")
        if found.setdefault(code, alleles) != alleles:
            raise UnreadableTable(f"line {number}: the code {code} stands for two lists")
    return HlaTables(codes=found)


def _eplets(rows: Iterable[tuple[int, Cells]]) -> HlaTables:
    found: dict[str, tuple[str, ...]] = {}
    for number, row in rows:
        names = tuple(dict.fromkeys(re.split(r"[\s;|]+", row["eplets"])))
        allele = _allele(row["allele"])
        if not allele or allele in found:
            why = "stands twice" if allele else "is no two-field allele"
            raise UnreadableTable(f"line {number}: {row['allele'][:40]!r} {why}")
        wrong = [name for name in names if not _EPLET.fullmatch(name)]
        if wrong:
            raise UnreadableTable(f"line {number}: {wrong[0][:40]!r} names no eplet")
        found[allele] = names
    return HlaTables(eplets=found)


def _allele(text: str) -> str:
    """Return a two-field allele as typings name it, "" if ``text`` is none."""
    if not re.fullmatch(r"(HLA-)?[A-Z]+\d*\*\d+:\d+", text):
        return ""
    try:
        (typing,) = read_typing(text).values()
    except UnreadableTyping:
        return ""
    return next(iter(typing.copies[0])).allele


def _frequencies(rows: Iterable[tuple[int, Cells]]) -> HlaTables:
    weights: dict[str, float] = {}
    listed: dict[str, dict[str, float]] = {}
    for number, row in rows:
        name, haplotype = row["group"], row["haplotype"]
        weight, share = (_share(row[head], number, head) for head in ("weight", "frequency"))
        if not name or weights.setdefault(name, weight) != weight:
            raise UnreadableTable(f"line {number}: {name[:40]!r} has two weights, or no name")
        if haplotype in listed.setdefault(name, {}):
            raise UnreadableTable(f"line {number}: {haplotype[:60]!r} stands twice for {name}")
        try:
            for word in haplotype.split("~"):
                read_typing(word)
        except UnreadableTyping as error:
            raise UnreadableTable(f"line {number}: {error}") from error
        listed[name][haplotype] = share
    _check(weights, listed)
    groups = {name: Group(weights[name], tuple(shares.items())) for name, shares in listed.items()}
    return HlaTables(groups=groups)


def _share(text: str, number: int, head: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise UnreadableTable(f"line {number}: the {head} {text[:20]!r} is not between 0 and 1")
    return found


def _check(weights: Mapping[str, float], listed: Mapping[str, Mapping[str, float]]) -> None:
    if not isclose(sum(weights.values()), 1.0, abs_tol=1e-3):
        raise UnreadableTable(f"the weights of the groups sum to {sum(weights.values()):g}, not 1")
    kinds = {"~" in haplotype for shares in listed.values() for haplotype in shares}
    if len(kinds) > 1:
        raise UnreadableTable("some lines name whole haplotypes and some single antigens")
    for name, shares in listed.items() if kinds == {True} else ():
        if sum(shares.values()) > SUM_LIMIT:
            raise UnreadableTable(f"the frequencies of {name} sum to {sum(shares.values()):g}")


_KINDS: tuple[tuple[tuple[str, ...], Callable[[Iterable[tuple[int, Cells]]], HlaTables]], ...] = (
    (("code", "alleles"), _codes),
    (("allele", "eplets"), _eplets),
    (("group", "weight", "haplotype", "frequency"), _frequencies),
)
