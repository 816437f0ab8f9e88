"""Names of the branches of the portal vein after Couinaud, and of the hepatic veins.

The hepatic veins fan out from where they meet the vena cava, and the portal branches supply what
lies between them: seen from there, the middle vein parts the left from the right liver and the
right vein the anterior from the posterior sector; a sagittal plane through the umbilical part of
the left branch parts segment IV from II and III (Couinaud 1957). Up the tree, a branch has a name
where most of what it supplies agrees; branches that supply several segments have none. Angles are
about the axis through the confluence, from the front (0) towards the patient's right (90 degrees).
Space is DICOM patient LPS in mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from meshing.centerline import Centerline
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.volume import LabelMap
from workstation.planning.branch_volumes import Family, Floats, Ints, family
from workstation.planning.couinaud_names import TERRITORIES, VALUES, BranchName
from workstation.planning.couinaud_reach import segments_of, side_of, told_apart
from workstation.planning.portal_variants import portal_variants
from workstation.planning.vein_roots import CONFLUENCE_SHARE, place_in

Codes = npt.NDArray[np.uint8]
Names = tuple[tuple[BranchName, float, float, float], ...]

AGREED = 0.6  # share of what a branch supplies that must agree on a name
FAR_MM = 15.0  # nearer to the confluence the direction of a vein says little
USUAL = {"right_hepatic_vein": 82.0, "middle_hepatic_vein": 38.0, "left_hepatic_vein": -35.0}
SECTORS = ("left", "anterior", "posterior")
BIN = 4.0  # degrees
MOVED = 20.0  # degrees by which a sector may end beside the vein that bounds it
BENT = 0.01  # of the liver: what a border costs that is moved so far
STEM_COST = 0.03  # of the liver: what a stem has to explain to be one of its own
LEAST_WIDTH = 25.0  # degrees that the anterior sector spans at the least
TURNED = 30.0  # degrees by which a liver may be turned against the usual
LARGE = 0.15  # share of a sector that makes a branch one of its own
STEM = 0.6  # of the left branch's radius: what is thinner is not its umbilical part
APART_MM = 8.0  # between the middles of II and III along the line that parts them
FORK = 2.0  # radii of a fork within which no branch is alone
BESIDE_MM, CAVA_MM = 30.0, 10.0  # from the confluence, sideways and forwards, to the caudate lobe
ANY = 255  # no branch has this value
CAUDATE = 0.1  # largest share of the liver that a branch to the caudate lobe supplies


def hepatic_branches(
    tree: Centerline, liver: LabelMap, *, names: Names = (), progress: Progress = silent
) -> Centerline:
    """Name the hepatic veins: right, middle and left.

    Args:
        tree: the tree of the hepatic veins.
        liver: the liver.
        names: corrections, each a name and a point (x, y, z) in LPS mm on the branch that has
            it; what follows that branch has the name, too, and later ones win.
        progress: told how far the work is.

    Raises:
        ValueError: if the liver is empty.
        FrameMismatch: if tree and liver live in different frames.
    """
    if not tree.branches:
        return tree
    progress(0.1, "naming the hepatic veins")
    about = family(tree, liver)
    codes = np.zeros(len(tree.branches), np.uint8)
    stems = _main_veins(about)
    angles = [_angle_of(about, about.below(stem)) for stem in stems]
    weights = [_length(about, stem) for stem in stems]
    turn = _best_turn(angles, weights)
    for stem, angle in zip(stems, angles):
        name = min(USUAL, key=lambda n: abs(_turned(angle - turn - USUAL[n])))
        codes[about.below(stem)] = VALUES[name]
    named = _corrected(about, codes, names)
    missing = [n for n in USUAL if VALUES[n] not in named]
    return _named(about, named, _missing(missing), names)


def portal_branches(
    tree: Centerline,
    liver: LabelMap,
    hepatic: Centerline | None = None,
    *,
    names: Names = (),
    progress: Progress = silent,
) -> Centerline:
    """Name the portal branches by the segments of Couinaud that they supply.

    Args:
        tree: the tree of the portal vein.
        liver: the liver.
        hepatic: the named hepatic veins, between which the sectors lie.
        names: corrections, each a name and a point (x, y, z) in LPS mm on the branch that has
            it; what follows that branch has the name, too, and later ones win.
        progress: told how far the work is.

    Raises:
        ValueError: if the liver is empty.
        FrameMismatch: if tree and liver live in different frames.
    """
    if not tree.branches:
        return tree
    progress(0.1, "naming the portal branches")
    about = family(tree, liver)
    borders = _borders(liver, hepatic)
    sectors = _sectors(about, borders)
    progress(0.5, "naming the portal branches")
    codes = np.zeros(len(tree.branches), np.uint8)
    for sector, above, beneath in (("anterior", "VIII", "V"), ("posterior", "VII", "VI")):
        _by_height(about, _tops(about, sectors, sector), VALUES[above], VALUES[beneath], codes)
    _left(about, [stem for stem, _ in _tops(about, sectors, "left")], codes)
    _caudate(about, borders, codes)
    given = _corrected(about, np.full_like(codes, ANY), names) != ANY
    left_share = float((borders.angles(about.samples_mm) < borders.middle).mean())
    named, apart = told_apart(about, sectors, _corrected(about, codes, names), given, left_share)
    findings = (*borders.findings, *portal_variants(about, sectors), *apart)
    missing = [TERRITORIES[v].name for v in range(2, 9) if v not in named]
    missing = [name for name in missing if name not in segments_of(named)]
    return _named(about, named, (*findings, *_missing(missing)), names)


@dataclass(frozen=True)
class Borders:
    """Where the sectors of the liver meet, seen from the confluence of the hepatic veins."""

    hub_mm: Floats
    middle: float
    right: float
    findings: tuple[Finding, ...]

    def angles(self, points_mm: Floats) -> Floats:
        """Return the angles in degrees at which points (n, 3) lie, from front to right."""
        x, y, _ = (points_mm - self.hub_mm).T
        return np.asarray(_turned(np.degrees(np.arctan2(-x, -y)) - 30.0) + 30.0)


def _turned(angle: float | Floats) -> Floats:
    """Return an angle within -180 to 180 degrees."""
    return np.asarray((np.asarray(angle) + 180.0) % 360.0 - 180.0)


def _borders(liver: LabelMap, hepatic: Centerline | None) -> Borders:
    findings = []
    hub = place_in(liver, CONFLUENCE_SHARE)
    found = {}
    if hepatic is not None and hepatic.branches:
        about = family(hepatic, liver)
        hub = _hub(about)
        codes = hepatic.point_data.get("territory", np.zeros(len(hepatic.points_mm)))
        for name in ("middle_hepatic_vein", "right_hepatic_vein"):
            own = [n for n, b in enumerate(hepatic.branches) if codes[b.stop - 1] == VALUES[name]]
            if own:
                found[name] = _angle_of(about, own)
    for name in ("middle_hepatic_vein", "right_hepatic_vein"):
        if name not in found:
            found[name] = USUAL[name]
            findings.append(
                Finding(
                    Severity.WARNING,
                    "no_witness",
                    f"the {name.replace('_', ' ')} is not known; its usual direction stands for "
                    "it, and the segments beside it are less sure",
                    remedy="name the vein, or check the segments beside it",
                )
            )
    middle, right = found["middle_hepatic_vein"], found["right_hepatic_vein"]
    return Borders(hub, middle, right, tuple(findings))


def _hub(hepatic: Family) -> Floats:
    """Return where the hepatic veins meet, LPS mm."""
    return np.asarray(hepatic.tree.nodes[hepatic.tree.ends.get("root", 0)].point_mm)


def _angle_of(hepatic: Family, branches: list[int]) -> float:
    """Return the angle at which a vein of these branches runs from the confluence, in degrees.

    It is the median over its length, each place weighted by what drains through it: twigs, or
    noise that is taken for twigs, say nothing against the vein's stem.
    """
    tree, hub = hepatic.tree, _hub(hepatic)
    parts = [tree.branches[n].points for n in branches]
    points = np.concatenate([tree.points_mm[p] for p in parts])
    shares = np.repeat([hepatic.share(n) for n in branches], [p.stop - p.start for p in parts])
    weights = shares**2 + 1e-9
    far = np.linalg.norm((points - hub)[:, :2], axis=1) > FAR_MM
    if not far.any():
        far[:] = True
    angles = Borders(hub, 0.0, 0.0, ()).angles(points[far])
    order = np.argsort(angles, kind="stable")
    upto = np.cumsum(weights[far][order])
    return float(angles[order][np.searchsorted(upto, upto[-1] / 2)])


def _sectors(about: Family, borders: Borders) -> list[str]:
    """Return the sector of each branch, "" where it supplies several.

    Veins bow and a sector's border is no plane: each border may move a little from its vein to
    where the fewest stems explain the sectors best.
    """
    bins = np.clip((borders.angles(about.samples_mm) + 180.0) // BIN, 0, 420 // BIN - 1)
    wide = round(420 / BIN)
    own = np.zeros((len(about.tree.branches), wide))
    np.add.at(own, (about.owner, bins.astype(int)), 1.0)
    upto = np.hstack([np.zeros((len(own), 1)), np.cumsum(own, axis=1)])
    moves = np.arange(-MOVED, MOVED + 1, BIN)
    middle, right = (g.ravel() for g in np.meshgrid(borders.middle + moves, borders.right + moves))
    apart = right - middle >= LEAST_WIDTH
    if not apart.any():  # veins that lie on each other are no witnesses
        middle, right = np.array([borders.middle]), np.array([borders.middle + LEAST_WIDTH])
        apart = np.ones(1, np.bool_)
    at = np.rint((np.stack([middle, right], axis=1)[apart] + 180.0) / BIN).astype(int)
    ends = np.hstack([np.zeros((len(at), 1), int), at, np.full((len(at), 1), wide)])
    parts = np.moveaxis(np.diff(upto[:, ends], axis=2), 1, 0)
    found, cost = fewest_stems(about, parts)
    off = np.stack([middle - borders.middle, right - borders.right], axis=1)[apart]
    best = int(np.argmin(cost + BENT * ((off / MOVED) ** 2).sum(axis=1)))
    return [SECTORS[n] if n >= 0 else "" for n in found[best].tolist()]


def fewest_stems(about: Family, parts: Floats) -> tuple[Ints, Floats]:
    """Return the part of each branch, -1 where it leads to several, and what that costs.

    Of several ways (m) to divide the liver into parts (p), ``parts`` (m, n, p) holds how much of
    what lies nearest to each of n branches is in each part. A branch and all that follow it have
    one part, or it leads to several. What lies astray counts by its share of the liver, and so
    does each stem with which a part begins, but for no more than `STEM_COST`: blood comes to a
    part by few stems, and what seems to lie astray far out is more often a bent border.
    """
    count = len(about.tree.branches)
    sums = np.stack([parts[:, about.below(n)].sum(axis=1) for n in range(count)], axis=1)
    sums /= max(len(about.owner), 1)
    whole = sums.sum(axis=2)
    best = sums.argmax(axis=2)
    alone = whole - sums.max(axis=2) + np.minimum(STEM_COST, whole / 2)
    split = parts.sum(axis=2) / max(len(about.owner), 1)
    least = np.empty_like(alone)
    for n in _tips_first(about):
        split[:, n] += sum(least[:, c] for c in about.children[n])
        least[:, n] = np.minimum(alone[:, n], split[:, n])
    found = np.full(whole.shape, -1, np.int64)
    for n in reversed(_tips_first(about)):
        before = about.parent(n)
        follows = found[:, before] if before >= 0 else found[:, n]
        begins = np.where(alone[:, n] <= split[:, n], best[:, n], -1)
        found[:, n] = np.where(follows >= 0, follows, begins)
    return found, np.asarray(least[:, list(about.first)].sum(axis=1))


def _tips_first(about: Family) -> list[int]:
    """Return the branches, each after all that follow it."""
    return [n for stem in about.first for n in about.below(stem)][::-1]


def _tops(about: Family, sectors: Sequence[str], sector: str) -> list[tuple[int, float]]:
    """Return the branches with which a sector begins and the share of it that each supplies."""
    tops = [
        n
        for n, name in enumerate(sectors)
        if name == sector and (about.parent(n) < 0 or sectors[about.parent(n)] != sector)
    ]
    shares = [about.share(n) for n in tops]
    return [(n, share / (sum(shares) or 1.0)) for n, share in zip(tops, shares)]


def _level_mm(about: Family, tops: list[tuple[int, float]]) -> float:
    """Return the height at which a sector's branches part into those above and beneath.

    It is that of the fork from which its large stems come or, if there is one stem alone, of the
    fork in which that divides.
    """
    large = [n for n, share in tops if share >= LARGE]
    if len(large) > 1:
        common = [n for n in about.up(large[0]) if all(n in about.up(m) for m in large[1:])]
        return float((about.end_mm(common[0]) if common else _start(about, large[0]))[2])
    stem = max(tops, key=lambda top: top[1])[0]
    chain = [stem]
    while True:
        large = [c for c in about.children[chain[-1]] if _part(about, c, stem) >= LARGE]
        if len(large) != 1 or not about.children[large[0]]:
            break
        chain.append(large[0])
    return float((about.end_mm(chain[-1]) if about.children[stem] else _start(about, stem))[2])


def _by_height(
    about: Family, tops: list[tuple[int, float]], above: int, beneath: int, codes: Codes
) -> None:
    """Name the branches of a sector by whether they supply what lies above or beneath its fork."""
    if not tops:
        return
    own = [n for top, _ in tops for n in about.below(top)]
    high = about.samples_mm[:, 2] > _level_mm(about, tops)
    here = np.isin(about.owner, own)
    parts = np.zeros((len(codes), 2))
    np.add.at(parts, (about.owner[here], (~high[here]).astype(int)), 1.0)
    found = fewest_stems(about, parts[None])[0][0]
    for branch in own:
        codes[branch] = (above, beneath, 0)[found[branch]]


def _part(about: Family, branch: int, of: int) -> float:
    return about.share(branch) / (about.share(of) or 1.0)


def _start(about: Family, branch: int) -> Floats:
    return np.asarray(about.tree.nodes[about.tree.branches[branch].from_node].point_mm)


def _left(about: Family, tops: list[int], codes: Codes) -> None:
    """Name the branches of the left liver: II, III and IV."""
    if not tops:
        return
    stem = _left_stem(about, max(tops, key=about.share))
    tree = about.tree
    later = [tree.points_mm[tree.branches[n].points] for n in stem[1:]]
    fissure = np.concatenate(later)[:, 0].mean() if later else about.end_mm(stem[-1])[0]
    out = about.sums((about.samples_mm[:, 0] > fissure).astype(float))
    whole = about.sums(np.ones(len(about.owner)))
    units: list[int] = []
    rest = [c for n in stem for c in about.children[n] if c not in stem]
    rest += [n for n in tops if n not in stem]
    while rest:
        branch = rest.pop()
        part = out[branch] / whole[branch] if whole[branch] else 0.0
        if about.children[branch] and max(part, 1 - part) < AGREED:
            rest += about.children[branch]
        elif part >= 0.5:
            units.append(branch)
        else:
            codes[about.below(branch)] = VALUES["IV"]
    _lateral(about, units, codes)


def _lateral(about: Family, units: list[int], codes: Codes) -> None:
    """Name the branches to the left of the fissure: II lies behind and above III."""
    while len(units) == 1 and about.children[units[0]]:
        units = list(about.children[units[0]])
    if not units:
        return
    height = [float(about.centre_mm(n)[1:].sum()) / np.sqrt(2) for n in units]
    border = (max(height) + min(height)) / 2 if max(height) - min(height) > APART_MM else np.inf
    for unit, at in zip(units, height):
        codes[about.below(unit)] = VALUES["II"] if at > border else VALUES["III"]


def _left_stem(about: Family, top: int) -> list[int]:
    """Return the left branch and its umbilical part, where II, III and IV leave it."""
    tree = about.tree
    radius = [float(tree.radius_mm[b.points].mean()) for b in tree.branches]
    stem = [top]
    while about.children[stem[-1]]:
        large = [n for n in about.children[stem[-1]] if _part(about, n, top) >= LARGE]
        if not large:
            break
        thick = max(large, key=lambda n: (radius[n], -n))
        if not about.children[thick] or radius[thick] < STEM * radius[top]:
            break
        stem.append(thick)
    return stem


def _caudate(about: Family, borders: Borders, codes: Codes) -> None:
    """Name small branches of the main stems to what lies about the vena cava: segment I.

    It lies under the confluence of the hepatic veins, which names the cava's place, and behind the
    stem from which its branches come.
    """
    stems = {n for n in range(len(codes)) if codes[n] == 0 and about.children[n]}
    for branch in sorted({c for n in stems for c in about.children[n]}):
        share, middle = about.share(branch), about.centre_mm(branch)
        backwards = middle[1] > max(borders.hub_mm[1] - CAVA_MM, _start(about, branch)[1])
        beside = np.linalg.norm((middle - borders.hub_mm)[:2]) < BESIDE_MM
        if share < CAUDATE and backwards and beside and middle[2] < borders.hub_mm[2]:
            codes[about.below(branch)] = VALUES["I"]


def _main_veins(about: Family) -> list[int]:
    """Return the branches with which the large hepatic veins begin."""
    total = sum(_length(about, n) for n in about.first)
    stems: list[int] = []

    def settle(branch: int) -> None:
        large = [c for c in about.children[branch] if _length(about, c) > 0.1 * total]
        angles = [_angle_of(about, about.below(c)) for c in large]
        wide = max(abs(float(_turned(a - b))) for a in angles for b in angles) if large else 0.0
        near = np.linalg.norm(about.end_mm(branch) - _start(about, about.first[0])) < 40.0
        if near and wide > 35.0:
            for child in about.children[branch]:
                settle(child)
        else:
            stems.append(branch)

    for stem in about.first:
        settle(stem)
    return stems


def _length(about: Family, branch: int) -> float:
    return sum(about.tree.length_mm(about.tree.branches[n]) for n in about.below(branch))


def _best_turn(angles: list[float], weights: list[float]) -> float:
    """Return by how many degrees the liver is turned against the usual."""
    turns = np.arange(-TURNED, TURNED + 1, 2.0)
    usual = np.array(list(USUAL.values()))
    off = _turned(np.asarray(angles)[:, None, None] - turns[:, None] - usual)
    fit = np.exp(-((off / 20.0) ** 2)) * np.asarray(weights)[:, None, None]
    # Each vein should be found once: the best branch for each of the three counts.
    score = fit.max(axis=0).sum(axis=1) - 0.001 * np.abs(turns)
    return float(turns[np.argmax(score)])


def _corrected(about: Family, codes: Codes, names: Names) -> Codes:
    """Return the values of the branches after the corrections of a person."""
    branch_of = np.concatenate(
        [np.full(b.stop - b.start, n) for n, b in enumerate(about.tree.branches)]
    )
    codes = codes.copy()
    for name, *point in names:
        away = np.linalg.norm(about.tree.points_mm - np.asarray(point, float), axis=1)
        codes[about.below(int(branch_of[np.argmin(away)]))] = VALUES.get(name, 0)
    return codes


def _missing(names: list[str]) -> tuple[Finding, ...]:
    if not names:
        return ()
    listed = ", ".join(name.replace("_", " ") for name in names)
    return (
        Finding(
            Severity.WARNING,
            "branch_not_found",
            f"no branch was named {listed}",
            remedy="click on the branch and give it its name, or draw it where it is missing",
        ),
    )


def _own(about: Family, branch: int, codes: Codes) -> Codes:
    """Return the values of the points of a branch.

    Where it begins in a fork with others, points within the fork have none: they are no nearer to
    what one branch supplies than to what the other does.
    """
    tree = about.tree
    place = tree.branches[branch]
    points = tree.points_mm[place.points]
    values = np.full(len(points), codes[branch], np.uint8)
    before = about.parent(branch)
    if before < 0 or codes[before] != codes[branch]:
        fork_mm = FORK * tree.nodes[place.from_node].radius_mm
        inside = np.linalg.norm(points - points[0], axis=1) < fork_mm
        inside[len(points) // 2 :] = False
        values[inside] = 0
    return values


def _named(about: Family, codes: Codes, findings: tuple[Finding, ...], names: Names) -> Centerline:
    tree = about.tree
    of_points = np.concatenate([_own(about, n, codes) for n in range(len(codes))])
    how = f"{len(names)} of the names were given by hand" if names else "check them"
    note = Finding(
        Severity.INFO,
        "branches_named",
        f"the branches were named automatically from the tree's shape; {how}",
    )
    count = float(np.count_nonzero(codes))
    number = Number("named_branches", count, "", "stretches between forks and ends with a name")
    return replace(
        tree,
        point_data={**tree.point_data, "territory": of_points.astype(np.uint8)},
        findings=(*tree.findings, note, *side_of(about), *findings),
        numbers=(*tree.numbers, number),
    )
