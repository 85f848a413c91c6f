"""Upscaler: a small convolutional network that makes pictures four times as wide and high.

It learns from drawings of 512 px: their 128 px versions, and these as the house decoder gives them back.
"""

import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import exported
from decoder import across, down, near_edge, with_noise
from drawing import draw
from latents import latents
from pictures import to_tensor
from scenes import random_scene
from training import Plan, fit

SCALE = 4
WIDTH, BLOCKS = 32, 6
SMALL = 128  # px of the pictures it learns to enlarge
SCENES = 300
CROP, BATCH = 32, 8  # px of the small picture
DECODED = .6  # share of pictures that went through the autoencoder
NOISE = .02  # most that is added to pictures in 0..1
EDGE_WEIGHT = 4.
PLAN = Plan(steps=1200, learning_rate=1e-3, average=.995)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)

    def forward(self, x):
        return x + self.second(F.leaky_relu(self.first(x), .2))


class Upscaler(nn.Module):
    """Pictures (n, 3, h, w) in 0..1 to (n, 3, 4h, 4w): each pixel repeated, and 4x4 corrections for it."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.tail = nn.Conv2d(WIDTH, 3 * SCALE ** 2, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)

    def forward(self, x):
        corrections = self.tail(self.blocks(self.head(x)))
        return F.pixel_shuffle(corrections + x.repeat_interleave(SCALE ** 2, 1), SCALE)


def train(work):
    torch.manual_seed(0)
    rng = random.Random("upscaler")
    scenes = [random_scene(rng, rng.random() < .25) for _ in range(SCENES)]
    large = np.stack([draw(s, SCALE * SMALL) for s in scenes])
    small = (to_tensor(np.stack([draw(s, SMALL) for s in scenes])) + 1) / 2
    decoded = through_decoder(exported.load().vae, small)
    model = Upscaler()

    def loss(rng):
        x, y = [], []
        for _ in range(BATCH):
            i, left, top = (int(torch.randint(n, (1,), generator=rng)) for n in (SCENES, SMALL - CROP, SMALL - CROP))
            source = decoded if torch.rand(1, generator=rng) < DECODED else small
            x.append(source[i, :, top:top + CROP, left:left + CROP])
            rows, columns = (slice(SCALE * at, SCALE * (at + CROP)) for at in (top, left))
            y.append((to_tensor(large[i:i + 1, rows, columns])[0] + 1) / 2)
        x, y = torch.stack(x), torch.stack(y)
        x = x + NOISE * torch.rand(BATCH, 1, 1, 1, generator=rng) * torch.randn(x.shape, generator=rng)
        turn, mirror = int(torch.randint(4, (1,), generator=rng)), torch.rand(1, generator=rng) < .5
        x, y = (torch.rot90(p.flip(-1) if mirror else p, turn, (-2, -1)) for p in (x, y))
        error = model(x) - y
        flat = ((1 + (EDGE_WEIGHT - 1) * near_edge(2 * y)) * error.abs()).mean()
        return flat + across(error).abs().mean() + down(error).abs().mean()

    fit(work / "upscale.pt", model, loss, PLAN)
    return model.eval()


@torch.no_grad()
def through_decoder(vae, pictures):
    """Pictures in 0..1 as the autoencoder gives them back."""
    parts = [(vae.decode(with_noise(latents(2 * x - 1))).sample.clamp(-1, 1) + 1) / 2 for x in pictures.split(12)]
    return torch.cat(parts)
