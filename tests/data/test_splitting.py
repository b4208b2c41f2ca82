"""Splitting: draws of files and of whole groups, and what is said of them."""

import shutil
import time
import unicodedata

import numpy as np
import pytest

from colab_kit.data.dataset import Split, stratified
from colab_kit.data.draws import by_draw, limited, whole_groups
from colab_kit.data.file_table import FileTable
from colab_kit.data.keyed_random import SPLIT, uniforms
from colab_kit.data.sources import Arrays, Pictures
from colab_kit.events import Note

from ..support.pictures import class_folders, picture
from .loads import X, Y, load, refused

PATIENTS = np.arange(40) // 2  # two rows each; five patients a class
PARENT = "group=lambda path: path.parent.name"


def patient(path):
    return path.parent.name


def people(folder, classes=("ill", "well"), each=6, pictures=5):
    """Pictures of a patient in a folder of their own, below the class; no patient is in two."""
    for n in range(len(classes) * each):
        for i in range(pictures):
            name = folder / classes[n % len(classes)] / f"p{n:02}" / f"{i}.png"
            picture(name, seed=10 * n + i)
    return folder


def sides(data, of=patient):
    return {name: {of(path) for path in split.paths} for name, split in data.splits.items()}


def warnings(source, **kw):
    heard = []
    load(source, callbacks=[heard.append], **kw)
    return [e.text for e in heard if isinstance(e, Note) and e.level == "warn"]


# --- the draw ---


def rows(kind, n=3000):
    """(labels, groups, draws by row, draws by group) of n rows."""
    random = np.random.default_rng(7)
    groups = random.integers(0, n // 10, n)
    labels = {
        "a class a group": (np.arange(n) % 3)[groups],
        "classes mixed": random.integers(0, 5, n),
        "numbers": random.normal(size=(n, 1)).astype(np.float32),
        "several a picture": (random.random((n, 4)) < 0.4).astype(np.float32),
    }
    return labels[kind], groups, random.random(n), random.random(n)[groups]


KINDS = ("a class a group", "classes mixed", "numbers", "several a picture")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", (0.1, 0.2, 0.5))
def test_the_share_is_met_by_rows_and_by_whole_groups(kind, share):
    labels, groups, by_row, by_group = rows(kind)
    one_by_one = by_draw(labels, by_row, share)
    whole = whole_groups(labels, groups, by_group, share)
    assert not set(groups[whole[0]]) & set(groups[whole[1]])
    for rest, drawn in (one_by_one, whole):
        assert sorted([*rest, *drawn]) == list(range(len(groups)))
        assert abs(len(drawn) / len(groups) - share) < 0.05


@pytest.mark.parametrize("share", (0.0001, 0.2, 0.9999))
@pytest.mark.parametrize("sizes", ((1, 2, 3), (2, 2), (1, 1), (40, 2, 1)))
def test_each_class_of_two_has_one_on_both_sides_and_a_lone_one_stays(sizes, share):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    draws = np.random.default_rng(0).random(len(labels))
    for rest, drawn in (
        by_draw(labels, draws, share),
        whole_groups(labels, np.arange(len(labels)), draws, share),
    ):
        for label, size in enumerate(sizes):
            assert (labels[rest] == label).sum() >= 1
            assert ((labels[drawn] == label).sum() >= 1) == (size > 1)


def test_a_group_that_holds_the_last_of_a_class_is_not_drawn():
    labels, groups = np.array([0, 0, 1, 0, 0, 0]), np.array([0, 0, 0, 1, 1, 2])
    for seed in range(20):
        draws = np.random.default_rng(seed).random(3)[groups]
        assert 0 not in groups[whole_groups(labels, groups, draws, 0.5)[1]]


def test_rows_without_a_label_are_never_drawn():
    labels, draws = np.array([-1] * 50 + [0] * 10), np.linspace(0, 1, 60)
    assert (labels[by_draw(labels, draws, 0.5)[1]] == 0).all()


def named(files, root="/set"):
    """The split of files that are (name, size, class): no disk is asked."""
    labels = np.array([label for _, _, label in files])
    names, sizes = [name for name, _, _ in files], np.array([size for _, size, _ in files])
    table = FileTable([f"{root}/{n}" for n in range(3)], labels, names, sizes)
    return Split(Pictures(table, labels, root), np.arange(len(files)), "train")


def left(files, limit, seed, **place):
    """The names that max_per_class leaves."""
    split = limited(named(files, **place), limit, seed)
    return {files[row] for row in split.rows.tolist()}


@pytest.mark.parametrize("seed", range(20))
def test_a_limit_leaves_the_same_files_whatever_comes_beside_them(seed):
    random = np.random.default_rng(seed)
    files = [(f"{n}.jpg", int(random.integers(1, 9999)), int(n % 3)) for n in range(200)]
    more = [(f"more-{n}.jpg", int(random.integers(1, 9999)), 1) for n in range(10)]
    limit = int(random.integers(1, 60))
    before = left(files, limit, seed)
    shuffled = [(files + more)[i] for i in random.permutation(210)]
    after = left(shuffled, limit, seed, root="/moved")
    assert after - before <= set(more)
    assert len(before - after) == len(after - before)  # each new one took one place
    assert before <= left(files, limit + 7, seed)
    assert left(files[:-10], limit, seed) >= before - set(files[-10:])


def test_a_limit_leaves_so_many_of_each_class_and_others_by_another_seed():
    files = [(f"{n}.jpg", 100 + n, n % 3) for n in range(90)]
    chosen = [left(files, 10, seed) for seed in range(2)]
    assert [sum(label == k for _, _, label in chosen[0]) for k in range(3)] == [10] * 3
    assert chosen[0] != chosen[1]


def test_a_limit_on_arrays_goes_by_row():
    split = Split(Arrays(X, Y), np.arange(len(Y)), "train")
    few, more = (set(limited(split, n, 0).rows.tolist()) for n in (2, 5))
    assert few < more and len(more) == 5 * len(np.unique(Y))


@pytest.mark.timed
def test_a_hundred_thousand_rows_are_drawn_in_half_a_second():
    random = np.random.default_rng(0)
    labels, groups = random.integers(0, 20, 100_000), random.integers(0, 30_000, 100_000)
    start = time.process_time()
    whole_groups(labels, groups, random.random(30_000)[groups], 0.2)
    assert time.process_time() - start < 0.5


# --- load(): which side a file is on ---


def files_of(data):
    """{split: names of its files}"""
    return {name: {path.name for path in split.paths} for name, split in data.splits.items()}


def birds(folder, classes=("hawk", "owl"), each=40, first=0):
    """Pictures of one kind, no two of one name."""
    for n in range(first, first + each * len(classes)):
        kind = classes[n % len(classes)]
        picture(folder / kind / f"bird_{n:04}.png", size=(8, 8 + n % 5), seed=n)
    return folder


HOW = {"valid": 0.2, "test": 0.2, "group": False}
CHANGES = {
    "ten more": lambda top: birds(top, first=80, each=5),
    "a class renamed": lambda top: (top / "hawk").rename(top / "zebra finch"),
    "folders in between": lambda top: [
        (top / "a" / kind).parent.mkdir(exist_ok=True) or (top / kind).rename(top / "a" / kind)
        for kind in ("hawk", "owl")
    ],
    "one more class": lambda top: birds(top, classes=("auk",), first=200),
    "a class less": lambda top: shutil.rmtree(top / "owl"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_no_picture_changes_its_side(tmp_path, change):
    before = files_of(load(birds(tmp_path / "birds"), **HOW))
    CHANGES[change](tmp_path / "birds")
    after = files_of(load(tmp_path / "birds", **HOW))
    names = [set().union(*one.values()) for one in (before, after)]
    both = names[0] & names[1]
    assert len(both) >= 40 and names[0] != names[1] or len(both) == 80
    assert [before[split] & both for split in before] == [after[split] & both for split in before]


def test_another_seed_draws_others_and_a_share_draws_more_beside_the_same(tmp_path):
    birds(tmp_path)
    small, large, other = (
        files_of(load(tmp_path, group=False, **how))["valid"]
        for how in ({"valid": 0.2}, {"valid": 0.4}, {"valid": 0.2, "seed": 1})
    )
    assert small < large and small != other


def test_one_more_patient_moves_nobody(tmp_path):
    before = sides(load(people(tmp_path / "skin", each=10), group=patient))
    for i in range(3):
        picture(tmp_path / "skin" / "ill" / "p000" / f"{i}.png", seed=1000 + i)
    after = sides(load(tmp_path / "skin", group=patient))
    assert before["valid"] == after["valid"] - {"p000"}


def test_files_of_one_name_and_size_are_told_apart_by_their_folders(tmp_path):
    for n in range(60):
        scan = tmp_path / "ab"[n % 2] / f"scan{n}x" / "slice.bmp"
        picture(scan, size=(6, 6), seed=n)
    kinds = {"labels": lambda path: path.parts[-3]}
    data = load(tmp_path, group=False, valid=0.3, **kinds)
    assert len(data.valid) == pytest.approx(18, abs=9)


def test_the_draw_is_the_same_on_each_machine():
    names = [f"img_{n}.png" for n in range(12)] + ["größe.png", "目.png"]
    sizes = np.arange(14) * 1000
    table = FileTable(["/a"], np.zeros(14, np.int32), names, sizes)
    decomposed = [unicodedata.normalize("NFD", name) for name in names]
    other = FileTable(["/b"], np.zeros(14, np.int32), decomposed, sizes)
    assert table.keys.tolist() == other.keys.tolist()
    draws = uniforms(table.keys, 0, SPLIT, 0)
    assert np.flatnonzero(draws < 0.5).tolist() == [0, 3, 11, 13]


def test_a_share_that_differs_from_the_one_asked_for_is_said(tmp_path):
    birds(tmp_path, classes=[f"kind{n}" for n in range(20)], each=2)
    data = load(tmp_path, valid=0.1)
    assert len(data.valid) == 20
    assert any("valid has 20 of 40" in note and "10%" in note for note in data.notes)
    assert any("20 pictures (50.0%)" in line for line in data.reading)


# --- load(group=) ---


def test_a_patient_is_on_one_side_of_valid_and_test(tmp_path):
    data = load(people(tmp_path / "skin"), group=patient, test=0.2, valid=0.2)
    train, valid, test = sides(data).values()
    assert not train & valid and not train & test and not valid & test
    assert all(min(counts.values()) for counts in data.counts.values())
    assert load(tmp_path / "skin", group=patient, test=0.2, valid=0.2).fingerprint == (
        data.fingerprint
    )


def test_a_draw_of_valid_does_not_depend_on_whether_test_is_drawn_from_others(tmp_path):
    people(tmp_path / "skin")
    alone = load(tmp_path / "skin", group=patient, valid=0.2)
    beside = load(tmp_path / "skin", group=patient, valid=0.2, test=people(tmp_path / "more"))
    assert beside.valid.paths == alone.valid.paths


def test_without_groups_the_draw_is_that_of_single_rows(tmp_path):
    for data in (load((X, Y)), load((X, Y), group=False)):
        assert (data.valid.rows == stratified(Y, 0.2, 0)[1]).all()


def test_groups_are_in_the_fingerprint_by_their_effect_alone():
    ways = [{"group": PATIENTS}, {"group": [f"{n}" for n in PATIENTS]}]
    one, other = (load((X, Y), **way) for way in ways)
    assert one.fingerprint == other.fingerprint != load((X, Y)).fingerprint
    assert load((X, Y), valid=0, group=PATIENTS).fingerprint == load((X, Y), valid=0).fingerprint


def test_edits_a_limit_and_shares_go_together_with_groups(tmp_path):
    people(tmp_path / "skin")
    edits = {"ill/p00/0.png": None, "ill/p00/1.png": "well"}
    how = {"label_edits": edits, "max_per_class": 24, "valid": 0.2, "test": 0.2}
    data = load(tmp_path / "skin", group=patient, **how)
    train, valid, test = sides(data).values()
    assert not train & valid and not train & test and not valid & test
    assert sum(map(len, data.splits.values())) == 48
    assert not any(
        str(path).endswith("p00/0.png") for s in data.splits.values() for path in s.paths
    )


def test_pictures_without_a_group_are_drawn_one_by_one():
    groups = [None] * 30 + [1] * 5 + [float("nan")] * 5
    data = load((X, Y), group=groups, valid=0.5)
    assert len(data.valid) == pytest.approx(20, abs=3)


def test_what_was_drawn_is_said(tmp_path):
    notes = load(people(tmp_path / "skin"), group=patient).notes
    assert any("Groups stay whole: train has 10" in note for note in notes)


def test_a_class_of_one_group_is_said_and_stays_in_train():
    groups = [*PATIENTS[:30], *[99] * 10]
    data = load((X, Y), group=groups)
    assert data.counts["valid"]["3"] == 0 and data.counts["train"]["3"] == 10
    assert any("no picture of 3" in note for note in data.notes)


def test_splits_that_came_with_parted_groups_are_kept_and_said(tmp_path):
    for split in ("train", "valid", "test"):
        people(tmp_path / split)
    texts = warnings(tmp_path, group=patient)
    assert len(texts) == 3 and all("12 groups" in text for text in texts)
    assert len(load(tmp_path, group=patient).valid) == 60
    refused(tmp_path, "strict", group=patient, strict=True)


def test_splits_of_different_people_are_fine(tmp_path):
    for n, split in enumerate(("train", "valid", "test")):
        for i in range(6):
            picture(tmp_path / split / "ab"[i % 2] / f"person{3 * i + n}" / "0.png", seed=i)
    assert warnings(tmp_path, group=patient) == []


@pytest.mark.parametrize(
    "groups, how, words",
    [
        ([1] * 40, {}, ("one group", "valid=0")),
        ([1, 2] * 20, {"valid": 0.2, "test": 0.2}, ("2 groups", "test=0, valid=0")),
        ([None] * 40, {}, ("none of 40",)),
        ([1, 2], {}, ("2 groups",)),
        (7, {}, ("group=7",)),
        ("patient_id", {}, ("patient_id",)),
        ([[1]] * 40, {}, ("A group is",)),
        (patient, {}, ("no files",)),
    ],
)
def test_groups_that_cannot_be_meant_are_refused(groups, how, words):
    refused((X, Y), *words, group=groups, **how)


def test_one_group_is_fine_where_nothing_is_drawn():
    assert len(load((X, Y), group=[1] * 40, valid=0).train) == 40


def test_loaded_data_takes_no_groups(tmp_path):
    refused(load((X, Y)), "group=", group=PATIENTS)


# --- names that look like groups ---


def test_names_that_look_like_groups_are_said_once_with_the_line_that_helps(tmp_path):
    people(tmp_path / "skin")
    (text,) = warnings(tmp_path / "skin")
    assert PARENT in text and "12 groups" in text


@pytest.mark.parametrize(
    "how", ({"group": False}, {"group": patient}, {"valid": 0}), ids=("no", "given", "no draw")
)
def test_nothing_is_said_of_names_where_they_do_no_harm(tmp_path, how):
    assert warnings(people(tmp_path / "skin"), **how) == []


def test_ordinary_class_folders_are_passed_without_a_word(tmp_path):
    assert warnings(class_folders(tmp_path / "pets", each=10)) == []
