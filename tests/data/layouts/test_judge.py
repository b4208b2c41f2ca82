"""The judge of the layouts: it finds a wrong label that the counts do not show, and follows a fix."""

import numpy as np
import pytest
from PIL import Image

from tests.support.layouts import (
    MASK,
    Bare,
    Layout,
    Want,
    classes_in,
    greys,
    judge,
    meant,
    pasteable,
    picture,
    pictures,
    pixels,
)

KINDS = ("bird", "cat", "dog")
ERROR = "kit.ColabKitError('It is not read.', 'it is a test', {fix!r})"
RAISE = "def fail(): raise {error}\nfail()"


def pets(here):
    for split, many in (("train", 4), ("test", 1)):
        classes_in(here / "pets" / split, KINDS, [f"{split}{i}.png" for i in range(many)])


def judged(here, typed, *want, **more):
    pets(here)
    return judge(Layout("pets", "", pets, typed, want, **more), here).kind


def failing(fix):
    return RAISE.format(error=ERROR.format(fix=fix))


RIGHT = Want(KINDS, 4, test=1)


def test_right_data_is_right(tmp_path):
    assert judged(tmp_path, 'kit.load("pets")', RIGHT) == "RIGHT"


def test_labels_that_contradict_their_pictures_are_found_though_all_counts_agree(tmp_path):
    for name in ("bird", "cat"):
        (tmp_path / "pets" / "train" / name).mkdir(parents=True)
    pets(tmp_path)
    train = tmp_path / "pets" / "train"
    train.joinpath("bird").rename(train / "x")
    train.joinpath("cat").rename(train / "bird")
    train.joinpath("x").rename(train / "cat")
    verdict = judge(Layout("pets", "", pets, 'kit.load("pets")', RIGHT), tmp_path)
    assert verdict.kind == "SILENT" and "labels contradict" in verdict.told


WRONG = [
    Want(KINDS, 4),
    Want(KINDS, 3, test=1),
    Want(KINDS, 4, test=Bare(3)),
    Want(KINDS, 2, valid=2, test=1),
    Want((*KINDS, "fish"), 4, test=1),
    Want(KINDS, 4, test=1, task="multilabel"),
    Want(KINDS, 4, test=1, noted="a word that nobody says"),
    Want(KINDS, 4, test=1, shows=(1, 0, 2)),
    Want(KINDS, 4, test=1, check=lambda data: "something else is wrong"),
]


@pytest.mark.parametrize("want", WRONG)
def test_data_that_differs_in_one_thing_is_silently_wrong(want, tmp_path):
    assert judged(tmp_path, 'kit.load("pets")', want) == "SILENT"


def test_a_pasted_fix_that_gives_the_right_data_is_a_hint(tmp_path):
    fix = 'choose a folder: kit.load("nowhere"), or kit.load("pets", seed=1)'
    assert judged(tmp_path, failing(fix), RIGHT) == "HINT"


def test_a_pasted_fix_that_gives_wrong_data_is_silently_wrong_whatever_stands_behind(tmp_path):
    fix = 'say which: kit.load("pets/train"), or kit.load("pets")'
    assert judged(tmp_path, failing(fix), RIGHT) == "SILENT"


def test_an_error_without_a_way_is_unsupported_and_one_that_says_why_a_refusal(tmp_path):
    assert judged(tmp_path, failing("copy it anew"), RIGHT) == "UNSUPPORTED"
    assert judged(tmp_path, failing("copy it anew"), refusal="a test") == "REFUSAL"
    assert judged(tmp_path, failing("copy it anew"), refusal="other words") == "UNSUPPORTED"


def test_data_where_only_a_refusal_is_right_is_silently_wrong(tmp_path):
    assert judged(tmp_path, 'kit.load("pets")', refusal="pets") == "SILENT"


def test_another_librarys_error_is_foreign(tmp_path):
    assert judged(tmp_path, "1 / 0", RIGHT) == "FOREIGN"


def test_a_network_is_out_of_reach(tmp_path):
    code = 'import urllib.request\nurllib.request.urlopen("http://127.0.0.1:9")'
    assert judged(tmp_path, code, RIGHT) == "FOREIGN"


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("ending", [".png", ".jpg", ".JPEG", ".tif", ".ppm"])
def test_a_picture_says_its_number_in_each_format(mode, ending, tmp_path):
    for n in (*range(12), MASK):
        with Image.open(picture(tmp_path / f"{n}{ending}", n, mode)) as image:
            assert meant(np.asarray(image)) == meant(np.asarray(image.convert("RGB"))) == n


def test_arrays_say_their_number_in_each_order():
    assert meant(greys(25, 28).ravel()) == 25 and meant(pixels(3, 28).transpose(2, 0, 1)) == 3


def test_no_two_pictures_are_alike(tmp_path):
    pictures(tmp_path, [f"{i}.png" for i in range(50)], 0)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 50


@pytest.mark.parametrize(
    "fix, calls",
    [
        ("unpack it anew", []),
        ("kit.load('a') or kit.load('b', valid=0)", ["kit.load('a')", "kit.load('b', valid=0)"]),
        (
            "labels=: kit.load('a', labels=lambda p: p.name.split('(')[0])",
            ["kit.load('a', labels=lambda p: p.name.split('(')[0])"],
        ),
        ("read it: x = f('a'); kit.load((x, 1))", ["x = f('a'); kit.load((x, 1))"]),
        ("x = f('a')\nkit.load((x, 1))", ["x = f('a')\nkit.load((x, 1))"]),
        ("kit.load('a', labels=...", []),
    ],
)
def test_the_code_in_a_fix_is_found(fix, calls):
    assert list(pasteable(fix)) == calls


def test_what_is_printed_does_not_reach_the_test(tmp_path, capsys):
    judged(tmp_path, 'print("loud") or kit.load("pets")', RIGHT)
    assert capsys.readouterr() == ("", "")
