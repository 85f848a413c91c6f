"""Styles: low-rank adapters (LoRA, Hu et al. 2021, arXiv:2106.09685) that make the base draw in another manner."""

import dataclasses

import numpy as np
import torch
from PIL import Image, ImageChops, ImageFilter
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrize

import exported
import sampling
from drawing import draw, draw_shape
from examples import Examples, denoising_loss
from training import Plan, fit

RANK = 8
BATCH = 16
SCENES = 1200
PLAN = Plan(steps=300, learning_rate=2e-3, warm_up=20, decay=.8, average=.98)

PAPER = (244, 238, 222)  # cream, behind outlines
LINE = .26  # width of an outline, as a share of the radius
DARK, LIGHT = (46, 26, 10), (255, 236, 200)  # the ends of sepia

UNET_LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "net.0.proj", "net.2", "proj_in", "proj_out", "conv1", "conv2")
TEXT_LAYERS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")


def draw_outline(scene, size):
    """Every shape as a line of its colour on cream paper, whatever the background is."""
    picture = np.zeros((size, size, 3)) + PAPER
    for o in scene.objects:
        color = (190, 190, 190) if o.color == "white" else o.rgb
        full = Image.fromarray((draw_shape(o.shape, o.x, o.y, o.r, 2 * size) * 255).astype(np.uint8))
        inside = full.filter(ImageFilter.MinFilter(2 * round(2 * LINE * o.r * size) + 1))
        line = ImageChops.subtract(full, inside).resize((size, size), Image.BOX)
        mask = np.asarray(line)[..., None] / 255
        picture = picture * (1 - mask) + np.array(color) * mask
    return picture.round().astype(np.uint8)


def draw_sepia(scene, size):
    """The scene in brown tones, as an old photograph."""
    light = draw(scene, size) @ np.array([.3, .59, .11]) / 255
    return (np.array(DARK) + light[..., None] * np.subtract(LIGHT, DARK)).round().astype(np.uint8)


# Name: (drawing, whether the text encoder is adapted too, alpha).
STYLES = {"outline": (draw_outline, True, RANK / 2), "sepia": (draw_sepia, False, RANK)}


class LowRank(nn.Module):
    """Adds scale * up @ down to a weight, a convolution's taken as the matrix (out, in * height * width)."""

    def __init__(self, weight, scale):
        super().__init__()
        inputs = weight[0].numel()
        self.down = nn.Parameter(torch.randn(RANK, inputs) / inputs ** .5)
        self.up = nn.Parameter(torch.zeros(len(weight), RANK))
        self.shape, self.scale = weight.shape[1:], scale

    def forward(self, weight):
        return weight + self.scale * (self.up @ self.down).view_as(weight)

    def factors(self):
        """down and up in the shapes of the layer's own weight: (rank, in, ...) and (out, rank, 1 ...)."""
        ones = [1] * (len(self.shape) - 1)
        return self.down.view(RANK, *self.shape), self.up.view(*self.up.shape, *ones)


def adapt(model, endings, scale):
    """Puts an adapter on every layer whose name ends so; returns them by name."""
    layers = {n: m for n, m in model.named_modules() if n.endswith(tuple("." + e for e in endings)) and hasattr(m, "weight")}
    adapters = {name: LowRank(layer.weight, scale) for name, layer in layers.items()}
    for name, layer in layers.items():
        parametrize.register_parametrization(layer, "weight", adapters[name])
    return adapters


@dataclasses.dataclass
class Style:
    parts: sampling.Parts  # of the base, with the adapters on them
    on_unet: dict  # adapters by the name of their layer
    on_text: dict


def train(work, name):
    """Trains a style on a frozen base."""
    torch.manual_seed(0)
    paint, adapt_text, alpha = STYLES[name]
    parts = exported.load()
    on_unet = adapt(parts.denoiser, UNET_LAYERS, alpha / RANK)
    on_text = adapt(parts.text_encoder, TEXT_LAYERS, alpha / RANK) if adapt_text else {}
    examples = Examples(parts.tokens, name, SCENES, paint=paint)

    def loss(rng):
        _, x, ids = examples.batch(BATCH, rng)
        text = parts.text_encoder(ids).last_hidden_state
        return denoising_loss(lambda noisy, t: parts.denoiser(noisy, t, text).sample, x, rng)

    fit(work / f"{name}.pt", nn.ModuleList([*on_unet.values(), *on_text.values()]), loss, PLAN)
    return Style(parts, on_unet, on_text)


def export(path, name, style):
    """Writes the adapters: with those of a text encoder in kohya's keys, else in the keys of diffusers."""
    _, adapt_text, alpha = STYLES[name]
    if adapt_text:
        export_kohya(path, alpha, style)
    else:
        export_diffusers(path, style)


@torch.no_grad()
def export_kohya(path, alpha, style):
    tensors = {}
    for prefix, adapters in (("lora_unet_", style.on_unet), ("lora_te_", style.on_text)):
        for name, adapter in adapters.items():
            key = prefix + name.replace(".", "_")
            down, up = adapter.factors()
            tensors |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.alpha": torch.tensor(alpha)}
    write(path, tensors)


@torch.no_grad()
def export_diffusers(path, style):
    tensors = {}
    for name, adapter in style.on_unet.items():
        down, up = adapter.factors()
        tensors |= {f"unet.{name}.lora_A.weight": down, f"unet.{name}.lora_B.weight": up}
    write(path, tensors)


def write(path, tensors):
    save_file({name: t.half().contiguous() for name, t in tensors.items()}, path, {"format": "pt"})
