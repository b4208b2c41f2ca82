"""The law of floors: a room imports only rooms named before it, and a guest stays in the rooms that invited it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import colab_kit

PACKAGE = Path(__file__).parent.parent / "colab_kit"
# Read from the ground up: the order in which to read the code. A new file must choose its place here.
ROOMS = """
0 errors events recipe control
1 extras probe machine files lock magic web colab
1 archives/names archives/limits archives/packings archives/members archives/zips archives/tars archives/listings archives/others
1 archives/unpacking
2 listeners/console listeners/history listeners/csv_log
3 drive/tally drive/faults drive/watch drive/opened drive/calls drive/reach drive/health drive/local drive/folder
3 drive/cloud drive/node drive/mounts drive/cache drive/daemon drive/fuse
3 drive/google_colab/_seam drive/google_colab/errors drive/google_colab/_message drive/google_colab/output drive/google_colab/drive
3 drive/google_colab/files drive/google_colab/userdata drive/google_colab/runtime drive/google_colab/auth
3 drive/google_colab/_system_commands drive/google_colab/_shell drive/google_colab/patches drive/google_colab/syntax
3 drive/google_colab/snippets drive/google_colab/autoviz drive/google_colab/widgets drive/google_colab/data_table
3 drive/google_colab/__init__ drive/package drive/disguise drive/page drive/mock
3 drive/asked drive/aside drive/real drive/mount drive/uploads drive/ground drive/holder drive/lease
3 drive/handover drive/reading drive/mirror drive/pack drive/staged drive/stage
3 fetching/names fetching/address fetching/shares fetching/forges fetching/stores fetching/links fetching/pages fetching/gdrive
3 fetching/hubs
3 fetching/parts fetching/ranges fetching/source fetching/bounds fetching/http fetching/way fetching/whole fetching/records fetching/remote
3 fetching/follow fetching/aims fetching/called fetching/already fetching/kept fetching/ondrive fetching/child fetching/scripts
3 fetching/modules fetching/fetched fetching/origins fetching/git fetching/repos fetching/call fetching/local fetching/packed
3 fetching/several fetching/fetch
4 data/keyed data/decoding data/cuts data/augment data/kinds data/targets
4 data/mapped data/pixels data/preprocess data/ahead data/items data/batches
4 data/sheet data/splits data/overlap data/idx data/folders data/labels data/tables data/checks data/fingerprints
4 data/sources data/edits data/datasets data/published data/matlab data/parsed data/catalog data/places data/shares
4 loading
5 training/weights models/nets models/downloads models/backbones models/heads models/known models/made
5 training/describe training/averaging training/losses training/optimizers training/phases training/schedule training/metrics
5 training/checkpoint training/saver training/choices training/preflight
5 training/untouched training/summary training/precision training/measured training/memory training/gradients
5 models/folding models/features models/solve training/headfit training/headfeed
5 training/finder training/budget training/findings training/job
5 training/rollback training/loop
6 reporting/evaluation reporting/prediction reporting/plots reporting/lr_curve reporting/scoring
6 reporting/explain reporting/report
6 sameness records exporting looks runs opening prepared session planned transferring request trials verbs storage
7 panels/worker panels/sights panels/pump panels/painter panels/line panels/knobs panels/result panels/cleaning panels/training
7 __init__ demo cli_fetch cli_flags cli_train cli __main__ launch
7 testing/pictures testing/spelling testing/answers testing/server testing/ears testing/drives
7 pytest_plugin
"""
FLOOR = {room: int(line[0]) for line in ROOMS.strip().splitlines() for room in line[1:].split()}
PLACE = {room: place for place, room in enumerate(FLOOR)}
ONLY_IN = {  # guest: the rooms that may import it, at any depth
    "ipywidgets": "panels/", "matplotlib": "reporting/", "gdown": "fetching/gdrive", "google.colab": "colab", "onnx": "exporting",
}  # fmt: skip
DOORS = 7


def package() -> dict[str, ast.Module]:
    """Every .py of the package by its room's name."""
    return {path.relative_to(PACKAGE).with_suffix("").as_posix(): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


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
            yield from imports(node, room, "function" if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else where)


def is_in(name: str, guest: str) -> bool:
    return name == guest or name.startswith(guest + ".")


def sin(room: str, name: str, where: str) -> str | None:
    """The law that this import breaks, if it breaks one."""
    floor = FLOOR.get(room, DOORS)
    if is_in(name, "colab_kit"):
        parts = name.split(".")[1:]
        target = next((t for n in range(len(parts), 0, -1) if (t := "/".join(parts[:n])) in PLACE), None)
        if target is None and any((PACKAGE / f"{'/'.join(parts[:n])}.py").exists() for n in range(1, len(parts) + 1)):
            return "imports a room that has no place in ROOMS yet"
        if target is None:
            return None if floor == DOORS and len(parts) <= 1 else f"imports the face or a folder's __init__ ({name}): name the room itself"
        return None if PLACE[target] < PLACE.get(room, len(PLACE)) or room == "__init__" else f"imports {target}, which stands above it"
    if is_in(name, "torch") and where == "top" and floor <= 3:
        return f"imports {name} at its top: floors 0 to 3 come without torch; import it inside the function"
    if (is_in(name, "torchvision") or is_in(name, "timm")) and where == "top":
        return f"imports {name} at its top: a second of import for everyone; import it inside the function"
    for guest, home in ONLY_IN.items():
        if is_in(name, guest) and not (room == home or home.endswith("/") and room.startswith(home)):
            return f"imports {name}, a guest of {home} alone"
    return None


def sins(rooms: dict[str, ast.Module]) -> list[str]:
    found = [(room, line, sin(room, name, where)) for room, tree in rooms.items() for name, where, line in imports(tree, room)]
    return list(dict.fromkeys(f"colab_kit/{room}.py:{line} {what}" for room, line, what in found if what))


def test_every_room_has_its_place_and_every_place_its_room():
    empty = {room for room, tree in package().items() if room.endswith("/__init__") and not [n for n in tree.body if not is_docstring(n)]}
    rooms = set(package()) - empty
    assert not rooms - set(FLOOR), f"choose a place in ROOMS for {sorted(rooms - set(FLOOR))} (a folder's __init__ holds no code)"
    assert not set(FLOOR) - rooms, f"ROOMS names what is not there: {sorted(set(FLOOR) - rooms)}"


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def test_rooms_import_downward_and_guests_keep_to_their_rooms():
    assert not sins(package()), "\n".join(sins(package()))


def test_a_verb_and_a_module_never_share_a_name():
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not modules & set(colab_kit.__all__)


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("events", "from .recipe import Recipe"),
        ("errors", "def f():\n    from .verbs import train"),
        ("training/loop", "from ..runs import Run"),
        ("training/loop", "from .. import Recipe"),
        ("training/loop", "import colab_kit"),
        ("training/loop", "from . import Anything"),
        ("files", "import torch.nn"),
        ("models/nets", "import torchvision"),
        ("runs", "def f():\n    import matplotlib.pyplot"),
        ("drive/real", "from google.colab import drive"),
        ("training/loop", "def f():\n    import onnx"),
    ],
)
def test_a_broken_law_is_caught(room, line):
    assert len(sins({room: ast.parse(line)})) == 1


def test_what_the_law_allows_passes():
    allowed = "from .schedule import x\nfrom ..errors import y\nimport torch\ndef f():\n    import torchvision.models, timm"
    assert not sins({"training/loop": ast.parse(allowed)})
    assert not sins({"machine": ast.parse("def f():\n    import torch"), "cli": ast.parse("from . import __version__")})
