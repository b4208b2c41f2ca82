"""Damage: a small world of everything the package keeps, and what may happen to a file of it.

A world is made once and copied for each mutation. `Use` opens, predicts, lists and trains in it, and
says what a person would see: the same answers, a named error, or something that must not be.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import struct
import traceback
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
from torch import nn

import colab_kit as kit
from colab_kit.data import pixel_cache
from colab_kit.data.preprocess import Preprocess
from colab_kit.errors import ColabKitError, Stopped
from colab_kit.events import FetchProgress, Note
from colab_kit.fetching.download import has_hashes
from colab_kit.fetching.records import MARK
from colab_kit.models import build
from colab_kit.models.backbones import Backbone, WeightFiles, _fill, _tensors
from colab_kit.runs import catalog
from colab_kit.runs.running import forget_runs
from colab_kit.system.files import home, sha256, write_whole
from colab_kit.testing.server import FileServer
from colab_kit.training import checkpoint
from tests.support.pictures import class_folders

packed = io.BytesIO()
with zipfile.ZipFile(packed, "w") as archive:
    archive.writestr("a.txt", "a" * 100)
    archive.writestr("b/c.txt", "c" * 50)
SERVED = {"x.bin": bytes(range(256)), "pets.zip": packed.getvalue(), "half.bin": bytes(300_000)}
TINY = "resnet18"  # a small network stands in for it
ABSURD = (-1, 0, 10**9, 10**18, 1e308, float("nan"), "9" * 5000, "", None, True, [], {})


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.fc = nn.Linear(6, 9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc(self.body(x).mean((2, 3)))
        return out


# --- what may happen to a file -------------------------------------------------------------------


def flipped(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return b"\0"
    place = rng.randrange(len(content))
    return (
        content[:place] + bytes([content[place] ^ (1 << rng.randrange(8))]) + content[place + 1 :]
    )


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def zeroed(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    stop = min(len(content), start + rng.choice([1, 16, 4096]))
    return content[:start] + bytes(stop - start) + content[stop:]


def longer(content: bytes, rng: random.Random) -> bytes:
    return content + bytes(rng.randrange(1, 99))


def digit_changed(content: bytes, rng: random.Random) -> bytes:
    places = [i for i, byte in enumerate(content[:100_000]) if chr(byte).isdigit()]
    if not places:
        return flipped(content, rng)
    place = rng.choice(places)
    return content[:place] + str((content[place] - 47) % 10).encode() + content[place + 1 :]


def header_absurd(content: bytes, rng: random.Random) -> bytes:
    size = rng.choice([0, 1, 2**31, 2**40, 2**63, len(content)])
    return struct.pack("<Q", size) + content[8:]


BYTES = (flipped, cut, zeroed, longer, digit_changed, header_absurd)


def inner(value: Any, rng: random.Random) -> tuple[Any, Any]:
    """Give a container somewhere in plain data and a key of it."""
    places: list[tuple[Any, Any]] = []
    level = [value]
    while level:
        one = level.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one))
        places += [(one, key) for key in keys]
        level += [one[key] for key in keys if isinstance(one[key], dict | list)]
    return rng.choice(places) if places else ({"": 0}, "")


def restated(value: Any, rng: random.Random) -> Any:
    """Change plain data in one place: another type, a field less, an absurd number, deep nesting."""
    container, key = inner(value, rng)
    match rng.randrange(5):
        case 0:
            container[key] = rng.choice(ABSURD)
        case 1:
            del container[key]
        case 2:
            deep: Any = 0
            for _ in range(rng.choice([50, 300, 900])):
                deep = [deep]
            container[key] = deep
        case 3:
            container[key] = [container[key]]
        case _:
            old = container[key]
            container[key] = old + 1 if isinstance(old, int | float) else str(old) + "x"
    return value


def json_changed(content: bytes, rng: random.Random) -> bytes:
    if rng.randrange(8) == 0:
        return rng.choice([b"[" * 200_000, b'{"a":' * 50_000, b"1" * 9000, b"null", b"[]", b"\xff"])
    try:
        return json.dumps(restated(json.loads(content), rng)).encode()
    except (ValueError, TypeError, RecursionError):
        return flipped(content, rng)


def header_changed(content: bytes, rng: random.Random) -> bytes:
    """Change the JSON in the header of a tensor file; its seal is left as it was."""
    try:
        length = int.from_bytes(content[:8], "little")
        header = json_changed(content[8 : 8 + length], rng)
    except ValueError:
        return flipped(content, rng)
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


def forged(path: Path, rng: random.Random) -> None:
    """Change what an exported file says, and seal it again, as a stranger might."""
    found = checkpoint.read(path)
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        checkpoint.write(path, found.tensors, restated(found.facts, rng))


# --- the world -----------------------------------------------------------------------------------


def arrays(seed: int) -> Any:
    rng = np.random.Generator(np.random.Philox(seed))
    x = rng.integers(0, 256, (24, 8, 8), dtype=np.uint8)
    return kit.load((x, np.arange(24) % 3), valid=0.25, quiet=True)


class World:
    """Runs of arrays (alpha and beta), of pictures (gamma) and on features (delta), an export."""

    def __init__(self, top: Path) -> None:
        self.top, self.outside, self.origin = top, top / "outside", top / "origin"
        self.outside.mkdir(parents=True)
        torch.manual_seed(7)
        torch.save(Tiny().state_dict(), self.origin)
        self.weights = f"tiny-{sha256(self.origin)[:8]}.pth"
        self.pets = class_folders(top / "pets", each=8)
        self.server = FileServer()
        self.links = [self.server.put(name, content) for name, content in SERVED.items()]
        self.place = top / "world"
        with self.inside():
            for name in ("alpha", "beta"):
                self.train(name)
            kit.open_run("alpha").export("alpha.safetensors")
            self.learn_pictures()
            self.learn_head()
            self.fetch_all()
            Path("half.bin").unlink()
            self.leave_half()
        self.pristine = top / "pristine"
        self.place.rename(self.pristine)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Work in the world: its home, its working folder, its small backbone, its disk."""
        (self.place / "work").mkdir(parents=True, exist_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLAB_KIT_HOME", str(self.place / "home"))
            patch.chdir(self.place / "work")
            patch.setattr(build, "backbone", self.backbone)
            patch.setattr(pixel_cache, "free_memory", lambda: 0)  # the store lies on the disk
            yield
        forget_runs()

    def backbone(self, name: str, **how: Any) -> Backbone:
        files = WeightFiles(home() / "weights", None, self.fetch)
        model = Tiny()
        if how.get("load", True):
            _fill(model, name, _tensors(files.get(f"http://nowhere/{self.weights}", name), name))
        return Backbone(model, name, Preprocess(8, 3), 9)

    def fetch(self, urls: list[str], to: Path, sha256: str) -> Path:
        if not has_hashes(to, {"sha256": sha256}):
            write_whole(to, self.origin.read_bytes())
        return to

    def train(self, name: str, **more: Any) -> Any:
        how = {"image_size": 8, "epochs": 2, "batch_size": 8, "quiet": True, **more}
        return kit.train(kit.nets.mlp, arrays(len(name)), name=name, **how)

    def learn_pictures(self, **more: Any) -> Any:
        data = kit.load(self.pets, quiet=True)
        how = {"image_size": 8, "epochs": 1, "batch_size": 8, "quiet": True, **more}
        return kit.train(kit.nets.mlp, data, name="gamma", **how)

    def learn_head(self, **more: Any) -> Any:
        data = kit.load(self.pets, quiet=True)
        how = {"mode": "frozen", "image_size": 8, "quiet": True, **more}
        return kit.transfer(data, TINY, name="delta", **how)

    def fetch_all(self, **how: Any) -> list[int]:
        """Fetch a file, an archive, and a file that an earlier call left half; sums of them."""
        found = [Path(kit.fetch(link, quiet=True, **how).path) for link in self.links]
        files = [file for path in found for file in (path, *path.rglob("*"))]
        return [crc32(file.read_bytes()) for file in files if file.is_file() and file.name != MARK]

    def leave_half(self) -> None:
        control = kit.Control()

        def hear(event: Any) -> None:
            if isinstance(event, FetchProgress) and event.done:
                control.stop()

        self.server.slow(1 << 20, "half.bin", times=1)
        with contextlib.suppress(Stopped):
            kit.fetch(self.links[-1], quiet=True, callbacks=[hear], control=control)

    def fresh(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.pristine, self.place, symlinks=True)

    def files(self) -> list[Path]:
        """Every file that is kept, relative to the world."""
        found = (path for path in self.pristine.rglob("*") if path.is_file())
        # data are the user's; of a half-fetched file no server has said a hash to compare
        found = (path for path in found if path.suffix not in (".txt", ".part"))
        return sorted(path.relative_to(self.pristine) for path in found)

    def harm(self, name: Path, rng: random.Random) -> str:
        """Do something to a file; what."""
        path = self.place / name
        ways: list[Callable[[bytes, random.Random], bytes]] = list(BYTES)
        ways += [json_changed] * 4 * (path.suffix == ".json")
        ways += [header_changed] * 3 * (path.suffix == ".safetensors")
        kind = rng.randrange(10)
        if path.name == "alpha.safetensors" and kind < 5:
            forged(path, rng)
            return "forged"
        if kind == 0:
            path.unlink()
            path.mkdir()
            return "a folder"
        if kind == 1:
            path.unlink()
            path.symlink_to(self.outside / "target")
            return "a dangling link"
        if kind == 2:
            path.write_bytes(b"")
            return "empty"
        if kind == 3 and (others := self.alike(name)):
            other = rng.choice(others)
            path.write_bytes((self.place / other).read_bytes())
            return f"swapped with {other}"
        way = rng.choice(ways)
        path.write_bytes(way(path.read_bytes(), rng))
        return way.__name__

    def alike(self, name: Path) -> list[Path]:
        """Other files that might stand in its place."""
        ending = name.suffix or name.name
        return [one for one in self.files() if one != name and (one.suffix or one.name) == ending]


# --- what a person sees --------------------------------------------------------------------------


class Use:
    """What happens when a world is used.

    answers : {deed: numbers}
    faults : what must not be: other errors than ours, with their tracebacks
    said : all that was printed, and every warning
    """

    def __init__(self, world: World, area: str) -> None:
        self.world, self.answers, self.faults = world, dict[str, np.ndarray](), list[str]()
        self.errors: dict[str, ColabKitError] = {}
        self.notes: list[str] = []
        out = io.StringIO()
        with world.inside(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            for name, deed in self.deeds(area).items():
                try:
                    self.answers[name] = np.asarray(deed())
                except ColabKitError as err:
                    self.errors[name] = err
                except Exception:
                    self.faults.append(f"{name}: {traceback.format_exc()}")
        self.said = out.getvalue() + "\n".join(self.notes)

    def deeds(self, area: str) -> dict[str, Callable[[], Any]]:
        world, hear = self.world, {"callbacks": [self.hear]}
        x = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8)
        picture = sorted(world.pets.rglob("*.png"))[:3]

        def chances(run: Any, shown: Any = x) -> Any:
            return run.predict(shown, quiet=True, **hear).probabilities

        run = {
            "open alpha": lambda: chances(kit.open_run("alpha")),
            "train alpha again": lambda: chances(world.train("alpha", **hear)),
            "train alpha on": lambda: chances(world.train("alpha", epochs=3, **hear)),
        }
        export = {"open the export": lambda: chances(kit.open_run("alpha.safetensors"))}
        pictures = {
            "open gamma": lambda: chances(kit.open_run("gamma"), picture),
            "judge gamma": lambda: (
                kit.open_run("gamma")
                .evaluate(kit.load(world.pets, quiet=True), quiet=True, **hear)
                .loss
            ),
            "train gamma anew": lambda: chances(
                world.learn_pictures(restart=True, **hear), picture
            ),
        }
        head = {
            "open delta": lambda: chances(kit.open_run("delta"), picture),
            "judge delta": lambda: (
                kit.open_run("delta")
                .evaluate(kit.load(world.pets, quiet=True), quiet=True, **hear)
                .loss
            ),
            "train delta again": lambda: chances(world.learn_head(**hear), picture),
            "train delta anew": lambda: chances(world.learn_head(restart=True, **hear), picture),
        }
        rest = {
            "open beta": lambda: chances(kit.open_run("beta")),
            "list": lambda: len({run.name for run in catalog.look().runs} - {area}),
            "train a new one": lambda: chances(world.train("other", epochs=1, **hear)),
        }
        fetched = {"fetch again": lambda: world.fetch_all(callbacks=[self.hear_all])}
        groups = {
            "fetched": fetched,
            "alpha": run,
            "beta": {},
            "gamma": pictures,
            "delta": head,
            "export": export,
        }
        return {**groups.get(area, {**pictures, **head}), **rest}

    def hear_all(self, event: Any) -> None:
        if isinstance(event, Note):
            self.notes.append(event.text)

    def hear(self, event: Any) -> None:
        if isinstance(event, Note) and event.level == "warn":
            self.notes.append(event.text)


def area_of(name: Path) -> str:
    """Which part of the world a file is of."""
    if name.suffix == ".safetensors" and len(name.parts) == 2:
        return "export"
    if name.parts[1] == "colab-kit":
        return name.parts[3].partition("-")[0]
    is_home = name.parts[0] == "home" and name.parts[1] not in ("fetched", "locks")
    return "home" if is_home else "fetched"


def complaints(world: World, number: int, seed: str, expected: dict[str, Use]) -> list[str]:
    """Harm one file of a fresh world by chance, use it, and say what must not be."""
    rng = random.Random(f"{seed}-{number}")
    # as many mutations for each area, whatever the number of its files
    areas: dict[str, list[Path]] = {}
    for name in world.files():
        areas.setdefault(area_of(name), []).append(name)
    area = rng.choice(sorted(areas))
    name = rng.choice(areas[area])
    world.fresh()
    how = world.harm(name, rng)
    use, right = Use(world, area), expected[area]
    label = f"#{number} {name} {how}"
    found = [f"{label}: {fault}" for fault in use.faults]
    for deed, answer in use.answers.items():
        same = answer.shape == right.answers[deed].shape and np.array_equal(
            answer, right.answers[deed]
        )
        if not same and not (how == "forged" and "export" in deed) and not use.said.strip():
            found.append(f"{label}: {deed}: another answer, without a word")
    for deed in ("open beta", "list", "train a new one"):
        if deed in use.errors and (area, deed) != ("beta", "open beta"):
            found.append(f"{label}: {deed}: {use.errors[deed]}")
    if list(world.outside.iterdir()):
        found.append(f"{label}: something was written outside")
        shutil.rmtree(world.outside)
        world.outside.mkdir()
    return found


def as_expected(world: World) -> dict[str, Use]:
    """Use a world in which nothing was harmed, area by area."""
    areas = sorted({area_of(name) for name in world.files()})
    found = {}
    for area in areas:
        world.fresh()
        found[area] = Use(world, area)
        assert not found[area].faults and not found[area].errors, (area, found[area].faults)
    return found
