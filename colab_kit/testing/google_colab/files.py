"""google.colab.files: the browser's chooser, its downloads, and the file viewer."""

import os

from ._seam import need_kernel, world

__all__ = ["upload_file", "upload", "download", "view"]


def upload_file(filename: str) -> None:
    """Save the one chosen file as filename."""
    name, content = _one_file()
    with open(filename, "wb") as file:
        file.write(content)
    print(f"Saved {name} to {os.getcwd()}/{filename}")


def upload(target_dir: str = "") -> dict[str, bytes]:
    """Save the chosen files under target_dir, and return {path: bytes}; empty if cancelled."""
    files = _upload_files()
    if target_dir:
        os.makedirs(target_dir, exist_ok=True)
    contents: dict[str, bytes] = {}
    for name, content in files.items():
        path = _get_unique_filename(os.path.join(target_dir, name))
        print(f"Saving {name} to {path}")
        with open(path, "wb") as file:
            file.write(content)
        contents[path] = content
    return contents


def _one_file() -> tuple[str, bytes]:
    files = _upload_files()
    if not files:
        raise ValueError("File has not been uploaded")
    if len(files) > 1:
        raise ValueError("Multiple files received, please upload a single file")
    return next(iter(files.items()))


def _upload_files() -> dict[str, bytes]:
    need_kernel()
    files: dict[str, bytes] = {}
    for name, content in world().picked():
        files[name] = files.get(name, b"") + content
    return files


def _get_unique_filename(filename: str) -> str:
    stem, extension = os.path.splitext(filename)
    number, unique = 0, filename
    while os.path.lexists(unique):
        number += 1
        unique = f"{stem} ({number}){extension}"
    return unique


def download(filename: str) -> None:
    """Let the browser fetch a file. It does so later: the file must not change until then."""
    if not os.path.exists(filename):
        raise FileNotFoundError(f"Cannot find file: {filename}")
    need_kernel()
    world().hand_over(os.path.abspath(filename))


def view(filepath: str) -> None:
    """Show a file in Colab's viewer. The stand-in has none: it notes the call."""
    if not os.path.exists(filepath):
        raise FileNotFoundError(f"Cannot find file: {filepath}")
    path = os.path.abspath(filepath)
    root = os.environ.get("DATALAB_ROOT")
    world().note("view", path=path[len(root) :] if root and path.startswith(root) else path)
