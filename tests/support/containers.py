"""Small data sets in files that hold many pictures: parquet, TFRecord, WebDataset, TIFFs of many bands."""

import io
import json
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from .pictures import blank


def png(n: int, side: int = 8) -> bytes:
    """A picture whose red says its number."""
    out = io.BytesIO()
    Image.new("RGB", (side, side), (20 * n, 7, 9)).save(out, "PNG")
    return out.getvalue()


def number_of(picture: np.ndarray) -> int:
    return int(picture[0, 0, 0]) // 20


def parquet(path: Path, labels: list, *, names=None, column="label", plain=False, **more) -> Path:
    """A table of pictures as the hub's library writes it; `names` are those of a ClassLabel."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [png(n if isinstance(n, int) else 0) for n in range(len(labels))]
    image: list = (
        files if plain else [{"bytes": f, "path": f"p{n}.png"} for n, f in enumerate(files)]
    )
    table = pa.table({"image": image, column: labels, **more})
    features = {"image": {"_type": "Image"}}
    if names is not None:
        features[column] = {"_type": "ClassLabel", "names": names}
    meta = {"huggingface": json.dumps({"info": {"features": features}})}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(meta), path)
    return path


def tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as box:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            box.addfile(info, io.BytesIO(content))
    return path


def keyed(labels: list, ending: str = "cls", first: int = 0) -> dict[str, bytes]:
    """The members of a WebDataset tar: a picture and a label of one key."""
    members = {}
    for n, label in enumerate(labels):
        members[f"{first + n:06d}.{ending}"] = (
            label if isinstance(label, bytes) else str(label).encode()
        )
        members[f"{first + n:06d}.png"] = png(n)
    return members


def crc32c(data: bytes) -> int:
    """Bit by bit, as its definition says (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def varint(value: int) -> bytes:
    value, out = value & (1 << 64) - 1, b""
    while value > 127:
        value, out = value >> 7, out + bytes([value & 127 | 128])
    return out + bytes([value])


def _field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def example(features: dict) -> bytes:
    """A tf.train.Example: bytes, text, whole numbers, floats, or lists of them."""
    entries = b""
    for key, value in features.items():
        values = value if isinstance(value, list) else [value]
        if isinstance(values[0], int):
            feature = _field(3, _field(1, b"".join(map(varint, values))))
        elif isinstance(values[0], float):
            feature = _field(2, _field(1, struct.pack(f"<{len(values)}f", *values)))
        else:
            texts = [v if isinstance(v, bytes) else v.encode() for v in values]
            feature = _field(1, b"".join(_field(1, text) for text in texts))
        entries += _field(1, _field(1, key.encode()) + _field(2, feature))
    return _field(1, entries)


def tfrecord(path: Path, examples: list[dict]) -> Path:
    content = b""
    for features in examples:
        body = example(features)
        length = struct.pack("<Q", len(body))
        content += length + _masked(length) + body + _masked(body)
    return blank(path, content)


def tiff(
    path: Path,
    samples: np.ndarray,
    *,
    packing: int = 1,
    planar=False,
    tile=0,
    predictor=False,
    big=False,
    bigtiff=False,
) -> Path:
    """A TIFF of samples (H, W, bands), strips of three rows or square tiles, a directory behind them."""
    order = ">" if big else "<"
    samples = samples.astype(samples.dtype.newbyteorder(order))
    high, wide, bands = samples.shape
    pieces = []
    for plane in np.moveaxis(samples, 2, 0)[..., None] if planar else [samples]:
        if tile:
            down, right = -(-high // tile) * tile - high, -(-wide // tile) * tile - wide
            plane = np.pad(plane, ((0, down), (0, right), (0, 0)))
        high_of, wide_of = (tile, tile) if tile else (3, wide)
        for top in range(0, plane.shape[0], high_of):
            for left in range(0, plane.shape[1], wide_of):
                piece = plane[top : top + high_of, left : left + wide_of]
                if predictor:
                    piece = np.diff(piece, axis=1, prepend=piece[:, :1] * 0).astype(piece.dtype)
                pieces.append(pack(piece.tobytes(), packing))
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    bits = [8 * samples.dtype.itemsize] * bands
    offset, number, first = ("Q", "Q", 16) if bigtiff else ("I", "H", 8)
    wide_of = struct.calcsize(f"={offset}")
    places = np.cumsum([first, *map(len, pieces)])[:-1].tolist()
    entries = {256: [wide], 257: [high], 258: bits, 259: [packing], 262: [1], 277: [bands]}
    entries |= {284: [2 if planar else 1], 317: [2 if predictor else 1], 339: [kind] * bands}
    sizes = list(map(len, pieces))
    entries |= (
        {322: [tile], 323: [tile], 324: places, 325: sizes}
        if tile
        else {273: places, 278: [3], 279: sizes}
    )
    body = b"".join(pieces)
    start = first + len(body)
    behind = start + struct.calcsize(f"={number}") + (4 + 2 * wide_of) * len(entries) + wide_of
    rows, lists = b"", b""
    for tag, values in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(packed) > wide_of:
            packed, lists = struct.pack(f"{order}{offset}", behind + len(lists)), lists + packed
        rows += struct.pack(f"{order}HH{offset}", tag, 4, len(values)) + packed.ljust(
            wide_of, b"\0"
        )
    head = b"MM" if big else b"II"
    head += struct.pack(f"{order}H", 43 if bigtiff else 42)
    head += struct.pack(f"{order}HHQ", 8, 0, start) if bigtiff else struct.pack(f"{order}I", start)
    directory = struct.pack(f"{order}{number}", len(entries)) + rows + bytes(wide_of) + lists
    return blank(path, head + body + directory)


def pack(content: bytes, packing: int) -> bytes:
    if packing == 8:
        return zlib.compress(content)
    if packing == 5:  # Pillow's, of one grey row
        out = io.BytesIO()
        Image.frombytes("L", (len(content), 1), content).save(out, "TIFF", compression="tiff_lzw")
        with Image.open(io.BytesIO(out.getvalue())) as image:
            (place,), (size,) = image.tag_v2[273], image.tag_v2[279]
        return out.getvalue()[place : place + size]
    return content


def png16(path: Path, samples: np.ndarray) -> Path:
    """A PNG of 16 bits a sample, (H, W, channels): Pillow writes none with colours."""
    high, wide, channels = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", wide, high, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    out = b"\x89PNG\r\n\x1a\n"
    for kind, content in parts:
        check = struct.pack(">I", zlib.crc32(kind + content))
        out += struct.pack(">I", len(content)) + kind + content + check
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out)
    return path
