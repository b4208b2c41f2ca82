"""The links that people paste: what kit.fetch, gdown, wget and curl make of each.

    python benchmarks/links.py

Ten links as they are copied from the browser, to hosts that exist in tests only (tests/hosts.py):
a proxy on 127.0.0.1 answers under their real names, over TLS, as those hosts do, so nothing leaves
the machine. Each tool runs alone in an empty folder, called as it mostly is; what lies there
afterwards is compared with the file that the link means. Needs what the tests need; a tool that is
missing is skipped. Ends with 1 if kit.fetch hands over anything but the right file, or takes the
private one for a success.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import peers
from tests.support.hosts import Hosts, forges, google, page

LONGEST = 60  # s
FETCH = "import sys, colab_kit as kit; kit.fetch(sys.argv[1])"
GDOWN = "import sys, gdown; gdown.download(sys.argv[1], quiet=True)"
TOOLS = {
    "kit.fetch": [sys.executable, "-c", FETCH],
    "gdown": [sys.executable, "-c", GDOWN],
    "wget": ["wget", "-nv"],
    "curl -L -O": ["curl", "-sS", "-L", "-O"],
}


@dataclass(frozen=True)
class Pasted:
    """A link, and what it means: the bytes of the file, None if nobody but its owner may have it."""

    called: str
    url: str
    means: bytes | None


@dataclass(frozen=True)
class Handed:
    """What a tool left in its folder, its exit status, and what it said last."""

    what: str
    status: int
    said: str

    def __str__(self) -> str:
        return f"{self.what}, {self.status}"


def pasted(hosts: Hosts) -> list[Pasted]:
    """Serve ten files, and give the links that people would copy."""
    drive, others = google(hosts), forges(hosts)
    pets, weights = _zip(b"a cat"), b"\x89weights\n" + os.urandom(100_000)
    others.github("me/pets", {"data/pets.zip": pets, "weights.bin": weights}, lfs=("weights.bin",))
    others.hf("datasets/me/pets", {"pets.zip": pets})
    hosts.answer(
        "huggingface.co",
        "/datasets/me/pets/blob/*",
        page("<!DOCTYPE html><html><head><title>pets.zip</title></head></html>"),
    )
    others.dropbox("/scl/fi/abc/pets.zip", pets)
    others.kaggle("me/pets", pets)
    small, large, other, far = (
        drive.file("pets.zip", pets, big=big) for big in (False, True, False, True)
    )
    private = drive.file("pets.zip", pets, mood="private")
    view = "https://drive.google.com/file/d/{}/view?usp=sharing"
    return [
        Pasted("GitHub, page of a zip", "https://github.com/me/pets/blob/main/data/pets.zip", pets),
        Pasted(
            "GitHub, page of an LFS file",
            "https://github.com/me/pets/blob/main/weights.bin",
            weights,
        ),
        Pasted("Drive, share link, small", view.format(small), pets),
        Pasted("Drive, share link, large", view.format(large), pets),
        Pasted("Drive, open?id=", f"https://drive.google.com/open?id={other}", pets),
        Pasted(
            "Drive, usercontent, large",
            f"https://drive.usercontent.google.com/download?id={far}",
            pets,
        ),
        Pasted("Dropbox, dl=0", "https://www.dropbox.com/scl/fi/abc/pets.zip?rlkey=x&dl=0", pets),
        Pasted(
            "Hugging Face, page of a file",
            "https://huggingface.co/datasets/me/pets/blob/main/pets.zip",
            pets,
        ),
        Pasted("Kaggle, page of a dataset", "https://www.kaggle.com/datasets/me/pets", pets),
        Pasted("Drive, share link, private", view.format(private), None),
    ]


def _zip(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("cat/1.txt", content)
    return packed.getvalue()


def handed(tool: str, link: Pasted, env: dict[str, str], folder: Path) -> Handed:
    """Run a tool on a link in a new folder, and look at what it left."""
    where, home = folder / "run", folder / "home"
    for path in (where, home):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    env = {
        **os.environ,
        **env,
        "HOME": str(home),
        "COLAB_KIT_HOME": str(home / "kit"),
        "PYTHONPATH": str(peers.ROOT),
    }
    try:
        done = subprocess.run(
            [*TOOLS[tool], link.url],
            cwd=where,
            env=env,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        return Handed("no end", 124, f"it was stopped after {LONGEST} s")
    return Handed(
        _left(where, link.means),
        done.returncode,
        _last_words(done.stderr.strip() or done.stdout.strip()),
    )


def _left(folder: Path, means: bytes | None) -> str:
    """What lies in a folder: the file that is meant, that file unpacked, or what came in its
    place.
    """
    found = {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    name, data = next(
        ((name, data) for name, data in found.items() if not name.startswith(".")), ("", b"")
    )
    if not found:
        return "error"
    if means is not None and means in found.values():
        return "the file"
    if (
        means is not None
        and means.startswith(b"PK")
        and data == zipfile.ZipFile(io.BytesIO(means)).read("cat/1.txt")
    ):
        return "the file, unpacked"
    if data.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return f"HTML as {name[:12]}"
    if data.startswith(b"version https://git-lfs"):
        return "LFS pointer"
    return f"another file, {name[:12]}" if data else f"empty {name[:12]}"


def _last_words(text: str) -> str:
    """Of a traceback the error, else all of it."""
    at = text.rfind("\nTraceback (most recent call last)")
    lines = text[max(0, at) :].split("\n")
    begins = [
        number
        for number, line in enumerate(lines)
        if line and not line.startswith((" ", "Traceback"))
    ]
    return "\n".join(lines[begins[0] :]) if "Traceback" in text and begins else text


def main() -> int:
    tools = [
        tool
        for tool in TOOLS
        if (name := tool.split()[0]) == "kit.fetch" or peers.version(name) is not None
    ]
    for tool in TOOLS.keys() - set(tools):
        print(f"{tool} is missing and skipped: {peers.INSTALL[tool.split()[0]]}")
    print("What each hands over, and its exit status")
    print(f"{'':30}" + "".join(f"{_titled(tool):25}" for tool in tools))
    wrong, private = 0, dict[str, Handed]()
    with tempfile.TemporaryDirectory() as folder, Hosts(Path(folder)) as hosts:
        for link in pasted(hosts):
            row = {tool: handed(tool, link, hosts.env, Path(folder)) for tool in tools}
            print(f"{link.called:30}" + "".join(f"{row[tool]!s:25}" for tool in tools).rstrip())
            ours = row["kit.fetch"]
            good = (
                ours.what.startswith("the file") and not ours.status
                if link.means is not None
                else ours.what == "error" and ours.status
            )
            wrong += not good
            private = row if link.means is None else private
    print("\nWhat each says of the private one")
    for tool, said in private.items():
        print(
            f"\n{_titled(tool)} (exit status {said.status})\n"
            + "\n".join(f"    {line}" for line in (said.said or "nothing").split("\n"))
        )
    print(f"\nkit.fetch: {wrong} of 10 wrong")
    return int(wrong > 0)


def _titled(tool: str) -> str:
    return f"{tool} {peers.version('gdown')}" if tool == "gdown" else tool


if __name__ == "__main__":
    sys.exit(main())
