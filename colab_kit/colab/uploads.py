"""Uploads: files chosen in the notebook's page, saved where nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..errors import ColabError
from ..system.files import refuse_absent
from .bridge import upload as choose
from .mounting import Site, absent


def upload(to: str | os.PathLike[str] | None = None) -> list[Path]:
    """Show Colab's chooser and wait; give the files where they were saved, none if it was cancelled.

    Parameters
    ----------
    to : path, optional
        The folder, made if it is missing; None: the working folder. A name that is taken there gets a number.

    Raises
    ------
    ColabError
        No page can show a chooser here, or `to` lies on a Drive that is not mounted.

    Examples
    --------
    >>> [picture] = upload()  # doctest: +SKIP
    """
    return upload_to(to)


def upload_to(
    to: str | os.PathLike[str] | None,
    *,
    site: Site | None = None,
    door: Callable[[Path | None], list[Path]] = choose,
) -> list[Path]:
    """upload() on a described site."""
    folder = None if to is None else Path(to).expanduser().absolute()
    if folder is not None and (gone := absent(folder, site)) is not None:
        raise ColabError(
            f"Nothing can be uploaded to {folder}: its Drive is not there.",
            gone[0],
            f"kit.mount() first, or give {gone[1]}",
        )
    if folder is not None:
        refuse_absent(folder)
    return door(folder)
