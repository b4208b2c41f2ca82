"""The catalog: data sets known by name. One lies in the package; the others are found, or fetched once and prepared in our cache.

    <home>/data/oxford-pets/images/        what images.tar.gz held; it gets its name when it is whole, and the archive goes
    <home>/data/mnist/*.gz                 read as they are

One process prepares a set while others wait. What is damaged there is fetched again.
"""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ...errors import BadArchive, DataError, FetchError, NoSpace, Stopped
from ...events import Control, Event, Note
from ...fetching import download
from ...system import files
from ...system.archives.names import is_archive, stem
from ...system.archives.unpack import unpack
from ...system.locks import alone
from ..folders import Found
from ..formats import idx, parsed
from ..formats.parsed import Pair
from .published import FASHION, PUBLISHED, File, Published

MINI = Path(__file__).parents[1] / "fashion_mini"
DEBIAN = Path(
    "/usr/share/datasets/fashion-mnist"
)  # where the package dataset-fashion-mnist puts it
FASHION_LABELS = "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7"  # sha256 of the 60,000 training labels
SETS = ("fashion-mini", *PUBLISHED)

Emit = Callable[[Event], None]
Get = Callable[..., Path]


@dataclass(frozen=True, eq=False)
class Known:
    """A data set of the catalog, or a folder of idx files.

    splits : by train, valid and test: pictures uint8 (N, H, W) or (N, H, W, 3) with labels (N,); or the files of pictures
    classes : None where nobody knows them, or the files say them
    """

    name: str
    splits: dict[str, Pair] | Found
    classes: tuple[str, ...] | None


def canonical(text: str) -> str | None:
    """The catalog's own name of what was typed: `CIFAR10` is cifar-10. None for what it does not hold."""
    return _CALLED.get(_squashed(text))


def near(text: str) -> str | None:
    """The name of the catalog that may have been meant."""
    found = difflib.get_close_matches(_squashed(stem(text)), _CALLED, 1, 0.7)
    return _CALLED[found[0]] if found else None


def open_known(
    name: str,
    *,
    emit: Emit,
    control: Control | None = None,
    get: Get = download.get,
    cache: Path | None = None,
    places: tuple[Path, ...] = (DEBIAN,),
    published: Mapping[str, Published] = PUBLISHED,
    parser: type | None = None,
) -> Known:
    """Open a data set of the catalog by its canonical name.

    Parameters
    ----------
    get : brings a file: `fetching.download.get`
    cache : the set's own folder; <home>/data/<name> if None
    places : where Fashion-MNIST may be installed
    parser : reads CIFAR; torchvision's if None

    Raises
    ------
    DataError
        A file outside our cache is damaged, or what was published is not what it was.
    FetchError
        No place has the files and no mirror gave them, an archive is damaged, or the disk is full.
    """
    if name == "fashion-mini":
        return Known(name, _pairs(_mini(MINI)), FASHION)
    one, place = published[name], cache or files.home() / "data" / name
    if one.form == "idx":
        found = _full(one, place, places if name == "fashion-mnist" else (), get, emit, control)
        return Known(name, _pairs(found), one.classes)
    said = "Another process prepares {name}; waiting for it."
    with alone(place.parent, place.name, emit, control, said=said, stopped=Stopped):
        if all(_lies(file, place).exists() for file in one.files):
            try:
                return _read(one, place, parser)
            except DataError as err:
                emit(Note(f"{place} is damaged ({err.why}); it is fetched again.", "warn"))
                shutil.rmtree(place, ignore_errors=True)
        for file in one.files:
            _bring(file, one, place, get, emit, control)
        return _read(one, place, parser)


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
    splits = _pairs(found)
    if sha256(splits["train"][1].tobytes()).hexdigest() == FASHION_LABELS:
        return Known("fashion-mnist", splits, FASHION)
    return Known(folder.name, splits, None)


def _squashed(text: str) -> str:
    return re.sub(r"[-_ ]", "", text).lower()


_CALLED = {
    _squashed(called): name
    for name in SETS
    for called in (name, *(PUBLISHED[name].aliases if name in PUBLISHED else ()))
}


def _read(one: Published, place: Path, parser: type | None) -> Known:
    """A set whose files are all there."""
    lie = [_lies(file, place) for file in one.files]
    match one.form:
        case "cifar":
            return Known(one.name, *parsed.cifar(lie[0], parser or _of_torchvision(one.name)))
        case "flowers":
            return Known(one.name, parsed.flowers(lie[0], lie[1], lie[2], one.classes), one.classes)
        case "pets":
            return Known(one.name, *parsed.pets(lie[0], lie[1]))
        case _:
            return Known(one.name, *parsed.in_folders(lie[0], one.folders))


def _of_torchvision(name: str) -> type:
    import torchvision

    kind: type = getattr(torchvision.datasets, name.upper().replace("-", ""))
    return kind


def _lies(file: File, place: Path) -> Path:
    """Where a file of the set is used from: an archive's folder, or the file."""
    return place / (stem(file.name) if is_archive(file.name) else file.name)


def _bring(
    file: File, one: Published, place: Path, get: Get, emit: Emit, control: Control | None
) -> None:
    """Have a file of the set where it is used from."""
    to, lies = place / file.name, _lies(file, place)
    if lies != to and lies.is_dir():
        return
    if (
        file.md5 is not None or not to.is_file()
    ):  # a file has its name only when it is whole: a kill came before it was unpacked
        if file.md5 is None:
            emit(
                Note(f"{file.name}: no checksum is published, so only its structure is looked at.")
            )
        try:
            get(file.urls, to, md5=file.md5, emit=emit, control=control)
        except FetchError as err:
            if not isinstance(err, NoSpace | Stopped):
                err.fix += (
                    f"; or put {file.name} into {place} yourself: then {one.name} needs no network"
                )
            raise
    if lies == to:
        return
    emit(Note(f"Unpacking {file.name} ({to.stat().st_size / 2**20:.1f} MiB)."))
    try:
        unpack(to, lies, control=control)
    except BadArchive as err:
        files.throw_away(to)
        err.fix = f"load {one.name} again: the file was removed, and is fetched anew; {err.fix}"
        raise
    files.throw_away(to)


def _pairs(found: dict[str, Path]) -> dict[str, Pair]:
    return {
        split: idx.read_pair(found[idx.NAMES[n]], found[idx.NAMES[n + 1]])
        for split, n in (("train", 0), ("test", 2))
    }


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


def _full(
    one: Published,
    cache: Path,
    places: tuple[Path, ...],
    get: Get,
    emit: Emit,
    control: Control | None,
) -> dict[str, Path]:
    """Four whole files: of the cache, else of a place that has them, else fetched into the cache."""
    have = {name: path for name, path in idx.find(cache).items() if _is_whole(name, path, emit)}
    if len(have) < len(idx.NAMES):
        for place in places:
            if len(found := idx.find(place)) == len(idx.NAMES):
                return found
    for name, file in zip(idx.NAMES, one.files, strict=True):
        if name not in have:
            _bring(file, one, cache, get, emit, control)
            have[name] = cache / file.name
    return have


def _is_whole(name: str, path: Path, emit: Emit) -> bool:
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
