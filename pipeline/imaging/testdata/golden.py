"""Writes golden.json: what Pillow and OpenCV make of small pictures of noise.

    python golden.py

The picture of a seed is bytes of a linear congruential generator, which the
test draws as well. Results are base64 of the pixels. Needs Pillow 13.0.0,
diffusers 0.35.2 (resize modes, crop regions, overlays), OpenCV 5.0.0, and the
recipe of the house models for the edges that its ControlNet was trained on.
"""

import base64
import json
import pathlib
import sys

import cv2
import numpy as np
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2] / "models/recipe"))
import edges  # noqa: E402

PROCESSOR = VaeImageProcessor()


def noise(seed, width, height, mode):
    state, data = seed, bytearray()
    for _ in range(width * height * len(mode)):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        data.append(state >> 56)
    return Image.frombytes(mode, (width, height), bytes(data))


def spots(seed, width, height):
    """A mask: noise where it is brightest, and else nothing."""
    return noise(seed, width, height, "L").point(lambda v: v if v > 250 else 0)


def shapes(seed, width, height):
    """Blocks of noise made large, with slanting edges between them."""
    return noise(seed, width // 8, height // 8, "RGB").resize((width, height), Image.Resampling.LANCZOS)


def canny(image):
    picture = np.asarray(image)
    lines = cv2.Canny(picture, 100, 200)
    assert np.array_equal(lines > 0, edges.canny(picture[None])[0])
    return Image.fromarray(lines).convert("RGB")


def tile(image):
    width, height = image.size
    small = cv2.resize(np.asarray(image), (width // 8, height // 8), interpolation=cv2.INTER_AREA)
    for _ in range(3):
        small = cv2.pyrUp(small)
    return Image.fromarray(small)


def pixels(image):
    return base64.b64encode(image.tobytes()).decode()


def main():
    cases = []
    add = lambda op, size, channels, arguments, image, **more: cases.append(
        dict(op=op, seed=len(cases) + 1, size=size, channels=channels, arguments=arguments, pixels=pixels(image), **more))
    seed = lambda: len(cases) + 1
    for size, to, mode in (((16, 16), (8, 8), "RGB"), ((23, 9), (16, 16), "RGB"), ((5, 7), (24, 16), "RGB"), ((31, 40), (8, 40), "L"),
                           ((12, 50), (12, 8), "L"), ((1, 1), (8, 8), "RGB"), ((100, 3), (8, 8), "L"), ((16, 8), (16, 8), "RGB"),
                           ((17, 20), (24, 9), "RGB"), ((20, 20), (19, 17), "L"), ((20, 20), (19, 18), "L"), ((20, 20), (30, 19), "L")):
        add("resize", size, len(mode), to, noise(seed(), *size, mode).resize(to, Image.Resampling.LANCZOS))
    for size, to, mode in (((20, 9), (16, 16), "RGB"), ((9, 20), (16, 16), "RGB"), ((30, 31), (24, 16), "RGB"), ((16, 16), (8, 8), "RGB"), ((7, 3), (8, 24), "RGB")):
        add("fill", size, len(mode), to, PROCESSOR.resize(noise(seed(), *size, mode), to[1], to[0], "fill"))
        add("cover", size, len(mode), to, PROCESSOR.resize(noise(seed(), *size, mode), to[1], to[0], "crop"))
    for size, radius, mode in (((20, 12), 1, "L"), ((20, 12), 4, "L"), ((9, 5), 20, "L"), ((16, 16), 0.3, "RGB"), ((33, 2), 2.5, "L"), ((1, 1), 3, "L")):
        image = noise(seed(), *size, mode)
        add("blur", size, len(mode), [radius], VaeImageProcessor.blur(image, radius))
    for size, to, pad in (((40, 20), (16, 16), 0), ((40, 20), (16, 16), 3), ((20, 40), (16, 8), 5), ((24, 24), (8, 24), 32), ((9, 31), (64, 64), 1)):
        mask = spots(seed(), *size)
        add("region", size, 1, [*to, pad], mask, region=PROCESSOR.get_crop_region(mask, *to, pad=pad))
    for size in ((16, 9), (7, 7)):
        s = seed()
        painted, original, mask = noise(s, *size, "RGB"), noise(s + 1000, *size, "RGB"), noise(s + 2000, *size, "L")
        add("overlay", size, 3, [], PROCESSOR.apply_overlay(mask, original, painted))
    for size in ((24, 17), (1, 9), (2, 2)):
        add("canny", size, 3, [], canny(noise(seed(), *size, "RGB")))
    for size in ((64, 48), (40, 40), (96, 16)):
        add("canny shapes", size, 3, [], canny(shapes(seed(), *size)))
    for size in ((32, 24), (8, 8), (16, 40)):
        add("tile", size, 3, [], tile(noise(seed(), *size, "RGB")))
    add("luminance", (16, 9), 3, [], noise(seed(), 16, 9, "RGB").convert("L").convert("RGB"))
    (HERE / "golden.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
