"""Inputs: draws the pictures and masks in examples/in, which the edits in examples/ start from: python inputs.py"""

from PIL import Image, ImageDraw

from autoencoder import PICTURE
from drawing import draw
from heldout import REPOSITORY
from scenes import Background, Object, Scene
from words import COLORS, PAPER

FOLDER = REPOSITORY / "examples/in"


def thing(shape, color, x, y, r):
    return Object(shape, color, "", x, y, r, COLORS[color])


def plain(color=""):
    return Background("plain", color=color, rgb=COLORS.get(color, PAPER))


SUNSET = Background("landscape", land="sea", time="sunset", horizon=.62)
PICTURES = {
    "pair": ([thing("circle", "red", .27, .5, .17), thing("square", "blue", .73, .5, .17)], plain()),
    "tower": ([thing("heart", "pink", .5, .27, .17), thing("cross", "black", .5, .73, .17)], plain("yellow")),
    "sea": ([thing("diamond", "white", .5, .5, .2)], SUNSET),
    "row": ([thing("star", "yellow", .18, .5, .135), thing("ring", "white", .5, .5, .135),
             thing("triangle", "orange", .82, .5, .135)], plain("purple")),
}
# Boxes that are painted anew: left, top, right and bottom as shares of the width.
MASKS = {
    "pair-left": (.05, .28, .49, .72), "pair-right": (.51, .28, .95, .72), "tower-top": (.27, .05, .73, .49),
    "sea-middle": (.23, .23, .77, .77), "row-middle": (.33, .33, .67, .67),
}


def main():
    FOLDER.mkdir(exist_ok=True)
    for name, (objects, background) in PICTURES.items():
        Image.fromarray(draw(Scene(objects, "", "", background), PICTURE)).save(FOLDER / f"{name}.png", optimize=True)
    for name, extent in MASKS.items():
        mask = Image.new("L", (PICTURE, PICTURE))
        ImageDraw.Draw(mask).rounded_rectangle([PICTURE * v for v in extent], radius=8, fill=255)
        mask.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
