"""Two images of one patient onto each other: rigid, affine and deformable.

Similarity is Mattes mutual information (Mattes et al., IEEE TMI 22 (2003) 120-128), which needs
no common scale of values and so serves CT with MR, contrast phases and scans of other dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
import SimpleITK as sitk
from annotated_types import Ge, Le

from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.images import to_sitk
from segmentation.transform import Transform
from segmentation.volume import Floats, ImageGeometry, LabelMap, Vector, Volume
from segmentation.wording import counted

Points = tuple[Vector, ...]
Kind = Literal["landmarks", "rigid", "affine", "deformable"]
Start = Literal["auto", "as_is", "centres", "moments"]

WORK_MM = 2.5  # images are compared on grids of at least this spacing
BINS = 40
SEED = 20_260
SHRINKS, BLURS_MM = (4, 2, 1), (5.0, 2.5, 0.0)
FIELD_MM = 5.0  # spacing of the displacement that a deformable result keeps
LOW_OVERLAP = 50.0  # %


def register(
    fixed: Volume,
    moving: Volume,
    *,
    kind: Kind = "rigid",
    start: Start = "auto",
    fixed_mm: Points = (),
    moving_mm: Points = (),
    control_mm: Annotated[float, Ge(10), Le(200)] = 40.0,
    progress: Progress = silent,
) -> Transform:
    """Align one image with another, so that they can be shown and used together.

    Args:
        fixed: the image that stays as it is.
        moving: the image that is brought onto it.
        kind: "landmarks" uses the marked points alone; "rigid" turns and shifts, for one patient
            in two positions; "affine" also scales and shears; "deformable" also bends.
        start: where to begin: the scanner's coordinates as they are, the middles of both images,
            their centres of mass, or the best of these; marked points override it.
        fixed_mm: points marked in the fixed image (LPS mm).
        moving_mm: the same anatomical points in the moving image, in the same order.
        control_mm: distance between control points of a deformable map; smaller bends more.
        progress: told how far the work is.

    Raises:
        ValueError: for points that are not pairs or too few, or images that do not overlap.
    """
    pairs = _landmarks(fixed_mm, moving_mm, at_least=3 if kind == "landmarks" else 0)
    progress(0.0, "preparing both images")
    scene = _Scene.of(fixed, moving)
    first = _first(scene, pairs, start)
    if kind == "landmarks":
        found: sitk.Transform = first
    else:
        found = _linear(scene, first, kind == "rigid", progress, 0.5 if kind == "deformable" else 1)
    matrix = _matrix(found)
    grid, field = fixed.geometry, None
    if kind == "deformable":
        grid, field = _bent(scene, found, control_mm, progress)
    result = Transform(
        fixed.geometry.frame_uid, moving.geometry.frame_uid, tuple(matrix.ravel()), grid, field
    )
    numbers, findings = _quality(scene, result, pairs)
    progress(1.0, "done")
    return replace(result, numbers=numbers, findings=findings)


def move_volume(
    moving: Volume, transform: Transform, fixed: Volume, *, progress: Progress = silent
) -> Volume:
    """Bring an image onto the grid of the image that it was registered to.

    Values are interpolated linearly; what lies outside the moving image takes its lowest value.

    Args:
        moving: the image that was registered.
        transform: what the registration found.
        fixed: the image that it was registered to.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the transform is not that of these two images.
    """
    transform.require(fixed.geometry.frame_uid, moving.geometry.frame_uid)
    progress(0.0, "resampling")
    lowest = float(moving.array.min())
    image = _onto(to_sitk(moving), fixed.geometry, transform.to_sitk(), lowest)
    progress(1.0, "done")
    return Volume(
        sitk.GetArrayFromImage(image), fixed.geometry, moving.quantity, transform.findings
    )


def move_labels(
    labels: LabelMap, transform: Transform, fixed: Volume, *, progress: Progress = silent
) -> LabelMap:
    """Bring labels of another scan onto the image that the scan was registered to.

    Every voxel takes the label that holds the largest share of it, by linear interpolation.

    Args:
        labels: labels drawn on the moving image.
        transform: what the registration found.
        fixed: the image that it was registered to.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the transform is not that of these labels and this image.
    """
    transform.require(fixed.geometry.frame_uid, labels.geometry.frame_uid)
    values = [v for v in labels.labels if np.any(labels.array == v)]
    best = np.full(fixed.geometry.shape, 0.5, np.float32)
    array = np.zeros(fixed.geometry.shape, labels.array.dtype)
    way = transform.to_sitk()
    for n, value in enumerate(values):
        progress(n / len(values), f"moving {labels.labels[value].name}")
        mask = LabelMap(labels.array == value, labels.geometry)
        image = sitk.Cast(to_sitk(mask), sitk.sitkFloat32)
        share = sitk.GetArrayFromImage(_onto(image, fixed.geometry, way, 0.0))
        wins = share >= best
        best[wins], array[wins] = share[wins], value
    progress(1.0, "done")
    return LabelMap(array, fixed.geometry, labels.labels, transform.findings)


def _onto(image: sitk.Image, grid: ImageGeometry, way: sitk.Transform, empty: float) -> sitk.Image:
    return sitk.Resample(
        image,
        grid.size,
        way,
        sitk.sitkLinear,
        grid.origin_mm,
        grid.spacing_mm,
        grid.direction,
        empty,
        image.GetPixelID(),
    )


# --- the search ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Scene:
    """Both images as the search sees them: floats on grids no finer than `WORK_MM`."""

    fixed: sitk.Image
    moving: sitk.Image
    moving_grid: ImageGeometry

    @classmethod
    def of(cls, fixed: Volume, moving: Volume) -> _Scene:
        return cls(_coarse(fixed), _coarse(moving), moving.geometry)


def _coarse(volume: Volume) -> sitk.Image:
    spacing = np.maximum(volume.geometry.spacing_mm, WORK_MM)
    image = sitk.Cast(to_sitk(volume), sitk.sitkFloat32)
    low, high = np.percentile(volume.array[::2, ::2, ::2], (0.1, 99.9))
    image = sitk.Clamp(image, sitk.sitkFloat32, float(low), float(high))  # metal and padding
    sigma = np.where(spacing > np.asarray(volume.geometry.spacing_mm) * 1.01, spacing / 2, 0.01)
    blurred = (
        sitk.SmoothingRecursiveGaussian(image, sigma.tolist())
        if min(image.GetSize()) > 3
        else image
    )
    return _onto(blurred, volume.geometry.resampled(spacing.tolist()), sitk.Transform(), float(low))


def _method(shrinks: Sequence[int], blurs: Sequence[float]) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentagePerLevel([min(1.0, 0.1 * s) for s in shrinks], SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel(list(shrinks))
    method.SetSmoothingSigmasPerLevel(list(blurs))
    # One thread only: sums in another order would change the last digits.
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    return method


def _first(
    scene: _Scene, pairs: tuple[Floats, Floats] | None, start: Start
) -> sitk.Euler3DTransform:
    if pairs is not None and len(pairs[0]) >= 3:
        return _rigid_fit(*pairs)
    fixed, moving = scene.fixed, scene.moving
    ways = sitk.CenteredTransformInitializerFilter
    candidates = {"as_is": sitk.Euler3DTransform()}
    candidates["as_is"].SetCenter(
        fixed.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in fixed.GetSize()])
    )
    for name, how in (("centres", ways.GEOMETRY), ("moments", ways.MOMENTS)):
        shifted = [_positive(fixed), _positive(moving)]
        begun = sitk.CenteredTransformInitializer(*shifted, sitk.Euler3DTransform(), how)
        candidates[name] = sitk.Euler3DTransform(begun)
    if start != "auto":
        return candidates[start]
    scored = {name: _similarity(scene, way) for name, way in candidates.items()}
    return candidates[max(scored, key=lambda name: scored[name])]


def _positive(image: sitk.Image) -> sitk.Image:
    """Return the image with its lowest value at zero, as centres of mass need it."""
    statistics = sitk.StatisticsImageFilter()
    statistics.Execute(image)
    return image - statistics.GetMinimum()


def _rigid_fit(fixed_mm: Floats, moving_mm: Floats) -> sitk.Euler3DTransform:
    """Return the rigid map with the least squared distance between the pairs (Kabsch)."""
    centre, target = fixed_mm.mean(axis=0), moving_mm.mean(axis=0)
    u, _, v = np.linalg.svd((fixed_mm - centre).T @ (moving_mm - target))
    sign = np.sign(np.linalg.det(v.T @ u.T))
    turn = v.T @ np.diag([1, 1, sign]) @ u.T
    way = sitk.Euler3DTransform()
    way.SetCenter(centre.tolist())
    way.SetMatrix(turn.ravel().tolist(), 1e-6)
    way.SetTranslation((target - centre).tolist())
    return way


def _linear(
    scene: _Scene, first: sitk.Euler3DTransform, rigid: bool, progress: Progress, part: float
) -> sitk.Transform:
    shrinks = [s for s in SHRINKS if min(scene.fixed.GetSize()) // s >= 4] or [1]
    way: Any = sitk.Euler3DTransform(first)
    stages = [way] if rigid else [way, None]
    for n in range(len(stages)):
        if n == 1:  # affine begins where rigid ended
            wider = sitk.AffineTransform(3)
            wider.SetCenter(way.GetCenter())
            wider.SetMatrix(way.GetMatrix())
            wider.SetTranslation(way.GetTranslation())
            way, shrinks = wider, shrinks[-2:]
        method = _method(shrinks, BLURS_MM[-len(shrinks) :])
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=2.0,
            minStep=0.005,
            numberOfIterations=120,
            relaxationFactor=0.6,
            gradientMagnitudeTolerance=1e-5,
        )
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(way, inPlace=True)
        low, high = part * n / len(stages), part * (n + 1) / len(stages)
        _execute(method, scene, progress, low, high, len(shrinks) * 60, "aligning")
    return way


def _bent(
    scene: _Scene, linear: sitk.Transform, control_mm: float, progress: Progress
) -> tuple[ImageGeometry, Floats]:
    """Return the grid and the displacement (mm) by which the bent map leaves the linear one."""
    extent = np.asarray(scene.fixed.GetSize()) * np.asarray(scene.fixed.GetSpacing())
    mesh = np.maximum(1, np.rint(extent / control_mm)).astype(int).tolist()
    bending = sitk.BSplineTransformInitializer(scene.fixed, mesh, 3)
    method = _method((2, 1), (2.5, 0.0))
    method.SetOptimizerAsLBFGSB(
        gradientConvergenceTolerance=1e-5,
        numberOfIterations=25,
        maximumNumberOfFunctionEvaluations=32,
    )
    method.SetMovingInitialTransform(linear)
    method.SetInitialTransform(bending, inPlace=True)
    _execute(method, scene, progress, 0.5, 0.97, 50, "bending")
    both = sitk.CompositeTransform([linear, bending])
    grid = _grid_of(scene.fixed).resampled((FIELD_MM,) * 3)
    total = sitk.TransformToDisplacementField(
        both, sitk.sitkVectorFloat64, grid.size, grid.origin_mm, grid.spacing_mm, grid.direction
    )
    straight = sitk.TransformToDisplacementField(
        linear, sitk.sitkVectorFloat64, grid.size, grid.origin_mm, grid.spacing_mm, grid.direction
    )
    field = sitk.GetArrayFromImage(total) - sitk.GetArrayFromImage(straight)
    return grid, np.asarray(field)


def _grid_of(image: sitk.Image) -> ImageGeometry:
    return ImageGeometry(
        image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection(), ""
    )


def _execute(
    method: sitk.ImageRegistrationMethod,
    scene: _Scene,
    progress: Progress,
    low: float,
    high: float,
    steps: int,
    message: str,
) -> None:
    """Run the search; whatever ``progress`` raises stops it and is raised again."""
    stopped: list[BaseException] = []
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        try:
            progress(low + (high - low) * min(1.0, count / steps), message)
        except BaseException as error:
            stopped.append(error)
            method.StopRegistration()

    method.AddCommand(sitk.sitkIterationEvent, step)
    try:
        method.Execute(scene.fixed, scene.moving)
    except RuntimeError as error:
        if stopped:
            raise stopped[0] from None
        raise ValueError(
            "the images do not overlap enough to be aligned; mark three or more common points"
        ) from error
    if stopped:
        raise stopped[0]


def _similarity(scene: _Scene, way: sitk.Transform) -> float:
    """Return the mutual information (nats) of both images under ``way``; 0 without overlap."""
    method = _method((2,), (2.5,))
    method.SetMovingInitialTransform(way)  # the metric takes no bent map as the one it optimises
    method.SetInitialTransform(sitk.Euler3DTransform())
    try:
        return -float(method.MetricEvaluate(scene.fixed, scene.moving))
    except RuntimeError:
        return 0.0


# --- what came out ---------------------------------------------------------------------


def _landmarks(fixed_mm: Points, moving_mm: Points, at_least: int) -> tuple[Floats, Floats] | None:
    if len(fixed_mm) != len(moving_mm):
        raise ValueError(
            f"{counted(len(fixed_mm), 'point is', 'points are')} marked in the fixed image and "
            f"{len(moving_mm)} in the "
            "moving one; mark the same points in both, in the same order"
        )
    if len(fixed_mm) < at_least:
        raise ValueError("landmarks alone need three or more pairs that lie on no line")
    if not fixed_mm:
        return None
    pairs = np.asarray(fixed_mm, float), np.asarray(moving_mm, float)
    if at_least and np.linalg.matrix_rank(pairs[0] - pairs[0].mean(axis=0), tol=1.0) < 2:
        raise ValueError("the landmarks lie on one line; mark one beside it")
    return pairs


def _matrix(way: sitk.Transform) -> Floats:
    """Return the 4x4 matrix of a linear SimpleITK transform."""
    matrix = np.eye(4)
    matrix[:3, 3] = way.TransformPoint((0.0, 0.0, 0.0))
    for axis in range(3):
        unit = [0.0, 0.0, 0.0]
        unit[axis] = 1000.0  # a long lever keeps the digits
        matrix[:3, axis] = (np.asarray(way.TransformPoint(unit)) - matrix[:3, 3]) / 1000.0
    return np.round(matrix, 12)


def _quality(
    scene: _Scene, result: Transform, pairs: tuple[Floats, Floats] | None
) -> tuple[tuple[Number, ...], tuple[Finding, ...]]:
    before = _similarity(scene, sitk.Transform(3, sitk.sitkIdentity))
    after = _similarity(scene, result.to_sitk())
    points = _samples(_grid_of(scene.fixed))
    moved = result.apply(points)
    index = scene.moving_grid.to_index(moved)
    inside = np.all((index >= -0.5) & (index <= np.asarray(scene.moving_grid.size) - 0.5), axis=-1)
    overlap = 100 * float(inside.mean())
    how = "Mattes mutual information, 40 bins"
    numbers = [
        Number("similarity_before", before, "nats", how),
        Number("similarity", after, "nats", how),
        Number("overlap", overlap, "%", "share of the fixed image inside the moving one"),
    ]
    findings = []
    if result.displacement_mm is not None:
        jacobian = result.jacobian()
        folded = 100 * float((jacobian <= 0).mean())
        words = "determinant of the map's Jacobian on a 5 mm grid"
        numbers += [
            Number("jacobian_minimum", float(jacobian.min()), "", words),
            Number("jacobian_maximum", float(jacobian.max()), "", words),
            Number("folded", folded, "%", words + ", zero or less"),
        ]
        if folded > 0:
            text = f"the map folds over itself in {folded:.2f} % of the image; tissue cannot"
            remedy = "Use a larger distance between control points, or a rigid map"
            findings.append(Finding(Severity.WARNING, "folded", text, remedy=remedy))
    if pairs is not None:
        errors = np.linalg.norm(result.apply(pairs[0]) - pairs[1], axis=1)
        words = f"distance of {len(errors)} marked pairs after the map"
        numbers += [
            Number("landmark_error", float(errors.mean()), "mm", "mean " + words),
            Number("landmark_error_maximum", float(errors.max()), "mm", "largest " + words),
        ]
    if overlap < LOW_OVERLAP:
        text = f"only {overlap:.0f} % of the fixed image lies inside the moving one"
        findings.append(Finding(Severity.WARNING, "little_overlap", text))
    if after <= before and pairs is None:
        text = "the images agree no better than before"
        remedy = "Look at them fused; mark common points and start from these"
        findings.append(Finding(Severity.WARNING, "not_better", text, remedy=remedy))
    text = "the alignment is judged by similarity alone; look at both images fused before its use"
    findings.append(Finding(Severity.INFO, "look_at_alignment", text))
    return tuple(numbers), tuple(findings)


def _samples(grid: ImageGeometry, count: int = 12) -> Floats:
    """Return points (count**3, 3) spread over the grid."""
    axes = [np.linspace(0, n - 1, count) for n in grid.size]
    return grid.to_world(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3))
