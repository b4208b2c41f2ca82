"""Sights: names from outside are escaped, the curve is a picture with words, and a screen reader hears epochs, not steps."""

import re
from xml.etree import ElementTree

import numpy as np

from colab_kit.panels import sights
from colab_kit.panels.worker import Snapshot
from colab_kit.reporting.prediction import prediction

EVIL = "<script>alert('x')</script>"
NOW = Snapshot(
    state="working", doing="Training 50/100", done=50, of=100, left=75.0, epochs=2, losses=tuple((i, 2 / (i + 1)) for i in range(50)),
    rows=({"epoch": 1.0, "step": 50, "train/loss": 0.4, "valid/loss": 0.5, "valid/top1": 0.75},), notes=(("warn", EVIL), ("info", "hello")),
)  # fmt: skip


def well_formed(content):
    return ElementTree.fromstring(f"<div>{re.sub(r'<(img|br)([^>]*?)/?>', r'<x />', content)}</div>")


def test_the_bar_says_how_far_and_how_long():
    assert "Training 50/100 · about 75 s left" in sights.bar(NOW) and 'value="50"' in sights.bar(NOW) and "aria-label" in sights.bar(NOW)
    assert sights.bar(Snapshot()) == ""
    assert 'value="' not in sights.bar(Snapshot(state="working", doing="Starting")), "how far it is, nobody knows"


def test_the_status_changes_by_epoch_and_state_alone():
    said = sights.status(NOW)
    later = sights.status(Snapshot(**{**NOW.__dict__, "doing": "Training 51/100", "done": 51}))
    assert said == later and 'role="status"' in said and "epoch 1 of 2" in said and "valid/top1 0.75" in said
    assert sights.status(Snapshot(**{**NOW.__dict__, "state": "paused", "doing": "Paused"})) != said


def test_the_curve_is_an_image_with_words_and_at_most_so_many_points():
    content = sights.curve(NOW)
    root = well_formed(content)
    svg = root.find(".//svg")
    assert svg.get("role") == "img" and "validation loss 0.5" in svg.get("aria-label")
    long = Snapshot(**{**NOW.__dict__, "losses": tuple((i, 1.0) for i in range(10_000)), "of": 10_000})
    line = well_formed(sights.curve(long)).find(".//polyline")
    assert len(line.get("points").split()) <= sights.POINTS
    assert sights.curve(Snapshot()) == "" and sights.curve(Snapshot(losses=((1, float("nan")),))) == ""


def test_points_stay_within_the_picture():
    for x, y in re.findall(r"([-\d.]+),([-\d.]+)", well_formed(sights.curve(NOW)).find(".//polyline").get("points")):
        assert 0 <= float(x) <= sights.WIDE and 0 <= float(y) <= sights.HIGH


def test_what_comes_from_outside_is_escaped_everywhere():
    found = prediction(np.array([0.9, 0.1]), [EVIL, "dog"])
    contents = [
        sights.notes(NOW), sights.alert((EVIL, EVIL, EVIL, EVIL)), sights.chances(found), sights.code(EVIL), sights.table([{EVIL: 1.0}]),
        sights.bar(Snapshot(state="working", doing=EVIL)), sights.status(Snapshot(state="failed", doing=EVIL)),
    ]  # fmt: skip
    for content in contents:
        assert "<script" not in content and "&lt;script" in content
        well_formed(content)


def test_an_error_is_an_alert_with_its_traceback_folded():
    content = sights.alert(("No pictures.", "it is empty", "give another", "Traceback …"))
    assert 'role="alert"' in content and "Why: it is empty" in content and "<details>" in content


def contrast(one, two):
    def light(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_curves_stand_out_in_both_themes():
    assert all(contrast(colour, "#ffffff") >= 4.5 for colour in re.findall(r"#(?:1668a8|b34700|b3261e)", sights.STYLE))
    assert all(contrast(colour, "#111111") >= 4.5 for colour in re.findall(r"#(?:7cc0ff|ffb27a)", sights.STYLE))
