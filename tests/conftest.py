"""What every test shares."""

import gc
import os
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest

from workstation.phantom import Phantom, abdomen


def pytest_collection_finish() -> None:
    """From here on garbage is collected between tests only, on this thread.

    A widget that some other thread happens to collect ends the process.
    """
    gc.collect()
    gc.freeze()
    gc.disable()


def pytest_runtest_logfinish() -> None:
    """Collect what the test left, now that nothing holds its fixtures any more.

    What is still in use is set aside, so that each collection looks at one test only.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real imaging that HILUM_DATA names."""
    folder = os.environ.get("HILUM_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real imaging is not here: set HILUM_DATA to its folder")
    return Path(folder)


@pytest.fixture(scope="session")
def coarse_patient() -> Phantom:
    """A synthetic patient with two lesions on a grid coarse enough for many proposals."""
    return abdomen(5, spacing_mm=(1.5, 1.5, 2.5), lesions=2)
