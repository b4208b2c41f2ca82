"""What predict() is given: whatever shows one picture gives the same answer."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colab_kit.data.dataset import Data
from colab_kit.data.preprocess import Preprocess
from colab_kit.errors import DataError
from colab_kit.runs.pictures import pictures_of, pixels_of
from tests.runs.test_scoring import FILES, scorer
from tests.support.containers import tiff
from tests.support.pictures import FRAME, KINDS, blank, coloured


@pytest.fixture(params=KINDS)
def file(request, tmp_path) -> Path:
    picture, how = KINDS[request.param]
    path = tmp_path / request.param
    picture.save(path, **how)
    return path


def seen(x, given=None) -> np.ndarray:
    given = given or scorer(FILES, 3 * 16 * 16)
    return given.pictures(pictures_of(x, given.preprocess)[0]).probabilities


def test_a_file_its_bytes_and_what_opened_it_give_one_answer(file):
    content, expected = file.read_bytes(), seen(file)
    with open(file, "rb") as opened:
        shown = [
            str(file),
            content,
            bytearray(content),
            memoryview(content),
            io.BytesIO(content),
            opened,
            Image.open(file),
            Image.open(io.BytesIO(content)),
            {file.name: content},
            {file.name: {"metadata": {"name": file.name}, "content": content}},
            ({"name": file.name, "content": memoryview(content)},),
            {"bytes": content, "path": file.name},
            "data:image/x;base64," + base64.b64encode(content).decode(),
        ]
        for one in shown:
            np.testing.assert_allclose(seen(one), expected, atol=1e-6, err_msg=type(one).__name__)
        np.testing.assert_allclose(seen(shown), np.repeat(expected, len(shown), 0), atol=1e-5)


def test_a_decoded_picture_gives_the_answer_of_its_file(file):
    picture = Image.open(file)
    picture.load()
    near = 0.02 if file.name == "large.jpg" else 1e-6
    np.testing.assert_allclose(seen(picture), seen(file), atol=near)
    if picture.mode in ("1", "RGB", "RGBA", "L", "LA", "I;16") and not picture.getexif():
        np.testing.assert_allclose(seen(np.asarray(picture)), seen(file), atol=near)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_an_array_of_more_than_8_bits_is_what_its_file_is(tmp_path, dtype):
    values, span = np.linspace(0, 900, 24 * 32 * 3).reshape(24, 32, 3).astype(dtype), (0.0, 1023.0)
    given = scorer(replace(FILES, span=span), 3 * 16 * 16)
    expected = seen(tiff(tmp_path / "a.tif", values), given)
    np.testing.assert_allclose(seen(values, given), expected, atol=1e-6)
    np.testing.assert_allclose(seen(values[None], given), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["a.jpg", "a.jp2", "a", "a.mpo"])
def test_a_folder_shows_pictures_of_any_name(tmp_path, name):
    coloured().save(tmp_path / name, None if "." in name else "JPEG")
    blank(tmp_path / "README", b"BN: pictures of mine")
    assert names(tmp_path) == [name]


def test_what_is_drawn_of_a_picture_is_what_its_file_shows(file):
    expected = pixels_of(pictures_of(file, FILES)[0][0], FILES)
    for shown in (file.read_bytes(), Image.open(file)):
        found = pixels_of(pictures_of(shown, FILES)[0][0], FILES)
        assert np.array_equal(found, expected) and found.dtype == np.uint8


def test_a_picture_stays_as_it_was_given(tmp_path):
    path = tmp_path / "a.jpg"
    coloured().save(path)
    picture, file = Image.open(path), io.BytesIO(path.read_bytes())
    file.seek(7)
    for one in (picture, file):
        seen(one)
    assert file.tell() == 7 and picture.size == (32, 24)
    assert np.array_equal(np.asarray(picture), np.asarray(Image.open(path)))


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "pets" / "sub").mkdir(parents=True)
    for name in ("1", "2", "10", "sub/3"):
        coloured().save(tmp_path / "pets" / f"{name}.png")
    return tmp_path / "pets"


def names(x) -> list[str | None]:
    return [one.path.name if one.path else None for one in pictures_of(x, FILES)[0]]


def test_a_folder_is_read_in_the_order_of_load_without_junk(folder):
    blank(folder / "._1.png", b"Mac")
    blank(folder / "notes.txt", b"words")
    (folder / "nameless").write_bytes((folder / "1.png").read_bytes())
    assert names(folder) == ["1.png", "2.png", "10.png", "nameless", "3.png"]
    assert names(folder / "*.png") == ["1.png", "2.png", "10.png"]
    assert names(str(folder / "**" / "3.*")) == ["3.png"]


def table(**columns):
    """As pandas shows a table."""
    names = list(columns)
    by_name = {"__getitem__": lambda self, name: columns[name]}
    return type("DataFrame", (), {"columns": names, "iloc": None, **by_name})()


@pytest.mark.parametrize(
    "several",
    [
        list,
        tuple,
        iter,
        lambda paths: (str(path) for path in paths),
        lambda paths: np.array([str(path) for path in paths]),
        lambda paths: np.array(paths, object),
        lambda paths: table(path=paths),
        lambda paths: dict.fromkeys(paths).keys(),
    ],
    ids=["list", "tuple", "iterator", "generator", "strings", "objects", "column", "keys"],
)
def test_several_paths_come_in_every_shape(folder, several):
    files = [folder / "2.png", folder / "1.png"]
    assert names(several(files)) == ["2.png", "1.png"]
    assert not pictures_of(several(files), FILES)[1]


def test_one_picture_is_one_and_what_an_upload_gives_are_several(folder):
    content = (folder / "1.png").read_bytes()
    for one in (folder / "1.png", content, io.BytesIO(content), {"name": "a", "content": content}):
        assert pictures_of(one, FILES)[1]
    uploads = ({"a.png": content}, ({"name": "a.png", "content": content},))
    for several in (*uploads, type("FileUpload", (), {"value": uploads[1]})()):
        shown, is_one = pictures_of(several, FILES)
        assert not is_one and shown[0].path == Path("a.png")


def test_of_several_one_that_is_not_there_has_a_fault_and_alone_it_is_an_error(folder):
    given = scorer(FILES, 3 * 16 * 16)
    bad = blank(folder / "bad.png", b"\x89PNG\r\n\x1a\nno picture")
    shown = pictures_of([folder / "1.png", "no/such.png", bad, float("nan"), b"x"], FILES)[0]
    found = given.pictures(shown)
    assert found.rows.tolist() == [0] and found.seen == 5 and sorted(found.faults) == [1, 2, 3, 4]
    assert "no/such.png" in found.faults[1]
    for alone in (bad, b"x"):
        with pytest.raises(DataError, match="No picture could be read"):
            seen(alone)
    with pytest.raises(DataError, match="No picture is at"):
        seen("no/such.png")


@pytest.mark.parametrize(
    ("x", "said"),
    [
        ({"a": 1}, "was given a dict"),
        (io.StringIO("words"), "opened as text"),
        ("data:image/png;base64,!!", "data: link"),
        (table(path=[], label=[]), "a table of 2 columns"),
        (object(), "was given a object"),
        (Data(None, None, None, ("a",), "x", "f"), "was given a Data"),
    ],
    ids=["numbers by name", "text", "data link", "table", "object", "data"],
)
def test_what_shows_no_picture_says_what_to_pass(x, said):
    with pytest.raises(DataError, match=said) as error:
        pictures_of(x, FILES)
    assert error.value.why and error.value.fix


def test_a_network_on_arrays_still_drops_alpha():
    given = scorer(Preprocess(size=8, channels=3, crop=1.0), 3 * 64)
    clear = np.dstack([FRAME, np.zeros((24, 32), np.uint8)])
    np.testing.assert_allclose(seen(clear, given), seen(FRAME, given), atol=1e-6)
