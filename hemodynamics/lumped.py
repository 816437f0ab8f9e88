"""A circulation as a network of lumped elements: what it is made of, as a value and as JSON.

Pressures are in mmHg, flows in mL/s, volumes in mL, times in s; so resistances are in
mmHg s/mL, compliances in mL/mmHg and inertances in mmHg s2/mL. Elements join named nodes;
``ground`` is the node whose pressure is 0. Flow from ``start`` to ``end`` is positive.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le, MinLen, MultipleOf
from pydantic import ConfigDict, Discriminator, TypeAdapter, ValidationError

Floats = npt.NDArray[np.float64]

GROUND = "ground"
"""The node whose pressure is 0, that of the air."""

NOTHING_ELSE: ConfigDict = ConfigDict(extra="forbid", allow_inf_nan=False)
Name = Annotated[str, MinLen(1)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]


class UnusableNetwork(ValueError):
    """A network cannot be read or has no solution; the text names what is wrong."""


@dataclass(frozen=True)
class Course:
    """A value over time: its mean and, where it beats, the harmonics of its period.

    The value is mean + sum of cosines[k] cos(w t) + sines[k] sin(w t) with w = 2 pi (k + 1) /
    period.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE

    mean: float
    period_s: Positive | None = None
    cosines: tuple[float, ...] = ()
    sines: tuple[float, ...] = ()

    def at(self, time_s: float) -> float:
        """Return the value at a time."""
        if self.period_s is None:
            return self.mean
        found = self.mean
        for parts, turn in ((self.cosines, np.cos), (self.sines, np.sin)):
            orders = np.arange(1, len(parts) + 1)
            found += float(np.dot(parts, turn(2 * np.pi * orders * (time_s / self.period_s))))
        return found


@dataclass(frozen=True)
class Resistor:
    """Loss of pressure: ``resistance`` q + ``quadratic`` q |q|, as in a stenosis."""

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE

    name: Name
    start: Name
    end: Name
    resistance: NotNegative
    quadratic: NotNegative = 0.0
    kind: Literal["resistor"] = "resistor"


@dataclass(frozen=True)
class Inertance:
    """Inertia of the blood in a vessel: ``inertance`` dq/dt."""

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE

    name: Name
    start: Name
    end: Name
    inertance: Positive
    initial_ml_s: float = 0.0
    kind: Literal["inertance"] = "inertance"


@dataclass(frozen=True)
class Valve:
    """Lets flow through from start to end; ``leak`` is its conductance backward (mL/s/mmHg)."""

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE

    name: Name
    start: Name
    end: Name
    resistance: Positive
    leak: NotNegative = 0.0
    kind: Literal["valve"] = "valve"


@dataclass(frozen=True)
class Collapsible:
    """A vessel that closes where the pressure outside exceeds that inside (Starling resistor).

    The flow is (max(start, outside) - max(end, outside)) / resistance: a waterfall.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE

    name: Name
    start: Name
    end: Name
    resistance: Positive
    outside: Name = GROUND
    kind: Literal["collapsible"] = "collapsible"


@dataclass(frozen=True)
class Compliance:
    """An elastic vessel: volume = unstressed + compliance x (pressure - outside).

    It begins with ``initial_ml``, or else unstressed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE

    name: Name
    node: Name
    compliance: Positive
    unstressed_ml: NotNegative = 0.0
    outside: Name = GROUND
    initial_ml: float | None = None
    kind: Literal["compliance"] = "compliance"


@dataclass(frozen=True)
class Vein:
    """A vein with a tube law: pressure - outside = stiffness (a^10 - a^-1.5), a = V / unstressed.

    The exponents are those of Pedley 1980 (The fluid mechanics of large blood vessels).
    """

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE

    name: Name
    node: Name
    stiffness_mmhg: Positive
    unstressed_ml: Positive
    outside: Name = GROUND
    initial_ml: Positive | None = None
    kind: Literal["vein"] = "vein"


@dataclass(frozen=True)
class Chamber:
    """A chamber of the heart: pressure - outside = E(t) (V - unstressed).

    The elastance rises as half a cosine from ``relaxed`` to ``contracted`` (mmHg/mL) during
    ``rise_s`` after ``onset_s``, falls likewise during ``fall_s``, and rests until the period
    ends.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE

    name: Name
    node: Name
    contracted: Positive
    relaxed: Positive
    period_s: Positive
    rise_s: Positive
    fall_s: Positive
    onset_s: float = 0.0
    unstressed_ml: NotNegative = 0.0
    outside: Name = GROUND
    initial_ml: float | None = None
    kind: Literal["chamber"] = "chamber"

    def elastance(self, time_s: float) -> float:
        """Return the elastance (mmHg/mL) at a time."""
        since = (time_s - self.onset_s) % self.period_s
        if since < self.rise_s:
            active = 0.5 - 0.5 * np.cos(np.pi * since / self.rise_s)
        elif since < self.rise_s + self.fall_s:
            active = 0.5 + 0.5 * np.cos(np.pi * (since - self.rise_s) / self.fall_s)
        else:
            active = 0.0
        return float(self.relaxed + (self.contracted - self.relaxed) * active)


@dataclass(frozen=True)
class PressureSource:
    """Holds ``end`` above ``start`` by a pressure (mmHg), whatever flows."""

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE

    name: Name
    end: Name
    pressure: Course
    start: Name = GROUND
    kind: Literal["pressure source"] = "pressure source"


@dataclass(frozen=True)
class FlowSource:
    """Drives a flow (mL/s) from ``start`` to ``end``, whatever the pressures."""

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE

    name: Name
    end: Name
    flow: Course
    start: Name = GROUND
    kind: Literal["flow source"] = "flow source"


@dataclass(frozen=True)
class Tube:
    """A straight elastic vessel in which waves travel; one of three laws gives its wall.

    These are the speed of its waves; its distensibility (dA/dp / A, at the radius given); or
    Young's modulus and the thickness of the wall, with Poisson's ratio 0.5 for a vessel that
    tissue holds along its way and 0 for Moens and Korteweg's free one. The velocity profile is
    1 - (r / radius)^``profile``: 2 is Poiseuille's, larger is blunter. The radius is that at
    ``measured_mmhg``; the tube begins at ``initial_mmhg``. Without ``segments`` there are as many
    as the steps can follow.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE

    name: Name
    start: Name
    end: Name
    length_mm: Positive
    radius_mm: Positive
    wave_speed_m_s: Positive | None = None
    distensibility_per_mmhg: Positive | None = None
    young_kpa: Positive | None = None
    wall_mm: Positive | None = None
    poisson: Annotated[float, Ge(0), Le(0.5)] = 0.5
    viscosity_pa_s: NotNegative = 0.0035
    profile: Annotated[float, Ge(2), Le(100)] = 2.0
    measured_mmhg: float = 0.0
    initial_mmhg: float = 0.0
    segments: Annotated[int, Ge(2), Le(2000), MultipleOf(2)] | None = None
    kind: Literal["tube"] = "tube"


Branch = Resistor | Inertance | Valve | Collapsible | PressureSource
Storage = Compliance | Vein | Chamber
Element = Branch | Storage | FlowSource | Tube


@dataclass(frozen=True)
class Network:
    """Lumped elements that join named nodes.

    Raises:
        UnusableNetwork: if a name is used twice, an element joins a node with itself or has a
            value that it cannot have, or nothing sets the pressure of some nodes.
    """

    __pydantic_config__: ClassVar[ConfigDict] = NOTHING_ELSE

    elements: tuple[Annotated[Element, Discriminator("kind")], ...]
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "elements", tuple(self.elements))
        for element in self.elements:
            _check(element)
        again = [n for n, count in Counter(e.name for e in self.elements).items() if count > 1]
        if again:
            raise UnusableNetwork(f"two elements are called {again[0]!r}; rename one of them")
        known = {GROUND, *self.nodes}
        for element in self.elements:
            outside = getattr(element, "outside", GROUND)
            if outside not in known:
                raise UnusableNetwork(
                    f"outside {element.name!r} acts the pressure of {outside!r}, which is no node"
                )
        self._check_references()

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes without the ground, in the order in which elements name them."""
        found = dict.fromkeys(n for element in self.elements for n in ends_of(element))
        found.pop(GROUND, None)
        return tuple(found)

    def parts(self) -> tuple[frozenset[str], ...]:
        """Return the sets of nodes between which blood can flow, the ground's first if used."""
        group = {node: {node} for node in (GROUND, *self.nodes)}
        for element in self.elements:
            ends = ends_of(element)
            if len(ends) == 2 and not isinstance(element, FlowSource):
                _merge(group, *ends)
        return tuple(dict.fromkeys(frozenset(nodes) for nodes in group.values()))

    def _check_references(self) -> None:
        """Raise unless the ground, or what stores blood, sets the pressure of every node."""
        kept = {e.node for e in self.elements if isinstance(e, Storage)}
        kept |= {e.start for e in self.elements if isinstance(e, Tube)}
        for nodes in self.parts():
            if GROUND not in nodes and not nodes & kept:
                raise UnusableNetwork(
                    f"nothing sets the pressure of {_list(nodes)}: join them to a pressure "
                    "source, to the ground, or to a compliance"
                )
        held = {node: {node} for node in (GROUND, *self.nodes)}
        for element in self.elements:
            if isinstance(element, PressureSource):
                if held[element.start] is held[element.end]:
                    raise UnusableNetwork(
                        f"the pressure source {element.name!r} contradicts others: together "
                        "they form a loop; put a resistance into it"
                    )
                _merge(held, element.start, element.end)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `from_json` reverses it."""
        return {"name": self.name, "elements": [asdict(element) for element in self.elements]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Network:
        """Read what `to_json` wrote.

        Raises:
            UnusableNetwork: saying what is wrong and where.
        """
        try:
            return _FILE.validate_json(json.dumps(record), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            if isinstance(first.get("ctx", {}).get("error"), UnusableNetwork):
                raise first["ctx"]["error"] from error
            where = ".".join(str(part) for part in first["loc"])
            raise UnusableNetwork(f"the network cannot be read: {where}: {first['msg']}") from error


_FILE = TypeAdapter(Network)
_KINDS: Mapping[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in get_args(Element)}


def ends_of(element: Element) -> tuple[str, ...]:
    """Return the nodes that an element joins, or the node at which it stores blood."""
    return (element.node,) if isinstance(element, Storage) else (element.start, element.end)


def _check(element: Element) -> None:
    """Raise for an element that cannot be."""
    ends = ends_of(element)
    if len(set(ends)) < len(ends):
        raise UnusableNetwork(f"{element.name!r} joins {ends[0]!r} with itself")
    if isinstance(element, Storage) and element.node == GROUND:
        raise UnusableNetwork(f"{element.name!r} stores blood at the ground, which has no volume")
    try:
        _KINDS[type(element)].validate_python(asdict(element))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnusableNetwork(f"{where} of {element.name!r}: {first['msg']}") from error
    if isinstance(element, Resistor) and element.resistance + element.quadratic <= 0:
        raise UnusableNetwork(f"{element.name!r} has no resistance; join its nodes to one")
    if isinstance(element, Tube):
        _check_wall(element)
    if isinstance(element, Chamber) and element.rise_s + element.fall_s > element.period_s:
        raise UnusableNetwork(f"{element.name!r} contracts and relaxes longer than its period")


def _check_wall(tube: Tube) -> None:
    """Raise unless one law, and all of it, gives the wall."""
    if (tube.young_kpa is None) != (tube.wall_mm is None):
        raise UnusableNetwork(f"{tube.name!r} needs both young_kpa and wall_mm, or neither")
    laws = (tube.wave_speed_m_s, tube.distensibility_per_mmhg, tube.young_kpa)
    if sum(law is not None for law in laws) != 1:
        raise UnusableNetwork(
            f"{tube.name!r} needs its wall told once: wave_speed_m_s, distensibility_per_mmhg, or "
            "young_kpa with wall_mm"
        )


def _merge(group: dict[str, set[str]], one: str, two: str) -> None:
    if group[one] is not group[two]:
        group[one] |= group[two]
        for node in group[two]:
            group[node] = group[one]


def _list(nodes: Iterable[str]) -> str:
    return ", ".join(sorted(nodes))
