"""python -m unittest: what the models beside the base are trained and written with."""

import pathlib
import tempfile
import unittest

import numpy as np
import onnxruntime
import torch
from safetensors.torch import load_file
from torch import nn

import edges
import exported
import inpainting
import styles
import tokenizer
import training
import upscaler
from autoencoder import PICTURE
from latents import CHANNELS, SIZE


class TestFit(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def train(self, name, cut_at=None):
        torch.manual_seed(1)
        model = nn.Linear(3, 2)
        plan = training.Plan(steps=8, learning_rate=1e-2, warm_up=2, save_every=0)
        calls = 0

        def loss(rng):
            nonlocal calls
            if calls == cut_at:
                raise KeyboardInterrupt
            calls += 1
            return model(torch.randn(4, 3, generator=rng)).square().mean()

        training.fit(self.folder / name, model, loss, plan)
        return model, calls

    def test_resume(self):
        whole, calls = self.train("whole.pt")
        self.assertEqual(calls, 8)
        with self.assertRaises(KeyboardInterrupt):
            self.train("cut.pt", cut_at=5)
        resumed, calls = self.train("cut.pt")
        self.assertEqual(calls, 3)
        done, calls = self.train("cut.pt")
        self.assertEqual(calls, 0)
        for model in (resumed, done):
            self.assertTrue(torch.equal(model.weight, whole.weight))


class TestExported(unittest.TestCase):
    def test_load(self):
        """The parts compute what their graphs compute."""
        parts = exported.load()
        rng = torch.Generator().manual_seed(1)
        ids = torch.tensor(tokenizer.encode(parts.tokens, ["a red star", "a green ring on blue"]))
        text = parts.text_encoder(ids).last_hidden_state
        x, t = torch.randn(2, CHANNELS, SIZE, SIZE, generator=rng), torch.tensor([30, 900])
        picture = torch.rand(2, 3, PICTURE, PICTURE, generator=rng) * 2 - 1
        for part, inputs, want in (
            ("text_encoder", {"input_ids": ids}, text),
            ("unet", {"sample": x, "timestep": t, "encoder_hidden_states": text}, parts.denoiser(x, t, text).sample),
            ("vae_encoder", {"sample": picture}, parts.vae.encode(picture).latent_dist.parameters),
            ("vae_decoder", {"latent_sample": x}, parts.vae.decode(x).sample),
        ):
            session = onnxruntime.InferenceSession(exported.HOUSE / part / "model.onnx", providers=["CPUExecutionProvider"])
            got = session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
            self.assertLess(np.abs(got - want.numpy()).max(), 1e-3 * want.abs().max(), part)


class TestStyles(unittest.TestCase):
    def test_files(self):
        """The factors in a file, multiplied, are what the adapter adds."""
        torch.manual_seed(1)
        model = nn.ModuleDict({"conv1": nn.Conv2d(4, 6, 3), "to_q": nn.Linear(5, 7)})
        before = {name: layer.weight.detach().clone() for name, layer in model.items()}
        adapters = styles.adapt(nn.ModuleDict({"block": model}), styles.UNET_LAYERS, .5)
        for adapter in adapters.values():
            nn.init.normal_(adapter.up)
        style = styles.Style(None, adapters, {})
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "style.safetensors"
            styles.export_kohya(path, .5 * styles.RANK, style)
            tensors = {name: t.float() for name, t in load_file(path).items()}
        for name, layer in model.items():
            key = f"lora_unet_block_{name}"
            down, up = tensors[f"{key}.lora_down.weight"], tensors[f"{key}.lora_up.weight"]
            self.assertEqual(down.shape, (styles.RANK, *before[name].shape[1:]))
            added = tensors[f"{key}.alpha"] / styles.RANK * (up.flatten(1) @ down.flatten(1)).view_as(layer.weight)
            self.assertTrue(torch.allclose(before[name] + added, layer.weight, atol=1e-2), name)


class TestStarts(unittest.TestCase):
    def test_upscaler(self):
        """Before training it repeats pixels."""
        x = torch.rand(1, 3, 5, 7)
        repeated = x.repeat_interleave(upscaler.SCALE, -1).repeat_interleave(upscaler.SCALE, -2)
        self.assertTrue(torch.equal(upscaler.Upscaler()(x), repeated))

    def test_masks(self):
        masks = inpainting.random_masks(200, 64, torch.Generator().manual_seed(1))
        self.assertEqual(masks.shape, (200, 1, 64, 64))
        self.assertEqual(set(masks.unique().tolist()), {0., 1.})
        share = masks.mean((1, 2, 3))
        self.assertLess(share.min(), .1)
        self.assertEqual(share.max(), 1)

    def test_surroundings(self):
        """The mask and the latents of what is left; those of the masked part are gray."""
        x = torch.rand(1, 3, 64, 64) * 2 - 1
        mask = torch.zeros(1, 1, 64, 64)
        mask[..., :32] = 1
        around = inpainting.surroundings(x, mask)
        self.assertEqual(around.shape[1], CHANNELS + 1)
        self.assertTrue(torch.equal(around[:, 0, :, :8], torch.ones(1, 16, 8)))
        self.assertTrue((around[:, 1:, :, :8] == 0).all() and (around[:, 1:, :, 8:] != 0).any())

    def test_canny(self):
        """A square's edges are one pixel wide lines around it."""
        picture = np.zeros((1, 40, 40, 3), np.uint8)
        picture[:, 10:30, 12:28] = (0, 200, 0)
        lines = edges.canny(picture)[0]
        self.assertEqual(lines[20].sum(), 2)
        self.assertEqual(lines[:, 20].sum(), 2)
        self.assertFalse(lines[:8].any() or lines[32:].any())


if __name__ == "__main__":
    unittest.main()
