"""Names of folders and files: a split, masks, a part of a big set, or a class of that name."""

import unicodedata

import pytest

from colab_kit.data.folders import words


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "train Training TRAIN train_images trainset seg_train Final_Training cars_train"),
        (
            "train",
            "tRAIN TrAiN train-jpg train2017 asl_alphabet_train train_mini trainval TrainData trn",
        ),
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


def test_no_word_of_the_table_says_two_splits_and_each_is_found_in_any_case_and_form():
    for split, of in words._WORDS.items():
        for name in (word.replace("+", " ") for word in of.split()):
            for spelled in (name, name.upper(), unicodedata.normalize("NFD", name)):
                assert words.split_word(spelled) == split, spelled


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "Trainingsdaten data_latih 训练集 学習用データ datos_de_entrenamiento"),
        ("valid", "Validierungsbilder 验证集 検証データ xác_thực PublicTest validação"),
        ("test", "Testdatensatz 测试集 テストデータ data_uji PrivateTest тестовая"),
        (None, "学 проверьте contestants testes attest huấn"),
    ],
)
def test_a_split_is_said_in_the_languages_that_people_use(split, names):
    assert {name: words.split_word(name) for name in names.split()} == dict.fromkeys(
        names.split(), split
    )


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        ("train eval test", "train valid test"),
        ("training validation evaluation", "train valid test"),
        ("train eval", "train test"),
        ("train evaluation_set Test", "train valid test"),
    ],
)
def test_eval_is_valid_only_where_another_is_test(names, splits):
    means = words.told_apart({name: words.split_word(name) for name in names.split()})
    assert list(means.values()) == splits.split()


def test_a_name_that_says_more_than_a_split_is_plain_only_beside_its_like():
    assert not words.is_plain_split("bullet train")
    assert not words.is_plain_split("asl_alphabet_train")
    common = words.common_words(["asl_alphabet_train", "asl_alphabet_test"])
    assert words.is_plain_split("asl_alphabet_train", common)


@pytest.mark.parametrize(
    "name", "masks Trimaps ground_truth GT labels SegmentationClass train_masks".split()
)
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
        ("ISIC_0012_superpixels", "ISIC_0012"),
        ("photo-150x150", "photo"),
        ("mask_7", "7"),
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


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("cat (1)", "cat"),
        ("cat - Copy", "cat"),
        ("cat - Copy (2)", "cat"),
        ("Copy of cat", "cat"),
        ("cat", None),
        ("copycat", None),
        ("Toyota Camry (2012)", None),
    ],
)
def test_a_copy_names_what_it_copies(name, base):
    assert words.copied(name) == base


@pytest.mark.parametrize(
    ("one", "other"), [("Sea Lion", "sea_lion"), ("007", "7"), ("cafe\u0301", "caf\xe9")]
)
def test_one_name_written_in_two_ways_is_folded_to_one(one, other):
    assert words.folded(one) == words.folded(other)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("train_red_fox", ("train", "red_fox")),
        ("cat-test", ("test", "cat")),
        ("trainA", ("train", "A")),
        ("train_images", None),
        ("test_2", None),
        ("train", None),
        ("tram", None),
    ],
)
def test_a_name_may_say_a_split_and_a_class(name, parts):
    assert words.parted(name) == parts
