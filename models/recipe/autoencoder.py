"""Autoencoder: an AutoencoderKL whose encoder computes latents.py and whose decoder starts as nearest upsampling.

Both are written into the weights of a stock network by the same trick: every value travels as a pair of channels +v
and -v, because silu(v) - silu(-v) = v makes SiLU linear on the pair, and two constant channels +K and -K hold the scale
of GroupNorm, which they dominate. Residual branches are zero.
"""

import torch
from diffusers import AutoencoderKL
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import nn

from latents import CHANNELS, DETAILS, HAAR, SCALE, SIZE

PICTURE = 128  # px
WIDTHS = (16, 32, 32, 64)
GROUPS = 2


def new_model():
    depth = len(WIDTHS)
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * depth, up_block_types=["UpDecoderBlock2D"] * depth,
        block_out_channels=WIDTHS, layers_per_block=1, latent_channels=CHANNELS, norm_num_groups=GROUPS,
        sample_size=PICTURE, scaling_factor=SCALE, mid_block_add_attention=False,
    )
    set_encoder(vae)
    start_decoder(vae)
    return vae


@torch.no_grad()
def set_encoder(vae, k=16.):
    """Makes the mean of the encoder's posterior equal latents() (within .01), its log variance -8."""
    encoder = vae.encoder
    for p in encoder.parameters():
        p.zero_()
    for m in encoder.modules():
        if isinstance(m, nn.GroupNorm):
            m.weight.fill_(1)

    # conv_in: pairs of red, green, blue and the mixtures; then the constants.
    mixtures = [(1, 0, 0), (0, 1, 0), (0, 0, 1)] + sorted({mixture for mixture, _, _ in DETAILS})
    constant = 2 * len(mixtures)
    for i, mixture in enumerate(mixtures):
        for c in range(3):
            encoder.conv_in.weight[2 * i, c, 1, 1] = mixture[c]
            encoder.conv_in.weight[2 * i + 1, c, 1, 1] = -mixture[c]
    encoder.conv_in.bias[constant], encoder.conv_in.bias[constant + 1] = k, -k

    # All downsamplers but the last take block means; shortcuts that change the width keep the channels.
    *means, last = [m for m in encoder.modules() if isinstance(m, Downsample2D)]
    for m in means:
        for c in range(constant + 2):
            m.conv.weight[c, c, :2, :2] = .25
    for m in encoder.modules():
        if isinstance(m, ResnetBlock2D) and m.conv_shortcut is not None:
            for c in range(min(m.conv_shortcut.weight.shape[:2])):
                m.conv_shortcut.weight[c, c] = 1

    # The last one makes a pair for each latent: a mean or a detail. The groups of the last GroupNorm
    # each hold as many pairs as fit, and the constants at their end.
    group = encoder.conv_norm_out.num_channels // encoder.conv_norm_out.num_groups
    fit = (group - 2) // 2
    scale = (2 * k * k / group) ** .5  # what GroupNorm divides by
    sources = [(i, torch.full((2, 2), .25), 1.) for i in range(3)]
    sources += [(mixtures.index(mixture), torch.tensor(HAAR[detail]) / 4, gain) for mixture, detail, gain in DETAILS]
    for j, (source, taps, gain) in enumerate(sources):
        plus = j // fit * group + j % fit * 2
        last.conv.weight[plus, 2 * source, :2, :2] = taps
        last.conv.weight[plus + 1, 2 * source + 1, :2, :2] = taps
        encoder.conv_out.weight[j, plus, 1, 1] = scale * gain
        encoder.conv_out.weight[j, plus + 1, 1, 1] = -scale * gain
    for g in range((len(sources) - 1) // fit + 1):
        last.conv.weight[(g + 1) * group - 2, constant, :2, :2] = .25
        last.conv.weight[(g + 1) * group - 1, constant + 1, :2, :2] = .25

    set_identity(vae.quant_conv)
    vae.quant_conv.bias[CHANNELS:] = -8


@torch.no_grad()
def start_decoder(vae, k=4.):
    """Makes the decoder repeat each of the first three latents over its block; the other channels stay random."""
    decoder, kept = vae.decoder, 8  # pairs of red, green and blue; constants
    conv_in, conv_out = decoder.conv_in, decoder.conv_out
    conv_in.weight.mul_(.5)
    conv_in.weight[:kept] = 0
    conv_in.bias[:kept] = 0
    for i in range(3):
        conv_in.weight[i, i, 1, 1] = 1
        conv_in.weight[3 + i, i, 1, 1] = -1
    conv_in.bias[6], conv_in.bias[7] = k, -k

    def keep(conv):
        centre = conv.kernel_size[0] // 2
        conv.weight[:kept] = 0
        conv.bias[:kept] = 0
        for c in range(kept):
            conv.weight[c, c, centre, centre] = 1

    for m in decoder.modules():
        if isinstance(m, Upsample2D):
            keep(m.conv)
        if isinstance(m, ResnetBlock2D):
            m.conv2.weight.zero_()
            m.conv2.bias.zero_()
            if m.conv_shortcut is not None:
                keep(m.conv_shortcut)

    group = decoder.conv_norm_out.num_channels // decoder.conv_norm_out.num_groups
    scale = ((2 * k * k + 6 * .4 + max(0, group - kept) * .1) / group) ** .5  # what GroupNorm divides by, about
    conv_out.weight.mul_(.3)
    conv_out.bias.zero_()
    conv_out.weight[:3] = 0
    for i in range(3):
        conv_out.weight[i, i, 1, 1] = scale
        conv_out.weight[i, 3 + i, 1, 1] = -scale
    set_identity(vae.post_quant_conv)


def set_identity(conv):
    conv.weight.zero_()
    conv.bias.zero_()
    for c in range(conv.weight.shape[0]):
        conv.weight[c, c] = 1
