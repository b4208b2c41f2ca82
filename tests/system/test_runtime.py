"""The runtime, decided from described machines; and the small questions that describe the real one."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from colab_kit.errors import MissingExtra, RecipeError
from colab_kit.system.hardware import (
    COLAB_VM,
    Facts,
    Host,
    Torch,
    look,
)
from colab_kit.system.runtime import GIB, Runtime, decide, device_for, need, place

COLAB_SHELL = "google.colab._shell.Shell"
JUPYTER_SHELL = "ipykernel.zmqshell.ZMQInteractiveShell"
TERMINAL_SHELL = "IPython.terminal.interactiveshell.TerminalInteractiveShell"
VM = frozenset({COLAB_VM, "/content", "/kaggle"})

CUDA_UNASKED = Torch("2.11.0+cu128", frozenset({"cuda"}))
CPU_BUILD = Torch("2.11.0+cpu", frozenset())
COLAB = Host({"COLAB_RELEASE_TAG": "release-colab_2026", "COLAB_GPU": "1"}, VM, COLAB_SHELL)
T4 = Facts(
    host=COLAB, smi="Tesla T4, 15360, 7.5\n", torch=CUDA_UNASKED, flags=frozenset({"avx2", "avx512f"}), cores=2,
    ram=int(12.7 * GIB), ram_free=int(11.2 * GIB), disk_free=61 * GIB, first_process=12 * 60.0,
)  # fmt: skip
LAPTOP = Facts(
    torch=CUDA_UNASKED,
    cores=8,
    ram=16 * GIB,
    ram_free=9 * GIB,
    disk_free=100 * GIB,
    first_process=86400.0,
)


def gpu(line: str, **more: object) -> Runtime:
    return decide(replace(T4, smi=line, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "where"),
    [
        (COLAB, "colab"),
        (Host({}, VM, COLAB_SHELL), "colab"),
        (Host({}, VM, None), "colab-subprocess"),  # ssh: the kernel's variables are not there
        (Host({"COLAB_RELEASE_TAG": "x"}, frozenset(), None), "colab-subprocess"),
        (Host({"COLAB_RELEASE_TAG": "x"}, VM, JUPYTER_SHELL), "colab-subprocess"),
        (Host({"VERTEX_PRODUCT": "COLAB_ENTERPRISE"}, VM, COLAB_SHELL), "colab-enterprise"),
        (
            Host({"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}, frozenset({"/kaggle"}), JUPYTER_SHELL),
            "kaggle",
        ),
        (
            Host(
                {"KAGGLE_KERNEL_RUN_TYPE": "Batch", "COLAB_RELEASE_TAG": "x"},
                frozenset({"/kaggle", "/content"}),
                JUPYTER_SHELL,
            ),
            "kaggle",
        ),
        (Host({"VSCODE_PID": "7"}, frozenset(), JUPYTER_SHELL), "vscode"),
        (Host({}, frozenset(), JUPYTER_SHELL, vscode_file=True), "vscode"),
        (Host({}, frozenset(), JUPYTER_SHELL), "jupyter"),
        (Host({}, frozenset(), TERMINAL_SHELL), "ipython"),
        (Host({"VSCODE_PID": "7"}, frozenset(), None), "python"),  # a script in VS Code's terminal
        (Host(), "python"),
    ],
)
def test_the_place_is_read_off_what_proves_it(host, where):
    assert place(host)[0] == where


@pytest.mark.parametrize(
    "host",
    [
        Host({}, frozenset({"/content"}), JUPYTER_SHELL),
        Host({}, frozenset({"/kaggle"}), JUPYTER_SHELL),
        Host({"COLAB_GPU": "0"}, frozenset(), JUPYTER_SHELL),
        Host(
            {"COLAB_GPU": "1", "COLAB_BACKEND_VERSION": "next"},
            frozenset({"/content", "/kaggle"}),
            JUPYTER_SHELL,
        ),
        Host({"VERTEX_PRODUCT": "WORKBENCH_INSTANCE"}, frozenset(), JUPYTER_SHELL),
    ],
)
def test_what_only_looks_like_colab_or_kaggle_is_plain_jupyter(host):
    assert place(host)[0] == "jupyter"


def test_colabs_kernel_off_its_vms_says_that_drive_cannot_be_mounted():
    where, why = place(Host({}, frozenset(), COLAB_SHELL))
    assert where == "colab" and "Drive cannot be mounted" in why


def test_the_line_of_a_t4_says_chip_precision_and_why():
    assert str(decide(T4)) == (
        "colab · Tesla T4 15 GiB · fp16 (no fast bf16 below SM 80) · 2 cores · 11.2 of 12.7 GiB free · disk 61 GiB · session 0 h 12 m old"
    )


@pytest.mark.parametrize(
    ("line", "precision"),
    [
        ("Tesla T4, 15360, 7.5", "fp16"),
        ("Tesla V100-SXM2-16GB, 16384, 7.0", "fp16"),
        ("Tesla P100-PCIE-16GB, 16384, 6.0", "fp32"),
        ("NVIDIA A100-SXM4-40GB, 40960, 8.0", "bf16"),
        ("NVIDIA L4, 23034, 8.9", "bf16"),
        ("NVIDIA RTX PRO 6000 Blackwell, 97887, 12.0", "bf16"),
        ("Quadro, Old, 8192, [N/A]", "fp32"),
    ],
)
def test_precision_follows_the_gpus_generation(line, precision):
    runtime = gpu(line)
    assert (runtime.device, runtime.precision) == ("cuda", precision) and runtime.why["precision"]


def test_a_figure_nvidia_smi_does_not_know_is_none():
    runtime = gpu("NVIDIA GB10, [N/A], 12.1")
    assert runtime.vram is None and runtime.capability == (12, 1) and "GB10 ·" in str(runtime)


def test_a_gpu_that_a_cpu_build_of_torch_cannot_use_is_named():
    runtime = gpu(T4.smi, torch=CPU_BUILD)
    assert (runtime.device, runtime.gpu) == ("cpu", None)
    assert "Tesla T4 is there" in runtime.why["device"] and "CPU build" in runtime.why["device"]


def test_a_gpu_whose_driver_torch_refuses_is_named():
    runtime = gpu(T4.smi, torch=replace(CUDA_UNASKED, cuda=False))
    assert runtime.device == "cpu" and "driver" in runtime.why["device"]


def test_torchs_own_word_counts_once_cuda_runs_in_this_process():
    asked = replace(
        CUDA_UNASKED, cuda=True, name="NVIDIA L4", capability=(8, 9), memory=22 * GIB, count=1
    )
    runtime = decide(replace(T4, smi="Tesla T4, 15360, 7.5\nNVIDIA L4, 23034, 8.9", torch=asked))
    assert (runtime.gpu, runtime.precision, runtime.gpus) == ("NVIDIA L4", "bf16", 1)


def test_a_gpu_that_only_torch_sees_is_used():
    runtime = decide(
        replace(T4, smi=None, smi_silent=True, torch=replace(CUDA_UNASKED, cuda=True, count=1))
    )
    assert (
        runtime.device == "cuda"
        and runtime.precision == "fp32"
        and "unknown" in runtime.why["precision"]
    )


@pytest.mark.parametrize(
    ("chosen", "name", "count"),
    [
        ("1", "NVIDIA L4", 1),
        ("1,0", "NVIDIA L4", 2),
        ("0,9,1", "Tesla T4", 1),
        ("GPU-5ad", "Tesla T4", 2),
    ],
)
def test_cuda_visible_devices_chooses_among_the_gpus(chosen, name, count):
    host = replace(COLAB, env={"CUDA_VISIBLE_DEVICES": chosen})
    runtime = gpu("Tesla T4, 15360, 7.5\nNVIDIA L4, 23034, 8.9", host=host)
    assert (runtime.gpu, runtime.gpus) == (name, count)


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_hidden_gpu_is_a_cpu_with_that_reason(hidden):
    runtime = gpu(T4.smi, host=replace(COLAB, env={"CUDA_VISIBLE_DEVICES": hidden}))
    assert runtime.device == "cpu" and "hides" in runtime.why["device"]


def test_two_gpus_are_counted_in_the_line():
    runtime = gpu("Tesla T4, 15360, 7.5\nTesla T4, 15360, 7.5")
    assert runtime.gpus == 2 and "2 x Tesla T4 15 GiB" in str(runtime)


@pytest.mark.parametrize(
    ("env", "device"),
    [
        ({"COLAB_TPU_1VM": "1", "TPU_ACCELERATOR_TYPE": "v5e-1"}, "tpu"),
        ({"TPU_ACCELERATOR_TYPE": "v3-8"}, "tpu"),
        ({"COLAB_TPU_1VM": ""}, "cpu"),
        (
            {"COLAB_TPU_ADDR": "10.0.0.2:8470", "TPU_NAME": "grpc://10.0.0.2:8470"},
            "cpu",
        ),  # the retired remote TPUs
    ],
)
def test_a_tpu_is_known_by_todays_variables_only(env, device):
    assert (
        decide(replace(T4, smi=None, torch=CPU_BUILD, host=replace(COLAB, env=env))).device
        == device
    )


def test_on_a_tpu_training_runs_on_the_cpu_and_says_so():
    host = replace(COLAB, env={"COLAB_TPU_1VM": "1", "TPU_ACCELERATOR_TYPE": "v5e-1"})
    runtime = decide(replace(T4, smi=None, torch=CPU_BUILD, host=host))
    device, why = device_for(None, runtime)
    assert (
        device == "cpu"
        and "TPU v5e-1" in why
        and "CPU" in why
        and "training runs on its CPU" in str(runtime)
    )


@pytest.mark.parametrize(
    ("flag", "name"), [("avx512_bf16", "AVX512-BF16"), ("amx_bf16", "AMX"), ("bf16", "ARM-BF16")]
)
def test_a_cpu_with_bf16_units_says_so(flag, name):
    runtime = decide(replace(LAPTOP, flags=frozenset({flag, "fpu"})))
    assert runtime.isa == (name,) and name in runtime.why["precision"] and name in str(runtime)


def test_a_cpu_without_bf16_units_trains_in_fp32():
    runtime = decide(replace(LAPTOP, flags=frozenset({"avx2", "avx512f"})))
    assert (runtime.device, runtime.precision, runtime.isa) == (
        "cpu",
        "fp32",
        ("AVX2", "AVX512"),
    ) and "no bf16" in runtime.why["precision"]


def test_a_macs_gpu_is_used():
    runtime = decide(replace(LAPTOP, torch=replace(CPU_BUILD, cuda=False, mps=True)))
    assert (runtime.device, device_for(None, runtime)[0]) == ("mps", "mps") and "MPS" in str(
        runtime
    )


def test_a_silent_nvidia_smi_is_named():
    assert "no answer" in decide(replace(LAPTOP, smi_silent=True)).why["device"]


def test_only_a_machine_that_is_taken_away_has_a_session():
    assert decide(LAPTOP).session_age is None and "session" not in str(decide(LAPTOP))
    assert decide(replace(T4, first_process=3725.0)).session_age == 3725.0
    assert "session 1 h 02 m old" in str(decide(replace(T4, first_process=3725.0)))
    assert decide(replace(T4, first_process=None)).session_age is None


def test_unknown_sizes_are_left_out_of_the_line():
    assert str(decide(Facts())) == "python · CPU · fp32 (this CPU has no bf16 units) · 1 core"


def test_html_escapes_what_the_machine_says():
    shown = gpu("<b>T4</b>, 15360, 7.5")._repr_html_()
    assert "<b>" not in shown and "&lt;b&gt;T4" in shown


@pytest.mark.parametrize(
    ("given", "facts", "takes"),
    [
        (None, T4, "cuda"),
        ("cuda", T4, "cuda"),
        ("cuda:0", T4, "cuda:0"),
        ("cpu", T4, "cpu"),
        (None, LAPTOP, "cpu"),
        ("cpu", LAPTOP, "cpu"),
    ],
)
def test_a_device_that_is_there_is_taken(given, facts, takes):
    device, why = device_for(given, decide(facts))
    assert device == takes and why


@pytest.mark.parametrize(
    ("given", "facts", "fix"),
    [
        ("cuda", replace(T4, smi=None), "Runtime ▸ Change runtime type ▸ T4 GPU"),
        ("cuda", replace(T4, smi=None, host=Host({"KAGGLE_KERNEL_RUN_TYPE": "x"})), "Accelerator"),
        ("cuda", LAPTOP, "leave device= out"),
        ("cuda:1", T4, "smaller number"),
        ("mps", T4, '"cuda"'),
        ("gpu", T4, '"cuda"'),
        ("gpu", replace(T4, smi=None), "T4 GPU"),
        ("tpu", T4, '"cuda"'),
        ("cuda:x", T4, '"cuda"'),
    ],
)
def test_a_device_that_is_not_there_is_an_error_with_the_fix(given, facts, fix):
    with pytest.raises(RecipeError) as error:
        device_for(given, decide(facts))
    assert fix in error.value.fix and error.value.why


def test_this_machine_can_be_described():
    facts = look()
    assert (
        facts.cores >= 1
        and facts.ram
        and facts.ram_free
        and facts.ram_free <= facts.ram
        and facts.disk_free
    )
    assert str(decide(facts)).count(" · ") >= 5


def test_runtime_is_told_in_a_fresh_python_without_importing_torch():
    code = (
        "import sys, time; start = time.time(); from colab_kit.system.runtime import runtime; "
        "print(runtime()); print('torch' in sys.modules, time.time() - start)"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "CUDA_VISIBLE_DEVICES": ""}
    line, told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    ).stdout.splitlines()
    imported, seconds = told.split()
    needs_torch = sys.platform == "darwin" or os.path.exists("/dev/nvidia0")
    assert line.startswith(("python · ", "colab", "kaggle")) and (
        imported == "False" or needs_torch
    )
    assert float(seconds) < 1.5 or needs_torch


def test_what_is_installed_is_given_even_a_submodule():
    assert need("json", extra="all", why="a test") is json
    assert need("json.decoder", extra="all", why="a test").JSONDecoder is json.JSONDecoder


def test_what_is_missing_names_the_package_the_reason_and_the_command():
    with pytest.raises(MissingExtra) as caught:
        need("no_such_package.part", extra="timm", why="backbone timm/x")
    assert (
        caught.value.what
        == "backbone timm/x needs the package no_such_package, which is not installed."
    )
    assert caught.value.fix == 'pip install "colab-kit[timm]"' and isinstance(
        caught.value.__cause__, ModuleNotFoundError
    )


def test_a_package_that_is_there_but_broken_keeps_its_own_reason(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file')"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match="libGL.so.1") as caught:
        need("broken_package", extra="all", why="a test")
    assert "cannot be imported" in str(caught.value)
