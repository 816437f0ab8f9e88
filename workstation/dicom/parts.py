"""Which part of a split series a volume is: time, phase, echo, b-value, and where on that axis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from math import inf, isfinite

from workstation.dicom.slices import Slice
from workstation.dicom.volumes import SeriesPart

Value = Callable[[str, Slice], float | None]

_CLOCKS = ("AcquisitionTime", "FrameAcquisitionDateTime", "ContentTime")


def _own(word: str, s: Slice) -> float | None:
    """Return the value that tells the parts apart, where it is a number."""
    with suppress(ValueError):
        value = float(word)
        return value if isfinite(value) else None
    return None


def _nothing(word: str, s: Slice) -> float | None:
    return None


def _echo_ms(word: str, s: Slice) -> float | None:
    """Return the echo time: classic images number their echoes and state it beside."""
    return _own(word if s.frame is not None else dict(s.hints).get("EchoTime", ""), s)


def _clock_ms(word: str, s: Slice) -> float | None:
    """Return when the slice was taken, on the scanner's clock."""
    hints = dict(s.hints)
    text = next((hints[name] for name in _CLOCKS if hints.get(name)), "").partition("+")[0]
    whole, _, fraction = text.partition(".")
    form = "%Y%m%d%H%M%S" if len(whole) > 6 else "%H%M%S"
    with suppress(ValueError):
        seconds = (datetime.strptime(whole, form) - datetime(1900, 1, 1)).total_seconds()
        return 1000 * (seconds + float(f"0.{fraction or 0}"))
    return None


AXES: Mapping[str, tuple[str, str, Value]] = {
    "time": ("time", "ms", _clock_ms),
    "AcquisitionNumber": ("time", "ms", _clock_ms),
    "AcquisitionTime": ("time", "ms", _clock_ms),
    "ContentTime": ("time", "ms", _clock_ms),
    "SeriesTime": ("time", "ms", _clock_ms),
    "FrameAcquisitionNumber": ("time", "ms", _clock_ms),
    "FrameAcquisitionDateTime": ("time", "ms", _clock_ms),
    "file": ("time", "ms", _clock_ms),
    "repetition": ("time", "ms", _clock_ms),
    "TriggerTime": ("phase", "ms", _own),
    "cardiac delay": ("phase", "ms", _own),
    "echo": ("echo", "ms", _echo_ms),
    "EchoTime": ("echo", "ms", _own),
    "InversionTime": ("inversion", "ms", _own),
    "FlipAngle": ("flip angle", "degree", _own),
    "KVP": ("energy", "kV", _own),
    "b-value": ("b-value", "s/mm2", _own),
    "gradient": ("direction", "", _nothing),
    "DiffusionGradientOrientation": ("direction", "", _nothing),
    "DiffusionDirectionality": ("directionality", "", _nothing),
    "ContrastBolusAgent": ("contrast", "", _nothing),
    "ConvolutionKernel": ("kernel", "", _nothing),
}
"""What tells the parts of a series apart: its kind, its unit and how its value is found."""

KEY_AXES = ("time", "echo", "b-value")


def in_order(groups: Mapping[str, list[Slice]]) -> list[tuple[str, list[Slice]]]:
    """Return groups of slices by the number, or else the word, that tells them apart."""
    return sorted(groups.items(), key=lambda group: word_order(group[0]))


def word_order(word: str) -> tuple[float, str]:
    """Return what sorts header values: numbers by size, before all other words."""
    with suppress(ValueError):
        number = float(word)
        if isfinite(number):
            return number, word
    return inf, word


def parts_of(axis: str, groups: Sequence[tuple[str, list[Slice]]]) -> list[SeriesPart | None]:
    """Return which part each group of slices is; ``groups`` are in order, each with its word."""
    if axis not in AXES:
        return [None] * len(groups)
    kind, unit, value = AXES[axis]
    found = [[value(word, s) for s in slices] for word, slices in groups]
    known = [min((v for v in own if v is not None), default=None) for own in found]
    values = [v for v in known if v is not None]
    if len(set(values)) < len(groups):
        known, unit = [None] * len(groups), ""  # they say nothing, or contradict the split
    first = min(values, default=0.0) if value is _clock_ms else 0.0
    return [
        SeriesPart(kind, n + 1, len(groups), None if v is None else round(v - first, 3), unit)
        for n, v in enumerate(known)
    ]


def parts_of_kinds(kinds: Sequence[list[Slice]]) -> list[SeriesPart | None]:
    """Return which part each kind of a series is: of those that differ in one word only."""
    found: list[SeriesPart | None] = [None] * len(kinds)
    for axis in KEY_AXES:
        families: dict[Hashable, list[int]] = defaultdict(list)
        for n, kind in enumerate(kinds):
            first = kind[0]
            rest = tuple(pair for pair in first.key if pair[0] != axis)
            if dict(first.key).get(axis) and found[n] is None:
                families[rest, first.form, first.orientation].append(n)
        for family in families.values():
            members = {dict(kinds[n][0].key)[axis]: n for n in family}
            if 1 < len(members) == len(family):
                groups = in_order({word: kinds[n] for word, n in members.items()})
                for (word, _), part in zip(groups, parts_of(axis, groups)):
                    found[members[word]] = part
    return found
