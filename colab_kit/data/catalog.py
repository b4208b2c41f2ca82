"""The catalog: data sets known by name. `fashion-mini` lies in the package; `fashion-mnist` is found, or fetched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from .. import files, web
from ..errors import DataError
from ..events import Event, Note
from . import idx

MINI = Path(__file__).with_name("fashion_mini")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # where the package dataset-fashion-mnist puts it
MIRRORS = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
)
MD5 = {  # of the .gz files, as torchvision states them
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
FASHION_LABELS = "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7"  # sha256 of the 60,000 training labels

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Known:
    """A data set of the catalog, or a folder of idx files.

    train, test : pictures uint8 (N, 28, 28) and labels uint8 (N,)
    classes : None where nobody knows them
    """

    name: str
    train: Pair
    test: Pair
    classes: tuple[str, ...] | None


def open_known(
    name: str,
    *,
    emit: Callable[[Event], None],
    get: Callable[..., Path] = web.get,
    cache: Path | None = None,
    places: tuple[Path, ...] = (DEBIAN,),
) -> Known:
    """Open a data set of the catalog by name.

    Raises
    ------
    DataError
        A file outside our cache is damaged.
    FetchError
        No place has the files and no mirror gave them.
    """
    if name == "fashion-mini":
        return _known(name, _mini(MINI))
    return _known(name, _full(cache or files.home() / "data" / "fashion-mnist", places, get, emit))


def from_folder(folder: Path) -> Known | None:
    """The data set whose four idx files lie in `folder`; None if it holds none of them."""
    found = idx.find(folder)
    if not found:
        return None
    if missing := [name for name in idx.NAMES if name not in found]:
        raise DataError(
            f"{folder} lacks {' and '.join(missing)}.",
            f"of the four idx files of such a set it holds {', '.join(path.name for path in found.values())}",
            "put the missing files there too (.gz or not)",
        )
    known = _known(folder.name, found)
    if sha256(known.train[1].tobytes()).hexdigest() == FASHION_LABELS:
        return Known("fashion-mnist", known.train, known.test, FASHION)
    return Known(known.name, known.train, known.test, None)


SETS = ("fashion-mini", "fashion-mnist")


def _known(name: str, found: dict[str, Path]) -> Known:
    train, test = (idx.read_pair(found[idx.NAMES[n]], found[idx.NAMES[n + 1]]) for n in (0, 2))
    return Known(name, train, test, FASHION)


def _mini(folder: Path) -> dict[str, Path]:
    """The files of the package, their hashes compared."""
    fix = "reinstall it: pip install --force-reinstall --no-deps colab-kit (from a checkout: git checkout colab_kit/data/fashion_mini)"
    try:
        lines = [line.split() for line in (folder / "SHA256SUMS").read_text().splitlines()]
        sums = {name: sha for sha, name in lines}
        changed = [name for name, sha in sums.items() if idx.checksum(folder / name) != sha]
    except (OSError, ValueError) as err:
        raise DataError("The data set fashion-mini is incomplete.", str(err), fix) from err
    if changed or len(sums) != len(idx.NAMES):
        why = f"the sha256 of {', '.join(changed) or 'a file'} is not the shipped one"
        raise DataError("The data set fashion-mini is damaged.", why, fix)
    return idx.find(folder)


def _full(cache: Path, places: tuple[Path, ...], get: Callable[..., Path], emit: Callable[[Event], None]) -> dict[str, Path]:
    """Four whole files: of the cache, else of a place that has them, else fetched into the cache."""
    whole = {name: path for name, path in idx.find(cache).items() if _is_whole(name, path, emit)}
    if len(whole) < len(idx.NAMES):
        for place in places:
            if len(found := idx.find(place)) == len(idx.NAMES):
                return found
    for name in idx.NAMES:
        if name not in whole:
            whole[name] = get([f"{mirror}{name}.gz" for mirror in MIRRORS], cache / f"{name}.gz", md5=MD5[name], emit=emit)
    return whole


def _is_whole(name: str, path: Path, emit: Callable[[Event], None]) -> bool:
    """Whether a file of our cache is what its name says; one that is not is removed."""
    want = (60_000 if name.startswith("train") else 10_000,) + (28, 28) * ("images" in name)
    try:
        if (shape := idx.read(path).shape) == want:
            return True
        why = f"it holds {shape}, not {want}"
    except DataError as err:
        why = err.why
    emit(Note(f"{path} is damaged ({why}); it is fetched again.", "warn"))
    path.unlink()
    return False
