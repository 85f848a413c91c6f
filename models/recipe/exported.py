"""Exported: the parts of the committed base for torch, read back out of its ONNX graphs.

So whoever has the repository can train models beside the base without having trained the base.
"""

import json

import onnx
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from onnx import numpy_helper
from transformers import CLIPTextConfig, CLIPTextModel

import tokenizer
from heldout import REPOSITORY
from sampling import Parts

HOUSE = REPOSITORY / "models/house"


def load(folder=HOUSE):
    """The parts in a folder that export.export wrote, frozen; their weights are those of the graphs, bit for bit."""
    def config(part):
        return json.loads((folder / part / "config.json").read_text())

    def fill(module, *parts):
        return fill_from_graphs(module, *((folder / part / "model.onnx", prefix) for part, prefix in parts))

    return Parts(
        tokenizer.load(folder / "tokenizer"),
        fill(CLIPTextModel(CLIPTextConfig(**config("text_encoder"))), ("text_encoder", "model.")),
        fill(UNet2DConditionModel.from_config(config("unet")), ("unet", "model.")),
        fill(AutoencoderKL.from_config(config("vae_decoder")), ("vae_encoder", ""), ("vae_decoder", "")))


@torch.no_grad()
def fill_from_graphs(module, *graphs):
    """Sets all parameters of a module from graphs: (path, the prefix that names have there beyond the module's)."""
    known = {}
    for path, prefix in graphs:
        known |= {name.removeprefix(prefix): value for name, value in weights(path).items()}
    for name, parameter in module.named_parameters():
        parameter.copy_(known[name].reshape(parameter.shape))
    return module.eval().requires_grad_(False)


def weights(path):
    """A graph's weights by the names that they have in the module that was exported.

    The exporter keeps a parameter's name unless it transposes it (the matrix of a linear layer) or gives it another
    shape (what a group norm multiplies and adds): there the node that uses it tells whose it is.
    """
    graph = onnx.load(path).graph
    stored = {t.name: torch.tensor(numpy_helper.to_array(t)) for t in graph.initializer}
    for node in graph.node:
        if node.op_type in ("Cast", "Identity") and node.input[0] in stored:  # Cast: half precision on disk
            stored[node.output[0]] = stored[node.input[0]].float()
    named = dict(stored)
    for node in graph.node:
        use = {"MatMul": ".weight", "Mul": ".weight", "Add": ".bias"}.get(node.op_type)
        if use and node.input[1] in stored:
            value = stored[node.input[1]]
            owner = node.name.strip("/").rsplit("/", 1)[0].replace("/", ".")
            named.setdefault(owner + use, value.T if node.op_type == "MatMul" else value)
    return named
