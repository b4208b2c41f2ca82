"""What makes a model or a loss the same one: shape, settings and code, never its weights."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import colab_kit
from colab_kit.errors import ModelError
from colab_kit.models.describe import (
    check_only_tensors,
    describe,
    describe_model,
    describe_optimizer,
)
from colab_kit.models.weights import tensor_hash, weights_hash
from colab_kit.system.files import digest

ROOT = str(Path(colab_kit.__file__).parent.parent)

NET = '''
class Net(nn.Module):
    factor = 2
    def __init__(self, p=0.1, heads=2):
        super().__init__()
        self.fc, self.p = nn.Linear(4, 3), p
        self.attention = nn.MultiheadAttention(4, heads, batch_first=True)
        self.tag = "a"
    def forward(self, x):
        if self.tag in {"a", "b", "c", "d", "e", "f", "g"}:
            x = x * self.factor
        return self.fc(functional.dropout(x, self.p, self.training))
    @staticmethod
    def helper(x):
        return x + 1
    @property
    def width(self):
        return 4
'''  # fmt: skip


def net(source: str = NET, **made_with) -> nn.Module:
    space = {"nn": nn, "functional": functional, "__name__": "__main__"}
    exec(source, space)
    return space["Net"](**made_with)


def said(thing, how=describe_model) -> str:
    plain = how(thing)
    assert json.loads(json.dumps(plain)) == plain  # plain data, or run.json could not keep it
    return digest(plain)


# --- models -------------------------------------------------------------------------------------------------------


def test_an_unseeded_network_has_one_description_and_many_weights():
    assert said(net()) == said(net()) and weights_hash(net()) != weights_hash(net())


def test_training_it_changes_nothing():
    model = net()
    before = said(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    model.eval()
    assert said(model) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x * self.factor", "x + self.factor"), ("factor = 2", "factor = 3"),
        ('{"a", "b", "c", "d", "e", "f", "g"}', '{"a", "b", "c", "d", "e", "f", "h"}'), ("return x + 1", "return x + 2"),
        ("return 4", "return 5"), ("self.training", "True"), ("self.fc(func", "2 * self.fc(func"), ("x = x * self.factor", "pass"),
        ('self.tag = "a"', 'self.tag = "b"'),
    ],
)  # fmt: skip
def test_another_code_behind_equal_repr_and_shapes_is_another_network(old, new):
    assert NET.count(old) == 1
    one, other = net(), net(NET.replace(old, new))
    assert repr(one) == repr(other) and said(one) != said(other)


@pytest.mark.parametrize("made_with", [{"p": 0.5}, {"heads": 4}])
def test_other_settings_behind_equal_repr_and_shapes_are_another_network(made_with):
    one, other = net(), net(**made_with)
    assert repr(one) == repr(other) and said(one) != said(other)


@pytest.mark.parametrize("space", ["\n# a word\n", "\n\n\n"])
def test_comments_and_blank_lines_do_not_count(space):
    assert said(net(NET.replace("\n    def forward", space + "    def forward") + space)) == said(
        net()
    )


def test_a_frozen_layer_counts():
    model = net()
    model.fc.requires_grad_(False)
    assert said(model) != said(net())


def test_a_cell_today_is_a_script_tomorrow():
    script = {"nn": nn, "functional": functional, "__name__": "__main__", "__file__": "net.py"}
    exec(compile(NET, "net.py", "exec"), script)
    assert said(script["Net"]()) == said(net())


def test_another_hash_seed_and_another_process_change_nothing():
    code = (
        f"import sys; sys.path.insert(0, {ROOT!r})\nfrom tests.models import test_describe as t\n"
    )
    code += "print(t.said(t.net()), t.said(t.Focal(2.0), t.describe), t.said(t.picky, t.describe))"
    env = {
        "PYTHONHASHSEED": "1",
        "OMP_NUM_THREADS": "1",
    }  # this process has another one: pytest's is random
    told = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    ).stdout.split()
    assert told == [said(net()), said(Focal(2.0), describe), said(picky, describe)]


def test_the_name_of_a_layer_and_the_shape_of_a_buffer_count():
    one, other = nn.Sequential(nn.BatchNorm1d(3)), nn.Sequential(nn.BatchNorm1d(4))
    assert said(one) != said(other)
    assert (
        said(nn.Sequential(nn.GELU()))
        != said(nn.Sequential(nn.GELU(approximate="tanh")))
        != said(nn.Sequential(nn.ReLU()))
    )


CELL = """
SCALE = {"by": 1.0}
def helper(x):
    return deeper(x) * SCALE["by"]
def deeper(x):
    return x + 1 if x is not None else helper(x)
def twice(f):
    @functools.wraps(f)
    def wrapper(*args):
        return f(*args) + 0
    return wrapper
class Net(nn.Module):
    def __init__(self, act=torch.relu, acts=()):
        super().__init__()
        self.fc, self.act, self.acts, self._p, self.again = nn.Linear(4, 3), act, acts, 0.5, self.forward
    def forward(self, x, scale=1.0, *, shift=2.0):
        return helper(self.fc(self.act(x)) * scale + shift)
    @twice
    def other(self, x):
        return Net and loss
def loss(o, y):
    return (lambda: helper(o))()
def counted(o, y):
    global calls
    calls += 1
    return o.mean()
calls, mean = 0, 5
"""


def cell(old: str = "", new: str = "", **made_with) -> dict:
    """What a notebook's cell defines, with one thing edited."""
    space = {"nn": nn, "torch": torch, "functools": functools, "__name__": "__main__"}
    exec(CELL.replace(old, new) if old else CELL, space)
    assert not old or CELL.count(old) == 1
    return space


EDITS = [
    ("scale=1.0", "scale=5.0"), ("shift=2.0", "shift=3.0"), ('"by": 1.0', '"by": 2.0'), ("return x + 1", "return x + 2"),
    ("return deeper(x)", "return -deeper(x)"), ("f(*args) + 0", "f(*args) + 1"), ("return Net and", "return Net or"), ("0.5", "0.6"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), EDITS)
def test_what_the_code_calls_reads_and_defaults_to_makes_another_network(old, new):
    assert said(cell()["Net"]()) == said(cell()["Net"]()) != said(cell(old, new)["Net"]())


@pytest.mark.parametrize(("old", "new"), [EDITS[2], EDITS[3], EDITS[4]])
def test_what_a_loss_calls_makes_another_loss(old, new):
    assert (
        said(cell()["loss"], describe)
        == said(cell()["loss"], describe)
        != said(cell(old, new)["loss"], describe)
    )


def test_a_callable_that_a_network_was_given_makes_another_network():
    make, own = cell()["Net"], cell()
    given = [
        torch.relu,
        torch.tanh,
        nn.functional.relu,
        own["helper"],
        own["deeper"],
        nn.ReLU,
        nn.Tanh,
        functools.partial(torch.relu),
    ]
    assert len({said(make(act)) for act in given}) == len(given) and said(
        make(acts=[torch.relu])
    ) != said(make(acts=[torch.tanh]))


def test_what_code_counts_in_and_what_only_shares_a_name_do_not_count():
    space = cell()
    before = said(space["counted"], describe)
    space.update(calls=7, mean=9)
    assert said(space["counted"], describe) == before


def test_a_network_that_a_loss_speaks_of_counts_by_its_shape_not_its_weights():
    def loss_of(model):
        return lambda o, y: o.mean() + sum(p.sum() for p in model.parameters())

    assert (
        said(loss_of(nn.Linear(2, 2)), describe)
        == said(loss_of(nn.Linear(2, 2)), describe)
        != said(loss_of(nn.Linear(2, 3)), describe)
    )


def test_what_a_torch_upgrade_may_add_to_a_layer_does_not_count():
    one, other = net(), net()
    other.attention.fast_path_version, other.fc._cache = 3, "x"
    assert said(one) == said(other)
    for make in (
        lambda p: nn.MultiheadAttention(4, 1 + p), lambda p: nn.BatchNorm1d(3, eps=0.1 + p), lambda p: nn.BatchNorm1d(3, momentum=0.2 + p),
        lambda p: nn.LSTM(2, 2, dropout=0.1 + p / 2, num_layers=2), lambda p: nn.GELU(["none", "tanh"][p]),
        lambda p: nn.TransformerEncoderLayer(4, 1, 4, activation=["relu", "gelu"][p]),
    ):  # fmt: skip
        assert (
            said(nn.Sequential(make(0)))
            == said(nn.Sequential(make(0)))
            != said(nn.Sequential(make(1)))
        )


class Extra(nn.Linear):
    def get_extra_state(self):
        return {"calls": 3}

    def set_extra_state(self, state):
        pass


def test_state_that_is_no_tensor_is_described_and_refused_for_training():
    assert (
        "_extra_state" in describe_model(Extra(2, 2))["shapes"]
        and weights_hash(Extra(2, 2))
        and describe(Extra(2, 2))
    )
    with pytest.raises(ModelError, match="keeps a dict in its state.*\n?.*"):
        check_only_tensors(Extra(2, 2))
    check_only_tensors(net())


# --- losses and other objects that travel beside the recipe -------------------------------------------------------


class Focal(nn.Module):
    def __init__(self, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, output, y):
        return (functional.cross_entropy(output, y, reduction="none") ** self.gamma).mean()


def picky(output, y):
    return (
        output.mean()
        if y in {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
        else output.sum()
    )


class Plain:
    def __init__(self, scale, table=None):
        self.scale, self.table = scale, table

    def __call__(self, output, y):
        return functional.cross_entropy(output, y) * self.scale

    def other(self, output, y):
        return -self.scale


class Edited(Plain):
    pass


Edited.__name__ = Edited.__qualname__ = "Plain"
Edited.__call__ = lambda self, output, y: functional.cross_entropy(output, y) / self.scale


def times(n, *, plus=0.0):
    def loss(output, y, *, power=1):
        return functional.cross_entropy(output, y) * n + plus

    return loss


def powered(power):
    def loss(output, y, *, power=power):
        return functional.cross_entropy(output, y) ** power

    return loss


def over(f):
    return lambda o, y: f(o, y)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.1)), (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(ignore_index=0)),
        (nn.CrossEntropyLoss(weight=torch.ones(3)), nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 1.0]))), (Focal(2.0), Focal(5.0)),
        (Plain(1.0), Plain(2.0)), (Plain(1.0, [1, 2]), Plain(1.0, [1, 3])), (Plain(1.0, torch.ones(2)), Plain(1.0, torch.zeros(2))),
        (Plain(1.0), Edited(1.0)),
        (Plain(1.0).other, Plain(2.0).other), (Plain(1.0).other, Plain(1.0).__call__), (times(1.0), times(2.0)), (times(1.0),
        times(1.0, plus=1.0)),
        (powered(1), powered(2)), (functional.cross_entropy, functional.nll_loss), (torch.dist, torch.add),
        (functools.partial(functional.cross_entropy, label_smoothing=0.1),
        functools.partial(functional.cross_entropy, label_smoothing=0.2)),
        (functools.partial(times(1.0)), functools.partial(times(2.0))), (nn.NLLLoss, nn.CrossEntropyLoss), (Focal, Plain),
        (lambda o, y: o.mean(), lambda o, y: o.sum()), (torch.ones(2), torch.ones(2).double()), (torch.ones(2), torch.ones(1, 2)),
        (None, 0), ([1], [2]), (over(torch.relu), over(torch.tanh)), (over(times(1.0)), over(times(2.0))), (Plain(picky), Plain(powered)),
        (over(nn.CrossEntropyLoss(weight=torch.ones(3))), over(nn.CrossEntropyLoss(weight=torch.zeros(3)))),
    ],
)  # fmt: skip
def test_losses_that_differ_are_told_apart(one, other):
    assert said(one, describe) != said(other, describe)


@pytest.mark.parametrize(
    "make",
    [
        nn.CrossEntropyLoss, lambda: Focal(2.0), lambda: Plain(1.0, torch.ones(2)), lambda: times(2.0), lambda: Plain(3.0).other, object,
        lambda: functools.partial(times(1.0), power=2), lambda: nn.CrossEntropyLoss(weight=torch.arange(3.0)),
        lambda: (lambda o, y: {o, "x", "y"}),
    ],
)  # fmt: skip
def test_a_loss_made_again_is_the_same(make):
    assert said(make(), describe) == said(make(), describe)


def test_an_optimizer_is_its_kind_and_settings_not_its_weights():
    def made(kind=torch.optim.Adam, **settings):
        return kind(nn.Linear(2, 2).parameters(), **settings)

    assert (
        said(made(lr=0.1), describe) == said(made(lr=0.1), describe) != said(made(lr=0.2), describe)
    )
    assert said(made(torch.optim.SGD, lr=0.1), describe) != said(made(lr=0.1), describe)


def test_an_optimizer_over_other_parameters_is_another_one():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    all_of, last = (torch.optim.Adam(m.parameters()) for m in (model, model[1]))
    told = [
        describe_optimizer(o, model)
        for o in (all_of, last, torch.optim.Adam(model[0].parameters()))
    ]
    assert len(set(map(digest, told))) == 3 and told[1]["parameters"] == [["1.weight", "1.bias"]]
    assert describe_optimizer(None, model) is None


def test_tensors_of_every_dtype_have_a_hash():
    kinds = [
        torch.zeros(2, dtype=d)
        for d in (torch.float32, torch.bfloat16, torch.bool, torch.int64, torch.uint8)
    ] + [
        torch.tensor(1),
        torch.empty(0),
    ]
    assert len({tensor_hash(t) for t in kinds}) == len(kinds) and tensor_hash(
        torch.ones(2, 3).t()
    ) == tensor_hash(torch.ones(3, 2))


def test_one_changed_weight_is_another_hash():
    model = nn.Linear(3, 3)
    before = weights_hash(model)
    with torch.no_grad():
        model.weight[0, 0] += 1e-3
    assert weights_hash(model) != before
