"""Parquet as the Hugging Face hub keeps pictures: a column of encoded pictures, and labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import DataError
from ...system.files import parse
from ...system.runtime import need
from ..folders.tree import some
from ..folders.words import one_split
from ..sources import Parts
from .records import LONGEST, Record, picture_kind, read_shards
from .shards import damaged, find, first_bytes

AT_ONCE = 64  # rows in memory
USUAL = ("image", "img", "picture", "jpg", "png")  # where several columns hold pictures


def sees(path: Path) -> bool:
    """Tell whether parquet files lie there, and no picture files that are the data."""
    return any(first_bytes(file, 4) == b"PAR1" for file in _shards(path)[:3])


def read(path: Path, label_column: str | None = None, file_column: str | None = None) -> Parts:
    """Read the pictures of a parquet file, or of a folder of them.

    Parameters
    ----------
    label_column, file_column : str, optional
        The column of labels, and the one of pictures, where several fit.

    Raises
    ------
    DataError
        A file is damaged or has no pictures; several configs, or several columns fit.
    MissingExtra
        pyarrow is not installed.
    """
    parquet = need("pyarrow.parquet", extra="parquet", why=f"reading {path.name}")
    shards = _one_config(path, _shards(path))
    schema = _opened(parquet, shards[0]).schema_arrow
    features = _features(schema)
    column, others = _picture_column(parquet, path, shards[0], schema, file_column)
    classes = {name: names for name in schema.names if (names := _names(features.get(name)))}
    said = f"pictures from {column!r}" + (f" ({some(others)} left out)" if others else "")

    def records(shard: Path) -> Iterator[Record]:
        return _records(parquet, shard, column)

    return read_shards(
        path,
        shards,
        records,
        classes=classes,
        label_column=label_column,
        about=f", {said}",
        key=f"-{column}",
    )


def _shards(path: Path) -> list[Path]:
    return find(path, lambda file: file.name.lower().endswith((".parquet", ".parq")))


def _one_config(path: Path, shards: Sequence[Path]) -> list[Path]:
    """Give the shards, if they are of one config: the folders that name neither split nor data.

    Raises
    ------
    DataError
        They are of several; there is a line for each.
    """
    configs: dict[Path, list[Path]] = {}
    for shard in shards:
        config = shard.parent
        while config != path and path in config.parents and one_split(config.name):
            config = config.parent
        configs.setdefault(config, []).append(shard)
    if len(configs) <= 1:
        return list(shards)
    raise DataError(
        f"{path} holds {len(configs)} data sets.",
        f"each of these folders is one: {some([config.name for config in configs])}",
        "\n     ".join(f"kit.load({str(config)!r})" for config in configs),
    )


def _opened(parquet: Any, shard: Path) -> Any:
    if first_bytes(shard, 4) != b"PAR1":
        raise damaged(shard, f"it begins with {first_bytes(shard, 4).hex() or 'nothing'}, not PAR1")
    try:
        return parquet.ParquetFile(shard, page_checksum_verification=True)
    except _faults() as err:
        raise damaged(shard, _first_line(err)) from err


def _faults() -> tuple[type[Exception], ...]:
    """Give the errors that pyarrow raises for what is damaged."""
    import pyarrow

    return OSError, ValueError, pyarrow.ArrowException


def _first_line(err: Exception) -> str:
    return (str(err).splitlines() or [type(err).__name__])[0]


def _features(schema: Any) -> Mapping[str, Any]:
    """Give what the hub's library wrote of the columns; {} where it did not write the file."""
    try:
        told = parse((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return told if isinstance(told, dict) else {}


def _names(feature: Any) -> list[str] | None:
    """Give the class names of a ClassLabel, or of a list of them."""
    if isinstance(feature, list) and len(feature) == 1:
        return _names(feature[0])
    if not isinstance(feature, dict):
        return None
    names = feature.get("names")
    if feature.get("_type") == "ClassLabel" and isinstance(names, list) and names:
        return list(map(str, names))
    return _names(feature.get("feature"))


def _picture_column(
    parquet: Any,
    path: Path,
    shard: Path,
    schema: Any,
    wanted: str | None,
) -> tuple[str, list[str]]:
    """Give the column of pictures, and those that hold pictures too.

    Raises
    ------
    DataError
        There is none, or several fit.
    """
    if wanted is not None and wanted not in schema.names:
        what, why = f"{path} has no column {wanted!r}.", f"it has {', '.join(schema.names)}"
        raise DataError(what, why, "give file_column= one of these")
    found = [name for name in schema.names if _may_be_pictures(parquet, shard, schema.field(name))]
    usual = [name for name in found if name in USUAL] or found
    if wanted is not None:
        usual = [wanted]
    if not found:
        raise DataError(
            f"{path} holds no pictures.",
            f"no column of {shard.name} holds JPEG or PNG files: {', '.join(schema.names)}",
            "give parquet files with a column of encoded pictures, as the hub's converter writes",
        )
    if len(usual) != 1:
        lines = [f"kit.load({str(path)!r}, file_column={name!r})" for name in usual]
        why = f"{', '.join(usual)} all hold pictures"
        raise DataError(f"{path} has several pictures a row.", why, "\n     ".join(lines))
    return usual[0], [name for name in found if name != usual[0]]


def _may_be_pictures(parquet: Any, shard: Path, field: Any) -> bool:
    """Tell whether a column holds encoded pictures: by its type, then by the first ones."""
    import pyarrow

    types, kind = pyarrow.types, field.type
    if types.is_struct(kind):
        if kind.get_field_index("bytes") < 0:
            return False
        kind = kind.field("bytes").type
    if not (types.is_binary(kind) or types.is_large_binary(kind)):
        return False
    for record in _records(parquet, shard, field.name):
        if record.content:
            return picture_kind(record.content) is not None
    return True


def _records(parquet: Any, shard: Path, column: str) -> Iterator[Record]:
    """Read the rows of a shard, AT_ONCE at a time."""
    file = _opened(parquet, shard)
    if column not in file.schema_arrow.names:
        why = f"it has no column {column!r}, which the first of these files has"
        raise damaged(shard, why)
    columns = [name for name in file.schema_arrow.names if name == column]
    columns += [f.name for f in file.schema_arrow if f.name != column and _is_small(f.type)]
    try:
        for batch in file.iter_batches(batch_size=AT_ONCE, columns=columns):
            for row in batch.to_pylist():
                picture = row.pop(column)
                name = ""
                if isinstance(picture, dict):
                    name, picture = str(picture.get("path") or ""), picture.get("bytes")
                facts = {key: value for key, value in row.items() if _is_short(value)}
                yield Record(picture or b"", facts, name)
    except _faults() as err:
        raise damaged(shard, _first_line(err)) from err


def _is_small(kind: Any) -> bool:
    """Tell whether a column's values may be labels: whole numbers, floats, texts, lists of them."""
    import pyarrow

    types = pyarrow.types
    if types.is_list(kind) or types.is_large_list(kind):
        kind = kind.value_type
    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_string)
    return any(test(kind) for test in (*tests, types.is_large_string))


def _is_short(value: Any) -> bool:
    return not isinstance(value, str | list) or len(value) <= LONGEST
