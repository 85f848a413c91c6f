"""Draws edited/*.png, the edits that diffusers makes with sd/'s and variants/' weights.

    python make_edits.py

edits.json says which: fields of a job, under the name of its picture. What they
start from, inputs/, is drawn here as well. An edit is drawn by the Img2Img
pipeline of the model's family, one with a mask by its Inpaint pipeline; see
make_goldens.py for samplers and seeds.
"""

import json
import shutil

import diffusers
import numpy as np
import torch
from PIL import Image, ImageDraw

import make_families
import make_goldens
import make_models
from make_models import HERE

SCHEDULERS = {"xl": make_families.XL_SCHEDULER, "sd2": make_families.SD2_SCHEDULER, "lcm": make_models.LCM_SCHEDULER}


def inputs():
    (HERE / "inputs").mkdir(exist_ok=True)
    y, x = np.mgrid[0:53, 0:51]
    sky = np.stack([x * 5, y * 4, 255 - x * 2 - y * 2], axis=-1).clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(sky)
    ImageDraw.Draw(picture).polygon([(8, 40), (25, 6), (44, 45)], fill=(240, 220, 40))
    picture.save(HERE / "inputs/picture.png", optimize=True)
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).ellipse([20, 12, 43, 38], fill=255)
    mask.save(HERE / "inputs/mask.png", optimize=True)


def pipeline(job):
    model = job["model"]
    pipe, _ = make_goldens.pipeline("sd" if model == "inpaint" else model)
    parts = pipe.components | dict(scheduler=make_goldens.scheduler(SCHEDULERS.get(model, make_models.SCHEDULER)))
    if model == "inpaint":
        parts["unet"] = make_models.unet(in_channels=9)
    masked = "mask" in job
    if model == "xl":
        kind = diffusers.StableDiffusionXLInpaintPipeline if masked else diffusers.StableDiffusionXLImg2ImgPipeline
        parts = {k: v for k, v in parts.items() if k not in ("image_encoder", "feature_extractor")}
        return kind(**parts, add_watermarker=False)
    if masked:
        return diffusers.StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False)
    kind = diffusers.LatentConsistencyModelImg2ImgPipeline if model == "lcm" else diffusers.StableDiffusionImg2ImgPipeline
    return kind(**parts, requires_safety_checker=False)


def draw(job):
    pipe = pipeline(job)
    name, arguments = make_goldens.CLASSES[job["sampler"]]
    pipe.scheduler = getattr(diffusers, name).from_config(pipe.scheduler.config, **arguments, **make_goldens.SCHEDULES[job.get("schedule", "")])
    pipe.set_progress_bar_config(disable=True)
    image = Image.open(HERE / job["image"])
    size = tuple(job.get(side, own // 8 * 8) for side, own in zip(("width", "height"), image.size))
    options = dict(
        prompt=job["prompt"], num_inference_steps=job["steps"], guidance_scale=job["guidance_scale"], strength=job["strength"],
        generator=torch.Generator("cpu").manual_seed(job["seed"]),
    )
    options |= {field: job[field] for field in ("negative_prompt", "eta") if field in job}
    if "mask" in job:
        mask = pipe.mask_processor.blur(Image.open(HERE / job["mask"]), job.get("mask_blur", 0))
        options |= dict(image=image, mask_image=mask, width=size[0], height=size[1], padding_mask_crop=job.get("mask_padding"))
    else:
        options |= dict(image=image.resize(size, Image.Resampling.LANCZOS))
    with torch.no_grad():
        picture = pipe(**options).images[0]
    if job.get("keep_unmasked"):
        picture = pipe.image_processor.apply_overlay(*(i.resize(size, Image.Resampling.LANCZOS) for i in (mask, image)), picture)
    return picture


def main():
    shutil.rmtree(HERE / "edited", ignore_errors=True)
    (HERE / "edited").mkdir()
    inputs()
    for name, job in json.loads((HERE / "edits.json").read_text()).items():
        draw(job).save(HERE / f"edited/{name}.png", optimize=True)
        print(name)


if __name__ == "__main__":
    main()
