"""Planned: how a transfer goes. Which mode, how many views of each picture, in which numbers features are computed; and where they are."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import nn

from ..data import keyed_random
from ..data.augment import Augment, preset
from ..data.batches import Batch, BatchLoader
from ..data.sources import Items
from ..errors import RecipeError
from ..events import Callbacks, Note
from ..models.describe import describe
from ..models.features import Extractor, head_of
from ..models.known import Card, Cards, Shell
from ..models.precision import KINDS, PLAIN, Precision, candidates
from ..models.weights import backbone_hash
from ..recipe import as_seconds
from ..system.files import Shelf, home
from .choices import Choices
from .frozen_head import HeadFit
from .headfeed import HeadFeed
from .metrics import Sums
from .probing import fastest_forward, known_choice, remember
from .session import Session
from .untouched import untouched

MODES = ("auto", "frozen", "finetune", "frozen_then_finetune")
VIEWS = 8  # passes over a frozen backbone, at most
SOME = 8  # pictures that a network is tried on where nothing is trained
GENTLE = 0.1  # of the usual learning rate, where all of a trained backbone learns
FEW = 2000  # training pictures: below, training all of a backbone loses more than it wins
DEEP = 20  # epochs of a head of several layers on features, at least: they cost seconds
PICTURE = 0.003  # seconds that a GPU trains on a picture of 224 px: a guess, for the choice of a mode alone
UNUSED = (
    "lr", "optimizer", "weight_decay", "lr_schedule", "warmup_epochs", "mixup", "cutmix", "ema_decay", "max_grad_norm", "grad_accum_steps",
    "sampler", "layer_decay",
)  # fmt: skip


class Planned(Session):
    """What one call of transfer() works with, and how it will go.

    asked : "auto", "frozen", "finetune" or "frozen_then_finetune"
    trained : whether the backbone comes with weights
    given_epochs : whether the user said how many epochs
    cards : where what is known of a named backbone with its published weights is kept; None: it is another
    shelf : keeps small sets of features for the next machine
    """

    asked = "auto"
    given_epochs = False
    trained = True
    cards: Cards | None = None
    card: Card | None = None  # of the backbone, once it is known
    shelf: Shelf | None = None
    mode = "finetune"
    fit: HeadFit | None = None  # none: the head learns from pictures in the loop, as the rest does
    deep = False  # the head has several layers, and learns from features in the loop
    layer = ""  # the head's
    passes = 0  # over the pictures, for features

    def prepare(self, made: dict[str, Any], emit: Callbacks) -> Choices:
        self.mode, why = made["mode"] if "mode" in made else self._mode()
        self._steps = self.mode != "frozen"
        if (
            self.mode == "frozen" and self.looks is not None
        ):  # a head in the loop sees one view an epoch
            self.recipe = dataclasses.replace(self.recipe, epochs=self.looks)
        self.freeze_epochs = {
            "frozen": None,
            "finetune": 0,
            "frozen_then_finetune": self.recipe.freeze_epochs or 1,
        }[self.mode]
        if self.mode != "frozen":
            self._build()
        choices = super().prepare(made, emit)
        choices["mode"] = (self.mode, why)
        if self.fit is not None:
            self.fit.loss, self.fit.judge = (
                self.loss_with(choices, torch.device("cpu")),
                self.plain_loss(choices),
            )
        if self.deep:
            emit(
                Note(
                    f"The head learns {self.effective.epochs} epochs on features of {self.passes} view(s) of each picture."
                )
            )
        if self.solved and self.looks is not None and self.passes < self.looks:
            emit(
                Note(
                    f"views={self.looks} were asked for, and there are {self.passes}: {choices['views'][1]}."
                )
            )
        if self.mode == "frozen" and self.asked == "auto" and self.given_epochs and not made:
            emit(Note(self._about_epochs(why), "warn"))
        if self.solved and not made:
            default = type(self.recipe)()
            if unused := [
                name for name in UNUSED if getattr(self.recipe, name) != getattr(default, name)
            ]:
                emit(
                    Note(
                        f"The head is solved, which takes no {', '.join(f'{name}=' for name in unused)}: see mode=.",
                        "warn",
                    )
                )
        return choices

    @property
    def looks(self) -> int | None:
        """How many views of each picture were asked for."""
        return self.recipe.views

    def _about_epochs(self, why: str) -> str:
        """What epochs= are where the backbone turned out to stay frozen."""
        n = self.recipe.epochs
        used = (
            "the head sees each picture once an epoch"
            if self.fit is None
            else "nothing counts them"
        )
        both = f'Write views={n} for as many views of each picture, or mode="finetune" with epochs={n} to train all of the network.'
        return f"epochs={n} was given, but the backbone stays frozen ({why}), so {used}. {both}"

    def _mode(self) -> tuple[str, str]:
        """How to train, and why."""
        n, epochs, alone = len(self.data.train), self.recipe.epochs, self.recipe.freeze_epochs
        if self.asked == "auto" and alone is not None:
            return (
                "frozen_then_finetune" if alone else "finetune",
                f"freeze_epochs={alone} was asked for",
            )
        if self.asked == "auto" and self.looks is not None:
            return "frozen", f"views={self.looks} was asked for"
        if self.asked == "frozen_then_finetune" and epochs <= (alone or 1):
            fix = f"give epochs={(alone or 1) + 1} or more, or mode='frozen' without epochs="
            raise RecipeError(
                "mode='frozen_then_finetune' leaves no epoch to train all of the network.",
                f"epochs={epochs} are the head's alone",
                fix,
            )
        if self.asked != "auto":
            return self.asked, "as asked"
        if self.device.type == "cpu":
            return (
                "frozen",
                "training all of a backbone takes many times as long on a CPU; mode='frozen_then_finetune' does it",
            )
        if epochs < 2:
            return "frozen", "one epoch is too short for more"
        if (
            self.recipe.max_time not in (None, "session")
            and as_seconds(self.recipe.max_time) < n * epochs * PICTURE
        ):
            return (
                "frozen",
                f"max_time={self.recipe.max_time!r} is short for {n:,} pictures in {epochs} epochs",
            )
        if n < FEW:
            return "frozen", f"{n:,} pictures are few for all of a backbone"
        return "frozen_then_finetune", f"{n:,} pictures are enough for it"

    @property
    def solved(self) -> bool:
        """Whether the head is solved for, and nothing is trained."""
        return self.mode == "frozen" and self.fit is not None and not self.deep

    @property
    def idle(self) -> tuple[str, ...]:  # type: ignore[override]
        """What a solved head takes no notice of."""
        return (*UNUSED, "precision") if self.solved else ()

    @property
    def epochs(self) -> int:
        return self.passes if self.solved else self.effective.epochs

    def _amend(self, choices: Choices, made: dict[str, Any]) -> None:
        if (
            self.mode != "frozen"
            and self.trained
            and "lr" not in made
            and choices["lr"][1].startswith("usual")
        ):
            choices["lr"] = (choices["lr"][0] * GENTLE, "usual where a trained backbone learns")

    def _first(self, choices: Choices) -> Batch:
        """Where nothing is trained, a few pictures are enough to try it on; of a backbone that was not built, kept features."""
        if isinstance(self.model, Shell):
            if (fit := self._recalled(choices)) is not None:
                self._use(choices, fit)
                x, y = fit.known("train", 1)
                return Batch(
                    x[:SOME].to(self.device),
                    y[:SOME].to(self.device),
                    self.data.train.rows[: len(x[:SOME])],
                )
            self._build()
        batch = super()._first(choices)
        return (
            Batch(batch.x[:SOME], batch.y[:SOME], batch.index[:SOME])
            if self.mode == "frozen"
            else batch
        )

    def _build(self) -> None:
        """Have the network itself."""
        if isinstance(self.model, Shell):
            shell = self.model
            self.model = shell.whole().to(self.device)
            self.head = [f"{shell.layer}.{name}" for name, _ in shell.head.named_parameters()]

    def _recalled(self, choices: Choices) -> HeadFit | None:
        """The fit on features that an earlier call computed, here or on another machine, if all of them are there."""
        card = self.card
        assert card is not None
        self.layer, self.deep = card.layer, self._answer(card.layer) is None
        known = choices.get("features") or self._known_numbers(card.backbone)
        if self.keyed and not (self.deep and self.recipe.cutmix):
            self._count(choices)
            elsewhere = [
                (str(Precision(kind, last)), "as an earlier session computed them")
                for kind in KINDS
                for last in (True, False)
            ]
            for how in (
                [known]
                if known is not None and known[0] != "not kept"
                else []
                if known
                else elsewhere
            ):
                fit = self._fit(None, card.width, card.backbone, how)
                if all(
                    fit.begun(name, view) and fit.features(name, view).whole
                    for name, view in self._parts
                ):
                    choices["features"] = how
                    return fit
        self.deep = False
        return None

    @property
    def _parts(self) -> list[tuple[str, int]]:
        """Splits and views whose features are needed."""
        return [("valid", 0)] * ("valid" in self.feeds) + [
            ("train", view) for view in range(self.passes)
        ]

    def _precise(self, choices: Choices, first: Batch, forward: float) -> tuple[str, str]:
        if self.fit is None and self.mode != "finetune":
            why = self._plan(choices, first, forward)
            if why:
                choices["features"] = ("not kept", why)
        self._steps, self._looped = not (self.solved or self.deep), not self.solved
        if self.deep:
            return str(PLAIN), "the head alone learns, on features"
        return choices["features"] if self.solved else super()._precise(choices, first, forward)

    def _plan(self, choices: Choices, first: Batch, forward: float) -> str:
        """Get ready to compute features once; or the reason why the head learns in the loop."""
        if "features" in choices and choices["features"][0] == "not kept":
            return choices["features"][1]  # as it was when the run began
        layer = head_of(self.model, self.head)
        deep = self._answer(layer) is None
        if deep and self.mode != "frozen":
            return "the head is no single linear layer, and learns in the loop with the rest"
        if deep and self.recipe.cutmix:
            return "cutmix= mixes pictures, and the head learns from them in the loop"
        if not self.keyed:
            return "the data draws numbers that no key reaches"
        with untouched(self.model):
            extract = Extractor(self.model, layer, first.x[:2])
        if not extract.width:
            return extract.why
        self.layer, self.deep = layer, deep
        backbone = backbone_hash(self.model, self.head)
        self._count(choices)
        if "features" not in choices:
            choices["features"] = self._known_numbers(backbone) or self._numbers(
                extract, first, forward, backbone
            )
        if self.mode == "frozen" and self.cards is not None:
            self._write_card(layer, extract.width, backbone)
        self._use(choices, self._fit(extract, extract.width, backbone, choices["features"]))
        return ""

    def _count(self, choices: Choices) -> None:
        choices["views"] = (
            self._how_many(choices)
            if "views" not in choices or self.looks is not None
            else choices["views"]
        )
        self.passes = int(choices["views"][0])

    def _write_card(self, layer: str, width: int, backbone: str) -> None:
        """Note what this backbone is, and go on with its head alone: it is all that a frozen run learns, keeps and copies to Drive."""
        base = self.base
        mean, std = ((v[0], v[1], v[2]) for v in (base.mean, base.std))
        self.card = Card(
            self.name, base.size, mean, std, base.interpolation, base.crop, layer, width, backbone
        )
        assert self.cards is not None
        self.cards.keep(self.card)
        network = self.model
        self.model = Shell(layer, network.get_submodule(layer), lambda: network)
        self.head = [name for name, _ in self.model.named_parameters()]

    def about(self) -> dict[str, Any]:
        """What a record says of a network whose head alone is in its checkpoints."""
        return (
            {"backbone": self.card.backbone}
            if isinstance(self.model, Shell) and self.card is not None
            else {}
        )

    def _fit(
        self, extract: Extractor | None, width: int, backbone: str, how: tuple[str, str]
    ) -> HeadFit:
        key = [
            backbone,
            self.layer,
            self.preprocess.as_json(),
            self.data.fingerprint,
            torch.__version__,
        ]
        return HeadFit(
            extract,
            width,
            Precision.named(how[0]),
            self._shown,
            self._told_apart,
            key,
            home(),
            self.shelf,
            len(self.data.classes),
            self._sums,
        )

    def _use(self, choices: Choices, fit: HeadFit) -> None:
        """Go on with features."""
        self.fit = fit
        if self.deep:
            self.effective = dataclasses.replace(self.effective, epochs=max(self.looks or 0, DEEP))
            choices["freeze_epochs"] = (
                self.effective.epochs,
                "a head of several layers learns so many on features",
            )
            views = {"train": self.passes}
            self.feeds = {
                name: HeadFeed(fit, name, feed, views.get(name, 1))  # type: ignore[misc]
                for name, feed in self.feeds.items()
            }

    def _sums(self, split: str) -> Sums:
        return Sums(
            torch.device("cpu"),
            top5=split == "valid" and len(self.data.classes) > 5,
            task=self.data.task,
        )

    def _answer(self, layer: str) -> nn.Linear | None:
        """The one linear layer of the head; None if it has more, or others."""
        own = [
            m
            for m in self.model.get_submodule(layer).modules()
            if next(m.parameters(recurse=False), None) is not None
        ]
        return (
            own[0]
            if len(own) == 1 and type(own[0]) is nn.Linear and own[0].bias is not None
            else None
        )

    def _numbers(
        self, extract: Extractor, first: Batch, forward: float, backbone: str
    ) -> tuple[str, str]:
        """In which numbers features are computed: what suits the hardware for a short pass, what is fastest for a longer one."""
        if self.recipe.precision is not None:
            return self.recipe.precision, "as asked"
        options = candidates(self.runtime.precision, self.device.type, self.runtime.isa, self.model)
        room = 0.01 * forward / len(first) * self._pictures
        if 2 * len(options) * forward > room:
            found = (
                str(options[-1]),
                "suits this hardware; measuring would take more than a hundredth of the pass",
            )
        else:
            with keyed_random.outer_streams_kept():
                found = fastest_forward(lambda how: extract(first.x, how), options)
        remember(
            home() / "precision.json", self._hardware(backbone), *found
        )  # the next call must find these features
        return found

    def _known_numbers(self, backbone: str) -> tuple[str, str] | None:
        """What an earlier call chose on this hardware."""
        if self.recipe.precision is not None:
            return self.recipe.precision, "as asked"
        found = known_choice(home() / "precision.json", self._hardware(backbone))
        return None if found is None else (str(found[0]), found[1])

    def _hardware(self, backbone: str) -> list[Any]:
        return [
            "features",
            self.runtime.gpu or self.runtime.isa,
            torch.__version__,
            backbone,
            self.preprocess.size,
        ]

    def _how_many(self, choices: Choices) -> tuple[int, str]:
        if self.mode == "frozen_then_finetune":
            return min(self.freeze_epochs or 1, VIEWS), "freeze_epochs="
        if self.looks is None:
            return 1, "each picture as it is; views= asks for more views of it"
        if choices["augment"][0] == "none" and not isinstance(self.data.train.source, Items):
            return 1, "without augment= there is but one"
        return min(self.looks, VIEWS), "views=" + (
            f", {VIEWS} at most" if self.looks > VIEWS else ""
        )

    def _takes(self, first: Batch, forward: float) -> float:
        return (
            forward * self._pictures / len(first)
            if not self._steps and self.fit is not None
            else super()._takes(first, forward)
        )

    @property
    def _pictures(self) -> int:
        """How many go through the backbone for features."""
        return self.passes * len(self.data.train) + (
            len(self.data.valid) if self.data.valid is not None else 0
        )

    def _shown(self, name: str, view: int) -> tuple[BatchLoader, int]:
        """Who reads a view: each picture as it is (0), mirrored (1), then random ones. Their key is no seed: other runs use them too."""
        r, more = self.effective, dict[str, Any]()
        assert isinstance(r.batch_size, int) and r.num_workers is not None
        if view and self.augment is not None:
            more = {"transform": self.augment}
        elif view and not isinstance(self.data.train.source, Items):
            more = {"augment": Augment(flip=1.0) if self._mirrors(view) else self._changes()}
        feed = BatchLoader(
            self.data.splits[name],
            self.preprocess,
            batch_size=r.batch_size,
            device=self.device,
            num_workers=r.num_workers,
            seed=0,
            complain=self._complain,
            **more,
        )
        return feed, view or -1

    def _told_apart(self, view: int) -> Any:
        if not view or self._mirrors(view):
            return view
        return [
            view,
            describe(self.augment)
            if self.augment is not None
            else dataclasses.asdict(self._changes()),
        ]

    def _changes(self) -> Augment:
        return preset(self.effective.augment or "none")

    def _mirrors(self, view: int) -> bool:
        return (
            view == 1
            and self.augment is None
            and self._changes().flip > 0
            and not isinstance(self.data.train.source, Items)
        )
