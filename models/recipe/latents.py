"""Latents set by hand: block means of the colours, and Haar details of two colour mixtures at twice the resolution.

A random VAE needs far longer to become useful than everything else here. These latents are linear in the picture,
need no training, and only a picture of 32x32 block means.
"""

import torch
import torch.nn.functional as F

SIZE = 16  # latents are CHANNELS x SIZE x SIZE
SCALE = 1.8  # brings latents to about unit variance; the VAE's scaling_factor

LUMA = (.3, .6, .1)
RED_BLUE = (.6, -.3, -.5)
HAAR = {  # signs of the four quadrants of a block
    "horizontal": ((-1, 1), (-1, 1)),
    "vertical": ((-1, -1), (1, 1)),
    "diagonal": ((1, -1), (-1, 1)),
}
# (mixture of RGB, detail, gain): the gains give details about half the spread of the means.
DETAILS = [
    (LUMA, "horizontal", 5.6), (LUMA, "vertical", 5.2), (LUMA, "diagonal", 7.4),
    (RED_BLUE, "horizontal", 6.2), (RED_BLUE, "vertical", 6.),
]
CHANNELS = 3 + len(DETAILS)


def latents(pictures):
    """Latents (n, CHANNELS, 16, 16) of pictures (n, 3, s, s) in -1..1, s a multiple of 32. Not scaled by SCALE."""
    quadrants = F.avg_pool2d(pictures, pictures.shape[-1] // (2 * SIZE))
    channels = [F.avg_pool2d(quadrants, 2)]
    for mixture, detail, gain in DETAILS:
        mixed = (quadrants * quadrants.new_tensor(mixture).view(1, 3, 1, 1)).sum(1, keepdim=True)
        taps = quadrants.new_tensor(HAAR[detail]).view(1, 1, 2, 2) / 4
        channels.append(gain * F.conv2d(mixed, taps, stride=2))
    return torch.cat(channels, 1)
