"""What `fetch.py` compares and where: a server on 127.0.0.1, the files on it, the other tools as
commands, and colab_kit as two.

Each tool runs in a process of its own, whose time and memory the system says when it ends.
colab_kit also runs as one call in a process that has imported it and has fetched before, as a
notebook has.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import random
import shlex
import shutil
import socket
import subprocess
import sys
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FAR = "20m"  # nginx' word for 20 MiB a second over each connection
FOLDERS, MEAN, SHOWS = (
    100,
    17_000,
    997,
)  # folders, bytes of a picture, one of so many pictures is compared
INSTALL = {
    "nginx": "apt install nginx-light (or nginx)",
    "curl": "apt install curl",
    "wget": "apt install wget",
    "aria2c": "apt install aria2",
    "unzip": "apt install unzip",
    "gdown": "pip install gdown",
    "pooch": "pip install pooch",
}
# where nginx is for those who are not root
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
POOCH = "import pooch, sys; url, folder, name, digest = sys.argv[1:]; pooch.retrieve(url, digest, fname=name, path=folder)"
KIT = """
def fetch(url, to):
    import colab_kit as kit
    kit.fetch(url, to)

def engine(url, to, connections):
    from pathlib import Path
    from colab_kit.fetching.http_download import Download
    from colab_kit.fetching.partial import Part
    from colab_kit.fetching.remote import Call, Source
    from colab_kit.system.http import Web
    with Web() as web:
        source, part = Source(url, connections=connections), Part(Path(to), "benchmark")
        Download(source, part, Call(web, lambda event: None)).run().finish()

def unpack(archive, to):
    from pathlib import Path
    from colab_kit.system.archives.unpack import unpack
    unpack(Path(archive), Path(to))
"""
CALLS = """
import json, os, resource, sys, time

def now():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime + used.ru_stime

answers, sys.stdout = sys.stdout, open(os.devnull, "w")
for line in sys.stdin:
    verb, *given = json.loads(line)
    begun = now()
    globals()[verb](*given)
    print(json.dumps([after - before for before, after in zip(begun, now())]), file=answers, flush=True)
"""


@dataclass(frozen=True)
class Took:
    """What a run took. wall, cpu : s; rss : MB at its peak, None for a call in a process that
    goes on.
    """

    wall: float
    cpu: float
    rss: float | None = None


def version(tool: str) -> str | None:
    """Which version of it is installed, None if it is not."""
    if INSTALL[tool].startswith("pip"):
        try:
            return importlib.metadata.version(tool)
        except importlib.metadata.PackageNotFoundError:
            return None
    if (program := shutil.which(tool, path=PATH)) is None:
        return None
    said = subprocess.run(
        [program, "-v" if tool in ("nginx", "unzip") else "--version"],
        capture_output=True,
        text=True,
    )
    words = (said.stdout + said.stderr).split("\n")[0].replace("/", " ").split()
    return next((word for word in words if word[0].isdigit()), "?")


def process(command: list[str], env: dict[str, str], log: Path) -> Took:
    """Run a command to its end; RuntimeError with its last words if it fails."""
    with log.open("wb") as words:
        begun = time.perf_counter()
        child = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=words, stderr=words
        )
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(
            f"{shlex.join(command[:3])} … failed with {child.returncode}: {log.read_text(errors='replace')[-2000:]}"
        )
    rss = used.ru_maxrss / (
        1e6 if sys.platform == "darwin" else 1e3
    )  # macOS counts bytes, Linux KiB
    return Took(wall, used.ru_utime + used.ru_stime, rss)


class Kit:
    """A process that has imported colab_kit: it does one call after the other and says what each
    took.
    """

    def __init__(self, env: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as words:
            self._process = subprocess.Popen(
                [sys.executable, "-c", KIT + CALLS],
                env=env,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
            )

    def call(self, verb: str, *given: str | int) -> Took:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([verb, *given]) + "\n")
        self._process.stdin.flush()
        if not (said := self._process.stdout.readline()):
            raise RuntimeError(f"colab_kit failed: {self._log.read_text(errors='replace')[-2000:]}")
        return Took(*json.loads(said))

    def close(self) -> None:
        self._process.communicate()


def kit(verb: str, *given: str | int) -> list[str]:
    """The command that does the same in a new process."""
    return [sys.executable, "-c", f"{KIT}\n{verb}(*{given!r})"]


def aria(connections: int, url: str, to: Path) -> list[str]:
    parts = [f"-x{connections}", f"-s{connections}", "-k1M", "--file-allocation=none"]
    return ["aria2c", "-q", "--no-conf", *parts, "-d", str(to.parent), "-o", to.name, url]


def downloaders(url: str, to: Path, sha256: str) -> dict[str, list[str]]:
    """The command of each that brings a file."""
    return {
        "curl": ["curl", "-sSf", "-o", str(to), url],
        "wget": ["wget", "-q", "-O", str(to), url],
        "aria2c -x8": aria(8, url, to),
        "aria2c -x16": aria(16, url, to),
        "gdown": [sys.executable, "-m", "gdown", "-q", url, "-O", str(to)],
        "pooch": [sys.executable, "-c", POOCH, url, str(to.parent), to.name, f"sha256:{sha256}"],
    }


def in_turn(*commands: list[str]) -> list[str]:
    """One command that runs these, each if the one before went well."""
    return ["sh", "-c", " && ".join(map(shlex.join, commands))]


class Nginx:
    """The server of a folder: /fast/NAME without a limit, /far/NAME at 20 MiB a second over each
    connection.
    """

    def __init__(self, files: Path, folder: Path) -> None:
        program = shutil.which("nginx", path=PATH)
        if program is None:
            raise SystemExit(f"The server is missing: {INSTALL['nginx']}")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        folder.mkdir()
        built = subprocess.run([program, "-V"], capture_output=True, text=True).stderr
        kinds = [
            kind
            for kind in ("proxy", "fastcgi", "uwsgi", "scgi")
            if f"--without-http_{kind}_module" not in built
        ]
        temps = " ".join(f'{kind}_temp_path "{folder}/{kind}";' for kind in ["client_body", *kinds])
        (folder / "nginx.conf").write_text(f"""
            daemon off; master_process off; pid "{folder}/pid"; error_log "{folder}/error.log";
            events {{ worker_connections 256; }}
            http {{
                access_log off; sendfile on; default_type application/octet-stream; {temps}
                server {{
                    listen 127.0.0.1:{port};
                    location /fast/ {{ alias "{files}/"; }}
                    location /far/ {{ alias "{files}/"; limit_rate {FAR}; }}
                }}
            }}""")
        with (folder / "said").open("wb") as words:
            self._process = subprocess.Popen(
                [program, "-p", str(folder), "-c", str(folder / "nginx.conf")],
                stdout=words,
                stderr=words,
            )
        self.address = f"http://127.0.0.1:{port}"
        for _ in range(100):
            if self._process.poll() is None and _answers(port):
                return
            time.sleep(0.05)
        self.close()
        raise SystemExit(f"nginx did not start: {(folder / 'said').read_text()}")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as knocks:
        return knocks.connect_ex(("127.0.0.1", port)) == 0


def random_file(path: Path, size: int) -> str:
    """Write a file that cannot be packed; its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for at in range(0, size, 1 << 20):
            digest.update(piece := os.urandom(min(1 << 20, size - at)))
            file.write(piece)
    return digest.hexdigest()


def pictures(path: Path, count: int) -> dict[str, Any]:
    """Write a zip of so many small files, as compressible as JPEGs; what an unpacked tree must
    have.
    """
    # in a child: what wait4 says of a process' memory begins with what its parent once had
    maker = multiprocessing.get_context("fork").Process(target=_zip, args=(path, count))
    maker.start()
    maker.join()
    if maker.exitcode:
        raise RuntimeError(f"{path.name} could not be made")
    told: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
    return told


def _zip(path: Path, count: int) -> None:
    chance, total, crcs = random.Random(0), 0, {}
    fewer = bytes(
        value if value < 224 else value - 32 for value in range(256)
    )  # 7.75 bits a byte: deflate saves 3 %
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(count):
            name = f"class{number % FOLDERS:03}/{number:06}.jpg"
            size = max(1000, int(chance.gammavariate(4, MEAN / 4)))
            data = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + chance.randbytes(size).translate(fewer)
            packed.writestr(name, data)
            total += len(data)
            if number % SHOWS == 0:
                crcs[name] = zlib.crc32(data)
    path.with_suffix(".json").write_text(json.dumps({"files": count, "bytes": total, "crcs": crcs}))


def is_file(path: Path, sha256: str) -> bool:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def is_tree(folder: Path, wanted: dict[str, Any]) -> bool:
    """Whether all pictures are there: their number, their bytes, and the contents of some."""
    sizes = [path.stat().st_size for path in folder.rglob("*.jpg")]
    right = all(
        zlib.crc32((folder / name).read_bytes()) == crc for name, crc in wanted["crcs"].items()
    )
    return right and (len(sizes), sum(sizes)) == (wanted["files"], wanted["bytes"])
