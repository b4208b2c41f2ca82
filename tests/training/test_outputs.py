"""What a network puts out: told by its numbers, by other weights, by its last module."""

import pytest
import torch
from torch import nn

from colab_kit import api
from colab_kit.data.loading import load
from colab_kit.errors import ModelError
from colab_kit.training.outputs import output_kind, settled_kind

CLASSES = (2, 3, 10, 37, 102, 151, 1000)
SCALES = (0.0, 1e-3, 0.3, 1.0, 5.0, 30.0)  # of the scores; 0: a head that begins at nothing
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
ENDS = {
    "logits": lambda x: x,
    "probabilities": lambda x: x.softmax(1),
    "log_probabilities": lambda x: x.log_softmax(1),
}


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_a_network_puts_out_is_told_apart_by_its_numbers(kind, dtype):
    wrong, n = [], 0
    for classes in CLASSES:
        for scale in SCALES:
            for shift in (0.0, 2.0) if kind == "logits" else (0.0,):
                for seed in range(3):
                    x = (
                        torch.randn(16, classes, generator=torch.Generator().manual_seed(seed))
                        * scale
                        + shift
                    )
                    found, n = output_kind(ENDS[kind](x.to(dtype))), n + 1
                    wrong += [(classes, scale, shift, seed, found)] * (found != kind)
    assert not wrong and n == len(CLASSES) * len(SCALES) * 3 * (2 if kind == "logits" else 1)


def test_one_picture_is_enough_for_what_is_normalised():
    for kind in ("probabilities", "log_probabilities"):
        assert output_kind(ENDS[kind](torch.randn(1, 10))) == kind


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_figures_that_are_none_are_scores(value):
    assert output_kind(torch.full((4, 3), value)) == "logits"


class Functional(nn.Module):
    """A network whose end is no module."""

    def __init__(self, body, end):
        super().__init__()
        self.body, self.end = body, end

    def forward(self, x):
        return self.end(self.body(x))


class Fixed(nn.Module):
    """Scores that come from no weight: nothing tells what they are."""

    def __init__(self, values):
        super().__init__()
        self.unused = nn.Linear(2, 2)
        self.register_buffer("values", torch.tensor(values))

    def forward(self, x):
        return self.values.expand(len(x), -1)


def body(out=2, *, begin="small", bias=0.5):
    """A network whose first scores all lie close to its bias."""
    last = nn.Linear(8, out)
    nn.init.constant_(last.bias, bias)
    nn.init.normal_(last.weight, std=0.0 if begin == "zero" else 1e-5)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), last)


MULTI = {  # a last module or function, and what it makes of scores
    "": (None, "multilabel_logits"),
    "relu": (nn.ReLU(), "multilabel_logits"),
    "identity": (nn.Identity(), "multilabel_logits"),
    "sigmoid": (nn.Sigmoid(), "multilabel_probabilities"),
    "sigmoid, flat": (nn.Sequential(nn.Sigmoid(), nn.Flatten()), "multilabel_probabilities"),
    "hardsigmoid": (nn.Hardsigmoid(), "multilabel_probabilities"),
    "function": (torch.sigmoid, "multilabel_probabilities"),
}
SINGLE = {
    "": (None, "logits"),
    "softmax": (nn.Softmax(dim=1), "probabilities"),
    "logsoftmax": (nn.LogSoftmax(dim=1), "log_probabilities"),
    "function": (lambda x: x.softmax(1), "probabilities"),
    "log function": (lambda x: x.log_softmax(1), "log_probabilities"),
}
ENDINGS = [("multilabel", *pair) for pair in MULTI.values()]
ENDINGS += [("classification", *pair) for pair in SINGLE.values()]


def settled(net, task, x=None, wants=None):
    x = torch.rand(8, 1, 6, 6, generator=torch.Generator().manual_seed(0)) if x is None else x
    with torch.no_grad():
        kind = output_kind(net.eval()(x), task)
    return settled_kind(kind, net, x, task, wants)


@pytest.mark.parametrize(("task", "end", "kind"), ENDINGS)
@pytest.mark.parametrize("begin", ["small", "zero"])
@pytest.mark.parametrize("bias", [0.5, -0.6931472, 0.0])
def test_scores_that_begin_as_probabilities_are_told_from_those_that_stay_so(
    task, end, kind, begin, bias
):
    """0.5 twice sums to 1, and -log 2 is the logarithm of a half: two classes begin as either."""
    net = Functional(body(begin=begin, bias=bias), end or nn.Identity())
    before = [t.clone() for t in net.state_dict().values()]
    assert settled(net, task) == kind
    assert all(map(torch.equal, before, net.state_dict().values())), "left as it was"


@pytest.mark.parametrize(
    "wrap", [torch.jit.script, lambda net: torch.jit.trace(net, torch.rand(8, 1, 6, 6))]
)
@pytest.mark.parametrize("end", [nn.Identity(), nn.Sigmoid()])
@pytest.mark.filterwarnings("ignore")
def test_a_scripted_network_which_tells_no_layers_is_told_all_the_same(wrap, end):
    net = wrap(nn.Sequential(body(), end).eval())
    assert settled(net, "multilabel").endswith("logits" if isinstance(end, nn.Identity) else "ies")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("depth", [1, 40])
def test_deep_networks_do_not_overflow_into_a_wrong_answer(seed, depth):
    torch.manual_seed(seed)
    layers = [m for _ in range(depth) for m in (nn.Linear(36, 36), nn.BatchNorm1d(36), nn.ReLU())]
    net = nn.Sequential(nn.Flatten(), *layers, body(2)[1:3], nn.Linear(8, 2))
    nn.init.constant_(net[-1].bias, 0.5)
    nn.init.normal_(net[-1].weight, std=1e-5)
    assert settled(net, "multilabel") == "multilabel_logits"
    assert settled(net.append(nn.Sigmoid()), "multilabel") == "multilabel_probabilities"


@pytest.mark.parametrize(
    ("task", "values", "words", "kinds"),
    [
        ("multilabel", [0.2, 0.7, 0.4], ["loss='bce'", r"nn.Sigmoid\(\)"], ("multilabel_logits", "multilabel_probabilities")),
        ("classification", [0.2, 0.7, 0.1], ["loss='cross_entropy'", r"nn.Softmax\(dim=1\)"], ("logits", "probabilities")),
    ],
)  # fmt: skip
def test_two_readings_left_are_both_shown_unless_the_loss_says_which(task, values, words, kinds):
    for word in words:
        with pytest.raises(ModelError, match=word):
            settled(Fixed(values), task)
    for wants in kinds:
        assert settled(Fixed(values), task, wants=wants) == wants


def test_the_last_module_says_it_where_weights_change_nothing():
    fixed = Fixed([0.2, -0.7, 0.4])
    assert settled(nn.Sequential(fixed, nn.Sigmoid()), "multilabel") == "multilabel_probabilities"
    assert settled(nn.Sequential(fixed, nn.Softmax(1)), "classification") == "probabilities"


def test_a_fresh_network_for_several_classes_a_picture_is_never_taken_for_probabilities(tmp_path):
    draw = torch.Generator().manual_seed(1)
    x = torch.randint(0, 256, (24, 3, 8, 8), generator=draw).to(torch.uint8)
    y = (torch.rand(24, 2, generator=draw) > 0.6).float()
    data = load((x.numpy(), y.numpy()), valid=0.25, task="multilabel", quiet=True)
    net = body(2)
    net[1] = nn.Linear(192, 8)
    run = api.train(net, data, epochs=1, run_dir=tmp_path / "run", quiet=True)
    assert run.choices["output"].value == "multilabel_logits" and run.status == "finished"
