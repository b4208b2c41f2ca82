"""This tree as pip would have installed it, without pip, and the example that docs/testing.md
gives to who has installed it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def readme_example() -> str:
    """The test file on the page about testing."""
    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    return text.partition("```python\n")[2].partition("```")[0]


def site(folder: Path) -> Path:
    """Make a folder that, on PYTHONPATH, holds colab-kit as installed: the package, its RECORD
    and its entry points.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "colab_kit").symlink_to(ROOT / "colab_kit")
    about = folder / "colab_kit-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: colab-kit\nVersion: 0\n")
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in groups.items()
    ]
    (about / "entry_points.txt").write_text("\n".join(lines))
    files = (
        path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "colab_kit").rglob("*.py"))
    )
    (about / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    return folder
