"""Looking at pictures with a trained network: this build, an earlier one, and the usual loop.

    python benchmarks/looking.py CHECKOUT [--pictures 2000] [--rounds 3] [--precision fp32]

evaluate  run.evaluate(data) of a frozen efficientnet_lite0: the test split of data never seen
          before; `again`: the same data once more
predict   run.predict(folder) of JPEGs, 500 x 375
loop      ImageFolder, DataLoader(2 workers), no_grad, fp32, over the same folder
alone     run.predict(path), one picture

CHECKOUT is a working tree of the earlier build, as for before.py; both builds live in this process
and take turns. Processor seconds of the process, its threads and its workers, torch on one thread: the
best of the rounds, and the ratios to this build; other work on the machine changes them little.
At the end: the share of pictures whose label the builds agree on, and the figures of history and
evaluate.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.before import BEFORE, builds, run_folder, silent

NEW, LOOP = "colab_kit", "loop"
TRAIN = 40  # pictures a class


def photos(folder: Path, each: int, seed: int) -> Path:
    """Smooth noise as JPEGs 500 x 375 in two classes, one a little brighter."""
    draw = np.random.default_rng(seed)
    for number, label in enumerate("ab"):
        (folder / label).mkdir(parents=True)
        for i in range(each):
            rough = draw.integers(0, 200, (24, 32, 3)) + 40 * number
            picture = Image.fromarray(rough.astype(np.uint8)).resize((500, 375))
            picture.save(folder / label / f"{seed}-{i}.jpg", quality=90)
    return folder


def usual_loop(model: torch.nn.Module, folder: Path) -> list[int]:
    """Predict a folder as tutorials do."""
    from torchvision import datasets, transforms

    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
    steps.append(transforms.Normalize([0.5] * 3, [0.5] * 3))
    pictures = datasets.ImageFolder(str(folder), transforms.Compose(steps))
    answers: list[int] = []
    with torch.no_grad():
        for x, _ in torch.utils.data.DataLoader(pictures, 32, num_workers=2):
            answers += model.eval()(x).argmax(1).tolist()
    return answers


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = processor()
    answer = work()
    return processor() - began, answer


def processor() -> float:
    """Seconds of this process, its threads, and its workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def trained(kit: ModuleType, folder: Path, place: Path, precision: str | None) -> Any:
    data = kit.load(folder, **silent(kit.load))
    how = {**silent(kit.transfer), **run_folder(kit.transfer, place), "precision": precision}
    return kit.transfer(data, "efficientnet_lite0", mode="frozen", **how)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    best: dict[tuple[str, str], float] = {}

    def note(side: str, what: str, seconds: float) -> None:
        best[what, side] = min(seconds, best.get((what, side), float("inf")))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["COLAB_KIT_HOME"] = str(folder / "home")
        kits = builds(given.checkout.resolve(), folder)
        train = photos(folder / "train", TRAIN, 0)
        runs = {
            kit.__name__: trained(kit, train, folder / kit.__name__, given.precision)
            for kit in kits
        }
        labels: dict[str, dict[Any, Any]] = {}
        for number in range(1, given.rounds + 1):
            place = folder / f"seen-{number}"
            photos(place / "train", 2, 1000 + number)
            seen = photos(place / "test", given.pictures // 2, number)
            for kit in kits if number % 2 else kits[::-1]:
                run, side = runs[kit.__name__], kit.__name__
                data = kit.load(place, **silent(kit.load))
                note(side, "evaluate", timed(lambda r=run, d=data: r.evaluate(d, quiet=True))[0])
                note(side, "again", timed(lambda r=run, d=data: r.evaluate(d, quiet=True))[0])
                seconds, answers = timed(lambda r=run, s=seen: r.predict(s))
                note(side, "predict", seconds)
                labels.setdefault(side, {}).update((p.path, p.label) for p in answers)
                one = next((seen / "a").iterdir())
                note(side, "alone", timed(lambda r=run, p=one: r.predict(p))[0])
            model = runs[BEFORE].model
            note(LOOP, "predict", timed(lambda m=model, s=seen: usual_loop(m, s))[0])
        for what in ("evaluate", "again", "predict", "alone"):
            mine = best[what, NEW]
            others = [
                f"{side} {best[what, side]:.2f} s ({best[what, side] / mine:.2f} x)"
                for side in (BEFORE, LOOP)
                if (what, side) in best
            ]
            print(f"{what:9} {mine:.3f} s   {'   '.join(others)}", flush=True)
        same = np.mean([labels[NEW][path] == label for path, label in labels[BEFORE].items()])
        print(f"labels as before: {same:.2%}")
        for kit in kits:
            run = runs[kit.__name__]
            valid, row = run.evaluate("valid", quiet=True), run.history[-1]
            figures = f"{valid.loss:.9f} {valid.top1:.4f}"
            print(
                f"{kit.__name__}: history {row['valid/loss']:.9f} {row['valid/top1']:.4f}", figures
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
