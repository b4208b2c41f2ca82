"""A shelf in a folder: what Drive's mirror is to the rooms that only know of a shelf."""

import shutil
from pathlib import Path


class FolderShelf:
    """pushed : the names that were pushed"""

    def __init__(self, root: Path) -> None:
        self.root, self.pushed = root, list[str]()

    def find(self, name: str) -> list[Path]:
        return sorted(self.root.glob(name))

    def push(self, path: Path, name: str) -> bool:
        self.pushed.append(name)
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, self.root / name)
        return True
