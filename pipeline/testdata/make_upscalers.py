"""Makes tiny super-resolution networks with random weights, and what they make of a picture.

    python make_upscalers.py

writes upscalers/NAME/model.onnx, a graph by itself as those are published that
were exported of ESRGAN and its like, and enlarged/NAME.png, inputs/picture.png as
torch enlarges it in one piece. Graphs that no picture can be enlarged with have
none. Needs what make_models.py needs, and inputs/picture.png of make_edits.py.
"""

import shutil

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from make_models import HERE, export

WIDTH = 8


class Dense(nn.Module):
    """A block of ESRGAN (Wang et al., arXiv 1809.00219), smaller."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(WIDTH, 4, 3, padding=1)
        self.second = nn.Conv2d(WIDTH + 4, WIDTH, 3, padding=1)

    def forward(self, x):
        y = F.leaky_relu(self.first(x), .2)
        return x + .5 * self.second(torch.cat([x, y], 1))


class ESRGAN(nn.Module):
    """Four times as wide: enlarged between convolutions. With shuffle, the
    picture is folded to half its size first, as Real-ESRGAN's x2 does."""

    def __init__(self, blocks=3, shuffle=1):
        super().__init__()
        self.shuffle = shuffle
        self.head = nn.Conv2d(3 * shuffle**2, WIDTH, 3, padding=1)
        self.body = nn.Sequential(*(Dense() for _ in range(blocks)))
        self.up = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(2))
        self.tail = nn.Conv2d(WIDTH, 3, 3, padding=1)

    def forward(self, x):
        base = F.interpolate(x, scale_factor=4 / self.shuffle)
        x = self.head(F.pixel_unshuffle(x, self.shuffle) if self.shuffle > 1 else x)
        x = x + self.body(x)
        for conv in self.up:
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2)), .2)
        return base + .3 * self.tail(x)


class SubPixel(nn.Module):
    """Three times as wide, of the brightness alone (Shi et al., arXiv 1609.05158)."""

    def __init__(self):
        super().__init__()
        self.convs = nn.Sequential(nn.Conv2d(1, WIDTH, 5, padding=2), nn.ReLU(), nn.Conv2d(WIDTH, 9, 3, padding=1))

    def forward(self, x):
        return F.interpolate(x, scale_factor=3) + .3 * F.pixel_shuffle(self.convs(x), 3)


class Attentive(nn.Module):
    """Twice as wide; each channel is weighed by the whole picture's mean, so that
    each pixel sees all of them."""

    def __init__(self):
        super().__init__()
        self.conv, self.gate = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 12, 1)

    def forward(self, x):
        y = self.conv(x)
        y = y * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)))
        return F.interpolate(x, scale_factor=2) + .3 * F.pixel_shuffle(y, 2)


class Windows(nn.Module):
    """Twice as wide; each pixel sees its window of 8x8 pixels, as in Swin's like."""

    def __init__(self):
        super().__init__()
        self.conv, self.mix = nn.Conv2d(3, 12, 3, padding=1), nn.Linear(64, 64)

    def forward(self, x):
        y = self.conv(x)
        n, c, h, w = y.shape
        y = y.view(n, c, h // 8, 8, w // 8, 8).permute(0, 1, 2, 4, 3, 5).reshape(n, c, h // 8, w // 8, 64)
        y = self.mix(y).view(n, c, h // 8, w // 8, 8, 8).permute(0, 1, 2, 4, 3, 5).reshape(n, c, h, w)
        return F.interpolate(x, scale_factor=2) + .3 * F.pixel_shuffle(y, 2)


class Valid(nn.Module):
    """Twice as wide, less a rim of two pixels."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3)

    def forward(self, x):
        return F.pixel_shuffle(self.conv(x), 2)


class Two(nn.Module):
    def forward(self, x, sigma):
        return F.interpolate(x, scale_factor=2) * sigma


class Broken(nn.Module):
    """Makes infinities of what is white."""

    def forward(self, x):
        return 1 / F.interpolate(1 - x, scale_factor=2)


def seeded(kind, **options):
    torch.manual_seed(41)
    return kind(**options).eval()


def write(name, module, example, axes, inputs=("image.1",), dtype=torch.float32):
    example = tuple(e.to(dtype) for e in example)
    path = HERE / f"upscalers/{name}/model.onnx"
    export(module.to(dtype), example, path, list(inputs), ["output.9"], axes, anonymous=True)
    onnx.checker.check_model(str(path))


@torch.no_grad()
def draw(name, module, multiple=1, size=0):
    """Enlarges the picture, which is first given sides that the network takes."""
    picture = Image.open(HERE / "inputs/picture.png").convert("RGB")
    gray = isinstance(module, SubPixel)
    x = pixels(picture)
    height, width = x.shape[2:]
    padding = [(size or -(-side // multiple) * multiple) - side for side in (width, height)]
    x = F.pad(x, (0, padding[0], 0, padding[1]), mode="replicate")
    large = module.float()(brightness(x) if gray else x).clamp(0, 1)
    scale = large.shape[-1] // x.shape[-1]
    if gray:
        blurred = pixels(picture.resize((width * scale, height * scale), Image.Resampling.BICUBIC))
        large = (blurred + large - brightness(blurred)).clamp(0, 1)
    large = (large[0, :, : height * scale, : width * scale] * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(large).save(HERE / f"enlarged/{name}.png", optimize=True)


def pixels(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


def brightness(x):
    return torch.einsum("nchw,c->nhw", x, torch.tensor([.299, .587, .114]))[:, None]


def main():
    for folder in ("upscalers", "enlarged"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
    (HERE / "enlarged").mkdir()
    open_sizes = {"image.1": {0: "n", 2: "h", 3: "w"}, "output.9": {0: "n", 2: "H", 3: "W"}}
    color, gray = torch.rand(1, 3, 32, 32), torch.rand(1, 1, 32, 32)
    write("esrgan", seeded(ESRGAN), (color,), open_sizes)
    draw("esrgan", seeded(ESRGAN))
    write("half", seeded(ESRGAN), (color,), open_sizes, dtype=torch.float16)
    draw("half", seeded(ESRGAN))
    write("fixed", seeded(ESRGAN), (torch.rand(1, 3, 64, 64),), {})
    draw("fixed", seeded(ESRGAN), size=64)
    write("folding", seeded(ESRGAN, shuffle=2), (color,), open_sizes)
    draw("folding", seeded(ESRGAN, shuffle=2), multiple=2)
    write("gray", seeded(SubPixel), (gray,), open_sizes)
    draw("gray", seeded(SubPixel))
    write("attentive", seeded(Attentive), (color,), open_sizes)
    draw("attentive", seeded(Attentive))
    write("windows", seeded(Windows), (color,), open_sizes)
    draw("windows", seeded(Windows), multiple=8)
    write("valid", seeded(Valid), (color,), open_sizes)
    write("two", Two(), (color, torch.rand(1)), open_sizes, inputs=("image.1", "sigma"))
    write("broken", Broken(), (color,), open_sizes)


if __name__ == "__main__":
    main()
