"""Makes the tiny Stable Diffusion folders of the tests, with random weights.

    python make_models.py

writes sd/, a whole model in the layout that `optimum-cli export onnx` writes,
and variants/, graphs that other exporters would have written of the same
weights. Needs torch 2.9.1, diffusers 0.35.2, transformers 4.57.6, onnx. Run on
the same versions it writes the same bytes.
"""

import json
import pathlib
import shutil

import onnx
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

HERE = pathlib.Path(__file__).parent
TOKENIZER = HERE.parent.parent / "models" / "house" / "tokenizer"
TOKENS = 77

# Stable Diffusion 1.5's, key by key.
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}

LCM_SCHEDULER = {
    "_class_name": "LCMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "original_inference_steps": 50,
    "prediction_type": "epsilon",
    "set_alpha_to_one": True,
    "steps_offset": 0,
    "timestep_scaling": 10.0,
    "timestep_spacing": "leading",
}


def vocabulary():
    return json.loads((HERE / "sd/tokenizer/vocab.json").read_text())


def text_encoder():
    torch.manual_seed(1)
    vocab = vocabulary()
    config = CLIPTextConfig(
        vocab_size=len(vocab), hidden_size=16, intermediate_size=32, projection_dim=4,
        num_hidden_layers=3, num_attention_heads=2, max_position_embeddings=TOKENS,
        bos_token_id=vocab["<|startoftext|>"], eos_token_id=vocab["<|endoftext|>"], pad_token_id=vocab["<|endoftext|>"],
        attn_implementation="eager",
    )
    model = CLIPTextModel(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:  # far from the small weights that CLIP starts training with
                weight.normal_(std=1.0 if "embedding" in name else 0.4)
    return model


def normed_text_encoder():
    """One whose states have a mean, as those of trained ones have."""
    model = text_encoder()
    torch.manual_seed(4)
    with torch.no_grad():
        model.text_model.final_layer_norm.weight.uniform_(0.5, 1.5)
        model.text_model.final_layer_norm.bias.normal_(mean=0.3, std=0.3)
    return model


def unet(in_channels=4, **extra):
    torch.manual_seed(2)
    model = UNet2DConditionModel(
        sample_size=8, in_channels=in_channels, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16, attention_head_dim=2, norm_num_groups=4, **extra,
    ).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".attn2.to_" in name and weight.ndim == 2:
                weight.mul_(4)  # so that the text matters
        model.conv_out.weight.mul_(2)
    return model


def vae():
    torch.manual_seed(3)
    model = AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, sample_size=64, block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1, norm_num_groups=4,
    ).eval()
    with torch.no_grad():
        model.decoder.conv_out.weight.mul_(0.7)
    return model


class TextEncoder(torch.nn.Module):
    """Gives out what an export of Stable Diffusion 1.x has: no hidden states."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        out = self.model(input_ids)
        return out.last_hidden_state, out.pooler_output


class UNet(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sample, timestep, encoder_hidden_states, timestep_cond=None):
        return self.model(sample, timestep, encoder_hidden_states, timestep_cond=timestep_cond, return_dict=False)[0]


class Encoder(torch.nn.Module):
    """Gives out means and logarithms of variances, as optimum's export does."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sample):
        return self.model.encode(sample).latent_dist.parameters


class Decoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, latent_sample):
        return self.model.decode(latent_sample, return_dict=False)[0]


def forget_names(graph):
    """Shortens the names of nodes and of what flows between them, which every exporter chooses anew."""
    ports = {p.name for p in (*graph.input, *graph.output)}
    names = {}
    rename = lambda name: name if name in ports or not name else names.setdefault(name, f"v{len(names)}")
    for node in graph.node:
        node.ClearField("name")
        node.input[:] = map(rename, node.input)
        node.output[:] = map(rename, node.output)
    for weight in graph.initializer:
        weight.name = rename(weight.name)
    del graph.value_info[:]


def export(module, arguments, path, inputs, outputs, axes, external=False, anonymous=False, opset=18):
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(module, arguments, str(path), input_names=inputs, output_names=outputs,
                          dynamic_axes=axes, opset_version=opset, do_constant_folding=True, dynamo=False)
    model = onnx.load(str(path))
    # Exporters write down where on their machine each node comes from.
    model.doc_string = model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    if anonymous:
        forget_names(model.graph)
    if external:
        path.with_suffix(".onnx_data").unlink(missing_ok=True)
        onnx.save(model, str(path), save_as_external_data=True, all_tensors_to_one_file=True,
                  location=path.name + "_data", size_threshold=256)
    else:
        onnx.save(model, str(path))


def export_unet(model, path, timestep, dtype=torch.float32, external=False, anonymous=True):
    """timestep is the example that the graph's input is made after."""
    inputs = ["sample", "timestep", "encoder_hidden_states"]
    arguments = [torch.randn(2, model.config.in_channels, 8, 8, dtype=dtype), timestep, torch.randn(2, TOKENS, 16, dtype=dtype)]
    axes = {
        "sample": {0: "batch_size", 2: "height", 3: "width"},
        "encoder_hidden_states": {0: "batch_size", 1: "sequence_length"},
        "out_sample": {0: "batch_size", 2: "height", 3: "width"},
    }
    if timestep.ndim == 1:
        axes["timestep"] = {0: "batch_size"}
    if model.config.time_cond_proj_dim is not None:
        inputs.append("timestep_cond")
        arguments.append(torch.randn(2, model.config.time_cond_proj_dim, dtype=dtype))
        axes["timestep_cond"] = {0: "batch_size"}
    export(UNet(model.to(dtype)), tuple(arguments), path, inputs, ["out_sample"], axes, external, anonymous)


def export_text_encoder(model, path, ids=torch.int64, dtype=torch.float32, **options):
    export(TextEncoder(model.to(dtype)), (torch.zeros(2, TOKENS, dtype=ids),), path, ["input_ids"],
           ["last_hidden_state", "pooler_output"],
           {"input_ids": {0: "batch_size", 1: "sequence_length"}, "last_hidden_state": {0: "batch_size", 1: "sequence_length"},
            "pooler_output": {0: "batch_size"}}, **options)


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def write_config(model, path):
    config = json.loads(model.config.to_json_string() if hasattr(model.config, "to_json_string") else model.to_json_string())
    write_json(path, {k: v for k, v in config.items() if k not in ("transformers_version", "_diffusers_version", "dtype")})


def main():
    for folder in ("sd", "variants"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
    sd, variants = HERE / "sd", HERE / "variants"

    shutil.copytree(TOKENIZER, sd / "tokenizer")
    settings = json.loads((sd / "tokenizer/tokenizer_config.json").read_text())
    write_json(sd / "tokenizer/tokenizer_config.json", settings | {"model_max_length": TOKENS})
    write_json(sd / "scheduler/scheduler_config.json", SCHEDULER)
    write_json(sd / "model_index.json", {
        "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.35.2",
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "scheduler": ["diffusers", "PNDMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    })

    write_config(text_encoder(), sd / "text_encoder/config.json")
    export_text_encoder(text_encoder(), sd / "text_encoder/model.onnx")
    export_text_encoder(text_encoder(), variants / "int32/text_encoder/model.onnx", ids=torch.int32)
    export_text_encoder(text_encoder(), variants / "half/text_encoder/model.onnx", dtype=torch.float16)

    export_text_encoder(text_encoder(), variants / "opset14/text_encoder/model.onnx", opset=14, anonymous=True)

    export_text_encoder(normed_text_encoder(), variants / "normed/text_encoder/model.onnx")

    write_config(unet(), sd / "unet/config.json")
    scalar = torch.tensor(1.0)
    export_unet(unet(), sd / "unet/model.onnx", scalar, anonymous=False)
    export_unet(unet(), variants / "int64/unet/model.onnx", torch.tensor([1, 1]))
    export_unet(unet(), variants / "half/unet/model.onnx", scalar.half(), dtype=torch.float16)
    export_unet(unet(), variants / "external/unet/model.onnx", scalar, external=True)

    lcm = unet(time_cond_proj_dim=8)
    write_config(lcm, variants / "lcm/unet/config.json")
    export_unet(lcm, variants / "lcm/unet/model.onnx", scalar)
    inpaint = unet(in_channels=9)
    write_config(inpaint, variants / "inpaint/unet/config.json")
    export_unet(inpaint, variants / "inpaint/unet/model.onnx", scalar)

    write_json(variants / "lcm/scheduler/scheduler_config.json", LCM_SCHEDULER)
    write_json(variants / "lcm/model_index.json", {
        "_class_name": "LatentConsistencyModelPipeline", "_diffusers_version": "0.35.2",
        "scheduler": ["diffusers", "LCMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    })

    write_config(vae(), sd / "vae_encoder/config.json")
    export(Encoder(vae()), (torch.randn(1, 3, 64, 64),), sd / "vae_encoder/model.onnx", ["sample"], ["latent_parameters"],
           {"sample": {0: "batch_size", 2: "height", 3: "width"}, "latent_parameters": {0: "batch_size", 2: "height_out", 3: "width_out"}},
           anonymous=True)
    write_config(vae(), sd / "vae_decoder/config.json")
    export(Decoder(vae()), (torch.randn(1, 4, 8, 8),), sd / "vae_decoder/model.onnx", ["latent_sample"], ["sample"],
           {"latent_sample": {0: "batch_size", 2: "height", 3: "width"}, "sample": {0: "batch_size", 2: "height_out", 3: "width_out"}})


if __name__ == "__main__":
    main()
