"""Tiny sets in the layout of the published ones, as the archives that their publishers serve."""

import hashlib
import io
import pickle
import struct
import tarfile
import zipfile
import zlib
from dataclasses import replace

import numpy as np
from PIL import Image

from colab_kit.data.catalog.published import PUBLISHED


def photo(seed):
    """A picture file; each seed another one."""
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 9, 3), np.uint8)).save(
        out, "JPEG"
    )
    return out.getvalue()


def photos(*names):
    return {name: photo(n) for n, name in enumerate(names)}


def packed(ending, files):
    """These files as a zip or tar.gz."""
    out = io.BytesIO()
    if ending == ".zip":
        with zipfile.ZipFile(out, "w") as box:
            for name, content in files.items():
                box.writestr(name, content)
        return out.getvalue()
    with tarfile.open(fileobj=out, mode="w:gz") as box:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            box.addfile(info, io.BytesIO(content))
    return out.getvalue()


def mat(compress=True, order="<", **arrays):
    """A MATLAB 5 file of these arrays."""
    out = b"MATLAB 5.0 MAT-file".ljust(124) + (b"\0\1IM" if order == "<" else b"\1\0MI")
    for name, array in arrays.items():
        array = np.atleast_2d(array)
        kind = {"u1": 2, "u2": 4, "f8": 9}[array.dtype.str[1:]]
        parts = [
            (6, struct.pack(f"{order}II", 9, 0)),
            (5, np.array(array.shape, f"{order}i4").tobytes()),
            (1, name.encode()),
        ]
        parts.append((kind, array.astype(array.dtype.newbyteorder(order)).tobytes(order="F")))
        element = _element(14, b"".join(_element(kind, body, order) for kind, body in parts), order)
        if compress:
            element = zlib.compress(element)
            element = struct.pack(f"{order}II", 15, len(element)) + element
        out += element
    return out


def _element(kind, body, order):
    return struct.pack(f"{order}II", kind, len(body)) + body + b"\0" * (-len(body) % 8)


def batch(seed, n, **more):
    pixels = np.random.default_rng(seed).integers(0, 255, (n, 3 * 32 * 32), np.uint8)
    return pickle.dumps({"data": pixels, **more}, 2)


def cifar(fine=False):
    """The files of a CIFAR archive, and a parser that expects them: torchvision's, but for the
    hashes of ours.
    """
    import torchvision

    base = torchvision.datasets.CIFAR100 if fine else torchvision.datasets.CIFAR10
    label, names, folder = (
        ("fine_labels", "fine_label_names", "cifar-100-python")
        if fine
        else ("labels", "label_names", "cifar-10-batches-py")
    )
    files = {
        name: batch(seed, 4, **{label: [0, 1, 2, 0]}) for seed, (name, _) in enumerate([*base.train_list, *base.test_list])
    } | {base.meta["filename"]: pickle.dumps({names: ["airplane", "automobile", "bird"]}, 2)}  # fmt: skip
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    ours = {
        "train_list": [[name, md5[name]] for name, _ in base.train_list],
        "test_list": [[name, md5[name]] for name, _ in base.test_list],
        "meta": {**base.meta, "md5": md5[base.meta["filename"]]},
    }
    return {f"{folder}/{name}": content for name, content in files.items()}, type(
        "Tiny", (base,), ours
    )


def class_folders(top, splits, classes, each=3):
    return photos(
        *(
            f"{top}{split}/{name}/{n}.jpg"
            for split in splits
            for name in classes
            for n in range(each)
        )
    )


def files_of(name):
    """What the publisher of a set serves, by file name, in little."""
    if name.startswith("cifar"):
        return {f"{name}-python.tar.gz": packed(".tar.gz", cifar(name == "cifar-100")[0])}
    if name.startswith("imagenette"):
        archive = PUBLISHED[name].files[0].name
        held = class_folders(
            archive.removesuffix(".tgz") + "/", ("train", "val"), PUBLISHED[name].folders
        )
        return {
            archive: packed(
                ".tgz",
                {**held, archive.removesuffix(".tgz") + "/noisy_imagenette.csv": b"path,label\n"},
            )
        }
    if name == "cat-dog":
        held = class_folders("Cat_Dog_data/", ("train", "test"), ("cat", "dog"))
        return {
            "Cat_Dog_data.zip": packed(
                ".zip",
                {
                    **held,
                    "__MACOSX/Cat_Dog_data/train/cat/._0.jpg": b"\0",
                    "Cat_Dog_data/.DS_Store": b"\0",
                },
            )
        }
    if name == "hymenoptera":
        return {
            "hymenoptera_data.zip": packed(
                ".zip", class_folders("hymenoptera_data/", ("train", "val"), ("ants", "bees"))
            )
        }
    if name == "flower-data":
        return {
            "flower_data.tar.gz": packed(
                ".tar.gz",
                class_folders("", ("train", "valid", "test"), [str(n) for n in range(1, 103)], 1),
            )
        }
    if name == "flowers-102":
        held = packed(".tgz", photos(*(f"jpg/image_{n:05d}.jpg" for n in range(1, 9))))
        sets = {
            "trnid": np.array([7, 1, 2], np.uint16),
            "valid": np.array([3, 4], np.uint16),
            "tstid": np.array([5, 6, 8], np.uint16),
        }
        return {
            "102flowers.tgz": held,
            "imagelabels.mat": mat(labels=np.array([77, 1, 102, 77, 1, 102, 77, 1], np.uint8)),
            "setid.mat": mat(**sets),
        }
    if name == "oxford-pets":
        pets = [("Abyssinian", 1, 1), ("american_pit_bull_terrier", 2, 2), ("Bombay", 3, 1)]
        names = [f"{breed}_{n}" for breed, _, _ in pets for n in (1, 10, 2)]
        rows = {
            f"{breed}_{n}": f"{breed}_{n} {number} {kind} 1\n"
            for breed, number, kind in pets
            for n in (1, 10, 2)
        }
        lists = {
            "annotations/trainval.txt": "".join(
                rows[name] for name in names if not name.endswith("_2")
            ),
            "annotations/test.txt": "".join(rows[name] for name in names if name.endswith("_2")),
        }
        return {
            "images.tar.gz": packed(
                ".tar.gz",
                {
                    **photos(*(f"images/{name}.jpg" for name in names)),
                    "images/Abyssinian_100.mat": b"mat",
                },
            ),
            "annotations.tar.gz": packed(
                ".tar.gz", {name: text.encode() for name, text in lists.items()}
            ),
        }
    raise LookupError(name)


def served(name, server, files=None):
    """The tiny set on a server of this machine: what the table would say of it."""
    one = PUBLISHED[name]
    given = files_of(name) if files is None else files
    ours = tuple(
        replace(
            file,
            urls=(server.put(f"{name}/{file.name}", given[file.name]),),
            md5=file.md5 and hashlib.md5(given[file.name]).hexdigest(),
        )
        for file in one.files
    )
    return {name: replace(one, files=ours)}
