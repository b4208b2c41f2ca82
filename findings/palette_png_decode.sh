#!/usr/bin/env bash
# What: torchvision.io.decode_image reads a palette PNG as the file holds it: masks of a segmentation set, icons, drawings.
# Versions: torch 2.14.1, torchvision 0.29.1, Pillow 13.0.0, numpy 2.4.6, Python 3.11.
# Expected: one channel with the index of each pixel's colour, as np.asarray(Image.open(...)) gives; RGB_ALPHA: each pixel's colour and 255.
# Seen: with more than 16 colours the indices are right. With 2, 4 or 16 colours Pillow writes 1, 2 or 4 bits a pixel, and torchvision gives
#       these packed bytes: the shape is right, the first part of each row holds 8, 4 or 2 pixels in one number, the rest is what the memory held. No error.
#       mode=RGB is right. mode=RGB_ALPHA of a palette without transparency lays triples of bytes into pixels of four: each pixel but
#       the first has channels of its neighbours.
# What to do: read masks with Pillow; read pictures with mode=ImageReadMode.RGB.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.14.1 torchvision==0.29.1 pillow==13.0.0 numpy==2.4.6
cd "$work"
CUDA_VISIBLE_DEVICES="" OMP_NUM_THREADS=1 venv/bin/python - <<'PYTHON'
import io
import sys

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision.io import ImageReadMode, decode_image

print("torch", torch.__version__, "torchvision", torchvision.__version__, "Pillow", PIL.__version__)
WIDTH, HEIGHT = 16, 12
draw = np.random.default_rng(0)
changed = []
for colours, bits in ((2, 1), (4, 2), (16, 4), (17, 8), (200, 8)):
    index = draw.integers(0, colours, (HEIGHT, WIDTH), dtype=np.uint8)
    index[-1, -1] = colours - 1
    palette = draw.integers(0, 256, (colours, 3), dtype=np.uint8)
    picture = Image.new("P", (WIDTH, HEIGHT))
    picture.putdata(index.flatten().tolist())
    picture.putpalette(palette.flatten().tolist())
    file = io.BytesIO()
    picture.save(file, "PNG")
    data = file.getvalue()
    assert data[24] == bits, f"Pillow writes {data[24]} bits a pixel for {colours} colours"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), index), "Pillow reads back what it wrote"

    tensor = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    plain = decode_image(tensor).numpy()
    packed = np.zeros((HEIGHT, WIDTH), np.uint8)
    places = 8 // bits
    shifts = np.arange(places)[::-1] * bits
    packed[:, : WIDTH // places] = (index.reshape(HEIGHT, -1, places) << shifts).sum(2)
    rgb = decode_image(tensor, mode=ImageReadMode.RGB).numpy().transpose(1, 2, 0)
    alpha = decode_image(tensor, mode=ImageReadMode.RGB_ALPHA).numpy().transpose(1, 2, 0)
    triples = palette[index].reshape(HEIGHT, -1)  # a row as bytes: r g b r g b
    laid = alpha.reshape(HEIGHT, -1)[:, : WIDTH * 3]
    seen = {
        "shape (1, H, W)": plain.shape == (1, HEIGHT, WIDTH),
        "indices": bool(np.array_equal(plain[0], index)),
        "packed bits": bool(np.array_equal(plain[0, :, : WIDTH // places], packed[:, : WIDTH // places])),
        "RGB right": bool(np.array_equal(rgb, palette[index])),
        "RGB_ALPHA right": bool(np.array_equal(alpha[..., :3], palette[index])),
        "RGB_ALPHA is triples in a row": bool(np.array_equal(laid, triples)),
    }
    print(f"{colours} colours, {bits} bits a pixel:", {name: yes for name, yes in seen.items()})
    want = (True, bits == 8, True, True, False, True)
    if tuple(seen.values()) != want:
        changed.append(colours)
sys.exit(f"What was seen has changed for {changed} colours" if changed else 0)
PYTHON
echo "still so"
