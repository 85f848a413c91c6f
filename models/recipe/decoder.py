"""Decoder: trained on the fixed latents of drawn pictures, then on latents as the UNet gives them back.

Edges weigh more, for there shapes are told apart.
"""

import copy
import math
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from transformers import CLIPTextModel

import autoencoder
import tokenizer
import unet
from captions import caption
from drawing import draw
from latents import SCALE, latents
from pictures import to_tensor
from sampling import GUIDANCE
from scenes import random_scene

BATCH = 4
EMA = .99
EDGE_WEIGHT = 4.
WEIGHTS = (.15, .4, .45)  # pictures with 1, 2, 3 shapes: small ones are the hard ones

# The first training: on latents with a little noise.
PICTURES, STEPS, LEARNING_RATE = 8_000, 4_500, 6e-4
LATENT_NOISE = .06  # most that is added
UNSEEN = .25  # share of pictures with pairs unseen by the UNet: the decoder must not care

# The second training: half on latents as in the first, which is what edited pictures are, half on what the UNet makes of
# latents with noise of the last few sampling steps.
POLISH_PICTURES, POLISH_STEPS, POLISH_LEARNING_RATE = 3_000, 800, 3e-4
POLISH_TIMESTEPS = 150


def train(work):
    """Trains the decoder from its start and writes the autoencoder to work/vae."""
    torch.manual_seed(0)
    rng = random.Random("decoder")
    scenes = [random_scene(rng, rng.random() < UNSEEN, weights=WEIGHTS) for _ in range(PICTURES)]
    pictures = np.stack([draw(s, autoencoder.PICTURE) for s in scenes])

    def batch(step):
        x = to_tensor(pictures[torch.randint(PICTURES, (BATCH,)).numpy()])
        x = x.flip([axis for axis, bit in ((-1, 1), (-2, 2)) if step & bit])
        return with_noise(latents(x)), x

    fit(autoencoder.new_model(), batch, STEPS, LEARNING_RATE).save_pretrained(work / "vae")


def polish(work):
    """Trains the decoder on, to draw clean pictures from the latents of the UNet too; writes work/polished.

    Goes on from an earlier work/polished where there is one, else from work/vae.
    """
    torch.manual_seed(0)
    rng = random.Random("polish")
    scenes = [random_scene(rng, weights=WEIGHTS) for _ in range(POLISH_PICTURES)]
    pictures = np.stack([draw(s, autoencoder.PICTURE) for s in scenes])
    tokens = tokenizer.load(work / "tokenizer")
    ids = torch.tensor(tokenizer.encode(tokens, [caption(rng, s) for s in scenes]))
    half = BATCH // 2
    empty_ids = torch.tensor(tokenizer.encode(tokens, [""] * half))
    denoiser, text_encoder = unet.load_trained(work), CLIPTextModel.from_pretrained(work / "text_encoder").eval()
    alphas_cumprod = unet.alphas_cumprod()

    @torch.no_grad()
    def batch(step):
        i = torch.randint(POLISH_PICTURES, (BATCH,))
        x = to_tensor(pictures[i.numpy()])
        z = latents(x)
        true, i = with_noise(z[:half]), i[half:]
        t = torch.randint(POLISH_TIMESTEPS, (half,))
        a = alphas_cumprod[t].view(-1, 1, 1, 1)
        noisy = a.sqrt() * SCALE * z[half:] + (1 - a).sqrt() * torch.randn_like(true)
        text = text_encoder(torch.cat([empty_ids, ids[i]])).last_hidden_state
        empty, asked = denoiser(torch.cat([noisy, noisy]), torch.cat([t, t]), text).sample.chunk(2)
        clean = a.sqrt() * noisy - (1 - a).sqrt() * (empty + GUIDANCE * (asked - empty))
        return torch.cat([true, clean / SCALE]), x

    start = work / "polished"
    vae = AutoencoderKL.from_pretrained(start if start.exists() else work / "vae")
    fit(vae, batch, POLISH_STEPS, POLISH_LEARNING_RATE).save_pretrained(work / "polished")


def with_noise(z):
    """The latents with as little noise as the encoder's posterior and more, up to LATENT_NOISE."""
    return z + LATENT_NOISE * torch.rand(len(z), 1, 1, 1) * torch.randn_like(z)


def fit(vae, batch, steps, learning_rate):
    """Trains the decoder on batch(step) -> latents, pictures; returns the autoencoder with averaged weights."""
    torch.set_num_threads(1)
    ema = copy.deepcopy(vae).eval()
    parameters, averaged = trained_parameters(vae), trained_parameters(ema)
    optimizer = torch.optim.AdamW(parameters, betas=(.9, .99), weight_decay=1e-4, fused=True)
    start = time.monotonic()
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1, step / 30) * (.02 + .98 * .5 * (1 + math.cos(math.pi * step / steps)))
        z, x = batch(step)
        with torch.autocast("cpu", torch.bfloat16):
            y = vae.decode(z).sample
        loss = reconstruction_loss(y.float(), x)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(averaged, parameters, 1 - min(EMA, (step + 1) / (step + 10)))
        if step % 100 == 0:
            seconds = time.monotonic() - start
            print(f"decoder: step {step}, {seconds:.0f} s, loss {loss.item():.4f}, {psnr(ema):.2f} dB", flush=True)
    return ema


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
