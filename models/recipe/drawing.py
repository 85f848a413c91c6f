"""Drawing: a scene becomes a picture of any size, with smooth edges."""

import math

import numpy as np
from PIL import Image, ImageDraw

from words import BACKGROUND_COLORS, PAPER

SKY = {  # at the top and at the horizon
    "day": ((120, 190, 245), (205, 230, 250)),
    "night": ((12, 16, 45), (45, 50, 100)),
    "sunset": ((95, 60, 135), (250, 165, 105)),
}
SEA = {"day": (35, 115, 150), "night": (14, 40, 78), "sunset": (115, 72, 120)}
HILLS = {  # the far range and the near one
    "day": ((120, 185, 90), (88, 152, 66)),
    "night": ((32, 62, 48), (22, 45, 36)),
    "sunset": ((125, 100, 70), (95, 72, 52)),
}
OVERSAMPLE = 4


def draw(scene, size):
    """The scene as uint8 (size, size, 3)."""
    picture = draw_background(scene.background, size)
    for o in scene.objects:
        mask = draw_shape(o.shape, o.x, o.y, o.r, size)[..., None]
        picture = picture * (1 - mask) + np.array(o.rgb) * mask
    return picture.round().astype(np.uint8)


def draw_background(background, size):
    """The background as float (size, size, 3), 0 to 255."""
    y = np.linspace(0, 1, size)[:, None, None]
    x = np.linspace(0, 1, size)[None, :]
    flat = np.zeros((size, size, 3))
    if background.kind == "plain":
        return flat + np.array(background.rgb or BACKGROUND_COLORS.get(background.color, PAPER))
    if background.kind == "gradient":
        return flat + (1 - y) * BACKGROUND_COLORS[background.top] + y * np.array(BACKGROUND_COLORS[background.bottom])

    def below(line):  # 1 below the line, 0 above it, smooth over a pixel
        return np.clip((y[..., 0] - line) * size + .5, 0, 1)[..., None]

    time, horizon = background.time, background.horizon
    top, bottom = map(np.array, SKY[time])
    picture = flat + top + (bottom - top) * np.clip(y / horizon, 0, 1)
    if background.land == "sea":
        water = np.array(SEA[time]) * (1.15 - .3 * np.clip((y - horizon) / (1 - horizon), 0, 1))
        mask = below(np.full((1, size), horizon))
        picture = picture * (1 - mask) + water * mask
    if background.land == "hills":
        for i, color in enumerate(HILLS[time]):
            wave = np.sin(2 * np.pi * (x * (1.1 + .3 * i) + background.phase + .4 * i))
            mask = below(horizon + .14 * i + .07 * wave)
            picture = picture * (1 - mask) + np.array(color) * mask
    return np.clip(picture, 0, 255)


def draw_shape(shape, x, y, r, size):
    """Coverage of the shape as float32 (size, size), 0 to 1."""
    full = size * OVERSAMPLE
    image = Image.new("L", (full, full), 0)
    pen = ImageDraw.Draw(image)
    x, y, r = x * full, y * full, r * full

    def box(half_width, half_height):
        return [x - half_width, y - half_height, x + half_width, y + half_height]

    if shape == "circle":
        pen.ellipse(box(r, r), fill=255)
    elif shape == "ring":
        pen.ellipse(box(r, r), fill=255)
        pen.ellipse(box(.52 * r, .52 * r), fill=0)
    elif shape == "square":
        pen.rectangle(box(.9 * r, .9 * r), fill=255)
    elif shape == "cross":
        pen.rectangle(box(r, .36 * r), fill=255)
        pen.rectangle(box(.36 * r, r), fill=255)
    else:
        pen.polygon([(x + r * u, y + r * v) for u, v in OUTLINES[shape]], fill=255)
    return np.asarray(image.resize((size, size), Image.BOX), np.float32) / 255


def star_outline():
    tips = [(1.08 if i % 2 == 0 else .4536, i * math.pi / 5) for i in range(10)]
    return [(length * math.sin(a), .05 - length * math.cos(a)) for length, a in tips]


def heart_outline():
    def at(a):
        y = (13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)) / 16
        return 1.02 * math.sin(a) ** 3, -.06 - 1.02 * y

    return [at(2 * math.pi * i / 60) for i in range(60)]


OUTLINES = {
    "triangle": [(0, -1), (1, .85), (-1, .85)],
    "diamond": [(0, -1.08), (.78, 0), (0, 1.08), (-.78, 0)],
    "star": star_outline(),
    "heart": heart_outline(),
}
