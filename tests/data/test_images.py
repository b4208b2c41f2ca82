"""Decoding: any picture file as upright uint8 RGB, by a decoder that is a pure function of the file."""

import io
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageOps

from colab_kit.data.images import decode
from colab_kit.errors import DataError

from ..support.pictures import picture


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
    ("mode", "ending"),
    [
        ("RGB", "png"),
        ("P", "png"),
        ("P", "gif"),
        ("RGBA", "png"),
        ("RGB", "webp"),
        ("RGB", "bmp"),
        ("RGB", "tiff"),
    ],
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
    assert (
        np.abs(found - np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]])).max()
        < 12
    )


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_is_the_same_in_three_channels(tmp_path, mode):
    corners(mode).save(tmp_path / "x.png")
    pixels = decode(tmp_path / "x.png")
    assert (
        pixels.shape == (32, 32, 3)
        and (pixels == pixels[..., :1]).all()
        and quarters(pixels)[3] == [255] * 3
    )


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
    undo = {
        2: 0,
        3: 3,
        4: 1,
        5: 5,
        6: 2,
        7: 6,
        8: 4,
    }  # Image.Transpose that a camera held so would have made
    image = corners().crop((0, 0, 32, 24))
    upright = np.asarray(image)
    exif = Image.Exif()
    exif[0x0112] = turn
    lying = image if turn == 1 else image.transpose(Image.Transpose(undo[turn]))
    lying.save(tmp_path / "x.png", exif=exif)
    assert (decode(tmp_path / "x.png") == upright).all()


def test_a_jpeg_far_larger_is_read_smaller_but_never_below_the_side(tmp_path):
    Image.fromarray(np.zeros((400, 640, 3), np.uint8)).save(tmp_path / "x.jpg")
    shapes = {
        side: decode(tmp_path / "x.jpg", side).shape[:2] for side in (20, 50, 51, 100, 101, 300)
    }
    assert shapes == {
        20: (50, 80),
        50: (50, 80),
        51: (100, 160),
        100: (100, 160),
        101: (400, 640),
        300: (400, 640),
    }


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_plain_jpeg_is_what_pillow_makes_of_it_within_one_level(tmp_path, mode):
    Image.open(picture(tmp_path / "x.png", size=(60, 41))).convert(mode).save(
        tmp_path / "x.jpg", quality=90
    )
    by_pillow = np.asarray(Image.open(tmp_path / "x.jpg").convert("RGB"), int)
    assert np.abs(decode(tmp_path / "x.jpg") - by_pillow).max() <= 1


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_jpeg_that_lies_on_its_side_stands_upright(tmp_path, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    corners().crop((0, 0, 32, 24)).save(tmp_path / "x.jpg", exif=exif, quality=95)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "x.jpg")), int)
    found = decode(tmp_path / "x.jpg")
    assert found.shape == upright.shape and np.abs(found - upright).max() <= 1


def test_many_threads_decode_the_same_pixels(tmp_path):
    path = picture(tmp_path / "x.jpg", size=(90, 70))
    first = decode(path)
    with ThreadPoolExecutor(8) as pool:
        assert all((pixels == first).all() for pixels in pool.map(decode, [path] * 64))


def test_only_the_file_decides_what_is_decoded(tmp_path):
    path = picture(tmp_path / "x.jpg", size=(200, 160))
    first = decode(path, 20)
    random.seed(5)
    assert all((decode(path, 20) == first).all() for _ in range(3))


def test_animations_give_their_first_picture(tmp_path):
    Image.new("RGB", (4, 4), "red").save(
        tmp_path / "x.gif", save_all=True, append_images=[Image.new("RGB", (4, 4), "blue")]
    )
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
        (tmp_path / "y").write_bytes(
            content[: draw.choice([len(content), draw.randrange(len(content))])]
        )
        try:
            pixels = decode(tmp_path / "y", draw.choice([None, 4]))
        except DataError:
            continue
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
