"""Fetching and unpacking against curl, wget, aria2c, gdown, pooch and unzip.

    python benchmarks/fetch.py [--only far] [--runs 5]

    far       a file from a server that gives 20 MiB a second over each connection
    fast      a file from a server without a limit: processor time and memory, with SHA-256 on the
    way
    unpack    a zip of many small pictures on this disk
    folder    the same zip, from that far server to an unpacked folder

All tools take turns, each run into a new folder, and what came is compared with what should.
"call" is one call in a process that has imported colab_kit, as a notebook has; "process" starts
Python for it. Ratios are of the runs of one round, then their median: on a machine that others use
they say more than seconds. `--size 0.1` takes smaller files for a quick look; `--check` ends with
1 if a promise was missed or could not be measured.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import peers
from benchmarks.peers import Kit, Nginx, Took

MEGABYTES, GIGABYTES, PICTURES = 256, 1, 20_000
CALL, PROCESS = "kit, call", "kit, process"


@dataclass(frozen=True)
class Ratio:
    """One tool against another. what : "wall" or "cpu"; promised : at most so much, None where
    nothing is.
    """

    ours: str
    theirs: str
    promised: float | None = None
    what: str = "wall"


@dataclass
class Table:
    """What is measured: `ways` run in turn; each result must be right; ratios and the memory
    promised of each.
    """

    title: str
    ways: dict[str, Callable[[], Took]]
    right: Callable[[], bool]
    ratios: list[Ratio]
    memory: dict[str, float] = field(default_factory=dict)  # MB


class Bench:
    """The files, the server and a process of colab_kit, in a folder that is thrown away."""

    def __init__(self, folder: Path, size: float) -> None:
        self.files, self.run, self.size = folder / "files", folder / "run", size
        self._gone = (folder / f"gone-{number}" for number in itertools.count())
        self.files.mkdir()
        self._log = folder / "log"
        proxies = ("http_proxy", "https_proxy", "all_proxy")
        env = {
            name: value
            for name, value in os.environ.items()
            if name.lower() not in (*proxies, "pythondontwritebytecode")
        }
        self.env = {
            **env,
            "HOME": str(folder),
            "COLAB_KIT_HOME": str(folder / "home"),
            "PYTHONPATH": str(peers.ROOT),
        }
        self.missing = [tool for tool in peers.INSTALL if peers.version(tool) is None]
        self.nginx = Nginx(self.files, folder / "nginx")
        self.kit = Kit(self.env, folder / "kit.log")

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *error: object) -> None:
        self.kit.close()
        self.nginx.close()

    def command(self, *command: str) -> Callable[[], Took]:
        return lambda: peers.process(list(command), self.env, self._log)

    def both(self, called: str, verb: str, *given: str | int) -> dict[str, Callable[[], Took]]:
        """The kit's two ways."""
        call, alone = CALL.replace("kit", called), PROCESS.replace("kit", called)
        return {
            call: lambda: self.kit.call(verb, *given),
            alone: self.command(*peers.kit(verb, *given)),
        }

    def here(self, ways: dict[str, Callable[[], Took]]) -> dict[str, Callable[[], Took]]:
        """Those of them whose tools are installed."""
        gone = [tool for tool in self.missing if tool != "nginx"]
        return {name: way for name, way in ways.items() if not any(tool in name for tool in gone)}

    def warm(self) -> None:
        """Let the kit's process have fetched and unpacked before: it has then imported what that
        takes.
        """
        self.run.mkdir()
        peers.random_file(self.files / "small.bin", 1 << 20)
        peers.pictures(self.files / "few.zip", 10)
        self.kit.call("fetch", f"{self.nginx.address}/fast/small.bin", f"{self.run}/a.bin")
        self.kit.call("engine", f"{self.nginx.address}/fast/small.bin", f"{self.run}/b.bin", 1)
        self.kit.call("fetch", f"{self.nginx.address}/fast/few.zip", str(self.run))
        self.kit.call("unpack", f"{self.files}/few.zip", f"{self.run}/unpacked")
        self.put_away()

    def put_away(self) -> None:
        """Empty what a run left. It is deleted at the end: ext4 passes over each inode deleted in
        the last minutes, at every new file.
        """
        gone = self.run.rename(next(self._gone))
        for folder, _, names in os.walk(gone):
            for name in names:
                os.truncate(f"{folder}/{name}", 0)

    def _file(self, name: str, size: int) -> str:
        return peers.random_file(self.files / name, size)

    def far(self) -> Table:
        size, to, url = (
            int(MEGABYTES * self.size * 2**20),
            self.run / "far.bin",
            f"{self.nginx.address}/far/far.bin",
        )
        digest = self._file("far.bin", size)
        others = {
            name: self.command(*command)
            for name, command in peers.downloaders(url, to, digest).items()
        }
        own = {
            **self.both("kit x8", "fetch", url, str(to)),
            **self.both("kit x16", "engine", url, str(to), 16),
        }
        promised = [
            Ratio(f"kit x{n}, {how}", f"aria2c -x{n}", 1.1 if how == "call" else None)
            for n in (8, 16)
            for how in ("call", "process")
        ]
        more = [Ratio("kit x8, process", name) for name in ("curl", "wget", "gdown", "pooch")]
        title = f"far: {size / 2**20:.0f} MiB at 20 MiB a second over each connection; kit x8 is kit.fetch(url, to)"
        return Table(
            title, self.here({**own, **others}), lambda: peers.is_file(to, digest), promised + more
        )

    def fast(self) -> Table:
        size, to, url = (
            int(GIGABYTES * self.size * 2**30),
            self.run / "fast.bin",
            f"{self.nginx.address}/fast/fast.bin",
        )
        digest = self._file("fast.bin", size)
        commands = peers.downloaders(url, to, digest)
        others = {name: self.command(*command) for name, command in commands.items()}
        hashed = {
            "curl + sha256sum": self.command(
                *peers.in_turn(commands["curl"], ["sha256sum", str(to)])
            )
        }
        ways = self.here({**self.both("kit", "fetch", url, str(to)), **others, **hashed})
        promised = [Ratio(own, "curl", 1.5, "cpu") for own in (CALL, PROCESS)]
        more = [
            Ratio(PROCESS, name, None, "cpu")
            for name in ("curl + sha256sum", "wget", "aria2c -x8", "gdown", "pooch")
        ]
        walls = [
            Ratio(PROCESS, name)
            for name in ("curl", "curl + sha256sum", "aria2c -x8", "gdown", "pooch")
        ]
        title = f"fast: {size / 2**20:.0f} MiB without a limit; the kit hashes, of the others pooch and sha256sum"
        return Table(
            title, ways, lambda: peers.is_file(to, digest), promised + more + walls, {PROCESS: 80}
        )

    def unpack(self) -> Table:
        archive, to = self.files / "many.zip", self.run / "many"
        wanted = peers.pictures(archive, int(PICTURES * self.size))
        unzip = {"unzip": self.command("unzip", "-q", str(archive), "-d", str(to))}
        ways = self.here({**self.both("kit", "unpack", str(archive), str(to)), **unzip})
        title = f"unpack: a zip of {wanted['files']:,} pictures, {archive.stat().st_size / 1e6:.0f} MB, on this disk"
        ratios = [
            Ratio(CALL, "unzip", 0.6),
            Ratio(PROCESS, "unzip"),
            Ratio(PROCESS, "unzip", None, "cpu"),
        ]
        return Table(title, ways, lambda: peers.is_tree(to, wanted), ratios)

    def folder(self) -> Table:
        archive, to, url = (
            self.run / "many.zip",
            self.run / "many",
            f"{self.nginx.address}/far/many.zip",
        )
        wanted = peers.pictures(self.files / "many.zip", int(PICTURES * self.size))
        unzip = ["unzip", "-q", str(archive), "-d", str(to)]
        wget, aria = peers.downloaders(url, archive, "")["wget"], peers.aria(16, url, archive)
        others = {
            "wget + unzip": self.command(*peers.in_turn(wget, unzip)),
            "aria2c -x16 + unzip": self.command(*peers.in_turn(aria, unzip)),
        }
        ways = self.here({**self.both("kit", "fetch", url, str(self.run)), **others})
        title = f"folder: that zip of {wanted['files']:,} pictures at 20 MiB a second over each connection, to a folder"
        ratios = [
            Ratio(own, other, 0.15 if (own, other) == (CALL, "wget + unzip") else None)
            for other in others
            for own in (CALL, PROCESS)
        ]
        return Table(title, ways, lambda: peers.is_tree(to, wanted), ratios)


def measure(bench: Bench, table: Table, runs: int) -> dict[str, list[Took]]:
    """What each way took in each round; RuntimeError where one was wrong."""
    took: dict[str, list[Took]] = {name: [] for name in table.ways}
    names = list(table.ways)
    for number in range(runs):
        at = number % len(names)
        for name in (
            names[at:] + names[:at]
        ):  # the run before has its share in what one takes: of the disk, of free memory
            bench.run.mkdir()
            os.sync()
            took[name].append(table.ways[name]())
            if not table.right():
                raise RuntimeError(f"{name} brought something else than it should have")
            bench.put_away()
    return took


def tell(table: Table, took: dict[str, list[Took]]) -> list[tuple[str, bool | None]]:
    """Print a table; what was promised in it, and whether it was met: None if a tool for that is
    missing.
    """
    print(f"\n{table.title}\n{'':24}{'wall s':>9}{'fastest':>9}{'CPU s':>8}{'RSS MB':>8}")
    for name, rows in took.items():
        walls, rss = [row.wall for row in rows], [row.rss for row in rows if row.rss is not None]
        memory = f"{max(rss):8.0f}" if rss else f"{'':8}"
        print(
            f"{name:24}{statistics.median(walls):9.2f}{min(walls):9.2f}{statistics.median(row.cpu for row in rows):8.2f}{memory}"
        )
    print(f"\n{'':48}{'ratio':>7}{'of the rounds':>17}{'promised':>10}")
    said: list[tuple[str, bool | None]] = []
    for ratio in table.ratios:
        name = f"{'CPU of ' if ratio.what == 'cpu' else ''}{ratio.ours} / {ratio.theirs}"
        met = None
        if ratio.ours in took and ratio.theirs in took:
            pairs = zip(took[ratio.ours], took[ratio.theirs], strict=True)
            found = sorted(
                getattr(ours, ratio.what) / getattr(theirs, ratio.what) for ours, theirs in pairs
            )
            middle = statistics.median(found)
            met = ratio.promised is None or middle <= ratio.promised
            promised = (
                "" if ratio.promised is None else f"{ratio.promised:10g}{'' if met else '  missed'}"
            )
            print(f"{name:48}{middle:7.2f}{f'{found[0]:.2f} to {found[-1]:.2f}':>17}{promised}")
        if ratio.promised is not None:
            said.append((f"{name} at most {ratio.promised:g}", met))
    for way, most in table.memory.items():
        said.append(
            (f"RSS of {way} under {most:g} MB", max(row.rss or 0 for row in took[way]) < most)
        )
    return said


def machine(bench: Bench) -> str:
    tools = " · ".join(
        f"{tool} {found}" for tool in peers.INSTALL if (found := peers.version(tool)) is not None
    )
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.system()} {platform.machine()} · {cores} cores, load average {load} · Python {platform.python_version()} · {tools}"


def main() -> int:
    say = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    say.add_argument(
        "--only",
        action="append",
        choices=("far", "fast", "unpack", "folder"),
        help="one table; may be given several times",
    )
    say.add_argument("--runs", type=int, default=5)
    say.add_argument("--size", type=float, default=1.0, help="1: 256 MiB, 1 GiB, 20,000 pictures")
    say.add_argument(
        "--folder",
        type=Path,
        help="on the disk to measure; the system's temporary one if not given",
    )
    say.add_argument("--check", action="store_true", help="end with 1 if a promise is missed")
    given = say.parse_args()
    said = []
    with (
        tempfile.TemporaryDirectory(dir=given.folder) as folder,
        Bench(Path(folder).resolve(), given.size) as bench,
    ):
        print(machine(bench))
        for tool in bench.missing:
            print(f"{tool} is missing and skipped: {peers.INSTALL[tool]}")
        bench.warm()
        for name in given.only or ("far", "fast", "unpack", "folder"):
            table = getattr(bench, name)()
            said += tell(table, measure(bench, table, given.runs))
    print(f"\n{given.runs} rounds; load average at the end {os.getloadavg()[0]:.1f}")
    for promise, met in said:
        print(f"{'not measured' if met is None else 'met' if met else 'MISSED':14}{promise}")
    return int(given.check and not all(met for _, met in said))


if __name__ == "__main__":
    sys.exit(main())
