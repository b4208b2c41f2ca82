"""The same picture, the same answer: by its file, a link, the panel, the command line, an export."""

import csv
import datetime
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from colab_kit.api import train
from colab_kit.cli import main
from colab_kit.data.formats.tiff import read
from colab_kit.data.loading import load
from colab_kit.errors import DataError
from colab_kit.models import nets
from colab_kit.runs.opening import open_run
from colab_kit.testing.fixtures import class_folders
from tests.support import LONG
from tests.support.containers import tiff
from tests.support.pictures import KINDS

CLOSE = {"atol": 1e-5, "rtol": 0}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("same")


@pytest.fixture(scope="module")
def run(place):
    root = class_folders(place / "set", ["cat", "dog", "eel"], each=6)
    fields = {"epochs": 2, "image_size": 16, "precision": "fp32", "lr": 0.02}
    return train(nets.cnn, root, run_dir=place / "run", quiet=True, **fields)


@pytest.fixture(scope="module")
def files(place) -> list[Path]:
    """A file of each kind."""
    paths = [place / name for name in KINDS]
    for path in paths:
        picture, how = KINDS[path.name]
        picture.save(path, **how)
    return paths


@pytest.fixture(scope="module")
def expected(run, files) -> np.ndarray:
    """What the run says of each file alone."""
    found = np.stack([run.predict(file, quiet=True).probabilities for file in files])
    assert np.ptp(found, axis=0).max() > 0.02, "pictures that all look alike would show nothing"
    return found


def test_alone_or_among_others(run, files, expected):
    np.testing.assert_allclose(run.predict(files, quiet=True).probabilities, expected, **CLOSE)


def test_by_a_link(run, files, expected, file_server):
    links = [file_server.put(file.name, file.read_bytes()) for file in files]
    np.testing.assert_allclose(run.predict(links, quiet=True).probabilities, expected, **CLOSE)


def test_on_the_command_line(run, files, expected, file_server, tmp_path):
    link = file_server.put(files[0].name, files[0].read_bytes())
    table = tmp_path / "answers.csv"
    words = [str(run.folder), *map(str, files), link, "--device", "cpu", "--csv", str(table)]
    assert main.main(["predict", *words]) == 0
    rows = list(csv.DictReader(table.open()))
    found = np.array([[float(row[name]) for name in run.classes] for row in rows])
    np.testing.assert_allclose(found, [*expected, expected[0]], **CLOSE)


def test_in_the_panel(run, files, expected):
    pytest.importorskip("ipywidgets")
    from colab_kit.panels.controls import Result

    result = Result()
    result.run = run
    for file, row in zip(files, expected, strict=True):
        content = memoryview(file.read_bytes())
        about = {"name": file.name, "type": "", "size": len(content), "content": content}
        result.upload.value = ({**about, "last_modified": datetime.datetime(2026, 1, 1)},)
        meters = re.findall(r'value="([\d.]+)" aria-label="(\w+)"', result.message.value)
        found = {name: float(value) for value, name in meters}
        answer = [found[name] for name in run.classes]
        np.testing.assert_allclose(answer, row, **CLOSE, err_msg=file.name)


def test_by_an_exported_file(run, files, expected, tmp_path):
    again = open_run(run.export(tmp_path / "same.safetensors"), device="cpu")
    np.testing.assert_allclose(again.predict(files, quiet=True).probabilities, expected, **CLOSE)


@pytest.mark.skipif(not LONG, reason="the exporter takes seconds: COLAB_KIT_LONG=1")
def test_by_onnx(run, files, expected, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    scorer, path = run._scorer(), run.export(tmp_path / "same.onnx")
    x = np.concatenate([scorer.input(scorer.squares(file)[0]).numpy() for file in files])
    (scores,) = runtime.InferenceSession(str(path)).run(["y"], {"x": x})
    found = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(found / found.sum(1, keepdims=True), expected, **CLOSE)


class Listed(Dataset):
    """PIL pictures made of arrays, numbered by turns."""

    def __init__(self, arrays):
        self.arrays = arrays

    def __len__(self):
        return len(self.arrays)

    def __getitem__(self, row):
        return Image.fromarray(self.arrays[row]), row % 2


def test_deep_items_share_one_law_in_training_and_predicting(tmp_path):
    dark, bright = (np.full((20, 20), level, np.uint16) for level in (400, 4000))
    data = load(Listed([dark, bright] * 4), valid=0, quiet=True)
    run = train(nets.cnn, data, epochs=1, image_size=16, run_dir=tmp_path / "run", quiet=True)
    assert run.preprocess.span == (0.0, 4095.0)
    found = run.predict([dark, Image.fromarray(dark)], quiet=True).probabilities
    np.testing.assert_allclose(
        run.predict(data.train, quiet=True).probabilities[0], found[0], atol=1e-6
    )
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def landscapes(root: Path, bands: int, dtype: type) -> list[Path]:
    """Class folders of TIFFs of noise with so many bands, one class brighter; the files."""
    numbers, top = np.random.default_rng(5), np.iinfo(dtype).max // 2
    files = []
    for at, name in enumerate(("forest", "river")):
        for n in range(6):
            samples = (numbers.integers(0, top, (16, 16, bands)) // (2 - at)).astype(dtype)
            files.append(tiff(root / name / f"{n}.tif", samples))
            if bands == 4 and dtype == np.uint8:  # as Pillow writes and opens it: RGBA
                Image.fromarray(samples).save(files[-1])
    return files


@pytest.mark.parametrize(("bands", "dtype"), [(4, np.uint8), (4, np.uint16), (13, np.uint16)])
def test_a_run_on_many_bands_reads_a_file_as_its_training_files(tmp_path, bands, dtype):
    files = landscapes(tmp_path / "set", bands, dtype)
    data = load(tmp_path / "set", valid=0, quiet=True)
    run = train(nets.cnn, data, epochs=1, run_dir=tmp_path / "run", quiet=True)
    expected = run.predict(data.train, quiet=True).probabilities
    again = open_run(run.export(tmp_path / "same.safetensors"), device="cpu")
    arrays = np.stack([read(file) for file in files])
    shown = [tmp_path / "set", files, [file.read_bytes() for file in files], arrays]
    shown += [arrays.transpose(0, 2, 3, 1), list(arrays), torch.from_numpy(arrays.astype(dtype))]
    if bands == 4 and dtype == np.uint8:
        shown += [[Image.open(file) for file in files], [opened(file) for file in files]]
    else:
        shown.append(arrays.astype(np.float64))
    for one in shown:
        for asked in (run, again):
            found = asked.predict(one, quiet=True).probabilities
            np.testing.assert_allclose(found, expected, **CLOSE)
    assert run.predict(files[0], quiet=True).label == run.predict(arrays[0], quiet=True).label
    assert run.show(files[0]).is_file()


def opened(file: Path) -> Image.Image:
    picture = Image.open(file)
    picture.load()
    return picture


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros((16, 16, 5), np.uint16), r"it has 5 band\(s\); .* TIFFs of 4 bands of uint16"),
        (np.zeros((16, 16, 1), np.uint16), r"it has 1 band\(s\); "),
        (np.zeros((16, 16, 4), np.uint8), "its numbers are uint8; "),
        (np.zeros((16, 16, 4), np.float32), "its numbers are float32; "),
    ],
)
def test_a_file_of_other_bands_is_an_error_in_words(banded, tmp_path, samples, said):
    file = tiff(tmp_path / "a.tif", samples)
    with pytest.raises(DataError, match="No picture could be read") as error:
        banded.predict(file, quiet=True)
    assert re.search(said, error.value.why) and "in their order" in error.value.fix


@pytest.mark.parametrize("shape", [(16, 16), (3, 16, 16), (16, 16, 5), (2, 5, 16, 16), (16,)])
def test_an_array_of_other_bands_is_an_error_in_words(banded, shape):
    with pytest.raises(DataError, match="was given an array of shape") as error:
        banded.predict(np.zeros(shape, np.uint16), quiet=True)
    assert "4 bands" in error.value.why and "(4, H, W)" in error.value.fix


def test_what_is_no_tiff_is_an_error_and_among_others_a_row_that_says_why(banded, files):
    with pytest.raises(DataError, match="No picture could be read") as error:
        banded.predict(files[0], quiet=True)
    assert "not as a TIFF" in error.value.why
    good = np.zeros((4, 16, 16), np.uint16)
    rows = banded.predict([good, files[0], "no/such.tif"], quiet=True)
    assert [row.label is None for row in rows] == [False, True, True]


@pytest.fixture(scope="module")
def banded(place):
    landscapes(place / "bands", 4, np.uint16)
    data = load(place / "bands", valid=0, quiet=True)
    return train(nets.cnn, data, epochs=1, run_dir=place / "banded", quiet=True)
