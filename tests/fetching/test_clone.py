"""clone(): first a clone, then an update; what the user made is never touched, and a token is written nowhere."""

import base64
import hashlib
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from colab_kit.errors import FetchError, LinkError, NotFound, Private, Stopped
from colab_kit.events import Control
from colab_kit.fetching.clone import Repo, clone

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name in ("GITHUB_TOKEN", "GH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ann")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ann@example.org")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def git(at, *words):
    return subprocess.run(
        ["git", *words], cwd=at, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def course(tmp_path):
    """A repository with one commit."""
    at = tmp_path / "course"
    at.mkdir()
    git(at, "init", "-q", "-b", "main")
    commit(at, "train.py", "print('one')\n")
    return at


def commit(at, name, content):
    (at / name).parent.mkdir(parents=True, exist_ok=True)
    (at / name).write_text(content)
    git(at, "add", "-A")
    git(at, "commit", "-q", "-m", name)
    return git(at, "rev-parse", "HEAD")


def got(course, to=None, *, heard=None, **options):
    return clone(
        course.as_uri() if isinstance(course, Path) else course,
        to,
        callbacks=None if heard is None else [heard.append],
        quiet=True,
        **options,
    )


def said(heard):
    return " ".join(event.text for event in heard)


def test_a_first_clone_is_shallow_and_the_second_call_brings_it_up_to_date(course, here):
    commit(course, "a.txt", "a")
    heard = []
    first = got(course, heard=heard)
    assert (
        isinstance(first, Repo)
        and first.path == Path("course")
        and first.changed
        and first.commit == git(course, "rev-parse", "HEAD")
    )
    assert (
        git("course", "rev-list", "--count", "HEAD") == "1"
        and git("course", "branch", "--show-current") == "main"
        and "Cloned" in said(heard)
    )
    again = got(course)
    assert again.cached and not again.changed and again.commit == first.commit
    new = commit(course, "train.py", "print('two')\n")
    heard = []
    newer = got(course, heard=heard)
    assert (
        newer.changed
        and newer.commit == new
        and (newer / "train.py").read_text() == "print('two')\n"
        and "1 files changed" in said(heard)
    )
    assert os.listdir(here) == ["course"]


def test_a_changed_file_is_named_and_left_and_force_throws_it_away(course):
    got(course)
    Path("course/train.py").write_text("mine")
    Path("course/notes.txt").write_text("untracked")
    new = commit(course, "train.py", "print('two')\n")
    heard = []
    kept = got(course, heard=heard)
    assert (
        not kept.changed
        and Path("course/train.py").read_text() == "mine"
        and "train.py" in said(heard)
        and new[:7] in said(heard)
    )
    forced = got(course, force=True)
    assert (
        forced.commit == new
        and forced.changed
        and Path("course/train.py").read_text() == "print('two')\n"
    )
    assert Path("course/notes.txt").read_text() == "untracked"


def test_commits_of_the_users_own_are_left(course):
    got(course)
    own = commit(Path("course"), "own.txt", "own")
    commit(course, "b.txt", "b")
    assert got(course).commit == own and Path("course/own.txt").exists()
    assert got(course, force=True).commit == git(course, "rev-parse", "HEAD")


def test_an_untracked_file_in_the_way_is_named_and_kept(course):
    got(course)
    Path("course/new.txt").write_text("mine")
    commit(course, "new.txt", "theirs")
    for force in (False, True):
        with pytest.raises(FetchError, match="new.txt"):
            got(course, force=force)
        assert Path("course/new.txt").read_text() == "mine"


def test_an_ignored_file_in_the_way_is_kept_too(course):
    commit(course, ".gitignore", "*.pt\n")
    got(course)
    Path("course/model.pt").write_text("mine")
    (course / "model.pt").write_text("theirs")
    git(course, "add", "-f", "model.pt")
    git(course, "commit", "-q", "-m", "model")
    with pytest.raises(FetchError, match="model.pt"):
        got(course)
    assert Path("course/model.pt").read_text() == "mine"


def test_a_commit_on_the_branch_that_is_not_checked_out_is_left(course):
    got(course)
    own = commit(Path("course"), "own.txt", "own")
    git("course", "checkout", "-q", "-b", "elsewhere", "HEAD~0")
    git("course", "reset", "-q", "--hard", "refs/colab-kit/fetched")
    commit(course, "b.txt", "b")
    heard = []
    assert not got(course, heard=heard).changed and "commit on main" in said(heard)
    assert git("course", "rev-parse", "main") == own


@pytest.mark.parametrize(
    "wrong", [{"ref": 5}, {"ref": "a\0"}, {"ref": "\ud800"}, {"to": 5}, {"token": 5}]
)
def test_an_argument_that_cannot_be_is_said(course, wrong):
    with pytest.raises(LinkError):
        got(course, **wrong)


def test_history_that_was_rewritten_is_followed_on_a_clean_tree(course):
    got(course)
    git(course, "commit", "-q", "--amend", "-m", "rewritten")
    assert got(course).commit == git(course, "rev-parse", "HEAD")


def test_branches_tags_and_commits(course):
    old = git(course, "rev-parse", "HEAD")
    git(course, "tag", "-a", "v1", "-m", "v1")
    git(course, "checkout", "-q", "-b", "work/deep")
    branch = commit(course, "b.txt", "b")
    git(course, "checkout", "-q", "main")
    git(course, "config", "uploadpack.allowAnySHA1InWant", "true")
    assert got(course, ref="work/deep").commit == branch and got(course, ref="v1").commit == old
    assert got(course, ref=branch).commit == branch and got(course).commit == old
    with pytest.raises(NotFound, match="nothing-like-this"):
        got(course, ref="nothing-like-this")


def test_another_folder_of_that_name_is_kept(course, tmp_path):
    Path("course").mkdir()
    Path("course/mine.txt").write_text("mine")
    with pytest.raises(FetchError, match="is kept"):
        got(course)
    assert os.listdir("course") == ["mine.txt"]
    other = tmp_path / "other" / "course"
    shutil.copytree(course, other)
    got(other, "there")
    with pytest.raises(FetchError, match="it is a clone of"):
        got(course, "there")


def test_a_lock_that_a_killed_git_left_is_removed(course):
    got(course)
    Path("course/.git/index.lock").touch()
    new = commit(course, "b.txt", "b")
    heard = []
    assert got(course, heard=heard).commit == new and "index.lock" in said(heard)


def test_pointers_of_git_lfs_are_told(course):
    commit(course, ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    git(course, "config", "filter.lfs.clean", "cat")
    commit(
        course,
        "w.bin",
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n",
    )
    heard = []
    got(course, heard=heard)
    assert "w.bin" in said(heard) and "LFS" in said(heard)


def test_a_script_of_it_is_run_and_what_is_run_is_said_before(course, capsys):
    heard = []
    repo = got(course)
    repo.run("train.py", callbacks=[heard.append], quiet=True)
    digest = hashlib.sha256((repo / "train.py").read_bytes()).hexdigest()
    assert capsys.readouterr().out == "one\n"
    assert course.as_uri() in said(heard) and repo.commit in said(heard) and digest in said(heard)
    with pytest.raises(FetchError, match="did you mean train.py"):
        repo.run("trian.py", quiet=True)


@pytest.mark.parametrize(
    "address", ["", "not a repository", "ftp://h/x", "https://github.com/ann", 3]
)
def test_what_names_no_repository_is_said(address):
    with pytest.raises(LinkError):
        got(address)


def test_what_is_not_there_leaves_nothing(tmp_path, here):
    with pytest.raises(FetchError):
        got((tmp_path / "gone.git").as_uri())
    assert os.listdir(here) == []


class Private_(BaseHTTPRequestHandler):
    """git over dumb HTTP, for those who know the token."""

    token, root, seen = "s3cret-token", "", []

    def do_GET(self):
        said = self.headers.get("Authorization", "")
        self.seen.append(said)
        path = Path(self.root + self.path.partition("?")[0])
        right = said.startswith("Basic ") and base64.b64decode(said[6:]).decode().endswith(
            f":{self.token}"
        )
        content = path.read_bytes() if right and path.is_file() else b""
        self.send_response(401 if not right else 200 if path.is_file() else 404)
        if not right:
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def private(course, tmp_path):
    bare = tmp_path / "served" / "course.git"
    git(tmp_path, "clone", "-q", "--bare", str(course), str(bare))
    git(bare, "update-server-info")
    handler = type("Handler", (Private_,), {"root": str(tmp_path / "served"), "seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/course.git"
    server.shutdown()
    server.server_close()


def test_a_private_repository_without_a_token_says_which_is_wanted(private, here):
    with pytest.raises(Private, match="token"):
        got(private)
    assert os.listdir(here) == []


def test_a_wrong_token_is_refused_without_being_shown(private, here):
    with pytest.raises(FetchError) as caught:
        got(private, token="wr0ng-token")
    assert "wr0ng-token" not in str(caught.value) and os.listdir(here) == []


def test_a_token_opens_it_and_stands_in_no_file_and_no_word(private, here, capfd):
    heard = []
    try:
        got(private, heard=heard, token=Private_.token)
    except FetchError as err:  # dumb HTTP knows no shallow fetch: what counts is that the token was taken, and where it is not
        assert "shallow" in err.why or "dumb" in err.why, err
    out, err = capfd.readouterr()
    assert Private_.token not in out + err + said(heard)
    for path in here.rglob("*"):
        assert not path.is_file() or Private_.token.encode() not in path.read_bytes(), path


class Silent(BaseHTTPRequestHandler):
    """Says nothing until the test is over, and tells that it was asked."""

    def do_GET(self):
        self.server.asked()
        self.server.over.wait(30)

    def log_message(self, *args):
        pass


def test_a_stop_ends_a_clone_from_a_silent_server(here):
    control, server = Control(), ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    server.daemon_threads, server.over = True, threading.Event()
    server.asked = lambda: control.stop("enough")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with pytest.raises(Stopped, match="enough"):
            got(f"http://127.0.0.1:{server.server_address[1]}/ann/course.git", control=control)
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
    assert not list(here.iterdir())
