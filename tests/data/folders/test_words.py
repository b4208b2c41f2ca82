"""Names of folders and files: a split, masks, a part of a big set, or a class of that name."""

import pytest

from colab_kit.data.folders import words


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "train Training TRAIN train_images trainset seg_train Final_Training cars_train"),
        ("train", "train-jpg train2017 asl_alphabet_train train_mini trainval TrainData trn"),
        ("valid", "val Validation valid val_256 dev validation_set ValData"),
        ("test", "test Testing test1 test_set seg_test Final_Test testset evaluation tst"),
        ("predict", "pred seg_pred prediction inference"),
        (None, "attest contest latest trains strain rainbow valley devil predator cat 00012"),
    ],
)
def test_a_split_is_said_by_a_word_of_the_name_in_any_spelling(split, names):
    assert {name: words.split_word(name) for name in names.split()} == dict.fromkeys(
        names.split(), split
    )


def test_a_name_that_says_more_than_a_split_is_plain_only_beside_its_like():
    assert not words.is_plain_split("bullet train")
    assert not words.is_plain_split("asl_alphabet_train")
    common = words.common_words(["asl_alphabet_train", "asl_alphabet_test"])
    assert words.is_plain_split("asl_alphabet_train", common)


@pytest.mark.parametrize("name", "masks Trimaps ground_truth GT annotations train_masks".split())
def test_masks_and_their_like_are_known_by_name(name):
    assert words.is_companion(name)


@pytest.mark.parametrize("name", "with_mask no_mask masked_owl deep truth cat boxer".split())
def test_a_class_with_a_similar_name_is_no_mask(name):
    assert not words.is_companion(name)


@pytest.mark.parametrize(
    ("stem", "picture"),
    [
        ("benign (1)_mask", "benign (1)"),
        ("benign (1)_mask_1", "benign (1)"),
        ("0012-seg", "0012"),
        ("a_depth", "a"),
        ("unmasked", None),
        ("cat_1", None),
    ],
)
def test_a_mask_names_its_picture(stem, picture):
    assert words.companion_of(stem) == picture


@pytest.mark.parametrize(
    "names", ["images_part_1 images_part_2", "batch1 batch2 batch3", "images_001 images_002"]
)
def test_parts_of_a_big_set_are_no_classes(names):
    assert words.are_storage(names.split())


@pytest.mark.parametrize("names", ["00000 00001", "c0 c1 c2", "part1", "cat dog", "parts image1"])
def test_numbered_classes_are_no_parts(names):
    assert not words.are_storage(names.split())


@pytest.mark.parametrize("names", ["grayscale segmented color", "EuroSATallBands EuroSAT"])
def test_the_ordinary_version_comes_first(names):
    first = min(names.split(), key=words.plainness)
    assert first == names.split()[-1]
