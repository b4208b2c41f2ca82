"""What a fetch brings: a path, a module, a script."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest

from colab_kit.errors import FetchError, NotFound, Stopped
from colab_kit.events import Control
from colab_kit.fetching import fetched as fetched_room
from colab_kit.fetching import modules
from colab_kit.fetching.fetched import Fetched
from colab_kit.system import process as children
from colab_kit.testing.fixtures import Heard


@pytest.fixture(autouse=True)
def own_modules(monkeypatch):
    before, finders = dict(sys.modules), list(sys.meta_path)
    yield
    sys.meta_path[:] = finders
    for name in set(sys.modules) - set(before):
        if hasattr(sys.modules[name], "__fetched__") or isinstance(
            getattr(sys.modules[name], "__loader__", None), modules._SourceLoader
        ):
            del sys.modules[name]


def fetched(
    path: Path, text: str | None = None, url: str = "https://example.org/helper.py"
) -> Fetched:
    if text is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    data = path.read_bytes() if path.is_file() else b""
    return Fetched(path, url, hashlib.sha256(data).hexdigest() if data else None, len(data), False)


def test_it_is_a_path(tmp_path):
    got = fetched(tmp_path)
    assert (
        os.fspath(got) == str(got) == str(tmp_path)
        and got / "a" == tmp_path / "a"
        and Path(got) == tmp_path
        and got.archive is None
    )


# as_module


def test_a_python_file_becomes_a_module_and_its_address_and_hash_are_said_first(tmp_path, heard):
    got = fetched(
        tmp_path / "my-helper.py",
        "import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int = 1\ndef f(): return 7\n",
    )
    module = got.as_module(callbacks=[heard], quiet=True)
    assert module.f() == 7 and sys.modules["my_helper"] is module and module.__name__ == "my_helper"
    assert pickle.loads(pickle.dumps(module.A(3))) == module.A(3) and dataclasses.asdict(
        module.A()
    ) == {"x": 1}
    assert got.url in heard.text and str(got.sha256) in heard.text
    assert os.listdir(tmp_path) == ["my-helper.py"], "no .pyc is left beside it"


def test_what_is_executed_is_said_before_it_is_executed(tmp_path):
    got = fetched(tmp_path / "speaker.py", "import builtins\nbuiltins.said.append('executed')\n")
    import builtins

    builtins.said = []
    try:
        got.as_module(callbacks=[lambda event: builtins.said.append(event.text)], quiet=True)
        assert len(builtins.said) == 2 and builtins.said[1] == "executed"
    finally:
        del builtins.said


def test_the_same_content_is_executed_once(tmp_path, heard):
    got = fetched(tmp_path / "once.py", "things = []")
    first = got.as_module(callbacks=[heard], quiet=True)
    first.things.append(1)
    assert (
        got.as_module(callbacks=[heard], quiet=True) is first
        and first.things == [1]
        and len(heard.notes) == 1
    )


def test_changed_content_is_executed_in_the_same_module(tmp_path):
    first = fetched(
        tmp_path / "changing.py", "a = 1\ndef gone(): pass\ndef f(): return 'old'\n"
    ).as_module(quiet=True)
    again = fetched(
        tmp_path / "elsewhere" / "changing.py", "a = 2\ndef f(): return 'new'\n"
    ).as_module(quiet=True)
    assert (
        again is first
        and first.a == 2
        and first.f() == "new"
        and not hasattr(first, "gone")
        and first.__name__ == "changing"
    )


def test_an_edited_file_is_said_to_be(tmp_path, heard):
    got = fetched(tmp_path / "edited.py", "a = 1")
    got.path.write_text("a = 2")
    assert (
        got.as_module(callbacks=[heard], quiet=True).a == 2
        and "edited since it was fetched" in heard.text
    )


def test_a_failing_change_leaves_the_module_as_it_was(tmp_path):
    first = fetched(tmp_path / "failing.py", "a = 1\ndef f(): return a\n").as_module(quiet=True)
    with pytest.raises(ZeroDivisionError):
        fetched(tmp_path / "failing.py", "a = 2\n1/0\n").as_module(quiet=True)
    assert first.f() == 1 and sys.modules["failing"] is first
    assert fetched(tmp_path / "failing.py", "a = 3").as_module(quiet=True).a == 3


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("def (", SyntaxError),
        ("import no_such_thing_at_all", ImportError),
        ("raise KeyError(1)", KeyError),
    ],
)
def test_its_own_error_is_passed_on_with_the_address_and_no_half_module_stays(tmp_path, text, kind):
    got = fetched(tmp_path / "broken.py", text)
    with pytest.raises(kind) as caught:
        got.as_module(quiet=True)
    assert got.url in "".join(caught.value.__notes__) and "broken" not in sys.modules


def test_a_traceback_shows_the_line_of_the_helper(tmp_path):
    module = fetched(tmp_path / "tracing.py", "def f():\n    return 1 / 0  # here\n").as_module(
        quiet=True
    )
    try:
        module.f()
    except ZeroDivisionError:
        assert "return 1 / 0  # here" in traceback.format_exc()


@pytest.mark.parametrize(
    "name", ["json", "torch", "pytest", "colab_kit", "sys", "this", "antigravity"]
)
def test_no_other_module_is_shadowed(tmp_path, name):
    got = fetched(tmp_path / f"{name}.py", "a = 1")
    before = sys.modules.get(name)
    with pytest.raises(FetchError, match="name="):
        got.as_module(quiet=True)
    assert sys.modules.get(name) is before
    assert got.as_module(name=f"my_{name}", quiet=True).a == 1 and sys.modules.get(name) is before


def test_a_helper_in_the_working_folder_is_no_other_module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    got = fetched(Path("helper_here.py"), "a = 1")
    assert got.as_module(quiet=True).a == 1
    fetched(Path("helper_there.py"), "b = 1")
    import helper_there

    assert (
        fetched(Path("helper_there.py"), "b = 2").as_module(quiet=True) is helper_there
        and helper_there.b == 2
    )


def test_another_file_of_the_same_name_does_not_take_its_place(tmp_path):
    fetched(tmp_path / "a" / "twin.py", "a = 1").as_module(quiet=True)
    with pytest.raises(FetchError, match="twin_fetched"):
        fetched(tmp_path / "b" / "twin.py", "a = 2", "https://example.org/other/twin.py").as_module(
            quiet=True
        )


@pytest.mark.parametrize("name", ["", "a.b", "a b", "class", "1a"])
def test_a_name_that_is_none_is_refused(tmp_path, name):
    with pytest.raises(FetchError, match="cannot be named"):
        fetched(tmp_path / "fine.py", "a = 1").as_module(name, quiet=True)


@pytest.mark.parametrize(
    ("file", "name"),
    [("1st-try.py", "_1st_try"), ("class.py", "class_"), ("a.b.py", "a_b"), ("ä.py", "_")],
)
def test_a_file_name_is_made_a_module_name(tmp_path, file, name):
    assert fetched(tmp_path / file, "a = 1").as_module(quiet=True).__name__ == name


def test_what_was_fetched_beside_it_can_be_imported_also_later(tmp_path, monkeypatch):
    fetched(tmp_path / "neighbour_a.py", "x = 1")
    fetched(tmp_path / "neighbour_b.py", "x = 2")
    path = list(sys.path)
    module = fetched(
        tmp_path / "uses.py",
        "import neighbour_a\ndef later():\n    import neighbour_b\n    return neighbour_b.x\n",
    ).as_module(quiet=True)
    assert module.neighbour_a.x == 1 and module.later() == 2 and sys.path == path
    assert not (tmp_path / "__pycache__").exists()


def test_a_neighbour_never_hides_what_is_installed(tmp_path):
    for name in ("json", "filelock", "secrets"):
        fetched(tmp_path / f"{name}.py", "mine = True")
    module = fetched(tmp_path / "asks.py", "import json, filelock, secrets").as_module(quiet=True)
    assert not any(
        hasattr(getattr(module, name), "mine") for name in ("json", "filelock", "secrets")
    )


def test_a_neighbour_that_changed_or_has_a_namesake_elsewhere_is_imported_anew(tmp_path):
    fetched(tmp_path / "a" / "shared_utils.py", "x = 'a'")
    one = fetched(tmp_path / "a" / "one.py", "import shared_utils").as_module(quiet=True)
    fetched(tmp_path / "b" / "shared_utils.py", "x = 'b'")
    two = fetched(
        tmp_path / "b" / "two.py", "import shared_utils", "https://example.org/two.py"
    ).as_module(quiet=True)
    assert (one.shared_utils.x, two.shared_utils.x) == ("a", "b")
    fetched(tmp_path / "b" / "shared_utils.py", "x = 'c'")
    assert (
        fetched(
            tmp_path / "b" / "two.py", "import shared_utils  # again", "https://example.org/two.py"
        )
        .as_module(quiet=True)
        .shared_utils.x
        == "c"
    )


def test_a_folder_with_init_is_a_package_and_a_changed_part_is_executed_again(tmp_path, heard):
    folder = tmp_path / "course_pack"
    fetched(folder / "__init__.py", "from .part import x")
    fetched(folder / "part.py", "x = 1")
    module = fetched(folder).as_module(callbacks=[heard], quiet=True)
    assert (
        module.x == 1
        and fetched(folder).as_module(callbacks=[heard], quiet=True) is module
        and len(heard.notes) == 1
    )
    (folder / "part.py").write_text("x = 22")
    assert fetched(folder).as_module(quiet=True) is module and module.x == 22
    assert not list(tmp_path.rglob("*.pyc"))


def test_a_folder_without_init_and_what_is_no_python_are_refused(tmp_path):
    fetched(tmp_path / "f" / "helper.py", "a = 1")
    with pytest.raises(FetchError, match='fetched / "helper.py"'):
        fetched(tmp_path / "f").as_module(quiet=True)
    with pytest.raises(FetchError, match="no Python file"):
        fetched(tmp_path / "a.ipynb", "{}").as_module(quiet=True)
    with pytest.raises(FetchError, match="cannot be read"):
        fetched(tmp_path / "absent.py").as_module(quiet=True)


# run


def program(folder: Path, text: str, name: str = "train.py") -> Fetched:
    fetched(folder / name, text)
    return fetched(folder, url="https://example.org/tools.zip")


def test_a_script_runs_in_its_folder_with_its_arguments_as_text(tmp_path, heard, capsys):
    got = program(
        tmp_path,
        "import os, sys\nprint(sys.argv[1:], os.getcwd(), sys.stdin.read(), os.environ['PYTHONUNBUFFERED'])",
        "a/go.py",
    )
    got.run("a/go.py", "--epochs", 3, Path("x y"), callbacks=[heard], quiet=True)
    assert capsys.readouterr().out == f"['--epochs', '3', 'x y'] {tmp_path}  1\n"
    assert "a/go.py --epochs 3 'x y'" in heard.text and got.url in heard.text


def test_a_fetched_file_runs_itself_and_says_its_hash(tmp_path, heard, capsys):
    got = fetched(tmp_path / "one.py", "import sys; print(sys.argv)")
    got.run("--fast", 2, callbacks=[heard], quiet=True)
    assert (
        capsys.readouterr().out == "['one.py', '--fast', '2']\n" and str(got.sha256) in heard.text
    )
    got.run(quiet=True)
    assert capsys.readouterr().out == "['one.py']\n"


def test_a_module_runs_by_m(tmp_path, capsys):
    fetched(tmp_path / "pkg" / "__init__.py", "")
    program(tmp_path, "import sys; print(__name__, sys.argv[1:])", "pkg/train.py").run(
        "-m", "pkg.train", 1, quiet=True
    )
    assert capsys.readouterr().out == "__main__ ['1']\n"
    with pytest.raises(FetchError, match="which module"):
        fetched(tmp_path).run("-m", quiet=True)


def test_a_shell_script_and_an_executable_run(tmp_path, capsys):
    program(tmp_path, "echo $1 $0", "go.sh").run("go.sh", "here", quiet=True)
    got = program(tmp_path, f"#!{sys.executable}\nprint('executed')", "tool")
    with pytest.raises(FetchError, match="not executable"):
        got.run("tool", quiet=True)
    (tmp_path / "tool").chmod(0o755)
    got.run("tool", quiet=True)
    assert capsys.readouterr().out == "here go.sh\nexecuted\n"
    fetched(tmp_path / "noise", "\x01\x02").path.chmod(0o755)
    with pytest.raises(FetchError, match="could not be started"):
        got.run("noise", quiet=True)


def test_output_comes_at_once_as_it_is_and_errors_among_it(tmp_path):
    asked, tell = os.pipe()

    class Screen(io.StringIO):
        def flush(self) -> None:
            if self.getvalue().endswith("first\r") and not self.told:
                self.told = True
                os.write(tell, b"go on")

        told = False

    text = f"import os, sys\nsys.stdout.write('first\\r')\nos.read({asked}, 5)\nprint('err', file=sys.stderr)\nprint('é')"
    (tmp_path / "t.py").write_text(text)
    screen = Screen()
    held = subprocess.Popen
    try:
        children.subprocess.Popen = lambda *a, **k: held(*a, **k, pass_fds=[asked])  # type: ignore[misc]
        fetched_room.run_command(
            [sys.executable, "t.py"], name="t.py", cwd=tmp_path, emit=lambda event: None, out=screen
        )
    finally:
        children.subprocess.Popen = held  # type: ignore[misc]
        os.close(asked), os.close(tell)
    assert screen.getvalue() == "first\rerr\né\n" and screen.told


def test_a_failed_script_says_its_status_and_its_last_lines(tmp_path, capsys):
    got = program(
        tmp_path,
        "import sys\nfor n in range(50): print('line', n)\nprint('10%\\r100%')\nsys.exit(3)",
    )
    with pytest.raises(FetchError) as caught:
        got.run("train.py", quiet=True)
    lines = caught.value.why.splitlines()
    assert caught.value.what == "train.py ended with exit status 3." and lines[1:] == [
        *(f"line {n}" for n in range(31, 50)),
        "100%",
    ]


def test_a_killed_script_is_said_by_the_signals_name(tmp_path, capsys):
    with pytest.raises(FetchError, match="ended by SIGKILL"):
        program(tmp_path, "import os; os.kill(os.getpid(), 9)").run("train.py", quiet=True)


class Interrupting(io.StringIO):
    """A screen that interrupts this process when it is shown a word, once for each time it comes."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word, self.seen = word, 0

    def flush(self) -> None:
        if self.getvalue().count(self.word) > self.seen:
            self.seen += 1
            os.kill(os.getpid(), signal.SIGINT)


SAVES = """
import os, signal, sys, time
def save(*a):
    os.write(1, b'saved\\n'); sys.exit(0)
signal.signal(signal.SIGINT, save)
os.write(1, b'ready\\n')  # print would write word and line's end apart
time.sleep(60)
"""
DEAF = """
import os, signal, time
signal.signal(signal.SIGINT, lambda *a: os.write(1, b'ready again' + bytes([10])))
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(1, b'ready %d' % os.getpid() + bytes([10]))
while True: time.sleep(60)
"""


def gone(pid: int) -> bool:
    """Whether a killed process ends, within ten seconds: the system takes its time, and a zombie has ended."""
    for _ in range(1000):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_an_interrupt_reaches_the_script_which_may_save(tmp_path, monkeypatch, heard):
    monkeypatch.setattr(sys, "stdout", screen := Interrupting("ready"))
    with pytest.raises(KeyboardInterrupt):
        program(tmp_path, SAVES).run("train.py", callbacks=[heard], quiet=True)
    assert screen.getvalue() == "ready\nsaved\n" and "Interrupted" in heard.text


def test_a_second_interrupt_ends_a_script_that_does_not_listen(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "PATIENCE", 0.1)
    monkeypatch.setattr(sys, "stdout", screen := Interrupting("ready"))
    with pytest.raises(KeyboardInterrupt):
        program(tmp_path, DEAF).run("train.py", quiet=True)
    assert screen.seen == 2 and gone(int(screen.getvalue().split()[1]))


def test_silence_after_an_interrupt_ends_it_and_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "PATIENCE", 0.1)
    monkeypatch.setattr(fetched_room, "SILENCE", 0.1)
    monkeypatch.setattr(sys, "stdout", screen := Interrupting("worker"))
    worker = (
        f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', '''{DEAF.replace('ready', 'worker')}'''])\n"
        + DEAF.replace("ready again", "")
    )
    with pytest.raises(KeyboardInterrupt):
        program(tmp_path, worker).run("train.py", quiet=True)
    pids = [int(word) for word in screen.getvalue().split() if word.isdigit()]
    assert pids and all(gone(pid) for pid in pids)


def test_a_control_stops_it(tmp_path, monkeypatch):
    control = Control()

    class Stopping(io.StringIO):
        def flush(self) -> None:
            if "ready" in self.getvalue():
                control.stop("enough")

    monkeypatch.setattr(sys, "stdout", screen := Stopping())
    with pytest.raises(Stopped, match="enough"):
        program(tmp_path, SAVES).run("train.py", quiet=True, control=control)
    assert "saved" in screen.getvalue()


def test_no_thread_no_zombie_and_no_handle_is_left(tmp_path, capsys):
    got = program(tmp_path, "print(1)")
    got.run("train.py", quiet=True)
    threads, handles = threading.active_count(), os.listdir("/proc/self/fd")
    got.run("train.py", quiet=True)
    assert threading.active_count() == threads and len(os.listdir("/proc/self/fd")) == len(handles)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_what_a_script_leaves_running_does_not_hold_the_cell(tmp_path, capsys):
    text = "import subprocess, sys\np = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\nprint(p.pid)"
    program(tmp_path, text).run("train.py", quiet=True)
    os.kill(int(capsys.readouterr().out), signal.SIGKILL)


def test_a_script_that_is_not_there_names_those_that_are_near(tmp_path):
    got = program(tmp_path, "", "tools/train.py")
    for asked in ("tools/trian.py", "train.py"):
        with pytest.raises(NotFound, match="tools/train.py"):
            got.run(asked, quiet=True)
    with pytest.raises(FetchError, match="train.py"):
        got.run(quiet=True)
    with pytest.raises(FetchError, match="folder"):
        got.run("tools", quiet=True)


def test_a_script_outside_of_the_folder_is_refused(tmp_path):
    got = program(tmp_path / "inside", "")
    (tmp_path / "x.py").write_text("")
    (tmp_path / "inside" / "link.py").symlink_to(tmp_path / "x.py")
    for asked in ("../x.py", str(tmp_path / "x.py"), "a/../../x.py", "link.py", "x\0.py"):
        with pytest.raises(FetchError, match="outside"):
            got.run(asked, quiet=True)


def test_a_token_among_the_arguments_is_not_shown(tmp_path, heard, capsys):
    got = program(tmp_path, "import sys; print(len(sys.argv))")
    got.run(
        "train.py",
        "--hf-token",
        "hf_abc",
        "--api_key=xyz",
        "--epochs",
        3,
        callbacks=[heard],
        quiet=True,
    )
    assert (
        "hf_abc" not in heard.text
        and "xyz" not in heard.text
        and "--epochs 3" in heard.text
        and capsys.readouterr().out == "6\n"
    )


def test_the_console_prints_once(tmp_path, capsys):
    program(tmp_path, "print('out')").run("train.py")
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 2 and out[0].startswith("Running python") and out[1] == "out"


def test_the_ears_of_tests_hear(heard):
    assert isinstance(heard, Heard)
