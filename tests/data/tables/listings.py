"""What the tests of tables share: a listing of files that need not be there, read and asked."""

import json

from colab_kit.data.folders.tree import Listing, PictureFile
from colab_kit.data.tables.matching import LabelRequest, label_files
from tests.support.layouts import pasteable


def lay(root, tables, **splits):
    """A listing of files that need not be there, with tables that are: {name: text}."""
    paths = []
    for name, text in tables.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        paths.append(path)
    files = {
        split: [
            PictureFile(root / one, None)
            if isinstance(one, str)
            else PictureFile(root / one[0], one[1])
            for one in names
        ]
        for split, names in splits.items()
    }
    return Listing(root, files, tables=tuple(sorted(paths, key=lambda path: len(path.parts))))


def read(listing, labels=None, source="leaves", **kw):
    words = {"labels": labels, **kw}
    return label_files(listing, LabelRequest(labels, source=source, words=words, **kw))


def said(listing, split="train"):
    """{file: label} of a split."""
    return {str(file.path.relative_to(listing.root)): file.label for file in listing.splits[split]}


def rows(*lines):
    return "\n".join(lines) + "\n"


def pasted(error):
    """The words of the first line of a fix."""
    first = error.value.fix.split(", or kit.load(")[0]
    return eval(f"dict({first.partition(', ')[2]}")


def every_pasted(error):
    """The words of each line of a fix, in order."""
    calls = [line[line.index("kit.load(") :] for line in pasteable(error.value.fix)]
    return [eval(f"dict({call.partition(', ')[2]}" if ", " in call else "{}") for call in calls]
