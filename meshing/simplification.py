"""Quadric decimation. It holds the interpreter, so large surfaces go to a process of their own."""

from __future__ import annotations

import io
import subprocess
import sys

import fast_simplification
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int64]

IN_PROCESS = 40_000
"""Surfaces of at most this many triangles take less than 50 ms; a process takes longer to start."""


def simplify(
    points: Points, triangles: Triangles, target: int, boldness: float
) -> tuple[Points, Triangles]:
    """Return points (n, 3) and triangles (m, 3), of which about ``target`` remain.

    Quadric error collapse (Garland and Heckbert, SIGGRAPH 1997) by fast_simplification;
    ``boldness`` is its aggressiveness, 0 to 10.

    Raises:
        RuntimeError: if the process of its own fails.
    """
    if len(triangles) <= IN_PROCESS:
        return _simplify(points, triangles, target, boldness)
    request = io.BytesIO()
    np.savez(request, points=points, triangles=triangles, target=target, boldness=boldness)
    done = subprocess.run(
        [sys.executable, "-m", "meshing.simplification"],
        input=request.getvalue(),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1]
        raise RuntimeError(f"the surface could not be simplified: {reason or done.returncode}")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as answer:
        return answer["points"], answer["triangles"]


def _simplify(
    points: Points, triangles: Triangles, target: int, boldness: float
) -> tuple[Points, Triangles]:
    # The library refuses read-only arrays, hence the copies.
    kept, cells = fast_simplification.simplify(
        points.copy(), triangles.copy(), target_count=target, agg=boldness
    )
    return kept, cells


def main() -> None:
    """Simplify the surface on standard input and write the result to standard output."""
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as request:
        points, triangles = _simplify(
            request["points"],
            request["triangles"],
            int(request["target"]),
            float(request["boldness"]),
        )
    answer = io.BytesIO()
    np.savez(answer, points=points, triangles=triangles)
    sys.stdout.buffer.write(answer.getvalue())


if __name__ == "__main__":
    main()
