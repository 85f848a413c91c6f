"""Training: the loop of every model but the base UNet, in one process, saved so that it can be cut off and go on."""

import dataclasses
import os
import time

import torch
from torch import nn


@dataclasses.dataclass
class Plan:
    steps: int
    learning_rate: float
    warm_up: int = 30  # steps
    decay: float = .6  # last share of the steps, over which the learning rate falls ...
    floor: float = .03  # ... to this share of itself
    average: float = .99  # how slowly the averaged weights follow
    save_every: float = 60  # seconds


def fit(path, model, loss, plan):
    """Trains what of the model requires gradients, and leaves its running average there.

    loss(rng) returns the loss of a random batch; rng (torch.Generator) is all the chance there is, so that a training
    that was cut off ends with the same bits. Its state is in the file path; once it is done, that is just loaded.
    """
    torch.set_num_threads(1)
    parameters = [p for p in model.parameters() if p.requires_grad]
    averaged = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.AdamW(parameters, plan.learning_rate, betas=(.9, .99), weight_decay=.01, fused=True)
    rng = torch.Generator().manual_seed(0)
    step, losses, start = 0, [], time.monotonic()
    if path.exists():
        state = torch.load(path, weights_only=True)
        copy_into(parameters, state["weights"]), copy_into(averaged, state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        rng.set_state(state["rng"])
        step = state["step"]
    saved = start
    while step < plan.steps:
        step += 1
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(plan, step)
        error = loss(rng)
        optimizer.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_(parameters, 1.)
        optimizer.step()
        torch._foreach_lerp_(averaged, [p.detach() for p in parameters], 1 - min(plan.average, step / (step + 10)))
        losses.append(error.item())
        if step % 50 == 0:
            seconds, mean = time.monotonic() - start, sum(losses) / len(losses)
            print(f"{path.stem}: step {step} of {plan.steps}, {seconds:.0f} s, loss {mean:.4f}", flush=True)
            losses.clear()
        if step == plan.steps or time.monotonic() - saved > plan.save_every:
            save(path, {
                "weights": [p.detach() for p in parameters], "averaged": averaged,
                "optimizer": optimizer.state_dict(), "rng": rng.get_state(), "step": step,
            })
            saved = time.monotonic()
    copy_into(parameters, averaged)


def learning_rate(plan, step):
    """Warm-up, flat, then linear down."""
    left = min(1, (1 - step / plan.steps) / plan.decay)
    return plan.learning_rate * min(1, step / plan.warm_up) * (plan.floor + (1 - plan.floor) * left)


@torch.no_grad()
def copy_into(parameters, values):
    for p, value in zip(parameters, values, strict=True):
        p.copy_(value)


def save(path, state):
    """Writes a new file and renames it, so that a cut-off leaves the old one whole."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)
