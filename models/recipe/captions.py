"""Captions: what somebody might type to get a scene."""

import re

SYNONYMS = {
    "circle": ["circle", "disc", "dot", "ball"], "square": ["square", "box"], "ring": ["ring", "hoop"],
    "diamond": ["diamond", "rhombus"], "cross": ["cross", "plus"],
    "small": ["small", "little", "tiny"], "large": ["large", "big", "huge"],
    "purple": ["purple", "violet"], "gray": ["gray", "grey"],
}
PLACE_WORDS = {
    "left": ["on the left", "at the left", "on the left side"],
    "right": ["on the right", "at the right", "on the right side"],
    "top": ["at the top", "on top"],
    "bottom": ["at the bottom", "low at the bottom"],
    "middle": ["in the middle", "in the center", "at the center"],
    "top left": ["in the top left corner", "at the top left", "in the upper left"],
    "top right": ["in the top right corner", "at the top right", "in the upper right"],
    "bottom left": ["in the bottom left corner", "at the bottom left", "in the lower left"],
    "bottom right": ["in the bottom right corner", "at the bottom right", "in the lower right"],
}
RELATION_WORDS = {
    "left": ["left of", "to the left of", "on the left of"],
    "right": ["right of", "to the right of", "on the right of"],
    "above": ["above", "over", "on top of"],
    "below": ["below", "under", "beneath"],
}
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
TIME_WORDS = {
    "day": ["at day", "by day", ", day", ", daylight"],
    "night": ["at night", "by night", ", night"],
    "sunset": ["at sunset", ", sunset", "at dusk"],
}
LAND_WORDS = {
    "sky": ["in the sky", "in the sky", ", sky"],
    "sea": ["by the sea", "over the sea", ", sea", ", ocean"],
    "hills": ["over the hills", "over green hills", ", hills"],
}
FRAMES = ["a picture of", "a drawing of", "picture of"]


def caption(rng, scene):
    """One of the many ways to ask for the scene, lower case."""
    articles = rng.random() < .75
    names = [name(rng, o, articles) for o in scene.objects]
    text = with_background(rng, arrangement(rng, scene, names), scene.background)
    if rng.random() < .12:
        text = f"{rng.choice(FRAMES)} {text}"
    text = re.sub(r"\s+", " ", text.replace(" ,", ",")).strip()
    return re.sub(r"\ba (?=[aeio])", "an ", text)


def synonym(rng, word):
    return rng.choice(SYNONYMS[word]) if word in SYNONYMS and rng.random() < .4 else word


def name(rng, o, article):
    words = [rng.choice(["a", "a", "a", "one", "the"])] if article else []
    words += [synonym(rng, o.size)] if o.size else []
    return " ".join([*words, synonym(rng, o.color), synonym(rng, o.shape)])


def arrangement(rng, scene, names):
    if len(names) == 1:
        return f"{names[0]} {rng.choice(PLACE_WORDS[scene.place])}" if scene.place else names[0]
    if len(names) == 3:
        a, b, c = names
        return rng.choice([f"{a}, {b} and {c}", f"{a} and {b} and {c}", f"{a}, {b}, {c}", f"{a}, {b} and {c} in a row"])
    a, b = names
    straight = f"{a} {rng.choice(RELATION_WORDS[scene.relation])} {b}"
    inverse = f"{b} {rng.choice(RELATION_WORDS[OPPOSITE[scene.relation]])} {a}"
    forms = [straight] * 3 + [inverse]
    if scene.relation == "left":  # side by side, in reading order
        forms += [f"{a} and {b}", f"{a} next to {b}", f"{a} beside {b}"]
    if scene.relation == "right":
        forms += [f"{b} and {a}", f"{b} next to {a}"]
    return rng.choice(forms)


def with_background(rng, text, background):
    if background.kind == "plain":
        if not background.color:
            return text + rng.choice(["", "", "", " on a plain background", ", plain"])
        color = synonym(rng, background.color)
        return text + rng.choice([
            f" on a {color} background", f" on a {color} background", f" on {color}",
            f", {color} background", f" with a {color} background", f" against a {color} background",
        ])
    if background.kind == "gradient":
        top, bottom = synonym(rng, background.top), synonym(rng, background.bottom)
        return text + rng.choice([
            f" on a {top} to {bottom} gradient", f" on a gradient from {top} to {bottom}",
            f", background fading from {top} to {bottom}", f", {top} to {bottom} gradient",
        ])
    time, land = rng.choice(TIME_WORDS[background.time]), rng.choice(LAND_WORDS[background.land])
    if background.land == "sky" and background.time != "day" and rng.random() < .5:
        land = ""
    if rng.random() < .2 and not time.startswith(","):
        return f"{time}, {text} {land}"
    return f"{text} {land} {time}"
