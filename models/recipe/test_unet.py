"""python -m unittest: a training that is cut off and goes on ends with the same weights, to the bit."""

import pathlib
import tempfile
import unittest

import numpy as np
import torch
import torch.distributed as dist

import text_encoder
import tokenizer
import unet
from latents import CHANNELS, SIZE


class TestResume(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name)
        tokenizer.make(self.work / "tokenizer")
        torch.manual_seed(1)
        text_encoder.new_model(len(tokenizer.load(self.work / "tokenizer"))).save_pretrained(self.work / "text_encoder")
        rng = np.random.default_rng(1)
        np.save(self.work / "latents.npy", rng.standard_normal((50, CHANNELS, SIZE, SIZE)).astype(np.float16))
        np.save(self.work / "tokens.npy", rng.integers(0, 700, (50, 4, tokenizer.MAX_LENGTH), dtype=np.int16))
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        self.addCleanup(dist.destroy_process_group)

    def training(self):
        training = unet.Training(0, self.work, unet.Settings(steps=8, processes=1, batch=2))
        training.load()
        return training

    def test_weights(self):
        whole = self.training()
        whole.run()
        (self.work / "unet.pt").unlink()
        cut = self.training()
        for _ in range(4):
            cut.train_step(cut.progress())
        cut.save()
        resumed = self.training()
        self.assertEqual(resumed.step, 4)
        resumed.run()
        self.assertEqual(resumed.step, 8)
        for name, value in whole.ema.state_dict().items():
            self.assertTrue(torch.equal(value, resumed.ema.state_dict()[name]), name)


if __name__ == "__main__":
    unittest.main()
