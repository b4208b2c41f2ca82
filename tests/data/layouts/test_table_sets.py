"""Sets whose labels stand in a table of their publisher's own making, each as it is handed out."""

import json

import pytest

from tests.support.layouts import Layout, Want, cases, check, either, layout, lines, picture

SHELF: list[Layout] = []
further = {"further": True}


def spread(folder, names, many=3):
    """Pictures of colours 0, 1, 2, 0 ... under these names, and each name's colour."""
    for n, name in enumerate(names):
        picture(folder / name, n % many)
    return [(n, name, n % many) for n, name in enumerate(names)]


def hot(n, many=3, one="1", no="0"):
    return ",".join(one if n == k else no for k in range(many))


@layout(
    SHELF,
    "CheXpert (stanfordmlgroup.github.io/competitions/chexpert): 1.0, 0.0, -1.0 and blanks",
    'kit.load("CheXpert-v1.0-small"<more>)',
    Want(
        ("Edema", "Fracture"),
        6,
        2,
        task="multilabel",
        labels=({"Edema"}, {"Edema", "Fracture"}),
    ),
    spellings={"typed": {"more": ""}, "table": {"more": ', labels="train.csv"'}},
    **further,
)
def chexpert(here, more):
    here /= "CheXpert-v1.0-small"
    head = "Path,Sex,Age,Frontal/Lateral,AP/PA,Edema,Fracture,Pneumonia"
    for split, many in (("train", 12), ("valid", 4)):
        names = [f"{split}/patient{n:05d}/study1/view1_frontal.jpg" for n in range(many)]
        rows = [
            f"CheXpert-v1.0-small/{name},{('Male', 'Female')[n % 3 > 0]},{50 + n * 7 % 30},"
            f"Frontal,AP,1.0,{('', '1.0')[kind]},{('-1.0', '0.0', '')[n % 3]}"
            for n, name, kind in spread(here, names, 2)
        ]
        lines(here / f"{split}.csv", head, *rows)


@layout(
    SHELF,
    "ISIC 2016 task 3 (challenge.isic-archive.com): no header, benign or malignant",
    'kit.load("ISBI2016", labels="ISBI2016_ISIC_Part3_Training_GroundTruth.csv")',
    Want(("benign", "malignant"), 6),
    **further,
)
def isic_2016(here):
    seen = spread(here / "ISBI2016", [f"ISIC_{n:07d}.jpg" for n in range(12)], 2)
    rows = [f"{name[:-4]},{('benign', 'malignant')[kind]}" for _, name, kind in seen]
    lines(here / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv", *rows)


@layout(
    SHELF,
    "Messidor-2 grades (kaggle.com/google-brain/messidor2-dr-grades): grade, edema, gradable",
    'kit.load("messidor", labels="messidor_data.csv")',
    Want(("0", "1", "2"), 5),
    **further,
)
def messidor(here):
    seen = spread(here / "messidor", [f"20051020_{43808 + n}_0100_PP.png" for n in range(15)])
    rows = [f"{name},{kind},{n % 4 // 3},1" for n, name, kind in seen]
    head = "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable"
    lines(here / "messidor_data.csv", head, *rows)


@layout(
    SHELF,
    "kaggle.com/c/hpa-single-cell-image-classification: ID,Label “14|0”",
    'kit.load("hpa", labels="train.csv")',
    Want(("0", "5", "14"), 5, task="multilabel", labels=({"0", "14"}, {"5"}, {"14"})),
    **further,
)
def human_proteins(here):
    seen = spread(here / "hpa" / "train", [f"5c27f04c-bb99-{n:04x}.png" for n in range(15)])
    rows = [f"{name[:-4]},{('14|0', '5', '14')[kind]}" for _, name, kind in seen]
    lines(here / "hpa" / "train.csv", "ID,Label", *rows)


@layout(
    SHELF,
    "kaggle.com/c/imaterialist-challenge-fashion-2018: imageId and labelId in JSON",
    'kit.load("imaterialist", labels="train.json")',
    Want(("17", "53", "62"), 5, task="multilabel", labels=({"17", "62"}, {"53"}, {"62"})),
    **further,
)
def imaterialist(here):
    seen = spread(here / "imaterialist" / "train", [f"{n + 1}.jpg" for n in range(15)])
    told = {
        "images": [
            {"url": f"https://x.example/{n:032x}.jpg", "imageId": name[:-4]} for n, name, _ in seen
        ],
        "annotations": [
            {"labelId": (["62", "17"], ["53"], ["62"])[kind], "imageId": name[:-4]}
            for _, name, kind in seen
        ],
    }
    lines(here / "imaterialist" / "train.json", json.dumps(told))


@layout(
    SHELF,
    "AffectNet (mohammadmahoor.com/affectnet): training.csv of paths, a box, expression, two floats",
    'kit.load("affectnet", labels="training.csv")',
    Want(("0", "1", "2"), 5),
    **further,
)
def affect_net(here):
    seen = spread(here / "affectnet", [f"{n % 4}/{n:040x}.jpg" for n in range(15)])
    rows = [
        f"{p},{9 + n},9,90,91,1;2;3;{n},{k},{n / 9 - 1:.4f},{1 - n / 9:.4f}" for n, p, k in seen
    ]
    head = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,"
    lines(here / "training.csv", f"{head}expression,valence,arousal", *rows)


RACES = ("Black", "East Asian", "White")


@layout(
    SHELF,
    "FairFace (github.com/joojs/fairface): file,age,gender,race,service_test; one CSV a split",
    'kit.load("fairface", labels="fairface_label_train.csv", label_column="<column>")',
    lambda column: Want(RACES, 5, 2),
    spellings={"race": {"column": "race"}},
    **further,
)
def fair_face(here, column):
    here /= "fairface"
    for split, many in (("train", 15), ("val", 6)):
        seen = spread(here, [f"{split}/{n + 1}.jpg" for n in range(many)])
        rows = [
            f"{p},{('3-9', '20-29')[n % 2]},{('Male', 'Female')[n % 5 > 1]},{RACES[k]},{n % 2 > 0}"
            for n, p, k in seen
        ]
        lines(here / f"fairface_label_{split}.csv", "file,age,gender,race,service_test", *rows)


@layout(
    SHELF,
    "DeepFashion (mmlab.ie.cuhk.edu.hk/projects/DeepFashion): a count, then a header of blanks",
    'kit.load("img", labels="list_category_img.txt")',
    Want(("1", "3", "18"), 5),
    **further,
)
def deep_fashion(here):
    names = [f"Sheer_Blouse_{n % 5}/img_{n:08d}.jpg" for n in range(15)]
    rows = [f"img/{name}      {(1, 3, 18)[k]}" for _, name, k in spread(here / "img", names)]
    lines(here / "list_category_img.txt", "15", "image_name  category_label", *rows)


BIRDS = ("Ash-throated Flycatcher", "Bald Eagle (Adult)", "Wood Duck")


@layout(
    SHELF,
    "NABirds (dl.allaboutbirds.org/nabirds): images.txt, image_class_labels.txt, classes.txt",
    'kit.load("nabirds")',
    (Want(("0295", "0313", "0817"), 3, test=2), Want(BIRDS, 3, test=2)),
    **further,
)
def na_birds(here):
    here /= "nabirds"
    folders = ("0295", "0313", "0817")
    names = [f"{folders[n % 3]}/{n:08x}e4b44a1b.jpg" for n in range(15)]
    seen = spread(here / "images", names)
    ids = [f"{n:08x}-e4b4-4a1b" for n in range(15)]
    lines(here / "images.txt", *(f"{ids[n]} {name}" for n, name, _ in seen))
    lines(here / "image_class_labels.txt", *(f"{ids[n]} {int(folders[k])}" for n, _, k in seen))
    lines(here / "train_test_split.txt", *(f"{one} {int(n < 9)}" for n, one in enumerate(ids)))
    lines(here / "classes.txt", *(f"{int(f)} {b}" for f, b in zip(folders, BIRDS, strict=True)))
    lines(here / "sizes.txt", *(f"{one} 296 450" for one in ids))


@layout(
    SHELF,
    "CUB_200_2011.tgz: image_class_labels.txt names pictures by the numbers of images.txt",
    'kit.load("CUB/images", labels="image_class_labels.txt")',
    (
        Want(("1", "2", "3"), 5),
        Want(of := ("001.Albatross", "002.Auk", "003.Crow"), 5),
        Want(of, 3, test=2),
        Want(("1", "2", "3"), 3, test=2),
    ),
    **further,
)
def cub_by_number(here):
    here /= "CUB"
    kinds = ("001.Albatross", "002.Auk", "003.Crow")
    seen = spread(here / "images", [f"{kinds[n % 3]}/bird_{n:04d}.jpg" for n in range(15)])
    lines(here / "images.txt", *(f"{n + 1} {name}" for n, name, _ in seen))
    lines(here / "image_class_labels.txt", *(f"{n + 1} {kind + 1}" for n, _, kind in seen))
    lines(here / "classes.txt", *(f"{n + 1} {kind}" for n, kind in enumerate(kinds)))
    lines(here / "train_test_split.txt", *(f"{n + 1} {int(n < 9)}" for n, _, _ in seen))


PETS = ("Abyssinian", "Bengal", "beagle")


@layout(
    SHELF,
    "Oxford-IIIT Pet (robots.ox.ac.uk/~vgg/data/pets): annotations/list.txt below # lines",
    'kit.load("pets"<more>)',
    (Want(PETS, 5), Want(("1", "2", "3"), 5)),
    spellings={"typed": {"more": ""}, "list": {"more": ', labels="annotations/list.txt"'}},
    **further,
)
def oxford_pets(here, more):
    here /= "pets"
    seen = spread(here / "images", [f"{PETS[n % 3]}_{100 + n}.jpg" for n in range(15)])
    head = ("#Image CLASS-ID SPECIES BREED ID", "#ID: 1:37 Class ids", "#SPECIES: 1:Cat 2:Dog")
    rows = [f"{name[:-4]} {k + 1} {1 + k // 2} {(1, 2, 1)[k]}" for _, name, k in seen]
    lines(here / "annotations" / "list.txt", *head, *rows)


@layout(
    SHELF,
    "VGGFace2 (github.com/ox-vgg/vgg_face2): a folder a person; identity_meta.csv of these",
    'kit.load("vggface2")',
    Want(("n000002", "n000003", "n000004"), 5),
    **further,
)
def vgg_face(here):
    here /= "vggface2"
    names = [f"train/n{2 + n % 3:06d}/{n:04d}_01.jpg" for n in range(15)]
    spread(here, names)
    rows = [f'n{2 + n:06d}, "Some_{n}", {300 + n}, 1, {"mf"[n % 2]}' for n in range(3)]
    lines(here / "identity_meta.csv", "Class_ID, Name, Sample_Num, Flag, Gender", *rows)


@layout(
    SHELF,
    "iNaturalist 2021 (github.com/visipedia/inat_comp): train_mini.json, as COCO",
    'kit.load("inat/train_mini")',
    (
        Want(of := ("00000_Animalia_Worm", "00001_Animalia_Moth", "00002_Plantae_Fern"), 5),
        Want(("Worm", "Moth", "Fern"), 5),
    ),
    **further,
)
def inaturalist(here):
    here /= "inat"
    kinds = ("00000_Animalia_Worm", "00001_Animalia_Moth", "00002_Plantae_Fern")
    seen = spread(here, [f"train_mini/{kinds[n % 3]}/{n:08x}.jpg" for n in range(15)])
    told = {
        "images": [{"id": n, "file_name": name, "width": 500} for n, name, _ in seen],
        "annotations": [{"id": n, "image_id": n, "category_id": k} for n, _, k in seen],
        "categories": [{"id": n, "name": k.split("_")[2]} for n, k in enumerate(kinds)],
    }
    lines(here / "train_mini.json", json.dumps(told))


@layout(
    SHELF,
    "RSNA bone age (rsna.org): id,boneage,male; months that are learned as a number",
    'kit.load("boneage", labels="boneage-training-dataset.csv"<more>)',
    Want(("value",), 3, task="regression", labels=tuple(12.0 * n + 6 for n in range(5))),
    spellings={"typed": {"more": ""}, "column": {"more": ', label_column="boneage"'}},
    **further,
)
def bone_age(here, more):
    seen = spread(here / "boneage", [f"{1377 + n}.png" for n in range(15)], 5)
    rows = [f"{name[:-4]},{12 * k + 6},{n % 2 > 0}" for n, name, k in seen]
    lines(here / "boneage-training-dataset.csv", "id,boneage,male", *rows)


@layout(
    SHELF,
    "kaggle.com/c/rsna-intracranial-hemorrhage-detection: ID_x_any,0: a row a picture and kind",
    'kit.load("hemorrhage", labels="stage_2_train.csv")',
    refusal=r"ID_\w+_(any|epidural)",
    **further,
)
def hemorrhage(here):
    here /= "hemorrhage"
    seen = spread(here, [f"ID_{n:09x}.png" for n in range(12)], 2)
    kinds = ("epidural", "subdural", "any")
    rows = [f"{name[:-4]}_{one},{kind}" for _, name, kind in seen for one in kinds]
    lines(here / "stage_2_train.csv", "ID,Label", *rows)


@layout(
    SHELF,
    "kaggle.com/c/diabetic-retinopathy-detection: trainLabels.csv image,level “10_left,0”",
    'kit.load("retina", labels="trainLabels.csv")',
    Want(("0", "1", "2"), 5),
    **further,
)
def retinopathy(here):
    names = [f"{10 + n // 2}_{('left', 'right')[n % 2]}.jpeg" for n in range(15)]
    rows = [f"{name[:-5]},{kind}" for _, name, kind in spread(here / "retina", names)]
    lines(here / "trainLabels.csv", "image,level", *rows)


PADDY = ("blast", "hispa", "normal")


@layout(
    SHELF,
    "kaggle.com/c/paddy-disease-classification: image_id,label,variety,age; class folders too",
    'kit.load("paddy"<more>)',
    Want(PADDY, 5),
    spellings={"typed": {"more": ""}, "table": {"more": ', labels="train.csv"'}},
    **further,
)
def paddy_doctor(here, more):
    here /= "paddy"
    names = [f"{PADDY[n % 3]}/{100330 + n}.jpg" for n in range(15)]
    seen = spread(here / "train_images", names)
    rows = [
        f"{p.split('/')[1]},{PADDY[k]},{('ADT45', 'Ponni')[n % 2]},{45 + n % 4}" for n, p, k in seen
    ]
    lines(here / "train.csv", "image_id,label,variety,age", *rows)
    lines(here / "sample_submission.csv", "image_id,label", "200001.jpg,")


@layout(
    SHELF,
    "MURA (stanfordmlgroup.github.io/competitions/mura): the rows of a list name folders",
    'kit.load("MURA-v1.1", labels="train_labeled_studies.csv")',
    (Want(("0", "1"), 6),),
    refusal=r"study1_(positive|negative)/",
    **further,
)
def mura(here):
    here /= "MURA-v1.1"
    kinds = ("negative", "positive")
    names = [f"train/XR_HAND/patient{n:05d}/study1_{kinds[n % 2]}/image1.png" for n in range(12)]
    rows = [f"MURA-v1.1/{name.rpartition('/')[0]}/,{k}" for _, name, k in spread(here, names, 2)]
    lines(here / "train_labeled_studies.csv", *rows)


@layout(
    SHELF,
    "LFW (vis-www.cs.umass.edu/lfw): a folder a person, and pairs.txt of which are the same",
    'kit.load("lfw"<more>)',
    Want(("Ann_Bee", "Cy_Doe", "Ed_Fox"), 5),
    spellings={"typed": {"more": ""}, "pairs": {"more": ', labels="pairs.txt"'}},
    **further,
)
def labeled_faces(here, more):
    people = ("Ann_Bee", "Cy_Doe", "Ed_Fox")
    for n in range(15):
        one = people[n % 3]
        picture(here / "lfw" / one / f"{one}_{n // 3 + 1:04d}.jpg", n % 3)
    same = [f"{one}\t{n}\t{n + 1}" for one in people for n in (1, 2)]
    other = [f"{people[n]}\t{n + 1}\t{people[n - 1]}\t2" for n in range(3)]
    lines(here / "lfw" / "pairs.txt", "1\t9", *same, *other)


@layout(
    SHELF,
    "kaggle.com/praveengovi/coronahack-chest-xraydataset: an index, a split, blank sub-labels",
    'kit.load("coronahack", labels="Chest_xray_Corona_Metadata.csv")',
    Want(("Normal", "Pnemonia"), 6, test=2),
    **further,
)
def corona_hack(here):
    here /= "coronahack"
    rows = []
    for split, many in (("train", 12), ("test", 4)):
        for n, name, k in spread(
            here / split, [f"{split}-IM-{n:04d}.jpeg" for n in range(many)], 2
        ):
            kind = ("Normal", "Pnemonia")[k]
            sub = ("", ("Virus", "bacteria")[n % 4 // 2])[k]
            rows.append(f"{len(rows)},{name},{kind},{split.upper()},,{sub}")
    head = ",X_ray_image_name,Label,Dataset_type,Label_2_Virus_category,Label_1_Virus_category"
    lines(here / "Chest_xray_Corona_Metadata.csv", head, *rows)


@layout(
    SHELF,
    "FER+ (github.com/microsoft/FERPlus): fer2013new.csv, ten votes over the emotions",
    'kit.load("fer", labels="fer2013new.csv")',
    Want(("happiness", "neutral", "sadness"), 4, test=1),
    **further,
)
def fer_plus(here):
    seen = spread(here / "fer", [f"fer{n:07d}.png" for n in range(15)])
    votes = ("1,8,1", "7,0,3", "0,2,8")
    rows = [f"{('Training', 'PrivateTest')[n > 11]},{p},{votes[k]}" for n, p, k in seen]
    lines(here / "fer2013new.csv", "Usage,Image name,neutral,happiness,sadness", *rows)


@layout(
    SHELF,
    "kaggle.com/c/galaxy-zoo-the-galaxy-challenge: GalaxyID and shares of votes",
    'kit.load("galaxies", labels="training_solutions.csv")',
    Want(("Class1.1", "Class1.2", "Class1.3"), 5),
    **further,
)
def galaxy_zoo(here):
    seen = spread(here / "galaxies", [f"{100008 + 15 * n}.jpg" for n in range(15)])
    rows = [
        f"{p[:-4]},{hot(k, one=f'{0.8 - n / 100:.6f}', no=f'{0.1 + n / 200:.6f}')}"
        for n, p, k in seen
    ]
    lines(here / "training_solutions.csv", "GalaxyID,Class1.1,Class1.2,Class1.3", *rows)


@layout(
    SHELF,
    "APPA-REAL (chalearnlap.cvc.uab.cat): file_name,num_ratings,apparent_age_avg,_std,real_age",
    'kit.load("appa", labels="gt_avg_train.csv", label_column="apparent_age_avg")',
    Want(("value",), 3, task="regression", labels=tuple(10.5 * n + 4 for n in range(5))),
    **further,
)
def appa_real(here):
    seen = spread(here / "appa", [f"{n:06d}.jpg" for n in range(15)], 5)
    rows = [f"{p},{30 + n % 4},{10.5 * k + 4},{n / 7:.3f},{10 * k + 5}" for n, p, k in seen]
    head = "file_name,num_ratings,apparent_age_avg,apparent_age_std,real_age"
    lines(here / "gt_avg_train.csv", head, *rows)


@layout(
    SHELF,
    "Stanford Online Products (cvgl.stanford.edu): Ebay_train.txt, image_id class_id .. path",
    'kit.load("products", labels="Ebay_train.txt")',
    either(("1", "2", "3"), ("bicycle_final", "cabinet_final", "chair_final"), train=5),
    **further,
)
def online_products(here):
    kinds = ("bicycle", "cabinet", "chair")
    names = [f"{kinds[n % 3]}_final/1110{n:05d}_{n % 2}.JPG" for n in range(15)]
    seen = spread(here / "products", names)
    rows = [f"{n + 1} {k + 1} {k + 1} {name}" for n, name, k in seen]
    lines(here / "products" / "Ebay_train.txt", "image_id class_id super_class_id path", *rows)


@layout(
    SHELF,
    "kaggle.com/c/landmark-recognition-2021: train/0/0/0/<hash>.jpg, train.csv id,landmark_id",
    'kit.load("landmarks")',
    Want(("1", "7", "203092"), 5),
    **further,
)
def landmarks(here):
    ids = [f"{n * 11400714819323198485 % (1 << 64):016x}" for n in range(1, 16)]
    names = [f"{one[0]}/{one[1]}/{one[2]}/{one}.jpg" for one in ids]
    seen = spread(here / "landmarks" / "train", names)
    rows = [f"{ids[n]},{(1, 7, 203092)[k]}" for n, _, k in seen]
    lines(here / "landmarks" / "train.csv", "id,landmark_id", *rows)


WHALES = ("beluga", "blue_whale", "orca")


@layout(
    SHELF,
    "kaggle.com/c/happy-whale-and-dolphin: image,species,individual_id",
    'kit.load("happywhale/train_images", labels="train.csv")',
    Want(WHALES, 5),
    **further,
)
def happy_whale(here):
    here /= "happywhale"
    seen = spread(here / "train_images", [f"{n:014x}.jpg" for n in range(15)])
    rows = [f"{name},{WHALES[k]},{n // 2:012x}" for n, name, k in seen]
    lines(here / "train.csv", "image,species,individual_id", *rows)


@layout(
    SHELF,
    "kaggle.com/c/severstal-steel-defect-detection: a row a defect, ImageId,ClassId,EncodedPixels",
    'kit.load("steel", labels="train.csv")',
    Want(("1", "3", "4"), 5, task="multilabel", labels=({"1", "4"}, {"3"}, {"4"})),
    **further,
)
def severstal(here):
    seen = spread(here / "steel", [f"{n:09x}.jpg" for n in range(15)])
    rows = [f"{name},{(1, 3, 4)[k]},{n} 4 {n + 90} 7" for n, name, k in seen]
    rows += [f"{name},4,{n} 9 {n + 90} 3" for n, name, k in seen if k == 0]
    lines(here / "train.csv", "ImageId,ClassId,EncodedPixels", *rows)


@layout(
    SHELF,
    "kaggle.com/c/siim-covid19-detection: train_study_level.csv id_study, four columns of 0 and 1",
    'kit.load("siim", labels="train_image_level.csv")',
    refusal=r"_image|boxes",
    **further,
)
def siim_covid(here):
    seen = spread(here / "siim", [f"{n:012x}.png" for n in range(12)], 2)
    rows = [
        f"{name[:-4]}_image,{('', '[{}]')[k]},{('none 1 0 0 1 1', f'opacity 1 {n} 5 9 9')[k]},{n:x}"
        for n, name, k in seen
    ]
    lines(here / "train_image_level.csv", "id,boxes,label,StudyInstanceUID", *rows)


@pytest.mark.parametrize("one", cases(SHELF))
def test_a_publishers_table_is_read_right_or_asked_about(one, tmp_path):
    check(one, tmp_path)
