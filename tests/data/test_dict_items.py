"""Items that are dicts: which key is the picture, which the label, and what is asked otherwise."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Subset

from colab_kit.data.batches import BatchLoader
from colab_kit.data.dict_items import of_dicts
from colab_kit.data.preprocess import Preprocess

from ..support.pictures import picture
from .loads import load, refused

NAMES = ["oak", "elm", "ash"]
PICTURES = [Image.new("RGB", (20 + n % 5, 14 + n % 3), (7 * n, 90, 200)) for n in range(18)]


class Hub:
    """As a dataset of Hugging Face is: rows are dicts, and a column is read by its name."""

    def __init__(self, **columns):
        self.columns, self.pictures_read = columns, 0
        self.features = dict.fromkeys(columns)

    def __len__(self):
        return 18

    def __getitem__(self, key):
        if isinstance(key, str):
            return self.columns[key]
        assert type(key) is int
        self.pictures_read += 1
        return {name: column[key] for name, column in self.columns.items()}

    def remove_columns(self, names):
        return Hub(**{name: c for name, c in self.columns.items() if name not in names})


class ClassLabel:
    names = NAMES


LABELS = [n % 3 for n in range(18)]


def bytes_of(image):
    out = io.BytesIO()
    image.save(out, "png")
    return out.getvalue()


@pytest.mark.parametrize(
    ("pictures", "labels"),
    [
        ("image", "label"),
        ("img", "labels"),
        ("Image", "Label"),
        ("pixel_values", "fine_label"),
        ("x", "y"),
        ("scan", "kind"),
    ],
)
def test_picture_and_label_are_found_by_their_names_else_by_their_kind(pictures, labels):
    data = load(Hub(**{pictures: PICTURES, labels: LABELS, "note": [None] * 18}), valid=0)
    assert data.train.labels.tolist() == LABELS
    assert (data.train[5][0] == np.asarray(PICTURES[5])).all()
    assert any(repr(pictures) in note and repr(labels) in note for note in data.notes)


def test_the_labels_are_read_as_a_column_and_named_by_the_dataset():
    hub = Hub(image=3 * PICTURES, label=3 * LABELS)
    hub.features["label"] = ClassLabel()
    assert load(hub).classes == ("oak", "elm", "ash") and hub.pictures_read < 54
    part = load(Subset(hub, range(9)), valid=0)
    assert part.classes == ("oak", "elm", "ash") and part.train.labels.tolist() == LABELS[:9]


def test_an_exact_name_goes_before_one_that_only_holds_the_word():
    hub = Hub(image=PICTURES, image_mask=PICTURES[::-1], label=LABELS, label_source=["web"] * 18)
    data = load(hub, valid=0)
    assert data.train.labels.tolist() == LABELS
    assert (data.train[1][0] == np.asarray(PICTURES[1])).all()


@pytest.mark.parametrize("rows", [False, True])
def test_several_keys_that_fit_are_asked_about_with_lines_that_run(rows):
    hub = Hub(img=PICTURES, fine_label=LABELS, coarse_label=[n % 2 for n in range(18)])
    dataset = list(map(hub.__getitem__, range(18))) if rows else hub
    fix = refused(dataset, "could be the label", "fine_label", "coarse_label").fix
    lines = [part.split(" takes ")[0] for part in fix.split("; ")]
    data = eval(lines[1].replace("kit.load", "load"), {"load": load, "dataset": dataset})
    assert len(data.classes) == 2


def test_dicts_without_a_picture_say_what_they_have():
    refused(Hub(text=["a"] * 18, label=LABELS), "holds a picture", "text (str), label (int)")
    refused(Hub(image=PICTURES), "holds a label")


@pytest.mark.parametrize("form", [bytes_of, lambda image: {"bytes": bytes_of(image), "path": "a"}])
def test_pictures_that_are_not_decoded_yet_are_read(form):
    data = load(Hub(image=list(map(form, PICTURES)), label=LABELS), valid=0)
    assert (data.train[4][0] == np.asarray(PICTURES[4])).all()
    broken = [form(image) for image in PICTURES]
    broken[0] = b"none" if isinstance(broken[0], bytes) else {"bytes": b"none"}
    refused(Hub(image=broken, label=LABELS), "no picture")


def test_dicts_that_name_files_are_those_files(tmp_path):
    paths = [picture(tmp_path / f"{n}.png") for n in range(6)]
    rows = [{"file": str(path), "label": NAMES[n % 3]} for n, path in enumerate(paths)]
    data = load(rows, valid=0)
    assert data.train.paths == paths and data.classes == ("ash", "elm", "oak")


def test_labels_that_are_names_are_numbered():
    data = load(Hub(image=PICTURES, label=[NAMES[n] for n in LABELS]), valid=0)
    assert data.classes == ("ash", "elm", "oak") and data.train.labels[:3].tolist() == [2, 1, 0]
    loader = BatchLoader(data.train, Preprocess(8), batch_size=6, device=torch.device("cpu"))
    assert next(loader.in_order()).y.tolist() == [2, 1, 0] * 2


def test_splits_are_a_dict_of_such_datasets():
    hub = Hub(image=PICTURES, label=LABELS)
    data = load({"train": hub, "validation": hub, "test": hub})
    assert list(data.splits) == ["train", "valid", "test"]


def test_a_collate_that_takes_dicts_is_refused_and_a_plain_loader_is_not():
    hub = Hub(image=PICTURES, label=LABELS)
    refused(DataLoader(hub, collate_fn=list), "own collate", "kit.load(dataset)")
    assert load(DataLoader(hub, batch_size=4)).batch_size == 4


def test_a_picture_that_is_only_a_path_is_that_file(tmp_path):
    paths = [picture(tmp_path / f"{n}.png") for n in range(6)]
    rows = [{"image": {"bytes": None, "path": str(p)}, "label": n % 3} for n, p in enumerate(paths)]
    assert load(rows, valid=0).train.paths == paths


def test_an_item_that_lacks_the_key_is_refused_by_its_number():
    rows = [{"image": p, "label": n} for p, n in zip(PICTURES, LABELS, strict=True)]
    rows[-1] = {"image": PICTURES[0], "lbl": 0}
    refused(rows, str(len(rows) - 1), "'label'", "lbl")


def test_a_first_label_that_nobody_knows_hides_no_key():
    rows = [{"image": p, "label": n} for p, n in zip(PICTURES, LABELS, strict=True)]
    rows[0] = {"image": PICTURES[0], "label": None}
    assert of_dicts(rows).label == "label"


@pytest.mark.parametrize("keys", [("Train", "dev"), ("training", "VAL")])
def test_splits_of_a_dict_may_be_spelt_as_folders_are(keys):
    hub = Hub(image=PICTURES, label=LABELS)
    assert list(load(dict.fromkeys(keys, hub)).splits) == ["train", "valid"]
    refused({"train": hub, keys[0]: hub, "training": hub}, "keys")
