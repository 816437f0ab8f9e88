"""One trial in a process of its own: ``python -m workstation.benchmark.trial WORK FOLDER``.

It prints the milliseconds, imports left out, and by how many MB the resident memory of this
process and its children grew.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import gdcm
import SimpleITK as sitk

from workstation.benchmark.dicom import dcm2niix
from workstation.benchmark.memory import Memory
from workstation.dicom import files


def _scan(folder: Path) -> None:
    found = files.scan([folder])
    if any(volume.status != "ok" for volume in found.volumes) or found.ignored:
        raise RuntimeError("the generated series was not read as it was written")


def _load(folder: Path) -> None:
    (volume,) = files.scan([folder]).volumes
    files.read(volume)


def _scan_simpleitk(folder: Path) -> None:
    for sub in sorted(path for path in folder.iterdir()):
        for series in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(sub)):
            for name in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(sub), series):
                reader = sitk.ImageFileReader()
                reader.SetFileName(name)
                reader.ReadImageInformation()


def _load_simpleitk(folder: Path) -> None:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    sitk.GetArrayViewFromImage(reader.Execute())


def _scan_gdcm(folder: Path) -> None:
    """Read the tags by which series are told apart and slices placed."""
    scanner = gdcm.Scanner()
    for group, element in ((0x10, 0x20), (0x20, 0xE), (0x20, 0x32), (0x20, 0x37), (0x28, 0x30)):
        scanner.AddTag(gdcm.Tag(group, element))
    if not scanner.Scan([str(path) for path in sorted(folder.rglob("*.dcm"))]):
        raise RuntimeError("GDCM cannot scan the series")


def _scan_dcm2niix(folder: Path) -> None:
    subprocess.run([*dcm2niix(), "-n", "-1", str(folder)], check=True, capture_output=True)


def _load_dcm2niix(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as out:
        command = [*dcm2niix(), "-z", "n", "-b", "n", "-o", out, str(folder)]
        subprocess.run(command, check=True, capture_output=True)


WORK: Mapping[str, Callable[[Path], None]] = {
    "scan": _scan,
    "load": _load,
    "scan-simpleitk": _scan_simpleitk,
    "scan-gdcm": _scan_gdcm,
    "scan-dcm2niix": _scan_dcm2niix,
    "load-simpleitk": _load_simpleitk,
    "load-dcm2niix": _load_dcm2niix,
}


def main(work: str, folder: Path) -> None:
    """Run a trial and print its figures."""
    with Memory() as memory:
        start = time.perf_counter()
        WORK[work](folder)
        ms = 1000 * (time.perf_counter() - start)
    print(json.dumps({"ms": ms, "mb": memory.grown_mb}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
