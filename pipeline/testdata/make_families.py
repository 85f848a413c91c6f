"""Makes the tiny folders of Stable Diffusion's other families, with random weights.

    python make_families.py

writes variants/xl (SDXL: two text encoders, a pooled text, sizes as an input)
and variants/sd2 (Stable Diffusion 2.x: v-prediction, zero terminal SNR, linear
projections). Each is laid over sd/, as the other variants are. Needs what
make_models.py needs.
"""

import shutil

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from make_models import HERE, TOKENS, export, export_unet, vocabulary, write_config, write_json

# stabilityai/stable-diffusion-xl-base-1.0's, key by key.
XL_SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "_diffusers_version": "0.19.0.dev0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "sample_max_value": 1.0,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "trained_betas": None,
    "use_karras_sigmas": False,
}

# Stable Diffusion 2.x's, with the zero terminal SNR of arXiv 2305.08891.
SD2_SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "_diffusers_version": "0.35.2",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "timestep_spacing": "trailing",
    "trained_betas": None,
}

POOLED, SIZES = 12, 6


def text_encoder(kind, seed, width, layers, pad, activation):
    torch.manual_seed(seed)
    vocab = vocabulary()
    model = kind(CLIPTextConfig(
        vocab_size=len(vocab), hidden_size=width, intermediate_size=2 * width, projection_dim=POOLED,
        num_hidden_layers=layers, num_attention_heads=2, max_position_embeddings=TOKENS, hidden_act=activation,
        bos_token_id=vocab["<|startoftext|>"], eos_token_id=vocab["<|endoftext|>"], pad_token_id=pad,
        attn_implementation="eager",
    )).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                weight.normal_(std=1.0 if "embedding" in name else 0.4)
    return model


def unet(seed, text, **extra):
    torch.manual_seed(seed)
    model = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text, attention_head_dim=(1, 2), norm_num_groups=4, use_linear_projection=True, **extra,
    ).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".attn2.to_" in name and weight.ndim == 2:
                weight.mul_(4)  # so that the text matters
        model.conv_out.weight.mul_(2)
    return model


def xl():
    """The two text encoders and the UNet of variants/xl."""
    vocab = vocabulary()
    return (
        text_encoder(CLIPTextModel, 11, 16, 3, vocab["<|endoftext|>"], "quick_gelu"),
        text_encoder(CLIPTextModelWithProjection, 12, 24, 4, 0, "gelu"),
        unet(13, 40, addition_embed_type="text_time", addition_time_embed_dim=8, transformer_layers_per_block=1,
             projection_class_embeddings_input_dim=POOLED + SIZES * 8),
    )


def sd2():
    """The text encoder and the UNet of variants/sd2."""
    return text_encoder(CLIPTextModel, 21, 16, 3, 0, "gelu"), unet(22, 16)


class HiddenStates(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        out = self.model(input_ids, output_hidden_states=True)
        first = out.text_embeds if hasattr(out, "text_embeds") else out.pooler_output
        return first, out.last_hidden_state, *out.hidden_states


class XLUNet(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sample, timestep, encoder_hidden_states, text_embeds, time_ids):
        added = {"text_embeds": text_embeds, "time_ids": time_ids}
        return self.model(sample, timestep, encoder_hidden_states, added_cond_kwargs=added, return_dict=False)[0]


def export_hidden_states(model, path, first, anonymous=False):
    """Exports a text encoder with its hidden states. What comes first is
    text_embeds or pooler_output, with a projection or without."""
    write_config(model, path / "config.json")
    states = [f"hidden_states.{i}" for i in range(model.config.num_hidden_layers + 1)]
    axes = {name: {0: "batch_size", 1: "sequence_length"} for name in ("input_ids", "last_hidden_state", *states)}
    export(HiddenStates(model), (torch.zeros(2, TOKENS, dtype=torch.int64),), path / "model.onnx", ["input_ids"],
           [first, "last_hidden_state", *states], axes | {first: {0: "batch_size"}}, anonymous=anonymous)


def export_xl_unet(model, path):
    write_config(model, path / "config.json")
    rows = {0: "batch_size"}
    export(XLUNet(model), (torch.randn(2, 4, 8, 8), torch.tensor(1.0), torch.randn(2, TOKENS, 40), torch.randn(2, POOLED), torch.randn(2, SIZES)),
           path / "model.onnx", ["sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"], ["out_sample"],
           {"sample": rows | {2: "height", 3: "width"}, "encoder_hidden_states": rows | {1: "sequence_length"},
            "text_embeds": rows, "time_ids": rows, "out_sample": rows | {2: "height", 3: "width"}})


def index(folder, kind, scheduler, **more):
    write_json(folder / "scheduler/scheduler_config.json", scheduler)
    write_json(folder / "model_index.json", {
        "_class_name": kind, "_diffusers_version": "0.35.2", "scheduler": ["diffusers", scheduler["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"], **more,
    })


def pad_with_exclamation_marks(folder):
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        path = folder / name
        path.write_text(path.read_text().replace('"pad_token": "<|endoftext|>"', '"pad_token": "!"'))
        assert '"pad_token": "!"' in path.read_text()


def main():
    for name in ("xl", "sd2"):
        shutil.rmtree(HERE / "variants" / name, ignore_errors=True)

    folder = HERE / "variants/xl"
    first, second, net = xl()
    index(folder, "StableDiffusionXLPipeline", XL_SCHEDULER, force_zeros_for_empty_prompt=True,
          text_encoder_2=["transformers", "CLIPTextModelWithProjection"], tokenizer_2=["transformers", "CLIPTokenizer"])
    export_hidden_states(first, folder / "text_encoder", "pooler_output")
    export_hidden_states(second, folder / "text_encoder_2", "text_embeds")
    shutil.copytree(HERE / "sd/tokenizer", folder / "tokenizer_2")
    pad_with_exclamation_marks(folder / "tokenizer_2")
    export_xl_unet(net, folder / "unet")

    folder = HERE / "variants/sd2"
    text, net = sd2()
    index(folder, "StableDiffusionPipeline", SD2_SCHEDULER)
    export_hidden_states(text, folder / "text_encoder", "pooler_output", anonymous=True)
    shutil.copytree(HERE / "sd/tokenizer", folder / "tokenizer")
    pad_with_exclamation_marks(folder / "tokenizer")
    write_config(net, folder / "unet/config.json")
    export_unet(net, folder / "unet/model.onnx", torch.tensor(1.0))


if __name__ == "__main__":
    main()
