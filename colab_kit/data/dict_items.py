"""Items that are dicts, as those of Hugging Face, read as (picture, label) pairs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Subset

from ..errors import DataError
from .folders.tree import PICTURES
from .image_files import decoding, opened
from .keyed_random import item_under_key

PICTURE_WORDS = frozenset("image images img picture photo pixels pixel_values x input".split())
LOOKED_AT = 16  # items, for the kind of a value that is None in the first
LABEL_WORDS = frozenset("label labels target targets class category y".split())


@dataclass(frozen=True)
class DictItems(Dataset[Any]):
    """A dataset of dicts, read as pairs.

    picture, label : the keys
    """

    dataset: Any
    picture: str
    label: str

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        item = self.dataset[int(row)]  # Hugging Face takes no numpy number
        if missing := [key for key in (self.picture, self.label) if key not in item]:
            what = f"Item {row} of the {type(self.dataset).__name__} has no key {missing[0]!r}."
            why = f"item 0 has it; this one has {', '.join(map(str, item)) or 'nothing'}"
            raise DataError(what, why, f"give each item the key {missing[0]!r}, None if unknown")
        return _opened(item[self.picture]), item[self.label]

    @property
    def targets(self) -> list[Any] | None:
        """All labels, where the dataset gives a column without reading its pictures."""
        if not hasattr(self.dataset, "features"):
            return None
        try:
            return list(self.dataset[self.label])
        except (KeyError, TypeError, IndexError):
            return None

    @property
    def classes(self) -> Sequence[str] | None:
        """The names of the classes, where the dataset knows them."""
        dataset = self.dataset
        while type(dataset) is Subset:
            dataset = dataset.dataset
        names = getattr(_features(dataset).get(self.label), "names", None)
        return names or getattr(dataset, "classes", None)

    @property
    def holds_files(self) -> bool:
        """Whether the dicts name picture files."""
        return isinstance(item_under_key(self, 0)[0], str | os.PathLike)


def of_dicts(dataset: Any) -> DictItems:
    """Find which keys of a dataset's dicts hold the picture and the label.

    Raises
    ------
    DataError
        None fits, or several do.
    """
    item = _full(dataset)
    picture = _key(dataset, item, PICTURE_WORDS, _is_picture, "picture")
    others = {key: value for key, value in item.items() if key != picture}
    return DictItems(dataset, picture, _key(dataset, others, LABEL_WORDS, _is_label, "label"))


def _full(dataset: Any) -> dict[Any, Any]:
    """Give item 0, with values of the next items where its own are None: a label nobody knows."""
    item = dict(item_under_key(dataset, 0))
    for row in range(1, min(LOOKED_AT, len(dataset))):
        if all(value is not None for value in item.values()):
            break
        other = item_under_key(dataset, row)
        item |= {key: other.get(key) for key, value in item.items() if value is None}
    return item


def _key(
    dataset: Any, item: Mapping[Any, Any], words: frozenset[str], fits: Any, thing: str
) -> str:
    """Choose the key whose whole name is one of `words`, else a part of it, else the only fit."""
    keys = [str(key) for key, value in item.items() if fits(value)]
    whole = [key for key in keys if key.lower() in words]
    partly = [key for key in keys if words & set(re.split(r"[^a-z]+", key.lower()))]
    for found in (whole, partly, keys):
        if len(found) == 1:
            return found[0]
        if found:
            raise _several(dataset, found, thing)
    kinds = ", ".join(f"{key} ({type(value).__name__})" for key, value in item.items())
    raise DataError(
        f"No key of the dicts of {type(dataset).__name__} holds a {thing}.",
        f"item 0 has {kinds or 'nothing'}",
        "pass pairs, by the names of your keys: "
        "kit.load([(item['image'], item['label']) for item in dataset])",
    )


def _several(dataset: Any, keys: list[str], thing: str) -> DataError:
    what = f"Several keys of the dicts of {type(dataset).__name__} could be the {thing}."
    lines = []
    for key in keys[:4]:
        others = [other for other in keys if other != key]
        without = f"{{k: item[k] for k in item if k not in {others}}}"
        line = f"kit.load([{without} for item in dataset])"
        if hasattr(dataset, "remove_columns"):
            line = f"kit.load(dataset.remove_columns({others}))"
        lines.append(f"{line} takes {key!r}")
    return DataError(what, f"they are {', '.join(keys)}", "; ".join(lines))


def _features(dataset: Any) -> Mapping[str, Any]:
    features = getattr(dataset, "features", None)
    return features if isinstance(features, Mapping) else {}


def _opened(picture: Any) -> Any:
    """Give a picture that came as the bytes of its file, as one of PIL; any other as it is."""
    content = picture
    if isinstance(picture, Mapping):
        content = picture.get("bytes")
        if content is None and picture.get("path"):
            return picture["path"]
    if not isinstance(content, bytes):
        return picture
    try:
        with opened(content) as image, decoding(image.width * image.height):
            image.load()
    except Exception as err:  # Pillow's readers raise what they please
        fix = "leave this item out, or get the data again"
        raise DataError("An item's bytes are no picture.", str(err), fix) from err
    return image


def _is_picture(value: Any) -> bool:
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str | os.PathLike):
        return os.path.splitext(value)[1].lower() in PICTURES
    return isinstance(value, bytes) or hasattr(value, "getexif") or getattr(value, "ndim", 0) > 1


def _is_label(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(part, str | Integral) for part in value)
    return isinstance(value, str | int | float | np.generic) or getattr(value, "ndim", 2) < 2
