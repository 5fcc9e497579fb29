#!/usr/bin/env bash
# Someone with a folder of photographs for each class: which method, how sure, and what is on new ones.
set -eu

cat > draw.py <<'PYTHON'
"""Her photographs: shapes of any colour, size and place."""

import random
from pathlib import Path

from PIL import Image, ImageDraw

random.seed(0)


def picture(shape: str) -> Image.Image:
    ground, colour = (tuple(random.randint(low, low + 90) for _ in range(3)) for low in (0, 150))
    image = Image.new("RGB", (64, 64), ground)
    x, y, size = random.randint(4, 24), random.randint(4, 24), random.randint(24, 36)
    box = (x, y, x + size, y + size)
    draw = ImageDraw.Draw(image)
    if shape == "disc":
        draw.ellipse(box, fill=colour)
    elif shape == "square":
        draw.rectangle(box, fill=colour)
    else:
        draw.line(box, fill=colour, width=6)
    return image


Path("new").mkdir()
for shape in ("disc", "square", "stroke"):
    Path("photos", shape).mkdir(parents=True)
    for number in range(60):
        picture(shape).save(f"photos/{shape}/{number}.png")
    for number in range(5):
        picture(shape).save(f"new/{shape}{number}.png")
PYTHON
python draw.py
head -c 100 new/disc0.png > new/torn.png

# It says what it sees in the folder, what it leaves out and why, and in the end recommends a row and says how sure that is.
sparsebench fit photos
# A line for each photograph: its class, how likely every class is, or why it cannot be read, as the torn one.
sparsebench predict fit-photos new
