"""A table beside the pictures: which column is the file, which the label, and what is no label."""

import pytest

from tests.support.layouts import (
    Bare,
    Layout,
    Want,
    cases,
    check,
    junk,
    layout,
    lines,
    picture,
    pictures,
)

SHELF: list[Layout] = []


def hexed(word: str, many: int, length: int = 32) -> list[str]:
    """Names as hashes are; they say nothing and sort in no order of theirs."""
    digits = (f"{hash((ord(word[0]), len(word), i)) & (1 << 63) - 1:016x}" for i in range(many))
    return [(digit[::-1] * 3)[:length] for digit in digits]


# --- spellings of the plain table ---

KINDS = ("bird", "cat", "dog")


def _plain(**told):
    return {"head": "filename,label", "row": "{name}.jpg,{kind}"} | told


@layout(
    SHELF,
    "the plain table, in the spellings of spreadsheets, pandas and exporters",
    'kit.load("photos", labels="labels.csv")',
    Want(KINDS, 5),
    spellings={
        "plain": _plain(),
        "stems": _plain(head="id,label", row="{name},{kind}"),
        "class": _plain(head="image,class"),
        "Category": _plain(head="File Name,Category"),
        "label first": _plain(head="label,image", row="{kind},{name}.jpg"),
        "folder": _plain(row="photos/{name}.jpg,{kind}"),
        "dot folder": _plain(row="./{name}.jpg,{kind}"),
        "backslash": _plain(row=r"photos\{name}.jpg,{kind}"),
        "machine path": _plain(row="/content/drive/MyDrive/photos/{name}.jpg,{kind}"),
        "semicolon": _plain(head="filename;label", row="{name}.jpg;{kind}"),
        "tab": _plain(head="filename\tlabel", row="{name}.jpg\t{kind}"),
        "bom": _plain(head="\ufefffilename,label"),
        "windows": _plain(end="\r\n"),
        "blanks": _plain(head="filename, label", row="{name}.jpg, {kind}"),
        "quoted": _plain(head='"filename","label"', row='"{name}.jpg","{kind}"'),
        "upper ending": _plain(row="{name}.JPG,{kind}"),
        "size": _plain(head="filename,width,height,label", row="{name}.jpg,640,480,{kind}"),
        "headless": _plain(head=None),
        "index": _plain(head=",filename,label", row="{shifted},{name}.jpg,{kind}"),
    },
)
def plain_table(here, head, row, end="\n"):
    for i in range(15):
        picture(here / "photos" / f"{i}.jpg", i % 3)
    order = [i * 2 % 15 for i in range(15)]
    told = dict(enumerate(order))  # the row number names another picture
    rows = [row.format(name=i, kind=KINDS[i % 3], shifted=at) for at, i in told.items()]
    lines(here / "labels.csv", *([] if head is None else [head]), *rows, end=end)


# --- one label ---

DOGS = ("beagle", "boston_bull", "dingo")


@layout(
    SHELF,
    "kaggle.com/c/dog-breed-identification: labels.csv id,breed; test/ without labels",
    'kit.load("dog-breed-identification", labels="labels.csv")',
    Want(DOGS, 5, test=Bare(4)),
)
def dog_breed(here):
    here /= "dog-breed-identification"
    rows = []
    for n, dog in enumerate(DOGS):
        for name in hexed(dog, 5):
            picture(here / "train" / f"{name}.jpg", n)
            rows.append(f"{name},{dog}")
    pictures(here / "test", [f"{name}.jpg" for name in hexed("test", 4)], 0)
    lines(here / "labels.csv", "id,breed", *sorted(rows))
    lines(here / "sample_submission.csv", f"id,{','.join(DOGS)}", "0a,0.3,0.3,0.4")


CASSAVA = {"0": "Bacterial Blight (CBB)", "1": "Green Mottle (CGM)", "2": "Healthy"}


@layout(
    SHELF,
    "kaggle.com/c/cassava-leaf-disease-classification: numbers, and their names in a JSON",
    'kit.load("cassava", labels="train.csv"<names>)',
    lambda names: (
        Want(of := tuple(CASSAVA.values()), 5, test=Bare(1)),
        Want(of, 5),
    ),
    spellings={
        "named": {"names": ', class_names="label_num_to_disease_map.json"'},
        "numbers": {"names": ""},
    },
)
def cassava(here, names):
    here /= "cassava"
    rows = []
    for i in range(15):
        name = f"{1000015157 + 7919 * i}.jpg"
        picture(here / "train_images" / name, i % 3)
        rows.append(f"{name},{i % 3}")
    lines(here / "train.csv", "image_id,label", *rows)
    told = ", ".join(f'"{n}": "{name}"' for n, name in CASSAVA.items())
    lines(here / "label_num_to_disease_map.json", f"{{{told}}}")
    lines(here / "sample_submission.csv", "image_id,label", "2216849948.jpg,4")
    picture(here / "test_images" / "2216849948.jpg", 0)
    junk(here / "train_tfrecords" / "ld_train00-1338.tfrec")


@layout(
    SHELF,
    "kaggle.com/c/aptos2019-blindness-detection: train.csv id_code,diagnosis; test.csv without",
    'kit.load("aptos2019", labels="train.csv")',
    (Want(tuple("01234"), 4, test=Bare(3)), Want(tuple("01234"), 4)),
)
def aptos(here):
    here /= "aptos2019"
    names = hexed("eyes", 20, 12)
    for i, name in enumerate(names):
        picture(here / "train_images" / f"{name}.png", i % 5)
    lines(here / "train.csv", "id_code,diagnosis", *(f"{n},{i % 5}" for i, n in enumerate(names)))
    tests = hexed("unseen", 3, 12)
    pictures(here / "test_images", [f"{name}.png" for name in tests], 0)
    lines(here / "test.csv", "id_code", *tests)
    lines(here / "sample_submission.csv", "id_code,diagnosis", *(f"{name},0" for name in tests))


@layout(
    SHELF,
    "kaggle.com/c/histopathologic-cancer-detection: train_labels.csv id,label; .tif",
    'kit.load("histopathologic", labels="train_labels.csv")',
    Want(("0", "1"), 8, test=Bare(4)),
)
def histopathology(here):
    here /= "histopathologic"
    names = hexed("tissue", 16, 40)
    for i, name in enumerate(names):
        picture(here / "train" / f"{name}.tif", i % 2)
    lines(here / "train_labels.csv", "id,label", *(f"{n},{i % 2}" for i, n in enumerate(names)))
    tests = hexed("blank", 4, 40)
    pictures(here / "test", [f"{name}.tif" for name in tests], 0)
    lines(here / "sample_submission.csv", "id,label", *(f"{name},0" for name in tests))


WHALES = ("new_whale", "w_1287fbc", "w_98baff9", "w_e15442c")


@layout(
    SHELF,
    "kaggle.com/c/whale-categorization-playground: Image,Id, where Id is the class",
    'kit.load("whales", labels="train.csv")',
    Want(WHALES, (8, 3, 1, 1), test=Bare(3)),
)
def whales(here):
    here /= "whales"
    kinds = [0] * 8 + [1] * 3 + [2, 3]
    names = hexed("whale", 13, 8)
    for name, n in zip(names, kinds, strict=True):
        picture(here / "train" / f"{name}.jpg", n)
    rows = (f"{name}.jpg,{WHALES[n]}" for name, n in zip(names, kinds, strict=True))
    lines(here / "train.csv", "Image,Id", *rows)
    pictures(here / "test", [f"{name}.jpg" for name in hexed("sea", 3, 8)], 0)
    rows = (f"{name}.jpg,new_whale w_1287fbc" for name in hexed("sea", 3, 8))
    lines(here / "sample_submission.csv", "Image,Id", *rows)


# --- the label among other columns ---

SKIN = ("bcc", "mel", "nv")


def lesions_apart(data):
    """Two pictures of one lesion are neighbours in number."""
    of = [{int(path.stem[-4:]) // 2 for path in part.paths} for part in (data.train, data.valid)]
    return "a lesion's two pictures lie in train and valid" if of[0] & of[1] else ""


@layout(
    SHELF,
    "kmader/skin-cancer-mnist-ham10000: dx is the label, lesion_id shows what is one thing",
    'kit.load("ham10000", labels="HAM10000_metadata.csv"<more>)',
    lambda more: (
        Want(SKIN, 10, check=lesions_apart),
        *([] if "group" in more else [Want(SKIN, 10, noted="lesion")]),
    ),
    spellings={
        "typed": {"more": ""},
        "column": {"more": ', label_column="dx"'},
        "group": {"more": ', label_column="dx", group="lesion_id"'},
    },
)
def ham10000(here, more):
    here /= "ham10000"
    rows = []
    for i in range(30):
        n, name = i // 2 % 3, f"ISIC_{24300 + i:07d}"
        picture(here / f"HAM10000_images_part_{1 + i // 15}" / f"{name}.jpg", n)
        rows.append(f"HAM_{i // 2:07d},{name},{SKIN[n]},histo,{45 + i % 9}.0,male,back")
    head = "lesion_id,image_id,dx,dx_type,age,sex,localization"
    lines(here / "HAM10000_metadata.csv", head, *rows)
    pixels = ",".join(f"pixel{i:04d}" for i in range(64))
    lines(here / "hmnist_8_8_L.csv", f"{pixels},label", ",".join(["169"] * 64) + ",2")


@layout(
    SHELF,
    "kaggle.com/c/siim-isic-melanoma-classification: target, and two columns that nearly say it",
    'kit.load("siim-isic/jpeg", labels="siim-isic/train.csv"<more>)',
    (Want(("0", "1"), (12, 4), test=Bare(4)), Want(("benign", "malignant"), (12, 4), test=Bare(4))),
    spellings={"typed": {"more": ""}, "column": {"more": ', label_column="target"'}},
)
def siim_isic(here, more):
    here /= "siim-isic"
    rows = []
    for i in range(16):
        bad, name = int(i % 4 == 0), f"ISIC_{2637011 + i}"
        picture(here / "jpeg" / "train" / f"{name}.jpg", bad)
        junk(here / "train" / f"{name}.dcm")
        told = ("benign", "malignant")[bad]
        known = "melanoma" if bad else ("nevus" if i % 3 else "unknown")
        rows.append(f"{name},IP_{7279968 + i},male,45.0,head/neck,{known},{told},{bad}")
    head = "image_name,patient_id,sex,age_approx,anatom_site_general_challenge"
    lines(here / "train.csv", f"{head},diagnosis,benign_malignant,target", *rows)
    pictures(here / "jpeg" / "test", [f"ISIC_005221{i}.jpg" for i in range(4)], 0)
    rows = [f"ISIC_005221{i},IP_1,female,50.0,torso" for i in range(4)]
    lines(here / "test.csv", head, *rows)


GOODS = {
    "gender": ("Men", "Women", "Men"),
    "masterCategory": ("Accessories", "Apparel", "Footwear"),
    "subCategory": ("Bags", "Topwear", "Shoes"),
    "articleType": ("Handbags", "Shirts", "Sandals"),
    "baseColour": ("Navy Blue", "Navy Blue", "Black"),
    "season": ("Fall", "Summer", "Fall"),
    "year": ("2011", "2011", "2012"),
    "usage": ("Casual", "Sports", "Sports"),
}
_goods = {name: Want(tuple(sorted(set(of))), 6, labels=of) for name, of in GOODS.items()}


@layout(
    SHELF,
    "paramaggarwal/fashion-product-images-small: nine columns that could be meant, spilled commas",
    'kit.load("fashion", labels="styles.csv"<more>)',
    _goods["masterCategory"],
    spellings={"typed": {"more": ""}, "column": {"more": ', label_column="masterCategory"'}},
    after=tuple(_goods.values()),
)
def fashion_products(here, more):
    here /= "fashion"
    rows = []
    for i in range(18):
        picture(here / "images" / f"{15970 + i}.jpg", i % 3)
        rows.append(f"{15970 + i},{','.join(of[i % 3] for of in GOODS.values())},Fine Shirt {i}")
    rows[4] += ", Pack of 2, Grey"
    rows.append("39403,Men,Apparel,Topwear,Shirts,Blue,Fall,2011,Casual,Its picture is lost")
    lines(here / "styles.csv", f"id,{','.join(GOODS)},productDisplayName", *rows)


@layout(
    SHELF,
    "Hugging Face ImageFolder: one metadata.csv with file_name and a text beside the label",
    'kit.load("my_dataset"<labels>)',
    Want(KINDS, 5, test=2),
    spellings={"typed": {"labels": ', labels="metadata.csv"'}, "folder": {"labels": ""}},
)
def hf_metadata_csv(here, labels):
    rows = []
    for split, many in (("train", 5), ("test", 2)):
        for i in range(3 * many):
            picture(here / "my_dataset" / split / f"{i:04d}.png", i % 3)
            kind = KINDS[i % 3]
            rows.append(f'{split}/{i:04d}.png,"a {kind}, seen from {i} feet",{kind}')
    lines(here / "my_dataset" / "metadata.csv", "file_name,text,label", *rows)


# --- columns of 0 and 1 ---

BLIGHTS = ("healthy", "multiple_diseases", "rust", "scab")


@layout(
    SHELF,
    "kaggle.com/c/plant-pathology-2020-fgvc7: four columns of 0 and 1 are four classes",
    'kit.load("plant-pathology-2020", labels="train.csv")',
    (Want(BLIGHTS, 5, test=Bare(4)), Want(BLIGHTS, 5)),
)
def plant_pathology_2020(here):
    here /= "plant-pathology-2020"
    rows = []
    for i in range(20):
        picture(here / "images" / f"Train_{i}.jpg", i % 4)
        rows.append(f"Train_{i},{','.join(str(int(c == i % 4)) for c in range(4))}")
    pictures(here / "images", [f"Test_{i}.jpg" for i in range(4)], 0)
    lines(here / "train.csv", f"image_id,{','.join(BLIGHTS)}", *rows)
    lines(here / "test.csv", "image_id", *(f"Test_{i}" for i in range(4)))
    lines(here / "sample_submission.csv", f"image_id,{','.join(BLIGHTS)}", "Test_0,1,0,0,0")


ISIC = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")


@layout(
    SHELF,
    "ISIC 2018 task 3 (challenge.isic-archive.com): seven columns of 0.0 and 1.0",
    'kit.load("ISIC2018_Task3_Training_Input", labels="GroundTruth/Training_GroundTruth.csv")',
    Want(ISIC, 4),
)
def isic_2018(here):
    top = here / "ISIC2018_Task3_Training_Input"
    rows = []
    for i in range(28):
        picture(top / f"ISIC_{24306 + i:07d}.jpg", i % 7)
        rows.append(f"ISIC_{24306 + i:07d},{','.join(str(float(c == i % 7)) for c in range(7))}")
    lines(top / "ATTRIBUTION.txt", "The archive's")
    lines(top / "LICENSE.txt", "CC BY-NC 4.0")
    lines(here / "GroundTruth" / "Training_GroundTruth.csv", f"image,{','.join(ISIC)}", *rows)


LOOKS = ("5_o_Clock_Shadow", "Bald", "Eyeglasses", "Male", "Smiling", "Wavy_Hair", "Young")
FACES = tuple({look for c, look in enumerate(LOOKS) if (n + 1) >> c % 4 & 1} for n in range(8))


@layout(
    SHELF,
    "jessicali9530/celeba-dataset: list_attr_celeba.csv of -1 and 1, list_eval_partition.csv",
    'kit.load("celeba", labels="list_attr_celeba.csv"<more>)',
    (
        Want(LOOKS, 2, valid=1, test=1, task="multilabel", labels=FACES),
        Want(LOOKS, 4, task="multilabel", labels=FACES, noted="list_eval_partition"),
    ),
    spellings={"typed": {"more": ""}, "task": {"more": ', task="multilabel"'}},
)
def celeba_kaggle(here, more):
    here /= "celeba"
    names = [f"{i + 1:06d}.jpg" for i in range(32)]
    rows = []
    for i, name in enumerate(names):
        picture(here / "img_align_celeba" / "img_align_celeba" / name, i % 8)
        told = ("1" if look in FACES[i % 8] else "-1" for look in LOOKS)
        rows.append(f"{name},{','.join(told)}")
    lines(here / "list_attr_celeba.csv", f"image_id,{','.join(LOOKS)}", *rows)
    parts = [f"{name},{(i >= 16) + (i >= 24)}" for i, name in enumerate(names)]
    lines(here / "list_eval_partition.csv", "image_id,partition", *parts)
    boxes = [f"{name},95,71,226,313" for name in names]
    lines(here / "list_bbox_celeba.csv", "image_id,x_1,y_1,width,height", *boxes)


# --- several labels in a cell, and numbers ---

TAGS = ("haze primary", "agriculture clear primary water", "clear primary", "water")


@layout(
    SHELF,
    "kaggle.com/c/planet-understanding-the-amazon-from-space: image_name,tags, parted by blanks",
    'kit.load("planet", labels="train_v2.csv", task="multilabel")',
    tuple(
        Want(
            ("agriculture", "clear", "haze", "primary", "water"),
            5,
            test=test,
            task="multilabel",
            labels=tuple(set(tags.split()) for tags in TAGS),
        )
        for test in (Bare(3), None)
    ),
)
def planet(here):
    here /= "planet"
    for i in range(20):
        picture(here / "train-jpg" / f"train_{i}.jpg", i % 4)
    pictures(here / "test-jpg", [f"test_{i}.jpg" for i in range(3)], 0)
    rows = [f"train_{i},{TAGS[i % 4]}" for i in range(20)]
    lines(here / "train_v2.csv", "image_name,tags", *rows)
    lines(here / "sample_submission_v2.csv", "image_name,tags", "test_0,primary clear")


SCORES = tuple(float(5 * n + 1) for n in range(12))
TRAITS = ("Subject Focus", "Eyes", "Face", "Near", "Blur")


@layout(
    SHELF,
    "kaggle.com/c/petfinder-pawpularity-score: Pawpularity, a number, behind columns of 0 and 1",
    'kit.load("pawpularity", labels="train.csv", task="regression"<more>)',
    Want(("Pawpularity",), 2, test=Bare(3), task="regression", labels=SCORES),
    spellings={"typed": {"more": ""}, "column": {"more": ', label_column="Pawpularity"'}},
)
def pawpularity(here, more):
    here /= "pawpularity"
    names = hexed("paws", 24)
    rows = []
    for i, name in enumerate(names):
        picture(here / "train" / f"{name}.jpg", i % 12)
        rows.append(f"{name},0,1,{i % 2},1,0,{SCORES[i % 12]:.0f}")
    lines(here / "train.csv", f"Id,{','.join(TRAITS)},Pawpularity", *rows)
    tests = hexed("other", 3)
    pictures(here / "test", [f"{name}.jpg" for name in tests], 0)
    lines(here / "test.csv", f"Id,{','.join(TRAITS)}", *(f"{name},0,1,1,1,0" for name in tests))


AGES = (1.0, 8.0, 20.0, 26.0, 35.0, 39.0, 44.0, 50.0, 61.0, 75.0, 81.0, 90.0)


@layout(
    SHELF,
    "UTKFace (susanqq.github.io/UTKFace): [age]_[gender]_[race]_[date].jpg.chip.jpg",
    'kit.load("UTKFace", labels=lambda path: <typed>)',
    Want(("age",), 1, task="regression", labels=AGES),
    spellings={
        "floats": {"typed": 'float(path.name.split("_")[0])'},
        "task": {"typed": 'int(path.name.split("_")[0]), task="regression"'},
    },
)
def utk_face(here, typed):
    for n, age in enumerate(AGES):
        picture(here / "UTKFace" / f"{age:.0f}_{n % 2}_{n % 5}_20170117150{n:02d}.jpg.chip.jpg", n)


# --- further ---

MOTHS = ("ADONIS", "CLEOPATRA", "SOUTHERN DOGFACE")


@layout(
    SHELF,
    "phucthaiv02/butterfly-image-classification: Training_set.csv; Image_1.jpg in train/ and test/",
    'kit.load("butterflies", labels="Training_set.csv")',
    (Want(MOTHS, 5, test=Bare(4)), Want(MOTHS, 5)),
    further=True,
)
def butterflies(here):
    here /= "butterflies"
    rows = []
    for i in range(15):
        picture(here / "train" / f"Image_{i + 1}.jpg", i % 3)
        rows.append(f"Image_{i + 1}.jpg,{MOTHS[i % 3]}")
    lines(here / "Training_set.csv", "filename,label", *rows)
    for i in range(4):
        picture(here / "test" / f"Image_{i + 1}.jpg", (i + 1) % 3)
    lines(here / "Testing_set.csv", "filename", *(f"Image_{i + 1}.jpg" for i in range(4)))


CARDS = {"ace of clubs": "ace", "five of hearts": "five", "joker": "joker"}


@layout(
    SHELF,
    "gpiosenka/cards-image-datasetclassification: class index,filepaths,labels,card type,data set",
    'kit.load("cards"<more>)',
    Want(tuple(CARDS), 5, valid=2, test=2),
    spellings={
        "table": {"more": ', labels="cards.csv"'},
        "column": {"more": ', labels="cards.csv", label_column="labels"'},
        "folder": {"more": ""},
    },
    further=True,
)
def playing_cards(here, more):
    rows = []
    for split, many in (("train", 5), ("test", 2), ("valid", 2)):
        for n, (card, kind) in enumerate(CARDS.items()):
            for name in (f"{split}/{card}/{i + 1:03d}.jpg" for i in range(many)):
                picture(here / "cards" / name, n)
                rows.append(f"{n},{name},{card},{kind},{split}")
    lines(here / "cards" / "cards.csv", "class index,filepaths,labels,card type,data set", *rows)
    junk(here / "cards" / "14card types-14-(200 X 200)-94.61.h5")


SPOTS = ("healthy", "scab frog_eye_leaf_spot", "scab")
ONE_SPOT = ("frog_eye_leaf_spot", "healthy", "scab")


@layout(
    SHELF,
    "kaggle.com/c/plant-pathology-2021-fgvc8: image,labels “scab frog_eye_leaf_spot”",
    'kit.load("plant-pathology-2021", labels="train.csv"<more>)',
    lambda more: tuple(
        want
        for test in (Bare(3), None)
        for want in (
            Want(
                ONE_SPOT,
                5,
                test=test,
                task="multilabel",
                labels=tuple(set(spots.split()) for spots in SPOTS),
            ),
            *([] if more else [Want(SPOTS, 5, test=test, noted="multilabel")]),
        )
    ),
    spellings={"typed": {"more": ""}, "task": {"more": ', task="multilabel"'}},
    further=True,
)
def plant_pathology_2021(here, more):
    here /= "plant-pathology-2021"
    rows = []
    for i, name in enumerate(hexed("leaves", 15, 16)):
        picture(here / "train_images" / f"{name}.jpg", i % 3)
        rows.append(f"{name}.jpg,{SPOTS[i % 3]}")
    lines(here / "train.csv", "image,labels", *rows)
    tests = [f"{name}.jpg" for name in hexed("unseen", 3, 16)]
    pictures(here / "test_images", tests, 0)
    lines(here / "sample_submission.csv", "image,labels", *(f"{name},healthy" for name in tests))


FOUND = ("Cardiomegaly", "Cardiomegaly|Emphysema", "No Finding", "Effusion|Emphysema")
_signs = tuple(set(told.split("|")) for told in FOUND)
_apart = {"noted": r"train_val_list|test_list"}


@layout(
    SHELF,
    "nihcc.app.box.com/v/ChestXray-NIHCC: images_001/images, Data_Entry_2017.csv, test_list.txt",
    'kit.load("nih", labels="nih/Data_Entry_2017.csv"<more>)',
    tuple(
        Want(names, train, test=test, task="multilabel", labels=labels, **noted)
        for names, labels in (
            (("Cardiomegaly", "Effusion", "Emphysema", "No Finding"), _signs),
            (
                ("Cardiomegaly", "Effusion", "Emphysema"),
                tuple(signs - {"No Finding"} for signs in _signs),
            ),
        )
        for train, test, noted in ((4, 2, {}), (6, None, _apart))
    ),
    spellings={
        "typed": {"more": ""},
        "task": {"more": ', task="multilabel"'},
        "columns": {
            "more": ', task="multilabel", label_column="Finding Labels", file_column="Image Index"'
        },
    },
    further=True,
)
def nih_chest_xrays(here, more):
    here /= "nih"
    rows, names = [], []
    for i in range(24):
        name = f"{i // 2 + 1:08d}_{i % 2:03d}.png"
        names.append(name)
        n = i // 2 % 4
        picture(here / f"images_{1 + i // 12:03d}" / "images" / name, n, "L")
        rows.append(f"{name},{FOUND[n]},{i % 2},{i // 2 + 1},057Y,M,PA,2682,2749,0.143,0.143,")
    head = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender"
    head += ",View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
    lines(here / "Data_Entry_2017.csv", head, *rows)
    lines(here / "train_val_list.txt", *names[:16])
    lines(here / "test_list.txt", *names[16:])
    boxes = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    lines(here / "BBox_List_2017.csv", boxes, f"{names[0]},Cardiomegaly,225.0,547.0,86.7,79.1,,,")


@layout(
    SHELF,
    "kaggle.com/c/cifar-10: train/1.png and another test/1.png, trainLabels.csv id,label",
    'kit.load("cifar-10-kaggle<folder>", labels="trainLabels.csv")',
    (Want(KINDS, 5, test=Bare(4)), Want(KINDS, 5)),
    spellings={"above": {"folder": ""}, "train": {"folder": "/train"}},
    further=True,
)
def cifar_10_kaggle(here, folder):
    top = here / "cifar-10-kaggle"
    rows = []
    for i in range(15):
        picture(top / "train" / f"{i + 1}.png", i % 3)
        rows.append(f"{i + 1},{KINDS[i % 3]}")
    for i in range(4):
        picture(top / "test" / f"{i + 1}.png", (i + 1) % 3)
    lines((here if folder else top) / "trainLabels.csv", "id,label", *rows)
    lines(top / "sampleSubmission.csv", "id,label", *(f"{i + 1},cat" for i in range(4)))


CARS = ("AM General Hummer SUV 2000", "Audi S4 Sedan 2012", "Ram C-V Cargo Van Minivan 2012")


@layout(
    SHELF,
    "jutrera/stanford-car-dataset-by-classes-folder: anno_train.csv, no header, 00001.jpg,39,..,14",
    'kit.load("cars_train", labels="anno_train.csv"<more>)',
    tuple(Want(names, 5) for names in (("1", "2", "3"), CARS)),
    spellings={"typed": {"more": ""}, "names": {"more": ', class_names="names.csv"'}},
    further=True,
)
def stanford_cars(here, more):
    rows = []
    for i in range(15):
        picture(here / "cars_train" / f"{i + 1:05d}.jpg", i % 3)
        rows.append(f"{i + 1:05d}.jpg,{39 + i},{116 - i},569,{375 + 2 * i},{i % 3 + 1}")
    lines(here / "anno_train.csv", *rows)
    lines(here / "names.csv", *CARS)


@layout(
    SHELF,
    "Camelyon17 of WILDS (wilds.stanford.edu): metadata.csv has no file names, the path is built",
    'kit.load("camelyon17_v1.0", labels="metadata.csv"<more>)',
    (Want(("0", "1"), 8), Want(("0", "1"), 4, valid=4, noted="split")),
    spellings={"typed": {"more": ""}, "column": {"more": ', label_column="tumor"'}},
    refusal=r"patch_patient|file_column|no column[^.]*(file|picture)",
    further=True,
)
def camelyon_17(here, more):
    top = here / "camelyon17_v1.0"
    rows = []
    for i in range(16):
        at = f"patient_{4 + i // 8:03d}_node_4"
        x, y, n = 3328 + 32 * i, 21792, i % 2
        picture(top / "patches" / at / f"patch_{at}_x_{x}_y_{y}.png", n)
        rows.append(f"{i},{4 + i // 8},4,{x},{y},{n},0,{i % 3},{i // 8}")
    lines(top / "metadata.csv", ",patient,node,x_coord,y_coord,tumor,slide,center,split", *rows)
    lines(top / "RELEASE_v1.0.txt")


@layout(
    SHELF,
    "kaggle.com/c/rsna-pneumonia-detection-challenge, as .png: a row a box, patientId,x,..,Target",
    'kit.load("rsna", labels="stage_2_train_labels.csv"<more>)',
    Want(("0", "1"), 6),
    spellings={"typed": {"more": ""}, "column": {"more": ', label_column="Target"'}},
    further=True,
)
def rsna_pneumonia(here, more):
    rows = []
    for i, name in enumerate(hexed("ribs", 12, 36)):
        picture(here / "rsna" / "stage_2_train_images" / f"{name}.png", i % 2, "L")
        if i % 2:
            rows += [f"{name},264.0,152.0,213.0,379.0,1", f"{name},562.0,152.0,256.0,453.0,1"]
        else:
            rows.append(f"{name},,,,,0")
    lines(here / "rsna" / "stage_2_train_labels.csv", "patientId,x,y,width,height,Target", *rows)
    seen = "patientId,class"
    told = sorted({f"{row.split(',')[0]},Lung Opacity" for row in rows})
    lines(here / "rsna" / "stage_2_detailed_class_info.csv", seen, *told)


@layout(
    SHELF,
    "kaggle.com/c/iwildcam-2019-fgvc6: train.csv of eleven columns, category_id is the label",
    'kit.load("iwildcam", labels="train.csv"<more>)',
    (Want(("0", "13", "19"), 6, test=Bare(3)), Want(("0", "13", "19"), 6)),
    spellings={
        "typed": {"more": ""},
        "column": {"more": ', label_column="category_id"'},
        "columns": {
            "more": ', label_column="category_id", file_column="file_name", group="seq_id"'
        },
    },
    further=True,
)
def iwildcam(here, more):
    here /= "iwildcam"
    rows = []
    for i, name in enumerate(hexed("traps", 18, 36)):
        n = i // 2 % 3
        picture(here / "train_images" / f"{name}.jpg", n)
        told = f"{('0', '13', '19')[n]},2012-03-17 03:48:{i:02d},{name}.jpg,{i % 2 + 1},{name}"
        rows.append(f"{told},{46 + i % 5},Justin Brown,6f12067d-{i // 2:04d},2,1024,747")
    head = "category_id,date_captured,file_name,frame_num,id,location,rights_holder"
    lines(here / "train.csv", f"{head},seq_id,seq_num_frames,width,height", *rows)
    tests = hexed("unseen", 3, 36)
    pictures(here / "test_images", [f"{name}.jpg" for name in tests], 0)
    lines(here / "sample_submission.csv", "Id,Predicted", *(f"{name},0" for name in tests))


@pytest.mark.parametrize("one", cases(SHELF))
def test_a_table_gives_each_picture_its_own_label(one, tmp_path):
    check(one, tmp_path)
