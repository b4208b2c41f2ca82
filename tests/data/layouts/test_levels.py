"""Folders in folders as they are handed out: which level is the class, which is a person, a day, a
split, another version, or none of these.
"""

import pytest

from tests.support.layouts import (
    DRAWN,
    MASK,
    Bare,
    Layout,
    Want,
    cases,
    check,
    classes_in,
    junk,
    layout,
    lines,
    picture,
    pictures,
)

SHELF: list[Layout] = []


def named(start, many, end="jpg"):
    return [f"{start}{i}.{end}" for i in range(many)]


TUMOURS = ("adenosis", "tubular_adenoma", "ductal_carcinoma", "lobular_carcinoma")


@layout(
    SHELF,
    "web.inf.ufpr.br/vri/databases/breast-cancer-histopathological-database-breakhis",
    'kit.load("BreaKHis_v1")',
    Want(("benign", "malignant"), 8, labels=("benign", "benign", "malignant", "malignant")),
    after=(Want(TUMOURS, 8),),
)
def breakhis(here):
    for n, kind in enumerate(TUMOURS):
        top = here / "BreaKHis_v1/histology_slides/breast" / ("benign", "malignant")[n // 2] / "SOB"
        for who in ("14-22549AB", "14-4659"):
            for zoom in ("40X", "100X", "200X", "400X"):
                picture(top / kind / f"SOB_{kind[0]}_{who}" / zoom / f"{kind}-{who}-{zoom}.png", n)


FINDINGS = ("cecum", "ileum", "pylorus")
WHERE = (
    "lower-gi-tract/landmarks/cecum",
    "lower-gi-tract/landmarks/ileum",
    "upper-gi-tract/pylorus",
)


@layout(
    SHELF,
    "datasets.simula.no/hyper-kvasir: labeled-images/<tract>/<kind>/<finding>",
    'kit.load("labeled-images")',
    Want(FINDINGS, 4),
    after=(Want(WHERE, 4),),
)
def hyper_kvasir(here):
    for n, where in enumerate(WHERE):
        pictures(here / "labeled-images" / where, named(f"ab{n}-", 4), n)


@layout(
    SHELF,
    "scolianni/mnistasjpg: trainingSample beside trainingSet, each inside itself; testSet is flat",
    'kit.load("archive")',
    Want(tuple("012"), 6, DRAWN, Bare(4)),
)
def mnist_as_jpg(here):
    top = here / "archive"
    classes_in(top / "trainingSet/trainingSet", "012", named("img_{n}", 6), "L")
    classes_in(top / "trainingSample/trainingSample", "012", named("img_{n}", 2), "L")
    pictures(top / "testSet/testSet", named("img_", 4), 0, "L")
    junk(top / "trainingSet.tar.gz")


LEAVES = ("Apple___rust", "Apple___scab")


@layout(
    SHELF,
    "vipoooool/new-plant-diseases-dataset: the set twice wrapped, and test/test/ beside it",
    'kit.load("archive")',
    Want(LEAVES, 6, 2, Bare(3)),
)
def new_plant_diseases(here):
    name = "New Plant Diseases Dataset(Augmented)"
    for split, many in (("train", 6), ("valid", 2)):
        classes_in(here / "archive" / name / name / split, LEAVES, named(f"{split}{{n}}", many))
    pictures(here / "archive/test/test", named("AppleCedarRust", 3, "JPG"), 0)


FRONTS = ("def_front", "ok_front")


@layout(
    SHELF,
    "ravirajsinh45/real-life-industrial-dataset-of-casting-product: one set with splits, one without",
    'kit.load("archive")',
    Want(FRONTS, 6, DRAWN, 2),
    after=(Want(FRONTS, 4),),
)
def casting(here):
    top = here / "archive"
    for split, many in (("train", 6), ("test", 2)):
        names = named(f"cast_{{n}}{split}", many, "jpeg")
        classes_in(top / "casting_data/casting_data" / split, FRONTS, names)
    classes_in(top / "casting_512x512/casting_512x512", FRONTS, named("cast_{n}b", 4, "jpeg"))


SPORTS = ("Archery", "Biking")


@layout(SHELF, "UCF-101 as frames: <class>/v_<class>_g01_c01/", 'kit.load("UCF")', Want(SPORTS, 24))
def ucf_frames(here):
    for n, sport in enumerate(SPORTS):
        for group in range(1, 9):
            pictures(here / f"UCF/{sport}/v_{sport}_g{group:02d}_c01", named("image_", 3), n)


@layout(
    SHELF,
    "a camera trap's folders: <species>/<day>",
    'kit.load("traps")',
    Want(("deer", "fox"), 8),
)
def camera_traps(here):
    for n, kind in enumerate(("deer", "fox")):
        for day in ("2021-03-01", "2021-03-02"):
            pictures(here / "traps" / kind / day, named(f"{kind}{day}", 4), n)


PARTS = (("cataract", "normal"), ("left", "right"))


@layout(
    SHELF,
    "eye clinics' folders: <finding>/<side>; fruits as <fruit>/<state>",
    'kit.load("eyes")',
    Want(PARTS[0], 6, labels=("cataract", "cataract", "normal", "normal")),
    after=(
        Want(PARTS[1], 6, labels=("left", "right", "left", "right")),
        Want(("cataract/left", "cataract/right", "normal/left", "normal/right"), 6),
    ),
)
def left_and_right(here):
    for n, kind in enumerate(PARTS[0]):
        for m, side in enumerate(PARTS[1]):
            pictures(here / "eyes" / kind / side, named(f"{kind}{side}", 6), 2 * n + m)


@layout(
    SHELF,
    "github.com/cvdfoundation/google-landmark: train/0/a/7/0a7….jpg, and train.csv",
    'kit.load("gld")',
    Want(("1", "7", "9"), 4),
)
def landmarks(here):
    ids = [f"{i % 4:x}{i % 3:x}{i % 2:x}{i}f9" for i in range(12)]
    for i, name in enumerate(ids):
        picture(here / "gld/train" / name[0] / name[1] / name[2] / f"{name}.jpg", i % 3)
    rows = [f"{name},http://a/{name}.jpg,{(1, 7, 9)[i % 3]}" for i, name in enumerate(ids)]
    lines(here / "gld/train.csv", "id,url,landmark_id", *rows)


@layout(
    SHELF,
    "github.com/junyanz/CycleGAN: trainA, trainB, testA, testB",
    'kit.load("horse2zebra")',
    Want(("A", "B"), 6, DRAWN, 2),
)
def horse_to_zebra(here):
    for n, kind in enumerate("AB"):
        pictures(here / f"horse2zebra/train{kind}", named(f"n0{n}_", 6), n)
        pictures(here / f"horse2zebra/test{kind}", named(f"t0{n}_", 2), n)


@layout(
    SHELF,
    "github.com/abin24/Magnetic-tile-defect-datasets: <class>/Imgs/, a .png mask for each .jpg",
    'kit.load("tiles")',
    Want(("MT_Blowhole", "MT_Free"), 5, noted=r"\.png"),
)
def magnetic_tiles(here):
    for n, kind in enumerate(("MT_Blowhole", "MT_Free")):
        for i in range(5):
            picture(here / f"tiles/{kind}/Imgs/exp1_num_{n}{i}.jpg", n)
            picture(here / f"tiles/{kind}/Imgs/exp1_num_{n}{i}.png", MASK)


@layout(
    SHELF,
    "challenge.isic-archive.com 2019: one folder of pictures called by its split, one-hot rows",
    'kit.load(".")',
    Want(("MEL", "NV", "BCC"), 4),
)
def isic_2019(here):
    names = [f"ISIC_{i:07d}" for i in range(12)]
    for i, name in enumerate(names):
        picture(here / f"ISIC_2019_Training_Input/{name}.jpg", i % 3)
    rows = [
        f"{n},{','.join(str(float(i % 3 == k)) for k in range(3))}" for i, n in enumerate(names)
    ]
    lines(here / "ISIC_2019_Training_GroundTruth.csv", "image,MEL,NV,BCC", *rows)
    rows = [f"{name},{30 + i},torso,,male" for i, name in enumerate(names)]
    lines(here / "ISIC_2019_Training_Metadata.csv", "image,age,site,lesion_id,sex", *rows)


@pytest.mark.parametrize("one", cases(SHELF))
def test_the_level_of_the_classes_is_right_or_the_error_leads_there(one, tmp_path):
    check(one, tmp_path)
