"""Shell commands as Colab runs them: by bash in a terminal, output and errors in one stream."""

import codecs
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

BASH = "/bin/bash"


class ShellResult:
    """The value of %shell: the command's args, returncode and output; a cell shows none of it."""

    def __init__(self, args: str, returncode: int, command_output: str) -> None:
        self.args, self.returncode, self.output = args, returncode, command_output

    def check_returncode(self) -> None:
        if self.returncode:
            raise subprocess.CalledProcessError(self.returncode, self.args, self.output)

    def _repr_pretty_(self, p: Any, cycle: bool) -> None:
        """Nothing: the output was shown as it came."""


def run(command: str, echo: bool = True) -> ShellResult:
    """Run it and wait. Nobody can type into it: where Colab asks, it reads the end of a file."""
    ours, its = _terminal()
    try:
        process = subprocess.Popen(
            [BASH, "-c", command], stdin=subprocess.DEVNULL, stdout=its, stderr=its
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(its)
    try:
        output = _listen(ours, process, echo)
    finally:
        os.close(ours)
    return ShellResult(command, process.wait(), output)


def _terminal() -> tuple[int, int]:
    import pty
    import termios

    ours, its = pty.openpty()
    settings = termios.tcgetattr(its)
    settings[1] &= ~termios.ONLCR  # a line's end stays one character
    settings[3] &= ~termios.ECHOCTL
    termios.tcsetattr(its, termios.TCSANOW, settings)
    return ours, its


def _listen(terminal: int, process: subprocess.Popen[bytes], echo: bool) -> str:
    """Collect all output until the last process leaves the terminal.

    The first interrupt is passed on, the second one kills.
    """
    decoder, interrupts = codecs.getincrementaldecoder("utf-8")(errors="replace"), 0
    output: list[str] = []
    while True:
        try:
            try:
                piece = os.read(terminal, 1 << 20)
            except OSError:  # errno 5: nobody holds the other end any more
                piece = b""
            if not piece:
                return "".join(output)
            output.append(decoder.decode(piece))
            if echo:
                sys.stdout.write(output[-1])
                sys.stdout.flush()
        except KeyboardInterrupt:
            interrupts += 1
            if interrupts > 2:
                raise
            _interrupt(process, interrupts)


def _interrupt(process: subprocess.Popen[bytes], times: int) -> None:
    with suppress(KeyboardInterrupt):
        process.send_signal(signal.SIGINT if times == 1 else signal.SIGTERM)
        if times > 1:
            time.sleep(0.5)
            if process.poll() is None:
                process.kill()


def system(shell: Any, command: str, depth: int = 1) -> None:
    """Run `!command`: show its output, return nothing, set _exit_code."""
    result = run(shell.var_expand(command, depth=depth + 1))
    _report_interrupt(result)
    shell.user_ns["_exit_code"] = result.returncode


def getoutput(shell: Any, command: str, split: bool = True, depth: int = 0) -> Any:
    """Run `lines = !command`: return its output, show nothing, leave _exit_code as it is."""
    from IPython.utils.text import LSString, SList

    result = run(shell.var_expand(command, depth=depth + 2), echo=False)
    _report_interrupt(result)
    return SList(result.output.splitlines()) if split else LSString(result.output)


def _report_interrupt(result: ShellResult) -> None:
    if -result.returncode in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        print("^C")


def shell_line(line: str) -> ShellResult:
    """Run `%shell command`: as `!`, but a command that fails raises CalledProcessError."""
    result = run(line)
    result.check_returncode()
    return result


def shell_cell(line: str, cell: str) -> ShellResult:
    """Run the cell of `%%shell [--ignore-errors]`; if it fails, raise CalledProcessError."""
    arguments = line.split()
    if unknown := [argument for argument in arguments if argument != "--ignore-errors"]:
        from IPython.core.error import UsageError

        raise UsageError(f"unrecognized arguments: {' '.join(unknown)}")
    result = run(cell)
    if not arguments:
        result.check_returncode()
    return result


def tensorflow_version(line: str) -> None:
    """Accept `%tensorflow_version 2.x`, for old notebooks; it has no effect."""
    if line.strip().startswith("1"):
        raise ValueError("Tensorflow 1 is unsupported in Colab.")
    print("Colab only includes TensorFlow 2.x; %tensorflow_version has no effect.")


MAGICS = (
    ("line", "shell", shell_line),
    ("cell", "shell", shell_cell),
    ("line", "tensorflow_version", tensorflow_version),
)


def _register_magics(ip: Any) -> None:
    for kind, name, function in MAGICS:
        ip.register_magic_function(function, magic_kind=kind, magic_name=name)
