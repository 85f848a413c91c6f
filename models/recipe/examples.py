"""Examples: drawn scenes with captions, from which the models beside the base learn, and how they weigh noise."""

import random

import numpy as np
import torch

import tokenizer
import unet
from captions import caption
from drawing import draw
from latents import SCALE, SIZE, latents
from pictures import to_tensor
from scenes import random_scene

CAPTIONS = 2  # of each scene
EMPTY = .1  # share of captions left out, for guidance
FOCUS = unet.Focus(1., 5.)


class Examples:
    """count scenes drawn from the name as seed: pictures uint8 (count, s, s, 3) and token ids (count, CAPTIONS, 32).

    paint(scene, size) draws. change(rng, scene) may alter a random scene, and spell(text) its captions.
    """

    def __init__(self, tokens, name, count, size=4 * SIZE, paint=draw, change=None, spell=str):
        rng = random.Random(name)
        self.scenes = [random_scene(rng, weights=(.4, .4, .2)) for _ in range(count)]
        if change:
            for scene in self.scenes:
                change(rng, scene)
        self.pictures = np.stack([paint(scene, size) for scene in self.scenes])
        captions = [spell(caption(rng, scene)) for scene in self.scenes for _ in range(CAPTIONS)]
        self.ids = torch.tensor(tokenizer.encode(tokens, captions)).view(count, CAPTIONS, -1)
        self.empty_ids = torch.tensor(tokenizer.encode(tokens, [""])[0])

    def batch(self, n, rng):
        """Rows, pictures (n, 3, s, s) in -1..1, and token ids of n random examples."""
        i = torch.randint(len(self.pictures), (n,), generator=rng)
        ids = self.ids[i, torch.randint(CAPTIONS, (n,), generator=rng)]
        ids[torch.rand(n, generator=rng) < EMPTY] = self.empty_ids
        return i, to_tensor(self.pictures[i.numpy()]), ids


def denoising_loss(predict, x, rng, focus=FOCUS, where=1.):
    """The loss of predict(noisy, t) on the pictures x (n, 3, s, s), all noise levels in every batch; as v_loss."""
    z = SCALE * latents(x)
    t = unet.random_timesteps(len(z), focus.time_power, rng)
    noise = torch.randn(z.shape, generator=rng)
    return unet.v_loss(predict, z, t, noise, ALPHAS_CUMPROD, focus.snr_weight, where).mean()


ALPHAS_CUMPROD = unet.alphas_cumprod()
