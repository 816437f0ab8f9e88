"""Steady flow in a round pipe whose width changes, exact up to the mesh: the nozzle's reference.

The equations of Navier and Stokes along z and r, without swirl, are solved by finite elements:
for every test velocity v and test pressure q that keep to the edges,

    integral of [mu (grad u : grad v + u_r v_r / r^2) + rho (u . grad) u . v
                 - p (div v + v_r / r) - q (div u + u_r / r)] r dr dz = 0

Velocity is biquadratic, pressure bilinear, in quadrilaterals (Taylor and Hood 1973,
doi:10.1016/0045-7930(73)90027-3). The inflow is Poiseuille's, walls are at rest, the outlet is free
of stress (mu du/dn = p n). Newton's method solves them while the density rises to its value. Places
are in mm; within, all is in SI units.

On the nozzle, 6 and 10 cells across the throat's radius give the same velocities on the axis within
0.04 % and pressures on the wall within 0.1 Pa of 310, 0.3 Pa beside the throat's sharp edge. An
OpenFOAM wedge with 40 cells across agrees within 0.1 % and 0.2 Pa, 1 Pa beside that edge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import splu

from segmentation.contract import Progress, silent

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SHARES = (0.0, 0.05, 0.2, 0.5, 1.0)
"""Shares of the density that are solved one after another, each begun with the one before."""

LOOSE, CONVERGED, MOST_STEPS = 0.03, 1e-9, 12
"""Newton's steps end when none changes a velocity by more than this share of the largest, at
smaller densities and at the whole one; and how many there may be."""

FINEST, WIDENS_ALONG, WIDENS_ACROSS, WIDEST_ACROSS, WIDEST_ALONG = 0.3, 0.06, 0.2, 1.25, 6.0
"""Lengths of a cell in shares of the throat's radius over the cells across it: next to a corner of
the throat and at the most; and by how much it grows per length away from there."""


class NotConverged(RuntimeError):
    """Newton's method found no solution."""


@dataclass(frozen=True)
class Mesh:
    """Cells in n columns along z, part of a logical rectangle with m cells in each column.

    Attributes:
        z_mm, r_mm: nodes (2n+1, 2m+1): corners of cells at even indices, middles at odd ones.
        fluid: which cells (n, m) there are.
    """

    z_mm: Floats
    r_mm: Floats
    fluid: Flags

    def nodes(self) -> Ints:
        """Return the nodes (n, m, 9) of every cell, those along r next to each other."""
        n, m = self.fluid.shape
        first = 2 * np.arange(n)[:, None] * (2 * m + 1) + 2 * np.arange(m)
        square = np.arange(3)[:, None] * (2 * m + 1) + np.arange(3)
        found: Ints = first[..., None] + square.ravel()
        return found

    def sought(self) -> Flags:
        """Return where (2n+1, 2m+1, 3) axial velocity, radial velocity and pressure are unknown."""
        wet, dry = (np.zeros(self.z_mm.shape, bool) for _ in range(2))
        wet.flat[self.nodes()[self.fluid]] = True
        dry.flat[self.nodes()[~self.fluid]] = True
        found = np.zeros((*wet.shape, 3), bool)
        found[1:, :-1, 0] = (wet & ~dry)[1:, :-1]
        found[1:, 1:-1, 1] = (wet & ~dry)[1:, 1:-1]
        found[::2, ::2, 2] = wet[::2, ::2]
        return found


def channel(outline: Sequence[tuple[float, float]], cells: int) -> Mesh:
    """Return a mesh of what an outline encloses.

    Args:
        outline: pairs of place and radius in mm; from the narrowest part the pipe may widen at
            once, given as two pairs at one place.
        cells: across the throat's radius, were they all alike.
    """
    places, radii = np.array(outline).T
    throat = radii.min()
    edge, narrow = throat / cells, np.unique(places[radii == throat])
    steps = np.flatnonzero(np.diff(places) == 0)
    last = steps[0] if len(steps) else len(places) - 1
    wide = radii[-1] if len(steps) else throat

    def along(z: Floats) -> Floats:
        away = np.abs(z[:, None] - narrow).min(axis=1)
        length: Floats = np.minimum(edge * FINEST + WIDENS_ALONG * away, edge * WIDEST_ALONG)
        return length

    def across(r: Floats) -> Floats:
        away = np.abs(r - throat)
        length: Floats = np.minimum(edge * FINEST + WIDENS_ACROSS * away, edge * WIDEST_ACROSS)
        return length

    z, r = _nodes(np.unique(places), along), _nodes(np.unique([0.0, throat, wide]), across)
    narrowed = np.outer(np.interp(z, places[: last + 1], radii[: last + 1]) / throat, r)
    fluid = (z[1::2, None] > places[last]) | (r[1::2] < throat)
    return Mesh(np.repeat(z[:, None], len(r), axis=1), np.where(r <= throat, narrowed, r), fluid)


def _nodes(ends: Floats, edge: Callable[[Floats], Floats]) -> Floats:
    """Return ends and middles of cells about as long as ``edge`` tells, with ends at the given."""
    corners = [ends[:1]]
    for a, b in pairwise(ends):
        dense = np.linspace(a, b, 2001)
        per = 1.0 / edge(dense)
        passed = np.concatenate([[0.0], np.cumsum(0.5 * np.diff(dense) * (per[1:] + per[:-1]))])
        wanted = np.linspace(0.0, passed[-1], max(int(np.ceil(passed[-1])), 1) + 1)
        corners.append(np.interp(wanted, passed, dense)[1:-1])
        corners.append(np.array([b]))
    whole = np.concatenate(corners)
    return np.sort(np.concatenate([whole, 0.5 * (whole[1:] + whole[:-1])]))


@dataclass(frozen=True)
class Profile:
    """The steady flow in a mesh.

    Attributes:
        mesh: where.
        velocity_m_s: along z and r at the nodes (2n+1, 2m+1, 2).
        pressure_pa: at the corners of cells (n+1, m+1), 0 where there is no fluid.
    """

    mesh: Mesh
    velocity_m_s: Floats
    pressure_pa: Floats

    def on_axis(self, places_mm: Floats) -> Floats:
        """Return the axial velocity (m/s) on the axis: parabolas through the nodes of a cell."""
        z, speed = self.mesh.z_mm[:, 0], self.velocity_m_s[:, 0, 0]
        cell = np.clip(np.searchsorted(z[::2], places_mm, side="right") - 1, 0, len(z) // 2 - 1)
        a, b = z[2 * cell], z[2 * cell + 2]
        shapes = _shapes(2.0 * (places_mm - a) / (b - a) - 1.0)[0]
        around = speed[2 * cell[:, None] + np.arange(3)]
        values: Floats = (shapes * around).sum(axis=1)
        return values

    def at_wall(self, places_mm: Floats) -> Floats:
        """Return the pressure (Pa) on the wall; at a step it is that in the corner behind it."""
        top = self.mesh.fluid.sum(axis=1)
        cell = np.arange(len(top))
        z = self.mesh.z_mm[::2, 0]
        pressure = [self.pressure_pa[cell + k, top] for k in range(2)]
        ends = np.stack([z[:-1], z[1:]], axis=1).ravel()
        values: Floats = np.interp(places_mm, ends, np.stack(pressure, axis=1).ravel())
        return values

    def flow_ml_s(self) -> Floats:
        """Return the flow through every section between columns of cells (n+1,)."""
        r, axial = self.mesh.r_mm[::2], self.velocity_m_s[::2, :, 0]
        carried = 2.0 * np.pi * r * axial
        # Simpson's rule is exact: the velocity is a parabola in every cell.
        mean = (carried[:, :-2:2] + 4.0 * carried[:, 1:-1:2] + carried[:, 2::2]) / 6.0
        flow: Floats = (mean * np.diff(r[:, ::2], axis=1)).sum(axis=1)
        return flow


def solve(
    mesh: Mesh,
    flow_ml_s: float,
    density_kg_m3: float,
    viscosity_pa_s: float,
    progress: Progress = silent,
) -> Profile:
    """Return the steady flow that enters a mesh as Poiseuille's.

    Raises:
        NotConverged: if Newton's method finds none.
    """
    terms = _Terms.of(mesh, viscosity_pa_s)
    sought = mesh.sought()
    inflow = mesh.r_mm[0, : 2 * mesh.fluid[0].sum() + 1]
    mean = flow_ml_s * 1e-6 / (np.pi * (1e-3 * inflow[-1]) ** 2)
    state = np.zeros(sought.shape)
    state[0, : len(inflow), 0] = 2.0 * mean * (1.0 - (inflow / inflow[-1]) ** 2)
    for k, share in enumerate(SHARES):
        progress(k / len(SHARES), "the exact axisymmetric flow")
        _newton(terms, state, sought, share * density_kg_m3, CONVERGED if share == 1.0 else LOOSE)
    return Profile(mesh, state[..., :2], state[::2, ::2, 2])


def _newton(
    terms: _Terms, state: Floats, sought: Flags, density_kg_m3: float, share: float
) -> None:
    """Bring a state to the solution at a density."""
    free = np.flatnonzero(sought)
    for _ in range(MOST_STEPS):
        matrix, residual = terms.linearised(state, density_kg_m3)
        step = np.zeros(state.size)
        step[free] = splu(matrix[free][:, free].tocsc()).solve(-residual[free])
        state += step.reshape(state.shape)
        change = np.abs(step.reshape(state.shape)[..., :2]).max()
        if change <= share * np.abs(state[..., :2]).max():
            return
    raise NotConverged(f"the axisymmetric flow still changes by {change:.2g} m/s")


def _shapes(x: Floats) -> tuple[Floats, Floats]:
    """Return parabolas that are 1 at -1, 0 or 1 (places, 3), and their slopes."""
    values = np.stack([x * (x - 1.0) / 2.0, 1.0 - x * x, x * (x + 1.0) / 2.0], axis=-1)
    return values, np.stack([x - 0.5, -2.0 * x, x + 0.5], axis=-1)


@dataclass(frozen=True)
class _Terms:
    """What the cells of a mesh add to the equations, at three by three points of Gauss in each.

    Attributes:
        dofs: unknowns (cells, 22): axial velocity at nine nodes, radial velocity, pressure.
        size: how many unknowns there are.
        shape: of velocities at the points (9, 9).
        slopes: of these along z and r in every cell (cells, 9, 9, 2), per m.
        weights: of the points, with the radius (cells, 9), in m^3 per radian.
        linear: matrix (cells, 22, 22) of viscosity, pressure and continuity.
    """

    dofs: Ints
    size: int
    shape: Floats
    slopes: Floats
    weights: Floats
    linear: Floats

    @classmethod
    def of(cls, mesh: Mesh, viscosity_pa_s: float) -> _Terms:
        """Return the terms of a mesh; nodes of a cell and points run along r first."""
        gauss, weight = np.polynomial.legendre.leggauss(3)
        value, slope = _shapes(gauss)
        hat = np.stack([1.0 - gauss, 1.0 + gauss], axis=1) / 2.0
        shape, pressure = np.kron(value, value).astype(np.float64), np.kron(hat, hat)
        local = np.stack([np.kron(slope, value), np.kron(value, slope)], axis=-1)
        nodes = mesh.nodes()[mesh.fluid]
        places = 1e-3 * np.stack([mesh.z_mm.ravel()[nodes], mesh.r_mm.ravel()[nodes]], axis=-1)
        jacobian = np.einsum("gnk,end->egdk", local, places)
        slopes: Floats = np.einsum("gnk,egkd->egnd", local, np.linalg.inv(jacobian))
        radius = places[..., 1] @ shape.T
        weights: Floats = np.linalg.det(jacobian) * np.kron(weight, weight) * radius
        ring = shape / radius[..., None]
        rubbing = viscosity_pa_s * np.einsum("eg,egnd,egmd->enm", weights, slopes, slopes)
        turning = viscosity_pa_s * np.einsum("eg,egn,egm->enm", weights, ring, ring)
        widening = slopes.copy()
        widening[..., 1] += ring
        spread = -np.einsum("eg,gq,egmd->eqdm", weights, pressure, widening)
        linear = np.zeros((len(nodes), 22, 22))
        linear[:, :9, :9] = rubbing
        linear[:, 9:18, 9:18] = rubbing + turning
        linear[:, 18:, :18] = spread.reshape(len(nodes), 4, 18)
        linear[:, :18, 18:] = linear[:, 18:, :18].transpose(0, 2, 1)
        corners = nodes[:, [0, 2, 6, 8]]
        dofs = np.hstack([3 * nodes, 3 * nodes + 1, 3 * corners + 2])
        return cls(dofs, 3 * mesh.z_mm.size, shape, slopes, weights, linear)

    def linearised(self, state: Floats, density_kg_m3: float) -> tuple[csr_array, Floats]:
        """Return the matrix of a step of Newton and what remains of the equations at a state."""
        known = state.ravel()[self.dofs]
        velocity = known[:, :18].reshape(-1, 2, 9)
        there = np.einsum("gn,ecn->egc", self.shape, velocity)
        rates = np.einsum("egnd,ecn->egcd", self.slopes, velocity)
        mass = density_kg_m3 * self.weights
        carried = np.einsum("eg,gn,egd,egmd->enm", mass, self.shape, there, self.slopes)
        turned = np.einsum("eg,gn,egcd,gm->ecndm", mass, self.shape, rates, self.shape)
        matrix = self.linear.copy()
        for part in (slice(0, 9), slice(9, 18)):
            matrix[:, part, part] += carried
        remains = np.einsum("eab,eb->ea", matrix, known)
        matrix[:, :18, :18] += turned.reshape(-1, 18, 18)
        residual = np.zeros(self.size)
        np.add.at(residual, self.dofs, remains)
        rows, columns = np.broadcast_arrays(self.dofs[:, :, None], self.dofs[:, None, :])
        places = rows.ravel(), columns.ravel()
        return coo_array((matrix.ravel(), places), (self.size, self.size)).tocsr(), residual
