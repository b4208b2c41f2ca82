import pytest
import torch
from torch import nn

from colab_kit.errors import ModelError
from colab_kit.models import heads
from colab_kit.training.optim import Phases

# One small member of each of the 11 places where torchvision's classifiers keep their heads: name, its size, what else it is made with.
KINDS = {
    "fc": ("resnet18", 32, {}),
    "classifier.1": ("mobilenet_v2", 32, {}),
    "classifier.1 as a convolution": ("squeezenet1_1", 32, {}),
    "classifier.6": ("alexnet", 63, {}),
    "head": ("swin_t", 32, {"embed_dim": 24, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8]}),
    "heads.head": ("vit", 64, {"num_layers": 1, "num_heads": 2, "hidden_dim": 24, "mlp_dim": 48}),
    "classifier.2": ("convnext", 32, {}),
    "classifier": ("densenet121", 32, {}),
    "classifier.3": ("mobilenet_v3_small", 32, {}),
    "aux1.fc2, aux2.fc2, fc": ("googlenet", 64, {"init_weights": False, "aux_logits": True}),
    "AuxLogits.fc, fc": ("inception_v3", 299, {"init_weights": False, "aux_logits": True}),
    "classifier.5": ("maxvit_t", 32, {"input_size": (32, 32), "partition_size": 1}),
}


def make(kind):
    from torchvision import models
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt
    from torchvision.models.maxvit import MaxVit
    from torchvision.models.swin_transformer import SwinTransformer
    from torchvision.models.vision_transformer import VisionTransformer

    name, size, kw = KINDS[kind]
    torch.manual_seed(0)
    if name == "swin_t":  # the makers fix the widths: the small members are made from the classes
        return SwinTransformer(patch_size=[4, 4], window_size=[7, 7], **kw), size
    if name == "vit":
        return VisionTransformer(image_size=size, patch_size=32, **kw), size
    if name == "convnext":
        return ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)]), size
    if name == "maxvit_t":
        return MaxVit(
            stem_channels=8,
            block_channels=[8, 16],
            block_layers=[1, 1],
            head_dim=4,
            stochastic_depth_prob=0.2,
            **kw,
        ), size
    return models.get_model(name, weights=None, **kw), size


def outputs(out):
    return list(heads._tensors(out))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_head_is_replaced_trains_alone_and_leaves_the_rest_bit_for_bit(kind):
    model, size = make(kind)
    names = heads.replace_head(model, old_classes=1000, classes=3, size=size)
    places = kind.removesuffix(" as a convolution").split(", ")
    assert sorted(names) == sorted(f"{place}.{p}" for place in places for p in ("weight", "bias"))

    before = {key: value.clone() for key, value in model.state_dict().items()}
    Phases(model, names).enter(0)
    answers = outputs(model(torch.rand(2, 3, size, size)))
    assert [tuple(a.shape) for a in answers] == [(2, 3)] * len(places)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    sum(nn.functional.cross_entropy(a, torch.tensor([0, 2])) for a in answers).backward()
    assert {key for key, p in model.named_parameters() if p.grad is not None} == set(names)
    optimizer.step()
    changed = {
        key for key, value in model.state_dict().items() if not torch.equal(value, before[key])
    }
    assert changed <= set(names) and all(name in changed for name in names if name.endswith("bias"))
    assert model.eval()(torch.rand(2, 3, size, size)).shape == (2, 3)


class Trap(nn.Module):
    """Hidden layers as wide as the classes, before and after which comes more; and one that is never run."""

    def __init__(self, last):
        super().__init__()
        self.conv = nn.Conv2d(3, 10, 1)
        self.hidden = nn.Linear(10, 10)
        self.last = last
        self.unused = nn.Linear(10, 10)

    def forward(self, x):
        return self.last(self.hidden(torch.relu(self.conv(x)).mean((2, 3))).tanh())


@pytest.mark.parametrize(
    ("last", "place"),
    [
        (nn.Linear(10, 10), "last"),
        (nn.Sequential(nn.Linear(10, 10), nn.LogSoftmax(1)), "last.0"),
        (nn.Sequential(nn.Dropout(), nn.Linear(10, 10), nn.ReLU()), "last.1"),
    ],
)
def test_a_hidden_layer_of_the_same_width_is_let_alone(last, place):
    model = Trap(last)
    assert heads.replace_head(model, classes=4, size=8) == [f"{place}.weight", f"{place}.bias"]
    assert model.hidden.out_features == 10 and model.unused.out_features == 10
    assert model(torch.rand(2, 3, 8, 8)).shape == (2, 4)


def test_a_head_that_begins_as_zero_is_found_and_the_hidden_layer_before_it_is_not():
    model = Trap(nn.Linear(10, 10))
    nn.init.zeros_(model.last.weight)
    nn.init.zeros_(model.last.bias)
    assert heads.find_heads(model, torch.zeros(2, 3, 8, 8), 10) == (["last"], [])


def test_two_heads_that_are_averaged_are_both_replaced():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(12, 10), nn.Linear(12, 10)

        def forward(self, x):
            return (self.a(x.flatten(1)) + self.b(x.flatten(1))) / 2

    model = Two()
    assert len(heads.replace_head(model, classes=3, size=2)) == 4
    assert model(torch.rand(2, 3, 2, 2)).shape == (2, 3)


def test_of_several_answers_the_first_is_the_main_one_and_the_others_are_side_heads():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.early = nn.Linear(12, 10), nn.Linear(12, 10)

        def forward(self, x):
            x = x.flatten(1)
            return {"logits": self.main(x), "early": self.early(x)}

    model = Deep()
    assert heads.find_heads(model, torch.zeros(2, 3, 2, 2)) == (["main"], ["early"])
    heads.replace_head(model, classes=3, size=2, head=(7,))
    assert isinstance(model.main, nn.Sequential) and model.early.out_features == 3


@pytest.mark.parametrize("last", [nn.Conv2d(10, 10, 3, padding=1), nn.Identity()])
def test_a_network_without_such_a_last_layer_is_an_error_and_stays_as_it_was(last):
    model = nn.Sequential(
        nn.Conv2d(3, 10, 1),
        nn.ReLU(),
        last,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.BatchNorm1d(10, affine=True),
    )
    model[-1].weight.data.uniform_(1, 2)  # after this, classes are not alike
    shown = repr(model)
    with pytest.raises(ModelError, match="last layer of Sequential was not found"):
        heads.replace_head(model, classes=4, size=8)
    assert repr(model) == shown


def test_a_picture_the_network_cannot_take_is_said_with_its_size():
    with pytest.raises(ModelError, match="3x9x9"):
        heads.replace_head(nn.Sequential(nn.Flatten(), nn.Linear(48, 10)), classes=2, size=9)


def test_a_picture_that_is_too_small_only_in_training_is_said_too():
    model, _ = make("AuxLogits.fc, fc")
    with pytest.raises(ModelError, match="3x96x96 picture in training"):
        heads.replace_head(model, classes=2, size=96)
    assert model.fc.out_features == 1000


def test_looking_for_the_head_draws_no_number_and_moves_no_running_mean():
    model, size = make("aux1.fc2, aux2.fc2, fc")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    flags = [m.training for m in model.eval().modules()]
    stream = torch.get_rng_state()
    heads.find_heads(model, torch.zeros(2, 3, size, size))
    assert torch.equal(stream, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert [m.training for m in model.modules()] == flags


def test_the_same_seed_makes_the_same_head_and_another_seed_another():
    def head(seed):
        model = Trap(nn.Linear(10, 10))
        torch.manual_seed(seed)
        heads.replace_head(model, classes=4, size=8)
        return model.last.weight

    assert torch.equal(head(1), head(1)) and not torch.equal(head(1), head(2))


@pytest.mark.parametrize("kind", ["fc", "classifier.1 as a convolution", "aux1.fc2, aux2.fc2, fc"])
def test_a_deeper_head_has_the_widths_asked_for_and_side_heads_stay_one_layer(kind):
    model, size = make(kind)
    names = heads.replace_head(model, classes=3, size=size, head=(50, 25))
    main = kind.split(", ")[-1].split(" ")[0]
    widths = [
        model.get_parameter(name).shape[0]
        for name in names
        if name.startswith(f"{main}.") and name.endswith("weight")
    ]
    assert widths == [50, 25, 3]
    assert [tuple(a.shape) for a in outputs(model.train()(torch.rand(2, 3, size, size)))] == [
        (2, 3)
    ] * (1 + kind.count(","))


def test_dropout_in_the_new_head_works_while_that_of_the_frozen_part_is_off():
    model = Trap(nn.Linear(10, 10))
    model.conv = nn.Sequential(nn.Conv2d(3, 10, 1), nn.BatchNorm2d(10), nn.Dropout(0.5))
    phases = Phases(
        model, heads.replace_head(model, classes=2, size=4, head=(30,)), freeze_epochs=1
    )
    phases.enter(0)
    drops = {name: m.training for name, m in model.named_modules() if isinstance(m, nn.Dropout)}
    assert drops == {"conv.2": False, "last.2": True}
    phases.enter(1)
    assert all(p.requires_grad for p in model.parameters())


def test_a_head_of_ones_own_is_taken_if_its_width_is_right():
    model = Trap(nn.Linear(10, 10))
    own = nn.Sequential(nn.Linear(10, 5), nn.LogSoftmax(1))
    assert heads.replace_head(model, classes=5, size=8, head=own) == [
        "last.0.weight",
        "last.0.bias",
    ]
    assert model.last is own


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (nn.Linear(10, 4), "puts out 4 numbers, and there are 5"),
        (nn.Linear(11, 5), "does not fit"),
        ("mlp", "head='mlp'"),
    ],
)
def test_a_wrong_head_is_an_error_and_the_old_one_stays(head, says):
    model = Trap(nn.Linear(10, 10))
    old = model.last
    with pytest.raises(ModelError, match=says):
        heads.replace_head(model, classes=5, size=8, head=head)
    assert model.last is old


def test_a_half_precision_network_gets_a_half_precision_head():
    model = Trap(nn.Linear(10, 10)).to(torch.bfloat16)
    heads.replace_head(model, classes=3, size=8)
    assert model.last.weight.dtype == torch.bfloat16
