"""A count agrees with its words."""

import pytest

from segmentation.wording import counted


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (21, "21 files")]
)
def test_a_count_agrees_with_its_noun(count, told):
    assert counted(count, "file") == told


def test_a_sentence_agrees_as_a_whole():
    assert counted(1, "branch is cut", "branches are cut") == "1 branch is cut"
    assert counted(3, "branch is cut", "branches are cut") == "3 branches are cut"
