"""Tiny picture files for tests: those the plugin hands out, and files that only bear a picture's
name.
"""

from pathlib import Path

from colab_kit.testing.fixtures import class_folders, picture

__all__ = ["blank", "class_folders", "picture"]


def blank(path: Path, content: bytes = b"") -> Path:
    """A file of these bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
