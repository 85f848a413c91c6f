"""UNet: the denoiser, trained with v-prediction on the fixed latents by one process for each core.

The whole state of a training is saved every few minutes, so it can be cut off and go on where it was.
"""

import copy
import dataclasses
import math
import os
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel

import tokenizer
from latents import CHANNELS, SCALE, SIZE

NOISE_SCHEDULE = {"num_train_timesteps": 1000, "beta_start": .00085, "beta_end": .012, "beta_schedule": "scaled_linear"}


@dataclasses.dataclass
class Focus:
    """Which noise levels a part of the training learns from."""

    time_power: float  # timesteps are u^power: below 1 draws noisy ones more often
    snr_weight: float  # the loss of v is weighted min(1, this / SNR)


LAYOUT = Focus(.75, 2.)  # what is where: decided in noise
OUTLINES = Focus(1.3, 8.)  # the exact outlines of shapes: decided at SNR .5 to 10


@dataclasses.dataclass
class Settings:
    """The training ends after so many seconds or steps, whichever comes first; its schedule is stretched over that."""

    seconds: float = math.inf
    steps: float = math.inf  # an end in steps makes a training repeatable
    processes: int = 2
    batch: int = 12  # of each process
    learning_rate: float = 1e-3
    warm_up: int = 100  # steps
    decay: float = .45  # last share of the training, over which the learning rate falls ...
    floor: float = .03  # ... to this share of itself
    ema: float = .998
    empty: float = .1  # share of captions left out, for guidance
    layout: float = .6  # first share of the training, which learns the LAYOUT; the rest learns OUTLINES
    save_every: float = 180  # seconds


def new_model():
    return UNet2DConditionModel(
        sample_size=SIZE, in_channels=CHANNELS, out_channels=CHANNELS,
        block_out_channels=(32, 64, 128), layers_per_block=1, norm_num_groups=16,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        cross_attention_dim=128, attention_head_dim=4,
    )


def learning_rate(settings, step, progress):
    """Warm-up, flat, then linear down; progress is the share of the training that is done, 0 to 1."""
    left = min(1, max(0, 1 - progress) / settings.decay)
    return settings.learning_rate * min(1, step / settings.warm_up) * (settings.floor + (1 - settings.floor) * left)


class Data:
    """Random batches of (scaled latents, token ids), read from the mapped files."""

    def __init__(self, work, settings):
        self.latents = np.load(work / "latents.npy", mmap_mode="r")
        self.tokens = np.load(work / "tokens.npy", mmap_mode="r")
        self.empty_ids = torch.tensor(tokenizer.encode(tokenizer.load(work / "tokenizer"), [""])[0])
        self.settings = settings

    def batch(self, rng):
        n = self.settings.batch
        i = torch.randint(len(self.latents), (n,), generator=rng).numpy()
        caption = torch.randint(self.tokens.shape[1], (n,), generator=rng).numpy()
        ids = torch.from_numpy(self.tokens[i, caption].astype(np.int64))
        ids[torch.rand(n, generator=rng) < self.settings.empty] = self.empty_ids
        return torch.from_numpy(self.latents[i].astype(np.float32)) * SCALE, ids


def random_timesteps(n, time_power, rng):
    """n timesteps, one from each n-th of the range, so that every batch sees all noise levels."""
    u = (torch.randperm(n, generator=rng) + torch.rand(n, generator=rng)) / n
    return (u ** time_power * 1000).long().clamp(0, 999)


def alphas_cumprod():
    return DDPMScheduler(**NOISE_SCHEDULE).alphas_cumprod


def v_loss(predict, z, t, noise, alphas_cumprod, snr_weight, where=1.):
    """Weighted squared error of v = sqrt(a) noise - sqrt(1-a) z (Salimans and Ho 2022, arXiv:2202.00512), by row.

    predict(noisy, t) is the v of the denoiser for latents with the noise of the timesteps t.

    The weight min(1, snr_weight / SNR) keeps the nearly clean timesteps from drowning the noisy ones. where, of a shape
    like that of z, says how much each place counts.
    """
    a = alphas_cumprod[t].view(-1, 1, 1, 1)
    v = a.sqrt() * noise - (1 - a).sqrt() * z
    predicted = predict(a.sqrt() * z + (1 - a).sqrt() * noise, t)
    weight = (snr_weight * (1 - a) / a).clamp(max=1).flatten()
    return weight * (where * F.mse_loss(predicted, v, reduction="none")).mean((1, 2, 3))


def train(work, settings):
    """Trains to the end that the settings name, from the saved state where there is one."""
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29511")
    torch.multiprocessing.spawn(train_process, (work, settings), settings.processes)


def train_process(rank, work, settings):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=settings.processes)
    training = Training(rank, work, settings)
    training.load()
    training.run()
    dist.destroy_process_group()


class Training:
    def __init__(self, rank, work, settings):
        self.rank, self.work, self.settings = rank, work, settings
        self.data = Data(work, settings)
        self.text_encoder = CLIPTextModel.from_pretrained(work / "text_encoder").eval().requires_grad_(False)
        torch.manual_seed(0)
        self.unet = new_model()
        self.ema = copy.deepcopy(self.unet).eval().requires_grad_(False)
        self.parameters = list(self.unet.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters, settings.learning_rate, betas=(.9, .99), weight_decay=.01, fused=True)
        self.alphas_cumprod = alphas_cumprod()
        self.rng = torch.Generator().manual_seed(100 + rank)
        self.step, self.elapsed = 0, 0.

    def run(self):
        start, saved = time.monotonic() - self.elapsed, time.monotonic()
        progress, losses = self.progress(), []
        while progress < 1:
            self.elapsed = time.monotonic() - start
            loss, progress = self.train_step(progress)
            losses.append(loss)
            if self.step % 100 == 0 and self.rank == 0:
                pictures = self.step * self.settings.batch * self.settings.processes
                seconds, loss = self.elapsed, np.mean(losses)
                print(f"unet: step {self.step}, {pictures} pictures, {seconds:.0f} s, loss {loss:.4f}", flush=True)
                losses.clear()
            if self.step % 20 == 0 and self.agree(time.monotonic() - saved > self.settings.save_every):
                self.save()
                saved = time.monotonic()
        self.save()

    def progress(self):
        """The share of the training that is done."""
        return max(self.elapsed / self.settings.seconds, self.step / self.settings.steps)

    def train_step(self, progress):
        """One step of all processes; returns the loss and the progress, as means on which all agree."""
        self.step += 1
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.step, progress)
        z, ids = self.data.batch(self.rng)
        focus = LAYOUT if progress < self.settings.layout else OUTLINES
        t = random_timesteps(self.settings.batch, focus.time_power, self.rng)
        noise = torch.randn(z.shape, generator=self.rng)
        with torch.no_grad():
            text = self.text_encoder(ids).last_hidden_state
        predict = lambda x, t: self.unet(x, t, text).sample
        loss = v_loss(predict, z, t, noise, self.alphas_cumprod, focus.snr_weight).mean()
        self.optimizer.zero_grad()
        loss.backward()
        numbers = torch.tensor([loss.item(), self.progress()])
        shared = torch.cat([*(p.grad.reshape(-1) for p in self.parameters), numbers])
        dist.all_reduce(shared)
        shared /= self.settings.processes
        start = 0
        for p in self.parameters:
            p.grad = shared[start:start + p.numel()].view_as(p)
            start += p.numel()
        nn.utils.clip_grad_norm_(self.parameters, 1.)
        self.optimizer.step()
        keep = min(self.settings.ema, (self.step + 1) / (self.step + 20))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), self.parameters, 1 - keep)
        return shared[-2].item(), shared[-1].item()

    def agree(self, wanted):
        """True in every process if the first one wants it."""
        flag = torch.tensor([float(wanted)])
        dist.broadcast(flag, 0)
        return bool(flag.item())

    def save(self):
        """Writes the state to a new file and renames it, so that a cut-off leaves the old one whole."""
        generators = [None] * self.settings.processes
        dist.all_gather_object(generators, self.rng.get_state())
        if self.rank == 0:
            part = self.work / "unet.part"
            torch.save({
                "unet": self.unet.state_dict(), "ema": self.ema.state_dict(), "optimizer": self.optimizer.state_dict(),
                "generators": generators, "step": self.step, "elapsed": self.elapsed,
            }, part)
            os.replace(part, self.work / "unet.pt")
        dist.barrier()

    def load(self):
        path = self.work / "unet.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.unet.load_state_dict(state["unet"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.set_state(state["generators"][self.rank])
        self.step, self.elapsed = state["step"], state["elapsed"]
        if self.rank == 0:
            print(f"unet: going on from step {self.step}, {self.elapsed:.0f} s", flush=True)


def load_trained(work):
    """The averaged weights of the saved state."""
    unet = new_model()
    unet.load_state_dict(torch.load(work / "unet.pt", weights_only=True)["ema"])
    return unet.eval()
