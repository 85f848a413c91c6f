"""Inversion: a new word for the frozen base (textual inversion, Gal et al. 2022, arXiv:2208.01618).

<gem> is a turquoise diamond, of a colour that the base has no word for.
"""

import re

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrize

import exported
from examples import Examples, denoising_loss
from scenes import jitter
from training import Plan, fit

TOKEN = "<gem>"
COLOR, SHAPE = (20, 178, 170), "diamond"
START = "green", "diamond"  # the words whose embeddings the vectors start as
BATCH = 12
SCENES = 1200
PLAN = Plan(steps=300, learning_rate=1e-2, warm_up=10, decay=.8, average=.95)


class Appended(nn.Module):
    """Lengthens an embedding table by vectors that are trained."""

    def __init__(self, vectors):
        super().__init__()
        self.vectors = nn.Parameter(vectors)

    def forward(self, table):
        return torch.cat([table, self.vectors])


def names():
    """The token of each vector: <gem>, <gem>_1, ... as diffusers calls them."""
    return [TOKEN if i == 0 else f"{TOKEN}_{i}" for i in range(len(START))]


def spell(text):
    """A caption with all the token's vectors for the gem."""
    return re.sub(r"\bgem (diamond|rhombus)", " ".join(names()), text).replace("an <", "a <")


def put_gem(rng, scene):
    o = rng.choice(scene.objects)
    o.color, o.shape, o.rgb = "gem", SHAPE, jitter(rng, COLOR, 6)


def train(work):
    """The base's parts with the word in them, and its vectors."""
    parts = exported.load()
    table = parts.text_encoder.get_input_embeddings()
    start = [parts.tokens.convert_tokens_to_ids(word + "</w>") for word in START]
    appended = Appended(table.weight[start].clone())
    parts.tokens.add_tokens(names())
    parametrize.register_parametrization(table, "weight", appended, unsafe=True)
    examples = Examples(parts.tokens, TOKEN, SCENES, change=put_gem, spell=spell)

    def loss(rng):
        _, x, ids = examples.batch(BATCH, rng)
        text = parts.text_encoder(ids).last_hidden_state
        return denoising_loss(lambda noisy, t: parts.denoiser(noisy, t, text).sample, x, rng)

    fit(work / "gem.pt", appended, loss, PLAN)
    return parts, appended.vectors.detach()


def export(path, vectors):
    save_file({TOKEN: vectors.contiguous()}, path, {"format": "pt"})
