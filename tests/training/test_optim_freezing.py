"""What learns when: frozen layers stay as they are, the head's own dropout works."""

import torch
from torch import nn

from colab_kit.training.optim import Phases


def backbone() -> nn.Module:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.ReLU()
            )
            self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2))

        def forward(self, x):
            return self.classifier(self.body(x).mean((2, 3)))

    torch.manual_seed(0)
    return Net()


HEAD = ["classifier.1.weight", "classifier.1.bias"]


def learning(model):
    return [name for name, p in model.named_parameters() if p.requires_grad]


def test_while_the_head_learns_alone_the_backbone_is_frozen_and_in_eval():
    model = backbone()
    Phases(model, HEAD, None).enter(0)
    assert learning(model) == HEAD
    assert (
        not model.body[1].training
        and not model.body[2].training
        and model.classifier[0].training
        and model.classifier[1].training
    )


def test_a_frozen_batchnorm_does_not_drift():
    model = backbone()
    phases, before = (
        Phases(model, HEAD, None),
        {k: v.clone() for k, v in model.body.state_dict().items()},
    )
    for epoch in range(2):
        phases.enter(epoch)
        model(torch.randn(8, 3, 8, 8) * 9).sum().backward()
    assert all(torch.equal(v, before[k]) for k, v in model.body.state_dict().items())
    assert (
        all(p.grad is None for p in model.body.parameters())
        and model.classifier[1].weight.grad is not None
    )


def test_the_heads_own_dropout_drops_and_the_backbones_does_not():
    model = backbone()
    Phases(model, HEAD, None).enter(0)
    x = torch.randn(4, 3, 8, 8)
    assert torch.equal(model.body(x), model.body(x)) and not torch.equal(model(x), model(x))


def test_after_the_head_epochs_everything_learns():
    model = backbone()
    phases = Phases(model, HEAD, 2)
    assert [phases.head_alone(epoch) for epoch in range(4)] == [True, True, False, False]
    phases.enter(1)
    phases.enter(2)
    assert len(learning(model)) == 6 and all(m.training for m in model.modules())
    phases.enter(0)  # a resume may enter any epoch: nothing is remembered
    assert learning(model) == HEAD and not model.body[1].training


def test_no_head_epochs_train_all_from_the_start():
    model = backbone()
    Phases(model, HEAD, 0).enter(0)
    assert len(learning(model)) == 6 and model.body[1].training


def test_what_the_user_froze_stays_frozen_and_in_eval_and_its_dropout_elsewhere_works():
    model = backbone()
    model.body[0].requires_grad_(False)
    model.body[1].requires_grad_(False)
    Phases(model).enter(0)
    assert not model.body[1].training and model.classifier[0].training and learning(model) == HEAD


def test_what_the_user_froze_is_frozen_after_the_head_epochs_too():
    model = backbone()
    model.body[0].requires_grad_(False)
    phases = Phases(model, HEAD, 1)
    phases.enter(0)
    phases.enter(1)
    assert "body.0.weight" not in learning(model) and "body.1.weight" in learning(model)


def test_leaving_gives_every_parameter_its_own_wish_back():
    model = backbone()
    model.body[0].bias.requires_grad_(False)
    before = learning(model)
    phases = Phases(model, HEAD, None)
    phases.enter(0)
    phases.leave()
    assert learning(model) == before


def test_a_plain_network_trains_whole():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.BatchNorm1d(2, affine=False))
    Phases(model).enter(0)
    assert all(m.training for m in model.modules())


def test_a_block_of_its_own_class_that_is_frozen_is_in_eval_with_all_inside():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.inner = nn.Parameter(torch.ones(3)), nn.Linear(3, 3)

        def forward(self, x):
            return nn.functional.dropout(self.inner(x) * self.scale, 0.5, self.training)

    model = nn.Sequential(Block(), nn.Linear(3, 2))
    Phases(model, ["1.weight", "1.bias"], None).enter(0)
    x = torch.randn(4, 3)
    assert torch.equal(model[0](x), model[0](x)) and model[1].training


def test_kept_statistics_stay_while_the_weights_beside_them_learn():
    model = backbone()
    model.body.append(nn.InstanceNorm2d(4, track_running_stats=True))
    Phases(model, HEAD, 1, keeps_statistics=True).enter(1)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    assert not model.body[1].training and model.body[2].training, "dropout works"
    model(torch.randn(8, 3, 8, 8) * 9).sum().backward()
    assert before and all(torch.equal(t, before[name]) for name, t in model.named_buffers())
    assert model.body[1].weight.grad is not None
    Phases(model, HEAD, 1).enter(1)
    assert model.body[1].training
