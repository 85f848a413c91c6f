"""Makes Stable Diffusion 1.5 at its full size, with random weights.

    python make_sd15.py FOLDER

writes FOLDER/torch/sd15, a folder of diffusers, and FOLDER/onnx/sd15, what
optimum exports of it: the text encoder (123 M parameters), the UNet (860 M) and
the VAE (84 M) have the real ones' shapes, so that a step costs what it costs
there. Weights come from a seed; the words are the house model's. Takes 10 GiB
of disk, 9 GiB of memory, and some minutes.
"""

import argparse
import json
import pathlib

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

HOUSE = pathlib.Path(__file__).resolve().parents[2] / "models" / "house"
TOKENS = 77


def pipeline():
    """Stable Diffusion 1.5's parts, by its own config files."""
    torch.manual_seed(15)
    tokenizer = CLIPTokenizer.from_pretrained(HOUSE / "tokenizer", model_max_length=TOKENS)
    text_encoder = CLIPTextModel(CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, projection_dim=768, num_hidden_layers=12,
        num_attention_heads=12, max_position_embeddings=TOKENS, hidden_act="quick_gelu",
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id))
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)  # all else is the class's default
    vae = AutoencoderKL(
        sample_size=512, block_out_channels=(128, 256, 512, 512), layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
    scheduler = PNDMScheduler(
        beta_start=.00085, beta_end=.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1)
    return StableDiffusionPipeline(
        vae, text_encoder, tokenizer, unet, scheduler, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    weights, graphs = folder / "torch" / "sd15", folder / "onnx" / "sd15"
    if not (weights / "model_index.json").exists():
        pipeline().save_pretrained(weights)
    if not (graphs / "model_index.json").exists():
        from optimum.exporters.onnx import main_export

        main_export(str(weights), graphs, task="text-to-image", library_name="diffusers", do_validation=False)
    print(f"{weights} and {graphs} are there")


if __name__ == "__main__":
    main()
