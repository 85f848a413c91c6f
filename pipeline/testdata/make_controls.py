"""Makes tiny ControlNets with random weights, and draws what diffusers draws with them.

    python make_controls.py [NAME...]

writes controlnets/, in the layout that darkroom takes; variants/fused, a UNet
with two of them in its graph as diffusers' own script exports it;
variants/residuals, one whose graph has inputs for them already; and
controlled/*.png, the pictures of controls.json: fields of a job, under the name
of its picture. With names, it draws only those. See make_goldens.py for samplers
and seeds, make_edits.py for edits. Needs what make_models.py needs, and OpenCV.
"""

import json
import shutil
import sys

import cv2
import diffusers
import numpy as np
import torch
from diffusers import ControlNetModel
from PIL import Image, ImageDraw

import make_edits
import make_families
import make_goldens
import make_models
from make_models import HERE, TOKENS, export, write_config

SAMPLE = {0: "batch_size", 2: "height", 3: "width"}


def controlnet(name):
    """The ControlNet of a folder: lines and tone are for sd/, pooled is too, xl-lines is for variants/xl."""
    kinds = {"lines": (31, {}), "tone": (32, {}), "pooled": (33, dict(global_pool_conditions=True)), "xl-lines": (34, dict(
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), cross_attention_dim=40, attention_head_dim=(1, 2),
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8,
        transformer_layers_per_block=1, projection_class_embeddings_input_dim=make_families.POOLED + make_families.SIZES * 8))}
    seed, extra = kinds[name]
    torch.manual_seed(seed)
    model = ControlNetModel(**dict(
        in_channels=4, block_out_channels=(8, 16), layers_per_block=1, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        cross_attention_dim=16, attention_head_dim=2, norm_num_groups=4, conditioning_embedding_out_channels=(4, 4, 8, 8),
    ) | extra).eval()
    with torch.no_grad():  # training begins with zeros where it joins the UNet
        for layer in (*model.controlnet_down_blocks, model.controlnet_mid_block, model.controlnet_cond_embedding.conv_out):
            layer.weight.normal_(std=0.5)
            layer.bias.normal_(std=0.1)
        for layer in (model.controlnet_cond_embedding.conv_in, *model.controlnet_cond_embedding.blocks):
            layer.weight.mul_(2)
    return model


class ControlNet(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sample, timestep, encoder_hidden_states, controlnet_cond, text_embeds=None, time_ids=None):
        added = None if text_embeds is None else {"text_embeds": text_embeds, "time_ids": time_ids}
        down, middle = self.model(sample, timestep, encoder_hidden_states, controlnet_cond, added_cond_kwargs=added, return_dict=False)
        return *down, middle


class Residuals(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sample, timestep, encoder_hidden_states, *residuals):
        return self.model(sample, timestep, encoder_hidden_states, down_block_additional_residuals=residuals[:-1],
                          mid_block_additional_residual=residuals[-1], return_dict=False)[0]


class Fused(torch.nn.Module):
    """A UNet and its ControlNets, whose residuals are summed."""

    def __init__(self, unet, controlnets):
        super().__init__()
        self.unet, self.controlnets = unet, torch.nn.ModuleList(controlnets)

    def forward(self, sample, timestep, encoder_hidden_states, controlnet_conds, conditioning_scales):
        sums = None
        for image, scale, net in zip(controlnet_conds, conditioning_scales, self.controlnets):
            down, middle = net(sample, timestep, encoder_hidden_states, image, scale, return_dict=False)
            residuals = [*down, middle]
            sums = residuals if sums is None else [a + b for a, b in zip(sums, residuals)]
        return self.unet(sample, timestep, encoder_hidden_states, down_block_additional_residuals=sums[:-1],
                         mid_block_additional_residual=sums[-1], return_dict=False)[0]


def export_controlnet(name, timestep=torch.tensor(1.0)):
    model, folder = controlnet(name), HERE / "controlnets" / name
    write_config(model, folder / "config.json")
    outputs = [f"down_block_res_samples.{i}" for i in range(4)] + ["mid_block_res_sample"]
    width = model.config.cross_attention_dim
    inputs = {"sample": torch.randn(2, 4, 8, 8), "timestep": timestep, "encoder_hidden_states": torch.randn(2, TOKENS, width),
              "controlnet_cond": torch.randn(2, 3, 64, 64)}
    axes = {"sample": SAMPLE, "encoder_hidden_states": {0: "batch_size", 1: "sequence_length"}, "controlnet_cond": SAMPLE}
    if name.startswith("xl"):
        inputs |= {"text_embeds": torch.randn(2, make_families.POOLED), "time_ids": torch.randn(2, make_families.SIZES)}
        axes |= {"text_embeds": {0: "batch_size"}, "time_ids": {0: "batch_size"}}
    if timestep.ndim == 1:
        axes["timestep"] = {0: "batch_size"}
    axes |= {output: {0: "batch_size"} if model.config.global_pool_conditions else SAMPLE for output in outputs}
    export(ControlNet(model), tuple(inputs.values()), folder / "model.onnx", list(inputs), outputs, axes, anonymous=True)


def export_fused():
    nets, net = [controlnet("lines"), controlnet("tone")], make_models.unet()
    write_config(net, HERE / "variants/fused/unet/config.json")
    inputs = {"sample": torch.randn(2, 4, 8, 8), "timestep": torch.tensor([1.0]), "encoder_hidden_states": torch.randn(2, TOKENS, 16),
              "controlnet_conds": torch.randn(2, 2, 3, 64, 64), "conditioning_scales": torch.randn(2, 1)}
    axes = {"sample": {0: "2B", 2: "H", 3: "W"}, "encoder_hidden_states": {0: "2B"}, "controlnet_conds": {1: "2B", 3: "8H", 4: "8W"}}
    export(Fused(net, nets), tuple(inputs.values()), HERE / "variants/fused/unet/model.onnx", list(inputs), ["noise_pred"], axes, anonymous=True)


def export_residuals():
    net = make_models.unet()
    inputs = {"sample": torch.randn(2, 4, 8, 8), "timestep": torch.tensor(1.0), "encoder_hidden_states": torch.randn(2, TOKENS, 16),
              "down_block_0": torch.randn(2, 8, 8, 8), "down_block_1": torch.randn(2, 8, 8, 8), "down_block_2": torch.randn(2, 8, 4, 4),
              "down_block_3": torch.randn(2, 16, 4, 4), "mid_block_additional_residual": torch.randn(2, 16, 4, 4)}
    axes = {name: SAMPLE for name in (*inputs, "out_sample") if name not in ("timestep", "encoder_hidden_states")}
    axes["encoder_hidden_states"] = {0: "batch_size", 1: "sequence_length"}
    export(Residuals(net), tuple(inputs.values()), HERE / "variants/residuals/unet/model.onnx", list(inputs), ["out_sample"], axes, anonymous=True)


def inputs():
    lines = Image.new("RGB", (64, 64))
    ImageDraw.Draw(lines).ellipse([14, 10, 50, 46], outline=(255, 255, 255))
    ImageDraw.Draw(lines).line([4, 60, 60, 52], fill=(255, 255, 255))
    lines.save(HERE / "inputs/lines.png", optimize=True)


def control_image(control, size):
    """What the ControlNet is shown, before it has the size of the job."""
    image = Image.open(HERE / control["image"]).convert("RGB")
    kind = control.get("preprocess", "none")
    if kind == "none":
        return image
    picture = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    if kind == "canny":
        return Image.fromarray(cv2.Canny(picture, 100, 200)).convert("RGB")
    if kind == "luminance":
        return Image.fromarray(picture).convert("L").convert("RGB")
    small = cv2.resize(picture, (size[0] // 8, size[1] // 8), interpolation=cv2.INTER_AREA)
    for _ in range(3):
        small = cv2.pyrUp(small)
    return Image.fromarray(small)


def pipeline(job):
    model = {"fused": "sd", "residuals": "sd"}.get(job["model"], job["model"])
    pipe, _ = make_goldens.pipeline("sd" if model == "inpaint" else model)
    parts = pipe.components | dict(scheduler=make_goldens.scheduler(make_edits.SCHEDULERS.get(model, make_models.SCHEDULER)))
    if model == "inpaint":
        parts["unet"] = make_models.unet(in_channels=9)
    names = ["lines", "tone"] if job["model"] == "fused" else [control["model"] for control in job["control"]]
    nets = [controlnet(name) for name in names[:len(job["control"])]]
    parts["controlnet"] = nets[0] if len(nets) == 1 else nets
    kind = "StableDiffusion" + ("XL" if model == "xl" else "") + "ControlNet"
    kind += "Inpaint" if "mask" in job else "Img2Img" if job.get("kind") == "edit" else ""
    if model == "xl":
        return getattr(diffusers, kind + "Pipeline")(**parts, add_watermarker=False)
    return getattr(diffusers, kind + "Pipeline")(**parts, requires_safety_checker=False)


def draw(job):
    pipe = pipeline(job)
    name, arguments = make_goldens.CLASSES[job["sampler"]]
    pipe.scheduler = getattr(diffusers, name).from_config(pipe.scheduler.config, **arguments)
    pipe.set_progress_bar_config(disable=True)
    size, controls = (job["width"], job["height"]), job["control"]
    one = (lambda values: values[0]) if len(controls) == 1 else list
    images = one([control_image(control, size) for control in controls])
    options = dict(
        prompt=job["prompt"], num_inference_steps=job["steps"], guidance_scale=job["guidance_scale"],
        generator=torch.Generator("cpu").manual_seed(job["seed"]), width=size[0], height=size[1],
        controlnet_conditioning_scale=one([float(control.get("scale", 1)) for control in controls]),
        control_guidance_start=one([control.get("start", 0.0) for control in controls]),
        control_guidance_end=one([control.get("end", 1.0) for control in controls]),
        guess_mode=controls[0].get("guess_mode", False),
    )
    options |= {field: job[field] for field in ("negative_prompt", "strength") if field in job}
    if job.get("kind") == "edit":
        options |= dict(image=Image.open(HERE / job["image"]), control_image=images)
    else:
        options |= dict(image=images)
    if "mask" in job:
        options |= dict(mask_image=Image.open(HERE / job["mask"]))
        if "mask_padding" in job:
            options |= dict(padding_mask_crop=job["mask_padding"])
    with torch.no_grad():
        return pipe(**options).images[0]


def main():
    cases = json.loads((HERE / "controls.json").read_text())
    if names := sys.argv[1:]:
        cases = {name: cases[name] for name in names}
    else:
        for folder in ("controlnets", "controlled", "variants/fused", "variants/residuals"):
            shutil.rmtree(HERE / folder, ignore_errors=True)
        (HERE / "controlled").mkdir()
        inputs()
        export_controlnet("lines")
        export_controlnet("tone", torch.tensor([1.0, 1.0]))
        export_controlnet("pooled")
        export_controlnet("xl-lines")
        export_fused()
        export_residuals()
    for name, job in cases.items():
        draw(job).save(HERE / f"controlled/{name}.png", optimize=True)
        print(name, flush=True)


if __name__ == "__main__":
    main()
