"""Sampling: pictures from prompts with the trained parts, to see how far a training is."""

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
    """uint8 (len(prompts), 128, 128, 3): DPM-Solver++ 2M, the noise of all prompts from one seed."""
    text_encoder = CLIPTextModel.from_pretrained(work / "text_encoder").eval()
    denoiser, vae = unet.load_trained(work), AutoencoderKL.from_pretrained(work / "vae").eval()
    tokens = tokenizer.load(work / "tokenizer")
    rng = torch.Generator().manual_seed(seed)
    pictures = []
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
        pictures.extend(to_pictures(vae.decode(x / SCALE).sample))
    return pictures
