"""Precision: what a machine has to offer, and that only what was asked for changes."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from colab_kit import api
from colab_kit.events import Note
from colab_kit.models.precision import Precision, candidates, compiled, deterministic, floated
from tests.support.tasks import Small, small_data

CPU = torch.device("cpu")
T4, A100, OLD = "fp16", "bf16", "fp32"


@pytest.mark.parametrize(
    ("hardware", "device", "isa", "found"),
    [
        (T4, "cuda", (), ["fp32", "fp32 channels_last", "fp16", "fp16 channels_last"]),
        (A100, "cuda", (), ["fp32", "fp32 channels_last", "bf16", "bf16 channels_last"]),
        (OLD, "cuda", (), ["fp32", "fp32 channels_last"]),
        ("fp32", "cpu", ("AVX2", "AVX512"), ["fp32", "fp32 channels_last"]),
        (
            "fp32",
            "cpu",
            ("AVX512-BF16",),
            ["fp32", "fp32 channels_last", "bf16", "bf16 channels_last"],
        ),
        ("fp32", "cpu", ("AMX",), ["fp32", "fp32 channels_last", "bf16", "bf16 channels_last"]),
        ("fp32", "mps", (), ["fp32"]),
    ],
)
def test_a_described_machine_is_offered_what_its_hardware_has(hardware, device, isa, found):
    assert [str(how) for how in candidates(hardware, device, isa, Small())] == found
    assert [Precision.named(name) for name in found] == candidates(hardware, device, isa, Small())


def test_the_memory_format_matters_to_convolutions_alone_and_the_users_own_stays():
    assert [str(how) for how in candidates("fp32", "cpu", (), nn.Linear(2, 2))] == ["fp32"]
    assert [
        str(how)
        for how in candidates("fp32", "cpu", (), Small().to(memory_format=torch.channels_last))
    ] == ["fp32"]


def test_only_fp16_needs_a_scaler_and_its_state_is_plain_numbers():
    assert Precision("bf16").scaler(CPU) is None and Precision().scaler(CPU) is None
    scaler = Precision("fp16").scaler(CPU)
    state = json.loads(json.dumps(scaler.state_dict()))
    scaler.load_state_dict(state)
    assert scaler.state_dict() == state and state["scale"] == 65536.0


def test_the_loss_is_computed_in_float32_whatever_the_network_puts_out():
    half = torch.ones(2, dtype=torch.bfloat16)
    assert floated(half).dtype == torch.float32 and floated((half, half))[1].dtype == torch.float32
    assert floated({"logits": half})["logits"].dtype == torch.float32
    assert (
        floated(torch.ones(2, dtype=torch.float64)).dtype == torch.float64
        and floated(torch.ones(2, dtype=torch.long)).dtype == torch.long
    )


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_what_is_asked_for_is_done_and_the_weights_stay_float32(dtype):
    seen = []

    class Watching(Small):
        def forward(self, x):
            out = super().forward(x)
            seen.append(out.dtype)
            return out

    run = api.train(
        Watching, small_data("arrays"), run_dir="run", quiet=True, epochs=1, precision=dtype
    )
    assert run.choices["precision"] == (dtype, "as asked", "user") and all(
        p.dtype == torch.float32 for p in run.model.parameters()
    )
    assert {torch.bfloat16, torch.float16} & set(seen) == {
        {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    }


def test_another_precision_goes_on_and_says_that_the_bits_differ():
    options = {"run_dir": "run", "epochs": 4, "batch_size": 4}
    api.train(Small, small_data("arrays"), quiet=True, **{**options, "epochs": 2})
    heard = []
    run = api.train(
        Small,
        small_data("arrays"),
        callbacks=[heard.append],
        quiet=True,
        precision="bf16",
        **options,
    )
    assert run.status == "finished" and any(
        "precision fp32 → bf16" in e.text for e in heard if isinstance(e, Note)
    )


def test_a_network_that_cannot_be_compiled_trains_without():
    told = []

    class Odd(nn.Linear):
        def forward(self, x):
            return super().forward(x)

    net = Odd(2, 2)
    torch._dynamo.reset()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", lambda model: lambda x: 1 / 0)
        assert compiled(net, torch.ones(2, 2), told.append) is net
    assert "could not be compiled" in told[0] and "ZeroDivisionError" in told[0]


def test_on_the_cpu_nothing_global_is_changed():
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    with deterministic(CPU, True):
        assert (
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark,
        ) == before


def test_on_a_gpu_order_is_forced_and_given_back():
    backend = torch.backends.cudnn
    before = backend.benchmark, backend.deterministic, torch.are_deterministic_algorithms_enabled()
    with deterministic(torch.device("cuda"), True):
        assert (
            backend.benchmark,
            backend.deterministic,
            torch.are_deterministic_algorithms_enabled(),
        ) == (False, True, True)
    assert (
        backend.benchmark,
        backend.deterministic,
        torch.are_deterministic_algorithms_enabled(),
    ) == before
