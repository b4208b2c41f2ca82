"""The report: whole, escaped, and nothing in it from elsewhere."""

import re

import numpy as np
import pytest

import colab_kit as kit
from colab_kit.runs import report


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("report")
    x = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 3), np.uint8)
    data = kit.load((x, np.arange(60) % 3), class_names=["<b>bold</b>", "a & b", "$5"], quiet=True)
    return kit.train(
        kit.nets.cnn(classes=3, channels=3, size=16),
        data,
        epochs=2,
        quiet=True,
        run_dir=place / "run",
    )


@pytest.fixture(scope="module")
def text(run):
    return run.report().read_text()


def test_a_report_opens_offline_and_runs_no_script(text):
    assert (
        not re.search(r"(?:src|href)=(?![\"']data:)", text)
        and "<script" not in text
        and "@import" not in text
    )
    assert len(re.findall("data:image/png;base64,", text)) == 3


def test_names_are_escaped(text):
    assert "&lt;b&gt;bold&lt;/b&gt;" in text and "<b>bold" not in text and "a &amp; b" in text


def test_it_says_what_was_found_and_chosen(run, text):
    assert (
        "top-1" in text
        and "batch_size" in text
        and "usual for arrays" in text
        and run.name in text
        and "valid/loss" in text
    )


def test_a_page_escapes_its_title():
    assert "<i>" not in report.page("<i>", "<i>", {"<i>": ""})
