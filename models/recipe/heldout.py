"""Held-out prompts: scenes that training never drew, half of them with an unseen pair of colour and shape.

A program in Go, models/score, tells whether a picture shows its scene.
"""

import json
import pathlib
import random
import subprocess

from PIL import Image

from captions import caption
from drawing import draw
from scenes import random_scene

COUNT = 120  # of each kind
DRAWN = 12  # prompts of 1, 2 and 3 shapes each that are drawn for the tests of models/score
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
FILE = REPOSITORY / "models/score/testdata/heldout.jsonl"


def prompts():
    """(line for models/score, scene as drawn) of each prompt, the same at every call."""
    rng = random.Random("held out")
    for i in range(2 * COUNT):
        unseen = i >= COUNT
        scene = random_scene(rng, unseen)
        line = {
            "id": f"{'unseen' if unseen else 'new'}-{i % COUNT + 1:03d}", "prompt": caption(rng, scene),
            "unseen": unseen, "scene": scene.to_json(),
        }
        yield line, scene


def make():
    """Writes the prompts, and drawings of a few of their scenes."""
    drawings = FILE.parent / "drawings"
    drawings.mkdir(parents=True, exist_ok=True)
    write(FILE, [line for line, _ in prompts()])
    for count in (1, 2, 3):
        for line, scene in [(line, scene) for line, scene in prompts() if len(scene.objects) == count][:DRAWN]:
            Image.fromarray(draw(scene, 128)).save(drawings / f"{line['id']}.png")


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_cases(folder, lines, **pictures):
    """Writes prompts.jsonl and pictures, uint8 (n, s, s, 3) or (n, s, s), as ID.WORD.png by their word, or ID.png for "".

    folder: its path, or its name in the test data of models/score.
    """
    folder = FILE.parent / folder
    folder.mkdir(parents=True, exist_ok=True)
    for word, group in pictures.items():
        for line, picture in zip(lines, group, strict=True):
            Image.fromarray(picture).save(folder / f"{line['id']}{word and '.' + word}.png", optimize=True)
    write(folder / "prompts.jsonl", lines)


def score(folder, lines, pictures, measure="scene", **beside):
    """What models/score prints for the pictures, uint8 (n, s, s, 3); they stay in the folder.

    beside: more pictures for each line, which some measures compare with; they are called ID.WORD.png.
    """
    write_cases(folder, lines, **{"": pictures}, **beside)
    command = ["go", "run", "./models/score/cmd", "-measure", measure, "-prompts", folder / "prompts.jsonl", folder]
    return subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
