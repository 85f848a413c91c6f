"""Text encoder: a small CLIPTextModel, trained alone to read scenes back out of captions, then frozen.

Heads that are thrown away afterwards ask its hidden states for every fact of the scene. The UNet then finds the
facts ready in the text embedding, and learns colours and places within minutes.
"""

import math
import random

import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

import tokenizer
from captions import caption
from scenes import random_scene
from words import BACKGROUND_COLORS, COLORS, LANDS, PLACES, SHAPES, TIMES

WIDTH = 128
STEPS = 450
BATCH = 64
LEARNING_RATE = 1.5e-3

SIZES = ["", "small", "large"]
BACKDROPS = [*BACKGROUND_COLORS, "", *TIMES]
KINDS = ["plain", "gradient", *LANDS]
ARRANGEMENTS = ["side by side", "stacked", *PLACES, "", "row"]
# Choices of each fact: shape, colour, size of up to three shapes (one more choice: there is none), then the background
# (its colours or time of day, and its kind) and the arrangement.
FACTS = [len(SHAPES) + 1, len(COLORS) + 1, len(SIZES) + 1] * 3
FACTS += [len(BACKDROPS), len(BACKDROPS), len(KINDS), len(ARRANGEMENTS)]


def facts(scene):
    """The scene as class numbers, one for each of FACTS. Shapes go from left to right, then from top to bottom."""
    numbers = []
    objects = sorted(scene.objects, key=lambda o: (round(o.x * 4), o.y))
    for i in range(3):
        if i < len(objects):
            o = objects[i]
            numbers += [SHAPES.index(o.shape), list(COLORS).index(o.color), SIZES.index(o.size)]
        else:
            numbers += [len(SHAPES), len(COLORS), len(SIZES)]
    b = scene.background
    first = {"plain": b.color, "gradient": b.top, "landscape": b.time}[b.kind]
    second = b.bottom if b.kind == "gradient" else first
    numbers += [BACKDROPS.index(first), BACKDROPS.index(second), KINDS.index(b.land or b.kind)]
    if scene.relation:
        arrangement = "side by side" if scene.relation in ("left", "right") else "stacked"
    else:
        arrangement = scene.place if len(objects) == 1 else "row"
    return [*numbers, ARRANGEMENTS.index(arrangement)]


class Reader(nn.Module):
    """One attention query for each fact, and a linear classifier on what it finds."""

    def __init__(self):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(FACTS), WIDTH) * .5)
        self.attention = nn.MultiheadAttention(WIDTH, 4, batch_first=True)
        self.norm = nn.LayerNorm(WIDTH)
        self.classifiers = nn.ModuleList(nn.Linear(WIDTH, choices) for choices in FACTS)

    def forward(self, hidden):
        found, _ = self.attention(self.queries.expand(len(hidden), -1, -1), hidden, hidden, need_weights=False)
        return [classify(self.norm(found[:, i])) for i, classify in enumerate(self.classifiers)]


def new_model(vocabulary):
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=3 * WIDTH, projection_dim=WIDTH,
        num_hidden_layers=3, num_attention_heads=4, hidden_act="quick_gelu",
        max_position_embeddings=tokenizer.MAX_LENGTH,
        bos_token_id=vocabulary - 2, eos_token_id=vocabulary - 1, pad_token_id=vocabulary - 1,
    ))


def train(work):
    torch.manual_seed(0)
    torch.set_num_threads(2)
    tokens = tokenizer.load(work / "tokenizer")
    rng = random.Random("text encoder")

    def draw_batch(rng, size, unseen=False):
        scenes = [random_scene(rng, unseen) for _ in range(size)]
        ids = torch.tensor(tokenizer.encode(tokens, [caption(rng, s) for s in scenes]))
        return ids, torch.tensor([facts(s) for s in scenes])

    encoder, reader = new_model(len(tokens)), Reader()
    parameters = [*encoder.parameters(), *reader.parameters()]
    optimizer = torch.optim.AdamW(parameters, betas=(.9, .98), weight_decay=.01, fused=True)
    for step in range(1, STEPS + 1):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1, step / 100) * (.03 + .97 * .5 * (1 + math.cos(math.pi * step / STEPS)))
        ids, truth = draw_batch(rng, BATCH)
        answers = reader(encoder(ids).last_hidden_state)
        loss = sum(F.cross_entropy(a, truth[:, i]) for i, a in enumerate(answers)) / len(FACTS)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.)
        optimizer.step()
        if step % 50 == 0:
            print(f"text encoder: step {step}, loss {loss.item():.4f}", flush=True)
    with torch.no_grad():
        for name, unseen in [("new scenes", False), ("unseen pairs", True)]:
            ids, truth = draw_batch(random.Random(name), 500, unseen)
            right = torch.stack([a.argmax(-1) for a in reader(encoder(ids).last_hidden_state)], 1) == truth
            print(f"text encoder: {name} read entirely right: {right.all(1).float().mean():.1%}", flush=True)
    encoder.save_pretrained(work / "text_encoder")
