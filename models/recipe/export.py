"""Export: the trained parts become a folder of ONNX graphs in the layout that `optimum-cli export onnx` writes.

Weights are stored as fp16 behind Cast nodes; ONNX Runtime folds them when it loads a graph, so it computes in fp32.
The same weights give the same bytes.
"""

import shutil

import numpy as np
import onnx
import onnxruntime
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from transformers import CLIPTextModel

import autoencoder
import tokenizer
import unet
from latents import CHANNELS, SIZE
from sampling import GUIDANCE, STEPS

OPSET = 18
SMALL = 64  # tensors of no more values stay fp32
TOLERANCE = .02  # of a graph's outputs against torch, as a share of the largest value: what fp16 weights cost
LATENT_AXES = {0: "batch_size", 2: "height", 3: "width"}
TEXT_AXES = {0: "batch_size", 1: "sequence_length"}
PARTS = ["tokenizer", "text_encoder", "unet", "vae_encoder", "vae_decoder", "scheduler"]


class TextEncoder(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        out = self.model(input_ids)
        return out.last_hidden_state, out.pooler_output


class Denoiser(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sample, timestep, encoder_hidden_states):
        return self.model(sample, timestep, encoder_hidden_states, return_dict=False)[0]


class Control(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sample, timestep, encoder_hidden_states, controlnet_cond):
        down, middle = self.model(sample, timestep, encoder_hidden_states, controlnet_cond, return_dict=False)
        return *down, middle


class Encoder(nn.Module):
    def __init__(self, vae):
        super().__init__()
        self.encoder, self.quant_conv = vae.encoder, vae.quant_conv

    def forward(self, sample):
        return self.quant_conv(self.encoder(sample))


class Decoder(nn.Module):
    def __init__(self, vae):
        super().__init__()
        self.decoder, self.post_quant_conv = vae.decoder, vae.post_quant_conv

    def forward(self, latent_sample):
        return self.decoder(self.post_quant_conv(latent_sample))


def export(work, folder):
    """Writes the pipeline folder anew from the trained parts under work."""
    for part in PARTS:
        shutil.rmtree(folder / part, ignore_errors=True)
        (folder / part).mkdir(parents=True)
    text_encoder = CLIPTextModel.from_pretrained(work / "text_encoder").eval()
    denoiser, vae = unet.load_trained(work), AutoencoderKL.from_pretrained(work / "polished").eval()

    rng = torch.Generator().manual_seed(0)
    sample = torch.randn(2, CHANNELS, SIZE, SIZE, generator=rng)
    picture = torch.rand(2, 3, autoencoder.PICTURE, autoencoder.PICTURE, generator=rng) * 2 - 1
    hidden = torch.randn(2, tokenizer.MAX_LENGTH, text_encoder.config.hidden_size, generator=rng)
    ids = torch.tensor(tokenizer.encode(tokenizer.load(work / "tokenizer"), ["a red star", "a green ring on blue"]))
    picture_axes = {0: "batch_size", 2: "sample_height", 3: "sample_width"}
    write_graph(folder / "text_encoder", TextEncoder(text_encoder), {"input_ids": ids}, {
        "input_ids": TEXT_AXES, "last_hidden_state": TEXT_AXES, "pooler_output": {0: "batch_size"}})
    write_graph(folder / "unet", Denoiser(denoiser), {
        "sample": sample, "timestep": torch.tensor([10, 900]), "encoder_hidden_states": hidden,
    }, {
        "sample": LATENT_AXES, "timestep": {0: "batch_size"}, "encoder_hidden_states": TEXT_AXES,
        "out_sample": LATENT_AXES})
    write_graph(folder / "vae_encoder", Encoder(vae), {"sample": picture}, {
        "sample": picture_axes, "latent_parameters": LATENT_AXES})
    write_graph(folder / "vae_decoder", Decoder(vae), {"latent_sample": sample}, {
        "latent_sample": LATENT_AXES, "sample": picture_axes})

    for file in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(work / "tokenizer" / file, folder / "tokenizer" / file)
    write_config(folder / "text_encoder", text_encoder.config.to_diff_dict())
    write_config(folder / "unet", denoiser.config, "UNet2DConditionModel")
    for part in ("vae_encoder", "vae_decoder"):
        write_config(folder / part, vae.config, "AutoencoderKL")
    scheduler = DPMSolverMultistepScheduler(
        **unet.NOISE_SCHEDULE, prediction_type="v_prediction", timestep_spacing="linspace")
    write_config(folder / "scheduler", scheduler.config | OTHER_SAMPLERS, "DPMSolverMultistepScheduler", "scheduler_config.json")
    write_index(folder, "StableDiffusionPipeline")
    write_defaults(folder, GUIDANCE)


def write_defaults(folder, guidance):
    tokenizer.write_json(folder / "darkroom.json", {
        "width": autoencoder.PICTURE, "height": autoencoder.PICTURE, "steps": STEPS, "guidance_scale": guidance})


def write_index(folder, pipeline):
    tokenizer.write_json(folder / "model_index.json", {
        "_class_name": pipeline,
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "text_encoder": ["transformers", "CLIPTextModel"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae_encoder": ["diffusers", "AutoencoderKL"], "vae_decoder": ["diffusers", "AutoencoderKL"],
        "feature_extractor": [None, None], "safety_checker": [None, None], "requires_safety_checker": False,
    })


def denoiser_inputs(model):
    """(inputs, axes) of a graph that takes what the UNet takes."""
    return {
        "sample": torch.randn(2, model.config.in_channels, SIZE, SIZE), "timestep": torch.tensor([10, 900]),
        "encoder_hidden_states": torch.randn(2, tokenizer.MAX_LENGTH, model.config.cross_attention_dim),
    }, {"sample": LATENT_AXES, "timestep": {0: "batch_size"}, "encoder_hidden_states": TEXT_AXES}


def export_inpainting(model, folder, guidance):
    """Writes the UNet and what names it: models.go shows the base's other parts beside it."""
    (folder / "unet").mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    inputs, axes = denoiser_inputs(model)
    write_graph(folder / "unet", Denoiser(model), inputs, axes | {"out_sample": LATENT_AXES})
    write_config(folder / "unet", model.config, "UNet2DConditionModel")
    write_index(folder, "StableDiffusionInpaintPipeline")
    write_defaults(folder, guidance)


def export_controlnet(model, folder):
    """Writes a ControlNet whose outputs are the residuals: for each skip of the UNet in its order, then the middle."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    inputs, axes = denoiser_inputs(model)
    inputs["controlnet_cond"] = torch.rand(2, 3, autoencoder.PICTURE, autoencoder.PICTURE)
    axes["controlnet_cond"] = {0: "batch_size", 2: "picture_height", 3: "picture_width"}
    for i in range(len(model.controlnet_down_blocks)):
        axes[f"down_block_res_samples.{i}"] = {0: "batch_size", 2: f"height_{i}", 3: f"width_{i}"}
    axes["mid_block_res_sample"] = {0: "batch_size", 2: "height_mid", 3: "width_mid"}
    write_graph(folder, Control(model), inputs, axes)
    write_config(folder, model.config, "ControlNetModel")


def export_upscaler(model, folder):
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    picture = {0: "batch_size", 2: "height", 3: "width"}
    large = {0: "batch_size", 2: "large_height", 3: "large_width"}
    write_graph(folder, model, {"picture": torch.rand(2, 3, 40, 56)}, {"picture": picture, "large_picture": large})


# What other samplers read from the file. Left out, clip_sample is on, which suits pictures and ruins latents.
OTHER_SAMPLERS = {"clip_sample": False, "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1}

# What depends on this machine or library, and the one default (-Infinity) that is no legal JSON.
LEFT_OUT = (
    "_class_name", "_name_or_path", "_diffusers_version", "_use_default_values",
    "transformers_version", "torch_dtype", "dtype", "lambda_min_clipped",
)


def write_config(folder, config, class_name=None, name="config.json"):
    head = {"_class_name": class_name} if class_name else {}
    tokenizer.write_json(folder / name, head | {k: v for k, v in config.items() if k not in LEFT_OUT})


def write_graph(folder, module, inputs, axes):
    """Exports the module as folder/model.onnx, and checks the file against it, on another batch size too."""
    path = folder / "model.onnx"
    module.eval()
    outputs = [name for name in axes if name not in inputs]
    with torch.no_grad():
        truth = module(*inputs.values())
        torch.onnx.export(
            module, tuple(inputs.values()), path, input_names=list(inputs), output_names=outputs,
            dynamic_axes=axes, opset_version=OPSET, dynamo=False)
    truth = truth if isinstance(truth, tuple) else (truth,)
    onnx.save(half_weights(without_traces(onnx.load(path))), path)

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {name: value.numpy() for name, value in inputs.items()}
    for name, got, want in zip(outputs, session.run(None, feeds), truth):
        error = np.abs(got - want.numpy()).max() / want.abs().max().item()
        print(f"export: {folder.name} {name}: {path.stat().st_size / 2**20:.2f} MiB, error {error:.1e}", flush=True)
        if not error < TOLERANCE:
            raise ValueError(f"{path}: {name} is off by {error:.1e} of its largest value, more than {TOLERANCE}")
    three = session.run(None, {name: value[[0, 1, 0]] for name, value in feeds.items()})
    if not np.allclose(three[0][0], three[0][2], atol=1e-5):
        raise ValueError(f"{path}: equal rows of a batch of 3 differ")


def without_traces(model):
    """Removes doc strings and metadata, which hold stack traces with paths of this machine."""
    model.producer_name, model.producer_version, model.doc_string = "darkroom", "", ""
    del model.metadata_props[:]
    clear_graph(model.graph)
    return model


def clear_graph(graph):
    graph.name, graph.doc_string = "main_graph", ""
    del graph.metadata_props[:]
    for item in [*graph.node, *graph.input, *graph.output, *graph.value_info]:
        item.doc_string = ""
        del item.metadata_props[:]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                clear_graph(attribute.g)


def half_weights(model):
    """Stores fp32 initializers as fp16, each behind a Cast back to fp32."""
    casts = []
    for i, tensor in enumerate(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size <= SMALL:
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise ValueError(f"{tensor.name}: {np.abs(values).max()} does not fit fp16")
        stored = tensor.name + "_fp16"
        name = tensor.name + "_Cast"
        casts.append(helper.make_node("Cast", [stored], [tensor.name], name=name, to=TensorProto.FLOAT))
        model.graph.initializer[i].CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
