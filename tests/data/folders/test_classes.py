"""The level at which classes lie: found, or asked with lines to paste."""

import re
import shutil

import pytest

from colab_kit.data.folders.layout import scan
from colab_kit.errors import DataError

from ...support.pictures import blank


def tree(root, *names):
    for name in names:
        blank(root / name)
    return root


def counts(found):
    """{split: {class: pictures}}"""
    out = {}
    for split, files in found.splits.items():
        labels = [file.label for file in files]
        out[split] = {label: labels.count(label) for label in dict.fromkeys(labels)}
    return out


CATS = ("cat/c1.jpg", "cat/c2.jpg", "dog/d1.jpg", "dog/d2.jpg")
BOTH = {"cat": 2, "dog": 2}
PEOPLE = [
    f"p{n}/{kind}/p{n}_{i}.jpg" for n in range(3) for kind in ("fist", "palm") for i in (1, 2)
]


def under(*folders, names=CATS):
    return [f"{folder}/{name}" for folder in folders for name in names]


@pytest.mark.parametrize(
    ("names", "want"),
    [
        (under("Training", "Testing"), {"train": BOTH, "test": BOTH}),
        (under("seg_train/seg_train", "seg_test/seg_test"), {"train": BOTH, "test": BOTH}),
        (under("train_mini", "val"), {"train": BOTH, "valid": BOTH}),
        (under("cars_train/cars_train") + ["cars_test/1.jpg"], {"train": BOTH, "test": {None: 1}}),
        (under("images", "test"), {"train": BOTH, "test": BOTH}),
        (under("a/b/c"), {"train": BOTH}),
        (["cat/images/1.jpg", "dog/images/1.jpg"], {"train": {"cat": 1, "dog": 1}}),
        (["cat/train/1.jpg", "cat/test/2.jpg", "dog/train/3.jpg", "dog/test/4.jpg"],
         {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1, "dog": 1}}),
        (["train_cat/1.jpg", "test_cat/2.jpg", "train_dog/3.jpg", "test_dog/4.jpg"],
         {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1, "dog": 1}}),
        (["train_cat/1.jpg", "train_dog/2.jpg", "test/3.jpg"],
         {"train": {"cat": 1, "dog": 1}, "test": {None: 1}}),
        ([*under("train", "train/train", "test", "test/test")], {"train": BOTH, "test": BOTH}),
        (["A/ann/1.jpg", "A/bob/2.jpg", "B/ann/3.jpg", "B/bob/4.jpg"],
         {"train": {"ann": 2, "bob": 2}}),
        (["trainA/1.jpg", "trainB/2.jpg", "valB/3.jpg"],
         {"train": {"A": 1, "B": 1}, "valid": {"B": 1}}),
        (["test bench/1.jpg", "work bench/2.jpg"], {"train": {"test bench": 1, "work bench": 1}}),
        ([*under("tRaIn"), "tEsT/cat/1.jpg"], {"train": BOTH, "test": {"cat": 1}}),
        ([*under("train"), "test/Cat/1.jpg", "test/DOG/2.jpg"],
         {"train": BOTH, "test": {"cat": 1, "dog": 1}}),
        ([*under("train"), "test/CAT/1.jpg"], {"train": BOTH, "test": {"cat": 1}}),
        ([*CATS, "cat - Copy/9.jpg"], {"train": {"cat": 3, "dog": 2}}),
        ([*CATS, "Copy of cow/9.jpg"], {"train": {**BOTH, "Copy of cow": 1}}),
        (["bus/1.jpg", "car/2.jpg", "train/3.jpg"], {"train": {"bus": 1, "car": 1, "train": 1}}),
        (["control/1.jpg", "test/2.jpg"], {"train": {"control": 1, "test": 1}}),
        (["bullet train/1.jpg", "tram/2.jpg"], {"train": {"bullet train": 1, "tram": 1}}),
        (PEOPLE, {"train": {"fist": 6, "palm": 6}}),
        ([*CATS, *under("pets")], {"train": BOTH}),
        (under("train", "train/train"), {"train": BOTH}),
        (["images_part_1/1.jpg", "images_part_2/2.jpg"], {"train": {None: 2}}),
        (["images/1.jpg", "images/2.jpg"], {"train": {None: 2}}),
        (["a/abbey/1.jpg", "b/barn/2.jpg", "b/bar/3.jpg"],
         {"train": {"abbey": 1, "bar": 1, "barn": 1}}),
        (["cat/s1/1.jpg", "cat/s2/2.jpg", "dog/s3/3.jpg", "dog/s4/4.jpg"], {"train": BOTH}),
        ([*CATS, "no_label/1.jpg"], {"train": {**BOTH, None: 1}}),
        ([*under("train", "eval", "test")], {"train": BOTH, "valid": BOTH, "test": BOTH}),
        ([*under("trainSample", "trainSet"), "testSet/testSet/1.jpg"],
         {"train": BOTH, "test": {None: 1}}),
        ([*under("pets/pets/train", "pets/pets/valid"), "test/test/1.jpg"],
         {"train": BOTH, "valid": BOTH, "test": {None: 1}}),
        ([*under("pets/train", "pets/test"), "test/1.jpg"], {"train": BOTH, "test": BOTH}),
        (["trainA/1.jpg", "trainB/2.jpg", "testA/3.jpg", "testB/4.jpg"],
         {"train": {"A": 1, "B": 1}, "test": {"A": 1, "B": 1}}),
        (["fox/2021-03-01/1.jpg", "fox/2021-03-02/2.jpg", "owl/2021-03-01/3.jpg",
          "owl/2021-03-02/4.jpg"], {"train": {"fox": 2, "owl": 2}}),
        (["run/v_run_g01/1.jpg", "run/v_run_g02/2.jpg", "sit/v_sit_g01/1.jpg",
          "sit/v_sit_g02/2.jpg"], {"train": {"run": 2, "sit": 2}}),
        ([f"{n:02d}/{kind}/{n}{kind}.jpg" for n in range(2) for kind in ("l", "palm")],
         {"train": {"l": 2, "palm": 2}}),
        ([f"{place}/{kind}/{place}{kind}.jpg" for place in ("site", "lab") for kind in "abcde"],
         {"train": dict.fromkeys("abcde", 2)}),
        (["0/a/0a1.jpg", "0/b/0b2.jpg", "1/a/1a3.jpg"], {"train": {None: 3}}),
        (["cat/x1.jpg", "cat/x1.png", "dog/y2.jpg", "dog/y2.png"],
         {"train": {"cat": 1, "dog": 1}}),
        (["ISIC_Training_Input/1.jpg"], {"train": {None: 1}}),
    ],
)  # fmt: skip
def test_the_level_of_the_classes_is_found(tmp_path, names, want):
    assert counts(scan(tree(tmp_path, *names))) == want


@pytest.mark.parametrize(
    "names",
    [
        ["bus/1.jpg", "car/2.jpg", "train/3.jpg"],
        [*CATS, "no_label/1.jpg"],
        PEOPLE,
        [*CATS, "test/1.jpg", "test/2.jpg", "seg_pred/1.jpg"],
        [*CATS, "cat (1)/9.jpg"],
        [*CATS, "New folder/9.jpg"],
        ["cat/val/1.jpg", "cat/test/2.jpg", "dog/val/3.jpg", "dog/test/4.jpg"],
        ["A/ann/1.jpg", "A/bob/2.jpg", "B/ann/3.jpg", "B/bob/4.jpg"],
        [*CATS, "CAT/9.jpg"],
        ["cat/1.jpg", "cat/1.png", "dog/2.jpg", "dog/2.png"],
        ["train_cat/1.jpg", "test_cat/2.jpg", "train_dog/3.jpg", "test_dog/4.jpg"],
        [*under("train"), "test/CAT/1.jpg"],
        ["cat/s1/1.jpg", "cat/s2/2.jpg", "dog/s3/3.jpg", "dog/s4/4.jpg"],
        [*under("trainSample", "trainSet")],
        [*under("pets/pets/train"), "test/test/1.jpg", "test/test/2.jpg"],
        [*under("pets/train", "pets/test"), "test/1.jpg"],
        ["0/a/0a1.jpg", "0/b/0b2.jpg", "1/a/1a3.jpg"],
        ["cat/x1.jpg", "cat/x1.png", "dog/y2.jpg", "dog/y2.png"],
        [*CATS, ".net/.net_1.jpg"],
    ],
)
def test_a_reading_that_was_chosen_is_said(tmp_path, names):
    found = scan(tree(tmp_path, *names))
    assert found.lines or found.label_notes or found.notes


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (under("gray", "color", "segmented"), "color"),
        (under("big") + [name.replace("jpg", "tif") for name in under("all")], "big"),
        (under("fold1/train", "fold1/test", "fold2/train", "fold2/test"), "fold1"),
    ],
)
def test_versions_of_one_set_are_a_question_whose_first_line_is_the_ordinary_one(
    tmp_path, names, first
):
    tree(tmp_path, *names)
    for path in tmp_path.rglob("*.jpg"):
        path.write_bytes(path.as_posix().encode())  # not the same file twice
    with pytest.raises(DataError) as caught:
        scan(tmp_path)
    assert re.search(r"kit\.load\('[^']+/(\w+)'\)", caught.value.fix)[1] == first


def test_a_set_with_splits_beside_one_without_is_a_question_and_comes_first(tmp_path):
    names = [*under("small/small"), *under("big/big/train", "big/big/test")]
    with pytest.raises(DataError) as caught:
        scan(tree(tmp_path, *names))
    assert re.findall(r"kit\.load\('[^']+/(\w+)'\)", caught.value.fix) == ["big", "small"]


@pytest.mark.parametrize(
    "names",
    [
        [f"{f}/{k}/{f}{k}.jpg" for f in ("apple", "pear") for k in ("fresh", "rotten")],
        [f"{f}/images/{k}/{f}{k}.jpg" for f in ("apple", "pear") for k in ("fresh", "rotten")],
        [f"{f}/{k}/40x/{f}{k}.jpg" for f in ("apple", "pear") for k in ("fresh", "rotten")],
    ],
)
def test_two_words_of_one_picture_are_a_question_with_a_line_for_each_and_for_both(tmp_path, names):
    with pytest.raises(DataError) as caught:
        scan(tree(tmp_path, *names))
    lines = re.findall(r"labels=(lambda path: [^)]+)\)", caught.value.fix)
    assert [eval(line)(tmp_path / names[0]) for line in lines] == ["fresh", "apple", "apple/fresh"]


def test_kinds_inside_classes_are_a_question_with_a_line_for_each_level(tmp_path):
    names = ["colon/c_ok/1.jpg", "colon/c_bad/2.jpg", "lung/l_ok/3.jpg", "lung/l_bad/4.jpg"]
    with pytest.raises(DataError) as caught:
        scan(tree(tmp_path, *names), "tissue")
    inner, outer = re.findall(r"labels=(lambda path: [^)]+)\)", caught.value.fix)
    path = tmp_path / names[0]
    assert (eval(inner)(path), eval(outer)(path)) == ("c_ok", "colon")


def test_the_same_set_twice_is_read_once(tmp_path):
    found = scan(tree(tmp_path, *under("one", "two")))
    assert counts(found) == {"train": BOTH}


def test_the_same_numbered_files_once_more_are_left_out_and_others_are_not(tmp_path):
    tree(tmp_path, *under("photos", names=["cat/1.jpg", "dog/1.jpg"]))
    shutil.copytree(tmp_path / "photos", tmp_path / "photos - Copy")
    assert counts(scan(tmp_path)) == {"train": {"cat": 1, "dog": 1}}
    for folder in ("photos", "photos - Copy"):  # of the same names and sizes
        for kind in ("cat", "dog"):
            blank(tmp_path / folder / kind / "1.jpg", folder[-4:].encode())
    assert counts(scan(tmp_path)) == {"train": {"cat": 2, "dog": 2}}


def test_a_copy_of_a_class_adds_what_is_not_there_yet(tmp_path):
    tree(tmp_path, "cat/1.jpg", "cat (1)/2.jpg", "dog/1.jpg")
    shutil.copy(tmp_path / "cat/1.jpg", tmp_path / "cat (1)/1.jpg")
    assert counts(scan(tmp_path)) == {"train": {"cat": 2, "dog": 1}}


@pytest.mark.parametrize(
    "names",
    [
        ["wild/in/cat/1.jpg", "farm/in/dog/2.jpg", "farm/in/cow/3.jpg", "wild/in/ox/4.jpg"],
        ["wild/cat/1.jpg", "wild/ox/2.jpg", "farm/big/dog/2.jpg", "farm/cow/3.jpg"],
    ],
)
def test_the_line_for_the_outer_folders_gives_them_at_any_depth(tmp_path, names):
    with pytest.raises(DataError) as caught:
        scan(tree(tmp_path, *names), str(tmp_path))
    line = re.findall(r"labels=(lambda path: path.parts[^ )]*)\)", caught.value.fix)[-1]
    assert [eval(line)(tmp_path / name) for name in names] == [
        name.partition("/")[0] for name in names
    ]


def test_a_class_whose_pictures_have_no_ending_is_missed_aloud(tmp_path):
    tree(tmp_path, *CATS)
    (tmp_path / "cow").mkdir()
    (tmp_path / "cow/1").write_bytes(b"?")
    assert any("cow" in note.text and note.level == "warn" for note in scan(tmp_path).notes)


def test_an_empty_test_folder_is_said(tmp_path):
    tree(tmp_path, *under("train"))
    (tmp_path / "test/cat").mkdir(parents=True)
    assert any("test" in note.text for note in scan(tmp_path).notes)


@pytest.mark.parametrize("forms", [("color", "gray"), ("raw", "processed")])
def test_forms_of_one_set_are_asked_about_also_where_pictures_are_numbered(tmp_path, forms):
    for form in forms:
        for kind in ("cat", "dog"):
            blank(tmp_path / form / kind / "1.jpg", form.encode())
    with pytest.raises(DataError) as caught:
        scan(tmp_path)
    assert all(f"kit.load({str(tmp_path / form)!r})" in caught.value.fix for form in forms)
