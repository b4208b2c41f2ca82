"""Names that look like groups: habits of naming that are, and ordinary ones that are not."""

import hashlib
import random
import time
from pathlib import Path

import pytest

from colab_kit.data.group_hints import (
    column_note,
    group_column,
    likely_groups,
    of_folders,
    of_names,
)
from colab_kit.data.sources import Part, Pictures
from colab_kit.data.targets import object_array
from colab_kit.events import Note

ROOT = Path("/pets")
CLASSES = ("cat", "dog", "owl")


def hexes(*words, digits=32):
    return hashlib.md5(repr(words).encode()).hexdigest()[:digits]


def draw(n, *words):
    """A number below n that is always the same for these words."""
    return random.Random(repr(words)).randrange(n)


def each(name, n=40):
    """(class, name) of n files a class; name(class, its number, i)."""
    return [(c, name(c, k, i)) for k, c in enumerate(CLASSES) for i in range(n)]


def many(groups, of, name, classes=CLASSES):
    """(class, name) of `of` files a group; a group is of one class; name(group, i)."""
    return [(classes[g % len(classes)], name(g, i)) for g in range(groups) for i in range(of)]


NUMBERED = [f"n0{2085620 + 3 * k}" for k in range(12)]  # classes as ImageNet calls them
ORDINARY = {
    "counted": each(lambda c, k, i: f"image_{i:04}.jpg"),
    "a camera": each(lambda c, k, i: f"IMG_{2000 + 40 * k + i}.jpg"),
    "bare numbers": each(lambda c, k, i: f"{i}.jpg"),
    "the class and a dot": each(lambda c, k, i: f"{c}.{i}.jpg"),
    "the class and a bracket": each(lambda c, k, i: f"{c} ({i}).jpg"),
    "the class, with a number": [
        (f"{c}-19", f"{c}-19 ({i}).png") for c in CLASSES for i in range(40)
    ],
    "ImageNet": [(w, f"{w}_{draw(30000, w, i)}.JPEG") for w in NUMBERED for i in range(30)],
    "ImageNet's classes made two": [
        (CLASSES[k % 2], f"{w}_{i}.JPEG") for k, w in enumerate(NUMBERED) for i in range(30)
    ],
    "a class's number": [(f"{k:03}.x", f"{k:03}_{i:04}.jpg") for k in range(20) for i in range(20)],
    "several words a class": [
        (c, f"{w}_{c}_s_{draw(2000, w, i):06}.png")
        for c in CLASSES
        for w in "abcdef"
        for i in range(20)
    ],
    "the label first": [(str(c), f"{c}_{i}.png") for i in range(40) for c in range(8)],
    "the label last": [(str(c), f"{i:05}_{c}.png") for i in range(40) for c in range(8)],
    "hashes": each(lambda c, k, i: f"{hexes(c, i)}.png"),
    "hashes with dashes": each(
        lambda c, k, i: f"{hexes(c, i, digits=8)}-{hexes(i, digits=4)}-4.png"
    ),
    "a web address's parts": each(
        lambda c, k, i: f"{draw(10**9, c, i)}_{hexes(c, i, digits=10)}_{'nm'[i % 2]}.jpg"
    ),
    "Roboflow, one copy each": each(lambda c, k, i: f"IMG_{2000 + i}_jpg.rf.{hexes(c, i)}.jpg"),
    "a day and a time": each(
        lambda c, k, i: f"IMG_2024{1 + i % 4:02}05_{draw(10**6, c, i):06}.jpg"
    ),
    "a phone's messenger": each(
        lambda c, k, i: (
            f"WhatsApp Image 2024-0{1 + i % 9}-11 at {draw(24, i)}.{draw(60, c, i):02}.jpeg"
        )
    ),
    "a drawer's number behind a character's": [
        (f"character{k:02}", f"{k:04}_{i:02}.png") for k in range(12) for i in range(20)
    ],
    "a constant end": each(lambda c, k, i: f"ISIC_{24306 + 100 * k + i}_small.jpg"),
    "a turned fruit": each(lambda c, k, i: f"{('', 'r_', 'r2_')[i % 3]}{i}_100.jpg"),
    "an age first": [(None, f"{draw(90, i)}_{i % 2}_{draw(10**12, i)}.jpg") for i in range(300)],
    "parts of an export": each(lambda c, k, i: f"part{i // 5}_{i % 5}.png"),
}
GROUPS = {  # files, the line, how many groups
    "a patient": (many(20, 5, lambda g, i: f"p{g:03}_{i:02}.png"), "_', 1)[0]", 20),
    "shots of one thing": (many(20, 2, lambda g, i: f"IMG_{g}_{'ab'[i]}.jpg"), "_', 1)[0]", 20),
    "a video": (many(9, 30, lambda g, i: f"video{g}_frame{10 * i:03}.jpg"), "_', 1)[0]", 9),
    "visits": (many(40, 3, lambda g, i: f"{g:08}_{i:03}.png"), "_', 1)[0]", 40),
    "two eyes": (many(60, 2, lambda g, i: f"{g}_{('left', 'right')[i]}.jpeg"), "_', 1)[0]", 60),
    "the class first": (
        many(60, 4, lambda g, i: f"{CLASSES[g % 3]}-{1000 + g}-{i}.jpeg"),
        "-', 1)[0]",
        60,
    ),
    "tracks, counted in each class": (
        [(c, f"{g:05}_{i:05}.ppm") for c in CLASSES for g in range(9) for i in range(30)],
        "_', 1)[0]",
        9,
    ),
    "people who do everything": (
        [
            (c, f"frame_{g:02}_{k:02}_{i:04}.png")
            for g in range(10)
            for k, c in enumerate(CLASSES)
            for i in range(8)
        ],
        "_', 2)[0]",
        10,
    ),
    "one face a feeling": (
        [(c, f"subject{g:02}.{c}.png") for g in range(15) for c in CLASSES],
        ".', 1)[0]",
        15,
    ),
    "scenes of films": (
        many(12, 12, lambda g, i: f"v_{CLASSES[g % 3]}_g{g:02}_c{i // 4:02}_{i % 4:04}.jpg"),
        "_', 2)[0]",
        12,
    ),
    "patches of slides": (
        many(15, 25, lambda g, i: f"{10253 + g}_idx5_x{i // 5}01_y{i % 5}01.png"),
        "split('_')[0]",
        15,
    ),
    "cells of a slide": (
        many(30, 9, lambda g, i: f"C{g}ThinF_IMG_20150918_14{g:04}_cell_{i}.png"),
        "_', 2)[0]",
        30,
    ),
    "Roboflow's copies": (
        many(60, 3, lambda g, i: f"IMG_{g}_jpg.rf.{hexes(g, i)}.jpg"),
        "path.name.split('.rf.')[0]",
        60,
    ),
    "Roboflow's frames": (
        many(9, 30, lambda g, i: f"cam{g}_mp4-{i}_jpg.rf.{hexes(g, i)}.jpg"),
        "path.name.split('.rf.')[0].rsplit('_', 2)[0]",
        9,
    ),
}


def part_of(rows):
    """Files of these classes and names, in the order in which a folder is listed."""
    rows = sorted(rows, key=lambda row: (str(row[0]), row[1]))
    paths = [ROOT / str(label) / name for label, name in rows]
    labels = object_array(label for label, _ in rows)
    return Part(labels, lambda y: Pictures(paths, y, ROOT), "")


@pytest.mark.parametrize("habit", ORDINARY)
def test_ordinary_names_are_passed_without_a_word(habit):
    assert likely_groups(part_of(ORDINARY[habit])) == []


@pytest.mark.parametrize("habit", GROUPS)
def test_names_that_are_groups_are_said_with_a_line_that_fits_them(habit):
    rows, line, n = GROUPS[habit]
    (note,) = likely_groups(part_of(rows))
    assert note.level == "warn" and line in note.text and f"{n} groups" in note.text


@pytest.mark.parametrize("habit", GROUPS)
def test_the_line_does_what_it_says_when_it_is_pasted(habit):
    rows, _, n = GROUPS[habit]
    paths = [ROOT / str(label) / name for label, name in rows]
    line, key = of_names(paths, [label for label, _ in rows])
    pasted = eval(f"lambda path: {line}")
    assert len({pasted(path) for path in paths}) == n
    assert [pasted(path) for path in paths] == [key(path) for path in paths]


FOLDERS = {
    "patients below a class": ("{c}/patient{g:02}/{i}.png", "path.parent.name"),
    "a zoom below the patient": ("{c}/SOB-{g}/{z}X/{i}.png", "path.parents[1].name"),
    "people above the classes": ("p{g}/{c}/{i}.png", "path.parents[1].name"),
    "people below a split": ("train/{c}/s{g:02}/{i}.png", "path.parent.name"),
    "no folders": ("{i}.png", None),
    "classes": ("{c}/{i}.png", None),
    "numbered classes": ("class{k}/{i}.png", None),
    "kinds of pictures": ("{c}/kind{z}/{i}.png", None),
    "words": ("{c}/{w}/{i}.png", None),
    "chunks": ("images_{g:03}/{c}/{i}.png", None),
    "numbers": ("{c}/{g}/{i}.png", None),
    "days": ("{c}/2024-01-{d:02}/{i}.png", None),
    "folds": ("fold{g}/{c}/{i}.png", None),
    "a folder a picture": ("{c}/p{g}-{k}-{i}/x.png", None),
}


@pytest.mark.parametrize("habit", FOLDERS)
def test_folders_are_groups_only_where_they_are_numbered_and_several_a_class(habit):
    shape, line = FOLDERS[habit]
    rows = [(CLASSES[k], g, k, i) for g in range(12) for k in range(3) for i in range(8)]
    paths = [
        ROOT / shape.format(c=c, g=g, k=k, i=i, d=g + 1, w="abcdefghijkl"[g], z=10 * (1 + i % 4))
        for c, g, k, i in rows
    ]
    found = of_folders(paths, [row[0] for row in rows], ROOT)
    assert (found and found[0]) == line


@pytest.mark.parametrize(
    "header, found",
    [
        (("image", "patient_id", "dx"), "patient_id"),
        (("image", "Lesion ID", "dx"), "Lesion ID"),
        (("image", "person", "dx"), "person"),
        (("image", "video", "dx"), "video"),
        (("image", "scene", "dx"), None),  # more likely the label
        (("image", "split", "dx"), None),
        (("patient_id", "image", "dx"), None),  # each once: the picture's own name
    ],
)
def test_a_column_of_groups_is_known_by_its_name_and_by_recurring(header, found):
    rows = [(f"{n}.png", f"p{n // 4}", "ab"[n % 2]) for n in range(60)]
    assert group_column(header, list(zip(*rows, strict=True))) == found


def test_of_two_columns_of_groups_the_wider_is_named():
    rows = [(f"{n}.png", f"l{n // 2}", f"p{n // 6}") for n in range(60)]
    assert (
        group_column(("image", "lesion_id", "patient_id"), list(zip(*rows, strict=True)))
        == "patient_id"
    )
    assert "group='patient_id'" in column_note("patient_id").text


@pytest.mark.timed
def test_a_large_set_is_judged_by_runs_of_it_and_quickly():
    part = part_of(many(4_000, 5, lambda g, i: f"p{g:05}_{i}.png"))
    start = time.process_time()
    (note,) = likely_groups(part)
    assert isinstance(note, Note) and "4,000 groups" in note.text
    assert time.process_time() - start < 2
