"""HLA typings as people and laboratories write them, with every doubt that is in them kept.

A typing names antigens (``A2 A24 B51``), alleles (``A*02:01``) or GL strings (Milius 2013,
doi:10.1111/tan.12150): ``/`` between alleles that could not be told apart, ``+`` between the
copies, ``~`` on one chromosome, ``|`` between possible genotypes, ``^`` between loci.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from workstation.planning.tissue_type import LOCI, SPLITS, UnreadableTyping
from workstation.planning.transplant_serology import BW4, BW6, OTHER_BW, antigens_of, related

LOCUS_OF = {"DR": "DRB1", "DQ": "DQB1", "DP": "DPB1", "DQA": "DQA1", "DPA": "DPA1"}
"""Beginning of an antigen's name to the locus whose product it is on."""

SECOND = {"DR51": "DRB5", "DR52": "DRB3", "DR53": "DRB4"}
ALLELE_LOCI = (
    "A", "B", "C", "DRB1", "DRB3", "DRB4", "DRB5", "DQB1", "DQA1", "DPB1", "DPA1",
)  # fmt: skip
"""Loci that are known."""

NO_EXPRESSION = "N"
WHOLE_GROUP = "XX"
"""In the place of a code: any allele of the group."""

LONGEST = 4000
"""Characters of a typing that are read."""

_ALLELE = re.compile(r"(?:HLA-)?([A-Z]+\d*)\*([0-9A-Z:]+?)([NLSCAQ]?)", re.I)
_ANTIGEN = re.compile(r"(?:HLA-)?(BW(?=[46]$)|[A-Z]+?)W?(\d{1,4})", re.I)
_CODED = re.compile(r"[A-Z]+\d*\*\d+:([A-Z]{2,})")
_SEROLOGY = re.compile(r"[,;+\s]+")


@dataclass(frozen=True)
class Product:
    """What one copy of a gene may make: an antigen, an allele, or both; "" for not known.

    ``silent`` is a null allele, whose product is not on the cell.
    """

    locus: str
    antigen: str = ""
    allele: str = ""
    silent: bool = False


Copy = frozenset[Product]
"""Everything that one copy of a gene may be."""


@dataclass(frozen=True)
class LocusTyping:
    """The copies of one gene that a typing names; two where the typing is complete."""

    locus: str
    copies: tuple[Copy, ...]

    @property
    def complete(self) -> bool:
        """Whether both copies are named."""
        return len(self.copies) >= 2

    @property
    def text(self) -> str:
        """The typing in words."""
        return ", ".join(_said(copy) for copy in self.copies)


Typing = Mapping[str, LocusTyping]


def read_typing(
    text: str, multiple_codes: Mapping[str, str] = MappingProxyType({})
) -> dict[str, LocusTyping]:
    """Return locus to typing.

    ``multiple_codes`` is a loaded table of NMDP codes: code to its alleles, such as "AB" to
    "01/02"; without it a code stays unknown, never guessed.

    Raises:
        UnreadableTyping: saying which word is no typing.
    """
    if len(text) > LONGEST:
        raise UnreadableTyping(f"the typing has more than {LONGEST} characters")
    found: dict[str, list[Copy]] = {}
    parts = [part.strip() for part in text.split("^")] if "*" in text else [text]
    for part in parts:
        for locus, copies in _locus_part(part, multiple_codes).items():
            found.setdefault(locus, []).extend(copies)
    for locus, copies in found.items():
        if len(copies) > 2:
            raise UnreadableTyping(f"three products of the locus {locus}: {text[:80]}")
    return {locus: LocusTyping(locus, tuple(copies)) for locus, copies in found.items()}


def unknown_codes(text: str, multiple_codes: Mapping[str, str]) -> list[str]:
    """Return the words of a typing whose NMDP code is not in the table, such as B*40:ABC."""
    found = [match for match in _CODED.finditer(text.upper()) if match[1] != WHOLE_GROUP]
    return [match[0] for match in found if match[1] not in multiple_codes]


def _locus_part(text: str, codes: Mapping[str, str]) -> dict[str, list[Copy]]:
    if "*" not in text:
        return _serology(text)
    genotypes = [_genotype(option, codes) for option in text.split("|")]
    return genotypes[0] if len(genotypes) == 1 else _one_of(genotypes)


def _serology(text: str) -> dict[str, list[Copy]]:
    found: dict[str, list[Copy]] = {}
    for word in filter(None, _SEROLOGY.split(text.strip())):
        product = _antigen(word)
        if product.locus == "BW":
            continue  # an epitope of the B antigens that stand beside it
        found.setdefault(product.locus, []).append(frozenset((product,)))
    if not found:
        raise UnreadableTyping(f"{text[:40]!r} names no HLA antigen")
    return found


def _antigen(word: str) -> Product:
    match = _ANTIGEN.fullmatch(word)
    if match is None or match[1].upper() not in LOCI:
        raise UnreadableTyping(f"{word[:40]!r} is no HLA antigen; write A2, B51, DR4 or A*02:01")
    kind = LOCI[match[1].upper()]
    antigen = f"{kind}{int(match[2])}"
    return Product(SECOND.get(antigen, LOCUS_OF.get(kind, kind)), antigen)


def _genotype(text: str, codes: Mapping[str, str]) -> dict[str, list[Copy]]:
    found: dict[str, list[Copy]] = {}
    for word in filter(None, re.split(r"[+~,;\s]+", text)):
        copy = _copy(word, codes)
        loci = {product.locus for product in copy}
        if len(loci) != 1:
            raise UnreadableTyping(f"{word[:40]!r} mixes loci")
        found.setdefault(loci.pop(), []).append(copy)
    return found


def _copy(word: str, codes: Mapping[str, str]) -> Copy:
    products: set[Product] = set()
    locus = group = ""
    for part in word.split("/"):
        if "*" not in part and locus:  # the short form A*02:01/02, A*02:01/03:01
            part = f"{locus}*{part}" if ":" in part else f"{locus}*{group}:{part}"
        if "*" not in part:
            products.add(_antigen(part))
            continue
        locus, fields, suffix = _fields(part)
        group = fields[0]
        products |= set(_products(locus, fields, suffix, codes))
    return frozenset(products)


def _fields(text: str) -> tuple[str, tuple[str, ...], str]:
    match = _ALLELE.fullmatch(text.strip())
    locus = match[1].upper() if match else ""
    locus = {"CW": "C"}.get(locus, locus)
    if match is None or locus not in ALLELE_LOCI:
        raise UnreadableTyping(f"{text[:40]!r} is no HLA allele; write A*02:01")
    fields, suffix = match[2].upper().split(":"), match[3].upper()
    if not fields[0].isdigit() or not all(fields):
        raise UnreadableTyping(f"{text[:40]!r} is no HLA allele; write A*02:01")
    if len(fields) > 1 and not fields[1][0].isdigit():  # an NMDP code, or XX for the whole group
        return locus, (fields[0], fields[1] + suffix), ""
    if not all(field.isdigit() for field in fields):
        raise UnreadableTyping(f"{text[:40]!r} is no HLA allele; write A*02:01")
    return locus, (f"{int(fields[0]):02d}", *fields[1:]), suffix


def _products(
    locus: str, fields: tuple[str, ...], suffix: str, codes: Mapping[str, str]
) -> Iterable[Product]:
    if len(fields) > 1 and not fields[1].isdigit():
        listed = codes.get(fields[1], "")
        if not listed:  # not loaded, or the whole group
            yield Product(locus)
            return
        for part in listed.split("/"):
            inner = tuple(part.split(":")) if ":" in part else (fields[0], part)
            if not all(field.isdigit() for field in inner):
                raise UnreadableTyping(f"the code {fields[1]} stands for {part!r}, no allele")
            yield from _products(locus, inner, "", codes)
        return
    allele = f"{locus}*{fields[0]}:{fields[1]}" if len(fields) > 1 else ""
    if suffix == NO_EXPRESSION:
        yield Product(locus, "", allele, True)
        return
    for antigen in ("",) if suffix else antigens_of(locus, fields) or ("",):
        yield Product(locus, antigen, allele)


def _one_of(genotypes: list[dict[str, list[Copy]]]) -> dict[str, list[Copy]]:
    """Return what holds whichever of several genotypes is true: each copy may be any of theirs."""
    found: dict[str, list[Copy]] = {}
    for locus in genotypes[0]:
        options = [genotype.get(locus, []) for genotype in genotypes]
        length = max(map(len, options))
        whole: Copy = frozenset(p for option in options for copy in option for p in copy)
        same = all(set(option) == set(options[0]) and len(option) == length for option in options)
        found[locus] = list(options[0]) if same else [whole] * length
    return found


def _said(copy: Copy) -> str:
    antigens: dict[str, set[str]] = {}
    for p in copy:
        word = p.allele or p.antigen or f"{p.locus} not known"
        antigens.setdefault(word, set()).update({p.antigen} if p.allele and p.antigen else ())
    if len(antigens) > 3:
        return f"{len(antigens)} possible products"
    return "/".join(
        f"{word} ({' or '.join(sorted(antigens[word]))})" if antigens[word] else word
        for word in sorted(antigens)
    )


def carries(product: Product, target: Product) -> str:
    """Tell whether ``product`` is what an antibody against ``target`` binds: yes, perhaps, no."""
    if product.silent:
        return "no"
    if target.locus == "BW":
        epitope = BW4 if target.antigen == "BW4" else BW6
        other = BW6 if target.antigen == "BW4" else BW4
        if not product.antigen or product.allele in OTHER_BW:
            return "perhaps"
        if product.antigen in epitope:
            return "yes"
        return "no" if product.antigen in other or product.locus == "A" else "perhaps"
    if product.locus != target.locus:
        return "no"
    if target.allele:
        if product.allele:
            return "yes" if product.allele == target.allele else "no"
        if product.antigen and target.antigen:
            return "no" if related(product.antigen, (target.antigen,)) == "no" else "perhaps"
        return "perhaps"
    if not product.antigen:
        return "perhaps"
    found = related(product.antigen, (target.antigen,))
    if found == "perhaps" and product.antigen in SPLITS.get(target.antigen, "").split():
        return "yes"  # who has antibodies against the broad antigen has them against its splits
    return found


def read_target(text: str) -> Product:
    """Return what an antibody or a list of unacceptable antigens names.

    Raises:
        UnreadableTyping: if that is no antigen or allele.
    """
    word = text.strip().rstrip("*")
    if "*" in word:
        locus, fields, suffix = _fields(word)
        found, *others = _products(locus, fields, suffix, {})
        if others:  # what carries it serologically is not sure
            found = Product(locus, "", found.allele)
        if not found.allele and not found.antigen:
            raise UnreadableTyping(f"{text[:40]!r} does not say which allele")
        return found
    return _antigen(word.replace(" ", ""))


def copy_carries(copy: Copy, target: Product) -> str:
    """Tell whether one copy, with its doubts, carries ``target``: yes, perhaps, no."""
    answers = {carries(product, target) for product in copy}
    return answers.pop() if len(answers) == 1 else "perhaps"
