"""The catalog: data sets known by name.

One lies in the package; the others are fetched once into our cache.
    <home>/data/oxford-pets/images/    what images.tar.gz held; it gets its name when whole
    <home>/data/mnist/*.gz             read as they are

One process prepares a set while others wait. A damaged file there is fetched again.
"""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from ...errors import BadArchive, DataError, FetchError, NoSpace, Stopped
from ...events import Control, Event, Note
from ...fetching import download
from ...system import files
from ...system.archives.unpack import unpack
from ...system.filetypes import is_archive, stem
from ...system.locks import alone
from ..formats import cifar, idx, parsed
from ..sources import Parts
from .published import FASHION, PUBLISHED, File, Published

MINI = Path(__file__).parents[1] / "fashion_mini"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
# sha256 of the 60,000 training labels
FASHION_LABELS = "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7"
SETS = ("fashion-mini", *PUBLISHED)

Emit = Callable[[Event], None]


def canonical(text: str) -> str | None:
    """Give the catalog's own name of what was typed: `CIFAR10` is cifar-10; None for others."""
    return _NAMES.get(_squeeze(text))


def near(text: str) -> str | None:
    """Give the name of the catalog that may have been meant."""
    matches = difflib.get_close_matches(_squeeze(stem(text)), _NAMES, 1, 0.7)
    return _NAMES[matches[0]] if matches else None


def open_known(
    name: str,
    *,
    emit: Emit,
    control: Control | None = None,
    get: Callable[..., Path] = download.get,
    cache: Path | None = None,
    places: tuple[Path, ...] = (DEBIAN,),
    published: Mapping[str, Published] = PUBLISHED,
) -> Parts:
    """Open a data set of the catalog by its canonical name.

    Parameters
    ----------
    name : as canonical() gives it
    emit, control : called with each event; may stop it from another thread
    get : brings a file: `fetching.download.get`
    cache : the set's own folder; <home>/data/<name> if None
    places : where Fashion-MNIST may be installed
    published : the table of sets

    Raises
    ------
    DataError
        A file outside our cache is damaged, or what was published is not what it was.
    FetchError
        No place has the files and no mirror gave them, an archive is damaged, or the disk is full.
    """
    if name == "fashion-mini":
        return replace(idx.parts_of(_mini(MINI)), name=name).with_classes(FASHION)
    place = cache or files.home() / "data" / name
    entry = _Entry(published[name], place, emit, control, get)
    if entry.one.form == "idx":
        arrays = idx.parts_of(entry.idx_files(places if name == "fashion-mnist" else ()))
        return replace(arrays, name=name).with_classes(entry.one.classes)
    waits = "Another process prepares {name}; waiting for it."
    with alone(place.parent, name, emit, control, said=waits, stopped=Stopped):
        if all(entry.content(file).exists() for file in entry.one.files):
            try:
                return entry.read()
            except DataError as err:
                emit(Note(f"{place} is damaged ({err.why}); it is fetched again.", "warn"))
                shutil.rmtree(place, ignore_errors=True)
        for file in entry.one.files:
            entry.bring(file)
        return entry.read()


def recognise(parts: Parts) -> Parts:
    """Give Fashion-MNIST, known by its training labels, its name and class names."""
    labels = parts.splits["train"].labels
    is_numbers = labels.ndim == 1 and labels.dtype.kind == "i"
    if not is_numbers or sha256(labels.astype(np.uint8).tobytes()).hexdigest() != FASHION_LABELS:
        return parts
    return replace(parts, name="fashion-mnist").with_classes(FASHION)


def _squeeze(text: str) -> str:
    return re.sub(r"[-_ ]", "", text).lower()


_NAMES = {_squeeze(alias): one.name for one in PUBLISHED.values() for alias in one.aliases}
_NAMES |= {_squeeze(name): name for name in SETS}


@dataclass(frozen=True)
class _Entry:
    """A published set, its folder, and what brings its files."""

    one: Published
    place: Path
    emit: Emit
    control: Control | None
    get: Callable[..., Path]

    def content(self, file: File) -> Path:
        """Say where a file of the set is used from: an archive's folder, or the file."""
        return self.place / (stem(file.name) if is_archive(file.name) else file.name)

    def read(self) -> Parts:
        """Read the set, all of whose files are there."""
        one, lie = self.one, [self.content(file) for file in self.one.files]
        match one.form:
            case "cifar":
                parts = cifar.read(lie[0])
            case "flowers":
                parts = parsed.flowers(lie[0], lie[1], lie[2], one.classes)
            case "pets":
                parts = parsed.pets(lie[0], lie[1])
            case _:
                parts = parsed.in_folders(lie[0], one.folders)
        return replace(parts, name=one.name)

    def bring(self, file: File) -> None:
        """Have a file of the set where it is used from."""
        to, content, emit = self.place / file.name, self.content(file), self.emit
        if content != to and content.is_dir():
            return
        # a file gets its name when it is whole: an unhashed one is left from a call that was killed
        # before it was unpacked
        if file.md5 is not None or not to.is_file():
            if file.md5 is None:
                text = "no checksum is published, so only its structure is checked."
                emit(Note(f"{file.name}: {text}"))
            try:
                self.get(file.urls, to, md5=file.md5, emit=emit, control=self.control)
            except FetchError as err:
                if not isinstance(err, NoSpace | Stopped):
                    by_hand = f"put {file.name} into {self.place} yourself"
                    err.fix += f"; or {by_hand}: then {self.one.name} needs no network"
                raise
        if content == to:
            return
        emit(Note(f"Unpacking {file.name} ({to.stat().st_size / 2**20:.1f} MiB)."))
        try:
            unpack(to, content, control=self.control)
        except BadArchive as err:
            again = "the file was removed, and is fetched anew"
            err.fix = f"load {self.one.name} again: {again}; {err.fix}"
            files.throw_away(to)
            raise
        files.throw_away(to)

    def idx_files(self, places: tuple[Path, ...]) -> dict[str, Path]:
        """Give four whole files: of the cache, else of an installed place, else fetched."""
        have = idx.find(self.place)
        have = {name: path for name, path in have.items() if self._is_whole(name, path)}
        if len(have) < len(idx.NAMES):
            for place in places:
                if len(installed := idx.find(place)) == len(idx.NAMES):
                    return installed
        for name, file in zip(idx.NAMES, self.one.files, strict=True):
            if name not in have:
                self.bring(file)
                have[name] = self.place / file.name
        return have

    def _is_whole(self, name: str, path: Path) -> bool:
        """Tell whether a file of our cache is what its name says; one that is not is removed."""
        want = (60_000 if name.startswith("train") else 10_000,) + (28, 28) * ("images" in name)
        try:
            shape = idx.read_array(path).shape
            why = f"it holds {shape}, not {want}"
        except DataError as err:
            shape, why = (), err.why
        if shape != want:
            self.emit(Note(f"{path} is damaged ({why}); it is fetched again.", "warn"))
            path.unlink()
        return shape == want


def _mini(folder: Path) -> dict[str, Path]:
    """Give the files of the package, their hashes compared."""
    fix = "reinstall it: pip install --force-reinstall --no-deps colab-kit (from a checkout: "
    fix += "git checkout colab_kit/data/fashion_mini)"
    try:
        lines = [
            line.split()
            for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
        ]
        changed = [name for sha, name in lines if files.sha256(folder / name) != sha]
    except (OSError, ValueError) as err:
        raise DataError("The data set fashion-mini is incomplete.", str(err), fix) from err
    if changed or len(lines) != len(idx.NAMES):
        why = f"the sha256 of {', '.join(changed) or 'a file'} is not the shipped one"
        raise DataError("The data set fashion-mini is damaged.", why, fix)
    return idx.find(folder)
