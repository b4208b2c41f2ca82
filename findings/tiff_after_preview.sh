#!/usr/bin/env bash
# What: pictures of a series are saved as PNG or JPEG (previews), then as one TIFF of several pages (a stack, as microscopes have them).
# Versions: Pillow 13.0.0, numpy 2.4.6, Python 3.11.
# Expected: Image.save() writes a file and leaves the picture as it was.
# Seen: a picture that was once saved, as PNG or JPEG, keeps that encoder's settings. As a later page of a TIFF of several pages it raises
#       "TypeError: function takes at most 4 arguments". The file that is left opens without complaint and counts its pages too low;
#       the page that failed cannot be loaded. The first page, and fresh copies of the same pixels, are written well.
# What to do: stack copies, first.save(path, save_all=True, append_images=[page.copy() for page in rest]), or write with tifffile.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pillow==13.0.0 numpy==2.4.6
cd "$work"
venv/bin/python - <<'PYTHON'
import io
import sys

import numpy as np
import PIL
from PIL import Image

print("Pillow", PIL.__version__)
pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)


def stacked(preview, copied):
    """Pages that a stack has, after each picture was saved once in the format of a preview."""
    pages = [Image.fromarray(one) for one in pixels]
    for page in pages if preview else ():
        page.save(io.BytesIO(), preview)
    pages = [page.copy() for page in pages] if copied else pages
    file = io.BytesIO()
    try:
        pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
        how = "written"
    except TypeError as err:
        how = f"TypeError: {err}"
    whole, image = 0, Image.open(io.BytesIO(file.getvalue()))
    for number in range(getattr(image, "n_frames", 1)):
        try:
            image.seek(number)
            whole += bool((np.asarray(image) == pixels[number]).all())
        except (OSError, ValueError, SyntaxError):
            pass
    return how.split(" (")[0], whole


seen = {
    "no preview": stacked(None, False),
    "PNG before": stacked("PNG", False),
    "JPEG before": stacked("JPEG", False),
    "JPEG before, copies": stacked("JPEG", True),
}
for name, what in seen.items():
    print(f"{name}: {what[0]}; {what[1]} of {len(pixels)} pages come back")
good = all(seen[name] == ("written", 3) for name in ("no preview", "JPEG before, copies"))
bad = all(
    seen[name][0].startswith("TypeError: function takes") and seen[name][1] < 3
    for name in ("PNG before", "JPEG before")
)
sys.exit(0 if good and bad else "What was seen has changed")
PYTHON
echo "still so"
