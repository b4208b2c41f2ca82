"""Scoring: whatever shows a picture gives the same probabilities as the split it came from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from colab_kit.data.dataset import Data, Split
from colab_kit.data.loading import load
from colab_kit.data.preprocess import Preprocess
from colab_kit.data.sources import Arrays, Items, Pictures
from colab_kit.errors import DataError
from colab_kit.models.inference import Inference
from colab_kit.recipe import Recipe
from colab_kit.runs.pictures import pictures_of, pixels_of
from colab_kit.runs.scoring import Scorer, _view
from colab_kit.training.choices import preprocess_for
from tests.support.pictures import blank, class_folders, picture

CPU = torch.device("cpu")
GREY = np.random.default_rng(0).integers(0, 256, (9, 8, 8), dtype=np.uint8)
ARRAYS = Preprocess(size=8, channels=1, crop=1.0)  # as for a run on 8x8 grey arrays
FILES = Preprocess(size=16, channels=3)  # as for a run on picture files
VECTORS = Preprocess()  # as for a run on (N, features)


def scorer(preprocess: Preprocess, inputs: int, **more: Any) -> Scorer:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 4), nn.Dropout(0.5))
    return of_network(net, preprocess, **more)


def of_network(net: nn.Module, preprocess: Preprocess, **more: Any) -> Scorer:
    return Scorer(Inference(lambda: net, CPU), preprocess, **{"output": "logits", **more})


def seen(given: Scorer, x: Any) -> np.ndarray:
    return given.pictures(pictures_of(x, given.preprocess)[0]).probabilities


def of_grey() -> tuple[Scorer, np.ndarray]:
    """A scorer for grey arrays, and what it says of GREY as a split."""
    given = scorer(ARRAYS, 64)
    split = Split(Arrays(torch.from_numpy(GREY)[:, None], np.zeros(9, np.int64)), np.arange(9))
    return given, given.split(split).probabilities


@pytest.mark.parametrize(
    "shown",
    [
        lambda p: GREY[2],
        lambda p: GREY[2][None],
        lambda p: GREY[2][..., None],
        lambda p: torch.from_numpy(GREY[2]),
        lambda p: GREY[2].astype(np.int64),
        lambda p: np.flip(GREY[2][:, ::-1], 1),
        lambda p: Image.fromarray(GREY[2]),
        lambda p: Image.fromarray(GREY[2]).convert("RGB"),
        lambda p: np.asarray(Image.fromarray(GREY[2])),
        lambda p: p,
        lambda p: str(p),
    ],
    ids=[
        "hw",
        "chw",
        "hwc",
        "tensor",
        "int64",
        "strided",
        "pil",
        "pil-rgb",
        "read-only",
        "path",
        "str",
    ],
)
def test_one_grey_picture_scores_the_same_however_it_is_shown(tmp_path, shown):
    path = tmp_path / "two.png"
    Image.fromarray(GREY[2]).save(path)
    given, expected = of_grey()
    rows, one = pictures_of(shown(path), given.preprocess)
    assert one and len(rows) == 1
    np.testing.assert_allclose(given.pictures(rows).probabilities[0], expected[2], atol=1e-6)


@pytest.mark.parametrize(
    "batch",
    [
        GREY,
        GREY[:, None],
        GREY[..., None],
        torch.from_numpy(GREY),
        list(GREY),
        tuple(GREY[:, None]),
    ],
)
def test_a_batch_scores_as_its_split_does(batch):
    given, expected = of_grey()
    assert not pictures_of(batch, ARRAYS)[1]
    np.testing.assert_allclose(seen(given, batch), expected, atol=1e-6)


def test_three_grey_pictures_are_no_coloured_one():
    given, expected = of_grey()
    np.testing.assert_allclose(seen(given, GREY[:3]), expected[:3], atol=1e-6)
    assert pictures_of(GREY[:3], FILES)[1], "for a network that sees colours they are one picture"


def test_rows_of_numbers_are_rows_not_a_grey_picture():
    given, x = scorer(VECTORS, 5, floats=True), np.random.default_rng(1).random((7, 5), np.float32)
    split = Split(Arrays(torch.from_numpy(x), np.zeros(7, np.int64)), np.arange(7))
    np.testing.assert_allclose(seen(given, x), given.split(split).probabilities, atol=1e-6)
    np.testing.assert_allclose(
        seen(given, x[3].astype(np.float64)), given.split(split).probabilities[3:4], atol=1e-6
    )
    assert not pictures_of(x, VECTORS)[1] and pictures_of(x[0], VECTORS)[1]


def test_files_score_as_their_split_whether_given_as_paths_pil_or_arrays(tmp_path):
    data = load(class_folders(tmp_path / "pets", each=4), valid=0, quiet=True)
    given = scorer(FILES, 3 * 16 * 16)
    found = given.split(data.train)
    expected, labels, rows = found.probabilities, found.labels, found.rows
    assert (
        expected.shape == (8, 4)
        and labels.tolist() == data.train.labels.tolist()
        and rows.tolist() == data.train.rows.tolist()
    )
    np.testing.assert_allclose(seen(given, tmp_path / "pets"), expected, atol=1e-6)
    np.testing.assert_allclose(
        seen(given, str(tmp_path / "pets" / "cat" / "*.png")), expected[:4], atol=1e-6
    )
    np.testing.assert_allclose(
        seen(given, [Image.open(p) for p in data.train.paths]), expected, atol=1e-6
    )
    np.testing.assert_allclose(
        seen(given, [data.train[i][0] for i in range(8)]), expected, atol=1e-6
    )
    np.testing.assert_allclose(
        seen(given, np.stack([data.train[i][0] for i in range(8)])), expected, atol=1e-6
    )


def test_pictures_of_several_sizes_go_together(tmp_path):
    shown = [
        np.asarray(Image.open(picture(tmp_path / f"{n}.png", n, (20 + n, 30)))) for n in range(3)
    ]
    given = scorer(FILES, 3 * 16 * 16)
    together = seen(given, shown)
    np.testing.assert_allclose(
        together, np.concatenate([seen(given, one) for one in shown]), atol=1e-6
    )
    assert seen(given, [shown[0][..., 0], shown[1]]).shape == (2, 4), "grey and coloured"


def test_an_alpha_channel_is_not_a_colour(tmp_path):
    rgba = np.dstack([np.full((20, 20, 3), 90, np.uint8), np.full((20, 20), 255, np.uint8)])
    given = scorer(FILES, 3 * 16 * 16)
    np.testing.assert_allclose(seen(given, rgba), seen(given, rgba[..., :3]), atol=1e-6)
    np.testing.assert_allclose(seen(given, rgba[None]), seen(given, rgba[..., :3]), atol=1e-6)


@pytest.mark.parametrize("output", ["logits", "log_probabilities", "probabilities"])
def test_whatever_the_network_puts_out_becomes_probabilities(output):
    last = {
        "logits": nn.Identity(),
        "log_probabilities": nn.LogSoftmax(1),
        "probabilities": nn.Softmax(1),
    }[output]
    given, expected = of_grey()
    given = of_network(nn.Sequential(given.inference.model, last), ARRAYS, output=output)
    found = seen(given, GREY)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_scoring_is_done_in_eval_and_without_gradients():
    given, expected = of_grey()
    given.inference.model.train()
    np.testing.assert_array_equal(seen(given, GREY), seen(given, GREY))
    assert all(p.grad is None for p in given.inference.model.parameters())


def test_damaged_pictures_of_a_split_are_left_out_and_the_rows_say_which(tmp_path):
    data = load(class_folders(tmp_path / "pets", each=4), valid=0, quiet=True)
    data.train.paths[5].write_bytes(b"broken")
    found = scorer(FILES, 3 * 16 * 16).split(data.train)
    assert len(found.probabilities) == len(found.labels) == 7 and found.seen == 8
    assert found.rows.tolist() == [0, 1, 2, 3, 4, 6, 7]


@pytest.mark.parametrize(
    ("x", "said"),
    [
        ("no/such/*.png", "No picture is at no/such"),
        (Path("nothing.jpg"), "No picture is at nothing.jpg"),
        ({"a": 1}, "was given a dict"),
        (None, "was given a NoneType"),
        (3, "was given a int"),
        (np.zeros((2, 2, 2, 2, 2), np.uint8), "an array of shape"),
        (np.array(["a", "b"]), "No picture could be read"),
        (np.zeros((0, 8, 8), np.uint8), "array of uint8, shape"),
        (np.full((8, 8), 300), "int64 numbers"),
        (np.full((8, 8), -1), "int64 numbers"),
        (torch.zeros(8, 8, dtype=torch.bool), "bool numbers"),
        ([], "No picture"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_what_shows_no_picture_is_refused_with_what_to_pass(x, said):
    given, _ = of_grey()
    with pytest.raises(DataError, match=said) as error:
        seen(given, x)
    assert error.value.why and error.value.fix


def test_a_folder_without_pictures_says_so(tmp_path):
    blank(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="No picture is at"):
        pictures_of(tmp_path, FILES)


def test_an_empty_split_and_one_with_only_damaged_pictures_say_so(tmp_path):
    given, _ = of_grey()
    empty = Split(
        Arrays(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), np.zeros(1, np.int64)),
        np.arange(0),
        "test",
    )
    broken = Split(
        Pictures([blank(tmp_path / "a.png", b"x")], np.zeros(1, np.int64), tmp_path),
        np.arange(1),
        "test",
    )
    for split in (empty, broken):
        with pytest.raises(DataError, match="split test has no picture that can be read"):
            given.split(split)


def test_a_network_for_floats_does_not_guess_how_a_file_was_prepared(tmp_path):
    given = scorer(ARRAYS, 64, floats=True)
    for shown in (GREY[0], Image.fromarray(GREY[0]), picture(tmp_path / "a.png")):
        with pytest.raises(DataError, match="trained on float arrays"):
            seen(given, shown)
    assert seen(given, GREY[0].astype(np.float32)).shape == (1, 4)


def test_a_file_for_a_network_on_arrays_that_are_no_squares_says_so(tmp_path):
    given = scorer(Preprocess(size=None, channels=1, crop=1.0), 6 * 8)
    assert seen(given, np.zeros((6, 8), np.uint8)).shape == (1, 4)
    with pytest.raises(DataError, match="no squares"):
        seen(given, picture(tmp_path / "a.png"))


def test_a_picture_of_another_shape_is_our_error_not_torchs():
    given = scorer(Preprocess(size=None, channels=1, crop=1.0), 6 * 8)
    with pytest.raises(DataError, match=r"cannot take pictures of shape \(1, 5, 8\)"):
        seen(given, np.zeros((5, 8), np.uint8))
    with pytest.raises(DataError, match="several shapes"):
        seen(given, [np.zeros((6, 8), np.uint8), np.zeros((5, 8), np.uint8)])


def test_more_pictures_than_a_batch_keep_their_order():
    given, _ = of_grey()
    many = np.random.default_rng(2).integers(0, 256, (150, 8, 8), dtype=np.uint8)
    np.testing.assert_allclose(seen(given, many)[140:], seen(given, many[140:]), atol=1e-6)


@pytest.mark.parametrize("want", [1, 3, 4])
@pytest.mark.parametrize("size", [8, 6])
def test_four_channels_score_as_their_split_in_every_layout(want, size):
    x = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (5, 4, 8, 8), dtype=np.uint8))
    given = scorer(Preprocess(size=size, channels=want, crop=1.0), want * size * size)
    expected = given.split(Split(Arrays(x, np.zeros(5, np.int64)), np.arange(5))).probabilities
    for batch in (x, x.movedim(1, 3), x.movedim(1, 3).numpy(), list(x.movedim(1, 3).numpy())):
        np.testing.assert_allclose(seen(given, batch), expected, atol=1e-6)
    if want > 1:  # for a grey network they are four pictures
        np.testing.assert_allclose(seen(given, x[2]), expected[2:3], atol=1e-6)
    if want < 4:
        np.testing.assert_allclose(seen(given, x[:, :3]), expected, atol=1e-6)


def test_a_channel_that_is_missing_is_not_made_up(tmp_path):
    given = scorer(Preprocess(size=8, channels=4, crop=1.0), 4 * 64)
    for shown in (
        np.zeros((8, 8, 3), np.uint8),
        GREY[0],
        picture(tmp_path / "a.png"),
        Image.fromarray(GREY[0]),
    ):
        with pytest.raises(DataError, match="arrays of 4 channels"):
            seen(given, shown)


@pytest.mark.parametrize("recipe", [{}, {"image_size": 6}])
@pytest.mark.parametrize("shape", [(3, 9, 9), (3, 9, 12), (1, 9, 9)])
def test_a_tensor_scores_as_the_dataset_that_gives_it(shape, recipe):
    x = torch.from_numpy(np.random.default_rng(4).integers(0, 256, (5, *shape), dtype=np.uint8))
    split = Split(Items([(picture, 0) for picture in x], np.zeros(5, np.int64)), np.arange(5))
    made, _ = preprocess_for(
        Recipe(**recipe), Data(split, None, None, ("a",), "x", "f"), Preprocess()
    )
    given = scorer(made, shape[0] * (recipe["image_size"] ** 2 if recipe else shape[1] * shape[2]))
    expected = given.split(split).probabilities
    np.testing.assert_allclose(seen(given, x), expected, atol=1e-6)
    np.testing.assert_allclose(seen(given, x[1]), expected[1:2], atol=1e-6)


def test_float_vectors_of_a_dataset_are_predicted_and_what_is_no_row_is_refused():
    x = torch.rand(5, 7)
    split = Split(Items([(row, 0) for row in x], np.zeros(5, np.int64)), np.arange(5))
    made, _ = preprocess_for(Recipe(), Data(split, None, None, ("a",), "x", "f"), Preprocess())
    given = scorer(made, 7, floats=True)
    np.testing.assert_allclose(seen(given, x), given.split(split).probabilities, atol=1e-6)
    bare = of_network(nn.Linear(7, 4), Preprocess(size=224), floats=True)
    with pytest.raises(DataError, match="cannot take pictures of shape"):
        seen(bare, x)


def test_views_of_a_picture_are_averaged_and_a_mirrored_one_is_its_own():
    given = scorer(ARRAYS, 64)
    one, x = seen(given, GREY), GREY[..., ::-1].copy()
    given = replace(given, tta=2)
    both = seen(given, GREY)
    np.testing.assert_allclose(both, (one + seen(scorer(ARRAYS, 64), x)) / 2, atol=1e-6)
    np.testing.assert_allclose(both, seen(given, x), atol=1e-6)
    given = replace(given, tta=4)
    assert not np.allclose(seen(given, GREY), both) and np.allclose(
        seen(given, GREY).sum(1), 1, atol=1e-5
    )


def test_rows_of_numbers_have_one_view():
    given = scorer(VECTORS, 6)
    rows = np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32)
    given = replace(given, floats=True)
    one = seen(given, rows)
    np.testing.assert_array_equal(one, seen(replace(given, tta=4), rows))


def test_without_flip_no_view_is_mirrored_and_each_is_nearer():
    given = scorer(ARRAYS, 64)
    views = [_view(torch.from_numpy(GREY).float()[:, None], i, flip=False) for i in range(3)]
    assert torch.equal(views[0][:, 0], torch.from_numpy(GREY).float())
    assert not torch.equal(views[1], views[0].flip(3)) and not torch.equal(views[1], views[2])
    mirrored, upright = (seen(replace(given, tta=2, flip=flip), GREY) for flip in (True, False))
    assert not np.allclose(mirrored, upright)


def test_a_deep_picture_is_brought_to_bytes_by_the_law_of_the_run(tmp_path):
    deep = Image.fromarray(np.linspace(0, 900, 64).reshape(8, 8).astype(np.uint16))
    deep.save(tmp_path / "deep.png")
    given = scorer(replace(FILES, span=(0.0, 4095.0)), 3 * FILES.square**2)
    by_law = given.squares(deep)[0]
    assert int(by_law.max()) < 60 < int(replace(given, preprocess=FILES).squares(deep)[0].max())
    assert torch.equal(by_law, given.squares(tmp_path / "deep.png")[0])
    drawn = pixels_of(pictures_of(deep, given.preprocess)[0][0], given.preprocess)
    assert int(drawn.max()) < 60
