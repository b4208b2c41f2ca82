"""Labels beside the pictures: tables, dicts and functions."""

import pytest

from colab_kit.data.labels import other_names
from colab_kit.data.targets import UNLABELLED

from ..support.pictures import blank, picture
from .loads import NAMED, X, Y, load, refused, table


@pytest.fixture
def flat(tmp_path):
    for n in range(12):
        picture(tmp_path / "pics" / f"p{n}.png", n)
    return tmp_path / "pics"


@pytest.mark.parametrize(
    "content",
    [
        table(NAMED),
        b"\xef\xbb\xbf" + table([("file", "label"), *NAMED]),
        table([("id", "breed"), *((name[:-4], label) for name, label in NAMED)]),
        table(
            [
                ("", "width", "path", "class"),
                *((str(n), "12", f"pics\\{name}", label) for n, (name, label) in enumerate(NAMED)),
            ],
            ";",
        ),
        table([("label", "file"), *((label, f"./pics/{name}") for name, label in NAMED)], "\t"),
    ],
)
def test_labels_come_from_a_table(flat, content):
    blank(flat / "labels.csv", content)
    data = load(flat, labels="labels.csv", valid=0)
    assert data.classes == ("cat", "dog") and len(data.notes) <= 2
    assert {
        path.name: data.classes[label]
        for path, label in zip(data.train.paths, data.train.labels, strict=True)
    } == dict(NAMED)


def test_labels_come_from_a_dict_or_a_function(flat):
    from_dict = load(flat, labels=dict(NAMED), valid=0)
    from_function = load(
        flat, labels=lambda path: "cat" if int(path.stem[1:]) % 2 else "dog", valid=0
    )
    by_path = load(flat, labels={flat / name: label for name, label in NAMED}, valid=0)
    assert (
        from_dict.train.labels.tolist()
        == from_function.train.labels.tolist()
        == by_path.train.labels.tolist()
    )
    assert (
        from_dict.fingerprint
        == from_function.fingerprint
        != load(flat, labels={name: "cat" for name, _ in NAMED}, valid=0).fingerprint
    )
    assert load(
        flat, labels={name: n % 11 for n, (name, _) in enumerate(NAMED)}, valid=0
    ).classes == tuple(map(str, range(11)))


def test_files_without_a_label_are_counted_and_left_out(flat):
    data = load(flat, labels=dict([*NAMED[:9], ("gone.png", "cat")]), valid=0)
    assert len(data.train) == 9 and UNLABELLED not in data.train.labels
    assert any(
        "3 pictures were left out of train, of 12: without a label (p9.png" in note
        for note in data.notes
    )
    assert any(
        "1 file was named by labels= and not found in" in note and "gone.png" in note
        for note in data.notes
    )
    refused(flat, "without a label", labels=dict(NAMED[:9]), strict=True)


def test_labels_that_do_not_fit_say_why(flat, tmp_path):
    refused(flat, "have no labels")
    refused(flat, "is not there", labels="nothere.csv")
    refused(flat, "No file that labels= names", "x.png", labels={"x.png": "cat"})
    refused(flat, "two labels", "cat and dog", labels={"p1.png": "cat", "p1": "dog"})
    refused(flat, "raised ZeroDivisionError", "p0.png", labels=lambda path: 1 / 0)
    refused(flat, "one column", labels=blank(tmp_path / "one.csv", b"p1.png\n"))
    refused(
        flat,
        "a, b",
        "label_column='a'",
        labels=blank(
            tmp_path / "three.csv", table([("file", "a", "b"), *((n, v, v[0]) for n, v in NAMED)])
        ),
    )
    refused(flat, "labels= is a list", labels=["cat"])
    refused((X, Y), "folder of pictures only", labels={"a": "b"})


def test_a_name_that_means_several_files_needs_its_folder(tmp_path):
    for folder in "ab":
        picture(tmp_path / folder / "x.png")
    refused(tmp_path, "means several files", labels={"x.png": "cat"})
    data = load(tmp_path, labels={"a/x.png": "cat", "b/x": "dog"}, valid=0)
    assert data.train.labels.tolist() == [0, 1]


def test_columns_of_a_table_are_named_where_several_could_be_meant(flat):
    rows = [("file", "age", "kind"), *((name, str(n % 3), v) for n, (name, v) in enumerate(NAMED))]
    blank(flat / "labels.csv", table(rows))
    assert load(flat, labels="labels.csv", label_column="kind", valid=0).classes == ("cat", "dog")
    assert load(flat, labels="labels.csv", label_column=1, valid=0).classes == ("0", "1", "2")
    numbers = load(flat, labels="labels.csv", label_column="age", task="regression", valid=0)
    assert numbers.task == "regression"
    refused((X, Y), "folder of pictures only", label_column="kind")


def test_a_table_of_train_is_not_asked_about_test_pictures_of_the_same_name(flat, tmp_path):
    for n in range(4):
        picture(tmp_path / "new" / f"p{n}.png", n + 50)
    labels = blank(tmp_path / "labels.csv", table([("file", "kind"), *NAMED]))
    data = load(flat, labels=labels, test=tmp_path / "new", valid=0)
    assert len(data.train) == 12 and set(data.test.labels) == {UNLABELLED} and len(data.test) == 4


def test_a_function_of_the_path_need_not_know_pictures_given_as_test(flat, tmp_path):
    picture(tmp_path / "new" / "p99.png", 99)
    known = dict(NAMED)
    data = load(flat, labels=lambda path: known[path.name], test=tmp_path / "new", valid=0)
    assert data.classes == ("cat", "dog") and data.test.labels.tolist() == [UNLABELLED]


def test_a_split_that_is_given_replaces_the_one_of_the_table_and_it_is_said(flat, tmp_path):
    for n in range(4):
        picture(tmp_path / "other" / "cat" / f"q{n}.png", n + 70)
    rows = [(name, v, "valid" if n > 7 else "train") for n, (name, v) in enumerate(NAMED)]
    labels = blank(tmp_path / "labels.csv", table([("file", "kind", "split"), *rows]))
    assert len(load(flat, labels=labels).valid) == 4
    data = load(flat, labels=labels, valid=tmp_path / "other")
    assert {path.name[0] for path in data.valid.paths} == {"q"} and len(data.train) == 8
    assert any("valid=" in note for note in data.notes)


def test_names_of_classes_may_stand_in_a_file_of_lines(flat, tmp_path):
    names = blank(tmp_path / "classes.txt", b"0 cat\n1 dog\n")
    labels = {name: int(label == "dog") for name, label in NAMED}
    assert load(flat, labels=labels, class_names=names, valid=0).classes == ("cat", "dog")


def test_floats_of_a_function_are_learned_as_numbers_and_it_is_said(flat):
    data = load(flat, labels=lambda path: float(path.stem[1:]), valid=0)
    assert data.task == "regression" and any("regression" in note for note in data.notes)


@pytest.mark.parametrize(
    ("strangers", "missing", "pairs"),
    [
        (["cats", "dogs"], ["cat", "dog"], {"cats": "cat", "dogs": "dog"}),
        (["adeno", "normal"], ["adeno_left.T2", "squamous"], {"adeno": "adeno_left.T2"}),
        (["buterfly"], ["butterfly", "moth"], {"buterfly": "butterfly"}),
        (["healthy", "without_mask", "male"], ["unhealthy", "with_mask", "female"], {}),
        (["class_11", "v1.1"], ["class_1", "v1.2"], {}),
        (["cat"], ["cat_big", "cat_small"], {}),
        (["cat", "cats"], ["cat_"], {}),
    ],
)
def test_names_of_classes_are_paired_where_one_is_a_form_of_the_other(strangers, missing, pairs):
    assert other_names(strangers, missing) == pairs
