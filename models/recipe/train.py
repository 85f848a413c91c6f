"""Trains the house model from nothing and exports it: python train.py

Every part is kept under --work. Parts that are there are not made again, and the UNet goes on from its saved
state: a run that is cut off is continued by the same command, a trained model is trained on by more --minutes.
"""

import argparse
import math
import os
import pathlib

import numpy as np
from diffusers import AutoencoderKL

import decoder
import export
import heldout
import pictures
import sampling
import text_encoder
import tokenizer
import unet
from autoencoder import PICTURE
from drawing import draw
from heldout import REPOSITORY
from latents import latents

STATE = pathlib.Path(os.environ.get("XDG_STATE_HOME") or pathlib.Path.home() / ".local/state")


def main():
    parser = argparse.ArgumentParser(
        description="Trains the house model and exports it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=STATE / "darkroom-recipe", help="folder of the parts")
    parser.add_argument("--minutes", type=float, default=115, help="of UNet training in all")
    parser.add_argument("--steps", type=float, default=math.inf, help="of UNet training, if that comes first")
    parser.add_argument("--processes", type=int, default=2, help="of UNet training, one for each core")
    parser.add_argument("--out", type=pathlib.Path, default=REPOSITORY / "models/house", help="folder of the model")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    for name, make in [
        ("tokenizer", lambda: tokenizer.make(args.work / "tokenizer")),
        ("text_encoder", lambda: text_encoder.train(args.work)),
        ("vae", lambda: decoder.train(args.work)),
        ("tokens.npy", lambda: pictures.make(args.work)),
    ]:
        if not (args.work / name).exists():
            make()
    unet.train(args.work, unet.Settings(60 * args.minutes, args.steps, args.processes))
    decoder.polish(args.work)
    heldout.make()
    score_drawings(args.work)
    export.export(args.work, args.out)
    score_samples(args.work)


def score_drawings(work):
    """How well the scores can get: of the held-out scenes as drawn, and after latents and decoder."""
    lines, scenes = zip(*heldout.prompts())
    drawings = np.stack([draw(s, PICTURE) for s in scenes])
    print("drawings\n" + heldout.score(work / "drawings", lines, drawings))
    vae = AutoencoderKL.from_pretrained(work / "polished").eval()
    reconstructions = sampling.decode(vae, latents(pictures.to_tensor(drawings)))
    print("reconstructions\n" + heldout.score(work / "reconstructions", lines, reconstructions))


def score_samples(work):
    lines = [line for line, _ in heldout.prompts()]
    samples = sampling.sample(sampling.load(work), [line["prompt"] for line in lines])
    print("samples\n" + heldout.score(work / "samples", lines, samples))


if __name__ == "__main__":
    main()
