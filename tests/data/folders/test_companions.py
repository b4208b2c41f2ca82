"""Masks, boxes and thumbnails are left out where they go with pictures, and only there."""

import pytest

from colab_kit.data.folders.companions import without_companions
from colab_kit.data.folders.tree import tree_of

from ...support.pictures import blank


def kept(root, *names):
    for name in names:
        blank(root / name)
    lines = []
    tree = without_companions(tree_of(root), lines)
    return sorted(path.relative_to(root).as_posix() for path in tree.pictures), lines


@pytest.mark.parametrize(
    ("pictures", "companions"),
    [
        (["cat/images/a.png", "dog/images/b.png"], ["cat/masks/a.png", "dog/masks/b.png"]),
        (["images/a.jpg", "images/b.jpg"], ["annotations/trimaps/a.png", "annotations/b.png"]),
        (["train/ok/0.png", "test/bad/7.png"], ["ground_truth/bad/7_mask.png"]),
        (["cat/a.jpg", "dog/b.jpg"], ["cat/a_mask.jpg", "cat/a_mask_1.jpg", "dog/b-seg.jpg"]),
        (["cat/a.jpg", "cat/b.jpg"], ["cat/thumbnails/a.jpg"]),
        (["cat/a.jpg", "dog/b.jpg"], ["cat/mask_a.png", "dog/b-150x150.jpg"]),
        (["images/img_1.jpg", "images/img_2.jpg"], ["masks/mask_1.png", "masks/mask_2.png"]),
        (["images/a.jpg"], ["labels/x.png"]),
        (["cat/images/im1.jpg", "dog/images/im1.jpg"], ["cat/masks/m1.png", "dog/masks/m1.png"]),
        (["cat/im1.jpg", "cat/im2.jpg"], ["cat/masks/mask1.png", "cat/masks/mask2.png"]),
        (["JPEGImages/1.jpg"], ["SegmentationClass/1.png", "SegmentationObject/1.png"]),
        (["cat/cat1.jpg", "dog/dog1.jpg"], ["masks/cat1.png", "masks/dog1.png"]),
        (["train/images/a.jpg", "test/images/b.jpg"], ["train/masks/a.png", "test/masks/b.png"]),
    ],
)
def test_what_goes_with_a_picture_is_left_out_and_said(tmp_path, pictures, companions):
    left, lines = kept(tmp_path, *pictures, *companions)
    assert left == sorted(pictures)
    assert lines


@pytest.mark.parametrize(
    "names",
    [
        ["mask/1.jpg", "no_mask/1.jpg"],
        ["with_mask/1.jpg", "without_mask/1.jpg"],
        ["glasses/1.jpg", "hat/1.jpg", "mask/1.jpg"],
        ["cat/a.jpg", "masks/venetian.jpg"],
        ["unknown/a.jpg", "mask/b.jpg"],
        ["label/1.jpg", "bottle/1.jpg", "cap/1.jpg"],
        ["cat/a_mask.jpg", "cat/b.jpg"],
    ],
)
def test_a_class_of_such_a_name_stays(tmp_path, names):
    assert kept(tmp_path, *names) == (sorted(names), [])
