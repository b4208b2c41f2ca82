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
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# There on every hosted Colab VM, for every client; ssh and subprocesses see it too.
COLAB_VM = "/var/colab/hostname"
_QUERY = "--query-gpu=name,memory.total,compute_cap"
NVIDIA_SMI = ("nvidia-smi", _QUERY, "--format=csv,nounits,noheader")
SMI_LIMIT = 1.0  # s; with a sick driver nvidia-smi never returns


@dataclass(frozen=True)
class Host:
    """The cheap half: who started this Python. Milliseconds to gather."""

    env: Mapping[str, str] = field(default_factory=dict)
    paths: frozenset[str] = frozenset()  # of COLAB_VM, /content and /kaggle those that exist
    shell: str | None = None  # IPython's shell, module and class; None outside IPython
    vscode_file: bool = False  # VS Code put the notebook's path into the kernel's namespace


@dataclass(frozen=True)
class Torch:
    """What is known of torch. Where it was not imported only the build is known."""

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
    smi: str | None = None  # nvidia-smi's CSV; None: not installed, or no answer
    smi_silent: bool = False  # installed, and no answer came
    torch: Torch | None = None  # None: not installed
    flags: frozenset[str] = frozenset()  # of the CPU
    cores: int = 1
    ram: int | None = None  # bytes, as all sizes here
    ram_free: int | None = None
    disk_free: int | None = None
    first_process: float | None = None  # s since the machine's first process started


def shell() -> Any:
    """IPython's shell in this process, or None. It never imports IPython: that takes 0.3 s."""
    return getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()


def host() -> Host:
    """Who started this Python: environment, paths that tell, IPython's shell."""
    ipython = shell()
    kind = type(ipython)
    return Host(
        env=dict(os.environ),
        paths=frozenset(path for path in (COLAB_VM, "/content", "/kaggle") if os.path.exists(path)),
        shell=None if ipython is None else f"{kind.__module__}.{kind.__qualname__}",
        vscode_file="__vsc_ipynb_file__" in getattr(ipython, "user_ns", {}),
    )


def look() -> Facts:
    """Describe this machine.

    It takes under 1.5 s where torch is not imported yet, whatever nvidia-smi does.
    """
    import psutil

    ram, quota = psutil.virtual_memory().total, _own_quota()
    smi, silent = nvidia_smi()
    return Facts(
        host=host(),
        python=platform.python_version(),
        smi=smi,
        smi_silent=silent,
        torch=torch_here(smi),
        flags=cpu_flags(_read("/proc/cpuinfo")),
        cores=_cores(quota.cores),
        ram=ram if quota.memory is None else min(ram, quota.memory),
        ram_free=free_memory(),
        disk_free=_disk_free(),
        first_process=_first_process(),
    )


def free_memory() -> int:
    """Bytes that this process may still take, in its container if it has one."""
    import psutil

    free, quota = int(psutil.virtual_memory().available), _own_quota()
    return free if quota.memory is None else min(free, max(0, quota.memory - quota.used))


def nvidia_smi(
    command: Sequence[str] = NVIDIA_SMI, limit: float = SMI_LIMIT
) -> tuple[str | None, bool]:
    """The GPUs as CSV, and whether nvidia-smi is there but did not answer."""
    if shutil.which(command[0]) is None:
        return None, False
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdout=pipe, stderr=nothing, text=True)
        answer, _ = process.communicate(timeout=limit)
    except OSError:
        return None, True
    except subprocess.TimeoutExpired:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()
        # A program stuck in the driver outlives SIGKILL: a longer wait would hang us too.
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
        return None, True
    return (answer, False) if process.returncode == 0 else (None, True)


def torch_here(smi: str | None) -> Torch | None:
    """What is known of torch; None if it is not installed.

    torch itself is asked if it is imported already, or if nothing else can tell (1-2 s). Else its
    version file is read.
    """
    module = sys.modules.get("torch")
    if module is not None and hasattr(module, "cuda"):
        return _ask(module, smi)
    spec = None
    with suppress(ImportError, ValueError):
        spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    described = torch_build(_read(Path(spec.origin).with_name("version.py")))
    arm_mac = platform.system() == "Darwin" and platform.machine() == "arm64"
    mute_gpu = smi is None and os.path.exists("/dev/nvidia0") and "cuda" in described.builds
    if arm_mac or mute_gpu or "hip" in described.builds:
        import torch

        return _ask(torch, smi)
    return described


def torch_build(version_file: str) -> Torch:
    """What torch/version.py says: `cuda: Optional[str] = '12.8'` in a CUDA build, else `None`."""
    line = r"^(\w+)(?:\s*:[^=\n]+)?\s*=\s*['\"]([^'\"]+)['\"]"
    values = dict(re.findall(line, version_file, re.MULTILINE))
    return Torch(values.get("__version__", "?"), frozenset({"cuda", "hip"} & values.keys()))


def _ask(torch: Any, smi: str | None) -> Torch:
    builds = frozenset(name for name in ("cuda", "hip") if getattr(torch.version, name, None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of an old driver here; we say it ourselves
        cuda = bool(torch.cuda.is_available())
        count = torch.cuda.device_count() if cuda else 0
    mps = bool(torch.backends.mps.is_available())
    described = Torch(str(torch.__version__), builds, cuda, mps, count=count)
    if not cuda or (smi and not torch.cuda.is_initialized()):
        # Asking more would start CUDA in this process: no fork could use it, and it takes 300 MB.
        return described
    gpu = torch.cuda.get_device_properties(0)
    sm = None if "hip" in builds else (gpu.major, gpu.minor)  # AMD's numbers mean something else
    return replace(described, name=gpu.name, capability=sm, memory=gpu.total_memory)


def cpu_flags(cpuinfo: str) -> frozenset[str]:
    """The flags of the first core in /proc/cpuinfo (x86 `flags`, ARM `Features`)."""
    line = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    return frozenset(line[1].split() if line else ())


@dataclass(frozen=True)
class Quota:
    """What the container may use; None where it has no limit."""

    memory: int | None = None  # bytes
    used: int = 0  # bytes of it, without file cache that can be given back
    cores: float | None = None


_MEMORY_FILES = (  # the limit, what is used, and the cache in memory.stat: versions 2 and 1
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def _own_quota() -> Quota:
    return cgroup(Path("/sys/fs/cgroup"), _read("/proc/self/cgroup"))


def cgroup(root: Path, own: str) -> Quota:
    """Read the container's limits; the tightest of the group and its parents counts.

    own : the content of /proc/self/cgroup
    """
    memory: list[tuple[int, int]] = []
    cores: list[float] = []
    for folder in _groups(root, own):
        for limit_name, used_name, cache in _MEMORY_FILES:
            limit, used = _read(folder / limit_name).strip(), _read(folder / used_name).strip()
            # Version 1 writes "no limit" as 2**63 - 4096.
            if limit.isdigit() and used.isdigit() and int(limit) < 1 << 60:
                spare = re.search(rf"^{cache} (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
                memory.append((int(limit), max(0, int(used) - int(spare[1] if spare else 0))))
        times = _read(folder / "cpu.max")
        if not times:
            times = _read(folder / "cpu.cfs_quota_us") + " " + _read(folder / "cpu.cfs_period_us")
        numbers = re.fullmatch(r"\s*(\d+)\s+(\d+)\s*", times)
        if numbers and int(numbers[2]):
            cores.append(int(numbers[1]) / int(numbers[2]))
    tightest, usage = min(memory, key=lambda pair: pair[0] - pair[1], default=(None, 0))
    return Quota(tightest, usage, min(cores, default=None))


def _groups(root: Path, own: str) -> list[Path]:
    """The folders of this process's groups and their parents, the innermost first."""
    groups: dict[Path, None] = {}
    for line in own.splitlines():
        kinds, _, path = line.partition(":")[2].partition(":")
        for kind in kinds.split(","):
            if kind in ("", "memory", "cpu"):
                top = root / kind
                inside = top / path.lstrip("/")  # a container may see the host's path here
                groups |= dict.fromkeys(
                    place for place in (inside, *inside.parents) if place.is_relative_to(top)
                )
    return list(groups)


def _cores(quota: float | None) -> int:
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return mine if quota is None else max(1, min(mine, int(quota)))


def _disk_free() -> int | None:
    with suppress(OSError):
        return shutil.disk_usage("/content" if os.path.exists(COLAB_VM) else ".").free
    return None


def _first_process() -> float | None:
    """Count the machine's seconds by its own ticks: a clock that is set changes nothing."""
    with suppress(OSError, IndexError, ValueError):
        stat = Path("/proc/1/stat").read_text(encoding="utf-8", errors="replace")
        born = int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - born)
    return None


def _read(path: str | Path) -> str:
    with suppress(OSError):
        return Path(path).read_text(errors="replace")
    return ""
