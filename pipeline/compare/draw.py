"""Draws a batch file with diffusers on torch, or with optimum on ONNX Runtime.

compare.py runs it. It prints one line of JSON: the times, in seconds since
1970, at which the model was loaded and the last PNG written.
"""

import argparse
import json
import pathlib
import time

import torch


def load(tool, folder):
    if tool == "diffusers":
        from diffusers import StableDiffusionPipeline

        return StableDiffusionPipeline.from_pretrained(folder)
    from optimum.onnxruntime import ORTStableDiffusionPipeline

    return ORTStableDiffusionPipeline.from_pretrained(folder, provider="CPUExecutionProvider")


def draw(pipeline, jobs):
    """Pictures of one call: jobs that differ in prompt and seed only."""
    first = jobs[0]
    return pipeline(
        [j["prompt"] for j in jobs], width=first["width"], height=first["height"], num_inference_steps=first["steps"],
        guidance_scale=first["guidance_scale"], generator=[torch.Generator().manual_seed(j["seed"]) for j in jobs]).images


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool", choices=["diffusers", "optimum"])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("batch", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--together", type=int, default=1, help="pictures of one call")
    arguments = parser.parse_args()
    jobs = [json.loads(line) for line in arguments.batch.read_text().splitlines()]
    arguments.out.mkdir(parents=True, exist_ok=True)

    pipeline = load(arguments.tool, arguments.model)
    pipeline.set_progress_bar_config(disable=True)
    loaded = time.time()
    for at in range(0, len(jobs), arguments.together):
        pictures = draw(pipeline, jobs[at:at + arguments.together])
        for i, picture in enumerate(pictures, at):
            picture.save(arguments.out / f"{i:08d}.png")
    print(json.dumps({"loaded": loaded, "ended": time.time()}))


if __name__ == "__main__":
    main()
