"""Decoder: trained on the fixed latents of drawn pictures, with the weight on edges, where shapes are told apart."""

import copy
import math
import random
import time

import numpy as np
import torch
import torch.nn.functional as F

import autoencoder
from drawing import draw
from latents import latents
from pictures import to_tensor
from scenes import random_scene

PICTURES = 8_000
STEPS = 4_500
BATCH = 4
LEARNING_RATE = 6e-4
EMA = .99
LATENT_NOISE = .06  # most that is added, so that the UNet's small errors do no harm
EDGE_WEIGHT = 4.
WEIGHTS = (.15, .4, .45)  # pictures with 1, 2, 3 shapes: small ones are the hard ones
UNSEEN = .25  # share of pictures with pairs unseen by the UNet: the decoder must not care


def draw_pictures():
    rng = random.Random("decoder")
    scenes = [random_scene(rng, rng.random() < UNSEEN, weights=WEIGHTS) for _ in range(PICTURES)]
    return np.stack([draw(s, autoencoder.PICTURE) for s in scenes])


def train(work):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    pictures = draw_pictures()
    vae = autoencoder.new_model()
    ema = copy.deepcopy(vae).eval()
    parameters, averaged = trained_parameters(vae), trained_parameters(ema)
    optimizer = torch.optim.AdamW(parameters, betas=(.9, .99), weight_decay=1e-4, fused=True)
    start = time.monotonic()
    for step in range(1, STEPS + 1):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1, step / 30) * (.02 + .98 * .5 * (1 + math.cos(math.pi * step / STEPS)))
        x = to_tensor(pictures[torch.randint(PICTURES, (BATCH,)).numpy()])
        if step & 1:
            x = x.flip(-1)
        if step & 2:
            x = x.flip(-2)
        z = latents(x)
        z = z + LATENT_NOISE * torch.rand(BATCH, 1, 1, 1) * torch.randn_like(z)
        with torch.autocast("cpu", torch.bfloat16):
            y = vae.decode(z).sample
        loss = reconstruction_loss(y.float(), x)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(averaged, parameters, 1 - min(EMA, (step + 1) / (step + 10)))
        if step % 250 == 0:
            seconds = time.monotonic() - start
            print(f"decoder: step {step}, {seconds:.0f} s, loss {loss.item():.4f}, {psnr(ema):.2f} dB", flush=True)
    ema.save_pretrained(work / "vae")


def trained_parameters(vae):
    return [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]


def reconstruction_loss(y, x):
    """L1 and squared error with heavier edges, and L1 of the gradients."""
    weight = 1 + (EDGE_WEIGHT - 1) * near_edge(x)
    error = y - x
    flat = (weight * (error.abs() + error ** 2)).mean()
    return flat + across(error).abs().mean() + down(error).abs().mean()


def across(x):
    return x[..., 1:] - x[..., :-1]


def down(x):
    return x[..., 1:, :] - x[..., :-1, :]


def near_edge(x):
    """1 within two pixels of a step of more than .1, else 0: (n, 1, s, s)."""
    step_x = F.pad(across(x).abs().amax(1, keepdim=True), (0, 1))
    step_y = F.pad(down(x).abs().amax(1, keepdim=True), (0, 0, 0, 1))
    return (F.max_pool2d(torch.maximum(step_x, step_y), 5, 1, 2) > .1).float()


@torch.no_grad()
def psnr(vae):
    """Of 40 new pictures through latents and decoder, in dB."""
    rng = random.Random("psnr")
    x = to_tensor(np.stack([draw(random_scene(rng), autoencoder.PICTURE) for _ in range(40)]))
    y = vae.decode(latents(x)).sample.clamp(-1, 1)
    return (10 * torch.log10(4 / ((y - x) ** 2).mean((1, 2, 3)))).mean().item()
