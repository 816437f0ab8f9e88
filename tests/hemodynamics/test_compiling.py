"""Compiled code that is kept between runs is not taken for that of other source."""

import sys

import pytest

HELPER = """
from hemodynamics.compiling import inlined

@inlined
def more(x):
    return x + {added}
"""

KERNEL = """
from hemodynamics.compiling import for_both, for_processor
from helper_of_kernel import more

@for_processor
def raised(x):
    return more(x)

@for_both
def lifted(x):
    return more(x)
"""


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Return what writes a helper, and imports a kernel beside it anew."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "kernel_with_helper.py").write_text(KERNEL)

    def made(added):
        (tmp_path / "helper_of_kernel.py").write_text(HELPER.format(added=added))
        for name in ("helper_of_kernel", "kernel_with_helper"):
            sys.modules.pop(name, None)
        return __import__("kernel_with_helper")

    yield made
    for name in ("helper_of_kernel", "kernel_with_helper"):
        sys.modules.pop(name, None)


def test_a_function_is_compiled_anew_where_only_what_it_takes_from_elsewhere_changed(fresh):
    first = fresh(10)
    assert (first.raised(1.0), first.lifted[0](1.0)) == (11.0, 11.0)
    second = fresh(20)
    assert (second.raised(1.0), second.lifted[0](1.0)) == (21.0, 21.0)
    again = fresh(20)
    assert (again.raised(1.0), again.lifted[0](1.0)) == (21.0, 21.0)
    assert sum(again.raised.stats.cache_hits.values()) == 1  # what did not change is kept
    assert not first.raised.stats.cache_hits
