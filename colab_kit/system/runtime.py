"""The runtime: where this code runs, on what, which optional packages it has, and why we say so."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import MissingExtra, RecipeError
from .console import html_table
from .hardware import COLAB_VM, Facts, Host, Torch, look
from .timings import during

GIB = 1 << 30
# These machines are taken away again.
HOSTED = ("colab", "colab-subprocess", "colab-enterprise", "kaggle")
# torch.cuda.is_bf16_supported() says True on a T4: emulated, and slow.
NO_BF16 = "no fast bf16 below SM 80"


@dataclass(frozen=True)
class Runtime:
    """Where the code runs, on what, and why.

    where : "colab" (its kernel), "colab-subprocess", "colab-enterprise", "kaggle", "vscode",
        "jupyter", "ipython" or "python"
    device : "cuda", "mps", "tpu" or "cpu"; training on "tpu" runs on the machine's CPU
    capability : of the GPU, (7, 5) for a T4
    vram, ram, ram_free, disk_free : bytes; None if unknown
    gpus : how many of them
    isa : instruction sets of the CPU that matter for speed
    session_age : seconds; None where no session ends by itself, or if unknown
    precision : "bf16", "fp16" or "fp32": what this hardware is good at
    why : reasons for where, device, precision and session_age
    """

    where: str
    python: str
    device: str
    gpu: str | None
    capability: tuple[int, int] | None
    vram: int | None
    ram: int | None
    ram_free: int | None
    disk_free: int | None
    cores: int
    isa: tuple[str, ...]
    session_age: float | None
    precision: str
    gpus: int = 0
    why: dict[str, str] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return f"{self.where} · {self._hardware()}"

    def _hardware(self) -> str:
        parts = [self._chip(), f"{self.precision} ({self.why.get('precision', '')})"]
        parts.append(f"{self.cores} core{'s' if self.cores != 1 else ''}")
        if self.ram is not None and self.ram_free is not None:
            parts.append(f"{self.ram_free / GIB:.1f} of {self.ram / GIB:.1f} GiB free")
        if self.disk_free is not None:
            parts.append(f"disk {self.disk_free / GIB:.0f} GiB")
        if self.session_age is not None:
            hours, minutes = divmod(int(self.session_age // 60), 60)
            parts.append(f"session {hours} h {minutes:02d} m old")
        return " · ".join(parts)

    def _chip(self) -> str:
        match self.device:
            case "cuda":
                count = f"{self.gpus} x " if self.gpus > 1 else ""
                size = f" {self.vram / GIB:.0f} GiB" if self.vram else ""
                return f"{count}{self.gpu or 'GPU'}{size}"
            case "tpu":
                return "TPU (training runs on its CPU)"
            case "mps":
                return "Apple GPU (MPS)"
        return f"CPU ({', '.join(self.isa)})" if self.isa else "CPU"

    def _repr_html_(self) -> str:
        rows = [("where", self.where), ("python", self.python), ("hardware", self._hardware())]
        return html_table([*rows, *((f"why {name}", why) for name, why in self.why.items())])


def runtime() -> Runtime:
    """Say where this code runs and on what.

    It takes under 1.5 s and starts neither torch nor CUDA without need.

    Examples
    --------
    >>> print(runtime())  # doctest: +SKIP
    colab · Tesla T4 15 GiB · fp16 (no fast bf16 below SM 80) · 2 cores · 11.2 of 12.7 GiB free
    """
    return decide(look())


def decide(facts: Facts) -> Runtime:
    """The runtime that these facts describe. Pure: a test describes a machine."""
    where, why_where = place(facts.host)
    chip, isa = _chip(facts), _isa(facts.flags)
    precision, why_precision = _precision(chip, isa)
    age, why_age = _age(where, facts.first_process)
    why = {"where": why_where, "device": chip.why}
    return Runtime(
        where=where,
        python=facts.python,
        device=chip.device,
        gpu=chip.name,
        capability=chip.capability,
        vram=chip.memory,
        ram=facts.ram,
        ram_free=facts.ram_free,
        disk_free=facts.disk_free,
        cores=facts.cores,
        isa=isa,
        session_age=age,
        precision=precision,
        gpus=chip.count,
        why=why | {"precision": why_precision, "session_age": why_age},
    )


def _age(where: str, first_process: float | None) -> tuple[float | None, str]:
    if where not in HOSTED:
        return None, "no session ends here by itself"
    if first_process is None:
        return None, "the start of the machine's first process is not shown"
    return first_process, "since the machine's first process started; a new kernel changes nothing"


def in_colab_kernel(host: Host) -> bool:
    """Whether a notebook's page listens behind this kernel.

    Drive, secrets and uploads can be asked for only there.
    """
    return host.shell is not None and host.shell.startswith("google.colab._shell.")


def place(host: Host) -> tuple[str, str]:
    """Where the code runs, and the reason.

    Three things are no proof of Colab: that google.colab can be imported (anyone can install it),
    that /content or /kaggle exists (Colab has both), and COLAB_GPU (set on CPU machines too).
    """
    env, outside = host.env, "but this process is not the notebook's kernel"
    if env.get("VERTEX_PRODUCT") == "COLAB_ENTERPRISE":
        return "colab-enterprise", "VERTEX_PRODUCT says so; Drive is not offered here"
    if in_colab_kernel(host):
        why = "the kernel's shell is google.colab's"
        if COLAB_VM not in host.paths:
            why += "; but this is no hosted machine, so Drive cannot be mounted"
        return "colab", why
    if COLAB_VM in host.paths:
        return "colab-subprocess", f"{COLAB_VM} exists, {outside}"
    if "KAGGLE_KERNEL_RUN_TYPE" in env:  # before the tag: Kaggle's images are built on Colab's
        return "kaggle", "KAGGLE_KERNEL_RUN_TYPE is set"
    if "COLAB_RELEASE_TAG" in env:
        return "colab-subprocess", f"COLAB_RELEASE_TAG is set, {outside}"
    if host.shell is None:
        return "python", "IPython does not run here"
    if host.shell.endswith("TerminalInteractiveShell"):
        return "ipython", f"the shell is {host.shell}"
    if "VSCODE_PID" in env or host.vscode_file:
        return "vscode", f"the shell is {host.shell}, started by VS Code"
    return "jupyter", f"the shell is {host.shell}"


@dataclass(frozen=True)
class Chip:
    """What would compute, and why that."""

    device: str
    why: str
    name: str | None = None
    memory: int | None = None
    capability: tuple[int, int] | None = None
    count: int = 0


def _chip(facts: Facts) -> Chip:
    env, torch = facts.host.env, facts.torch
    if torch is not None and torch.name is not None:  # CUDA runs in this process: torch knows best
        why, sm = f"torch {torch.version} uses it", torch.capability
        return Chip("cuda", why, torch.name, torch.memory, sm, torch.count)
    gpus, hidden = _visible(_gpus(facts.smi), env.get("CUDA_VISIBLE_DEVICES"))
    tpu = env.get("TPU_ACCELERATOR_TYPE", "")
    if gpus:
        return _usable(gpus[0], torch)
    if torch is not None and torch.cuda:
        return Chip("cuda", f"torch {torch.version} sees it", count=torch.count)
    if tpu or env.get("COLAB_TPU_1VM") == "1":
        kind = f"TPU {tpu}".strip()
        return Chip("tpu", f"a {kind} is there, but training runs on this machine's CPU")
    if torch is not None and torch.mps:
        return Chip("mps", "torch can use the Mac's GPU")
    if hidden:
        return Chip("cpu", f"CUDA_VISIBLE_DEVICES={env['CUDA_VISIBLE_DEVICES']!r} hides the GPU")
    if facts.smi_silent:
        why = "nvidia-smi is installed but gave no answer: no GPU, or its driver is sick"
        return Chip("cpu", why)
    return Chip("cpu", "no GPU was found")


def _usable(gpu: Chip, torch: Torch | None) -> Chip:
    """The GPU that nvidia-smi lists, or the CPU where torch cannot use it."""
    if torch is None or torch.cuda or (torch.cuda is None and torch.builds):
        return gpu
    broken = "is a CPU build"
    if torch.builds:
        broken = "cannot use it: its driver or CUDA version does not fit"
    fix = "install torch for CUDA from pytorch.org"
    why = f"{gpu.name} is there, but torch {torch.version} {broken}; {fix}"
    return Chip("cpu", why, count=gpu.count)


def _gpus(smi: str | None) -> list[Chip]:
    """One Chip a line of `name, MiB, capability`; a figure nvidia-smi gives as [N/A] is None."""
    rows = [line.rsplit(",", 2) for line in (smi or "").splitlines() if line.count(",") >= 2]
    gpus = []
    for name, mib, sm in rows:
        memory = int(mib) << 20 if mib.strip().isdigit() else None
        digits = re.fullmatch(r"\s*(\d+)\.(\d+)\s*", sm)
        capability = (int(digits[1]), int(digits[2])) if digits else None
        why = "nvidia-smi lists it"
        gpus.append(Chip("cuda", why, name.strip(), memory, capability, len(rows)))
    return gpus


def _visible(gpus: list[Chip], chosen: str | None) -> tuple[list[Chip], bool]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves, and whether it hides them all.

    A name such as GPU-5ad… hides nothing.
    """
    if chosen is None or not gpus or re.search("[A-Za-z]", chosen):
        return gpus, False
    visible: list[Chip] = []
    for part in chosen.split(","):
        if not part.strip().isdigit() or int(part) >= len(gpus):
            break  # CUDA stops reading here too
        visible.append(gpus[int(part)])
    return [replace(gpu, count=len(visible)) for gpu in visible], not visible


_ISA = {"avx2": "AVX2", "avx512f": "AVX512", "avx512_bf16": "AVX512-BF16"}
_ISA |= {"amx_bf16": "AMX", "bf16": "ARM-BF16"}
_BF16_UNITS = ("AVX512-BF16", "AMX", "ARM-BF16")


def _isa(flags: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for flag, name in _ISA.items() if flag in flags)


def _precision(chip: Chip, isa: tuple[str, ...]) -> tuple[str, str]:
    if chip.device == "cuda":
        if chip.capability is None:
            return "fp32", "the GPU's generation is unknown"
        sm = chip.capability[0] * 10 + chip.capability[1]
        if sm >= 80:
            return "bf16", f"SM {sm} has bf16 units"
        return ("fp16", NO_BF16) if sm >= 70 else ("fp32", f"SM {sm} has no tensor cores")
    if chip.device == "mps":
        return "fp32", "the safe one on MPS"
    if units := ", ".join(name for name in isa if name in _BF16_UNITS):
        return "fp32", f"this CPU has bf16 units too: {units}"
    return "fp32", "this CPU has no bf16 units"


def device_for(given: str | None, runtime: Runtime) -> tuple[str, str]:
    """The torch device to train on, and the reason. None takes the best: cuda, mps, cpu.

    Raises
    ------
    RecipeError
        The device asked for is unknown or not there; says where one is to be had.
    """
    if given is None:
        return _best(runtime), runtime.why["device"]
    kind, _, index = str(given).partition(":")
    what, fix = f"device={str(given)!r} is not here.", _other_device(kind, runtime)
    if kind not in ("cuda", "mps", "cpu") or (index and not index.isdigit()):
        what = f"device={str(given)!r} is not known."
        raise RecipeError(what, "training runs on cuda, mps or cpu", fix)
    if kind not in ("cpu", _best(runtime)):
        raise RecipeError(what, runtime.why["device"], fix)
    if kind == "cuda" and index and runtime.gpus and int(index) >= runtime.gpus:
        raise RecipeError(
            what,
            f"GPUs are counted from 0: the last one is cuda:{runtime.gpus - 1}",
            "leave device= out, or give a smaller number",
        )
    return str(given), "as asked"


def _best(runtime: Runtime) -> str:
    return runtime.device if runtime.device in ("cuda", "mps") else "cpu"


def _other_device(kind: str, runtime: Runtime) -> str:
    if kind not in ("cuda", "gpu") or runtime.device == "cuda":
        return f'leave device= out: it takes "{_best(runtime)}" here'
    if runtime.where.startswith("colab"):
        return "Runtime ▸ Change runtime type ▸ T4 GPU, then run the cells again"
    if runtime.where == "kaggle":
        return "Settings ▸ Accelerator ▸ GPU T4 x2, then run the cells again"
    return "leave device= out, or see that nvidia-smi lists a GPU and torch is a CUDA build"


def need(module: str, *, extra: str, why: str) -> Any:
    """Import an optional package, or raise MissingExtra naming the extra that brings it.

    Examples
    --------
    >>> timm = need("timm", extra="timm", why="backbone timm/convnext_tiny")  # doctest: +SKIP
    """
    try:
        with during("imports"):
            return importlib.import_module(module)
    except ImportError as err:
        package = module.partition(".")[0]
        fault, upgrade = "cannot be imported", "-U "
        if isinstance(err, ModuleNotFoundError) and err.name == package:
            fault, upgrade = "is not installed", ""
        raise MissingExtra(
            f"{why} needs the package {package}, which {fault}.",
            str(err),
            f'pip install {upgrade}"colab-kit[{extra}]"',
        ) from err
