"""The stand-in for google.colab: its place in a process, its functions' names and words."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from colab_kit.colab import bridge as kit_colab
from colab_kit.colab import health, mounting
from colab_kit.errors import ColabKitError, DriveError
from colab_kit.system.files import home
from colab_kit.system.hardware import host
from colab_kit.system.runtime import place
from colab_kit.testing import fake_colab, install
from colab_kit.testing.fake_colab import StandIn
from colab_kit.testing.folder_drive import FolderBody

REQUIRED = object()
SIGNATURES = {  # facts/colab.md §1.1 to §1.7: names, order, defaults
    "drive.mount": {"mountpoint": REQUIRED, "force_remount": False, "timeout_ms": 120000, "readonly": False},
    "drive._mount": {"mountpoint": REQUIRED, "force_remount": False, "timeout_ms": 120000, "ephemeral": False, "readonly": False},
    "drive.flush_and_unmount": {"timeout_ms": 86400000},
    "files.upload": {"target_dir": ""},
    "files.upload_file": {"filename": REQUIRED},
    "files.download": {"filename": REQUIRED},
    "files.view": {"filepath": REQUIRED},
    "userdata.get": {"key": REQUIRED},
    "runtime.unassign": {},
    "output.enable_custom_widget_manager": {"version": "5.0.0a"},
    "output.disable_custom_widget_manager": {},
    "output.eval_js": {"script": REQUIRED, "ignore_result": False, "timeout_sec": None},
    "output.register_callback": {"function_name": REQUIRED, "callback": REQUIRED},
    "output.unregister_callback": {"function_name": REQUIRED},
    "output.clear": {"wait": False, "output_tags": ()},
    "output.use_tags": {"tags": REQUIRED, "append": True},
    "output.temporary": {},
    "output.redirect_to_element": {"selector": REQUIRED},
    "output.to_header_area": {},
    "output.to_footer_area": {},
    "output.to_default_area": {},
    "output.no_vertical_scroll": {},
    "output.serve_kernel_port_as_iframe": {
        "port": REQUIRED, "path": "/", "width": "100%", "height": "400", "cache_in_notebook": False,
    },
    "output.serve_kernel_port_as_window": {"port": REQUIRED, "path": "/", "anchor_text": None, "skip_warning": False},
    "auth.authenticate_user": {"clear_output": True, "project_id": None},
    "auth.authenticate_service_account": {"clear_output": True},
    "_message.blocking_request": {"request_type": REQUIRED, "request": "", "timeout_sec": 5, "parent": None},
}  # fmt: skip
MODULES = """drive files userdata runtime output auth errors _message _shell _system_commands
    patches data_table syntax autoviz snippets widgets ai sheets sql""".split()


@pytest.fixture(autouse=True)
def no_google_left_over():
    """Forget what a test imported of a google of its own: Python keeps a namespace's folders."""
    before = {
        name: module for name, module in sys.modules.items() if name.split(".")[0] == "google"
    }
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "google"]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    return tmp_path / "content"


@pytest.fixture
def stand_in(content: Path):
    with StandIn(content=content, sleep=lambda seconds: None) as stand_in:
        yield stand_in


def colab(name: str):
    return importlib.import_module(f"google.colab.{name}")


def state() -> dict[str, object]:
    """All that a stand-in changes in a process."""
    google = sys.modules.get("google")
    return {
        "modules": {
            name: id(module)
            for name, module in sys.modules.items()
            if name.split(".")[0] == "google"
        },
        "attribute": getattr(google, "colab", None),
        "finders": [id(finder) for finder in sys.meta_path],
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "calls": [os.stat, os.open, open],
        "where": place(host())[0],
        "cache": install.FOLDER in sys.path_importer_cache,
    }


# the package
def test_every_module_is_found_by_the_import_system_with_the_spec_of_its_file(stand_in):
    assert importlib.util.find_spec("google.colab").origin.endswith("google_colab/__init__.py")
    for name in MODULES:
        spec = importlib.util.find_spec(f"google.colab.{name}")
        assert spec is not None and Path(spec.origin).is_file(), name
        module = colab(name)
        assert (
            module.__name__ == f"google.colab.{name}"
            and module.__spec__.name == module.__name__
            and sys.modules[module.__name__] is module
        )


def test_the_package_names_what_colabs_names_and_marks_itself(stand_in):
    import google.colab

    assert google.colab.__all__ == [
        "auth",
        "autoviz",
        "data_table",
        "drive",
        "files",
        "output",
        "runtime",
        "snippets",
        "widgets",
    ]
    assert all(isinstance(getattr(google.colab, name), ModuleType) for name in google.colab.__all__)
    assert google.colab.__colab_kit_mock__ is True and list(google.colab.__path__) == [
        install.FOLDER
    ]
    assert sys.modules["google"].colab is google.colab


def test_a_misspelt_name_stays_unknown(stand_in):
    for name in ("google.Colab", "google.colab.Drive", "google.colabs", "google.colab.drives"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)


def test_signatures_are_those_of_colab(stand_in):
    for name, signature in SIGNATURES.items():
        module, function = name.split(".")
        parameters = inspect.signature(getattr(colab(module), function)).parameters
        found = {
            key: REQUIRED if value.default is inspect.Parameter.empty else value.default
            for key, value in parameters.items()
        }
        assert list(found.items()) == list(signature.items()), name
    assert all(
        value.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for value in parameters.values()
    )


def test_errors_have_colabs_bases(stand_in):
    errors, message, userdata = colab("errors"), colab("_message"), colab("userdata")
    bases = {errors.AuthorizationError: errors.Error, errors.RuntimeManagementError: errors.Error, message.MessageError: errors.Error,
             userdata.SecretNotFoundError: errors.Error, userdata.TimeoutException: errors.Error, errors.Error: Exception,
             userdata.NotebookAccessError: Exception, errors.WidgetException: Exception}  # fmt: skip
    assert all(kind.__bases__ == (base,) for kind, base in bases.items())


@pytest.mark.parametrize("as_colab", [False, True])
def test_uninstalling_leaves_no_trace(content, as_colab):
    before = state()
    with StandIn(content=content, as_colab=as_colab) as stand_in:
        colab("drive").mount("/content/drive")
        colab("patches")
        assert state() != before and stand_in.mounted()
    assert state() == before
    assert importlib.util.find_spec("google") is None or not _found("google.colab")
    assert not content.exists()


def _found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_what_else_lives_in_the_namespace_google_stays_importable(content, tmp_path, monkeypatch):
    (tmp_path / "site" / "google" / "protobuf").mkdir(parents=True)
    (tmp_path / "site" / "google" / "protobuf" / "__init__.py").write_text("here = 1")
    (tmp_path / "site" / "google" / "later.py").write_text("here = 2")
    monkeypatch.syspath_prepend(tmp_path / "site")
    for name in [name for name in sys.modules if name.split(".")[0] == "google"]:
        del sys.modules[name]
    import google.protobuf

    namespace = sys.modules["google"]
    with StandIn(content=content):
        import google.colab
        import google.later

        assert (
            sys.modules["google"] is namespace
            and google.protobuf.here == 1
            and google.later.here == 2
        )
    assert (
        sys.modules["google"] is namespace
        and not hasattr(namespace, "colab")
        and google.protobuf.here == 1
    )
    assert importlib.reload(google.later).here == 2


def test_what_is_installed_beside_it_later_is_found(content, tmp_path, monkeypatch):
    """where nothing of Google's was there at first: pip install in a cell"""
    if _found("google"):
        pytest.skip("a namespace google is installed here: the other test covers that")
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(site)
    with StandIn(content=content):
        (site / "google" / "auth").mkdir(parents=True)
        (site / "google" / "auth" / "__init__.py").write_text("here = 1")
        importlib.invalidate_caches()
        assert importlib.import_module("google.auth").here == 1


def test_a_module_imported_under_an_earlier_stand_in_works_under_the_next(tmp_path):
    with StandIn(content=tmp_path, secrets={"A": "1"}):
        userdata, drive = colab("userdata"), colab("drive")
        drive.mount._DEBUG = True
        userdata.get = None
    with pytest.raises(RuntimeError, match="not installed any more"):
        drive.mount("/content/drive")
    with StandIn(content=tmp_path, secrets={"A": "2"}):
        assert userdata.get("A") == "2" and colab("userdata") is userdata
        assert drive.mount._DEBUG is False
        with pytest.raises(colab("userdata").SecretNotFoundError):
            userdata.get("B")


def test_an_object_put_in_place_of_a_module_stays(stand_in):
    mine = SimpleNamespace(get=lambda key: "mine")
    sys.modules["google.colab.userdata"] = mine
    from google.colab import userdata

    assert userdata is mine
    import google.colab

    google.colab.files = mine
    from google.colab import files

    assert files is mine


def test_a_replaced_module_is_the_imitation_again_under_the_next_stand_in(content):
    for _ in range(2):
        with StandIn(content=content):
            colab("userdata")
            sys.modules["google.colab"].userdata = sys.modules["google.colab.userdata"] = (
                SimpleNamespace()
            )
    with StandIn(content=content, secrets={"A": "1"}):
        assert (
            not hasattr(sys.modules["google.colab"], "userdata")
            and colab("userdata").get("A") == "1"
        )


def test_a_real_google_colab_is_not_shadowed(content, tmp_path, monkeypatch):
    (tmp_path / "site" / "google" / "colab").mkdir(parents=True)
    (tmp_path / "site" / "google" / "colab" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "site")
    before = state()
    with pytest.raises(DriveError, match="does not replace it(.|\n)*site/google/colab"):
        StandIn(content=content).install()
    assert state() == before


def test_an_object_in_sys_modules_is_not_shadowed(content, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    with pytest.raises(DriveError, match="does not replace it"):
        StandIn(content=content).install()


def test_a_colab_machine_is_refused(content, tmp_path, monkeypatch):
    monkeypatch.setattr(install, "COLAB_VM", str(tmp_path))
    with pytest.raises(DriveError, match="This is a Colab machine"):
        StandIn(content=content).install()


def test_two_at_once_are_refused(stand_in, tmp_path):
    with pytest.raises(DriveError, match="installed already"):
        StandIn(content=tmp_path).install()
    assert colab("drive").mount("/content/drive") is None


def test_a_content_folder_that_cannot_be_made_is_an_error_that_says_how(tmp_path):
    before = state()
    (tmp_path / "file").write_text("")
    with pytest.raises(DriveError, match=r'StandIn\(content="some/folder"\)'):
        StandIn(content=tmp_path / "file" / "content").install()
    assert state() == before


def test_content_elsewhere_is_seen_under_its_usual_name(stand_in, content):
    colab("drive").mount("/content/drive")
    with open("/content/drive/My Drive/foo.txt", "w") as file:
        file.write("kept")
    assert (content / "drive" / "MyDrive" / "foo.txt").read_text() == "kept"
    colab("drive").flush_and_unmount()
    assert (stand_in.body.store / "MyDrive" / "foo.txt").read_text() == "kept" and os.listdir(
        "/content/drive"
    ) == []


def test_leaving_flushes_and_a_drive_mounted_before_stays(content, tmp_path):
    store = tmp_path / "store"
    with StandIn(FolderBody(store), content=content):
        colab("drive").mount("/content/drive")
        Path("/content/drive/MyDrive/foo.txt").write_text("kept")
    assert (store / "MyDrive" / "foo.txt").read_text() == "kept"
    body = FolderBody(store)
    body.mount(tmp_path / "drive")
    with StandIn(FolderBody(store), content=content) as stand_in:
        stand_in.faults.io_error("foo.txt", times=1)
        with pytest.raises(OSError):
            (tmp_path / "drive" / "MyDrive" / "foo.txt").read_text()
    assert body.mounted_at() == tmp_path / "drive"


# where it says it is
def test_it_does_not_make_the_runtime_colab(stand_in):
    import google.colab  # noqa: F401

    assert place(host())[0] == "python"


def test_the_disguise_makes_the_runtime_colab(content):
    with StandIn(content=content, as_colab=True):
        from IPython import get_ipython

        shell = get_ipython()
        assert place(host())[0] == "colab" and "google.colab" in str(shell)
        assert type(shell).__module__ == "google.colab._shell" and isinstance(
            shell, colab("_shell").Shell
        )
        assert (
            os.path.exists("/var/colab/hostname")
            and os.environ["COLAB_RELEASE_TAG"]
            and os.environ["COLAB_GPU"] == ""
        )
        assert os.getcwd() == os.path.realpath(content)
    assert get_ipython() is None and not os.path.exists("/var/colab/hostname")


def test_a_shell_that_was_there_gets_its_class_and_its_commands_back(content):
    with install.plain_shell() as shell:
        before, known = type(shell), dict(shell.magics_manager.magics["line"])
        with StandIn(content=content, as_colab=True):
            assert (
                type(shell).__module__ == "google.colab._shell"
                and "shell" in shell.magics_manager.magics["line"]
            )
        assert type(shell) is before and shell.magics_manager.magics["line"] == known
        with StandIn(content=content):
            assert type(shell) is before and "shell" in shell.magics_manager.magics["line"]


def test_a_command_that_came_under_the_stand_in_works_after_it(content):
    with install.plain_shell() as shell:
        with StandIn(content=content, as_colab=True):
            shell.run_cell("%cd -q /")  # newer IPythons bring it when it is first used
            shell.register_magic_function(lambda line: "mine", magic_name="mine")
        shell.run_line_magic("cd", f"-q {content.parent}")
        assert (
            os.getcwd() == os.path.realpath(content.parent)
            and shell.run_line_magic("mine", "") == "mine"
        )
        assert "shell" not in shell.magics_manager.magics["line"]


def test_downloads_arrive_when_the_cell_has_ended(content):
    with StandIn(content=content, as_colab=True) as stand_in:
        from IPython import get_ipython

        get_ipython().run_cell(
            "from google.colab import files\nopen('a.txt', 'w').write('1')\n"
            "files.download('a.txt')\n!rm -f b.txt"
        )
        assert (stand_in.downloads / "a.txt").read_text() == "1"


def test_a_child_of_the_disguise_is_on_the_vm_but_no_kernel_and_shares_the_store(
    content, tmp_path, monkeypatch
):
    monkeypatch.delenv("COLAB_KIT_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ask = (
        "from colab_kit.system.runtime import place; from colab_kit.system.hardware import host;"
        "from colab_kit.system.files import home;"
        "print(place(host())[0], home())"
    )
    with StandIn(content=content, as_colab=True) as stand_in:
        said = subprocess.run(
            [sys.executable, "-c", ask], capture_output=True, text=True, check=True
        ).stdout.split()
        assert (
            said == ["colab-subprocess", str(stand_in.home)]
            and home() == stand_in.home == tmp_path / "cache" / "colab-kit"
        )


def test_a_stripped_environment_is_a_bare_key_error(content):
    with StandIn(content=content, as_colab=True):
        colab("drive").mount("/content/drive")
        del os.environ["COLAB_RELEASE_TAG"]
        with pytest.raises(KeyError, match="TBE_EPHEM_CREDS_ADDR"):
            colab("drive").mount("/content/drive")
        del os.environ["CLOUDSDK_CONFIG"]
        with pytest.raises(KeyError, match="CLOUDSDK_CONFIG"):
            colab("drive").flush_and_unmount()


def test_enterprise_is_refused_after_the_space(stand_in, monkeypatch, capsys):
    monkeypatch.setenv("VERTEX_PRODUCT", "COLAB_ENTERPRISE")
    with pytest.raises(ValueError):
        colab("drive").mount("a b")
    with pytest.raises(
        NotImplementedError,
        match=r"^google\.colab\.drive\.mount is not supported in Colab Enterprise\.$",
    ):
        colab("drive").mount("/content/drive")
    colab("auth").authenticate_user()
    assert (
        capsys.readouterr().out
        == "WARNING: google.colab.auth.authenticate_user() is not supported in Colab Enterprise.\n"
    )


def test_without_a_kernel_the_real_ones_errors_can_be_had(content, tmp_path):
    (tmp_path / "x").write_text("")
    with StandIn(content=content, kernel=False):
        for call in (
            lambda: colab("drive").mount("/content/drive"),
            lambda: colab("userdata").get("A"),
            lambda: colab("files").download(str(tmp_path / "x")),
            lambda: colab("files").upload(),
            lambda: colab("output").eval_js("1"),
        ):
            with pytest.raises(
                AttributeError, match="^'NoneType' object has no attribute 'kernel'$"
            ):
                call()
        with pytest.raises(
            AttributeError, match="^'NoneType' object has no attribute 'display_pub'$"
        ):
            colab("output").enable_custom_widget_manager()
        colab("output").clear()


def test_an_installed_pexpect_is_not_needed_for_its_timeout(stand_in, monkeypatch):
    monkeypatch.setitem(sys.modules, "pexpect.exceptions", None)
    stand_in.faults.mount_timeout()
    with pytest.raises(Exception, match="^<pexpect.popen_spawn.PopenSpawn object at 0x") as caught:
        colab("drive").mount("/content/drive")
    assert (type(caught.value).__module__, type(caught.value).__name__) == (
        "pexpect.exceptions",
        "TIMEOUT",
    )


# files
def test_uploads_are_saved_under_free_names_and_printed(stand_in, capsys, tmp_path):
    (tmp_path / "b.txt").write_text("from disk")
    stand_in.uploads.extend([("a.txt", b"1"), [("a.txt", b"2"), tmp_path / "b.txt"], None])
    files = colab("files")
    assert files.upload() == {"a.txt": b"1"}
    assert capsys.readouterr().out == "Saving a.txt to a.txt\n"
    assert files.upload() == {"a (1).txt": b"2", "b.txt": b"from disk"}
    assert Path("a (1).txt").read_bytes() == b"2" and Path("a.txt").read_bytes() == b"1"
    assert files.upload() == {}
    stand_in.uploads.append(("c.txt", b"3"))
    assert (
        files.upload("new/folder") == {"new/folder/c.txt": b"3"}
        and Path("new/folder/c.txt").read_bytes() == b"3"
    )


def test_upload_file_takes_one_file(stand_in, capsys):
    stand_in.uploads.extend([("a.txt", b"1"), None, [("a", b""), ("b", b"")]])
    files = colab("files")
    files.upload_file("mine.txt")
    assert (
        Path("mine.txt").read_bytes() == b"1"
        and capsys.readouterr().out == f"Saved a.txt to {os.getcwd()}/mine.txt\n"
    )
    with pytest.raises(ValueError, match="^File has not been uploaded$"):
        files.upload_file("x")
    with pytest.raises(ValueError, match="^Multiple files received, please upload a single file$"):
        files.upload_file("x")


def test_an_upload_nobody_planned_says_that_it_would_wait_for_ever(stand_in):
    with pytest.raises(ColabKitError, match=r"files.upload\(\) would wait for ever") as raised:
        colab("files").upload()
    assert (
        'fake_colab.uploads = [("a.csv", b"1,2")]' in raised.value.fix
        and "fake_colab.current()" in raised.value.fix
    )
    with pytest.raises(ColabKitError) as wrapped:
        kit_colab.upload()
    assert (
        str(wrapped.value).count("Why:") == str(wrapped.value).count("Fix:") == 1
        and wrapped.value.fix == raised.value.fix
    )
    assert fake_colab.current() is stand_in


@pytest.mark.parametrize("kind", [list, tuple])
def test_uploads_and_secrets_may_be_assigned(stand_in, tmp_path, kind):
    (tmp_path / "b.txt").write_text("2")
    stand_in.uploads = kind(
        [("a.txt", b"1"), tmp_path / "b.txt", [("c.txt", b"3"), str(tmp_path / "b.txt")], None]
    )
    assert [sorted(colab("files").upload()) for _ in range(4)] == [
        ["a.txt"],
        ["b.txt"],
        ["b (1).txt", "c.txt"],
        [],
    ]
    stand_in.secrets = {"KEY": "5"}
    stand_in.secrets["OTHER"] = "6"
    assert colab("userdata").get("KEY") == "5" and colab("userdata").get("OTHER") == "6"


def test_an_upload_that_cannot_be_is_refused_when_it_is_planned(stand_in):
    for planned in (("a.csv", b"1"), [b"1"], [("a.csv", "1")], [3], 3, [[None]]):
        with pytest.raises(ColabKitError, match="cannot be chosen") as raised:
            stand_in.uploads = planned
        assert '[("a.csv", b"1,2")]' in raised.value.fix, planned
    with pytest.raises(ColabKitError, match="cannot be the secrets"):
        stand_in.secrets = ["KEY"]


def test_the_secrets_of_a_mark_are_not_changed_by_a_test(content):
    given = {"KEY": "5"}
    with StandIn(content=content, secrets=given) as stand_in:
        stand_in.secrets["OTHER"] = "6"
    assert given == {"KEY": "5"}


# the only Drive is its own
def test_kit_sees_the_stand_ins_mount_alone_and_under_the_users_name(
    stand_in, content, monkeypatch
):
    table = "drive /mnt/other fuse.drive rw 0 0\noverlay / overlay rw 0 0\n"
    read = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self, **how: table if str(self) == "/proc/self/mounts" else read(self, **how),
    )
    assert health.drives(health.mount_table()) == [] and (Path("/"), "overlay") in health.mounts(
        health.mount_table()
    )
    colab("drive").mount("/content/drive")
    assert health.drives(health.mount_table()) == [
        Path("/content/drive")
    ] and health.stand_in_mounted() == Path("/content/drive")
    stand_in.uninstall()
    assert health.drives(health.mount_table()) == [Path("/mnt/other")]


@pytest.mark.parametrize("as_colab", [False, True])
def test_the_drive_that_a_cell_mounts_is_found_and_used(content, as_colab):
    with StandIn(content=content, as_colab=as_colab):
        assert mounting.mounted() is None
        before = [] if as_colab else [mounting.mount(quiet=True)]  # its files move along
        colab("drive").mount("/content/drive")
        found = mounting.mounted()
        assert (
            found is not None
            and (found.kind, str(found)) == ("reused", "/content/drive/MyDrive")
            and mounting.missed() is None
        )
        assert (
            mounting.mount(quiet=True) == found
            and found.health()
            and all(str(drive) != str(found) for drive in before)
        )
        assert mounting.stand_in_path("/content/drive/MyDrive/zz") is None
        (found / "x.txt").write_text("x")
        assert (content / "drive/MyDrive/x.txt").read_text() == "x"
        found.unmount(quiet=True)
        assert (
            found.health().why == "it was unmounted"
            and mounting.mounted() is None
            and os.listdir("/content/drive") == []
        )
        colab("drive").mount("/content/drive")
        assert found.health() and mounting.mounted() == found


def test_mounting_it_at_another_place_than_content_is_found_too(content, tmp_path):
    with StandIn(content=content):
        colab("drive").mount(str(tmp_path / "elsewhere"))
        found = mounting.mounted()
        assert found is not None and found.mountpoint == tmp_path / "elsewhere"


def test_downloads_happen_later(stand_in, tmp_path):
    for name, text in (("a.txt", "1"), ("gone.txt", "2")):
        Path(name).write_text(text)
        colab("files").download(name)
    colab("files").download("a.txt")
    colab("files").download(str(tmp_path))  # a folder is not refused: it fails unseen
    assert not stand_in.downloads.exists()
    Path("gone.txt").unlink()
    Path("a.txt").write_text("changed too early")
    assert [path.name for path in stand_in.deliver()] == ["a.txt", "a (1).txt"]
    assert (stand_in.downloads / "a.txt").read_text() == "changed too early"
    with pytest.raises(FileNotFoundError, match="^Cannot find file: nowhere.txt$"):
        colab("files").download("nowhere.txt")


def test_the_viewer_honours_datalab_root(stand_in, monkeypatch):
    Path("a.txt").write_text("")
    monkeypatch.setenv("DATALAB_ROOT", os.getcwd())
    colab("files").view("a.txt")
    assert stand_in.calls == [("view", {"path": "/a.txt"})]
    with pytest.raises(FileNotFoundError, match="^Cannot find file: b.txt$"):
        colab("files").view("b.txt")


# secrets
def test_secrets_are_found_or_fail_in_colabs_five_ways(content):
    waits: list[float] = []
    with StandIn(
        content=content, secrets={"A": "1", "EMPTY": "", "PRIVATE": None}, sleep=waits.append
    ) as stand_in:
        userdata = colab("userdata")
        assert userdata.get("A") == "1" and userdata.get("EMPTY") == ""
        for bad in ("", None, 3):
            with pytest.raises(ValueError, match="^Please enter a valid secret name$"):
                userdata.get(bad)
        with pytest.raises(ValueError, match="^Secret name cannot contain spaces or whitespace$"):
            userdata.get("A B")
        with pytest.raises(userdata.SecretNotFoundError, match=r"^Secret B does not exist\.$"):
            userdata.get("B")
        with pytest.raises(
            userdata.NotebookAccessError, match="^Notebook does not have access to secret PRIVATE$"
        ):
            userdata.get("PRIVATE")
        stand_in.page = False
        with pytest.raises(
            userdata.TimeoutException,
            match="^Requesting secret A timed out. Secrets can only be fetched when running",
        ):
            userdata.get("A")
        assert waits == [10]


def test_secrets_come_from_the_environment_if_none_are_named(stand_in, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "abc")
    assert colab("userdata").get("HF_TOKEN") == "abc"
    with pytest.raises(colab("userdata").SecretNotFoundError):
        colab("userdata").get("NO_SUCH_TOKEN")


# runtime, output, auth
def test_unassign_is_noted_and_can_end_the_program(content):
    with StandIn(content=content) as stand_in:
        colab("runtime").unassign()
        assert stand_in.unassigned
    with StandIn(content=content, stop=True), pytest.raises(SystemExit):
        colab("runtime").unassign()
    with StandIn(content=content, answers={"unassign": 500}) as stand_in:
        with pytest.raises(
            colab("errors").RuntimeManagementError, match=r"^Unable to request VM unassignment\.$"
        ):
            colab("runtime").unassign()
        assert not stand_in.unassigned
    with (
        StandIn(content=content, vm=False),
        pytest.raises(Exception, match=r"^Unable to find the runtime management service\.$"),
    ):
        colab("runtime").unassign()


def test_javascript_gets_its_planned_answers(content):
    waits: list[float] = []
    with StandIn(
        content=content,
        answers={"1 + 1": 2, "location": "https://x", "boom": ValueError("ReferenceError: boom")},
        sleep=waits.append,
    ):
        output = colab("output")
        assert (
            output.eval_js("1 + 1") == 2 and output.eval_js("document.location.href") == "https://x"
        )
        with pytest.raises(colab("_message").MessageError, match="^ReferenceError: boom$"):
            output.eval_js("boom()")
        assert output.eval_js("1") == 1 and output.eval_js('"text"') == "text"  # a page is there
        assert output.eval_js("unknown", timeout_sec=2) is None and waits == [2]
        assert output.eval_js("unknown", ignore_result=True) is None
        with pytest.raises(ColabKitError, match="would block for ever"):
            output.eval_js("unknown")
    with StandIn(content=content, answers=lambda script: len(script)):
        assert colab("output").eval_js("four") == 4


def test_callbacks_are_called_with_json(stand_in):
    output, got = colab("output"), []
    output.register_callback("tell", lambda *args, **kwargs: got.append((args, kwargs)) or "heard")
    assert stand_in.invoke("tell", (1, 2), word="x") == "heard" and got == [
        (([1, 2],), {"word": "x"})
    ]
    output.unregister_callback("tell")
    with pytest.raises(ValueError, match="^Function not found: tell$"):
        stand_in.invoke("tell")
    with pytest.raises(ValueError, match=r"^Callback function not registered: tell\.$"):
        output.unregister_callback("tell")


def test_outputs_small_functions_do_nothing_but_refuse_what_colab_refuses(stand_in, capsys):
    output = colab("output")
    with pytest.raises(ValueError, match="^wait must be a boolean value$"):
        output.clear(wait=1)
    with pytest.raises(ValueError, match="^Unknown widgets version: 7$"):
        output.enable_custom_widget_manager("7")
    output.enable_custom_widget_manager()
    output.disable_custom_widget_manager()
    output.no_vertical_scroll()
    output.serve_kernel_port_as_iframe(8080)
    with (
        output.use_tags("a") as outer,
        output.use_tags(["b"], append=False) as inner,
        output.temporary(),
    ):
        assert (outer, inner) == ({"a"}, {"b"})
    with (
        output.redirect_to_element("#x"),
        output.to_header_area(),
        output.to_footer_area(),
        output.to_default_area(),
    ):
        print("shown")
    assert capsys.readouterr().out == "shown\n"
    output.serve_kernel_port_as_window(8080)
    assert "This function may stop working" in capsys.readouterr().out


def test_signing_in_is_noted_and_can_fail(content):
    with StandIn(content=content) as stand_in:
        assert colab("auth").authenticate_user(project_id="p") is None
        assert stand_in.calls == [("authenticate_user", {"clear_output": True, "project_id": "p"})]
    with StandIn(content=content, answers={"auth_user_ephemeral": False}):
        with pytest.raises(
            colab("errors").AuthorizationError, match="^Failed to fetch user credentials$"
        ):
            colab("auth").authenticate_user()


def test_a_service_account_gets_three_tries(content, capsys):
    key = json.dumps({"type": "service_account", "client_email": "a@b"}).encode()
    bad = ("key.json", b"no json")
    with StandIn(content=content, uploads=[bad, ("key.json", key), bad, bad, bad, None]):
        colab("auth").authenticate_service_account()
        said = capsys.readouterr().out
        assert "Invalid credentials: please try again." in said and said.endswith(
            "Successfully saved credentials for a@b\n"
        )
        assert (content / ".adc" / "adc.json").read_bytes() == key
        with pytest.raises(colab("errors").AuthorizationError):
            colab("auth").authenticate_service_account()
        assert colab("auth").authenticate_service_account() is None


# what notebooks import without using
def test_names_that_notebooks_import_are_there(stand_in):
    from google.colab.data_table import DataTable  # noqa: F401
    from google.colab.patches import cv2_imshow, cv_imshow

    assert cv2_imshow is cv_imshow
    assert colab("syntax").sql("SELECT 1") == "SELECT 1"
    colab("snippets").register("https://x")
    colab("data_table").load_ipython_extension(None)
    with pytest.raises(ValueError, match="^Invalid value for location: 'up'$"):
        colab("widgets").TabBar(["a"], location="up")
    with (
        pytest.raises(colab("errors").WidgetException, match="outside of boundaries of 1x1 grid"),
        colab("widgets").Grid(1, 1).output_to(1, 0),
    ):
        pass
    assert list(colab("widgets").TabBar(["a", "b"])) == [0, 1]


NAMES = {  # the public names of colabtools' modules, apart from SIGNATURES
    "ai": "generate_text list_models ModelProxyServiceError",
    "autoviz": "quickchart get_df get_registered_df MplChart",
    "data_table": "DataTable enable_dataframe_formatter disable_dataframe_formatter"
    " load_ipython_extension unload_ipython_extension display_dataframe _DEFAULT_FORMATTERS",
    "errors": "Error AuthorizationError RuntimeManagementError WidgetException",
    "patches": "cv2_imshow cv_imshow",
    "sheets": "InteractiveSheet InteractiveSheetStorageStrategy HeaderStorageStrategy"
    " HeaderlessStorageStrategy",
    "snippets": "register",
    "sql": "bigquery",
    "syntax": "html javascript sql css",
    "userdata": "get NotebookAccessError SecretNotFoundError TimeoutException",
    "widgets": "TabBar Grid create_grid InteractiveTable",
}


@pytest.mark.parametrize("module", NAMES)
def test_todays_names_of_colab_are_there(stand_in, module):
    assert [name for name in NAMES[module].split() if not hasattr(colab(module), name)] == []


SERVICES = {  # each name that asks Google: the call, the plan, and an answer
    "generate_text": (lambda: colab("ai").generate_text("2 + 2?"), "answers", "4"),
    "list_models": (lambda: colab("ai").list_models(), "answers", ["google/gemini-2.5-flash"]),
    "bigquery.run": (lambda: colab("sql").bigquery.run("SELECT 1"), "answers", 1),
    "bigquery.validate": (lambda: colab("sql").bigquery.validate("SELECT 1"), "answers", True),
    "https://docs.google.com/spreadsheets/d/x": (
        lambda: colab("sheets").InteractiveSheet(url="https://docs.google.com/spreadsheets/d/x"),
        "sheets",
        None,
    ),
}


@pytest.mark.parametrize("name", SERVICES)
def test_what_asks_google_says_what_to_plan(stand_in, name):
    call, plan, _ = SERVICES[name]
    with pytest.raises(ColabKitError, match="which the stand-in cannot reach") as caught:
        call()
    line = caught.value.fix.removeprefix("plan one: ").partition("; after")[0]
    assert line.startswith(f"fake_colab.{plan} = ") and repr(name) in line
    exec(line, {"fake_colab": stand_in, "pd": pytest.importorskip("pandas")})  # it can be pasted
    assert name in getattr(stand_in, plan)


@pytest.mark.parametrize("name", [name for name in SERVICES if SERVICES[name][1] == "answers"])
def test_what_was_planned_is_the_services_answer(stand_in, name):
    call, _, answer = SERVICES[name]
    stand_in.answers = {name: answer}
    assert call() == answer
    stand_in.answers = {name: lambda *asked: answer}
    assert call() == answer


def test_a_model_answers_in_pieces_and_refuses_an_empty_question(stand_in):
    ai = colab("ai")
    stand_in.answers = {"generate_text": lambda prompt, model: f"{prompt}\nsays {model}"}
    assert list(ai.generate_text("a", model_name="m", stream=True)) == ["a\n", "says m"]
    for wrong, said in (("", "Prompt cannot be empty."), (3, "Prompt must be a string.")):
        with pytest.raises(ValueError, match=said):
            ai.generate_text(wrong)
    stand_in.answers = {"generate_text": ai.ModelProxyServiceError("busy")}
    with pytest.raises(ai.ModelProxyServiceError, match="busy"):
        ai.generate_text("a")


def test_a_sheet_holds_a_table_and_is_found_by_its_title(stand_in, capsys):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"a": [1, 2], "when": pd.to_datetime(["2026-01-02", None])})
    sheets = colab("sheets")
    sheet = sheets.InteractiveSheet(title="scores", df=table, display=False)
    assert sheet.as_df().to_dict("list") == {"a": [1, 2], "when": ["2026-01-02T00:00:00", ""]}
    assert "#gid=0" in capsys.readouterr().out
    sheet.update(pd.DataFrame({"b": [3]}))
    again = sheets.InteractiveSheet(title="scores", display=False)
    assert again.as_df().to_dict("list") == {"b": [3]}
    stand_in.sheets["abc"] = table[["a"]]
    mine = sheets.InteractiveSheet(sheet_id="abc", include_column_headers=False, display=False)
    assert mine.as_df().values.tolist() == [[1], [2]]
    with pytest.raises(ValueError, match="got more than one"):
        sheets.InteractiveSheet(title="a", url="b")


def test_charts_are_drawn_and_old_names_of_autoviz_say_what_became_of_them(stand_in, capsys):
    pd = pytest.importorskip("pandas")
    autoviz = colab("autoviz")
    autoviz.quickchart(pd.DataFrame({"a$b$": [1, 2, 3], "c": ["x", "y", "z"]}))
    autoviz.quickchart(pd.DataFrame({"c": ["x"]}))
    assert "No charts were generated by quickchart" in capsys.readouterr().out
    assert [how["shape"] for call, how in stand_in.calls if call == "quickchart"] == [
        (3, 2),
        (1, 1),
    ]
    for old in (autoviz.get_df, autoviz.get_registered_df):
        with pytest.raises(ValueError, match=r"^autoviz\.get_df was removed"):
            old("df_1")


def test_a_table_is_shown_by_pages_in_an_order(stand_in):
    pd = pytest.importorskip("pandas")
    table = colab("widgets").InteractiveTable(pd.DataFrame({"a": range(25)}))
    table.set_page(2)
    assert [row["a"] for row in table.active_data] == [20, 21, 22, 23, 24]
    table.sort_column, table.sort_ascending = 0, False
    assert table.active_data[0] == {"a": 4} and (table.rows, table.columns) == (25, ["a"])
    assert "<td>4</td>" in table._repr_html_()


def test_one_part_of_a_widget_is_active_at_a_time(stand_in):
    widgets, error = colab("widgets"), colab("errors").WidgetException
    tabs, grid = widgets.TabBar(["a", "b"]), widgets.Grid(2, 2)
    with pytest.raises(error, match="No active component selected"):
        tabs.clear_tab()
    with tabs.output_to("a"):
        tabs.clear_tab()
        with pytest.raises(error, match="Already inside a component"), tabs.output_to("b"):
            pass
    with grid.output_to(1, 1):
        grid.clear_cell()
    grid.clear_cell(0, 1)
    tabs.remove()


# the page
def test_a_port_of_this_machine_is_near(stand_in):
    eval_js = colab("output").eval_js
    asked = "(async () => new URL('/', await google.colab.kernel.proxyPort( 8188 )).toString())()"
    assert eval_js("google.colab.kernel.proxyPort(5000)") == "http://localhost:5000/"
    assert eval_js("google.colab.kernel.proxyPort(80, {'cache': true})") == "http://localhost:80/"
    assert eval_js(asked, timeout_sec=1) == "http://localhost:8188/"
    stand_in.answers = {"proxyPort": "https://planned"}
    assert eval_js("google.colab.kernel.proxyPort(5000)") == "https://planned"


def test_the_page_knows_the_cells_that_have_run(content, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ann/first steps.ipynb")
    with StandIn(content=content, as_colab=True):
        from IPython import get_ipython

        shell = get_ipython()
        shell.run_cell("a = 1", store_history=True)
        shell.run_cell(
            "# which\nfrom google.colab import _message\n"
            "book = _message.blocking_request('get_ipynb', request='', timeout_sec=5)['ipynb']",
            store_history=True,
        )
        book = shell.user_ns["book"]
        assert [cell["source"] for cell in book["cells"]][0] == ["a = 1"]
        assert book["cells"][1]["source"][0] == "# which\n" and len(book["cells"]) == 2
        assert book["metadata"]["colab"]["name"] == "first steps.ipynb"


def test_a_notebook_that_is_not_there_is_said_and_can_be_planned(stand_in):
    ask = colab("_message").blocking_request
    with pytest.raises(ColabKitError, match="no notebook runs here") as caught:
        ask("get_ipynb")
    exec(
        caught.value.fix.removeprefix("plan it: ").partition("; after")[0], {"fake_colab": stand_in}
    )
    assert ask("get_ipynb") == {"ipynb": {"cells": []}}


def test_a_question_that_no_page_knows_gets_no_answer(content):
    waits: list[float] = []
    with StandIn(content=content, sleep=waits.append):
        assert colab("_message").blocking_request("no_such", timeout_sec=7) is None
        assert waits == [7]


# the disguise
ASKED_BY_OTHERS = {  # variables with which libraries take a service for granted
    "TBE_RUNTIME_ADDR": "kagglehub",
    "KAGGLE_KERNEL_RUN_TYPE": "kagglehub",
    "KAGGLE_DATA_PROXY_URL": "kagglehub",
    "COLAB_TPU_ADDR": "tensorflow, torch_xla",
    "TPU_NAME": "tensorflow, jax",
    "TPU_ACCELERATOR_TYPE": "jax",
    "GCE_METADATA_HOST": "google-auth",
    "GCE_METADATA_IP": "google-auth",
    "GOOGLE_APPLICATION_CREDENTIALS": "google-auth",
    "MODEL_PROXY_HOST": "google.colab.ai",
    "VERTEX_PRODUCT": "huggingface_hub",
    "HTTP_PROXY": "requests",
    "HTTPS_PROXY": "requests",
}


def test_the_disguise_names_no_service_that_others_would_wait_for(content):
    before = dict(os.environ)
    with StandIn(content=content, as_colab=True):
        added = {name: text for name, text in os.environ.items() if before.get(name) != text}
    assert "COLAB_RELEASE_TAG" in added and not added.keys() & ASKED_BY_OTHERS.keys()
    address = re.compile(r"\d+\.\d+\.\d+\.\d+|://|:\d{2,5}\b|localhost")
    others = {name: text for name, text in added.items() if name != "PATH"}
    assert {name: text for name, text in others.items() if address.search(text)} == {}


def test_googles_modules_still_see_their_services(content):
    for as_colab in (True, False):
        with StandIn(content=content, as_colab=as_colab) as stand_in:
            assert stand_in.environ().keys() >= install.SERVICES.keys()
            colab("drive").mount("/content/drive")
            colab("runtime").unassign()
            assert stand_in.unassigned


def programs(folder: Path, *names: str) -> str:
    """A folder of programs that say where they lie."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\necho {folder.name}\n")
        (folder / name).chmod(0o755)
    return str(folder)


OWN = os.path.dirname(sys.executable)
PATHS = {  # how the user's folders, two with programs of theirs, and this Python's stand in PATH
    "ours first": [OWN, "first", "second"],
    "ours in the middle": ["first", OWN, "second"],
    "ours last": ["first", "second", OWN],
    "ours missing": ["first", "second"],
}


@pytest.mark.parametrize("order", PATHS)
@pytest.mark.skipif(os.name != "posix", reason="PATH is of shells")
def test_path_keeps_the_users_order_and_python_is_this_one(content, tmp_path, monkeypatch, order):
    for name in ("first", "second"):
        programs(tmp_path / name, "tool", "python", "python3", "pip")
    before = [name if name == OWN else str(tmp_path / name) for name in PATHS[order]]
    monkeypatch.setenv("PATH", os.pathsep.join([*before, "/usr/bin", "/bin"]))
    with StandIn(content=content, as_colab=True):
        now = os.environ["PATH"].split(os.pathsep)
        ours = [] if OWN in before else [OWN]  # then it comes last
        assert [folder for folder in now if folder in {*before, OWN}] == before + ours
        run = colab("_system_commands").run
        assert run("tool", echo=False).output == "first\n"
        for python in ("python", "python3"):
            said = run(f"{python} -c 'import sys; print(sys.prefix)'", echo=False).output
            assert said == f"{sys.prefix}\n"
        assert OWN in now and len(set(now)) == len(now)
    assert os.environ["PATH"].split(os.pathsep)[:-2] == before


def test_a_path_on_which_python_is_this_one_stays_as_it_is(content, monkeypatch):
    if not all((Path(OWN) / name).exists() for name in install.PROGRAMS):
        pytest.skip("this Python has no pip beside it")
    monkeypatch.setenv("PATH", path := os.pathsep.join([OWN, "/usr/bin", "/bin"]))
    with StandIn(content=content, as_colab=True):
        assert os.environ["PATH"] == path


CELLS = {  # what stands above a cell's magic, and whether Colab's page drops it
    "a comment": ("# install\n%%capture said\nprint('run')", True),
    "a form's title": (
        "#@title Train { display-mode: 'form' }\n%%capture said\nprint('run')",
        True,
    ),
    "comments and empty lines": ("\n# a\n\n  # b\n%%capture said\nprint('run')", True),
    "nothing": ("%%capture said\nprint('run')", True),
    "code": ("a = 1\n%%capture said\nprint('run')", False),
}


@pytest.mark.parametrize("above", CELLS)
def test_comments_above_a_cells_magic_are_dropped(content, above):
    cell, runs = CELLS[above]
    with StandIn(content=content, as_colab=True):
        from IPython import get_ipython

        shell = get_ipython()
        shell.user_ns.pop("said", None)
        shell.run_cell(cell)
        assert ("said" in shell.user_ns) is runs


def test_the_folders_that_cd_knows_begin_with_content(content):
    with install.plain_shell() as shell:
        before = list(shell.user_ns["_dh"])
        with StandIn(content=content, as_colab=True):
            (content / "a").mkdir()
            shell.run_cell("%cd -q a")
            shell.run_cell("%cd -q -")
            assert os.getcwd() == os.path.realpath(content)
        assert list(shell.user_ns["_dh"]) == before


def test_comments_above_other_code_stay_and_the_shell_is_as_before_afterwards(content):
    with install.plain_shell() as shell:
        plain = shell.transform_cell("# a\n%%capture\nx = 1")
        with StandIn(content=content):
            assert shell.transform_cell("# a\n\nx = 1\n") == "# a\n\nx = 1\n"
            assert shell.transform_cell("# only a comment\n") == "# only a comment\n"
            assert "run_cell_magic" in shell.transform_cell("# a\n%%capture\nx = 1")
        assert shell.transform_cell("# a\n%%capture\nx = 1") == plain
        assert "run_cell_magic" not in plain


# the shell's own
def test_a_shell_line_that_fails_raises_and_the_cell_may_ignore_it(stand_in, capsys):
    commands = colab("_system_commands")
    result = commands.shell_line("echo one; echo two >&2; test -t 1 && echo terminal")
    assert (
        result.output == "one\ntwo\nterminal\n" == capsys.readouterr().out
        and result.returncode == 0
    )
    assert commands.shell_line("echo ${BASH_VERSION:+bash}").output == "bash\n"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        commands.shell_line("echo said; exit 3")
    assert (caught.value.returncode, caught.value.output) == (3, "said\n")
    assert commands.shell_cell("--ignore-errors", "exit 3").returncode == 3
    with pytest.raises(subprocess.CalledProcessError):
        commands.shell_cell("", "exit 3")


def test_exclamation_marks_fill_in_variables_and_leave_the_exit_code(content, capsys):
    with StandIn(content=content, as_colab=True):
        from IPython import get_ipython

        run = get_ipython().run_cell
        assert run(
            "word = 'ä'\n!echo {word} $word; exit 4\ncode = _exit_code\n"
            "lines = !echo x; echo y\nassert lines == ['x', 'y'], lines"
        ).success
        assert capsys.readouterr().out == "ä ä\n" and get_ipython().user_ns["code"] == 4
        assert run(
            "def f():\n    inner = 'deep'\n    return get_ipython().getoutput('echo {inner}')\n"
            "assert f() == ['deep']"
        ).success
        assert (
            run("def g():\n    inner = 'deep too'\n    !echo {inner}\ng()").success
            and capsys.readouterr().out == "deep too\n"
        )
        assert (
            run("%%shell\necho from the cell").success
            and "from the cell" in capsys.readouterr().out
        )
        assert (
            run("%tensorflow_version 2.x").success
            and "Colab only includes TensorFlow 2.x" in capsys.readouterr().out
        )
        assert run("%shell true").result.returncode == 0


def test_the_extension_puts_the_disguise_on_and_takes_it_off(content, monkeypatch):
    monkeypatch.setattr(
        fake_colab.StandIn.__init__,
        "__kwdefaults__",
        {**fake_colab.StandIn.__init__.__kwdefaults__, "content": content},
    )
    before = state()
    fake_colab.load_ipython_extension(None)
    fake_colab.load_ipython_extension(None)
    assert place(host())[0] == "colab"
    fake_colab.unload_ipython_extension(None)
    fake_colab.unload_ipython_extension(None)
    assert state() == before


@pytest.fixture
def interruptible():
    """A process in the background of a shell ignores SIGINT: its children cannot trap it then."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_reaches_the_command_and_a_second_one_ends_it(content, capsys, interruptible):
    with StandIn(content=content):
        commands = colab("_system_commands")
        after(0.2, signal.SIGINT)
        result = commands.run("trap 'echo caught; exit 4' INT; while :; do sleep 0.02; done")
        assert (result.output, result.returncode) == ("caught\n", 4)
        after(0.2, signal.SIGINT, signal.SIGINT)
        result = commands.run("trap '' INT; while :; do sleep 0.02; done")
        assert result.returncode == -signal.SIGTERM
        commands._report_interrupt(result)
        assert capsys.readouterr().out == "caught\n^C\n"


def after(seconds: float, *signals: signal.Signals) -> None:
    def send() -> None:
        for one in signals:
            time.sleep(seconds)
            os.kill(os.getpid(), one)

    threading.Thread(target=send, daemon=True).start()


# seen through kit's own door
@pytest.mark.parametrize(
    ("fault", "cause", "why"),
    [
        ("consent_denied", "MessageError", "the consent was refused or lost"),
        ("consent_unanswered", "ValueError", "the question for consent got no answer"),
        ("root_timeout", "ValueError", "too many files or folders"),
        ("mount_timeout", "TIMEOUT", ""),
        ("policy", "ValueError", "has switched Drive off here"),
    ],
)
def test_every_failure_of_mounting_comes_through_kits_door_as_a_drive_error(
    stand_in, fault, cause, why
):
    planned = getattr(stand_in.faults, fault)(times=1)
    with pytest.raises(DriveError) as caught:
        kit_colab.mount("/content/drive")
    assert (
        type(caught.value.__cause__).__name__ == cause
        and why in caught.value.why
        and caught.value.fix
        and planned.fired == 1
    )
    kit_colab.mount("/content/drive")
    assert stand_in.mounted()


def test_kits_door_finds_secrets_uploads_and_a_page(content):
    with StandIn(
        content=content,
        secrets={"ONLY_ON_COLAB": "1"},
        uploads=[("a.txt", b"1")],
        sleep=lambda seconds: None,
    ) as stand_in:
        assert (
            kit_colab.secret("ONLY_ON_COLAB") == "1" and kit_colab.secret("NOWHERE_AT_ALL") is None
        )
        assert [path.name for path in kit_colab.upload()] == ["a.txt"]
        assert kit_colab.page_answers() is True
        stand_in.page = False
        assert not kit_colab.page_answers()
