"""Edges: a ControlNet (Zhang et al. 2023, arXiv:2302.05543) that makes the base draw along given edges."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import ControlNetModel
from torch import nn

import exported
import unet
from autoencoder import PICTURE
from drawing import draw
from examples import Examples, denoising_loss
from training import Plan, fit

BATCH = 12
SCENES = 2000
SEEN = .5  # spread of what the condition adds to the encoder at first
GAPS = .5  # share of pictures some of whose edges are wiped out
ASTRAY = .08  # most that a shape is moved from where its caption may have it, as a share of the width
FOCUS = unet.Focus(.8, 5.)  # noisy pictures more often: what is where is decided there
PLAN = Plan(steps=2000, learning_rate=1e-3, warm_up=50, average=.995)
LOW, HIGH = 100, 200  # thresholds of a gradient's size |gx| + |gy|, as in most uses of Canny edges


def canny(pictures):
    """Edges of pictures uint8 (n, s, s, 3), one pixel wide: bool (n, s, s). Canny 1986, without its blur."""
    return np.stack([cv2.Canny(picture, LOW, HIGH) > 0 for picture in pictures])


def to_condition(edges):
    """bool (n, s, s) to the ControlNet's input, float (n, 3, s, s): 1 on edges, else 0."""
    return torch.from_numpy(edges).float().unsqueeze(1).expand(-1, 3, -1, -1)


def to_pictures(edges):
    """bool (n, s, s) to white lines on black, uint8 (n, s, s)."""
    return edges.astype(np.uint8) * 255


def new_model(denoiser, condition):
    """A ControlNet that adds nothing yet, but whose encoder already sees the condition."""
    model = ControlNetModel.from_unet(denoiser, conditioning_embedding_out_channels=(16, 16, 32, 64))
    model.requires_grad_(True)
    wake(model.controlnet_cond_embedding, condition)
    return model


@torch.no_grad()
def wake(embedding, x):
    """Scales each layer so that its outputs on x vary by one (Mishkin and Matas 2016, arXiv:1511.06422).

    As the layers are initialised, lines one pixel wide fade to nothing in them, and the last one starts at zero: 600
    steps taught such a ControlNet nothing.
    """
    for layer in (embedding.conv_in, *embedding.blocks):
        layer.bias.zero_()
        layer.weight /= layer(x).std()
        x = F.silu(layer(x))
    nn.init.normal_(embedding.conv_out.weight)
    embedding.conv_out.weight *= SEEN / embedding.conv_out(x).std()


def predict(denoiser, control, noisy, t, text, condition):
    """The v of the denoiser, led by the ControlNet."""
    down, middle = control(noisy, t, text, condition, return_dict=False)
    return denoiser(
        noisy, t, text, down_block_additional_residuals=down, mid_block_additional_residual=middle).sample


def train(work):
    torch.manual_seed(0)
    parts = exported.load()
    examples = Examples(parts.tokens, "edges", SCENES, change=stray)
    edges = np.concatenate([canny(np.stack([draw(s, PICTURE) for s in examples.scenes[i:i + 100]]))
                            for i in range(0, SCENES, 100)])
    model = new_model(parts.denoiser, to_condition(edges[:BATCH]))

    def loss(rng):
        i, x, ids = examples.batch(BATCH, rng)
        with torch.no_grad():
            text = parts.text_encoder(ids).last_hidden_state
        condition = to_condition(edges[i.numpy()]) * kept(rng)
        return denoising_loss(lambda noisy, t: predict(parts.denoiser, model, noisy, t, text, condition), x, rng, FOCUS)

    fit(work / "edges.pt", model, loss, PLAN)
    return parts, model.eval().requires_grad_(False)


def stray(rng, scene):
    """Moves every shape a little, so that edges say more than captions do."""
    for o in scene.objects:
        o.x, o.y = (min(max(v + rng.uniform(-ASTRAY, ASTRAY), o.r + .02), .98 - o.r) for v in (o.x, o.y))


def kept(rng):
    """1 where edges stay and 0 in squares where they are wiped out, (BATCH, 1, s, s)."""
    cells = (torch.rand(BATCH, 1, 8, 8, generator=rng) > .15).float()
    cells[torch.rand(BATCH, generator=rng) > GAPS] = 1
    return cells.repeat_interleave(PICTURE // 8, -1).repeat_interleave(PICTURE // 8, -2)
