"""The plans A, B, C of a case: named, made from one another, renamed, removed, and gone back to.

A name goes along with every change that is made while it is worked on. Each of these acts is an
entry of the case's history, so undo takes it back; a plan itself is never lost.
"""

from __future__ import annotations

from itertools import product
from string import ascii_uppercase
from typing import Any

from workstation.case import Case, CaseError
from workstation.planning.plan import Plan

CUT = "cut"
CUT_KINDS = {
    "planning.cut_plane": "plane",
    "planning.cut_planes": "several planes",
    "planning.cut_surface": "bent sheet",
    "planning.cut_by_territories": "along a territory's border",
    "planning.cut_wedge": "wedge around the tumour",
    "planning.combine_cuts": "combination of two cuts",
}


def cut_kind(plan: Plan) -> str:
    """Return in words what kind of cut the plan makes, "" for none."""
    cuts = [step.stage for step in plan.steps if step.output == CUT]
    return CUT_KINDS.get(cuts[-1], "") if cuts else ""


def find_plan(case: Case, which: str) -> int:
    """Return the number of the plan called ``which``, a name that was given to it or a number.

    Raises:
        CaseError: if there is none.
    """
    named = case.record.plan_names.get(which)
    if named is not None:
        return named
    if not which.isdecimal() or not case.plan_path(int(which)).is_file():
        numbers = ", ".join(p.stem.lstrip("0") for p in sorted(case.plan_path(1).parent.glob("*")))
        names = ", ".join(case.record.plan_names) or "none"
        raise CaseError(
            f"the case has no plan {which!r}; its plans are: {numbers or 'none'}, "
            f"and named: {names}"
        )
    return int(which)


def listed_plans(case: Case) -> list[dict[str, Any]]:
    """Return the named plans, then the others of the history.

    Each is a record of number, name, label (what made it), kind of cut, and whether it is current.
    """
    labels: dict[int, str] = {}
    for entry in case.record.history:
        labels.setdefault(entry.plan, entry.label)
    names = case.record.plan_names
    rest = sorted(labels.keys() - set(names.values()))
    now, worked_on = case.plan_number, case.record.variant
    return [
        {
            "plan": number,
            "name": name,
            "label": labels.get(number, ""),
            "cut": cut_kind(case.plan(number)),
            "current": number == now and (not worked_on or name in (worked_on, "")),
        }
        for name, number in [*names.items(), *(("", number) for number in rest)]
    ]


def keep_plan(case: Case, name: str, number: int) -> None:
    """Give plan ``number`` a name, such as A; whatever had that name loses it.

    Raises:
        CaseError: for a name that could be taken for a number, or is none.
    """
    name = _checked(name)
    record = case.record
    record.plan_names[name] = number
    if number == case.plan_number:
        record.variant = name
    elif record.variant == name:
        record.variant = ""
    _note(case, f"Name plan {name}", case.plan_number)


def work_on(case: Case, name: str) -> None:
    """Let the changes that come have ``name``; with "" all names stay where they are.

    Raises:
        CaseError: for a name that could be taken for a number.
    """
    case.record.variant = _checked(name) if name else ""


def new_plan(case: Case, name: str = "") -> str:
    """Begin another plan as a copy of the current one, and work on it; return its name.

    Without ``name`` it gets the next free letter. A current plan without a name gets one first.

    Raises:
        CaseError: if there is no plan, or the name is taken or cannot name a plan.
    """
    case.plan()
    record, number = case.record, case.plan_number
    if name:
        name = _unused(case, name)
    if number not in record.plan_names.values():
        letters = (letter for letter in _letters() if letter != name)
        record.plan_names[next(n for n in letters if n not in record.plan_names)] = number
    made = name or next(n for n in _letters() if n not in record.plan_names)
    record.plan_names[made] = number
    record.variant = made
    _note(case, f"New plan {made}", number)
    return made


def rename_plan(case: Case, old: str, new: str) -> None:
    """Give the plan ``old`` another name.

    Raises:
        CaseError: if there is no such plan, or the new name is taken or cannot name a plan.
    """
    record = case.record
    _named(case, old)
    new = _unused(case, new)
    if record.variant == old:
        record.variant = new
    record.plan_names = {new if n == old else n: k for n, k in record.plan_names.items()}
    _note(case, f"Rename plan {old} to {new}", case.plan_number)


def remove_plan(case: Case, name: str) -> None:
    """Take a plan from the list; one that is worked on gives way to its neighbour.

    Raises:
        CaseError: if there is no such plan, or it is the only one.
    """
    record = case.record
    _named(case, name)
    if len(record.plan_names) == 1:
        raise CaseError(f"{name} is the only plan of the case; it cannot be removed")
    order = list(record.plan_names)
    beside = order[max(order.index(name) - 1, 0)] if name != order[0] else order[1]
    del record.plan_names[name]
    goes_on = case.plan_number
    if record.variant == name:
        record.variant, goes_on = beside, record.plan_names[beside]
    _note(case, f"Remove plan {name}", goes_on)


def switch_plan(case: Case, name: str) -> None:
    """Work on the plan ``name`` from now on.

    Raises:
        CaseError: if there is no such plan.
    """
    number = _named(case, name)
    case.plan(number)
    case.record.variant = name
    _note(case, f"Switch to plan {name}", number)


def _note(case: Case, label: str, number: int) -> None:
    case.record.note(label, number)
    case.save()


def _named(case: Case, name: str) -> int:
    if name not in case.record.plan_names:
        names = ", ".join(case.record.plan_names) or "none"
        raise CaseError(f"the case has no plan named {name!r}; named are: {names}")
    return case.record.plan_names[name]


def _unused(case: Case, name: str) -> str:
    name = _checked(name)
    if name in case.record.plan_names:
        raise CaseError(f"a plan {name!r} is there already; take another name")
    return name


def _checked(name: str) -> str:
    if not name.strip() or name.strip().isdecimal():
        raise CaseError(f"{name!r} cannot name a plan; take a letter or a word")
    return name.strip()


def _letters() -> list[str]:
    """Return A to Z, then AA to ZZ."""
    return [*ascii_uppercase, *map("".join, product(ascii_uppercase, repeat=2))]
