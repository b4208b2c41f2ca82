"""Header checks: what a file is, whether it ends, and how large it claims to be, without decoding a pixel."""

import importlib.util
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from colab_kit.data import image_checks
from colab_kit.data.arrays import of_files
from colab_kit.data.file_table import FileTable
from colab_kit.data.image_checks import EDGE, complaints, contents_of, look_at, sample
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


# --- a sample of many ---


@pytest.fixture
def few(monkeypatch):
    """Of more than 20 files a sample is looked at."""
    monkeypatch.setattr(image_checks, "FEW", 20)
    monkeypatch.setattr(image_checks, "SMALLEST", 5)


def table(sizes, names=None):
    names = names or [f"{n}.png" for n in range(len(sizes))]
    return FileTable(["/a"], np.zeros(len(sizes), np.int32), names, np.array(sizes))


def sizes_of(n=200):
    return np.random.default_rng(0).integers(1000, 2000, n)


def test_all_of_a_few_and_a_fixed_number_of_many_are_looked_at(few):
    assert sample(table(sizes_of(20))).tolist() == list(range(20))
    rows = sample(table(sizes_of()))
    assert 15 < len(rows) <= 20 and (np.diff(rows) > 0).all()


def test_the_sample_goes_by_names_and_sizes_and_not_by_the_order(few):
    sizes, back = sizes_of(), np.arange(200)[::-1]
    names = [f"{n}.png" for n in range(200)]
    turned = sample(table(sizes[back], [names[n] for n in back]))
    assert sorted(back[turned]) == sample(table(sizes, names)).tolist()


def test_copies_of_one_picture_meet_in_the_sample(few):
    sizes = np.concatenate([sizes_of(), sizes_of()])
    rows = set(sample(table(sizes)).tolist())
    pairs = [row for row in rows if row < 200 and row + 200 in rows]
    assert len(pairs) >= 6


@pytest.mark.parametrize("odd", (0, -1, 1), ids=("empty", "not there", "smallest"))
def test_files_of_an_odd_size_are_always_looked_at(few, odd):
    sizes = sizes_of()
    sizes[77] = odd
    assert 77 in sample(table(sizes))


def colourful(folder, n=60):
    """Pictures of many sizes, in two classes."""
    return [picture(folder / "ab"[i % 2] / f"{i}.png", i, size=(9 + i, 9)) for i in range(n)]


def sampled(folder):
    paths = sorted(folder.rglob("*.png"))
    part = of_files(paths, [path.parent.name for path in paths], folder)
    return part, part.make(np.zeros(len(part), np.int64))


def test_a_clean_set_is_sampled_and_one_with_a_fault_is_looked_at_whole(few, tmp_path):
    colourful(tmp_path)
    part, source = sampled(tmp_path)
    assert source.sampled and len(source.contents) <= 20 and part.notes == ()
    seen = [source.paths[row] for row in source.contents]
    unseen = [path for path in source.paths if path not in seen]
    for path in (seen[0], unseen[0]):
        content = path.read_bytes()
        path.write_bytes(content[:-12] + bytes(12))  # its end is lost, its size is not
    part, source = sampled(tmp_path)
    assert not source.sampled and len(part) == 58
    assert "2 unreadable pictures" in part.notes[0].text


@pytest.mark.parametrize("kind", ("deep", "twin"))
def test_a_deep_picture_or_a_twin_in_the_sample_is_a_fault(few, tmp_path, kind):
    paths = colourful(tmp_path)
    smallest = min(paths, key=lambda path: path.stat().st_size)
    if kind == "deep":
        Image.new("I;16", (2, 2)).save(smallest)
    else:
        other = tmp_path / ("b" if smallest.parent.name == "a" else "a")
        (other / "copy.png").write_bytes(smallest.read_bytes())
    part, source = sampled(tmp_path)
    assert not source.sampled
    assert len(part.deep) == (kind == "deep") and len(part.notes) == (kind == "twin")


def test_a_file_beyond_the_sample_is_found_when_it_is_decoded(few, tmp_path):
    colourful(tmp_path)
    _, source = sampled(tmp_path)
    row = next(row for row in range(len(source)) if row not in source.contents)
    source.paths[row].write_bytes(bytes(source.paths.sizes[row]))
    _, source = sampled(tmp_path)
    assert source.sampled
    with pytest.raises(DataError):
        source.picture(row)


def test_contents_are_read_when_they_are_asked_for_and_only_once(few, tmp_path):
    colourful(tmp_path)
    _, source = sampled(tmp_path)
    rows = np.arange(len(source))
    found = contents_of(source, rows)
    assert found == [one.print for one in look_at(list(source.paths))]
    source.paths[0].unlink()
    assert contents_of(source, rows) == found
