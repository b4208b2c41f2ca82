"""The plan of a call: what is used, kept, continued or fetched, decided from values alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from colab_kit.errors import FetchError, Offline
from colab_kit.fetching.links.address import Link
from colab_kit.fetching.plan import Options, Target, plan, question, target_of
from colab_kit.fetching.records import Here, Record
from colab_kit.fetching.remote import Remote

LINK = Link("http", "https://h.org/x.bin", "x.bin", "https://h.org/x.bin")
FILE, FOLDER = Target(Path("x.bin")), Target(Path("p.zip"), Path("p"))
RECORD = Record(LINK.identity, LINK.url, "ab" * 32, 10, '"v1"')
NOTHING = Here(Path("x.bin"))
MINE = Here(Path("x.bin"), exists=True, size=10, record=RECORD, is_mine=True)
THEIRS = Here(Path("x.bin"), exists=True, size=10)
NEWER = Remote("x.bin", 12, '"v2"')


class Unpacked(Here):
    """A folder that an earlier call unpacked; `edited` stands for a look at its files."""

    edited = False

    def untouched(self):
        return not self.edited


class Edited(Unpacked):
    edited = True


def unpacked(kind=Unpacked):
    return kind(Path("p"), exists=True, is_folder=True, record=RECORD, is_mine=True)


def decide(here=NOTHING, remote=None, target=FILE, link=LINK, **options):
    return plan(link, remote, here, target, Options(**options))


@pytest.mark.parametrize(
    ("remote", "step"),
    [
        (None, "use"),
        (Remote("", None, '"v1"', unchanged=True), "use"),
        (Remote("", 99, '"v1"'), "use"),
        (Remote("", 10, ""), "use"),
        (Remote("", 12, ""), "download"),
        (NEWER, "download"),
    ],
)
def test_a_file_of_ours_is_used_unless_the_server_has_another_version(remote, step):
    decided = decide(MINE, remote)
    assert decided.step == step
    assert bool(decided.notes) == (step == "download")


def test_a_hash_decides_without_the_server():
    assert question(MINE, FILE, Options(sha256="cd")) is None
    assert decide(MINE, sha256="cd").step == "download"
    assert decide(replace(MINE, has_hash=True), sha256="ab").step == "use"


def test_a_file_of_the_users_is_used_if_it_has_the_servers_size_and_else_kept():
    assert question(THEIRS, FILE, Options()) == ""
    decided = decide(THEIRS, Remote("", 10, ""))
    assert (decided.step, decided.record) == ("use", None)
    with pytest.raises(FetchError, match="overwrite=True"):
        decide(THEIRS, NEWER)


def test_a_file_with_another_hash_is_kept_offline_too():
    with pytest.raises(FetchError, match="another sha256"):
        decide(THEIRS, offline=True, sha256="ab")


def test_what_may_be_replaced_is_not_asked_about():
    assert question(THEIRS, FILE, Options(overwrite=True)) is None
    assert decide(THEIRS, overwrite=True).step == "download"


def test_offline_uses_what_is_here_and_names_what_is_not():
    assert question(MINE, FILE, Options(offline=True)) is None
    assert decide(MINE, offline=True).step == "use"
    assert decide(THEIRS, offline=True).notes
    with pytest.raises(Offline):
        decide(offline=True)


def test_what_is_neither_file_nor_folder_is_not_taken_for_the_file():
    link = replace(NOTHING, exists=True)
    for more in ({}, {"offline": True}):
        with pytest.raises(FetchError, match="is no file"):
            decide(link, **more)
    assert decide(link, overwrite=True).step == "download"


def test_a_part_is_resumed_and_a_folder_takes_no_files_name():
    assert decide(replace(NOTHING, part_left=True)).step == "resume"
    with pytest.raises(FetchError, match="is a folder"):
        decide(Here(Path("x.bin"), exists=True, is_folder=True))


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ({}, "stream"),
        ({"sha256": "ab"}, "download"),
        ({"keep_archive": True}, "download"),
        ({"mirrors": [LINK]}, "download"),
    ],
)
def test_a_zip_is_streamed_unless_the_archive_itself_is_needed(options, step):
    assert decide(target=FOLDER, **options).step == step


def test_a_tar_and_a_part_of_a_zip_are_downloaded():
    assert decide(target=Target(Path("p.tar"), Path("p"))).step == "download"
    assert decide(replace(NOTHING, part_left=True), target=FOLDER).step == "resume"


def test_a_copy_on_drive_is_restored_while_the_server_has_its_version():
    here = replace(NOTHING, copy=RECORD)
    assert question(here, FOLDER, Options()) == '"v1"'
    assert decide(here, target=FOLDER).step == "restore"
    assert decide(here, target=FOLDER, offline=True).step == "restore"
    assert decide(here, NEWER, FOLDER).step == "stream"


def test_an_unpacked_folder_that_changed_at_its_source_is_replaced_only_if_it_is_untouched():
    assert decide(unpacked(), NEWER, FOLDER).step == "stream"
    kept = decide(unpacked(Edited), NEWER, FOLDER)
    assert kept.step == "use"
    assert kept.notes[0].level == "warn"
    assert decide(unpacked(Edited), NEWER, FOLDER, overwrite=True).step == "stream"


def test_a_users_folder_and_one_with_another_hash_are_kept():
    with pytest.raises(FetchError, match="is kept"):
        decide(Here(Path("p"), exists=True, is_folder=True), target=FOLDER)
    with pytest.raises(FetchError, match="another sha256"):
        decide(unpacked(Edited), target=FOLDER, sha256="cd")


def test_a_path_of_this_machine_is_copied():
    local = Link("file", "p.zip", "p.zip", "file:p.zip")
    assert decide(target=FOLDER, link=local, offline=True).step == "copy"


@pytest.mark.parametrize(
    ("name", "options", "target"),
    [
        ("x.bin", Options(), Target(Path("x.bin"))),
        ("x.bin", Options("d/"), Target(Path("d/x.bin"))),
        ("x.bin", Options("y.bin"), Target(Path("y.bin"))),
        ("x.bin", Options("odd", named=True), Target(Path("odd"))),
        ("p.tar.gz", Options("d"), Target(Path("d/p.tar.gz"), Path("d/p"))),
        ("p.zip", Options(extract=False), Target(Path("p.zip"))),
        ("p.zip", Options("q.zip"), Target(Path("q.zip"))),
        ("p.zip", Options("q.zip", extract=True), Target(Path("q.zip"), Path("q"))),
        ("p.zip", Options("q", named=True, extract=True), Target(Path("q"), Path("p"))),
        ("x.csv.gz", Options(), Target(Path("x.csv.gz"))),
        ("x.csv.gz", Options(extract=True), Target(Path("x.csv.gz"), Path("x.csv"), single=True)),
    ],
)
def test_where_a_file_goes(name, options, target):
    assert target_of(name, options) == target
