"""Draws golden/*.png, the pictures that diffusers draws with sd/'s and variants/' weights.

    python make_goldens.py [NAME...]

cases.json says which: fields of a job, under the name of its picture. Each is
what the job's sampler stands for, CLASS.from_config(pipe.scheduler.config,
...), on the CPU in float32 with torch.Generator("cpu"). Needs what
make_models.py needs.
"""

import inspect
import json
import shutil
import sys

import diffusers
import numpy as np
import torch
from PIL import Image
from transformers import CLIPTokenizer

import a1111
import make_families
import make_models
from make_models import HERE

CLASSES = {
    "ddpm": ("DDPMScheduler", {}), "ddim": ("DDIMScheduler", {}), "pndm": ("PNDMScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}), "euler": ("EulerDiscreteScheduler", {}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}), "heun": ("HeunDiscreteScheduler", {}),
    "dpm_2": ("KDPM2DiscreteScheduler", {}), "dpm_2_ancestral": ("KDPM2AncestralDiscreteScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp_2m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp_3m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "solver_order": 3}),
    "dpmpp_2s": ("DPMSolverSinglestepScheduler", {}), "unipc": ("UniPCMultistepScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}), "lcm": ("LCMScheduler", {}),
}
SCHEDULES = {"": {}, "karras": {"use_karras_sigmas": True}, "exponential": {"use_exponential_sigmas": True}, "beta": {"use_beta_sigmas": True}}


def tokenizer(folder):
    return CLIPTokenizer.from_pretrained(HERE / folder)


def scheduler(config):
    return getattr(diffusers, config["_class_name"]).from_config(config)


def pipeline(model):
    """The pipeline of sd/ or of a variant, and the options of its calls that not all have."""
    if model == "xl":
        first, second, unet = make_families.xl()
        return diffusers.StableDiffusionXLPipeline(
            vae=make_models.vae(), text_encoder=first, text_encoder_2=second, unet=unet, tokenizer=tokenizer("sd/tokenizer"),
            tokenizer_2=tokenizer("variants/xl/tokenizer_2"), scheduler=scheduler(make_families.XL_SCHEDULER), add_watermarker=False,
        ), ("negative_prompt", "guidance_rescale", "eta")
    parts = dict(vae=make_models.vae(), safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    if model == "sd2":
        text, unet = make_families.sd2()
        parts |= dict(text_encoder=text, unet=unet, tokenizer=tokenizer("variants/sd2/tokenizer"), scheduler=scheduler(make_families.SD2_SCHEDULER))
    else:
        text = make_models.normed_text_encoder() if model == "normed" else make_models.text_encoder()
        parts |= dict(text_encoder=text, tokenizer=tokenizer("sd/tokenizer"))
    if model in ("sd", "normed"):
        parts |= dict(unet=make_models.unet(), scheduler=scheduler(make_models.SCHEDULER))
    if model == "lcm":
        parts |= dict(unet=make_models.unet(time_cond_proj_dim=8), scheduler=scheduler(make_models.LCM_SCHEDULER))
        return diffusers.LatentConsistencyModelPipeline(**parts), ()
    return diffusers.StableDiffusionPipeline(**parts), ("negative_prompt", "guidance_rescale", "eta")


def window(start, end, steps):
    """Turns guidance off outside a window, as GuidedAt does: i/n in [start, end)."""

    def after(pipe, i, timestep, tensors):
        if not start <= (i + 1) / steps < end and pipe.do_classifier_free_guidance:
            pipe._guidance_scale = 0.0
            return {"prompt_embeds": tensors["prompt_embeds"][-1:]}
        return {}

    return after


def draw(job):
    pipe, fields = pipeline(job["model"])
    name, arguments = CLASSES[job["sampler"]]
    pipe.scheduler = getattr(diffusers, name).from_config(pipe.scheduler.config, **arguments, **SCHEDULES[job.get("schedule", "")])
    pipe.set_progress_bar_config(disable=True)
    options = dict(
        prompt=job["prompt"], num_inference_steps=job["steps"], guidance_scale=job["guidance_scale"],
        width=job["width"], height=job["height"], generator=torch.Generator("cpu").manual_seed(job["seed"]),
        clip_skip=job.get("clip_skip"), output_type="np",
    )
    options |= {field: job[field] for field in fields if field in job}
    if job.get("prompt_syntax") == "a1111":
        options |= a1111.embeddings(pipe, options.pop("prompt"), options.pop("negative_prompt", None) or "")
    if "guidance_end" in job:
        assert inspect.signature(pipe.__call__).parameters["callback_on_step_end"]
        options |= dict(callback_on_step_end=window(0, job["guidance_end"], job["steps"]), callback_on_step_end_tensor_inputs=["prompt_embeds"])
    with torch.no_grad():
        picture = pipe(**options).images[0]
    return (picture * 255).round().astype(np.uint8)


def main():
    cases = json.loads((HERE / "cases.json").read_text())
    if names := sys.argv[1:]:
        cases = {name: cases[name] for name in names}
    else:
        shutil.rmtree(HERE / "golden", ignore_errors=True)
        (HERE / "golden").mkdir()
    for name, job in cases.items():
        Image.fromarray(draw(job)).save(HERE / f"golden/{name}.png", optimize=True)
        print(name)


if __name__ == "__main__":
    main()
