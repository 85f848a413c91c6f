"""Sampling: pictures from prompts with the trained parts, to see how far a training is."""

import dataclasses

import numpy as np
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

import tokenizer
import unet
from latents import CHANNELS, SCALE, SIZE
from pictures import to_pictures

STEPS = 20
GUIDANCE = 4
BATCH = 12


@dataclasses.dataclass
class Parts:
    """The parts of a pipeline, as trained."""

    tokens: CLIPTokenizer
    text_encoder: CLIPTextModel
    denoiser: UNet2DConditionModel
    vae: AutoencoderKL


def load(work):
    return Parts(
        tokenizer.load(work / "tokenizer"),
        CLIPTextModel.from_pretrained(work / "text_encoder").eval().requires_grad_(False),
        unet.load_trained(work).requires_grad_(False),
        AutoencoderKL.from_pretrained(work / "polished").eval().requires_grad_(False))


def sample(parts, prompts, seed=0, predict=None, guidance=GUIDANCE):
    """uint8 (len(prompts), 128, 128, 3)."""
    return decode(parts.vae, sample_latents(parts, prompts, seed, predict, guidance))


@torch.no_grad()
def sample_latents(parts, prompts, seed=0, predict=None, guidance=GUIDANCE):
    """Latents by DPM-Solver++ 2M, the noise of all prompts from one seed.

    predict(x, t, text, rows) is the denoiser, where it is not the base's own: x are the rows of the prompts (a slice)
    twice, first without and then with their text.
    """
    predict = predict or (lambda x, t, text, rows: parts.denoiser(x, t, text).sample)
    rng = torch.Generator().manual_seed(seed)
    batches = []
    for start in range(0, len(prompts), BATCH):
        batch = prompts[start:start + BATCH]
        n = len(batch)
        ids = torch.tensor(tokenizer.encode(parts.tokens, [""] * n + batch))
        text = parts.text_encoder(ids).last_hidden_state
        scheduler = DPMSolverMultistepScheduler(**unet.NOISE_SCHEDULE, prediction_type="v_prediction")
        scheduler.set_timesteps(STEPS)
        x = torch.randn(n, CHANNELS, SIZE, SIZE, generator=rng)
        for t in scheduler.timesteps:
            empty, asked = predict(torch.cat([x, x]), t, text, slice(start, start + n)).chunk(2)
            x = scheduler.step(empty + guidance * (asked - empty), t, x).prev_sample
        batches.append(x / SCALE)
    return torch.cat(batches)


@torch.no_grad()
def decode(vae, z):
    """Pictures uint8 (n, s, s, 3) of latents (n, CHANNELS, 16, 16)."""
    return np.concatenate([to_pictures(vae.decode(part).sample) for part in z.split(BATCH)])
