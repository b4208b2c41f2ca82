"""Class folders as they are handed out: wrapped, renamed, doubled, several versions of one set."""

import shutil

import pytest

from tests.support.layouts import (
    Bare,
    Layout,
    Want,
    cases,
    check,
    classes_in,
    junk,
    layout,
    lines,
    packed,
    picture,
    pictures,
)

SHELF: list[Layout] = []
PACKED = {"zip": {"kind": "zip", "end": "zip"}, "tgz": {"kind": "gztar", "end": "tar.gz"}}

# --- one level, packed or not ---

BLOOMS = ("daisy", "roses", "tulips")


@layout(
    SHELF,
    "download.tensorflow.org/example_images/flower_photos.tgz, with its LICENSE.txt",
    'kit.load("flower_photos.<end>")',
    Want(BLOOMS, 5),
    spellings=PACKED | {"tar": {"kind": "tar", "end": "tar"}},
)
def flower_photos(here, kind, end):
    top = here / "flower_photos"
    classes_in(top, BLOOMS, [f"{100080576 + i}_f52e8ee070_n.jpg" for i in range(5)])
    lines(top / "LICENSE.txt", "Photos by many, each under the licence it was given.")
    packed(top, kind)


PEOPLE = ("Ann_Ark", "Bo_Berg", "Cy_Cole")


@layout(
    SHELF,
    "vis-www.cs.umass.edu/lfw/lfw.tgz: most people have one picture",
    'kit.load("lfw.<end>")',
    Want(PEOPLE, (1, 1, 6)),
    spellings=PACKED,
)
def lfw(here, kind, end):
    for n, (who, many) in enumerate(zip(PEOPLE, (1, 1, 6), strict=True)):
        pictures(here / "lfw" / who, [f"{who}_{i + 1:04d}.jpg" for i in range(many)], n)
    packed(here / "lfw", kind)


@layout(
    SHELF,
    "Microsoft's kagglecatsanddogs_5340.zip: two empty pictures, Thumbs.db, texts beside",
    'kit.load("kagglecatsanddogs_5340.zip")',
    Want(("Cat", "Dog"), 6),
)
def pet_images(here):
    top = here / "kagglecatsanddogs_5340"
    classes_in(top / "PetImages", ("Cat", "Dog"), [f"{i}.jpg" for i in range(6)])
    for name in ("Cat/666.jpg", "Dog/11702.jpg"):
        (top / "PetImages" / name).touch()
    junk(top / "PetImages/Cat/Thumbs.db", top / "MSR-LA - 3467.docx", top / "readme[1].txt")
    packed(top, inside=False)


# --- splits, under every name ---

PETS = ("cats", "dogs")


@layout(
    SHELF,
    "cats_and_dogs_filtered.zip of Google's exercises: train/, validation/, vectorize.py",
    'kit.load("cats_and_dogs_filtered.zip")',
    Want(PETS, 8, valid=4),
    spellings={word: {"word": word} for word in ("validation", "valid", "val", "Validation")},
)
def cats_and_dogs(here, word):
    top = here / "cats_and_dogs_filtered"
    for n, kind in enumerate(PETS):
        pictures(top / "train" / kind, [f"{kind[:3]}.{i}.jpg" for i in range(8)], n)
        pictures(top / word / kind, [f"{kind[:3]}.{2000 + i}.jpg" for i in range(4)], n)
    lines(top / "vectorize.py", "print('never run')")
    packed(top)


ANIMALS = ("bird", "cat", "dog")
HASHED = "{kind}_%s_jpg.rf.5f3c1b9e77d2%s.jpg"


@layout(
    SHELF,
    "Roboflow's Folder Structure export: README.roboflow.txt, hashed names",
    'kit.load("pets.v1i.folder.zip")',
    Want(ANIMALS, 5, valid=2, test=2),
)
def roboflow_folder(here):
    top = here / "pets.v1i.folder"
    for split, many in (("train", 5), ("valid", 2), ("test", 2)):
        classes_in(top / split, ANIMALS, [HASHED % (f"{split}{i}", i) for i in range(many)])
    lines(top / "README.dataset.txt", "# pets > 2023-05-05")
    lines(top / "README.roboflow.txt", "", "pets - v1 2023-05-05")
    packed(top)


@layout(
    SHELF,
    "Ultralytics' and CVAT's classification folders: train/ val/ test/, labels.json, a cache",
    'kit.load("pets-cls.zip")',
    Want(ANIMALS, 5, valid=2, test=2),
)
def ultralytics_cls(here):
    top = here / "pets-cls"
    for split, many in (("train", 5), ("val", 2), ("test", 2)):
        classes_in(top / split, ANIMALS, [f"{{kind}}-{split}-{i}.jpg" for i in range(many)])
        lines(top / split / "labels.json", '{"bird/bird-train-0.jpg": {"id": 0}}')
    junk(top / "train.cache")
    packed(top)


SCENES = ("buildings", "forest", "glacier", "sea")
DOUBLED = {"doubled": {"inner": True}, "plain": {"inner": False}}


@layout(
    SHELF,
    "puneet6060/intel-image-classification: seg_train/seg_train, seg_test/seg_test, seg_pred",
    'kit.load("intel")',
    (Want(SCENES, 6, test=2), Want(SCENES, 6, valid=2, test=Bare(5))),
    spellings=DOUBLED,
)
def intel_scenes(here, inner):
    place = lambda word: here / "intel" / word / (word if inner else "")
    classes_in(place("seg_train"), SCENES, [f"{i}.jpg" for i in range(6)])
    classes_in(place("seg_test"), SCENES, [f"{20057 + i}.jpg" for i in range(2)])
    pictures(place("seg_pred"), [f"{10004 + i}.jpg" for i in range(5)], 0)


TUMOURS = ("glioma", "meningioma", "notumor", "pituitary")


@layout(
    SHELF,
    "masoudnickparvar/brain-tumor-mri-dataset: Training/, Testing/; mnist_png: training/, testing/",
    'kit.load("brain")',
    Want(TUMOURS, 6, test=2),
    spellings={
        "Training": {"words": ("Training", "Testing")},
        "training": {"words": ("training", "testing")},
        "TRAIN": {"words": ("TRAIN", "TEST")},
    },
)
def brain_tumours(here, words):
    names = (f"Tr-{{kind}}_{i:04d}.jpg" for i in range(6)), (f"Te-{{n}}_{i}.jpg" for i in range(2))
    for word, of in zip(words, names, strict=True):
        classes_in(here / "brain" / word, TUMOURS, of, "L")


LUNGS = ("NORMAL", "PNEUMONIA")


@layout(
    SHELF,
    "paultimothymooney/chest-xray-pneumonia: all of it once more in chest_xray/chest_xray",
    'kit.load("chest-xray-pneumonia.zip")',
    Want(LUNGS, 6, valid=2, test=3),
)
def chest_xray(here):
    top = here / "chest-xray-pneumonia" / "chest_xray"
    for split, many in (("train", 6), ("test", 3), ("val", 2)):
        names = [f"IM-0{i}-{split}.jpeg" for i in range(many)]
        classes_in(top / split, LUNGS, names, "L")
        shutil.copytree(top / split, top / "chest_xray" / split)
        for lung in LUNGS:
            junk(top / "__MACOSX" / split / lung / f"._{names[0]}")
        junk(top / "chest_xray" / split / ".DS_Store")
    packed(here / "chest-xray-pneumonia")


SEEDLINGS = ("Black-grass", "Common Chickweed", "Small-flowered Cranesbill")


@layout(
    SHELF,
    "kaggle.com/c/plant-seedlings-classification: train/<class with blanks>/, flat test/",
    'kit.load("plant-seedlings-classification")',
    Want(SEEDLINGS, 5, test=Bare(4)),
)
def plant_seedlings(here):
    here /= "plant-seedlings-classification"
    classes_in(here / "train", SEEDLINGS, [f"{i}a9f{{n}}c3.png" for i in range(5)])
    pictures(here / "test", [f"{i}b77e1.png" for i in range(4)], 0)
    lines(here / "sample_submission.csv", "file,species", "0b77e1.png,Sugar beet")


PADDY = ("blast", "normal", "tungro")


@layout(
    SHELF,
    "kaggle.com/c/paddy-disease-classification: train_images/<class>/, test_images/, train.csv",
    'kit.load("<typed>)',
    (Want(PADDY, 5, test=Bare(4)), Want(PADDY, 5)),
    spellings={
        "folders": {"typed": 'paddy"'},
        "table": {"typed": 'paddy", labels="train.csv"'},
        "table named": {"typed": 'paddy", labels="paddy/train.csv", label_column="label"'},
    },
)
def paddy(here, typed):
    here /= "paddy"
    rows = [
        f"1{n}03{i}.jpg,{kind},ADT45,{45 + i}" for n, kind in enumerate(PADDY) for i in range(5)
    ]
    classes_in(here / "train_images", PADDY, [f"1{{n}}03{i}.jpg" for i in range(5)])
    pictures(here / "test_images", [f"20000{i}.jpg" for i in range(4)], 0)
    lines(here / "train.csv", "image_id,label,variety,age", *rows)
    lines(here / "sample_submission.csv", "image_id,label", "200000.jpg,")


# --- the class in the name ---


@layout(
    SHELF,
    "kaggle.com/c/dogs-vs-cats-redux: train/cat.0.jpg, test/1.jpg",
    "kit.load(<typed>)",
    Want(("cat", "dog"), 8, test=Bare(4)),
    spellings={
        "folder": {"typed": '"dogs-vs-cats"'},
        "function": {"typed": '"dogs-vs-cats", labels=lambda path: path.name.split(".")[0]'},
        "both named": {
            "typed": '"dogs-vs-cats/train", test="dogs-vs-cats/test",'
            ' labels=lambda path: path.name.split(".")[0]'
        },
    },
)
def dogs_vs_cats(here, typed):
    here /= "dogs-vs-cats"
    for n, kind in enumerate(("cat", "dog")):
        pictures(here / "train", [f"{kind}.{i}.jpg" for i in range(8)], n)
    pictures(here / "test", [f"{i}.jpg" for i in range(1, 5)], 0)
    lines(here / "sampleSubmission.csv", "id,label", *(f"{i},0.5" for i in range(1, 5)))


# --- versions ---

LEAVES = ("Apple___healthy", "Corn_(maize)___Common_rust_", "Pepper,_bell___Bacterial_spot")


@layout(
    SHELF,
    "abdallahalidev/plantvillage-dataset: color/, grayscale/ and segmented/ of the same leaves",
    'kit.load("plantvillage-dataset")',
    Want(LEAVES, 5),
)
def plant_village(here):
    top = here / "plantvillage-dataset" / "plantvillage dataset"
    for version, mode in (("color", "RGB"), ("grayscale", "L"), ("segmented", "RGB")):
        classes_in(top / version, LEAVES, [f"0a76-{i}___RS_HL {i}.JPG" for i in range(5)], mode)


# --- further ---

FRUITS = ("Apple Braeburn 1", "Banana 1", "Tomato 1")


@layout(
    SHELF,
    "moltean/fruits: fruits-360/Training, Test, papers, test-multiple_fruits",
    'kit.load("fruits-360")',
    (Want(FRUITS, 6, test=2),),
    further=True,
)
def fruits_360(here):
    top = here / "fruits-360"
    classes_in(top / "Training", FRUITS, [f"{i}_100.jpg" for i in range(6)])
    classes_in(top / "Test", FRUITS, [f"r_{i}_100.jpg" for i in range(2)])
    pictures(top / "test-multiple_fruits", ["apples1.jpg", "Bananas(lady finger)1.jpg"], 7)
    junk(top / "papers" / "Fruit recognition from images using deep learning.pdf")
    lines(top / "readme.md", "# Fruits-360")
    lines(top / "LICENSE", "CC BY-SA 4.0")


HANDS = ("A", "B", "del", "nothing", "space")


@layout(
    SHELF,
    "grassknoted/asl-alphabet: asl_alphabet_train twice over; test pictures A_test.jpg in no folder",
    'kit.load("asl-alphabet")',
    (Want(HANDS, 5, test=1), Want(HANDS, 5, test=Bare(5)), Want(HANDS, 5, noted="test")),
    further=True,
)
def asl_alphabet(here):
    train, test = (here / "asl-alphabet" / f"asl_alphabet_{word}" for word in ("train", "test"))
    classes_in(train / train.name, HANDS, [f"{{kind}}{i + 1}.jpg" for i in range(5)])
    for n, hand in enumerate(HANDS):
        picture(test / test.name / f"{hand}_test.jpg", n)


PALMS = ("01_palm", "02_l", "03_fist")


@layout(
    SHELF,
    "gti-upm/leapgestrecog: leapGestRecog/00/01_palm/frame_00_01_0001.png, a folder a person",
    'kit.load("leapGestRecog")',
    (Want(PALMS, 9), Want(("palm", "l", "fist"), 9)),
    further=True,
)
def leap_gestures(here):
    for person in range(3):
        for n, palm in enumerate(PALMS):
            names = [f"frame_{person:02d}_{palm[:2]}_{i:04d}.png" for i in range(3)]
            pictures(here / "leapGestRecog" / f"{person:02d}" / palm, names, n, "L")


TISSUES = ("colon_aca", "colon_n", "lung_aca", "lung_n", "lung_scc")


@layout(
    SHELF,
    "LC25000 (arxiv.org/abs/1912.12142): lung_colon_image_set/{colon,lung}_image_sets/<class>",
    'kit.load("lung_colon_image_set")',
    Want(TISSUES, 5),
    after=(Want(TISSUES[:2], 5), Want(TISSUES[2:], 5, shows=(2, 3, 4))),
    further=True,
)
def lc25000(here):
    for n, tissue in enumerate(TISSUES):
        organ = tissue.split("_")[0]
        names = [f"{tissue.replace('_', '')}{i + 1}.jpeg" for i in range(5)]
        pictures(here / "lung_colon_image_set" / f"{organ}_image_sets" / tissue, names, n)


CELLS = ("Parasitized", "Uninfected")


@layout(
    SHELF,
    "iarunava/cell-images-for-detecting-malaria: cell_images inside cell_images, Thumbs.db",
    'kit.load("cell_images<end>")',
    Want(CELLS, 6),
    spellings={"folder": {"end": ""}, "zip": {"end": ".zip"}},
    further=True,
)
def malaria_cells(here, end):
    top = here / "cell_images"
    classes_in(top, CELLS, [f"C33P1thinF_IMG_2015_cell_{i}{{n}}.png" for i in range(6)])
    junk(*(top / cell / "Thumbs.db" for cell in CELLS))
    shutil.copytree(top, here / "twin")
    shutil.move(here / "twin", top / "cell_images")
    if end:
        packed(top)


@layout(
    SHELF,
    "navoneel/brain-mri-images-for-brain-tumor-detection: yes/ and no/, again in brain_tumor_dataset",
    'kit.load("brain-mri")',
    Want(("no", "yes"), 6),
    further=True,
)
def brain_yes_no(here):
    top = here / "brain-mri"
    pictures(top / "no", [f"{i + 1} no.jpeg" for i in range(6)], 0, "L")
    pictures(top / "yes", [f"Y{i + 1}.jpg" for i in range(6)], 1, "L")
    for word in ("no", "yes"):
        shutil.copytree(top / word, top / "brain_tumor_dataset" / word)


THINGS = ("back_pack", "bike", "mug")
DOMAINS = (Want(THINGS, 12, noted="amazon"), Want(THINGS, 12, noted="domain"))


@layout(
    SHELF,
    "Office-31 (Saenko, ECCV 2010), as domain adaptation toolboxes read it: amazon/images/<class>",
    'kit.load("<typed>")',
    lambda typed: DOMAINS if typed == "office31" else Want(THINGS, 4),
    spellings={"all": {"typed": "office31"}, "one": {"typed": "office31/amazon"}},
    after=(Want(THINGS, 12),),
    further=True,
)
def office_31(here, typed):
    for domain in ("amazon", "dslr", "webcam"):
        names = [f"frame_{i + 1:04d}.jpg" for i in range(4)]
        classes_in(here / "office31" / domain / "images", THINGS, names)


@layout(
    SHELF,
    "PACS (dali-dl.github.io/project_iccv2017): kfold/<domain>/<class>, four styles of one class",
    'kit.load("PACS")',
    (Want(ANIMALS, 16, noted="cartoon"), Want(ANIMALS, 16, noted="domain")),
    after=(Want(ANIMALS, 16),),
    further=True,
)
def pacs(here):
    for domain in ("art_painting", "cartoon", "photo", "sketch"):
        names = [f"pic_{i:03d}.jpg" for i in range(4)]
        classes_in(here / "PACS" / "kfold" / domain, ANIMALS, names)


SIGNS = [f"{of}{{}}character{i:02d}" for of in ("Greek", "Korean") for i in (1, 2)]


@layout(
    SHELF,
    "github.com/brendenlake/omniglot: images_background/<alphabet>/character01/0709_01.png",
    'kit.load("images_background")',
    (
        *(Want(tuple(sign.format(mark) for sign in SIGNS), 4) for mark in ("/", "_", " ", ".")),
        Want(
            ("Greek", "Korean"),
            8,
            labels=("Greek", "Greek", "Korean", "Korean"),
            noted="character",
        ),
    ),
    after=(
        Want(("character01", "character02"), 4),
        Want(("character01", "character02"), 4, shows=(2, 3)),
    ),
    further=True,
)
def omniglot(here):
    for n, sign in enumerate(SIGNS):
        names = [f"{709 + n:04d}_{i + 1:02d}.png" for i in range(4)]
        pictures(here / "images_background" / sign.format("/"), names, n, "L")


SPECIES = (
    "00000_Animalia_Annelida_Lumbricus_terrestris",
    "02912_Animalia_Chordata_Ameiurus_natalis",
)


@layout(
    SHELF,
    "iNaturalist 2021 (github.com/visipedia/inat_comp): train_mini/<number_kingdom...>/, val/",
    'kit.load("inat2021")',
    Want(SPECIES, 5, valid=2),
    further=True,
)
def inaturalist(here):
    for split, many in (("train_mini", 5), ("val", 2)):
        names = [f"6e0f{i}{split[:2]}-{{n}}.jpg" for i in range(many)]
        classes_in(here / "inat2021" / split, SPECIES, names)


OBJECTS = ("001.ak47", "002.american-flag", "056.dog")


@layout(
    SHELF,
    "data.caltech.edu/records/nyy15-4j048: 256_ObjectCategories/001.ak47/001_0001.jpg, oddments",
    'kit.load("256_ObjectCategories.tar")',
    (Want(OBJECTS, 5), Want(("ak47", "american-flag", "dog"), 5)),
    further=True,
)
def caltech_256(here):
    top = here / "256_ObjectCategories"
    classes_in(top, OBJECTS, [f"{{n}}_{i + 1:04d}.jpg" for i in range(5)])
    junk(top / "056.dog" / "greg" / "vision309" / "nothing", top / "002.american-flag" / "RENAME2")
    packed(top, "tar")


USES = ("agricultural", "beach", "runway")


@layout(
    SHELF,
    "UC Merced Land Use (weegee.vision.ucmerced.edu): UCMerced_LandUse/Images/<class>/*.tif",
    'kit.load("UCMerced_LandUse.zip")',
    Want(USES, 5),
    further=True,
)
def uc_merced(here):
    top = here / "UCMerced_LandUse"
    classes_in(top / "Images", USES, [f"{{kind}}{i:02d}.tif" for i in range(5)])
    lines(top / "readme.txt", "21 classes of land use")
    packed(top)


MONKEYS = {"n0": "mantled_howler", "n1": "patas_monkey", "n2": "bald_uakari"}


@layout(
    SHELF,
    "slothkong/10-monkey-species: training/training/n0, monkey_labels.txt (its padded header)",
    'kit.load("10-monkey-species")',
    (Want(tuple(MONKEYS), 5, valid=2), Want(tuple(MONKEYS.values()), 5, valid=2)),
    further=True,
)
def monkey_species(here):
    here /= "10-monkey-species"
    for split, many in (("training", 5), ("validation", 2)):
        classes_in(here / split / split, MONKEYS, [f"{{kind}}{i + 100}.jpg" for i in range(many)])
    rows = [
        f"{n}         , latin_{n}\t, {name:30}, 131          , 26" for n, name in MONKEYS.items()
    ]
    head = "Label, Latin Name              , Common Name      , Train Images , Validation Images"
    lines(here / "monkey_labels.txt", head, *rows)


SKIES = ("cloudy", "rain", "shine", "sunrise")


@layout(
    SHELF,
    "data.mendeley.com/datasets/4drtyfjtfy (multi-class weather): dataset2/cloudy1.jpg, all flat",
    'kit.load("dataset2")',
    Want(SKIES, 5),
    further=True,
)
def weather(here):
    for n, sky in enumerate(SKIES):
        pictures(here / "dataset2", [f"{sky}{i + 1}.jpg" for i in range(5)], n)


# --- what lies beside the set, above it, or in two places ---


def spread(top, folders, many=3):
    """Pictures in folders: {folder: what they show}, each with names of its own."""
    for folder, n in folders.items():
        own = folder.replace("/", "-")
        pictures(top / folder, [f"{own}-{i}.png" for i in range(many)], n)


CATS = {"cat": 0, "dog": 1}
PAIR = tuple(CATS)
WHOLE = {f"{split}/{name}": n for split in ("train", "test") for name, n in CATS.items()}


def in_folder(folder, of=CATS):
    return {f"{folder}/{name}": n for name, n in of.items()}


@layout(
    SHELF,
    "STL-10's unlabeled, paultimothymooney/blood-cells: pictures without a class beside the set",
    'kit.load("set")',
    lambda folders, beside: Want(PAIR, 3, test=3 if len(folders) > 2 else None, noted=beside),
    spellings={
        "labeled": {"folders": in_folder("labeled"), "beside": "unlabeled"},
        "labelled": {"folders": in_folder("Labelled"), "beside": "Unlabelled_images"},
        "with test": {"folders": in_folder("labeled") | in_folder("test"), "beside": "unlabeled"},
        "boxes": {"folders": {f"a/a/images/{of}": n for of, n in WHOLE.items()}, "beside": "b/b/c"},
    },
)
def beside_the_set(here, folders, beside):
    spread(here / "set", folders)
    spread(here / "set", {beside: 5})


@layout(
    SHELF,
    "splits of classes beside as many pictures of no class: which of them is meant is asked",
    'kit.load("set")',
    after=(Want(PAIR, 3, test=3),),
)
def beside_as_many(here):
    spread(here / "set", {f"sorted/{of}": n for of, n in WHOLE.items()})
    spread(here / "set", {"more": 5}, many=9)


COUNTERS = {form: {"form": form} for form in ("frame_{:03d}", "IMG_{}", "photo ({})", "{}")}


@layout(
    SHELF,
    "camera traps and videos: files count from 1 in each folder, so equal names mean nothing",
    'kit.load("camera")',
    Want(PAIR, 6),
    spellings={
        f"{word} {form}": {"form": form, "folders": folders}
        for form in COUNTERS
        for word, folders in {
            "dates above": ("2021-01-02/{}", "2021-02-11/{}"),
            "months below": ("{}/January", "{}/February"),
            "videos below": ("{}/v01", "{}/v02"),
        }.items()
    },
)
def counted_files(here, form, folders):
    for folder in folders:
        for name, n in CATS.items():
            names = [form.format(i) + ".png" for i in range(3)]
            pictures(here / "camera" / folder.format(name), names, n)


@layout(
    SHELF,
    "two sizes of one set, or two cameras: files that count are of the same things, or not",
    'kit.load("set")',
    after=(Want(ANIMALS, 6), Want(("big", "small"), 9, blind=True)),
    spellings={form: {"form": form} for form in ("{}", "IMG_{}")},
)
def two_sizes(here, form):
    for size in ("big", "small"):
        classes_in(here / "set" / size, ANIMALS, [form.format(i) + ".png" for i in range(3)])


@layout(
    SHELF,
    "videos in class folders (UCF-101's frames): test has other folders in the same class folders",
    'kit.load("frames")',
    Want(("run", "walk"), 6, test=3),
    spellings={word: {"word": word} for word in ("{}", "scene{}", "v_{}_g{}")},
)
def videos_of_splits(here, word):
    for split, videos in (("train", (1, 2)), ("test", (9,))):
        for n, of in enumerate(("run", "walk")):
            for video in videos:
                folder = here / "frames" / split / of / word.format(video, video)
                pictures(folder, [f"frame_{i:03d}.png" for i in range(3)], n)


SHARDS = {
    "numbered": "train_1 train_2",
    "of two words": "train_a train_b",
    "aug": "train train_aug",
}


@layout(
    SHELF,
    "train in several folders, each with pictures of its own (ImageNet's and kaggle's shards)",
    'kit.load("set")',
    Want(PAIR, 6, test=3, noted="train_1"),
    spellings={word: {"folders": folders.split()} for word, folders in SHARDS.items()},
    after=(Want(PAIR, 6, test=3),),
)
def train_twice(here, folders):
    for folder in (*folders, "test"):
        spread(here / "set", in_folder(folder))


@layout(
    SHELF,
    "foldings: train_1 and train_2 hold the same pictures, mostly, and are one or the other",
    'kit.load("set")',
    after=(Want(PAIR, 3, test=3),),
)
def foldings(here):
    for folder in ("train_1", "test"):
        spread(here / "set", in_folder(folder))
    shutil.copytree(here / "set/train_1", here / "set/train_2")


@layout(
    SHELF,
    "a class folder beside train/, or a folder of something else: who unpacked it knows",
    'kit.load("set")',
    after=(Want(PAIR, 3, test=3),),
)
def folder_beside_train(here):
    spread(here / "set", WHOLE | {"bird": 2})


@layout(
    SHELF,
    "chest CT of kaggle, and slips: classes of test that train calls otherwise, or lacks",
    'kit.load("<typed>)',
    spellings={
        "longer": {"typed": 'set"', "names": ("cat_left.lower.lobe_T2", "dog_right.hilum_T2")},
        "plural": {"typed": 'set"', "names": ("cats", "dogs")},
        "two folders": {"typed": 'set/train", test="set/test"', "names": ("cats", "dog")},
    },
    after=(Want(PAIR, 3, test=3),),
)
def other_names(here, typed, names):
    spread(here / "set", {f"train/{name}": n for n, name in enumerate(names)} | in_folder("test"))


@layout(
    SHELF,
    "open sets: a class of which train has no picture",
    'kit.load("set")',
    after=(Want(PAIR, 3, test=3), Want(PAIR, 3, valid=3)),
    spellings={split: {"split": split} for split in ("test", "val")},
)
def open_set(here, split):
    spread(here / "set", in_folder("train") | in_folder(split) | {f"{split}/fish": 2})


@layout(
    SHELF,
    "parts of a machine, or of a download: part_1/, part_2/",
    'kit.load("set")',
    after=(Want(("part_1", "part_2"), 3),),
)
def parts(here):
    spread(here / "set", {"part_1": 0, "part_2": 1})


@pytest.mark.parametrize("one", cases(SHELF))
def test_class_folders_are_read_right_or_the_error_leads_there(one, tmp_path):
    check(one, tmp_path)
