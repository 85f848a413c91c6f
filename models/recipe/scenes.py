"""Scenes: what a picture of the house model can show, and random ones to learn from."""

import dataclasses

import numpy as np

from drawing import draw_background
from words import (
    BACKGROUND_COLORS, COLORS, LANDS, PAPER, PLACES, RADII, RELATIONS, ROW, SHAPES, TIMES, UNSEEN_PAIRS,
)

MIN_CONTRAST = 75  # least RGB distance between a shape and what is behind it


@dataclasses.dataclass
class Object:
    shape: str
    color: str
    size: str  # "small", "large" or "" (unsaid)
    x: float  # centre and radius as shares of the width
    y: float
    r: float
    rgb: tuple = ()  # the colour as drawn: COLORS[color] and a little jitter


@dataclasses.dataclass
class Background:
    kind: str  # "plain", "gradient" or "landscape"
    color: str = ""  # plain; "" is paper
    top: str = ""  # gradient
    bottom: str = ""
    land: str = ""  # landscape
    time: str = ""
    horizon: float = 0  # share of the height
    phase: float = 0  # of the hills' waves
    rgb: tuple = ()  # plain, as drawn


@dataclasses.dataclass
class Scene:
    objects: list
    place: str  # of a lone shape; "" is unsaid
    relation: str  # of the first of two shapes to the second
    background: Background

    def to_json(self):
        """What the scene asks for, as models/score reads it: without where and how it was drawn."""
        scene = dataclasses.asdict(self)
        for part in [*scene["objects"], scene["background"]]:
            for drawn in DRAWN.intersection(part):
                del part[drawn]
        return without_empty(scene)


DRAWN = {"x", "y", "r", "rgb", "horizon", "phase"}


def without_empty(value):
    if isinstance(value, dict):
        return {k: without_empty(v) for k, v in value.items() if v != ""}
    if isinstance(value, list):
        return [without_empty(v) for v in value]
    return value


def jitter(rng, rgb, by):
    return tuple(min(255, max(0, v + rng.randint(-by, by))) for v in rgb)


def random_background(rng):
    kind = rng.choices(["plain", "gradient", "landscape"], [.5, .15, .35])[0]
    background = Background(kind)
    if kind == "plain":
        background.color = rng.choice([*BACKGROUND_COLORS, "", ""])
        background.rgb = jitter(rng, BACKGROUND_COLORS.get(background.color, PAPER), 6)
    elif kind == "gradient":
        background.top, background.bottom = rng.sample(list(BACKGROUND_COLORS), 2)
    else:
        background.land, background.time = rng.choice(LANDS), rng.choice(TIMES)
        background.horizon = 1.0 if background.land == "sky" else rng.uniform(.58, .68)
        background.phase = rng.random() if background.land == "hills" else 0.0
    return background


def random_places(rng, count):
    """(place, relation, centres) of a scene with count shapes."""
    if count == 1:
        place = rng.choice([*PLACES, "middle", "", ""])
        return place, "", [PLACES[place] if place else (rng.uniform(.3, .7), rng.uniform(.3, .7))]
    if count == 2:
        relation = rng.choice(list(RELATIONS))
        return "", relation, RELATIONS[relation]
    return "", "", ROW


def random_scene(rng, unseen=False, weights=(.4, .48, .12)):
    """A scene drawn from rng (random.Random) with 1, 2 or 3 shapes by weights.

    unseen: the first shape is one of UNSEEN_PAIRS. Otherwise none is.
    """
    while True:
        background = random_background(rng)
        count = rng.choices([1, 2, 3], weights)[0]
        place, relation, centres = random_places(rng, count)
        behind = draw_background(background, 32)
        objects = []
        for x, y in centres:
            size = rng.choice(["small", "large", "", ""]) if count < 3 else ""
            r = rng.uniform(*RADII[count][size])
            dx, dy = (.03, .03) if count < 3 else (.015, .045)
            x = min(max(x + rng.uniform(-dx, dx), r + .02), .98 - r)
            y = min(max(y + rng.uniform(-dy, dy), r + .02), .98 - r)
            patch = behind[int((y - r) * 32):int((y + r) * 32) + 1, int((x - r) * 32):int((x + r) * 32) + 1]
            pair = random_pair(rng, patch.reshape(-1, 3), {o.color for o in objects}, unseen and not objects, unseen)
            if pair is None:
                break
            color, shape = pair
            objects.append(Object(shape, color, size, x, y, r, jitter(rng, COLORS[color], 8)))
        if len(objects) == count:
            return Scene(objects, place, relation, background)


def random_pair(rng, behind, used, must_be_unseen, may_be_unseen):
    """A (colour, shape) that stands out from what is behind it and from the other shapes, or None after 8 tries."""
    for _ in range(8):
        if must_be_unseen:
            color, shape = rng.choice(sorted(UNSEEN_PAIRS))
        else:
            color, shape = rng.choice(list(COLORS)), rng.choice(SHAPES)
        if color in used or (not may_be_unseen and (color, shape) in UNSEEN_PAIRS):
            continue
        if np.sqrt(((behind - COLORS[color]) ** 2).sum(-1)).min() >= MIN_CONTRAST:
            return color, shape
    return None
