"""The small questions that describe this machine: nvidia-smi, torch's build, the container's limits."""

import sys
import time
from pathlib import Path

from colab_kit.system.hardware import (
    NVIDIA_SMI,
    Torch,
    cgroup,
    cpu_flags,
    nvidia_smi,
    torch_build,
)

CUDA_UNASKED = Torch("2.11.0+cu128", frozenset({"cuda"}))
CPU_BUILD = Torch("2.11.0+cpu", frozenset())


def test_nvidia_smi_that_hangs_is_left_after_its_limit():
    started = time.monotonic()
    assert nvidia_smi([sys.executable, "-c", "import time; time.sleep(60)"], limit=0.05) == (
        None,
        True,
    )
    assert time.monotonic() - started < 1.5


def test_nvidia_smi_that_fails_or_lacks_is_no_gpu():
    assert nvidia_smi(
        [sys.executable, "-c", "print('NVIDIA-SMI has failed'); raise SystemExit(9)"], limit=30
    ) == (None, True)
    assert nvidia_smi(["no-such-nvidia-smi"]) == (None, False)
    assert nvidia_smi([sys.executable, "-c", "print('Tesla T4, 15360, 7.5')"], limit=30) == (
        "Tesla T4, 15360, 7.5\n",
        False,
    )
    assert NVIDIA_SMI[0] == "nvidia-smi"


def test_torchs_build_is_read_off_its_version_file():
    cuda = "from typing import Optional\n__version__ = '2.11.0+cu128'\ncuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n"
    assert torch_build(cuda) == CUDA_UNASKED
    assert torch_build(cuda.replace("'12.8'", "None").replace("+cu128", "+cpu")) == CPU_BUILD
    assert torch_build(
        cuda.replace("'12.8'", "None").replace("hip: Optional[str] = None", "hip = '6.4'")
    ).builds == {"hip"}
    assert torch_build("") == Torch("?", frozenset())


def test_cpu_flags_are_those_of_x86_and_arm():
    assert cpu_flags(
        "processor : 0\nflags\t\t: fpu avx2 amx_bf16\n\nprocessor : 1\nflags\t\t: other\n"
    ) == {"fpu", "avx2", "amx_bf16"}
    assert cpu_flags("Features\t: fp asimd bf16\n") == {"fp", "asimd", "bf16"}
    assert cpu_flags("") == frozenset()


def files(root: Path, **contents: str) -> None:
    for name, text in contents.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def test_the_tightest_cgroup_of_version_2_counts_and_cache_is_not_used_memory(tmp_path):
    files(
        tmp_path, a__memory_DOT_max="4000", a__memory_DOT_current="1500", a__memory_DOT_stat="anon 900\ninactive_file 600",
        a__b__memory_DOT_max="max", a__b__memory_DOT_current="10", a__cpu_DOT_max="150000 100000", a__b__cpu_DOT_max="max 100000",
    )  # fmt: skip
    found = cgroup(tmp_path, "0::/a/b\n")
    assert (found.memory, found.used, found.cores) == (4000, 900, 1.5)


def test_a_cgroup_of_version_1_is_read_at_its_top_inside_a_container(tmp_path):
    files(
        tmp_path, memory__memory_DOT_limit_in_bytes="8000", memory__memory_DOT_usage_in_bytes="3000",
        memory__memory_DOT_stat="total_inactive_file 1000", cpu__cpu_DOT_cfs_quota_us="200000", cpu__cpu_DOT_cfs_period_us="100000",
    )  # fmt: skip
    found = cgroup(tmp_path, "5:memory:/docker/9f\n4:cpu,cpuacct:/docker/9f\n1:name=systemd:/x\n")
    assert (found.memory, found.used, found.cores) == (8000, 2000, 2.0)


def test_no_limit_is_no_quota(tmp_path):
    files(
        tmp_path,
        memory__memory_DOT_limit_in_bytes=str(2**63 - 4096),
        memory__memory_DOT_usage_in_bytes="5",
        cpu__cpu_DOT_cfs_quota_us="-1",
    )
    found = cgroup(tmp_path, "5:memory:/\n4:cpu:/\n")
    assert (found.memory, found.cores) == (None, None)
    assert cgroup(tmp_path / "none", "0::/\n").memory is None
