"""On each Colab image pip installs colab-kit and nothing else: our own requirements against what
the image already has.
"""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMAGES = sorted((ROOT / "tests" / "colab-runtimes").glob("*.txt"))


def installed_on(image: Path) -> tuple[str, dict[str, str]]:
    """The image's Python, and the version of each package."""
    first, *rows = image.read_text().splitlines()
    return first.removeprefix("# Python "), {
        canonicalize_name(name): version for name, version in (row.split("==") for row in rows)
    }


def would_install(requirements: list[str], requires_python: str, image: Path) -> list[str]:
    """The requirements pip would have to fetch on that image; a core install asks for no extra."""
    python, have = installed_on(image)
    there = default_environment() | {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "extra": "",
    }
    there |= {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": "x86_64",
    }
    missing = [] if SpecifierSet(requires_python).contains(python) else [f"python{requires_python}"]
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate(there):
            version = have.get(canonicalize_name(requirement.name))
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                missing.append(str(requirement))
    return missing


def ours() -> tuple[list[str], str]:
    """What the installed wheel says of itself, else what the tree says."""
    try:
        wheel = metadata.metadata("colab-kit")
        return wheel.get_all("Requires-Dist") or [], wheel["Requires-Python"]
    except metadata.PackageNotFoundError:
        return PROJECT["dependencies"], PROJECT["requires-python"]


def test_there_are_sixteen_images():
    assert len(IMAGES) == 16
    assert {installed_on(image)[0] for image in IMAGES} == {"3.11", "3.12", "3.13"}


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.stem)
def test_pip_would_install_nothing_but_colab_kit(image):
    assert would_install(*ours(), image) == []
    assert would_install(PROJECT["dependencies"], PROJECT["requires-python"], image) == []


@pytest.mark.parametrize(
    "made_up",
    ["requests>=2.32.5", "ipywidgets>=8", "nobody-ships-this", "numpy<2; python_version >= '3.11'"],
)
def test_a_requirement_the_images_do_not_meet_is_caught(made_up):
    assert all(
        would_install([*PROJECT["dependencies"], made_up], ">=3.11", image)
        == [str(Requirement(made_up))]
        for image in IMAGES
    )


def test_a_capped_python_is_caught_and_another_systems_requirement_is_not():
    head = next(image for image in IMAGES if image.stem == "2026.08-head")
    assert would_install([], ">=3.11,<3.13", head) == ["python>=3.11,<3.13"]
    assert (
        would_install(
            ["pywin32; sys_platform == 'win32'", "timm; extra == 'offline'"], ">=3.11", head
        )
        == []
    )


def test_bounds_are_lower_bounds():
    assert all(
        {spec.operator for spec in Requirement(line).specifier} <= {">="}
        for line in PROJECT["dependencies"]
    )
    assert {spec.operator for spec in SpecifierSet(PROJECT["requires-python"])} == {">="}


def test_the_owner_of_the_repository_is_the_same_everywhere():
    owner = re.search(r"github\.com/([\w-]+)/colab_kit", PROJECT["urls"]["Source"])[1]
    places = [
        ROOT / "README.md",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("launchers/*.py"),
        *ROOT.glob("notebooks/*.ipynb"),
        *ROOT.glob("colab_kit/**/*.py"),
    ]
    said = {
        path.relative_to(ROOT).as_posix(): set(
            re.findall(r"github(?:\.com)?/([\w-]+)/colab_kit", path.read_text())
        )
        for path in places
    }
    assert said["README.md"] and said["launchers/transfer.py"]
    other = sorted(path for path, owners in said.items() if owners - {owner})
    assert not other, (
        f"pyproject.toml says {owner}. Run: sed -i 's#\\(github[.com]*/\\)[^/]*/colab_kit#\\1{owner}/colab_kit#' {' '.join(other)}"
    )
