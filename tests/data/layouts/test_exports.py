"""What annotation tools and hubs export: a file of labels in the form of the tool."""

import io
import json
import tarfile
from itertools import count

import pytest
from PIL import Image

from tests.support.layouts import (
    Layout,
    Want,
    cases,
    check,
    junk,
    layout,
    lines,
    packed,
    picture,
    pixels,
)

SHELF: list[Layout] = []
KINDS = ("bird", "cat", "dog")
SPLITS = (("train", 5), ("valid", 2), ("test", 2))
ONE_EACH = (
    Want(KINDS, 5, valid=2, test=2),
    Want(KINDS, 5, valid=2, test=2, task="multilabel", labels=tuple({kind} for kind in KINDS)),
)
PAIRS = ({"bird"}, {"bird", "cat"}, {"cat", "dog"})
PAIRED = Want(KINDS, 5, valid=2, test=2, task="multilabel", labels=PAIRS)


def hashed(split: str, n: int, i: int) -> str:
    """A file name as Roboflow writes it."""
    return f"IMG_{n}{i}_jpg.rf.{abs(hash((len(split), n, i))) % 16**12:012x}{n}{i}.jpg"


# --- Roboflow ---


@layout(
    SHELF,
    "Roboflow's Multi-Label Classification export: _classes.csv a split, “filename, bird, cat”",
    'kit.load("pets.v1i.multiclass<end>")',
    lambda end, pairs: PAIRED if pairs else ONE_EACH,
    spellings={
        "one each": {"end": "", "pairs": False},
        "one each, zip": {"end": ".zip", "pairs": False},
        "several": {"end": "", "pairs": True},
    },
)
def roboflow_multiclass(here, end, pairs):
    top = here / "pets.v1i.multiclass"
    for split, many in SPLITS:
        rows = []
        for n, kinds in enumerate(PAIRS if pairs else [{kind} for kind in KINDS]):
            for name in (hashed(split, n, i) for i in range(many)):
                picture(top / split / name, n)
                rows.append(", ".join([name, *(str(int(kind in kinds)) for kind in KINDS)]))
        lines(top / split / "_classes.csv", "filename, bird, cat, dog", *rows)
    lines(top / "README.roboflow.txt", "", "pets - v1")
    if end:
        packed(top, inside=False)


# --- Label Studio ---

STUDIO = "/data/upload/3/{tag}-{i}.png"


def studio(here, uploaded):
    """Tasks as it exports them; the pictures bear its names, or those they were uploaded with."""
    records = []
    for i in range(15):
        tag = ("056cc710", "b22f6e86")[i % 2]
        picture(here / "photos" / (f"{tag}-{i}.png" if uploaded else f"{i}.png"), i % 3)
        records.append({"image": STUDIO.format(tag=tag, i=i), "id": 40 - i, "choice": KINDS[i % 3]})
        records[-1] |= {"annotator": 1, "annotation_id": i + 1, "lead_time": 4.288}
        records[-1] |= {"created_at": "2024-05-14T09:10:11.1Z"}
    rows = (",".join(map(str, record.values())) for record in records)
    lines(here / "project-3.csv", ",".join(records[0]), *rows)
    lines(here / "project-3.json", json.dumps(records, indent=2))


NAMES = {"its names": {"uploaded": True}, "own names": {"uploaded": False}}


@layout(
    SHELF,
    "Label Studio's JSON-MIN export (label_studio_converter): /data/upload/3/056cc710-0.png",
    'kit.load("photos", labels="project-3.json")',
    Want(KINDS, 5),
    spellings=NAMES,
)
def label_studio_json(here, uploaded):
    studio(here, uploaded)


@layout(
    SHELF,
    "Label Studio's CSV export (label_studio_converter): the hash before each name, choice",
    'kit.load("photos", labels="project-3.csv"<more>)',
    Want(KINDS, 5),
    spellings={
        "its names": {"uploaded": True, "more": ""},
        "own names": {"uploaded": False, "more": ""},
        "column": {"uploaded": False, "more": ', label_column="choice", file_column="image"'},
    },
    further=True,
)
def label_studio_csv(here, uploaded, more):
    studio(here, uploaded)


# --- hubs ---


@layout(
    SHELF,
    "Hugging Face ImageFolder: metadata.jsonl a split, file_name below it, 0000.png in both",
    'kit.load("my_dataset")',
    Want(KINDS, 5, test=2),
    spellings={
        "label": {"key": "label", "valid": False},
        "category": {"key": "category", "valid": False},
    },
)
def hf_metadata_jsonl(here, key, valid):
    top = here / "my_dataset"
    for split, many in (("train", 5), ("test", 2)):
        rows = []
        for i in range(3 * many):
            n = (i + (split == "test")) % 3
            picture(top / split / f"{i:04d}.png", n)
            rows.append(json.dumps({"file_name": f"{i:04d}.png", key: KINDS[n]}))
        lines(top / split / "metadata.jsonl", *rows)
    lines(top / "README.md", "---", "license: mit", "---")
    junk(top / ".gitattributes")


def jpeg(n: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels(n)).save(out, "JPEG", quality=95)
    return out.getvalue()


LEAVES = ("angular_leaf_spot", "bean_rust", "healthy")


@layout(
    SHELF,
    "Hugging Face parquet shards (beans): image {bytes, path}, ClassLabel names in the schema",
    'kit.load("<typed>")',
    lambda typed, named: Want(LEAVES if named else ("0", "1", "2"), 6, valid=2, test=2),
    spellings={
        "folder": {"typed": "beans", "named": True},
        "data folder": {"typed": "beans/data", "named": True},
        "no names": {"typed": "beans", "named": False},
    },
)
def hf_parquet(here, typed, named):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    names = {"label": {"names": LEAVES, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    shards = {"train-00000-of-00002": 3, "train-00001-of-00002": 3}
    shards |= {"validation-00000-of-00001": 2, "test-00000-of-00001": 2}
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for shard, many in shards.items():
        labels = [n for n in range(3) for _ in range(many)]
        rows = [{"bytes": jpeg(n), "path": f"{i}.jpg"} for i, n in enumerate(labels)]
        table = pa.table({"image": pa.array(rows, struct), "label": pa.array(labels, pa.int64())})
        if named:
            told = json.dumps({"info": {"features": names}})
            table = table.replace_schema_metadata({"huggingface": told})
        path = here / "beans" / "data" / f"{shard}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    lines(here / "beans" / "README.md", "---", "dataset_info:", "---")


@layout(
    SHELF,
    "WebDataset (github.com/webdataset/webdataset): 000000.jpg beside 000000.cls in each shard",
    'kit.load("shards")',
    Want(("0", "1", "2"), 6),
    spellings={"train": {"stem": "train-{:06d}.tar"}, "plain": {"stem": "{:05d}.tar"}},
)
def webdataset(here, stem):
    (here / "shards").mkdir()
    number = count()
    for shard in range(2):
        with tarfile.open(here / "shards" / stem.format(shard), "w") as tar:
            for i in (next(number) for _ in range(9)):
                for ending, body in (("cls", str(i % 3).encode()), ("jpg", jpeg(i % 3))):
                    info = tarfile.TarInfo(f"{i:06d}.{ending}")
                    info.size = len(body)
                    tar.addfile(info, io.BytesIO(body))


# --- further: boxes and tags ---


@layout(
    SHELF,
    "CVAT for images 1.1 (docs.cvat.ai): annotations.xml of <image name><tag label/></image>",
    "kit.load(<typed>)",
    Want(KINDS, 5),
    spellings={
        "folder": {"typed": '"task_pets"'},
        "labels": {"typed": '"task_pets/images", labels="task_pets/annotations.xml"'},
    },
    further=True,
)
def cvat_images(here, typed):
    told = []
    for i in range(15):
        name = f"frame_{i:06d}.jpg"
        picture(here / "task_pets" / "images" / name, i % 3)
        told.append(f'  <image id="{i}" name="{name}" width="16" height="16">')
        told.append(f'    <tag label="{KINDS[i % 3]}" source="manual"></tag>\n  </image>')
    head = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>"]
    labels = "".join(f"<label><name>{kind}</name></label>" for kind in reversed(KINDS))
    meta = f"  <meta><task><name>pets</name><labels>{labels}</labels></task></meta>"
    lines(here / "task_pets" / "annotations.xml", *head, meta, *told, "</annotations>")


def coco(folder, split, many, labels):
    """Pictures of a split and its boxes; Roboflow's supercategory is category 0."""
    images, boxes = [], []
    for n, kinds in enumerate(labels):
        for i in range(many):
            name = hashed(split, n, i)
            picture(folder / name, n)
            at = len(images)
            images.append({"id": at, "file_name": name, "height": 16, "width": 16})
            for kind in sorted(kinds):
                box = {"id": len(boxes), "image_id": at, "category_id": KINDS.index(kind) + 1}
                boxes.append(box | {"bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 0})
    kinds = [{"id": n, "name": kind} for n, kind in enumerate(("pets", *KINDS))]
    told = {"info": {}, "categories": kinds, "images": images, "annotations": boxes}
    lines(folder / "_annotations.coco.json", json.dumps(told))


@layout(
    SHELF,
    "Roboflow's COCO export: <split>/_annotations.coco.json beside the pictures",
    'kit.load("pets.v1i.coco")',
    lambda several: PAIRED if several else ONE_EACH,
    spellings={"one each": {"several": False}, "several": {"several": True}},
    further=True,
)
def roboflow_coco(here, several):
    for split, many in SPLITS:
        labels = PAIRS if several else [{kind} for kind in KINDS]
        coco(here / "pets.v1i.coco" / split, split, many, labels)
    lines(here / "pets.v1i.coco" / "README.roboflow.txt", "", "pets - v1")


@layout(
    SHELF,
    "Ultralytics' detection folders (docs.ultralytics.com/datasets/detect): images/, labels/*.txt",
    'kit.load("pets.yolo")',
    PAIRED,
    refusal=r"\bbox(es)?\b|data\.yaml|labels[/\\]",
    spellings={
        "ultralytics": {"place": "{kind}/{split}"},
        "roboflow": {"place": "{split}/{kind}"},
    },
    further=True,
)
def yolo_boxes(here, place):
    top = here / "pets.yolo"
    for split, many in SPLITS:
        for n, kinds in enumerate(PAIRS):
            for i in range(many):
                name = f"{split}_{n}{i}"
                picture(top / place.format(kind="images", split=split) / f"{name}.jpg", n)
                rows = [f"{KINDS.index(kind)} 0.5 0.5 0.2 0.2" for kind in sorted(kinds)]
                lines(top / place.format(kind="labels", split=split) / f"{name}.txt", *rows)
    told = [f"{split}: {place.format(kind='images', split=split)}" for split, _ in SPLITS]
    lines(top / "data.yaml", *told, "nc: 3", f"names: {list(KINDS)}")


PLAIN = ("/m/01yrx", "/m/0bt9lr", "/m/015p6")  # cat, dog, bird


@layout(
    SHELF,
    "Open Images (storage.googleapis.com/openimages): ImageID,Source,LabelName,Confidence; 0 is a no",
    'kit.load("train", labels="train-annotations-human-imagelabels.csv", task="multilabel")',
    tuple(
        Want(names, 5, task="multilabel", labels=({names[0]}, {names[0], names[1]}, {names[2]}))
        for names in (PLAIN, ("Cat", "Dog", "Bird"))
    ),
    refusal="Confidence",
    further=True,
)
def open_images(here):
    rows = []
    for i in range(15):
        name = f"{0x000060E3121C7305 + 977 * i:016x}"
        picture(here / "train" / f"{name}.jpg", i % 3)
        seen = ({0}, {0, 1}, {2})[i % 3]
        told = (f"{name},verification,{PLAIN[c]},{int(c in seen)}" for c in range(3))
        rows.extend(told)
    lines(
        here / "train-annotations-human-imagelabels.csv",
        "ImageID,Source,LabelName,Confidence",
        *rows,
    )
    names = zip(PLAIN, ("Cat", "Dog", "Bird"), strict=True)
    lines(here / "class-descriptions.csv", *(f"{mid},{name}" for mid, name in names))


@pytest.mark.parametrize("one", cases(SHELF))
def test_an_export_is_read_right_or_the_error_leads_there(one, tmp_path):
    check(one, tmp_path)
