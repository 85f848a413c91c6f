"""Draws golden/*.png, the pictures that diffusers draws with sd/'s weights.

    python make_goldens.py

cases.json says which: fields of a job, under the name of its picture. Each is
what the job's sampler stands for, CLASS.from_config(pipe.scheduler.config,
...), on the CPU in float32 with torch.Generator("cpu"). Needs what
make_models.py needs.
"""

import inspect
import json
import shutil

import diffusers
import numpy as np
import torch
from PIL import Image
from transformers import CLIPTokenizer

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


def pipeline(model):
    config = make_models.LCM_SCHEDULER if model == "lcm" else make_models.SCHEDULER
    scheduler = getattr(diffusers, config["_class_name"]).from_config(config)
    parts = dict(
        vae=make_models.vae(), text_encoder=make_models.text_encoder(),
        tokenizer=CLIPTokenizer.from_pretrained(HERE / "sd/tokenizer"),
        unet=make_models.unet(time_cond_proj_dim=8) if model == "lcm" else make_models.unet(),
        scheduler=scheduler, safety_checker=None, feature_extractor=None,
    )
    kind = diffusers.LatentConsistencyModelPipeline if model == "lcm" else diffusers.StableDiffusionPipeline
    return kind(**parts, requires_safety_checker=False)


def window(start, end, steps):
    """Turns guidance off outside a window, as GuidedAt does: i/n in [start, end)."""

    def after(pipe, i, timestep, tensors):
        if not start <= (i + 1) / steps < end and pipe.do_classifier_free_guidance:
            pipe._guidance_scale = 0.0
            return {"prompt_embeds": tensors["prompt_embeds"][-1:]}
        return {}

    return after


def draw(job):
    pipe = pipeline(job["model"])
    name, arguments = CLASSES[job["sampler"]]
    pipe.scheduler = getattr(diffusers, name).from_config(pipe.scheduler.config, **arguments, **SCHEDULES[job.get("schedule", "")])
    pipe.set_progress_bar_config(disable=True)
    options = dict(
        prompt=job["prompt"], num_inference_steps=job["steps"], guidance_scale=job["guidance_scale"],
        width=job["width"], height=job["height"], generator=torch.Generator("cpu").manual_seed(job["seed"]),
        clip_skip=job.get("clip_skip"), output_type="np",
    )
    if job["model"] == "sd":
        options |= dict(negative_prompt=job.get("negative_prompt"), guidance_rescale=job.get("guidance_rescale", 0.0), eta=job.get("eta", 0.0))
    if "guidance_end" in job:
        assert inspect.signature(pipe.__call__).parameters["callback_on_step_end"]
        options |= dict(callback_on_step_end=window(0, job["guidance_end"], job["steps"]), callback_on_step_end_tensor_inputs=["prompt_embeds"])
    with torch.no_grad():
        picture = pipe(**options).images[0]
    return (picture * 255).round().astype(np.uint8)


def main():
    shutil.rmtree(HERE / "golden", ignore_errors=True)
    (HERE / "golden").mkdir()
    for name, job in json.loads((HERE / "cases.json").read_text()).items():
        Image.fromarray(draw(job)).save(HERE / f"golden/{name}.png", optimize=True)
        print(name)


if __name__ == "__main__":
    main()
