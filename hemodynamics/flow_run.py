"""A lumen in cells, driven: what enters and leaves in each time step, in units of the patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hemodynamics import profiles
from hemodynamics.boundary import Complexes, Outflow, Waveform, Windkessel
from hemodynamics.domain import Domain, Opening
from hemodynamics.flow_start import Snapshot
from hemodynamics.gpu import lattice_on
from hemodynamics.lattice import OPPOSITE, VELOCITIES, WEIGHTS
from hemodynamics.layout import WALL, lay_out, outlet
from hemodynamics.rheology import Rates
from hemodynamics.solver import Drag
from meshing.mesh import SurfaceMesh

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

Device = Literal["auto", "cpu", "cuda"]

CALM = 0.35
"""How fast outlets follow their laws, in crossings of the lumen by sound: the answer to sound
is weak where this is small, and the laws lag where it is smaller still."""


CARRIES = 0.004
"""By how much the relaxation time exceeds 1/2 where cumulants of third order last as long as they
should; where it does by less they last shorter, since there flows in bends blew up."""


@dataclass(frozen=True)
class Scales:
    """Cell (mm), time step (s), and the fluid's density (kg/m3) and viscosity (Pa s)."""

    spacing_mm: float
    step_s: float
    density_kg_m3: float
    viscosity_pa_s: float

    @property
    def nu_mm2_s(self) -> float:
        """The kinematic viscosity."""
        return 1e6 * self.viscosity_pa_s / self.density_kg_m3

    @property
    def tau(self) -> float:
        """The relaxation time in steps."""
        return 0.5 + 3.0 * self.nu_mm2_s * self.step_s / self.spacing_mm**2

    @property
    def speed_m_s(self) -> float:
        """A speed of one cell per step."""
        return 1e-3 * self.spacing_mm / self.step_s

    @property
    def stress_pa(self) -> float:
        """A stress of one in lattice units."""
        return self.density_kg_m3 * self.speed_m_s**2

    @property
    def flow_ml_s(self) -> float:
        """A flow of one cell per step."""
        return 1e-3 * self.spacing_mm**3 / self.step_s

    def impedance(self, area_mm2: float) -> float:
        """Return the acoustic impedance of a section in Pa s/mL, with the lattice's sound."""
        sound_mm_s = self.spacing_mm / self.step_s / np.sqrt(3.0)
        return float(self.density_kg_m3 * sound_mm_s * 1e-3 / area_mm2)


@dataclass(frozen=True)
class Inlet:
    """An inlet: its links, its share of the flow, and what each harmonic gives each link."""

    opening: Opening
    share: float
    shapes: Complexes


class Run:
    """A lattice with its openings, and the clock.

    Attributes:
        scales: the units.
        names: of the inlets and the outlets.
        time_s: since the start.
        inflow_ml_s: through each inlet in this step.
        outflow_ml_s: through each outlet in this step.
    """

    def __init__(
        self,
        lumen: SurfaceMesh,
        domain: Domain,
        scales: Scales,
        waveform: Waveform,
        shares_in: Mapping[str, float],
        shares_out: Mapping[str, float],
        laws: Sequence[Windkessel | None],
        ramp_s: float,
        table: Rates | None = None,
        drag: Drag | None = None,
        carry: float = 1.0,
        walls: float = 1.0,
        device: Device = "cpu",
    ) -> None:
        """Take the shares of the flow by opening; outlets have laws in the order of theirs.

        ``table`` is that of a fluid that thins with shear, ``drag`` what is in the way of cells.
        ``carry`` is how far cumulants of third order last, see `hemodynamics.lattice.settle`, and
        ``walls`` how much of the way from half-way between cells to its own place the wall
        is moved: less is less exact, and more stable.

        Raises:
            NoCard: if a CUDA card is asked for and there is none.
        """
        self.scales, self.time_s, self._waveform, self._ramp = scales, 0.0, waveform, ramp_s
        self._pushed_ml_s, self._constant = 0.0, False
        self._domain, self._laws = domain, list(laws)
        # Developed flow is the same on all planes across an end, so openings may lie half-way.
        moved = 0.5 + walls * (domain.links.fraction - 0.5)
        fraction = np.where(domain.links.part == WALL, moved, 0.5)
        links = replace(domain.links, fraction=fraction)
        layout = lay_out(domain.neighbours, links)
        carry *= min((scales.tau - 0.5) / CARRIES, 1.0)
        self.lattice = lattice_on(device)(
            layout, links, scales.tau, rates=table, drag=drag, carry=carry
        )
        named = {opening.name: opening for opening in domain.openings}
        self.inlets = [
            Inlet(named[name], share, _shapes(lumen, domain, named[name], waveform, scales))
            for name, share in shares_in.items()
        ]
        self.outlets = [named[name] for name in shares_out]
        self.names = [*shares_in, *shares_out]
        self._held = {
            opening.name: outlet(
                links, opening.links, opening.inside, opening.factors, opening.normal
            )
            for opening in domain.openings
        }
        # Sound goes by the area that the links have: in coarse cells it is not quite the cap's.
        areas_mm2 = [self._held[o.name].area * scales.spacing_mm**2 for o in self.outlets]
        impedances = np.array([scales.impedance(area) for area in areas_mm2])
        extent = np.ptp(domain.cells_mm, axis=0).max() / domain.spacing_mm
        pull = min(CALM / np.sqrt(3.0) / extent, 0.2)
        shares = np.array(list(shares_out.values()))
        self._impedances = impedances * scales.flow_ml_s / scales.stress_pa
        self._outflow = Outflow(impedances, shares, laws, pull)
        self.inflow_ml_s = np.zeros(len(self.inlets))
        self.outflow_ml_s = np.zeros(len(self.outlets))

    def start(self, snapshot: Snapshot) -> None:
        """Take over a flow that another run left, at once and without a ramp."""
        scales, self._ramp = self.scales, 0.0
        state = snapshot.at(self._domain.cells_mm)
        state[0] *= np.float32(3.0 / scales.stress_pa)
        state[1:4] /= np.float32(scales.speed_m_s)
        state[4:] /= np.float32(scales.stress_pa)
        self.lattice.start(state)
        self.outflow_ml_s = np.array([snapshot.outflows_ml_s[o.name] for o in self.outlets])
        self._outflow.start(np.array([self._pressure(o) for o in self.outlets]), self.outflow_ml_s)
        for opening, law in zip(self.outlets, self._laws):
            if law is not None:
                law.stored_pa = snapshot.stored_pa[opening.name]

    def snapshot(self) -> Snapshot:
        """Return what another run can take over; it is read between `fill` and `step`."""
        state, scales = self.lattice.state(), self.scales
        state[0] *= np.float32(scales.stress_pa / 3.0)
        state[1:4] *= np.float32(scales.speed_m_s)
        state[4:] *= np.float32(scales.stress_pa)
        names = [opening.name for opening in self.outlets]
        return Snapshot(
            self._domain,
            state,
            dict(zip(names, self.outflow_ml_s.tolist())),
            {name: law.stored_pa for name, law in zip(names, self._laws) if law is not None},
        )

    def state_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all that the run needs to go on as if it had never stopped."""
        return {
            **self.lattice.state_arrays(),
            "ramp_s": np.array(self._ramp),
            "outlets": self._outflow.state(),
            "inflow_ml_s": self.inflow_ml_s,
            "outflow_ml_s": self.outflow_ml_s,
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go back to what `state_arrays` returned, on a run of the same lumen and cells."""
        self.lattice.restore(arrays)
        self.time_s = self.lattice.steps * self.scales.step_s
        self._ramp, self._constant = float(arrays["ramp_s"]), False
        self._outflow.restore(arrays["outlets"])
        self.inflow_ml_s, self.outflow_ml_s = arrays["inflow_ml_s"], arrays["outflow_ml_s"]

    def fill(self) -> None:
        """Work out what enters in the coming step; states are read between this and `step`."""
        lattice, scales = self.lattice, self.scales
        begun = self.time_s >= self._ramp
        if not (begun and self._constant):
            self._push()
        answers = self._outflow.answers_pa(
            self.outflow_ml_s, self._pushed_ml_s, scales.step_s, begun=begun
        )
        lattice.meet()
        for opening, answer, impedance in zip(self.outlets, answers, self._impedances):
            lattice.hold(self._held[opening.name], answer / scales.stress_pa, float(impedance))
        self.inflow_ml_s = np.array([self._flow(i.opening) for i in self.inlets])
        self.outflow_ml_s = -np.array([self._flow(o) for o in self.outlets])

    def _push(self) -> None:
        """Set what is pushed in at the inlets."""
        push = min(self.time_s / self._ramp, 1.0) if self._ramp > 0 else 1.0
        push *= push * (3.0 - 2.0 * push)
        turns = np.exp(1j * self._waveform.frequencies_1_s * self.time_s)
        flows = push * self._waveform.harmonics_ml_s * turns / self.scales.flow_ml_s
        for inlet in self.inlets:
            self.lattice.push(inlet.opening.links, inlet.share * (flows @ inlet.shapes).real)
        self._pushed_ml_s = float(flows.sum().real) * self.scales.flow_ml_s
        self._constant = push == 1.0 and len(flows) == 1

    def step(self) -> None:
        """Go one step on in time."""
        self.lattice.step()
        self.time_s = self.lattice.steps * self.scales.step_s

    def pressures_pa(self) -> dict[str, float]:
        """Return the mean pressure beside each opening."""
        openings = [*(inlet.opening for inlet in self.inlets), *self.outlets]
        return {o.name: self._pressure(o) + self._outflow.gauge_pa for o in openings}

    def flows_ml_s(self) -> dict[str, float]:
        """Return the flow into the lumen through each opening."""
        return dict(zip(self.names, self.inward_ml_s().tolist()))

    def inward_ml_s(self) -> Floats:
        """Return the flow into the lumen through each opening, in the order of the names."""
        return np.concatenate([self.inflow_ml_s, -self.outflow_ml_s])

    def state(self) -> tuple[Singles, Singles, Singles]:
        """Return velocity (n, 3) in m/s, pressure (n,) and viscous stress (6, n) in Pa.

        The velocity is momentum by the mean density: in the slightly compressible lattice that
        is what passes every section alike, as blood does.
        """
        state = self.lattice.state()
        scales = self.scales
        pressure = state[0] * np.float32(scales.stress_pa / 3.0)
        pressure += np.float32(self._outflow.gauge_pa)
        momentum = state[1:4] * (1.0 + state[0])
        velocity = np.ascontiguousarray(momentum.T) * np.float32(scales.speed_m_s)
        return velocity, pressure, state[4:] * np.float32(scales.stress_pa)

    def excess(self) -> float:
        """Return how far the density beside the openings is from one, in size."""
        return max(abs(self.lattice.density(held)) for held in self._held.values())

    def _pressure(self, opening: Opening) -> float:
        """Return the mean pressure beside an opening, less the gauge."""
        return self.lattice.density(self._held[opening.name]) / 3.0 * self.scales.stress_pa

    def _flow(self, opening: Opening) -> float:
        return self.lattice.inflow(opening.links) * self.scales.flow_ml_s


def _shapes(
    lumen: SurfaceMesh, domain: Domain, opening: Opening, waveform: Waveform, scales: Scales
) -> Complexes:
    """Return (harmonics, links) speeds along the incoming links that let a flow of one in."""
    section = profiles.section_of(lumen, opening.name)
    direction = domain.links.direction[opening.links]
    ends = domain.cells_mm[domain.links.cell[opening.links]]
    half_way = ends + 0.5 * domain.spacing_mm * VELOCITIES[direction]
    inward = -(VELOCITIES[OPPOSITE[direction]] @ opening.normal)
    weights = 6.0 * WEIGHTS[direction]
    rows = []
    for frequency in waveform.frequencies_1_s:
        profile = profiles.developed(section, 1j * frequency / scales.nu_mm2_s)
        speed = profiles.at(section, profile, half_way) * inward
        rows.append(speed / (weights @ speed))
    return np.array(rows, np.complex128)
