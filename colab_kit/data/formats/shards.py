"""Shards: files that hold many pictures each. Which are there, and which split each belongs to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import DataError
from ...events import Note
from ..folders.tree import counted, some
from ..folders.words import TOLD, one_split
from ..nested import FEW, is_picture, outweigh, walk

HEAD = 65536  # bytes
MOST = 10_000  # shards of one split


def find(path: Path, ours: Callable[[Path], bool]) -> list[Path]:
    """Give the shards at a path, in natural order; none where picture files are the data."""
    shards, pictures = list[Path](), list[Path]()
    try:
        for file in walk(path):
            if is_picture(file):
                pictures.append(file)
                if len(pictures) >= FEW:
                    return []
            elif ours(file):
                shards.append(file)
        return shards if outweigh(shards, pictures) else []
    except OSError:
        return []


def first_bytes(file: Path, size: int = HEAD) -> bytes:
    """Give the first bytes of a file; none of one that cannot be read."""
    try:
        with open(file, "rb") as opened:
            return opened.read(size)
    except OSError:
        return b""


def by_split(path: Path, shards: Sequence[Path]) -> tuple[dict[str, list[Path]], list[Note]]:
    """Sort shards into train, valid and test by their names, or by the folders they lie in.

    Where no name says a split, all is train. A lone shard or a lone split is train too, which a
    note says, as it names the shards that are left out.

    Raises
    ------
    DataError
        There are valid and test, and no train.
    """
    splits: dict[str, list[Path]] = {}
    unnamed = list[Path]()
    for shard in shards:
        split = _split_of(path, shard)
        (unnamed if split is None else splits.setdefault(split, [])).append(shard)
    if "train" not in splits and unnamed:
        splits["train"], unnamed = unnamed, []
    if "train" not in splits and len(splits) == 1:
        (split, only), splits = splits.popitem(), {}
        splits["train"] = only
        text = f"{path.name}: all is of the split {split}, and is taken as training data."
        return splits, [Note(text, "warn")]
    if "train" not in splits:
        raise DataError(
            f"{path} has no file for training.",
            f"by their names all are of valid or test: {some([s.name for s in shards])}",
            f"give one that is for training: kit.load({str(splits['valid'][0])!r})",
        )
    notes = []
    loose = [file for file in walk(path) if is_picture(file)] if shards[0].is_file() else []
    if loose:
        text = f"{path.name}: {some([file.name for file in loose])} left out: beside the data."
        notes.append(Note(text, "warn"))
    if missing := _missing(shards) if len(shards) > 1 else []:
        text = f"{path.name}: {counted(len(missing), 'shard')} missing: {some(missing)}."
        notes.append(Note(text, "warn"))
    if unnamed:
        text = f"{path.name}: {some([shard.name for shard in unnamed])} left out: no split's name."
        notes.append(Note(text, "warn"))
    return {split: splits[split] for split in TOLD if split in splits}, notes


def _split_of(path: Path, shard: Path) -> str | None:
    """Give the split that the shard's name says, else the nearest folder below `path`."""
    below = [shard.name] if shard == path else reversed(shard.relative_to(path).parts)
    return next((split for name in below if (split := one_split(name))), None)


def _missing(shards: Sequence[Path]) -> list[str]:
    """Name the shards that are not there, of sets that count theirs: train-00001-of-00003."""
    there, missing, seen = set(shards), list[str](), set[Path]()
    for shard in shards:
        found = re.search(r"-(\d+)-of-(\d+)", shard.name)
        if found is None:
            continue
        number, many = found.groups()
        all_of_set = [
            shard.with_name(shard.name.replace(f"-{number}-of-", f"-{n:0{len(number)}d}-of-"))
            for n in range(min(int(many), MOST))
        ]
        if all_of_set and all_of_set[0] not in seen:
            seen.add(all_of_set[0])
            missing += [one.name for one in all_of_set if one not in there]
    return missing


def damaged(file: Path, why: str) -> DataError:
    """Give the error for a file that cannot be read as what it is."""
    return DataError(f"{file} is damaged.", why, f"delete {file.name} and get it again")


def above(path: Path) -> Path:
    """Give the folder that names of shards are relative to."""
    return path.parent if path.is_file() else path
