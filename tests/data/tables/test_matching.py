"""Tables, dicts and functions give files their labels, splits and groups: a listing goes in."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from colab_kit.data.tables.matching import LabelRequest, label_files
from colab_kit.errors import DataError

from ...support.pictures import picture
from ..loads import load
from .listings import lay, pasted, read, rows, said

KINDS = ("ash", "elm", "oak")

LEAVES = [f"leaf{n}.png" for n in range(12)]
TRUE = {name: KINDS[n % 3] for n, name in enumerate(LEAVES)}


def table(head, row, mark=","):
    return rows(head, *(row(n, name, TRUE[name]) for n, name in enumerate(LEAVES)))


TABLES = {
    "semicolons": table("pic;kind", lambda n, name, kind: f"{name};{kind}"),
    "tabs, no header": rows(*(f"{name}\t{kind}" for name, kind in TRUE.items())),
    "pipes": table("file|kind", lambda n, name, kind: f"{name}|{kind}"),
    "blanks": rows(*(f"{name} {kind}" for name, kind in TRUE.items())),
    "blanks and a path": rows(*(f"old/pictures/{name}  {kind}" for name, kind in TRUE.items())),
    "comments": rows("# made in May", "#", *(f"{name} {kind}" for name, kind in TRUE.items())),
    "a commented header": table("# file,kind", lambda n, name, kind: f"{name},{kind}"),
    "an index of pandas": table(",file,kind", lambda n, name, kind: f"{11 - n},{name},{kind}"),
    "an index at the end": table("file,kind,index", lambda n, name, kind: f"{name},{kind},{n}"),
    "box and size": table(
        "file,x,y,width,height,kind", lambda n, name, kind: f"{name},{n},1,{30 + n},40,{kind}"
    ),
    "a comma at each end": table("file,kind", lambda n, name, kind: f"{name},{kind},"),
    "stems": table("image_id,kind", lambda n, name, kind: f"{name[:-4]},{kind}"),
    "other endings": table("image,kind", lambda n, name, kind: f"{name[:-4]}.DCM,{kind}"),
    "links": table(
        "url,kind", lambda n, name, kind: f"https://leaves.example/a%20b/{name}?x=1,{kind}"
    ),
    "uploads": table(
        "image,choice,lead_time,annotator",
        lambda n, name, kind: f"/data/upload/7/{n:08x}-{name},{kind},{n}.5,1",
    ),
    "numbers and names": table(
        "class index,file,labels", lambda n, name, kind: f"{n % 3},{name},{kind}"
    ),
    "a number called label": table(
        "Label,Filename,ClassName", lambda n, name, kind: f"{n % 3},{name},{kind}"
    ),
    "one-hot": table(
        "file,ash,elm,oak",
        lambda n, name, kind: name + "".join(f",{int(n % 3 == k)}.0" for k in range(3)),
    ),
    "one-hot with blanks": table(
        "file, ash, elm, oak",
        lambda n, name, kind: name + "".join(", 1" if n % 3 == k else ", " for k in range(3)),
    ),
    "a list of one": table("file,kind", lambda n, name, kind: f"{name},\"['{kind}']\""),
    "a person beside": table(
        "patient_id,file,kind", lambda n, name, kind: f"P{n // 2},{name},{kind}"
    ),
    "free text beside": table(
        "file,remark,kind", lambda n, name, kind: f'{name},"seen {n} times, in June",{kind}'
    ),
    "Windows": table("file,kind", lambda n, name, kind: f".\\pics\\{name},{kind}\r"),
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("asked", [True, False])
def test_a_table_is_understood_whether_it_is_named_or_found(tmp_path, kind, asked):
    listing = lay(tmp_path, {"list.csv": TABLES[kind]}, train=LEAVES)
    out = read(listing, "list.csv" if asked else None)
    assert said(out) == TRUE
    assert any("list.csv" in line for line in out.lines)
    assert asked or any("list.csv" in line for line in out.lines)


BY_KIND = {kind: [name for name in LEAVES if TRUE[name] == kind] for kind in KINDS}
RECORDS = [{"image": name, "kind": kind} for name, kind in TRUE.items()]
JSONS = {
    "records": RECORDS,
    "one key around": {"leaves": RECORDS},
    "file: label": TRUE,
    "file: record": {
        name: {"id": n, "labels": [kind]} for n, (name, kind) in enumerate(TRUE.items())
    },
    "class: files": BY_KIND,
    "class: stems": {kind: [name[:-4] for name in names] for kind, names in BY_KIND.items()},
    "pairs": {"labels": [[name, kind] for name, kind in TRUE.items()]},
    "columns": {"file": list(TRUE), "kind": list(TRUE.values())},
    "columns of pandas": {
        "file": {str(n): name for n, name in enumerate(TRUE)},
        "kind": {str(n): kind for n, kind in enumerate(TRUE.values())},
    },
    "tasks of Label Studio": [
        {
            "id": n,
            "data": {"image": f"/data/upload/1/{n:08x}-{name}"},
            "annotations": [
                {"result": [{"from_name": "choice", "value": {"choices": [kind]}}]},
                {"was_cancelled": True, "result": []},
            ],
        }
        for n, (name, kind) in enumerate(TRUE.items())
    ],
    "COCO": {
        "categories": [
            {"id": 0, "name": "trees"},
            *({"id": 5 + n, "name": k} for n, k in enumerate(KINDS)),
        ],
        "images": [{"id": n, "file_name": name} for n, name in enumerate(LEAVES)],
        "annotations": [{"id": n, "image_id": n, "category_id": 5 + n % 3} for n in range(12)] * 2,
    },
}


@pytest.mark.parametrize("kind", JSONS)
def test_json_is_understood(tmp_path, kind):
    assert said(read(lay(tmp_path, {"list.json": JSONS[kind]}, train=LEAVES), "list.json")) == TRUE


def test_json_lines_and_xml_are_understood(tmp_path):
    lines = rows(*map(json.dumps, RECORDS))
    xml = "".join(f'<image name="a/{n}"><tag label="{k}"/></image>' for n, k in TRUE.items())
    tables = {"list.jsonl": lines, "list.xml": f"<annotations>{xml}</annotations>"}
    for name in tables:
        assert said(read(lay(tmp_path, tables, train=LEAVES), name)) == TRUE


def test_a_count_before_a_short_header_and_minus_one_are_what_celeba_has(tmp_path):
    text = rows(
        "12",
        "Old Tall Wet",
        *(f"{name}  1 {(-1, 1)[n > 9]} {(-1, 1)[n % 2]}" for n, name in enumerate(LEAVES)),
    )
    out = read(lay(tmp_path, {"list_attr.txt": text}, train=LEAVES), "list_attr.txt")
    assert said(out)["leaf0.png"] == ("Old",) and said(out)["leaf1.png"] == ("Old", "Wet")


def test_a_name_of_a_class_may_hold_blanks(tmp_path):
    kinds = ("Boeing 707-320", "A300", "DC 3")
    text = rows(*(f"leaf{n} {kinds[n % 3]}" for n in range(12)))
    out = read(lay(tmp_path, {"variants.txt": text}, train=LEAVES), "variants.txt")
    assert said(out)["leaf0.png"] == kinds[0] and said(out)["leaf2.png"] == kinds[2]


def test_rows_with_a_comma_too_many_keep_their_label_or_lose_it_with_a_word(tmp_path):
    lines = [f"leaf{n}.png,{TRUE[f'leaf{n}.png']},a leaf" for n in range(12)]
    lines[3] += ", in May"  # at the end: the label stands where it should
    lines[4] = "leaf4.png, big,elm,a leaf"  # before the label: the cells have shifted
    out = read(lay(tmp_path, {"t.csv": rows("file,species,title", *lines)}, train=LEAVES), "t.csv")
    assert said(out)["leaf3.png"] == "ash" and said(out)["leaf4.png"] is None
    assert any(note.level == "warn" for note in out.notes)


@pytest.mark.parametrize(
    ("cells", "task", "label"),
    [
        (("a|b", "a", "b"), None, ("a", "b")),
        (("a b", "a", "b"), None, ("a", "b")),
        (("a, b", "a", "b"), None, ("a", "b")),
        (("red fox", "grey fox", "owl"), None, "red fox"),
        (("tench, Tinca tinca", "goldfish, Carassius", "owl"), None, "tench, Tinca tinca"),
        (("['a', 'b']", "['a']", "[]"), None, ("a", "b")),
        (("1,5", "2,25", "-"), None, 1.5),
        (("1.5", "2.0", "nan"), None, 1.5),
        (("3", "4", "N/A"), "regression", 3.0),
        (("1.0", "2.0", "3.0"), None, "1"),
        (("00001", "00002", "00003"), None, "00001"),
        (("3.2 kg", "4 kg", ""), None, 3.2),
        (("12 mm", "14 mm", "12 mm"), None, "12 mm"),
    ],
)
def test_cells_become_names_several_names_or_numbers(tmp_path, cells, task, label):
    text = rows("file;cell", *(f'{name};"{cells[n % 3]}"' for n, name in enumerate(LEAVES)))
    out = read(lay(tmp_path, {"t.csv": text}, train=LEAVES), "t.csv", task=task)
    assert said(out)["leaf0.png"] == label and type(said(out)["leaf0.png"]) is type(label)


def test_cells_with_a_bar_that_could_be_one_name_are_asked_about(tmp_path):
    text = rows("file,cell", *(f"{name},k{n % 3}|m{n % 3}" for n, name in enumerate(LEAVES)))
    listing = lay(tmp_path, {"t.csv": text}, train=LEAVES)
    with pytest.raises(DataError) as error:
        read(listing, "t.csv")
    assert said(read(listing, **pasted(error)))


def test_several_plausible_columns_are_asked_about_with_lines_that_run(tmp_path):
    text = table("file,habitat,colour", lambda n, name, kind: f"{name},h{n % 2},{kind}")
    listing = lay(tmp_path, {"it's.csv": text}, train=LEAVES)
    for labels in ("it's.csv", None):
        with pytest.raises(DataError) as error:
            read(listing, labels)
        assert error.value.fix.count("kit.load(") == 2
        assert set(said(read(listing, **pasted(error))).values()) == {"h0", "h1"}
        assert said(read(listing, "it's.csv", label_column="Colour")) == TRUE
        assert said(read(listing, "it's.csv", label_column=2)) == TRUE
    with pytest.raises(DataError) as error:
        read(listing, "it's.csv", label_column="color")
    assert said(read(listing, **pasted(error))) == TRUE
    with pytest.raises(DataError) as error:
        read(listing, "it's.csv", label_column="file", file_column="file")
    assert said(read(listing, **pasted(error)))


def test_a_column_of_groups_is_never_the_label(tmp_path):
    text = rows("file,patient_id", *(f"{name},P{n // 4}" for n, name in enumerate(LEAVES)))
    listing = lay(tmp_path, {"t.csv": text}, train=LEAVES)
    with pytest.raises(DataError) as error:
        read(listing, "t.csv")
    assert set(said(read(listing, **pasted(error))).values()) == {"P0", "P1", "P2"}


def test_groups_come_of_a_column(tmp_path):
    text = rows(
        "file,kind,patient_id", *(f"{name},{TRUE[name]},P{n // 4}" for n, name in enumerate(LEAVES))
    )
    listing = lay(tmp_path, {"t.csv": text}, train=LEAVES)
    groups = {name: f"P{n // 4}" for n, name in enumerate(LEAVES)}
    out = read(listing, "t.csv", group="patient_id")
    assert [file.group for file in out.splits["train"]] == list(groups.values())
    with pytest.raises(DataError):
        read(listing, "t.csv", group="person")


def test_two_columns_of_numbers_that_both_name_files_are_asked_about(tmp_path):
    names = [f"{n}.png" for n in range(12)]
    text = rows("a,b,kind", *(f"{n},{11 - n},{KINDS[n % 3]}" for n in range(12)))
    listing = lay(tmp_path, {"t.csv": text}, train=names)
    with pytest.raises(DataError) as error:
        read(listing, "t.csv")
    assert said(read(listing, **pasted(error)))["0.png"] == "ash"
    assert said(read(listing, "t.csv", file_column="b"))["0.png"] == KINDS[11 % 3]


SPLIT_COLUMNS = {
    "split": ("train", "val", "test"),
    "Usage": ("Training", "PublicTest", "PrivateTest"),
    "data set": ("train", "valid", "test"),
    "partition": ("0", "1", "2"),
    "subset": ("TRAIN", "DEV", "TEST"),
}


@pytest.mark.parametrize("name", SPLIT_COLUMNS)
def test_a_column_of_splits_is_followed_and_said(tmp_path, name):
    cells = SPLIT_COLUMNS[name]
    text = rows(
        f"file,kind,{name}",
        *(f"{one},{TRUE[one]},{cells[max(0, n - 9)]}" for n, one in enumerate(LEAVES)),
    )
    out = read(lay(tmp_path, {"t.csv": text}, train=LEAVES), "t.csv")
    assert {split: len(files) for split, files in out.splits.items()} == {
        "train": 10,
        "valid": 1,
        "test": 1,
    }
    assert list(said(out, "test")) == ["leaf11.png"] and any(name in line for line in out.lines)


@pytest.mark.parametrize(
    ("name", "cells", "split"),
    [
        ("is_valid", ("False", "True"), "valid"),
        ("is_test", ("0", "1"), "test"),
        ("is_train", ("1", "0"), "test"),
        ("is_training_image", ("1", "0"), "test"),
    ],
)
def test_a_column_of_yes_and_no_is_a_split(tmp_path, name, cells, split):
    text = rows(
        f"file,kind,{name}", *(f"{one},{TRUE[one]},{cells[n > 8]}" for n, one in enumerate(LEAVES))
    )
    out = read(lay(tmp_path, {"t.csv": text}, train=LEAVES), "t.csv")
    assert len(out.splits["train"]) == 9 and len(out.splits[split]) == 3


def test_a_fold_is_no_split_and_no_label(tmp_path):
    text = table("file,fold,kind", lambda n, name, kind: f"{name},{n % 2},{kind}")
    out = read(lay(tmp_path, {"t.csv": text}, train=LEAVES), "t.csv")
    assert said(out) == TRUE and list(out.splits) == ["train"]


IN_FOLDERS = [(f"images/{TRUE[name]}/{name}", TRUE[name]) for name in LEAVES]
LISTS = {
    "names": {
        "train.txt": rows(*(name for name, _ in IN_FOLDERS[:8])),
        "test.txt": rows(*(name for name, _ in IN_FOLDERS[8:])),
    },
    "below the folder, without ending": {
        "meta/train.txt": rows(*(name[7:-4] for name, _ in IN_FOLDERS[:8])),
        "meta/test.txt": rows(*(name[7:-4] for name, _ in IN_FOLDERS[8:])),
        "meta/labels.txt": rows(*KINDS),
    },
    "with numbers": {
        "train_list.txt": rows(*(f"{name} {KINDS.index(k)}" for name, k in IN_FOLDERS[:8])),
        "test_list.txt": rows(*(f"{name} {KINDS.index(k)}" for name, k in IN_FOLDERS[8:])),
    },
    "trainval beside train": {
        "trainval.txt": rows(*(name for name, _ in IN_FOLDERS[:8])),
        "test.txt": rows(*(name for name, _ in IN_FOLDERS[8:])),
    },
    "numbers of files": {
        "images.txt": rows(*(f"{n + 1} {name[7:]}" for n, (name, _) in enumerate(IN_FOLDERS))),
        "image_class_labels.txt": rows(*(f"{n + 1} {n % 3 + 1}" for n in range(12))),
        "train_test_split.txt": rows(*(f"{n + 1} {int(n < 8)}" for n in range(12))),
        "classes.txt": rows(*(f"{n + 1} {kind}" for n, kind in enumerate(KINDS))),
    },
    "a partition": {
        "list_eval_partition.txt": rows(
            *(f"{name} {2 * (n > 7)}" for n, (name, _) in enumerate(IN_FOLDERS))
        )
    },
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists_beside_class_folders_are_the_publishers_split(tmp_path, kind):
    out = read(lay(tmp_path, LISTS[kind], train=IN_FOLDERS))
    assert said(out) == dict(IN_FOLDERS[:8]) and said(out, "test") == dict(IN_FOLDERS[8:])
    assert out.lines


def test_lists_that_overlap_are_not_followed_and_it_is_said(tmp_path):
    tables = {name: rows(*(name for name, _ in IN_FOLDERS)) for name in ("train.txt", "test.txt")}
    out = read(lay(tmp_path, tables, train=IN_FOLDERS))
    assert list(out.splits) == ["train"] and any(note.level == "warn" for note in out.notes)


def test_pictures_that_no_list_names_are_left_out_and_counted(tmp_path):
    tables = {
        "train.txt": rows(*(name for name, _ in IN_FOLDERS[:7])),
        "test.txt": rows(*(name for name, _ in IN_FOLDERS[8:])),
    }
    out = read(lay(tmp_path, tables, train=IN_FOLDERS))
    assert len(out.splits["train"]) == 7 and any("1 picture" in note.text for note in out.notes)


def test_lists_that_say_split_and_class_give_both(tmp_path):
    names = [f"images/{('Main_Coon', 'beagle', 'Sphynx')[n % 3]}_{n}.jpg" for n in range(12)]
    lines = [f"{name[7:-4]} {n % 3 + 1} {n % 2 + 1} {n % 4 + 1}" for n, name in enumerate(names)]
    tables = {
        "annotations/list.txt": rows("#Image CLASS SPECIES BREED ID", "# 1:Cat", *lines),
        "annotations/trainval.txt": rows(*lines[:8]),
        "annotations/test.txt": rows(*lines[8:]),
    }
    out = read(lay(tmp_path, tables, train=names))
    assert len(said(out)) == 8 and len(said(out, "test")) == 4
    assert set(said(out).values()) == {"Main_Coon", "beagle", "Sphynx"}


def test_a_table_in_each_split_means_the_files_beside_it(tmp_path):
    splits = {
        "train": [f"train/{n}.png" for n in range(6)],
        "test": [f"test/{n}.png" for n in range(3)],
    }
    for name, line in (
        ("metadata.csv", lambda n, kind: f"{n}.png,{kind}"),
        ("metadata.jsonl", lambda n, kind: json.dumps({"file_name": f"{n}.png", "label": kind})),
    ):
        head = [] if name.endswith("l") else ["file_name,label"]
        tables = {
            f"train/{name}": rows(*head, *(line(n, KINDS[n % 3]) for n in range(6))),
            f"test/{name}": rows(*head, *(line(n, KINDS[2 - n]) for n in range(3))),
        }
        out = read(lay(tmp_path / name, tables, **splits))
        assert said(out)["train/0.png"] == "ash" and said(out, "test")["test/0.png"] == "oak"


def test_a_row_that_could_mean_two_files_means_the_one_of_train_or_of_its_own_split(tmp_path):
    splits = {split: [f"{split}/{n}.png" for n in range(6)] for split in ("train", "test")}
    for name, split in (("labels.csv", "train"), ("train.csv", "train"), ("test.csv", "test")):
        text = rows("id,kind", *(f"{n},{KINDS[n % 3]}" for n in range(6)))
        out = read(lay(tmp_path / name, {name: text}, **splits), name)
        other = {"train": "test", "test": "train"}[split]
        assert None not in said(out, split).values()
        assert set(said(out, other).values()) == {None}


def test_a_table_of_train_says_nothing_of_test_pictures_of_the_same_name(tmp_path):
    names = {split: [f"{split}/{n}.png" for n in range(6)] for split in ("train", "test")}
    text = rows("id,kind", *(f"{n},{KINDS[n % 3]}" for n in range(6)))
    listing = lay(tmp_path, {"labels.csv": text}, train=names["test"])
    others = tuple(tmp_path / name for name in names["train"])
    request = LabelRequest("labels.csv", split="test", others=others)
    assert set(said(label_files(listing, request)).values()) == {None}
    by_folder = lay(tmp_path / "more", {}, train=[("elm/a.png", "elm")])
    assert said(label_files(by_folder, request)) == {"elm/a.png": "elm"}


def test_labels_of_test_pictures_in_no_folder_come_of_a_table_that_agrees(tmp_path):
    train = [(f"train/0000{n % 3}/{n}.png", f"0000{n % 3}") for n in range(6)]
    tables = {
        "GT-final.csv": rows("Filename;Width;ClassId", *(f"t{n}.png;3{n};{n}" for n in range(3)))
    }
    out = read(lay(tmp_path, tables, train=train, test=[f"test/t{n}.png" for n in range(3)]))
    assert list(said(out, "test").values()) == ["00000", "00001", "00002"] and out.lines
    words = rows("Id,Text", *(f"v{n},n0000{n % 2} 85 1 499" for n in range(4)))
    train = [(f"train/n0000{n % 2}/{n}.png", f"n0000{n % 2}") for n in range(6)]
    valid = [f"val/v{n}.png" for n in range(4)]
    out = read(lay(tmp_path / "b", {"solution.csv": words}, train=train, valid=valid))
    assert said(out, "valid")["val/v1.png"] == "n00001"
    strange = words.replace("n00001", "n00009")
    out = read(lay(tmp_path / "c", {"solution.csv": strange}, train=train, valid=valid))
    assert set(said(out, "valid").values()) == {None}


def test_answer_sheets_are_never_labels(tmp_path):
    text = rows("file,kind", *(f"{name},ash" for name in LEAVES))
    out = read(lay(tmp_path, {"sample_submission.csv": text}, train=LEAVES), source=None)
    assert set(said(out).values()) == {None}


def test_two_tables_that_fit_as_well_are_asked_about(tmp_path):
    tables = {
        "kinds.csv": table("file,kind", lambda n, name, kind: f"{name},{kind}"),
        "places.csv": table("file,place", lambda n, name, kind: f"{name},p{n % 2}"),
    }
    listing = lay(tmp_path, tables, train=LEAVES)
    with pytest.raises(DataError) as error:
        read(listing)
    assert said(read(listing, **pasted(error))) == TRUE
    same = tables | {"places.csv": tables["kinds.csv"]}
    assert said(read(lay(tmp_path, same, train=LEAVES))) == TRUE


MAPS = {
    "map.json": {str(n): kind for n, kind in enumerate(KINDS)},
    "class_to_idx.json": {kind: n for n, kind in enumerate(KINDS)},
    "classes.txt": rows(*(f"{n} {kind}" for n, kind in enumerate(KINDS))),
    "labels.txt": rows(*KINDS),
    "class_dict.csv": rows("class_index,class", *(f"{n},{kind}" for n, kind in enumerate(KINDS))),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_map_of_names_beside_the_table_is_used_and_said(tmp_path, name):
    text = table("file,label", lambda n, name, kind: f"{name},{n % 3}")
    tables = {"t.csv": text, name: MAPS[name]}
    out = read(lay(tmp_path, tables, train=LEAVES), "t.csv")
    assert said(out) == TRUE and any(name in line for line in out.lines)
    named = read(lay(tmp_path, tables, train=LEAVES), "t.csv", named=True)
    assert said(named)["leaf1.png"] == "1"
    two = tables | {"names.json": {"0": "x", "1": "y", "2": "z"}}
    assert said(read(lay(tmp_path, two, train=LEAVES), "t.csv"))["leaf1.png"] == "1"


NAMES = {
    "dots": [f"{('cat', 'dog')[n % 2]}.{n}.jpg" for n in range(12)],
    "numbers": [f"{('cloudy', 'shine')[n % 2]}{n}.jpg" for n in range(12)],
    "bars": [f"{('Great_Dane', 'pug')[n % 2]}_{n}.jpg" for n in range(12)],
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_class_in_the_names_is_shown_as_a_line_that_reads_it(tmp_path, kind):
    listing = lay(tmp_path, {}, train=NAMES[kind], test=["1.jpg", "2.jpg"])
    with pytest.raises(DataError) as error:
        read(listing)
    function = eval(error.value.fix[error.value.fix.index("lambda") : -1])
    out = read(listing, function)
    assert len(set(said(out).values())) == 2 and set(said(out, "test").values()) == {None}


@pytest.mark.parametrize("form", ["IMG_{n}.jpg", "{n}.jpg", "{n:08x}.jpg", "image{n}.png"])
def test_names_that_only_count_are_no_classes(tmp_path, form):
    listing = lay(tmp_path, {}, train=[form.format(n=n) for n in range(2000, 2012)])
    assert set(said(read(listing)).values()) == {None}


def test_a_function_need_not_know_test_pictures(tmp_path):
    train = [f"train/{kind}.{n}.jpg" for kind in KINDS for n in range(3)]
    listing = lay(tmp_path, {}, train=train, test=["test/1.jpg", "test/2.jpg"])
    for function in (
        lambda path: path.name.split(".")[0],
        lambda path: path.stem.split(".")[0] if path.stem[1].isalpha() else None,
    ):
        out = read(listing, function)
        assert set(said(out).values()) == set(KINDS) and set(said(out, "test").values()) == {None}
    with pytest.raises(DataError):
        read(listing, lambda path: 1 / 0)


def test_floats_of_a_function_stay_numbers(tmp_path):
    out = read(
        lay(tmp_path, {}, train=["1_a.jpg", "20_b.jpg"]),
        lambda path: float(path.name.split("_")[0]),
    )
    assert said(out) == {"1_a.jpg": 1.0, "20_b.jpg": 20.0}


def test_a_row_a_label_is_put_together_where_several_are_asked_for(tmp_path):
    text = rows(
        "file,label", *(f"{name},{label}" for name in LEAVES for label in ("ash tree", "elm"))
    )
    listing = lay(tmp_path, {"t.csv": text}, train=LEAVES)
    with pytest.raises(DataError) as error:
        read(listing, "t.csv")
    assert "task='multilabel'" in error.value.fix
    assert said(read(listing, "t.csv", task="multilabel"))["leaf0.png"] == ("ash tree", "elm")


def test_a_column_that_is_named_wins_over_class_folders(tmp_path):
    text = table("file,kind", lambda n, name, kind: f"{name},{kind}")
    train = [(f"batch{n % 2}/{name}", f"batch{n % 2}") for n, name in enumerate(LEAVES)]
    out = read(lay(tmp_path, {"t.csv": text}, train=train), label_column="kind")
    assert list(said(out).values()) == list(TRUE.values())
    with pytest.raises(DataError):
        read(lay(tmp_path, {}, train=train), label_column="kind")


def test_numbers_take_the_names_of_the_folders_that_say_the_same(tmp_path):
    lines = rows(*(f"art/{kind}/{name} {KINDS.index(kind)}" for name, kind in TRUE.items()))
    train = [f"{kind}/{name}" for name, kind in TRUE.items()]
    listing = lay(tmp_path, {"list.txt": lines}, train=train)
    assert set(said(read(listing, "list.txt")).values()) == set(KINDS)
    assert set(said(read(listing, "list.txt", named=True)).values()) == {"0", "1", "2"}


def test_lists_outside_the_folder_of_pictures_are_read_together(tmp_path):
    lay(
        tmp_path,
        {
            f"real_{split}.txt": rows(
                *(f"real/{k}/{n} {KINDS.index(k)}" for n, k in list(TRUE.items())[part])
            )
            for split, part in (("train", slice(0, 9)), ("test", slice(9, 12)))
        },
    )
    listing = lay(tmp_path / "real", {}, train=[f"{k}/{n}" for n, k in TRUE.items()])
    out = read(listing, tmp_path / "real_train.txt")
    assert len(said(out)) == 9 and list(said(out, "test").values()) == list(KINDS)


def test_a_large_table_is_matched_by_look_ups(tmp_path):
    names = [f"a{n % 50}/img_{n}.jpg" for n in range(20_000)]
    for cell in (str, lambda name: name.split("/")[1], lambda name: f"/old/place/{name[:-4]}"):
        text = rows("id,label,width", *(f"{cell(n)},{n[:3]},7" for n in reversed(names)))
        out = read(lay(tmp_path, {"t.csv": text}, train=names), "t.csv")
        assert all(name[:3] == label for name, label in said(out).items())


def test_a_table_that_is_not_there_shows_those_that_are(tmp_path):
    listing = lay(tmp_path, {"meta/labels.csv": TABLES["semicolons"]}, train=LEAVES)
    with pytest.raises(DataError) as error:
        read(listing, "label.csv")
    assert said(read(listing, **pasted(error))) == TRUE


def test_of_several_foldings_the_first_is_followed_and_said(tmp_path):
    files = [(f"{kind}/{n}.png", kind) for kind in KINDS for n in range(6)]
    names = [name for name, _ in files]
    lists = {}
    for fold in range(1, 4):
        for at, split in enumerate(("train", "val", "test")):
            lists[f"sets/{split}{fold}.txt"] = rows(*names[(at + fold) % 3 :: 3])
    out = read(lay(tmp_path, lists, train=files))
    assert [len(of) for of in out.splits.values()] == [6, 6, 6]
    assert sorted(said(out)) == sorted(names[1::3])
    assert any("train1.txt" in line and "3" in line for line in out.lines)


def test_labels_with_blanks_whose_parts_are_labels_too_are_asked_about(tmp_path):
    cells = ["rust", "rust leaf_spot", "sound"] * 4
    text = rows("file,kind", *(f"{n},{cell}" for n, cell in zip(LEAVES, cells, strict=True)))
    with pytest.raises(DataError) as caught:
        read(lay(tmp_path, {"list.csv": text}, train=LEAVES), "list.csv")
    assert pasted(caught) == {"labels": "list.csv", "task": "multilabel"}


def test_a_name_with_blanks_stays_a_class_and_it_is_said_if_it_holds_another(tmp_path):
    for cells, notes in ((["oak", "red oak", "elm"], 1), (["red oak", "pin oak", "elm"], 0)):
        pairs = zip(LEAVES, cells * 4, strict=True)
        text = rows("file,kind", *(f"{name},{cell}" for name, cell in pairs))
        out = read(lay(tmp_path, {"list.csv": text}, train=LEAVES), "list.csv")
        assert set(said(out).values()) == set(cells)
        assert len(out.notes) == notes


@pytest.mark.parametrize("column", ["Confidence", "verified", "is_present"])
def test_a_row_that_says_no_gives_no_label(tmp_path, column):
    text = rows(
        f"file,kind,{column}",
        *(f"{name},{kind},{int(TRUE[name] == kind)}" for name in LEAVES for kind in KINDS),
    )
    out = read(lay(tmp_path, {"list.csv": text}, train=LEAVES), "list.csv")
    assert said(out) == TRUE
    assert any(column in line for line in out.lines)


@pytest.mark.parametrize(
    "row", ["{name},{a},{b},{c},{d},{kind}", "{name},{kind},{a},{b},{c},{d}"], ids=["last", "first"]
)
def test_corners_of_a_box_without_a_header_are_no_label(tmp_path, row):
    cells = ({"a": 5 + n // 3, "b": 7 + n // 2, "c": 90, "d": 80 + n} for n in range(12))
    pairs = zip(LEAVES, cells, strict=True)
    text = rows(
        *(row.format(name=name, kind=n % 3 + 1, **box) for n, (name, box) in enumerate(pairs))
    )
    out = read(lay(tmp_path, {"list.csv": text}, train=LEAVES), "list.csv")
    assert said(out) == {name: str(n % 3 + 1) for n, name in enumerate(LEAVES)}


def test_tables_that_were_read_are_not_left_out(tmp_path):
    tables = {
        "list.csv": table("file,label", lambda n, name, kind: f"{name},{n % 3}"),
        "classes.txt": rows(*KINDS),
        "train.txt": rows(*LEAVES[:8]),
        "test.txt": rows(*LEAVES[8:]),
        "other.csv": rows("a,b", "1,2"),
    }
    listing = lay(tmp_path, tables, train=LEAVES)
    out = read(replace(listing, others=listing.tables))
    assert said(out) == {name: TRUE[name] for name in LEAVES[:8]}
    assert [path.name for path in out.others] == ["other.csv"]


def test_capitals_are_folded_where_no_name_is_exact(tmp_path):
    text = table("file,kind", lambda n, name, kind: f"{name.upper()},{kind}")
    assert said(read(lay(tmp_path, {"list.csv": text}, train=LEAVES), "list.csv")) == TRUE
    upper = [name.upper() for name in LEAVES]
    text = table("file,kind", lambda n, name, kind: f"{name[:-4]},{kind}")
    assert None not in said(read(lay(tmp_path, {"l.csv": text}, train=upper), "l.csv")).values()


CONFUSABLES = {
    "other files": rows("file,kind", *(f"moss{n}.png,{KINDS[n % 3]}" for n in range(9))),
    "a header alone": rows("file,kind"),
    "nothing": "",
}


@pytest.mark.parametrize("kind", CONFUSABLES)
@pytest.mark.parametrize("asked", [True, False])
def test_a_table_that_names_none_of_the_pictures_is_named(tmp_path, kind, asked):
    listing = lay(tmp_path, {"train.csv": CONFUSABLES[kind]}, train=LEAVES)
    with pytest.raises(DataError) as caught:
        read(listing, "train.csv" if asked else None)
    assert "train.csv" in str(caught.value) and caught.value.fix


@pytest.mark.parametrize(
    "text", ["[" * 1_000_000, '{"a": "' + "b" * 1_000_000 + '"}', "b" * 1_000_000]
)
@pytest.mark.parametrize("name", ["one.json", "one.csv"])
def test_a_line_of_a_million_letters_is_refused_shortly(tmp_path, name, text):
    with pytest.raises(DataError) as caught:
        read(lay(tmp_path, {name: text}, train=LEAVES), name)
    assert len(str(caught.value)) < 1500


def test_a_file_named_twice_with_one_label_has_it(tmp_path):
    text = table("file,kind", lambda n, name, kind: f"{name},{kind}\n{name},{kind}")
    assert said(read(lay(tmp_path, {"list.csv": text}, train=LEAVES), "list.csv")) == TRUE


def test_a_list_of_train_and_valid_together_says_less_than_each(tmp_path):
    parts = {"train": LEAVES[:6], "trainval": LEAVES[:9], "val": LEAVES[6:9], "test": LEAVES[9:]}
    lists = {
        f"kind_{split}.txt": rows(*(f"{name} {TRUE[name]}" for name in names))
        for split, names in parts.items()
    }
    out = read(lay(tmp_path, lists, train=LEAVES), "kind_train.txt")
    assert [len(of) for of in out.splits.values()] == [6, 3, 3]
    assert {**said(out), **said(out, "valid"), **said(out, "test")} == TRUE


@pytest.mark.parametrize(
    ("rows", "asked"),
    [
        (("cat", "dog", "cow", "dog", "cat", "cow"), True),  # the folders only store
        (("cat", "cat", "cat", "dog", "dog", "dog"), False),  # they say the same
        (("pet", "pet", "pet", "pet", "pet", "pet"), False),  # a wider class
        (("lab", "pug", "lab", "tabby", "lion", "tabby"), False),  # kinds of each class
    ],
)
def test_a_table_that_contradicts_the_folders_is_a_question(tmp_path, rows, asked):
    cells = [f"{number}.png,{label}" for number, label in enumerate(rows)]
    for number in range(6):
        picture(tmp_path / "pets" / ("a", "b")[number // 3] / f"{number}.png", seed=number)
    (tmp_path / "pets" / "labels.csv").write_text("\n".join(["file,label", *cells]))
    if not asked:
        assert load(tmp_path / "pets").classes == ("a", "b")
        return
    with pytest.raises(DataError) as caught:
        load(tmp_path / "pets")
    kit = SimpleNamespace(load=load)
    calls = re.findall(r"kit\.load\(.+?\)(?= –|$)", caught.value.fix)
    classes = [eval(call, {"kit": kit}).classes for call in calls]
    assert classes == [("cat", "cow", "dog"), ("a", "b")]
