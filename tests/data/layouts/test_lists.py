"""Lists beside the pictures: which train, which class, in the words of their publishers."""

import json

import pytest

from tests.support.layouts import (
    Bare,
    Layout,
    Want,
    cases,
    check,
    classes_in,
    either,
    junk,
    layout,
    lines,
    packed,
    picture,
    pictures,
)
from tests.support.tiny_sets import mat

SHELF: list[Layout] = []
BIRDS = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross")
BARE_BIRDS = tuple(bird[4:] for bird in BIRDS)


@layout(
    SHELF,
    "CUB_200_2011.tgz: class folders; images.txt and train_test_split.txt by number, 1 trains",
    'kit.load("CUB_200_2011<end>")',
    (
        *either(BIRDS, BARE_BIRDS, train=4, test=2),
        *either(BIRDS, BARE_BIRDS, train=6, noted="train_test_split"),
    ),
    spellings={"folder": {"end": ""}, "tgz": {"end": ".tar.gz"}},
)
def cub_200(here, end):
    top = here / "CUB_200_2011"
    names = [(n, f"{bird}/{bird[4:]}_{i}.jpg") for n, bird in enumerate(BIRDS) for i in range(6)]
    for n, name in names:
        picture(top / "images" / name, n)
    told = list(enumerate(names, 1))
    lines(top / "images.txt", *(f"{i} {name}" for i, (_, name) in told))
    lines(top / "image_class_labels.txt", *(f"{i} {n + 1}" for i, (n, _) in told))
    lines(top / "train_test_split.txt", *(f"{i} {int((i - 1) % 6 < 4)}" for i, _ in told))
    lines(top / "bounding_boxes.txt", *(f"{i} 60.0 27.0 325.0 304.0" for i, _ in told))
    lines(top / "classes.txt", *(f"{n} {bird}" for n, bird in enumerate(BIRDS, 1)))
    lines(top / "parts" / "parts.txt", "1 back", "2 beak")
    junk(top / "README")
    if end:
        packed(top, "gztar")


THINGS = ("aircraft_carrier", "airplane", "alarm_clock")


@layout(
    SHELF,
    "DomainNet (ai.bu.edu/M3SDA): real_train.txt of “real/airplane/real_002_000001.jpg 1”",
    'kit.load("domainnet<folder>", labels="domainnet/real_train.txt")',
    tuple(Want(names, 4, test=test) for names in (("0", "1", "2"), THINGS) for test in (None, 2)),
    spellings={"inside": {"folder": "/real"}, "above": {"folder": ""}},
)
def domain_net(here, folder):
    rows = {"train": [], "test": []}
    for n, thing in enumerate(THINGS):
        for i in range(6):
            name = f"real/{thing}/real_{n + 1:03d}_{i + 1:06d}.jpg"
            picture(here / "domainnet" / name, n)
            rows["train" if i < 4 else "test"].append(f"{name} {n}")
    for split, of in rows.items():
        lines(here / "domainnet" / f"real_{split}.txt", *of)


SIGNS = ("00000", "00001", "00002")
BOX = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2"


@layout(
    SHELF,
    "benchmark.ini.rub.de/gtsrb: Final_Training/Images/<class>/*.ppm, GT-00000.csv in each",
    "kit.load(<typed>)",
    (Want(SIGNS, 5, test=1), Want(SIGNS, 5, test=Bare(3))),
    spellings={
        "folder": {"typed": '"GTSRB"'},
        "named": {"typed": '"GTSRB/Final_Training/Images", test="GTSRB/Final_Test/Images"'},
    },
)
def gtsrb(here, typed):
    top = here / "GTSRB"
    rows = []
    for n, sign in enumerate(SIGNS):
        folder = top / "Final_Training" / "Images" / sign
        names = [f"00000_{i:05d}.ppm" for i in range(5)]
        pictures(folder, names, n)
        of = [f"{name};29;30;5;6;24;25;{n}" for name in names]
        lines(folder / f"GT-{sign}.csv", f"{BOX};ClassId", *of, end="\r\n")
        picture(top / "Final_Test" / "Images" / f"{n:05d}.ppm", n)
        rows.append(f"{n:05d}.ppm;53;54;6;5;48;49;{n}")
    test = top / "Final_Test" / "Images" / "GT-final_test.test.csv"
    lines(test, BOX, *(row.rpartition(";")[0] for row in rows), end="\r\n")
    lines(top / "GT-final_test.csv", f"{BOX};ClassId", *rows, end="\r\n")
    junk(top / "Readme-Images.txt")


WNIDS = ("n01440764", "n01443537", "n02102040")
WORDS = ("tench, Tinca tinca", "goldfish, Carassius auratus", "English springer")
SHORT = tuple(word.split(",")[0] for word in WORDS)


@layout(
    SHELF,
    "kaggle.com/c/imagenet-object-localization-challenge: val/ by LOC_val_solution.csv's first word",
    'kit.load("imagenet")',
    tuple(
        want
        for test in (Bare(3), None)
        for want in (
            *either(WNIDS, WORDS, SHORT, train=5, valid=1, test=test),
            *either(WNIDS, WORDS, SHORT, train=5, test=test, noted=r"\bval\b|LOC_val_solution"),
        )
    ),
)
def imagenet_kaggle(here):
    here /= "imagenet"
    data = here / "ILSVRC" / "Data" / "CLS-LOC"
    for n, wnid in enumerate(WNIDS):
        pictures(data / "train" / wnid, [f"{wnid}_{10026 + i}.JPEG" for i in range(5)], n)
        picture(data / "val" / f"ILSVRC2012_val_{n + 1:08d}.JPEG", n)
        picture(data / "test" / f"ILSVRC2012_test_{n + 1:08d}.JPEG", n)
        notes = here / "ILSVRC" / "Annotations" / "CLS-LOC" / "train" / wnid
        junk(notes / f"{wnid}_10026.xml")
    sets = here / "ILSVRC" / "ImageSets" / "CLS-LOC"
    lines(sets / "train_cls.txt", *(f"{w}/{w}_10026 {n + 1}" for n, w in enumerate(WNIDS)))
    told = zip(WNIDS, WORDS, strict=True)
    lines(here / "LOC_synset_mapping.txt", *(f"{wnid} {word}" for wnid, word in told))
    rows = [f"ILSVRC2012_val_{n + 1:08d},{wnid} 85 1 499 272 " for n, wnid in enumerate(WNIDS)]
    lines(here / "LOC_val_solution.csv", "ImageId,PredictionString", *rows)
    sample = "ILSVRC2012_test_00000001,n07640001 0 0 200 200"
    lines(here / "LOC_sample_submission.csv", "ImageId,PredictionString", sample)


# --- further ---


@layout(
    SHELF,
    "cs231n.stanford.edu/tiny-imagenet-200.zip: val/images with val_annotations.txt, words.txt",
    'kit.load("tiny-imagenet-200<end>")',
    tuple(
        want
        for test in (Bare(4), None)
        for want in (
            *either(WNIDS, WORDS, SHORT, train=5, valid=2, test=test),
            *either(WNIDS, WORDS, SHORT, train=5, test=test, noted=r"\bval\b|val_annotations"),
        )
    ),
    spellings={"folder": {"end": ""}, "zip": {"end": ".zip"}},
    further=True,
)
def tiny_imagenet(here, end):
    top = here / "tiny-imagenet-200"
    rows = []
    for n, wnid in enumerate(WNIDS):
        names = [f"{wnid}_{i}.JPEG" for i in range(5)]
        pictures(top / "train" / wnid / "images", names, n)
        lines(
            top / "train" / wnid / f"{wnid}_boxes.txt",
            *(f"{name}\t0\t10\t63\t58" for name in names),
        )
        for i in range(2):
            name = f"val_{(2 - n) * 2 + i}.JPEG"
            picture(top / "val" / "images" / name, n)
            rows.append(f"{name}\t{wnid}\t0\t32\t44\t62")
    lines(top / "val" / "val_annotations.txt", *sorted(rows))
    pictures(top / "test" / "images", [f"test_{i}.JPEG" for i in range(4)], 0)
    lines(top / "wnids.txt", *WNIDS)
    told = zip(WNIDS, WORDS, strict=True)
    lines(top / "words.txt", "n00001740\tentity", *(f"{wnid}\t{word}" for wnid, word in told))
    if end:
        packed(top)


DISHES = ("apple_pie", "baby_back_ribs", "baklava")
SERVED = ("Apple pie", "Baby back ribs", "Baklava")


@layout(
    SHELF,
    "data.vision.ee.ethz.ch/cvl/datasets_extra/food-101: images/, meta/train.txt apple_pie/1005649",
    'kit.load("food-101<end>")',
    (
        *either(DISHES, SERVED, train=4, test=2),
        *either(DISHES, SERVED, train=6, noted=r"meta|train\.txt"),
    ),
    spellings={"folder": {"end": ""}, "tar": {"end": ".tar.gz"}},
    further=True,
)
def food_101(here, end):
    top = here / "food-101"
    told = {"train": {}, "test": {}}
    for n, dish in enumerate(DISHES):
        for i in range(6):
            number = 1005649 + 977 * i + n
            picture(top / "images" / dish / f"{number}.jpg", n)
            told["train" if i < 4 else "test"].setdefault(dish, []).append(f"{dish}/{number}")
    for split, of in told.items():
        lines(top / "meta" / f"{split}.txt", *(name for names in of.values() for name in names))
        lines(top / "meta" / f"{split}.json", json.dumps(of))
    lines(top / "meta" / "classes.txt", *DISHES)
    lines(top / "meta" / "labels.txt", *SERVED)
    lines(top / "license_agreement.txt", "Foodspotting")
    junk(top / "README.txt")
    if end:
        packed(top, "gztar")


DOGS = ("n02085620-Chihuahua", "n02085782-Japanese_spaniel", "n02095314-wire-haired_fox_terrier")


@layout(
    SHELF,
    "vision.stanford.edu/aditya86/ImageNetDogs: Images/, Annotation/ without endings, lists in .mat",
    'kit.load("stanford-dogs")',
    either(DOGS, (dog.partition("-")[2] for dog in DOGS), train=6),
    further=True,
)
def stanford_dogs(here):
    top = here / "stanford-dogs"
    for n, dog in enumerate(DOGS):
        for name in (f"{dog[:9]}_{10074 + i}" for i in range(6)):
            picture(top / "Images" / dog / f"{name}.jpg", n)
            lines(top / "Annotation" / dog / name, "<annotation><folder>02085620</folder>")
    junk(top / "file_list.mat", top / "train_list.mat", top / "test_list.mat")


PLANES = {
    "variant": ("707-320", "Cessna 172", "F-16A/B"),
    "family": ("Boeing 707", "Cessna 172", "F-16"),
    "manufacturer": ("Boeing", "Cessna", "Lockheed Martin"),
}


def _flown(names):
    splits = ((3, 2, 2), (5, "drawn", 2), (5, "drawn", None), (3, "drawn", None), (3, 2, None))
    return tuple(Want(names, *split) for split in splits)


@layout(
    SHELF,
    "robots.ox.ac.uk/~vgg/data/fgvc-aircraft: images_variant_train.txt “0056978 Cessna 172”",
    'kit.load("fgvc-aircraft-2013b<typed>)',
    lambda typed: (
        *_flown(PLANES["variant"]),
        *([Want(PLANES["variant"], 3)] * ("labels" in typed)),
    ),
    spellings={
        "list": {
            "typed": '/data/images", labels="fgvc-aircraft-2013b/data/images_variant_train.txt"'
        },
        "folder": {"typed": '"'},
    },
    after=(*_flown(PLANES["family"]), *_flown(PLANES["manufacturer"])),
    further=True,
)
def fgvc_aircraft(here, typed):
    top = here / "fgvc-aircraft-2013b" / "data"
    splits = ["train"] * 3 + ["val"] * 2 + ["test"] * 2
    numbers = [
        (f"{1025794 - 7919 * (7 * n + i):07d}", n, s)
        for n in range(3)
        for i, s in enumerate(splits)
    ]
    for number, n, _ in numbers:
        picture(top / "images" / f"{number}.jpg", n)
    for level, names in PLANES.items():
        for split in ("train", "val", "trainval", "test"):
            rows = [f"{number} {names[n]}" for number, n, of in numbers if of in split]
            lines(top / f"images_{level}_{split}.txt", *sorted(rows))
        ending = {"variant": "variants", "family": "families"}.get(level, "manufacturers")
        lines(top / f"{ending}.txt", *names)
    lines(top / "images_box.txt", *(f"{number} 3 144 998 431" for number, _, _ in numbers))
    lines(top / "images_test.txt", *(number for number, _, of in numbers if of == "test"))
    lines(here / "fgvc-aircraft-2013b" / "README.md", "# FGVC-Aircraft")
    junk(here / "fgvc-aircraft-2013b" / "evaluation.m")


TEXTURES = ("banded", "cobwebbed", "zigzagged")


@layout(
    SHELF,
    "robots.ox.ac.uk/~vgg/data/dtd: images/<class>, ten foldings in labels/train1.txt ...",
    'kit.load("dtd")',
    (Want(TEXTURES, 2, valid=2, test=2), Want(TEXTURES, 6, noted=r"labels|train1")),
    further=True,
)
def describable_textures(here):
    top = here / "dtd"
    names = [[f"{kind}/{kind}_{i:04d}.jpg" for i in range(6)] for kind in TEXTURES]
    classes_in(top / "images", TEXTURES, [f"{{kind}}_{i:04d}.jpg" for i in range(6)])
    for fold in range(1, 11):
        for at, split in enumerate(("train", "val", "test")):
            chosen = [of[(2 * at + fold - 1 + i) % 6] for of in names for i in range(2)]
            lines(top / "labels" / f"{split}{fold}.txt", *chosen)
    joint = [f"{name} {name.split('/')[0]} " for of in names for name in of]
    lines(top / "labels" / "labels_joint_anno.txt", *joint)
    junk(top / "imdb" / "imdb.mat", top / "images" / "banded" / ".directory")


ROOMS = ("/a/abbey", "/b/balcony/exterior", "/b/balcony/interior", "/c/cathedral/indoor")


def _rooms(**want):
    of = ROOMS, (room[1:] for room in ROOMS), (room[3:] for room in ROOMS)
    return either(*of, (room[3:].replace("/", "_") for room in ROOMS), **want)


@layout(
    SHELF,
    "vision.princeton.edu/projects/2010/SUN: SUN397/a/abbey, b/balcony/exterior, ClassName.txt",
    'kit.load("SUN397<end>")',
    _rooms(train=5),
    spellings={"folder": {"end": ""}, "tar": {"end": ".tar.gz"}},
    further=True,
)
def sun_397(here, end):
    top = here / "SUN397"
    for n, room in enumerate(ROOMS):
        pictures(top / room[1:], [f"sun_a{'bcdefg'[i]}lbz{n}.jpg" for i in range(5)], n)
    lines(top / "ClassName.txt", *ROOMS)
    lines(top / "README.txt", "SUN397")
    if end:
        packed(top, "gztar")


@layout(
    SHELF,
    "places2.csail.mit.edu: places365_train_standard.txt “/a/abbey/00000001.jpg 0”, val_256 by list",
    'kit.load("places365")',
    tuple(
        want
        for split in ({"valid": 2}, {"noted": r"\bval"})
        for want in (*_rooms(train=5, **split), *either("0123", train=5, **split))
    ),
    further=True,
)
def places_365(here):
    top = here / "places365"
    train, valid = [], []
    for n, room in enumerate(ROOMS):
        for i in range(5):
            picture(top / "data_256_standard" / room[1:] / f"{i + 1:08d}.jpg", n)
            train.append(f"{room}/{i + 1:08d}.jpg {n}")
        for i in range(2):
            name = f"Places365_val_{(3 - n) * 2 + i + 1:08d}.jpg"
            picture(top / "val_256" / name, n)
            valid.append(f"{name} {n}")
    lines(top / "places365_train_standard.txt", *train)
    lines(top / "places365_val.txt", *sorted(valid))
    lines(top / "categories_places365.txt", *(f"{room} {n}" for n, room in enumerate(ROOMS)))


BLOOMS = ("pink primrose", "hard-leaved pocket orchid", "canterbury bells")


@layout(
    SHELF,
    "robots.ox.ac.uk/~vgg/data/flowers/102: jpg/image_00001.jpg, imagelabels.mat, setid.mat",
    'kit.load("102flowers")',
    (
        *either("123", "012", BLOOMS, train=2, valid=2, test=3),
        *either("123", "012", BLOOMS, train=7, noted="setid"),
    ),
    further=True,
)
def oxford_flowers(here):
    top = here / "102flowers"
    labels = [n for i in range(7) for n in range(3)]
    for i, n in enumerate(labels, 1):
        picture(top / "jpg" / f"image_{i:05d}.jpg", n)
    top.joinpath("imagelabels.mat").write_bytes(mat(labels=_row([n + 1 for n in labels])))
    ids = list(range(1, 22))
    split = {"trnid": _row(ids[:6]), "valid": _row(ids[6:12]), "tstid": _row(ids[12:])}
    top.joinpath("setid.mat").write_bytes(mat(**split))


def _row(values):
    import numpy as np

    return np.array([values], np.uint8)


LOOKS = ("5_o_Clock_Shadow", "Bald", "Eyeglasses", "Male", "Smiling", "Young")
FACES = tuple({look for c, look in enumerate(LOOKS) if (n + 1) >> c % 4 & 1} for n in range(8))


@layout(
    SHELF,
    "mmlab.ie.cuhk.edu.hk/projects/CelebA.html: list_attr_celeba.txt, a count line, many blanks",
    'kit.load("celeba", labels="celeba/list_attr_celeba.txt")',
    (
        Want(LOOKS, 2, valid=1, test=1, task="multilabel", labels=FACES),
        Want(LOOKS, 4, task="multilabel", labels=FACES, noted="list_eval_partition"),
    ),
    further=True,
)
def celeba_official(here):
    names = [f"{i + 1:06d}.jpg" for i in range(32)]
    rows = []
    for i, name in enumerate(names):
        picture(here / "celeba" / "img_align_celeba" / name, i % 8)
        rows.append(name + "".join(f" {1 if look in FACES[i % 8] else -1:2d}" for look in LOOKS))
    lines(here / "celeba" / "list_attr_celeba.txt", "32", " ".join(LOOKS) + " ", *rows)
    parts = [f"{name} {(i >= 16) + (i >= 24)}" for i, name in enumerate(names)]
    lines(here / "celeba" / "list_eval_partition.txt", *parts)
    lines(here / "celeba" / "identity_CelebA.txt", *(f"{name} 2880" for name in names))


@layout(
    SHELF,
    "github.com/fastai/imagenette: noisy_imagenette.csv path,noisy_labels_0 (clean) ... is_valid",
    'kit.load("imagenette2-160"<more>)',
    either(WNIDS, SHORT, WORDS, train=5, valid=2),
    spellings={
        "folder": {"more": ""},
        "table": {"more": ', labels="noisy_imagenette.csv"'},
        "column": {"more": ', labels="noisy_imagenette.csv", label_column="noisy_labels_0"'},
    },
    further=True,
)
def imagenette(here, more):
    top = here / "imagenette2-160"
    rows = []
    for n, wnid in enumerate(WNIDS):
        for split, many in (("train", 5), ("val", 2)):
            for i in range(many):
                name = f"{split}/{wnid}/{wnid}_{9036 + i}.JPEG"
                picture(top / name, n)
                wrong = WNIDS[(n + (i == 0)) % 3]
                rows.append(f"{name},{wnid},{wnid},{wnid},{wrong},{wrong},{split == 'val'}")
    noise = ",".join(f"noisy_labels_{share}" for share in (0, 1, 5, 25, 50))
    lines(top / "noisy_imagenette.csv", f"path,{noise},is_valid", *rows)


@pytest.mark.parametrize("one", cases(SHELF))
def test_a_list_is_followed_or_named(one, tmp_path):
    check(one, tmp_path)
