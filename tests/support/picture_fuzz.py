"""Pictures of ten formats, damaged in ways that follow from a seed alone; and what is done with
them in a process that may crash. Run by tests.support.forks.
"""

import faulthandler
import functools
import io
import os
import random
import resource
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import torchvision.io  # noqa: F401  # its second of import is no picture's
from PIL import Image, features

from colab_kit.api import train
from colab_kit.data.images import decode
from colab_kit.data.loading import load
from colab_kit.errors import DataError
from colab_kit.models import nets
from colab_kit.testing.fixtures import picture

SECONDS, BYTES = 10, 1 << 30  # that one picture may take
SIDE = 40
FIGURES = (0, 1, 2, 3, 7, 8, 15, 16, 127, 128, 255, 256, 32767, 65535, 1 << 16, 1 << 24, 2**31 - 1, 2**32 - 1)  # fmt: skip


@functools.cache
def sound() -> dict[str, bytes]:
    """Give a whole picture of each format by its ending; some of a format that has many kinds."""
    draw = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    rgb = np.dstack([rows * 6, columns * 6, draw.integers(0, 256, (SIDE, SIDE))]).astype(np.uint8)
    image, other = Image.fromarray(rgb), Image.fromarray(rgb[::-1].copy())
    deep = Image.fromarray((rows * 1600 + columns).astype(np.uint16))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    frames = {"save_all": True, "append_images": [other, image]}  # copied, as a save marks them
    made = {
        "a.jpg": (image, "JPEG", {"exif": exif}),
        "b.jpg": (image, "JPEG", {"progressive": True, "quality": 40}),
        "c.jpg": (image.convert("CMYK"), "JPEG", {}),
        "a.mpo": (image, "MPO", frames),
        "a.png": (image, "PNG", {"exif": exif}),
        "b.png": (deep, "PNG", {}),
        "c.png": (image.quantize(16), "PNG", {"transparency": 3}),
        "d.png": (image, "PNG", frames),
        "a.gif": (image, "GIF", frames),
        "a.bmp": (image, "BMP", {}),
        "b.bmp": (image.quantize(16), "BMP", {}),
        "a.webp": (image, "WEBP", frames),
        "b.webp": (image, "WEBP", {"lossless": True, "exif": exif}),
        "a.tif": (image, "TIFF", {"compression": "tiff_lzw"}),
        "b.tif": (deep, "TIFF", {}),
        "c.tif": (image, "TIFF", {"compression": "jpeg"}),
        "d.tif": (image.convert("1"), "TIFF", {"compression": "group4"}),
        "e.tif": (image, "TIFF", {"compression": "tiff_adobe_deflate", **frames}),
        "a.ppm": (image, "PPM", {}),
        "a.jp2": (image, "JPEG2000", {}),
        "b.jp2": (image, "JPEG2000", {"irreversible": True, "quality_layers": [40]}),
        "a.ico": (image, "ICO", {}),
    }
    if features.check("avif"):
        made |= {"a.avif": (image, "AVIF", {}), "b.avif": (image, "AVIF", frames)}
    packed = {}
    for name, (shown, form, options) in made.items():
        out = io.BytesIO()
        more = {"append_images": [one.copy() for one in options.get("append_images", ())]}
        shown.copy().save(out, form, **options | more)
        packed[name] = out.getvalue()
    packed["f.tif"] = deep_tiff(rgb.astype(np.uint16) * 257)
    packed["b.ppm"] = b"P3\n4 2\n255\n" + b" ".join(b"%d" % n for n in range(24)) + b"\n"
    packed["c.ppm"] = b"Pf\n4 2\n-1.0\n" + struct.pack("<8f", *range(8))
    return packed


def deep_tiff(pixels: np.ndarray) -> bytes:
    """Write 16 bits with colours, which Pillow cannot."""
    high, wide = pixels.shape[:2]
    tags = {
        256: wide,
        257: high,
        258: 16,
        259: 1,
        262: 2,
        273: 8,
        277: 3,
        278: high,
        279: pixels.nbytes,
    }
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    head = b"II*\0" + struct.pack("<I", 8 + pixels.nbytes)
    return head + pixels.astype("<u2").tobytes() + struct.pack("<H", len(tags)) + rows + bytes(4)


def damaged(content: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """Damage a file a few times over."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        if not data:
            break
        # headers decide most: half of the damage is near the beginning
        at = draw.randrange(min(len(data), draw.choice((32, 128, len(data)))))
        size = draw.choice((1, 2, 4, 8, 64, 512))
        match draw.randrange(9):
            case 0:
                data[at] ^= 1 << draw.randrange(8)
            case 1:
                data[at : at + size] = draw.randbytes(size)
            case 2:
                form = draw.choice(("<H", ">H", "<I", ">I"))
                figure = draw.choice(FIGURES) % (1 << 8 * struct.calcsize(form))
                data[at : at + struct.calcsize(form)] = struct.pack(form, figure)
            case 3:
                del data[at : at + size]
            case 4:
                data[at:at] = data[at : at + size] * draw.choice((1, 2, 50))
            case 5:
                del data[at:]
            case 6:
                other = draw.choice(others)
                data[at:] = other[min(at, len(other)) :]
            case 7:
                data[at : at + size] = bytes([draw.choice((0, 255))]) * size
            case 8:
                data[at:at] = draw.randbytes(size)
    whole = bytes(data)
    return _with_sums(whole) if draw.random() < 0.5 else whole


def _with_sums(content: bytes) -> bytes:
    """Make the checksums of a PNG right again, so that its chunks are believed."""
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        return content
    out, at = content[:8], 8
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        chunk = content[at + 4 : at + 8 + size]
        if at + 12 + size > len(content):
            break
        out += content[at : at + 4] + chunk + struct.pack(">I", zlib.crc32(chunk))
        at += 12 + size
    return out + content[at:]


def pictures(seed: int, count: int) -> list[tuple[str, bytes]]:
    """Give so many damaged files, each with its name."""
    whole = sound()
    names, others = sorted(whole), list(whole.values())
    files = []
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        name = names[number % len(names)]
        ending = Path(draw.choice(names) if draw.random() < 0.1 else name).suffix
        files.append((f"{number}{ending}", damaged(whole[name], others, draw)))
    return files


def chew(folder: str, seed: int, count: int) -> None:
    """Look at damaged pictures, train with them and predict them, all within the limits.

    The process ends by itself where one takes too long.
    """
    root = Path(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for label in ("one", "two"):
        for number in range(3):
            picture(root / label / f"sound{number}.png", seed=number)
    paths = []
    for number, (name, content) in enumerate(pictures(seed, count)):
        path = root / ("one", "two")[number % 2] / name
        path.write_bytes(content)
        paths.append(path)
        for side in (None, 8):
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            start = time.monotonic()
            try:
                pixels = decode(path, side)
                assert pixels.dtype == np.uint8 and pixels.ndim == 3, f"{name}: {pixels.shape}"
            except DataError:
                pass
            faulthandler.cancel_dump_traceback_later()
            assert time.monotonic() - start < SECONDS
        now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert (now - before) << 10 < BYTES, f"{name} took {(now - before) >> 10} MiB"
    faulthandler.dump_traceback_later(SECONDS + count, exit=True)
    run = train(
        nets.cnn, _loaded(root), run_dir=root.with_name("run"), epochs=1, image_size=16, quiet=True
    )
    prediction = run.predict(paths)
    assert run.status == "finished" and len(prediction) == count
    now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (now - before) << 10 < BYTES, f"train and predict took {(now - before) >> 10} MiB"


def _loaded(root: Path):
    """Load it, without the pixel bombs in it: each is refused by its name."""
    while True:
        try:
            return load(root, quiet=True)
        except DataError as err:
            bombs = [path for path in root.rglob("*.*") if str(path) in err.what]
            if not bombs or "million pixels" not in err.what:
                raise
            os.replace(bombs[0], root.with_name(f"bomb {bombs[0].name}"))
