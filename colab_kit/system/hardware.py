"""What this machine says of itself, asked once and written down: nothing here decides anything."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COLAB_VM = "/var/colab/hostname"  # there on every hosted Colab VM, for every client; ssh and subprocesses see it too
NVIDIA_SMI = (
    "nvidia-smi",
    "--query-gpu=name,memory.total,compute_cap",
    "--format=csv,nounits,noheader",
)
SMI_LIMIT = 1.0  # s; with a sick driver nvidia-smi never returns


@dataclass(frozen=True)
class Host:
    """The cheap half: who started this Python. Milliseconds to gather."""

    env: Mapping[str, str] = field(default_factory=dict)
    paths: frozenset[str] = frozenset()  # those of the telling paths that exist
    shell: str | None = None  # IPython's shell, module and class; None outside IPython
    vscode_file: bool = False  # VS Code put the notebook's path into the kernel's namespace


@dataclass(frozen=True)
class Torch:
    """What is known of torch. Of one that was not imported only the build is known; the rest is None."""

    version: str
    builds: frozenset[str]  # what it was built for: "cuda", "hip"
    cuda: bool | None = None  # whether torch itself can use a GPU
    mps: bool | None = None
    name: str | None = None
    capability: tuple[int, int] | None = None
    memory: int | None = None  # bytes
    count: int = 0


@dataclass(frozen=True)
class Facts:
    """One machine, described. A test writes one by hand; `look()` gathers the real one."""

    host: Host = Host()
    python: str = "3.12.0"
    system: str = "Linux x86_64"
    smi: str | None = None  # nvidia-smi's CSV; None: not installed, or no answer
    smi_silent: bool = False  # installed, and no answer came
    torch: Torch | None = None  # None: not installed
    flags: frozenset[str] = frozenset()  # of the CPU
    cores: int = 1
    ram: int | None = None  # bytes, as all sizes here
    ram_free: int | None = None
    disk_free: int | None = None
    first_process: float | None = None  # s since the machine's first process started


def host() -> Host:
    """Who started this Python: environment, telling paths, IPython's shell."""
    ipython = sys.modules.get(
        "IPython"
    )  # never imported here: 0.3 s, and without it there is no shell to find
    shell = (
        ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    )
    kind = type(shell)
    return Host(
        env=dict(os.environ),
        paths=frozenset(path for path in (COLAB_VM, "/content", "/kaggle") if os.path.exists(path)),
        shell=None if shell is None else f"{kind.__module__}.{kind.__qualname__}",
        vscode_file="__vsc_ipynb_file__" in getattr(shell, "user_ns", {}),
    )


def look() -> Facts:
    """Describe this machine; under 1.5 s where torch is not imported yet, whatever nvidia-smi does."""
    import psutil

    ram, ram_free = psutil.virtual_memory().total, free_memory()
    quota = cgroup(Path("/sys/fs/cgroup"), _read("/proc/self/cgroup"))
    if quota.memory is not None:
        ram = min(ram, quota.memory)
    smi, silent = nvidia_smi()
    return Facts(
        host=host(),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        smi=smi,
        smi_silent=silent,
        torch=torch_here(smi),
        flags=cpu_flags(_read("/proc/cpuinfo")),
        cores=_cores(quota.cores),
        ram=ram,
        ram_free=ram_free,
        disk_free=_disk_free(),
        first_process=_first_process(),
    )


def free_memory() -> int:
    """Bytes of memory that this process may still take: the machine's, or its container's if that has less."""
    import psutil

    free = int(psutil.virtual_memory().available)
    quota = cgroup(Path("/sys/fs/cgroup"), _read("/proc/self/cgroup"))
    return free if quota.memory is None else min(free, max(0, quota.memory - quota.used))


def nvidia_smi(
    command: Sequence[str] = NVIDIA_SMI, limit: float = SMI_LIMIT
) -> tuple[str | None, bool]:
    """The GPUs as CSV, and whether nvidia-smi is there but did not answer."""
    if shutil.which(command[0]) is None:
        return None, False
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:
        return None, True
    try:
        answer, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _let_go(process)
        return None, True
    return (answer, False) if process.returncode == 0 else (None, True)


def _let_go(process: subprocess.Popen[str]) -> None:
    process.kill()
    if process.stdout is not None:
        process.stdout.close()
    try:
        process.wait(
            0.1
        )  # one stuck in the driver outlives SIGKILL: waiting for it would hang us too
    except subprocess.TimeoutExpired:
        pass


def torch_here(smi: str | None) -> Torch | None:
    """torch, asked itself if it is imported already or nothing else can tell (1-2 s); else read off its version file."""
    module = sys.modules.get("torch")
    if module is not None and hasattr(module, "cuda"):
        return _ask(module, smi)
    try:
        spec = importlib.util.find_spec("torch")
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    described = torch_build(_read(str(Path(spec.origin).with_name("version.py"))))
    arm_mac = platform.system() == "Darwin" and platform.machine() == "arm64"
    mute_gpu = smi is None and os.path.exists("/dev/nvidia0") and "cuda" in described.builds
    if arm_mac or mute_gpu or "hip" in described.builds:
        import torch

        return _ask(torch, smi)
    return described


def torch_build(version_file: str) -> Torch:
    """What torch/version.py says: `cuda: Optional[str] = '12.8'` in a CUDA build, `None` in a CPU build."""
    said = dict(
        re.findall(r"^(\w+)(?:\s*:[^=\n]+)?\s*=\s*['\"]([^'\"]+)['\"]", version_file, re.MULTILINE)
    )
    return Torch(
        version=said.get("__version__", "?"), builds=frozenset({"cuda", "hip"} & said.keys())
    )


def _ask(torch: Any, smi: str | None) -> Torch:
    builds = frozenset(name for name in ("cuda", "hip") if getattr(torch.version, name, None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old driver is warned of here, and said by us
        cuda = bool(torch.cuda.is_available())
        count = torch.cuda.device_count() if cuda else 0
    mps = bool(torch.backends.mps.is_available())
    described = Torch(str(torch.__version__), builds, cuda, mps, count=count)
    if not cuda or (smi and not torch.cuda.is_initialized()):
        return described  # asking more would start CUDA in this process: no fork could use it then, and 300 MB are gone
    gpu = torch.cuda.get_device_properties(0)
    sm = None if "hip" in builds else (gpu.major, gpu.minor)  # AMD's numbers mean something else
    return Torch(str(torch.__version__), builds, cuda, mps, gpu.name, sm, gpu.total_memory, count)


def cpu_flags(cpuinfo: str) -> frozenset[str]:
    """The flags of the first core in /proc/cpuinfo (x86 `flags`, ARM `Features`)."""
    found = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


@dataclass(frozen=True)
class Quota:
    """What the container may use; None where it has no limit."""

    memory: int | None = None  # bytes
    used: int = 0  # bytes of it, without file cache that can be given back
    cores: float | None = None


def cgroup(root: Path, own: str) -> Quota:
    """Read the container's limits; `own` is /proc/self/cgroup. The tightest of the group and its parents counts."""
    memory: list[tuple[int, int]] = []
    cores: list[float] = []
    for folder in _groups(root, own):
        for limit_name, used_name, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, used = _read(folder / limit_name).strip(), _read(folder / used_name).strip()
            if (
                limit.isdigit() and used.isdigit() and int(limit) < 1 << 60
            ):  # version 1 writes "no limit" as 2**63 - 4096
                spare = re.search(rf"^{cache} (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
                memory.append((int(limit), max(0, int(used) - int(spare[1] if spare else 0))))
        given = (
            _read(folder / "cpu.max")
            or f"{_read(folder / 'cpu.cfs_quota_us')} {_read(folder / 'cpu.cfs_period_us')}"
        )
        if (numbers := re.fullmatch(r"\s*(\d+)\s+(\d+)\s*", given)) and int(numbers[2]):
            cores.append(int(numbers[1]) / int(numbers[2]))
    limit_used = min(memory, key=lambda pair: pair[0] - pair[1], default=(None, 0))
    return Quota(limit_used[0], limit_used[1], min(cores, default=None))


def _groups(root: Path, own: str) -> list[Path]:
    found: list[Path] = []
    for line in own.splitlines():
        kinds, _, path = line.partition(":")[2].partition(":")
        for kind in kinds.split(","):
            if kind in ("", "memory", "cpu"):
                folder = root / kind
                inside = folder / path.lstrip(
                    "/"
                )  # in a container this may be the host's path: then only the top exists
                found += [
                    place
                    for place in (inside, *inside.parents)
                    if place == folder or folder in place.parents
                ]
    return list(dict.fromkeys(found))


def _cores(quota: float | None) -> int:
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(mine, int(quota))) if quota is not None else mine


def _disk_free() -> int | None:
    try:
        return shutil.disk_usage("/content" if os.path.exists(COLAB_VM) else ".").free
    except OSError:
        return None


def _first_process() -> float | None:
    import psutil

    try:
        return max(0.0, time.time() - float(psutil.Process(1).create_time()))
    except (psutil.Error, OSError):
        return None


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
