"""Programs of other makers that judge and read our DICOM objects; absent ones skip the test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def program(name: str, where: str) -> str:
    beside = str(Path(sys.executable).parent)  # what pip installed, though no venv is active
    found = shutil.which(name, path=os.pathsep.join((beside, os.environ.get("PATH", ""))))
    if found is None:
        pytest.skip(f"{name} is not here ({where})")
    return found


def errors_of(path: Path) -> list[str]:
    """Return what dciodvfy calls errors in a DICOM file."""
    validator = program("dciodvfy", "Debian: dicom3tools")
    run = subprocess.run([validator, path], capture_output=True, text=True, check=False)
    said = (run.stdout + run.stderr).splitlines()
    assert any(line.strip() for line in said), "it names at least the kind of object"
    return [line for line in said if "Error" in line]


def dcmqi(name: str, *options: object) -> None:
    """Run a program of dcmqi; fail with what it said if it fails."""
    command = [program(name, "PyPI: dcmqi"), *map(str, options)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
