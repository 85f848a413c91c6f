"""Inpainting: the base UNet with nine more input channels, which draws a masked part anew to fit what is around it.

Its input is [noisy latents, mask, latents of the picture with the masked part gray], as Stable Diffusion's is.
"""

import random

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel

import exported
import tokenizer
import unet
from captions import caption
from examples import Examples, denoising_loss
from latents import CHANNELS, SCALE, SIZE, latents
from scenes import Background, Scene
from training import Plan, fit

BATCH = 12
SCENES = 4_000
NAMED = .3  # share of pictures where one shape is masked and the caption names nothing else
FOCUS = unet.Focus(.8, 5.)  # noisy pictures more often: the layout is decided there, and has to fit
EMPTY = .2  # share of captions left out, beyond those of the examples: guidance enlarges what they disagree in
LEFT = 3.  # how much more the loss counts what the mask leaves: it is to stay as it is
GUIDANCE = 2  # more of it changes what the mask leaves
PLAN = Plan(steps=5400, learning_rate=5e-4, warm_up=50, average=.995)


def new_model(denoiser):
    """The denoiser with an input layer that ignores its new channels at first."""
    model = UNet2DConditionModel.from_config({**denoiser.config, "in_channels": 2 * CHANNELS + 1})
    weights = denoiser.state_dict()
    first = torch.zeros_like(model.conv_in.weight)
    first[:, :CHANNELS] = weights["conv_in.weight"]
    model.load_state_dict(weights | {"conv_in.weight": first})
    return model


def surroundings(x, mask):
    """The nine channels of pictures x (n, 3, s, s) in -1..1 under masks (n, 1, s, s), 1 where they are drawn anew."""
    return torch.cat([F.interpolate(mask, SIZE, mode="nearest"), SCALE * latents(x * (mask < .5))], 1)


def random_masks(n, side, rng):
    """Rectangles, ellipses, pairs of them, halves of the picture, and now and then all of it: (n, 1, side, side)."""
    line = (torch.arange(side) + .5) / side

    def inside(extent):
        def choice(low, high):
            return low + (high - low) * torch.rand(n, 1, 1, 1, generator=rng)
        half_width, half_height = choice(*extent), choice(*extent)
        across = (line.view(1, 1, 1, -1) - choice(.1, .9)) / half_width
        down = (line.view(1, 1, -1, 1) - choice(.1, .9)) / half_height
        box = (across.abs() < 1) & (down.abs() < 1)
        ellipse = across ** 2 + down ** 2 < 1
        return torch.where(choice(0, 1) < .7, box, ellipse)

    kind = torch.rand(n, 1, 1, 1, generator=rng)
    one, other = inside((.12, .5)), inside((.12, .35))
    at = torch.empty(n, 1, 1, 1).uniform_(.3, .7, generator=rng)
    columns = (line.view(1, 1, 1, -1) < at).expand(n, 1, side, side)
    rows = columns.transpose(-1, -2)
    turn = torch.rand(n, 1, 1, 1, generator=rng)
    half = torch.where(turn < .25, columns, torch.where(turn < .5, ~columns, torch.where(turn < .75, rows, ~rows)))
    mask = torch.where(kind < .45, one, torch.where(kind < .6, one | other, half))
    return (mask | (kind > .95)).float()


class Shapes:
    """One shape of each scene: the box around it (count, 4), left, top, right and bottom, and its name as token ids."""

    def __init__(self, tokens, name, scenes):
        rng = random.Random(name)
        chosen = [rng.choice(scene.objects) for scene in scenes]
        self.boxes = torch.tensor([(o.x - o.r, o.y - o.r, o.x + o.r, o.y + o.r) for o in chosen])
        nowhere = Background("plain")
        self.ids = torch.tensor(tokenizer.encode(tokens, [caption(rng, Scene([o], "", "", nowhere)) for o in chosen]))

    def masks(self, rows, side, rng):
        """Boxes around the shapes of some scenes, with random room on each side: (len(rows), 1, side, side)."""
        room = .03 + .12 * torch.rand(len(rows), 4, generator=rng)
        left, top, right, bottom = (self.boxes[rows] + torch.tensor([-1, -1, 1, 1]) * room).T.view(4, -1, 1, 1, 1)
        line = (torch.arange(side) + .5) / side
        x, y = line.view(1, 1, 1, -1), line.view(1, 1, -1, 1)
        return ((x > left) & (x < right) & (y > top) & (y < bottom)).float()


def train(work):
    torch.manual_seed(0)
    parts = exported.load()
    examples = Examples(parts.tokens, "inpainting", SCENES)
    shapes = Shapes(parts.tokens, "inpainting shapes", examples.scenes)
    model = new_model(parts.denoiser)

    def loss(rng):
        rows, x, ids = examples.batch(BATCH, rng)
        masks = random_masks(BATCH, x.shape[-1], rng)
        named = torch.rand(BATCH, generator=rng) < NAMED
        masks[named], ids[named] = shapes.masks(rows[named], x.shape[-1], rng), shapes.ids[rows[named]]
        ids[torch.rand(BATCH, generator=rng) < EMPTY] = examples.empty_ids
        with torch.no_grad():
            text = parts.text_encoder(ids).last_hidden_state
        around = surroundings(x, masks)
        where = torch.where(around[:, :1] == 1, 1., LEFT)
        return denoising_loss(lambda noisy, t: model(torch.cat([noisy, around], 1), t, text).sample, x, rng, FOCUS, where)

    fit(work / "inpaint.pt", model, loss, PLAN)
    return parts, model.eval().requires_grad_(False)
