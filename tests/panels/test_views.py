"""Sights: names from outside are escaped, the curve is a picture with words, and a screen reader hears epochs, not steps."""

import re
from xml.etree import ElementTree

import numpy as np

from colab_kit.panels import views
from colab_kit.panels.worker import Snapshot
from colab_kit.runs.prediction import prediction

EVIL = "<script>alert('x')</script>"
NOW = Snapshot(
    state="working", doing="Training 50/100", done=50, of=100, left=75.0, epochs=2, losses=tuple((i, 2 / (i + 1)) for i in range(50)),
    rows=({"epoch": 1.0, "step": 50, "train/loss": 0.4, "valid/loss": 0.5, "valid/top1": 0.75},), notes=(("warn", EVIL), ("info", "hello")),
)  # fmt: skip


def well_formed(content):
    return ElementTree.fromstring(
        f"<div>{re.sub(r'<(img|br)([^>]*?)/?>', r'<x />', content)}</div>"
    )


def test_the_bar_says_how_far_and_how_long():
    assert (
        "Training 50/100 · about 75 s left" in views.bar(NOW)
        and 'value="50"' in views.bar(NOW)
        and "aria-label" in views.bar(NOW)
    )
    assert views.bar(Snapshot()) == ""
    assert 'value="' not in views.bar(Snapshot(state="working", doing="Starting")), (
        "how far it is, nobody knows"
    )


def test_the_status_changes_by_epoch_and_state_alone():
    said = views.status(NOW)
    later = views.status(Snapshot(**{**NOW.__dict__, "doing": "Training 51/100", "done": 51}))
    assert (
        said == later
        and 'role="status"' in said
        and "epoch 1 of 2" in said
        and "valid/top1 0.75" in said
    )
    assert views.status(Snapshot(**{**NOW.__dict__, "state": "paused", "doing": "Paused"})) != said


def test_the_curve_is_an_image_with_words_and_at_most_so_many_points():
    content = views.curve(NOW)
    root = well_formed(content)
    svg = root.find(".//svg")
    assert svg.get("role") == "img" and "validation loss 0.5" in svg.get("aria-label")
    long = Snapshot(
        **{**NOW.__dict__, "losses": tuple((i, 1.0) for i in range(10_000)), "of": 10_000}
    )
    line = well_formed(views.curve(long)).find(".//polyline")
    assert len(line.get("points").split()) <= views.POINTS
    assert (
        views.curve(Snapshot()) == "" and views.curve(Snapshot(losses=((1, float("nan")),))) == ""
    )


def test_points_stay_within_the_picture():
    for x, y in re.findall(
        r"([-\d.]+),([-\d.]+)", well_formed(views.curve(NOW)).find(".//polyline").get("points")
    ):
        assert 0 <= float(x) <= views.WIDE and 0 <= float(y) <= views.HIGH


def test_what_comes_from_outside_is_escaped_everywhere():
    found = prediction(np.array([0.9, 0.1]), [EVIL, "dog"])
    contents = [
        views.notes(NOW), views.alert((EVIL, EVIL, EVIL, EVIL)), views.chances(found), views.code(EVIL), views.table([{EVIL: 1.0}]),
        views.bar(Snapshot(state="working", doing=EVIL)), views.status(Snapshot(state="failed", doing=EVIL)),
    ]  # fmt: skip
    for content in contents:
        assert "<script" not in content and "&lt;script" in content
        well_formed(content)


def test_an_error_is_an_alert_with_its_traceback_folded():
    content = views.alert(("No pictures.", "it is empty", "give another", "Traceback …"))
    assert 'role="alert"' in content and "Why: it is empty" in content and "<details>" in content


def contrast(one, two):
    def light(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_curves_stand_out_in_both_themes():
    assert all(
        contrast(colour, "#ffffff") >= 4.5
        for colour in re.findall(r"#(?:1668a8|b34700|b3261e)", views.STYLE)
    )
    assert all(
        contrast(colour, "#111111") >= 4.5
        for colour in re.findall(r"#(?:7cc0ff|ffb27a)", views.STYLE)
    )
