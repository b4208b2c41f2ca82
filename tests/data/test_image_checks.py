"""Header checks: what a file is, whether it ends, and how large it claims to be, without decoding a pixel."""

import importlib.util
import io
import struct
import zlib

import pytest
from PIL import Image

from colab_kit.data.image_checks import EDGE, complaints, look_at
from colab_kit.data.images import decode
from colab_kit.errors import DataError

from ..support.pictures import blank, picture


def look(path):
    return look_at([path])[0]


@pytest.mark.parametrize("ending", [".jpg", ".png", ".gif", ".bmp", ".webp", ".tif", ".ppm"])
def test_a_whole_picture_passes_and_an_empty_or_cut_one_does_not(tmp_path, ending):
    whole = picture(tmp_path / f"a{ending}", size=(40, 30))
    assert look(whole).fault == "" and look(whole).pixels == 1200
    assert look(blank(tmp_path / f"b{ending}")).fault == "is empty"
    if ending in (".jpg", ".png", ".gif"):  # those that state where they end
        assert look(blank(tmp_path / f"c{ending}", whole.read_bytes()[:-20])).fault == "is cut"


def test_a_picture_under_another_ending_is_what_it_is(tmp_path):
    assert look(blank(tmp_path / "a.jpg", picture(tmp_path / "a.png").read_bytes())).fault == ""


def exif_with_thumbnail(size):
    """A JPEG whose EXIF segments hold a whole small JPEG each, as cameras write them."""
    thumb, real = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(thumb, "JPEG")
    Image.effect_noise((300, 200), 50).save(real, "JPEG", quality=95)
    inside = (b"Exif\0\0" + thumb.getvalue()).ljust(size, b"\0")
    return (
        b"\xff\xd8"
        + b"\xff\xe1"
        + struct.pack(">H", len(inside) + 2)
        + inside
        + real.getvalue()[2:]
    )


@pytest.mark.parametrize("size", [2000, EDGE + 5000, 65000])
def test_a_thumbnail_is_not_taken_for_the_picture(tmp_path, size):
    content = exif_with_thumbnail(size)
    assert (
        look(blank(tmp_path / "a.jpg", content)).pixels == 60_000
        and look(tmp_path / "a.jpg").fault == ""
    )
    for cut in (size + 100, size + 1000, len(content) - 30):
        assert look(blank(tmp_path / "b.jpg", content[:cut])).fault == "is cut"


def test_a_motion_photo_is_whole(tmp_path):
    content = picture(tmp_path / "a.jpg", size=(400, 300)).read_bytes()
    assert (
        look(blank(tmp_path / "b.jpg", content + b"\0\0\0\x18ftypmp42" + bytes(3 * EDGE))).fault
        == ""
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!doctype html><p>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs"),
        (b"\0\1\2" * 99, "no picture"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, content, words):
    assert words in look(blank(tmp_path / "a.jpg", content)).fault


def test_a_file_that_is_gone_is_a_fault_and_not_an_error(tmp_path):
    assert "cannot be opened" in look(tmp_path / "a.jpg").fault


def bomb(ending):
    if ending == ".png":
        head = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + struct.pack(">I", 13)
            + head
            + struct.pack(">I", zlib.crc32(head))
            + b"\0\0\0\0IEND\xaeB`\x82"
        )
    if ending == ".gif":
        return b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + b"\0\0\0;"
    out = io.BytesIO()
    Image.new("1", (8, 8)).save(out, "PPM")
    return out.getvalue().replace(b"8 8", b"60000 60000")


@pytest.mark.parametrize("ending", [".png", ".gif", ".pbm"])
def test_a_pixel_bomb_stops_the_load(tmp_path, ending):
    with pytest.raises(DataError, match="states 3,600 million pixels") as caught:
        look(blank(tmp_path / f"a{ending}", bomb(ending)))
    assert f"a{ending}" in str(caught.value) and caught.value.fix


@pytest.mark.parametrize("brand", [b"avif\0\0\0\0", b"mif1\0\0\0\0avif"])
def test_avif_is_named_where_pillow_cannot_read_it(tmp_path, monkeypatch, brand):
    monkeypatch.setattr("PIL.features.check", lambda name: False)
    file = blank(tmp_path / "a.avif", b"\0\0\0\x1cftyp" + brand + bytes(90))
    (note,) = complaints(look_at([file]), tmp_path)
    assert "AVIF" in note.text and "pip install -U pillow" in note.text
    for content in (file, file.read_bytes()):
        with pytest.raises(DataError, match="AVIF"):
            decode(content)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.mark.skipif(
    importlib.util.find_spec("pillow_heif") is not None, reason="pillow-heif reads them here"
)
def test_iphone_pictures_are_counted_named_and_explained(tmp_path):
    looks = look_at(
        [
            blank(tmp_path / name, HEIC)
            for name in ("IMG_1.heic", "IMG_2.HEIC", "IMG_3.jpg", "IMG_4.heic")
        ]
    )
    (note,) = complaints(looks, tmp_path)
    assert note.level == "warn" and note.text.startswith(
        "4 HEIC pictures were left out (IMG_1.heic, IMG_2.HEIC, IMG_3.jpg …)"
    )
    assert "pip install pillow-heif" in note.text


def test_many_files_are_visited_in_their_order_and_named_up_to_three(tmp_path):
    paths = [
        picture(tmp_path / f"{n}.png", n) if n % 20 else blank(tmp_path / f"{n}.png")
        for n in range(100)
    ]
    looks = look_at(paths)
    assert [look.path for look in looks] == paths and [
        n for n, look in enumerate(looks) if look.fault
    ] == [0, 20, 40, 60, 80]
    (note,) = complaints(looks, tmp_path)
    assert (
        note.text
        == "5 unreadable pictures were left out: 0.png is empty, 20.png is empty, 40.png is empty …."
    )


def test_the_print_sees_size_and_both_ends(tmp_path):
    content = bytearray(picture(tmp_path / "a.bmp", size=(200, 200)).read_bytes())
    prints = {look(tmp_path / "a.bmp").print}
    for at in (1000, len(content) - 1):
        content[at] ^= 1
        prints.add(look(blank(tmp_path / "b.bmp", bytes(content))).print)
        content[at] ^= 1
    prints.add(look(blank(tmp_path / "b.bmp", bytes(content) + b"\0")).print)
    assert len(prints) == 4
