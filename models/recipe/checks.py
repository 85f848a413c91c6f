"""Checks: whether each model beside the base does what it is for. models/score measures the pictures.

python checks.py writes what its tests show the models: pictures with masks, and edges.
"""

import copy
import random

import numpy as np
import torch
from PIL import Image

import edges
import exported
import heldout
import inpainting
import inversion
import sampling
import upscaler
from autoencoder import PICTURE
from captions import caption
from drawing import draw
from pictures import to_pictures, to_tensor
from scenes import Background, Scene, random_pair, random_scene
from words import COLORS

COUNT = 24  # pictures of a check


def some_prompts(seen_only=False):
    """COUNT held-out (line, scene), spread evenly; or only of the pairs that training has shown."""
    every = [pair for pair in heldout.prompts() if not (seen_only and pair[0]["unseen"])]
    return zip(*every[::len(every) // COUNT][:COUNT])


def report(work, measure, kind, lines, pictures, **beside):
    """Prints what models/score measures of the pictures, uint8 (n, s, s, 3), and of others beside them, by their suffix."""
    print(f"{kind}: {heldout.score(work / 'checks' / kind, lines, pictures, measure, **beside).strip()}", flush=True)


def check_style(work, name, parts):
    lines, _ = some_prompts()
    prompts = [line["prompt"] for line in lines]
    report(work, name, f"{name}-without", lines, sampling.sample(exported.load(), prompts))
    report(work, name, f"{name}-with", lines, sampling.sample(parts, prompts))


def check_gem(work, parts):
    rng = random.Random("gems")
    scenes = [random_scene(rng) for _ in range(COUNT)]
    for scene in scenes:
        inversion.put_gem(rng, scene)
    texts = [caption(rng, scene) for scene in scenes]
    lines, _ = some_prompts()
    plain = [inversion.spell(text).replace(" ".join(inversion.names()), "turquoise diamond") for text in texts]
    report(work, "gem", "gem-without", lines, sampling.sample(exported.load(), plain))
    report(work, "gem", "gem-with", lines, sampling.sample(parts, [inversion.spell(text) for text in texts]))


def check_edges(work, parts, control):
    lines, lined = edges_cases()
    condition, prompts = edges.to_condition(lined), [line["prompt"] for line in lines]

    def predict(x, t, text, rows):
        return edges.predict(parts.denoiser, control, x, t, text, torch.cat([condition[rows]] * 2))

    drawn = edges.to_pictures(lined)
    report(work, "edges", "edges-without", lines, sampling.sample(parts, prompts), edges=drawn)
    report(work, "edges", "edges-with", lines, sampling.sample(parts, prompts, predict=predict), edges=drawn)


def edges_cases():
    """Lines, and edges of their scenes with every shape moved and resized a little: the prompt alone can't know where."""
    lines, scenes = some_prompts()
    rng = random.Random("moved")
    return lines, edges.canny(np.stack([draw(move(rng, scene), PICTURE) for scene in scenes]))


def move(rng, scene):
    scene = copy.deepcopy(scene)
    for o in scene.objects:
        o.r *= rng.uniform(.9, 1.1)
        o.x, o.y = (min(max(v + rng.choice([-.06, .06]), o.r + .02), .98 - o.r) for v in (o.x, o.y))
    return scene


def check_inpaint(work, parts, model):
    lines, before, masks = inpaint_cases()
    around = inpainting.surroundings(to_tensor(before), torch.from_numpy(masks)[:, None] / 255)
    for kind, denoiser in (("without", inpainting.new_model(parts.denoiser)), ("with", model)):
        def predict(x, t, text, rows):
            return denoiser(torch.cat([x, torch.cat([around[rows]] * 2)], 1), t, text).sample

        prompts = [line["prompt"] for line in lines]
        pictures = sampling.sample(parts, prompts, predict=predict, guidance=inpainting.GUIDANCE)
        report(work, "inpaint", f"inpaint-{kind}", lines, pictures, before=before, mask=masks)


def inpaint_cases():
    """Lines, pictures uint8 (n, s, s, 3) and masks uint8 (n, s, s), 255 where the line's prompt is to be followed.

    Another shape of another colour stands where the scene's first one should, and is masked. Every second prompt names
    nothing but that first one: what is around it, only the picture tells.
    """
    lines, scenes = some_prompts()
    rng = random.Random("inpaint")
    before, masks = [], np.zeros((COUNT, PICTURE, PICTURE), np.uint8)
    for scene, mask in zip(scenes, masks):
        other = copy.deepcopy(scene)
        first, used = other.objects[0], {o.color for o in scene.objects}
        behind = np.full((1, 3), 1e3)  # anything may be behind it
        first.color, first.shape = random_pair(rng, behind, used, False, True)
        first.rgb = COLORS[first.color]
        before.append(draw(other, PICTURE))
        left, top, right, bottom = (round(PICTURE * v) for v in (
            first.x - first.r - .05, first.y - first.r - .05, first.x + first.r + .05, first.y + first.r + .05))
        mask[max(0, top):bottom, max(0, left):right] = 255
    alone = [caption(rng, Scene(scene.objects[:1], "", "", Background("plain"))) for scene in scenes]
    lines = [line | {"prompt": name} if i % 2 else line for i, (line, name) in enumerate(zip(lines, alone))]
    return lines, np.stack(before), masks


@torch.no_grad()
def check_upscale(work, model):
    """Drawings against themselves at 512 px; and the base's own pictures, which have no original."""
    lines, scenes = some_prompts()
    small = np.stack([draw(scene, PICTURE) for scene in scenes])
    large = np.stack([draw(scene, upscaler.SCALE * PICTURE) for scene in scenes])
    sampled = sampling.sample(exported.load(), [line["prompt"] for line in lines])
    for kind, pictures in (("drawings", small), ("samples", sampled)):
        enlarged = np.concatenate([to_pictures(2 * model((to_tensor(p[None]) + 1) / 2) - 1) for p in pictures])
        report(work, "upscale", f"upscale-{kind}", lines, enlarged, large=large)
        report(work, "upscale", f"bicubic-{kind}", lines, bicubic(pictures), large=large)


def bicubic(pictures):
    side = upscaler.SCALE * pictures.shape[1]
    return np.stack([np.asarray(Image.fromarray(p).resize((side, side), Image.BICUBIC)) for p in pictures])


def main():
    lines, before, masks = inpaint_cases()
    heldout.write_cases("inpaint", lines, before=before, mask=masks)
    lines, lined = edges_cases()
    heldout.write_cases("edges", lines, edges=edges.to_pictures(lined))


if __name__ == "__main__":
    main()
