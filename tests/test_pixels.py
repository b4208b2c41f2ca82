"""Pixels: any picture file as upright uint8 RGB, by a decoder that is a pure function of the file."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from colab_kit.data.pixels import PixelStore, decode, square
from colab_kit.errors import DataError

from .pictures import picture


def corners(mode: str = "RGB", size: int = 32) -> Image.Image:
    """Red, green, blue and white quarters."""
    pixels = np.zeros((size, size, 3), np.uint8)
    half = size // 2
    pixels[:half, :half], pixels[:half, half:], pixels[half:, :half], pixels[half:, half:] = (
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 255),
    )
    return Image.fromarray(pixels).convert(mode)


def quarters(pixels: np.ndarray) -> list[list[int]]:
    q = len(pixels) // 4
    return [pixels[y, x].tolist() for y in (q, 3 * q) for x in (q, 3 * q)]


# --- decode -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "ending"), [("RGB", "png"), ("P", "png"), ("P", "gif"), ("RGBA", "png"), ("RGB", "webp"), ("RGB", "bmp"), ("RGB", "tiff")]
)
def test_every_mode_of_colour_becomes_rgb(tmp_path, mode, ending):
    path = tmp_path / f"x.{ending}"
    corners(mode).save(path, **({"lossless": True} if ending == "webp" else {}))
    pixels = decode(path)
    assert pixels.dtype == np.uint8 and pixels.shape == (32, 32, 3)
    assert quarters(pixels) == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "RGB"])
def test_a_jpeg_of_any_colour_space_is_nearly_what_it_was(tmp_path, mode):
    corners(mode).save(tmp_path / "x.jpg", quality=95)
    found = np.array(quarters(decode(tmp_path / "x.jpg")), int)
    assert np.abs(found - np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]])).max() < 12


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_is_the_same_in_three_channels(tmp_path, mode):
    corners(mode).save(tmp_path / "x.png")
    pixels = decode(tmp_path / "x.png")
    assert pixels.shape == (32, 32, 3) and (pixels == pixels[..., :1]).all() and quarters(pixels)[3] == [255] * 3


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_sixteen_bits_keep_their_upper_eight(tmp_path, dtype):
    wide = np.linspace(0, 65535, 256).reshape(16, 16).astype(dtype)
    Image.fromarray(wide).save(tmp_path / "x.png" if dtype is np.uint16 else tmp_path / "x.tiff")
    pixels = decode(next(tmp_path.iterdir()))
    assert (
        pixels[0, 0].tolist() == [0] * 3
        and pixels[-1, -1].tolist() == [255] * 3
        and np.abs(pixels[..., 0].ravel() - np.arange(256.0)).max() <= 1
    )


@pytest.mark.parametrize("how", ["RGBA", "LA", "palette", "grey key"])
def test_what_is_clear_is_white(tmp_path, how):
    path = tmp_path / "x.png"
    if how == "palette":
        image = Image.new("P", (4, 4), 3)
        image.putpalette([0] * 768)
        image.save(path, transparency=3)
    elif how == "grey key":
        Image.new("L", (4, 4), 7).save(path, transparency=7)
    else:
        Image.new(how, (4, 4), (10, 10, 10, 0)[-len(how) :]).save(path)
    assert (decode(path) == 255).all()


@pytest.mark.parametrize("turn", range(1, 9))
def test_each_exif_orientation_stands_upright(tmp_path, turn):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that a camera held so would have made
    image = corners().crop((0, 0, 32, 24))
    upright = np.asarray(image)
    exif = Image.Exif()
    exif[0x0112] = turn
    lying = image if turn == 1 else image.transpose(Image.Transpose(undo[turn]))
    lying.save(tmp_path / "x.png", exif=exif)
    assert (decode(tmp_path / "x.png") == upright).all()


def test_a_jpeg_far_larger_is_read_smaller_but_never_below_twice_the_size(tmp_path):
    Image.fromarray(np.zeros((400, 640, 3), np.uint8)).save(tmp_path / "x.jpg")
    shapes = {size: decode(tmp_path / "x.jpg", size).shape[:2] for size in (20, 25, 32, 64, 101, 300)}
    assert shapes == {20: (50, 80), 25: (50, 80), 32: (100, 160), 64: (200, 320), 101: (400, 640), 300: (400, 640)}


def test_only_the_file_decides_what_is_decoded(tmp_path):
    path = picture(tmp_path / "x.jpg", size=(200, 160))
    first = decode(path, 20)
    random.seed(5)
    assert all((decode(path, 20) == first).all() for _ in range(3))


def test_animations_give_their_first_picture(tmp_path):
    Image.new("RGB", (4, 4), "red").save(tmp_path / "x.gif", save_all=True, append_images=[Image.new("RGB", (4, 4), "blue")])
    assert decode(tmp_path / "x.gif")[0, 0].tolist() == [255, 0, 0]


def test_what_is_no_picture_is_a_data_error_that_names_the_file(tmp_path):
    (tmp_path / "x.jpg").write_text("<html>")
    (tmp_path / "empty.png").touch()
    for path in (tmp_path / "x.jpg", tmp_path / "empty.png", tmp_path / "nowhere.png", tmp_path):
        with pytest.raises(DataError, match="cannot be read as a picture") as caught:
            decode(path)
        assert str(path) in caught.value.what


def test_a_pixel_bomb_is_a_data_error(tmp_path):
    big = io.BytesIO()
    Image.new("1", (14_000, 14_000)).save(big, "png")
    (tmp_path / "x.png").write_bytes(big.getvalue())
    with pytest.raises(DataError, match="decompression bomb"):
        decode(tmp_path / "x.png")


@pytest.mark.parametrize("ending", ["jpeg", "png", "gif", "tiff", "bmp", "webp"])
def test_a_damaged_file_is_read_or_is_a_data_error_and_nothing_else(tmp_path, ending):
    exif, draw = Image.Exif(), random.Random(7)
    exif[0x0112] = 6
    whole = io.BytesIO()
    Image.open(picture(tmp_path / "x.png", size=(40, 30))).save(whole, ending, exif=exif)
    for _ in range(60):
        content = bytearray(whole.getvalue())
        for _ in range(draw.choice([1, 2, 8])):
            content[draw.randrange(min(len(content), 400))] = draw.randrange(256)
        (tmp_path / "y").write_bytes(content[: draw.choice([len(content), draw.randrange(len(content))])])
        try:
            pixels = decode(tmp_path / "y", draw.choice([None, 4]))
        except DataError:
            continue
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3


# --- square -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 500), (224, 224), (33, 32), (480, 640)])
@pytest.mark.parametrize("size", [1, 8, 96])
def test_any_shape_becomes_a_square_of_the_size(shape, size):
    for interpolation in ("bilinear", "bicubic"):
        pixels = square(np.full((*shape, 3), 77, np.uint8), size, interpolation=interpolation)
        assert pixels.shape == (size, size, 3) and pixels.dtype == np.uint8 and (pixels == 77).all()


def test_the_middle_is_kept():
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80] = 255
    assert (square(wide, 20, crop=1.0)[:, 1:-1] == 255).all()
    assert (square(wide, 20, crop=0.5) == 255).all() and not (square(wide, 20, crop=1.0)[:, 0] == 0).any()


def test_at_its_own_size_a_picture_is_not_touched():
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    assert (square(pixels, 24, crop=1.0) == pixels).all()


def test_shrinking_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(square(stripes, 8, crop=1.0).astype(int) - 127).max() < 8


# --- the store ----------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    paths = [picture(tmp_path / f"{n}.png", n) for n in range(6)]
    paths[2].write_bytes(paths[2].read_bytes()[:50])
    return PixelStore(paths, 8, lambda path: square(decode(path, 8), 8))


def test_a_damaged_file_is_left_out_and_the_order_of_the_others_stays(store):
    pixels, good = store.gather(np.array([5, 2, 0, 3]))
    assert good.tolist() == [5, 0, 3] and pixels.shape == (3, 8, 8, 3)
    for row, one in zip(good, pixels, strict=True):
        assert (one == square(decode(store.paths[row], 8), 8)).all()
    assert list(store.bad) == [2] and "2.png cannot be read" in store.bad[2]


def test_a_batch_of_damaged_files_only_is_empty(store):
    pixels, good = store.gather(np.array([2]))
    assert pixels.shape == (0, 8, 8, 3) and len(good) == 0 and good.dtype == np.int64


@pytest.mark.parametrize("room", [True, False])
def test_a_picture_is_decoded_once_where_memory_allows_and_is_the_same_where_not(store, room):
    made, make = [], store.make
    store.make = lambda path: made.append(path) or make(path)
    if not room:
        store._kept = None
    first, _ = store.gather(np.array([0, 1, 2]))
    again, _ = store.gather(np.array([0, 1, 2]))
    assert (first == again).all() and len(made) == (3 if room else 5)


def test_a_store_larger_than_a_quarter_of_the_memory_keeps_nothing(tmp_path):
    path = picture(tmp_path / "x.png")
    store = PixelStore([path] * 3_000_000, 224, lambda path: np.zeros((224, 224, 3), np.uint8))
    assert store._kept is None and store.gather(np.array([7]))[0].shape == (1, 224, 224, 3)
