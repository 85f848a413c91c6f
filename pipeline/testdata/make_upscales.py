"""Makes the tiny upscalers of the tests, and what diffusers makes of pictures with one.

    python make_upscales.py

writes inputs/small.png and variants/x4, laid over sd/ as the other variants are:
a UNet and a VAE as those of stable-diffusion-x4-upscaler, with random weights,
whose pipeline draws upscaled/*.png. upscales.json says which: fields of a job,
under the name of its picture. Needs what make_models.py needs, and
inputs/picture.png of make_edits.py.
"""

import json
import shutil

import diffusers
import torch
from diffusers import AutoencoderKL, StableDiffusionUpscalePipeline, UNet2DConditionModel
from PIL import Image

import make_goldens
import make_models
from make_models import HERE, TOKENS, Decoder, export, write_config, write_json

# Those of stabilityai/stable-diffusion-x4-upscaler.
SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "_diffusers_version": "0.10.0.dev0",
    "beta_end": 0.02,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.0001,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "trained_betas": None,
}
LOW_RES_SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.10.0.dev0",
    "beta_end": 0.02,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.0001,
    "clip_sample": True,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "trained_betas": None,
    "variance_type": "fixed_small",
}


def unet():
    return make_models.unet(in_channels=7, num_class_embeds=400, only_cross_attention=(True, False))


def vae():
    torch.manual_seed(31)
    model = AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, sample_size=64, block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1, norm_num_groups=4, scaling_factor=0.08333,
    ).eval()
    with torch.no_grad():
        model.decoder.conv_out.weight.mul_(0.7)
    return model


class UpscalingUNet(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sample, timestep, encoder_hidden_states, class_labels):
        return self.model(sample, timestep, encoder_hidden_states, class_labels=class_labels, return_dict=False)[0]


def write_model(folder):
    shutil.rmtree(folder, ignore_errors=True)
    write_json(folder / "scheduler/scheduler_config.json", SCHEDULER)
    write_json(folder / "low_res_scheduler/scheduler_config.json", LOW_RES_SCHEDULER)
    write_json(folder / "model_index.json", {
        "_class_name": "StableDiffusionUpscalePipeline", "_diffusers_version": "0.35.2", "max_noise_level": 350,
        "low_res_scheduler": ["diffusers", "DDPMScheduler"], "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
    })
    write_config(unet(), folder / "unet/config.json")
    rows = {0: "batch_size"}
    export(UpscalingUNet(unet()), (torch.randn(2, 7, 8, 8), torch.tensor([1.0, 1.0]), torch.randn(2, TOKENS, 16), torch.tensor([20, 20])),
           folder / "unet/model.onnx", ["sample", "timestep", "encoder_hidden_states", "class_labels"], ["out_sample"],
           {"sample": rows | {2: "height", 3: "width"}, "timestep": rows, "encoder_hidden_states": rows | {1: "sequence_length"},
            "class_labels": rows, "out_sample": rows | {2: "height", 3: "width"}}, anonymous=True)
    write_config(vae(), folder / "vae_decoder/config.json")
    export(Decoder(vae()), (torch.randn(1, 4, 8, 8),), folder / "vae_decoder/model.onnx", ["latent_sample"], ["sample"],
           {"latent_sample": {0: "batch_size", 2: "height", 3: "width"}, "sample": {0: "batch_size", 2: "height_out", 3: "width_out"}}, anonymous=True)


def draw(job):
    name, arguments = make_goldens.CLASSES[job["sampler"]]
    scheduler = make_goldens.scheduler(SCHEDULER)
    scheduler = getattr(diffusers, name).from_config(scheduler.config, **arguments, **make_goldens.SCHEDULES[job.get("schedule", "")])
    pipe = StableDiffusionUpscalePipeline(
        vae=vae(), text_encoder=make_models.text_encoder(), tokenizer=make_goldens.tokenizer("sd/tokenizer"), unet=unet(),
        low_res_scheduler=make_goldens.scheduler(LOW_RES_SCHEDULER), scheduler=scheduler, max_noise_level=350)
    pipe.set_progress_bar_config(disable=True)
    options = {field: job[field] for field in ("negative_prompt", "eta", "noise_level") if field in job}
    with torch.no_grad():
        return pipe(
            prompt=job["prompt"], image=Image.open(HERE / job["image"]).convert("RGB"), num_inference_steps=job["steps"],
            guidance_scale=job["guidance_scale"], generator=torch.Generator("cpu").manual_seed(job["seed"]), **options,
        ).images[0]


def main():
    write_model(HERE / "variants/x4")
    Image.open(HERE / "inputs/picture.png").crop((8, 8, 35, 38)).save(HERE / "inputs/small.png", optimize=True)
    shutil.rmtree(HERE / "upscaled", ignore_errors=True)
    (HERE / "upscaled").mkdir()
    for name, job in json.loads((HERE / "upscales.json").read_text()).items():
        draw(job).save(HERE / f"upscaled/{name}.png", optimize=True)
        print(name)


if __name__ == "__main__":
    main()
