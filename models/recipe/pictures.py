"""Pictures: the training set, drawn once. Latents and captions for the UNet, 128 px pictures for the decoder."""

import concurrent.futures
import random

import numpy as np
import torch

import tokenizer
from captions import caption
from drawing import draw
from latents import CHANNELS, SIZE, latents
from scenes import random_scene

COUNT = 160_000  # scenes for the UNet
CAPTIONS = 4  # of each scene
PART = 4_000  # scenes drawn by one task
WEIGHTS = (.33, .47, .20)  # scenes with 1, 2, 3 shapes: more of the hard ones than prompts ask for


def make(work):
    """Writes latents.npy float16 (COUNT, CHANNELS, 16, 16) and tokens.npy int16 (COUNT, CAPTIONS, MAX_LENGTH)."""
    z = np.lib.format.open_memmap(work / "latents.part", "w+", np.float16, (COUNT, CHANNELS, SIZE, SIZE))
    ids = np.lib.format.open_memmap(work / "tokens.part", "w+", np.int16, (COUNT, CAPTIONS, tokenizer.MAX_LENGTH))
    parts = range(0, COUNT, PART)
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        for start, (part_z, part_ids) in zip(parts, pool.map(make_part, parts, [work] * len(parts))):
            z[start:start + PART], ids[start:start + PART] = part_z, part_ids
    z.flush(), ids.flush()
    (work / "latents.part").rename(work / "latents.npy")
    (work / "tokens.part").rename(work / "tokens.npy")


def make_part(start, work):
    torch.set_num_threads(1)
    rng = random.Random(f"scenes {start}")
    scenes = [random_scene(rng, weights=WEIGHTS) for _ in range(PART)]
    captions = [caption(rng, s) for s in scenes for _ in range(CAPTIONS)]
    ids = np.array(tokenizer.encode(tokenizer.load(work / "tokenizer"), captions), np.int16)
    drawn = np.stack([draw(s, 4 * SIZE) for s in scenes])
    return latents(to_tensor(drawn)).half().numpy(), ids.reshape(PART, CAPTIONS, -1)


def to_tensor(pictures):
    """uint8 (n, s, s, 3) to float (n, 3, s, s) in -1..1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(tensor):
    """float (n, 3, s, s) in -1..1 to uint8 (n, s, s, 3)."""
    return ((tensor.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
