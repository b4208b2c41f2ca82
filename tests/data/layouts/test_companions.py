"""Pictures that stand beside the pictures: masks, defects, thumbnails, other bands, trimaps."""

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.support.layouts import (
    MASK,
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
CHESTS = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")


@layout(
    SHELF,
    "tawsifurrahman/covid19-radiography-database: <class>/images, <class>/masks of the same names",
    'kit.load("COVID-19_Radiography_Dataset")',
    Want(CHESTS, 5),
    spellings={
        "masks": {"words": ("images", "masks")},
        "Mask": {"words": ("Images", "Mask")},
        "mask beside": {"words": ("", "mask")},
    },
)
def covid_radiography(here, words):
    here /= "COVID-19_Radiography_Dataset"
    for n, chest in enumerate(CHESTS):
        names = [f"{chest}-{i + 1}.png" for i in range(5)]
        pictures(here / chest / words[0], names, n, "L")
        pictures(here / chest / words[1], names, MASK)
        junk(here / f"{chest}.metadata.xlsx")
    lines(here / "README.md.txt", "Of four hospitals")


KINDS = ("bird", "cat", "dog")


@layout(
    SHELF,
    "a photo folder that a Synology NAS has served: @eaDir/<picture>/SYNOFILE_THUMB_M.jpg",
    'kit.load("photos")',
    Want(KINDS, 5),
    spellings={
        "synology": {"thumb": "@eaDir/{name}/SYNOFILE_THUMB_M.jpg"},
        "gnome": {"thumb": ".thumbnails/{name}"},
        "thumbs": {"thumb": "thumbs/{name}"},
        "Thumbnails": {"thumb": "Thumbnails/{name}"},
    },
)
def thumbnails(here, thumb):
    for n, kind in enumerate(KINDS):
        for name in (f"{kind} {i}.jpg" for i in range(5)):
            picture(here / "photos" / kind / name, n)
            picture(here / "photos" / kind / thumb.format(name=name), MASK)


GROUND = ("AnnualCrop", "Forest", "SeaLake")


def bands(path: Path, n: int, side: int = 8, many: int = 13) -> None:
    """A TIFF of 16-bit bands, as a Sentinel-2 cut is: one strip, bands side by side."""
    body = np.full((side, side, many), 500 + 250 * n, "<u2").tobytes()
    shorts = [(256, side), (257, side), (259, 1), (262, 1), (277, many), (278, side), (284, 1)]
    entries = {tag: struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in shorts}
    behind = 8 + 2 + 12 * (len(shorts) + 4) + 4
    bits, more = struct.pack(f"<{many}H", *[16] * many), struct.pack(f"<{many - 1}H", *[0] * 12)
    entries[258] = struct.pack("<HHII", 258, 3, many, behind)
    entries[338] = struct.pack("<HHII", 338, 3, many - 1, behind + len(bits))
    entries[273] = struct.pack("<HHII", 273, 4, 1, behind + len(bits) + len(more))
    entries[279] = struct.pack("<HHII", 279, 4, 1, len(body))
    table = b"".join(entries[tag] for tag in sorted(entries))
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    path.write_bytes(head + table + bytes(4) + bits + more + body)


def every_band(top: Path) -> None:
    for n, kind in enumerate(GROUND):
        for i in range(6):
            bands(top / kind / f"{kind}_{i + 1}.tif", n)


@layout(
    SHELF,
    "apollo2506/eurosat-dataset: EuroSAT/ in colour beside EuroSATallBands/, tables in both",
    'kit.load("eurosat")',
    Want(GROUND, 4, valid=1, test=1),
)
def eurosat_twice(here):
    top = here / "eurosat" / "EuroSAT"
    classes_in(top, GROUND, [f"{{kind}}_{i + 1}.jpg" for i in range(6)])
    lines(top / "label_map.json", '{"AnnualCrop": 0, "Forest": 1, "SeaLake": 9}')
    for split, of in (("train", range(4)), ("validation", [4]), ("test", [5])):
        rows = [f"{i},{k}/{k}_{i + 1}.jpg,{n},{k}" for n, k in enumerate(GROUND) for i in of]
        lines(top / f"{split}.csv", ",Filename,Label,ClassName", *rows)
    every_band(here / "eurosat" / "EuroSATallBands")


@layout(
    SHELF,
    "EuroSAT MS (zenodo.org/records/7711810): class folders of 13-band, 16-bit GeoTIFF",
    'kit.load("EuroSATallBands")',
    Want(GROUND, 6, blind=True),
    refusal=r"\b13\b|\bbands?\b|\bchannels?\b",
)
def eurosat_bands(here):
    every_band(here / "EuroSATallBands")


DEFECTS = ("broken_large", "contamination", "good")


@layout(
    SHELF,
    "MVTec AD: bottle/train/good alone, test/<defect>, ground_truth/<defect>/000_mask.png",
    'kit.load("bottle")',
    after=(Want(DEFECTS, 3),),
    refusal=r"\bgood\b",
)
def mvtec(here):
    top = here / "bottle"
    pictures(top / "train" / "good", [f"{i:03d}.png" for i in range(6)], 2)
    classes_in(top / "test", DEFECTS, [f"{i:03d}.png" for i in range(3)])
    for defect in DEFECTS[:2]:
        pictures(top / "ground_truth" / defect, [f"{i:03d}_mask.png" for i in range(3)], MASK)
    junk(top / "license.txt", top / "readme.txt")


BREEDS = ("Abyssinian", "american_bulldog", "Bengal")


@layout(
    SHELF,
    "robots.ox.ac.uk/~vgg/data/pets: flat images/ with .mat among them, annotations/trimaps/",
    'kit.load("oxford-iiit-pet")',
    tuple(
        Want(names, *counts, noted=noted)
        for names in (BREEDS, ("Abyssinian", "American Bulldog", "Bengal"))
        for counts, noted in (((4, "drawn", 2), ""), ((6,), r"trainval|test\.txt"))
    ),
)
def oxford_pets(here):
    top = here / "oxford-iiit-pet"
    rows = []
    for n, breed in enumerate(BREEDS):
        for name in (f"{breed}_{i + 1}" for i in range(6)):
            picture(top / "images" / f"{name}.jpg", n)
            picture(top / "annotations" / "trimaps" / f"{name}.png", MASK)
            junk(top / "annotations" / "trimaps" / f"._{name}.png")
            junk(top / "annotations" / "xmls" / f"{name}.xml")
            rows.append(f"{name} {n + 1} {1 if breed[0].isupper() else 2} {n + 1}")
    junk(top / "images" / "Abyssinian_100.mat", top / "annotations" / "README")
    head = ["#Image CLASS-ID SPECIES BREED ID", "#ID: 1:37 Class ids", "#SPECIES: 1:Cat 2:Dog"]
    lines(top / "annotations" / "list.txt", *head, *rows)
    lines(top / "annotations" / "trainval.txt", *(r for i, r in enumerate(rows) if i % 6 < 4))
    lines(top / "annotations" / "test.txt", *(r for i, r in enumerate(rows) if i % 6 >= 4))


# --- further ---

LUMPS = ("benign", "malignant", "normal")


@layout(
    SHELF,
    "aryashah2k/breast-ultrasound-images-dataset: benign (1).png, benign (1)_mask.png, _mask_1.png",
    'kit.load("Dataset_BUSI_with_GT")',
    Want(LUMPS, 5),
    further=True,
)
def breast_ultrasound(here):
    for n, lump in enumerate(LUMPS):
        folder = here / "Dataset_BUSI_with_GT" / lump
        for i in range(5):
            picture(folder / f"{lump} ({i + 1}).png", n, "L")
            picture(folder / f"{lump} ({i + 1})_mask.png", MASK)
        if lump == "benign":
            picture(folder / "benign (4)_mask_1.png", MASK)


DYES = ("blue", "green", "red", "yellow")
PARTS = ((0, 16), (7, 1), (25,))


@layout(
    SHELF,
    "kaggle.com/c/human-protein-atlas-image-classification: train.csv Id,Target; four greys an Id",
    'kit.load("protein", labels="train.csv", task="multilabel")',
    Want(
        ("0", "1", "7", "16", "25"),
        5,
        task="multilabel",
        labels=tuple({str(part) for part in parts} for parts in PARTS),
    ),
    refusal="|".join(f"_{dye}" for dye in DYES),
    further=True,
)
def protein_atlas(here):
    rows = []
    for i in range(15):
        name = f"00070df0-bbc3-11e8-b2bc-{i:012x}"
        for dye in DYES:
            picture(here / "protein" / "train" / f"{name}_{dye}.png", i % 3, "L")
        rows.append(f"{name},{' '.join(map(str, PARTS[i % 3]))}")
    lines(here / "protein" / "train.csv", "Id,Target", *rows)
    lines(here / "protein" / "sample_submission.csv", "Id,Predicted", "0006-bbc3,0")


@layout(
    SHELF,
    "ISIC 2017 part 1 (challenge.isic-archive.com): ISIC_0000000.jpg, its _superpixels.png beside",
    'kit.load("ISIC-2017_Training_Data", labels="ISIC-2017_Training_Part3_GroundTruth.csv")',
    (
        Want(
            ("melanoma", "seborrheic_keratosis"),
            5,
            task="multilabel",
            labels=({"melanoma"}, {"seborrheic_keratosis"}, set()),
        ),
        *(
            Want(("0.0", "1.0"), 5, labels=of, noted=r"melanoma|seborrheic")
            for of in (("1.0", "0.0", "0.0"), ("0.0", "1.0", "0.0"))
        ),
    ),
    after=tuple(
        Want((no, yes), 5, labels=of)
        for no, yes in (("0", "1"), ("0.0", "1.0"))
        for of in ((yes, no, no), (no, yes, no))
    ),
    further=True,
)
def isic_2017(here):
    rows = []
    for i in range(15):
        name = f"ISIC_{i:07d}"
        picture(here / "ISIC-2017_Training_Data" / f"{name}.jpg", i % 3)
        picture(here / "ISIC-2017_Training_Data" / f"{name}_superpixels.png", MASK)
        rows.append(f"{name},{float(i % 3 == 0)},{float(i % 3 == 1)}")
    head = "image_id,melanoma,seborrheic_keratosis"
    lines(here / "ISIC-2017_Training_Part3_GroundTruth.csv", head, *rows)


@pytest.mark.parametrize("one", cases(SHELF))
def test_companions_are_never_taken_for_pictures_of_a_class(one, tmp_path):
    check(one, tmp_path)
