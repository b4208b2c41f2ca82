"""The law of floors: a folder imports only the folders below it, and a guest stays in its rooms."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

import colab_kit

PACKAGE = Path(__file__).parent.parent / "colab_kit"
FLOORS = (
    ("errors", "events", "recipe"),
    ("system",),
    ("colab",),
    ("fetching",),
    ("data",),
    ("models",),
    ("training",),
    ("runs",),
    ("api",),
    ("panels",),
    ("cli",),
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
FACE = {"__init__", "__main__"}  # they bring names and stand above everything
TESTING_SEES = ("errors", "events", "recipe", "system", "colab")
ASKS_FOR_THE_MOCK = "colab/mounting"  # mount(mock=True), inside its function: nobody else
ONLY_IN = {  # guest: the rooms that may import it, at any depth
    "ipywidgets": ("panels/",),
    "matplotlib": ("runs/",),
    "gdown": ("fetching/gdrive",),
    "google.colab": ("colab/bridge",),
    "onnx": ("runs/export",),
    # all that asks servers: there a stop is heard, and everything has its time
    "requests": ("system/http", "system/connections"),
    "urllib3": ("system/http", "system/connections"),
    "huggingface_hub": (),
    "kagglehub": (),
    "torch.hub": (),
    "urllib.request": (),
    "http.client": (),
    "ftplib": (),
    "httpx": (),
    "aiohttp": (),
    "http.server": ("testing/server", "testing/fuse/"),
    "socket": ("system/connections", "colab/lease", "testing/"),
    # one place names the decoders of Pillow: any other would try all, and one starts a program
    "PIL.EpsImagePlugin": (),
    "PIL.Image.open": ("data/image_files",),
}
WITHOUT_TORCH = ("system", "colab", "fetching", "errors", "events", "recipe")


@functools.cache
def package() -> dict[str, ast.Module]:
    """Every .py of the package by its room's name."""
    files = sorted(PACKAGE.rglob("*.py"))
    return {
        f.relative_to(PACKAGE).with_suffix("").as_posix(): ast.parse(f.read_text()) for f in files
    }


def imports(tree: ast.AST, room: str, where: str = "top") -> Iterator[tuple[str, str, int]]:
    """What is imported, where (top, function, or types: never run), and the line."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, where, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = ["colab_kit", *room.split("/")][: -node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from ((f"{base}.{alias.name}", where, node.lineno) for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imports(node, room, "types")
        else:
            function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, room, "function" if function else where)


def is_in(name: str, guest: str) -> bool:
    return name == guest or name.startswith(guest + ".")


def folder(room: str) -> str:
    return room.split("/")[0]


def target(name: str, rooms: set[str]) -> str | None:
    """The room that a dotted name of ours means; None for the face or a folder's __init__."""
    parts = name.split(".")[1:]
    names = ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((n for n in names if n in rooms and n not in FACE), None)


def sin(room: str, name: str, where: str, rooms: set[str]) -> str | None:
    """The law that this import breaks, if it breaks one."""
    if is_in(name, "colab_kit"):
        return _own_sin(room, target(name, rooms), where)
    if is_in(name, "torch") and where == "top" and folder(room) in WITHOUT_TORCH:
        return f"imports {name} at its top: this folder comes without torch"
    if (is_in(name, "torchvision") or is_in(name, "timm")) and where == "top":
        return f"imports {name} at its top: a second of import for everyone"
    for guest, homes in ONLY_IN.items():
        if is_in(name, guest) and not any(room.startswith(home) for home in homes):
            return f"imports {name}, a guest of {', '.join(homes)} alone"
    return None


def _own_sin(room: str, other: str | None, where: str) -> str | None:
    mine = folder(room)
    if room in FACE or mine == "cli" and other is None:
        return None
    if other is None:
        return "imports the face or a folder's __init__: name the room itself"
    theirs = folder(other)
    if mine == theirs:
        return None
    if theirs == "testing":
        asks = room == ASKS_FOR_THE_MOCK and where == "function"
        return None if asks else f"imports {other}: nothing imports testing but mount(mock=True)"
    if mine == "testing":
        return (
            None
            if theirs in TESTING_SEES
            else f"imports {other}: testing sees no further than colab"
        )
    below = FLOOR[theirs] < FLOOR[mine] or FLOOR[theirs] == FLOOR[mine] == 0
    return None if below else f"imports {other}, which stands above it"


def sins(rooms: dict[str, ast.Module], known: set[str] | None = None) -> list[str]:
    known = known or set(rooms)
    found = [
        (room, line, sin(room, name, where, known))
        for room, tree in rooms.items()
        for name, where, line in imports(tree, room)
    ]
    return list(
        dict.fromkeys(f"colab_kit/{room}.py:{line} {what}" for room, line, what in found if what)
    )


def circles(rooms: dict[str, ast.Module]) -> list[list[str]]:
    """Rooms that import each other in a ring, imports inside functions included."""
    arrows = {
        room: {
            other
            for name, _, _ in imports(tree, room)
            if is_in(name, "colab_kit") and (other := target(name, set(rooms))) and other != room
        }
        for room, tree in rooms.items()
        if room not in FACE
    }
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(room: str, path: list[str]) -> None:
        if room in path:
            found.append([*path[path.index(room) :], room])
        elif room not in done:
            for other in sorted(arrows.get(room, ())):
                walk(other, [*path, room])
            done.add(room)

    for room in arrows:
        walk(room, [])
    return found


def test_every_entry_of_the_package_has_its_floor():
    entries = {
        p.stem
        for p in PACKAGE.iterdir()
        if p.suffix == ".py" or (p.is_dir() and p.name != "__pycache__")
    }
    assert entries == {*FLOOR, *FACE, "testing"}


def test_folders_import_downward_and_guests_keep_to_their_rooms():
    assert not sins(package()), "\n".join(sins(package()))


OPENERS = {  # whose call, and the one room that may call it
    "Image.open": "data/image_files",
    "torch.hub.load_state_dict_from_url": "",
    "socket.create_connection": "",
}


def test_servers_are_asked_and_pictures_are_opened_in_one_place_each():
    calls = {
        (room, ast.unparse(node.func))
        for room, tree in package().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and not room.startswith("testing")
    }
    assert ("data/image_files", "Image.open") in calls
    assert not [(room, call) for room, call in calls if OPENERS.get(call, room) != room]


def test_no_rooms_import_each_other_in_a_circle():
    assert not circles(package()), "\n".join(" -> ".join(ring) for ring in circles(package()))


def test_a_verb_and_a_module_never_share_a_name():
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not modules & set(colab_kit.__all__)


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("events", "from .system.files import stamp"),
        ("errors", "def f():\n    from .api import train"),
        ("training/loop", "from ..runs.run import Run"),
        ("training/loop", "from .. import Recipe"),
        ("training/loop", "import colab_kit"),
        ("training/loop", "from . import Anything"),
        ("training/loop", "from ..testing.fake_colab import StandIn"),
        ("testing/plugin", "from ..fetching.fetch import fetch"),
        ("system/files", "import torch.nn"),
        ("models/nets", "import torchvision"),
        ("runs/run", "def f():\n    import ipywidgets"),
        ("colab/mounting", "from google.colab import drive"),
        ("training/loop", "def f():\n    import onnx"),
        ("models/backbones", "def f():\n    from urllib.request import urlopen"),
        ("fetching/hubs", "def f():\n    import requests"),
        ("runs/report", "from PIL.Image import open"),
    ],
)
def test_a_broken_law_is_caught(room, line):
    assert len(sins({room: ast.parse(line)}, set(package()))) == 1


def test_a_circle_is_caught():
    rooms = {
        "data/a": "from .b import x",
        "data/b": "def f():\n    from . import c",
        "data/c": "from .a import y",
    }
    assert circles({room: ast.parse(line) for room, line in rooms.items()}) == [
        ["data/a", "data/b", "data/c", "data/a"]
    ]


def test_what_the_law_allows_passes():
    top = "from .saver import x\nfrom ..errors import y\nimport torch\n"
    allowed = f"{top}def f():\n    import torchvision.models, timm"
    assert not sins({"training/loop": ast.parse(allowed)}, set(package()))
    mock = "def mount():\n    from ..testing.fake_colab import installed"
    assert not sins({"colab/mounting": ast.parse(mock)}, set(package()))
