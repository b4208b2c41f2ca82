"""Downloads: weights are fetched once on a machine, and not at all where another has put them on the shelf, whole and right."""

import hashlib

import pytest

from colab_kit.api import transfer
from colab_kit.data.loading import load
from colab_kit.errors import DriveError, FetchError, Stopped
from colab_kit.events import Control
from colab_kit.models import backbones
from colab_kit.models.backbones import WeightFiles
from colab_kit.testing.fixtures import class_folders
from tests.support.shelves import FolderShelf

CONTENT = b"weights of a net"
HASH = hashlib.sha256(CONTENT).hexdigest()
URL = f"https://nowhere.invalid/net-{HASH[:8]}.pth"


class Fetching:
    def __init__(self, content=CONTENT):
        self.content, self.asked = content, 0

    def __call__(self, urls, to, *, sha256=None):
        self.asked += 1
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(self.content)
        return to


def never(*args, **how):
    raise AssertionError("nobody should ask the network")


def test_a_whole_file_that_is_there_needs_no_network(tmp_path):
    (tmp_path / f"net-{HASH[:8]}.pth").write_bytes(CONTENT)
    get = backbones._whole_get(None)
    assert WeightFiles(tmp_path, None, get).get(URL, "net").read_bytes() == CONTENT


def test_what_is_fetched_is_put_on_the_shelf_once_and_the_next_machine_takes_it(tmp_path):
    shelf, fetch = FolderShelf(tmp_path / "drive"), Fetching()
    for _ in range(2):
        WeightFiles(tmp_path / "one", shelf, fetch).get(URL, "net")
    assert shelf.pushed == [f"weights/{HASH[:16]}-net.pth"]
    there = WeightFiles(tmp_path / "two", shelf, never).get(URL, "net")
    assert there == tmp_path / "two" / f"net-{HASH[:8]}.pth" and there.read_bytes() == CONTENT
    assert [p.name for p in there.parent.iterdir()] == [there.name], "nothing half-copied stays"


@pytest.mark.parametrize("content", [CONTENT[:-3], b"of another version"])
def test_a_copy_that_is_torn_or_of_another_version_is_fetched_again(content, tmp_path):
    shelf, fetch = FolderShelf(tmp_path / "drive"), Fetching()
    (shelf.root / "weights").mkdir(parents=True)
    name = HASH if content.startswith(CONTENT[:3]) else hashlib.sha256(content).hexdigest()
    (shelf.root / "weights" / f"{name[:16]}-net.pth").write_bytes(content)
    assert (
        WeightFiles(tmp_path / "two", shelf, fetch).get(URL, "net").read_bytes() == CONTENT
        and fetch.asked == 1
    )


def test_backbones_of_the_hub_whose_files_are_called_alike_do_not_meet(tmp_path):
    shelf = FolderShelf(tmp_path / "drive")
    for name in ("timm/a", "timm/b"):
        WeightFiles(tmp_path / "one", shelf, Fetching(name.encode())).get(
            "https://hub.invalid/model.safetensors", name, name[-1]
        )
    for name in ("timm/a", "timm/b"):
        assert (
            WeightFiles(tmp_path / "two", shelf, never)
            .get("https://hub.invalid/model.safetensors", name, name[-1])
            .read_bytes()
            == name.encode()
        )


def test_a_large_file_and_a_shelf_that_cannot_be_read_cost_nothing(tmp_path, monkeypatch):
    shelf = FolderShelf(tmp_path / "drive")
    monkeypatch.setattr(backbones, "LARGEST", 3)
    WeightFiles(tmp_path / "one", shelf, Fetching()).get(URL, "net")
    assert not shelf.pushed

    def gone(name):
        raise DriveError("Drive is not there.", "it dropped away", "mount again")

    shelf.find = gone
    assert WeightFiles(tmp_path / "two", shelf, Fetching()).get(URL, "net").read_bytes() == CONTENT


def test_without_a_network_the_offline_backbone_is_offered(tmp_path):
    def down(urls, to, *, sha256=None):
        raise OSError("no route")

    with pytest.raises(FetchError, match="efficientnet_lite0"):
        WeightFiles(tmp_path, None, down).get(URL, "net")


def test_a_stopped_download_is_no_missing_network(tmp_path):
    def stopped(*args, **options):
        raise Stopped("It did not come.", "enough")

    with pytest.raises(Stopped, match="It did not come"):
        WeightFiles(tmp_path, None, stopped).get(URL, "net")


def test_a_stop_before_a_transfer_fetches_no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("COLAB_KIT_HOME", str(tmp_path / "home"))
    data, control = load(class_folders(tmp_path / "set", each=4), quiet=True), Control()
    control.stop("enough")
    with pytest.raises(Stopped, match="enough"):
        transfer(data, "resnet18", run_dir=tmp_path / "run", control=control, quiet=True)
