"""Sampling: pictures from prompts with the trained parts, to see how far a training is."""

import numpy as np
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler
from transformers import CLIPTextModel

import tokenizer
import unet
from latents import CHANNELS, SCALE, SIZE
from pictures import to_pictures

STEPS = 20
GUIDANCE = 4
BATCH = 12


@torch.no_grad()
def sample(work, prompts, seed=0):
    """uint8 (len(prompts), 128, 128, 3)."""
    return decode(AutoencoderKL.from_pretrained(work / "polished").eval(), sample_latents(work, prompts, seed))


@torch.no_grad()
def sample_latents(work, prompts, seed=0):
    """Latents by DPM-Solver++ 2M, the noise of all prompts from one seed."""
    text_encoder = CLIPTextModel.from_pretrained(work / "text_encoder").eval()
    denoiser = unet.load_trained(work)
    tokens = tokenizer.load(work / "tokenizer")
    rng = torch.Generator().manual_seed(seed)
    batches = []
    for start in range(0, len(prompts), BATCH):
        batch = prompts[start:start + BATCH]
        n = len(batch)
        ids = torch.tensor(tokenizer.encode(tokens, [""] * n + batch))
        text = text_encoder(ids).last_hidden_state
        scheduler = DPMSolverMultistepScheduler(**unet.NOISE_SCHEDULE, prediction_type="v_prediction")
        scheduler.set_timesteps(STEPS)
        x = torch.randn(n, CHANNELS, SIZE, SIZE, generator=rng)
        for t in scheduler.timesteps:
            empty, asked = denoiser(torch.cat([x, x]), t, text).sample.chunk(2)
            x = scheduler.step(empty + GUIDANCE * (asked - empty), t, x).prev_sample
        batches.append(x / SCALE)
    return torch.cat(batches)


@torch.no_grad()
def decode(vae, z):
    """Pictures uint8 (n, s, s, 3) of latents (n, CHANNELS, 16, 16)."""
    return np.concatenate([to_pictures(vae.decode(part).sample) for part in z.split(BATCH)])
