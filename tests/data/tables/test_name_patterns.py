"""Boxes beside pictures are named as what they are, with a line that reads classes from them."""

import pytest

from colab_kit.data.loading import load
from colab_kit.errors import DataError
from tests.support.layouts import lines, pasteable, picture

BIRDS = {"one each": ["0", "1", "2"], "several": ["0", "0 1", "1 2"]}
NAMES = ("crane", "egret", "heron")
YAML = {
    "inline": ["names: ['crane', \"egret\", heron]"],
    "a line each": ["names:", "  0: crane", "  1: egret", "  2: heron"],
    "dashes": ["nc: 3", "names:", "- crane", "- egret", "- heron"],
}


def boxed(root, kinds, place="{kind}", *, last=None):
    """Twelve pictures in images/ with rows of boxes in labels/, or where `place` says."""
    for i in range(12):
        picture(root / place.format(kind="images") / f"{i}.png", i % 3)
        rows = [f"{number} 0.5 0.25 0.1 0.2" for number in kinds[i % 3].split()]
        told = rows if last is None or i < 11 else last
        lines(root / place.format(kind="labels") / f"{i}.txt", *told)


def refusal(root):
    with pytest.raises(DataError) as caught:
        load(str(root), quiet=True)
    return caught.value


def follow(error):
    [line] = pasteable(error.fix)
    return eval(line, {"kit": __import__("colab_kit")})


@pytest.mark.parametrize("place", ["{kind}", "{kind}/train", "train/{kind}", "all"])
@pytest.mark.parametrize("kinds", BIRDS)
def test_the_line_reads_what_each_picture_holds(tmp_path, kinds, place):
    boxed(tmp_path, BIRDS[kinds], place)
    data = follow(refusal(tmp_path))
    assert data.task == ("classification" if kinds == "one each" else "multilabel")
    assert data.classes == ("0", "1", "2")


@pytest.mark.parametrize("spelling", YAML)
def test_the_names_of_data_yaml_are_in_the_line(tmp_path, spelling):
    boxed(tmp_path, BIRDS["one each"])
    lines(tmp_path / "data.yaml", *YAML[spelling])
    assert set(follow(refusal(tmp_path)).classes) == set(NAMES)


def test_a_picture_without_boxes_leaves_no_line(tmp_path):
    boxed(tmp_path, BIRDS["one each"], last=())
    error = refusal(tmp_path)
    assert "0.txt" in error.why and not list(pasteable(error.fix))


def test_other_text_beside_pictures_is_no_box(tmp_path):
    boxed(tmp_path, ["0"] * 3, last=())
    for path in (tmp_path / "labels").iterdir():
        path.write_text("a heron at dusk\n")
    assert "labels" not in refusal(tmp_path).why
