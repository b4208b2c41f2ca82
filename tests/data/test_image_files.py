"""Pillow opens what the first bytes name, by that decoder alone, within memory that is shared."""

import io
import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from colab_kit.data import image_files
from colab_kit.data.image_checks import look_at
from colab_kit.data.image_files import HARMLESS, RATIO, forms_of, is_bomb, opened, strips
from colab_kit.data.images import decode
from colab_kit.data.loading import load
from colab_kit.errors import DataError
from colab_kit.testing.fixtures import class_folders

from ..support.picture_fuzz import sound

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
STARTERS = {  # what Pillow knows, and nothing here opens: files for other programs, and the like
    "EPS": EPS,
    "EPS of DOS": struct.pack("<IIIIIII", 0xC6D3D0C5, 30, len(EPS), 0, 0, 0, 0) + b"\0\0" + EPS,
    "WMF": b"\xd7\xcd\xc6\x9a\0\0" + bytes(60),
    "PDF": b"%PDF-1.4\n",
    "FITS": b"SIMPLE  =                    T".ljust(80) + bytes(100),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(60),
    "nothing": b"",
}


@pytest.fixture
def no_program(monkeypatch):
    def started(*args, **options):
        raise AssertionError(f"a program was started: {args}")

    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)


@pytest.mark.parametrize("name", sorted(sound()))
def test_a_picture_has_one_decoder_whatever_it_is_called(tmp_path, name):
    path = tmp_path / "x.eps"
    path.write_bytes(sound()[name])
    with Image.open(io.BytesIO(path.read_bytes())) as theirs, opened(path) as ours:
        assert (ours.format, ours.size) == (theirs.format, theirs.size)
    assert len(set(forms_of(path.read_bytes())) - {"AVIF", "HEIF"}) <= 1


@pytest.mark.parametrize("kind", STARTERS)
@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif", ".eps"])
def test_what_another_program_would_have_to_read_is_no_picture(tmp_path, no_program, kind, ending):
    path = tmp_path / f"x{ending}"
    path.write_bytes(STARTERS[kind])
    for picture in (path, STARTERS[kind]):
        with pytest.raises(DataError, match="begin no picture"):
            decode(picture)


def test_an_eps_in_a_data_set_is_left_out_and_starts_nothing(tmp_path, no_program):
    root, heard = class_folders(tmp_path / "set", each=6), []
    (root / "cat" / "drawing.png").write_bytes(EPS)
    data = load(root, callbacks=[heard.append], quiet=True)
    assert any("drawing.png is no picture" in getattr(one, "text", "") for one in heard)
    assert sum(len(split) for split in data.splits.values()) == 12


def test_an_eps_that_somebody_opened_is_refused(no_program):
    with Image.open(io.BytesIO(EPS)) as image, pytest.raises(DataError, match="printer"):
        decode(image)


def png(wide: int, high: int, more: bytes = b"") -> bytes:
    """A PNG that states so many grey pixels, and holds some of them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", wide, high, 8, 0, 0, 0, 0)
    packed = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", more)
    )


@pytest.mark.parametrize(
    ("pixels", "size", "bomb"),
    [
        (HARMLESS, 100, False),
        (HARMLESS + 1, 100, True),
        (HARMLESS + 1, HARMLESS // RATIO + 1, False),
        (200_000_000, 1 << 30, True),
    ],
)
def test_a_bomb_states_more_pixels_than_its_bytes_can_hold(pixels, size, bomb):
    assert is_bomb(pixels, size) is bomb


@pytest.mark.parametrize("side", [60_000, 13_000, 6_000])
def test_a_picture_bomb_is_refused_before_a_pixel_is_decoded(tmp_path, side):
    path = tmp_path / "x.png"
    path.write_bytes(png(side, side))
    start = time.monotonic()
    with pytest.raises(DataError, match="bomb"):
        decode(path)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff" + b"\xff" * (4 << 20),
        b"\xff\xd8" + b"\xff\xe1\0\2" * (1 << 20),
        b"P2\n#" + b"x" * (4 << 20) + b"\n4 4\n255\n" + b"1 " * 16,
        png(4, 4)[:33] + 200_000 * b"\0\0\0\0tEXt\x9d\xa6\xc3\x1f" + png(4, 4)[33:],
    ],
    ids=["a JPEG's padding", "a JPEG's segments", "a PPM's comment", "a PNG's chunks"],
)
def test_a_header_padded_without_an_end_is_not_read_to_its_end(tmp_path, content, monkeypatch):
    path, steps = tmp_path / "x.png", []
    path.write_bytes(content)
    read = image_files._Counted.read
    monkeypatch.setattr(
        image_files._Counted, "read", lambda self, *size: steps.append(1) or read(self, *size)
    )
    with pytest.raises(DataError):
        decode(path)
    look_at([path])
    assert len(steps) < 3 * (image_files.STEPS + len(content) / image_files.STEP)


def test_a_file_of_more_bytes_than_a_picture_may_have_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "x.jpg"
    path.write_bytes(sound()["a.jpg"])
    assert decode(path).shape == (40, 40, 3)
    with open(path, "ab") as file:
        file.truncate(image_files.MOST + 1)  # a hole
    with pytest.raises(DataError, match="bytes, more than"):
        decode(path)


def test_strips_put_together_are_the_picture():
    pixels = np.random.default_rng(0).integers(0, 256, (3000, 1000, 3), np.uint8)
    image = Image.fromarray(pixels)
    for whole in (pixels, image):
        parts = [(rows, np.asarray(strip)) for rows, strip in strips(whole)]
        assert len(parts) == 3
        assert all((pixels[rows] == part).all() for rows, part in parts)


def test_threads_decode_within_shared_memory_and_a_larger_picture_alone(monkeypatch):
    room, lock, held, most = image_files._Room(100), threading.Lock(), [], []

    def one(size):
        with room.take(size):
            with lock:
                held.append(size)
                most.append(sum(held))
            time.sleep(0.001)
            with lock:
                held.remove(size)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, [30, 40, 500, 10, 90, 60] * 10))
    assert max(size for size in most if size != 500) <= 100 and room._taken == 0
    assert 500 in most


@pytest.mark.parametrize("name", ["a.jpg", "b.jpg", "a.png", "b.png", "f.tif", "a.webp"])
def test_each_decoder_asks_for_its_memory(monkeypatch, name):
    asked = []

    class Room(image_files._Room):
        def take(self, size):
            asked.append(size)
            return super().take(size)

    monkeypatch.setattr(image_files, "_room", Room(1))
    pixels = decode(sound()[name])
    assert len(asked) == 1 and asked[0] >= 2 * pixels.nbytes


def peak(reset: bool = False) -> int:
    """The most memory this process had, in bytes; since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


@pytest.mark.skipif(
    sys.platform != "linux" or not os.access("/proc/self/clear_refs", os.W_OK),
    reason="the peak of a process's memory is reset by Linux alone",
)
@pytest.mark.parametrize("kind", ["grey", "float", "colours", "grey of 8 bits"])
def test_a_picture_is_decoded_in_the_memory_its_pixels_need(tmp_path, kind):
    """The result has 3 bytes a pixel, Pillow's own picture 1 to 4, samples of 16 bits 6."""
    high = wide = 2500
    path = tmp_path / "x.png"
    grey = (np.arange(high * wide) % 65536).astype(np.uint16).reshape(high, wide)
    match kind:
        case "grey":
            Image.fromarray(grey).save(path, compress_level=1)
        case "float":
            path = path.with_suffix(".tif")
            Image.fromarray(grey.astype(np.float32)).save(path)
        case "colours":
            path = path.with_suffix(".tif")
            from ..support.picture_fuzz import deep_tiff

            path.write_bytes(deep_tiff(np.repeat(grey[..., None], 3, 2)))
        case "grey of 8 bits":
            Image.fromarray((grey >> 8).astype(np.uint8)).save(path, compress_level=1)
    small = tmp_path / f"small{path.suffix}"
    Image.fromarray(grey[:8, :8].copy()).save(small)
    decode(small)  # what a first picture loads stays
    before = peak(reset=True)
    pixels = decode(path)
    assert pixels.shape == (high, wide, 3)
    each = {"grey": 6, "float": 8, "colours": 32, "grey of 8 bits": 5}[kind]
    assert peak() - before < each * high * wide + (16 << 20)
