"""Writes golden.json: what torch.randn draws on a CPU (torch 2.9.1, AVX2).

Every case is one generator and several calls in a row. A float is kept as the
hexadecimal bits of its float32; calls for many numbers keep the first and last
32 and the CRC-32 of all of them (little endian).

    python golden.py > golden.json
"""

import json
import zlib

import torch

CASES = [
    (0, [4, 4, 16, 3, 17]),
    (1, [1, 1, 1, 16, 1, 15]),
    (42, [4096]),
    (42, [4, 1024, 5, 1000, 2]),
    (2**31, [15, 31, 100]),
    (2**32 - 1, [17, 16, 9]),
    (2**32 + 5, [100, 33]),
    (5, [100, 33]),
    (2**63 - 1, [16]),
    (2**64 - 1, [31, 7, 64]),
    (1234567890123, [4 * 64 * 64, 4 * 64 * 64, 3]),
]


def call(generator, n):
    numbers = torch.randn(n, generator=generator)
    bits = numbers.numpy().astype("<f4").tobytes()
    words = [bits[i : i + 4][::-1].hex() for i in range(0, len(bits), 4)]
    if n > 64:
        words = words[:32] + words[-32:]
    return {"n": n, "crc32": zlib.crc32(bits), "bits": " ".join(words)}


def main():
    cases = []
    for seed, sizes in CASES:
        generator = torch.Generator("cpu")
        # manual_seed takes the numbers of 2^63 and above as negative ones.
        generator.manual_seed(seed if seed < 2**63 else seed - 2**64)
        cases.append({"seed": seed, "calls": [call(generator, n) for n in sizes]})
    print(json.dumps(cases, indent=1))


main()
