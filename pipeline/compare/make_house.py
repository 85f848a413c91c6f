"""Makes a folder of diffusers from the house model's ONNX graphs.

    python make_house.py FOLDER

writes FOLDER/torch/house: the same weights for torch, bit for bit, so that
diffusers draws the pictures that darkroom draws.
"""

import argparse
import pathlib
import sys

from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "models" / "recipe"))
import exported


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder / "torch" / "house"
    parts = exported.load()
    StableDiffusionPipeline(
        parts.vae, parts.text_encoder, parts.tokens, parts.denoiser,
        DPMSolverMultistepScheduler.from_pretrained(exported.HOUSE / "scheduler"),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)
    print(f"{folder} is there")


if __name__ == "__main__":
    main()
