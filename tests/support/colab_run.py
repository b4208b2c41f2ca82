"""`colab run`, imitated: a file's text becomes one cell of IPython in a fresh process, which
knows nothing of the file.

As google-colab-cli 0.7.5 does it: a prelude that sets sys.argv and the environment, the shebang
stripped, flags of its own eaten even behind the script, no __file__, no input(), another working
folder; the exit status is read from the SystemExit that reaches the cell.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import colab_kit

EATEN = {
    "--gpu": 1,
    "--tpu": 1,
    "--timeout": 1,
    "--session": 1,
    "-s": 1,
    "--env": 1,
    "--keep": 0,
    "--high-mem": 0,
}  # flag: words it takes
PRELUDE = "import sys, warnings\nsys.argv = {argv!r}\n__name__ = '__main__'\nwarnings.filterwarnings('ignore', message='To exit: use')\n"
CHILD = """
import sys
text = sys.stdin.read()
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
def asked(*words):
    raise RuntimeError("StdinNotImplementedError: raw_input was called, but this frontend does not support input requests.")
__builtins__.input = asked
shell.showtraceback = lambda *a, **k: None if sys.exc_info()[0] is SystemExit else InteractiveShell.showtraceback(shell, *a, **k)
assert "__file__" not in shell.user_ns
done = shell.run_cell(text)
error = done.error_before_exec or done.error_in_exec
sys.stdout.flush(); sys.stderr.flush()
if error is None:
    raise SystemExit(0)
if not isinstance(error, SystemExit):
    raise SystemExit(1)
said = str(error).strip()
raise SystemExit(0 if said in ("", "None", "0") else int(said) if said.lstrip("-").isdigit() else 1)
"""


def left_by_colab(arguments: tuple[str, ...]) -> list[str]:
    """What of the words behind the script reaches it."""
    words, left = list(arguments), []
    while words:
        word = words.pop(0)
        if word == "--":
            return left + words
        if word.partition("=")[0] in EATEN:
            del words[: EATEN[word.partition("=")[0]] if "=" not in word else 0]
        else:
            left.append(word)
    return left


def simulate_colab_run(
    launcher: Path, folder: Path, *arguments: str, timeout: float = 120, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a launcher as `colab run launcher arguments…` would; colab_kit is importable as if it
    were installed.

    folder : where the cell works    env : of the kernel
    """
    text = launcher.read_text(encoding="utf-8")
    text = text.partition("\n")[2] if text.startswith("#!") else text
    payload = PRELUDE.format(argv=[launcher.name, *left_by_colab(arguments)]) + text
    paths = [str(Path(colab_kit.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    home = str(folder / "home")
    around = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "COLAB_KIT_HOME": home,
        "IPYTHONDIR": home,
        **env,
    }
    command = [sys.executable, "-c", CHILD]
    return subprocess.run(
        command,
        input=payload,
        cwd=folder,
        env=around,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
