"""Panels: what is pressed is done once, what is typed is a Recipe, and a cell that is run again finds its training."""

import dataclasses
import datetime
import gc
import io
import threading
import weakref
import zipfile

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ipywidgets")
from colab_kit import api
from colab_kit.data.loading import load
from colab_kit.errors import DataError, RecipeError, RunError
from colab_kit.events import Control, RunStarted, StepDone
from colab_kit.panels import panel as panels
from colab_kit.panels import worker as room
from colab_kit.panels.panel import panel
from colab_kit.panels.worker import mode
from colab_kit.recipe import Recipe
from colab_kit.testing.fixtures import class_folders


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLAB_KIT_UI", "background")
    monkeypatch.chdir(tmp_path)
    panels.working.clear()
    panels.shown.clear()


@pytest.fixture
def pets(tmp_path):
    return class_folders(tmp_path / "pets", each=8)


@pytest.fixture
def gated(monkeypatch):
    """transfer() that goes as far as it is let."""

    class Gated:
        def __init__(self):
            self.calls, self.entered, self.leave = [], threading.Event(), threading.Event()

        def __call__(self, data, backbone, *, callbacks, quiet, control, **fields):
            self.calls.append((backbone, fields))
            self.control = control
            for hear in callbacks:
                hear(RunStarted("run", None, 3, 30))
                hear(StepDone(1, 30, 0.7, 0.1))
            self.entered.set()
            assert self.leave.wait(10)

    found = Gated()
    monkeypatch.setattr(api, "transfer", found)
    yield found
    found.leave.set()


def shown(pets, **fields):
    return panel(load(pets, quiet=True), **fields)


def test_the_advanced_part_has_a_knob_for_each_field_and_is_closed(pets):
    made = shown(pets)
    assert set(made.knobs) == {field.name for field in dataclasses.fields(Recipe)} - {"epochs"}
    opener, part = made.advanced.children
    assert part.layout.display == "none" and opener.description == "Advanced"
    opener.click()
    assert part.layout.display == "" and opener.description == "Hide advanced"
    opener.click()
    assert part.layout.display == "none" and opener.description == "Advanced"
    assert made._settings() == ("resnet18", {}), "untouched, it asks for nothing"


def test_what_is_typed_reaches_the_call_and_the_code_line(pets, gated):
    made = shown(pets, run_dir="here", epochs=5, lr=0.01)
    (
        made.knobs["label_smoothing"].value,
        made.knobs["augment"].value,
        made.knobs["max_time"].value,
    ) = "0.1", "strong", "3h"
    made.start()
    assert gated.entered.wait(10)
    want = {"epochs": 5, "lr": 0.01, "label_smoothing": 0.1, "augment": "strong", "max_time": "3h"}
    assert gated.calls == [("resnet18", {**want, "run_dir": "here", "name": None})]
    line = made.as_code()
    assert (
        line.startswith("run = kit.transfer(data, 'resnet18', epochs=5")
        and "run_dir='here'" in line
    )
    compile(line, "cell", "exec")


def test_a_knob_that_leaves_the_choice_says_so(pets):
    made = shown(pets, monitor="train/loss")
    assert {made.knobs[name].label for name in ("loss", "augment")} == {
        "choose for me"
    } and made.knobs["optimizer"].label == "adamw"
    assert made._settings()[1] == {"monitor": "train/loss"}


def test_a_knob_that_was_cleared_is_the_default(pets):
    made = shown(pets, grad_accum_steps=4)
    made.knobs["grad_accum_steps"].value = ""
    assert made._settings()[1] == {}


def test_a_value_that_cannot_be_is_an_alert_and_nothing_starts(pets, gated):
    made = shown(pets)
    made.knobs["lr"].value = "-1"
    made.start()
    assert 'role="alert"' in made.alert.value and "lr=-1" in made.alert.value and not gated.calls
    assert made.start_button.description == "Try again" and made.knobs["lr"].value == "-1", (
        "what was typed is kept"
    )
    with pytest.raises(RecipeError, match="no training option"):
        panel("pets", learning=3)


def test_a_panel_whose_cell_runs_again_is_let_go(pets):
    before = weakref.ref(shown(pets))
    now = shown(pets)
    gc.collect()
    assert before() is None and now.box.comm is not None


def test_a_panel_of_other_data_stays_on_the_screen(pets, tmp_path):
    before = shown(pets)
    shown(class_folders(tmp_path / "other" / "pets", each=9))
    assert before in panels.shown and before.start_button.comm is not None


def test_a_panel_that_trains_is_not_closed(pets, gated):
    before = shown(pets)
    before.start()
    assert gated.entered.wait(10)
    shown(pets)
    assert before in panels.shown


def test_start_twice_trains_once_and_buttons_are_never_disabled(pets, gated):
    made = shown(pets)
    made.start_button.click()
    assert gated.entered.wait(10)
    made.start_button.click()
    made.stop_button.click()
    made.stop_button.click()
    assert (
        len(gated.calls) == 1
        and gated.control.stopped
        and "Stopping after this batch" in made.bar.value
    )
    assert not any(
        button.disabled for button in (made.start_button, made.pause_button, made.stop_button)
    )


def test_pause_turns_start_into_continue(pets, gated):
    made = shown(pets)
    made.start_button.click()
    assert gated.entered.wait(10)
    made.pause_button.click()
    assert (
        gated.control.paused
        and made.start_button.description == "Continue"
        and "Paused" in made.status.value
    )
    made.start_button.click()
    assert not gated.control.paused and len(gated.calls) == 1


def test_a_cell_that_is_run_again_finds_its_training(pets, gated):
    data = load(pets, quiet=True)
    one = panel(data, run_dir="here")
    one.start()
    assert gated.entered.wait(10)
    two = panel(data, run_dir="here")
    assert two.worker is one.worker and "Training 1/30" in two.bar.value
    two.stop()
    assert gated.control.stopped
    assert panel(data, run_dir="there").worker is not one.worker


def test_what_an_earlier_session_left_is_offered(pets, tmp_path):
    control = Control()
    control.stop("enough")
    data = load(pets, quiet=True)
    left = api.transfer(
        data,
        "resnet18",
        weights=None,
        image_size=32,
        mode="finetune",
        run_dir="left",
        control=control,
        quiet=True,
    )
    assert left.status == "stopped"
    assert f"Run {left.name}-{left.key} is not finished" in panel(data, run_dir="left").bar.value
    assert "not finished" not in panel(data, run_dir="elsewhere").bar.value


def test_an_error_is_shown_and_start_becomes_try_again(pets, monkeypatch):
    def fails(*args, **fields):
        raise DataError("The pictures <b>are</b> gone.", "somebody moved them", "look again")

    monkeypatch.setattr(api, "transfer", fails)
    made = shown(pets)
    made.start()
    assert made.wait(10)
    assert (
        "&lt;b&gt;" in made.alert.value
        and "somebody moved them" in made.alert.value
        and "Traceback" in made.alert.value
    )
    assert made.start_button.description == "Try again" and "Failed" in made.status.value


def test_without_data_it_says_where_to_write_it():
    made = panel()
    made.start()
    assert made.wait(10) and "There is no data yet" in made.alert.value


@pytest.mark.parametrize("ui", ["background", "foreground"])
def test_a_training_from_start_to_result(pets, ui, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_UI", ui)
    made = panel(str(pets), "resnet18", run_dir="run", image_size=32, epochs=1)
    monkeypatch.setattr(
        api, "transfer", lambda data, backbone, **how: WHOLE(data, backbone, weights=None, **how)
    )
    made.start()
    assert made.wait(120)
    assert made.run is not None and made.run.status == "finished" and made.alert.value == ""
    assert (
        "8 pictures" in made.preview.value
        and "Finished" in made.status.value
        and "top-1" in made.result.answer.value
        and "<img" in made.result.answer.value
    )
    assert made.result.tools.layout.display == "" and "valid/loss" in made.rows.value
    made.result.report_button.click()
    assert (
        "report.html" in made.result.message.value
        and made.run.folder.joinpath("report.html").is_file()
    )
    made.result.export_button.click()
    assert ".safetensors" in made.result.message.value
    out = io.BytesIO()
    Image.fromarray(np.full((20, 20, 3), 90, np.uint8)).save(out, format="PNG")
    made.result.upload.value = (
        {
            "name": "a.png",
            "type": "image/png",
            "size": 1,
            "content": memoryview(out.getvalue()),
            "last_modified": datetime.datetime.now(),
        },
    )
    assert "cat" in made.result.message.value and "<meter" in made.result.message.value


WHOLE = api.transfer


def test_load_shows_counts_pictures_and_what_was_found_before_any_training(tmp_path, pets):
    class_folders(tmp_path / "uneven", ["cat"], each=70)
    class_folders(tmp_path / "uneven", ["dog"], each=3)
    made = panel("uneven")
    made.load_button.click()
    assert made.wait(20)
    assert (
        "The classes are uneven." in made.preview.value
        and "<strong>warning</strong>" in made.preview.value
    )
    assert (
        "data:image/png" in made.preview.value
        and "cat" in made.preview.value
        and "Loaded" in made.bar.value
    )
    assert "uneven" not in panel("pets").preview.value
    assert "warning" not in shown(pets).preview.value


def test_what_is_written_over_the_data_is_what_is_trained_on(tmp_path, pets, gated):
    class_folders(tmp_path / "birds", ["duck", "owl"], each=8)
    got = []
    gated.leave.set()
    call = gated.__class__.__call__
    made = panel("pets")
    made.load_button.click()
    assert made.wait(20) and "cat" in made.preview.value
    api.transfer, own = (
        (
            lambda data, backbone, **how: (
                got.append(data.classes) or call(gated, data, backbone, **how)
            )
        ),
        api.transfer,
    )
    try:
        for name in ("birds", "pets", "pets"):
            made.source.value = name
            made.start_button.click()
            assert made.wait(20), name
            assert f"kit.transfer({name!r}" in made.as_code()
    finally:
        api.transfer = own
    assert got == [("duck", "owl"), ("cat", "dog"), ("cat", "dog")] and "cat" in made.preview.value


def test_two_panels_on_different_data_have_nothing_to_do_with_each_other(tmp_path, pets, gated):
    class_folders(tmp_path / "birds", ["duck", "owl"], each=8)
    one = panel("pets")
    one.start()
    assert gated.entered.wait(10)
    other = panel("birds")
    other.stop()
    assert (
        not gated.control.stopped and not other.worker.busy and panel("pets").worker is one.worker
    )


def test_a_load_that_is_looked_at_again_shows_its_pictures(pets, file_server):
    with zipfile.ZipFile(out := io.BytesIO(), "w") as box:
        for path in pets.rglob("*.png"):
            box.write(path, path.relative_to(pets.parent))
        box.writestr("pets/cat/large.txt", bytes(1 << 19))
    url = file_server.put("far.zip", out.getvalue())
    file_server.slow(1 << 18, "far.zip")
    one = panel(url)
    one.load_button.click()
    two = panel(url)
    assert two.worker is one.worker and 'data-state="working">Loading<' in two.status.value
    assert (
        two.wait(30)
        and "data:image/png" in two.preview.value
        and two.loaded.classes == ("cat", "dog")
    )


def test_what_goes_wrong_after_stop_is_said(pets, monkeypatch):
    def fails(data, backbone, *, control, **how):
        control.stop("stopped in the panel")
        raise RunError("The checkpoint could not be written.", "the disk is full", "free some room")

    monkeypatch.setattr(api, "transfer", fails)
    made = shown(pets)
    made.start()
    assert made.wait(10) and "the disk is full" in made.alert.value and "Failed" in made.bar.value


def test_where_start_waits_an_interrupt_is_a_stop_and_a_cell_that_is_run_again_is_shown_first(
    pets, gated, monkeypatch
):
    monkeypatch.setenv("COLAB_KIT_UI", "foreground")
    made, slept = shown(pets, run_dir="here"), []

    def interrupted(seconds):
        slept.append(seconds)
        if len(slept) == 1:
            raise KeyboardInterrupt
        gated.leave.set()

    monkeypatch.setattr(room.time, "sleep", interrupted)
    worker = panels.Worker(made._work)
    made._call = made._chosen_source(), *made._settings()
    panels.working[made._key] = made.worker = worker
    worker.start()
    assert gated.entered.wait(10)
    again = shown(pets, run_dir="here")  # neither waits nor draws on a thread before it is shown
    assert again.worker is worker and again.worker.busy and "Training 1/30" in again.bar.value
    again._follow()
    assert (
        gated.control.stopped and gated.control.reason == "stopped in the panel" and not worker.busy
    )


def test_stop_ends_a_load_and_what_came_is_kept(file_server):
    with zipfile.ZipFile(out := io.BytesIO(), "w") as box:
        box.writestr("pets/cat/0.png", bytes(1 << 22))
    file_server.put("far.zip", out.getvalue())
    file_server.slow(1 << 17, "far.zip")
    made = panel(file_server.url("far.zip"))
    made.load_button.click()
    while "Downloading far.zip" not in made.bar.value:
        assert made.worker.busy, made.alert.value
        made._paint()
    made.stop_button.click()
    assert made.wait(20)
    assert (
        "Stopped: stopped in the panel. What came is kept" in made.bar.value
        and not made.alert.value
    )


def test_where_nobody_looks_a_panel_is_a_line_of_code_that_can_be_started(pets, monkeypatch, gated):
    monkeypatch.setenv("COLAB_KIT_UI", "off")
    gated.leave.set()
    line = panel("pets", "vit_b_16", name="mine", lr=0.1)
    assert line.as_code() == "run = kit.transfer('pets', 'vit_b_16', lr=0.1, name='mine')"
    compile(line.as_code(), "cell", "exec")
    assert panel(load(pets, quiet=True)).as_code() == "run = kit.transfer(data, 'resnet18')"
    monkeypatch.setattr(api, "transfer", lambda data, backbone, **how: (data, backbone, how))
    line.start()
    assert line.run == (
        "pets",
        "vit_b_16",
        {"run_dir": None, "name": "mine", "lr": 0.1},
    )
    with pytest.raises(RecipeError, match="no training option"):
        panel("pets", learning=3)


def test_a_mode_that_is_not_known_says_so(monkeypatch):
    monkeypatch.setenv("COLAB_KIT_UI", "sideways")
    with pytest.raises(RecipeError, match="background"):
        mode()
