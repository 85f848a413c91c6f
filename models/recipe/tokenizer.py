"""Tokenizer: byte-pair merges that make each word of the captions one token, in the files of CLIP's tokenizer."""

import collections
import json
import random
import re

from transformers import CLIPTokenizer

from captions import caption
from scenes import random_scene

MAX_LENGTH = 32  # tokens of a prompt, with start and end; the longest caption has 27
START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = 226


def byte_alphabet():
    """Byte values as printable characters, in the order of CLIP's vocabulary (that of GPT-2's byte-level BPE)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(hidden)}


def count_words(captions):
    return collections.Counter(w for c in captions for w in re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]+", c))


def learn_merges(counts):
    """Merges of the most frequent pairs (Sennrich et al. 2016, arXiv:1508.07909), ties by the pair's spelling."""
    alphabet = byte_alphabet()
    pieces = {w: [alphabet[b] for b in w.encode()] for w in counts}
    for parts in pieces.values():
        parts[-1] += "</w>"
    merges = []
    while len(merges) < MERGES:
        pairs = collections.Counter()
        for word, parts in pieces.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word, parts in pieces.items():
            pieces[word] = merge(parts, best)
    return merges


def merge(parts, pair):
    out = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return out


def write(folder, captions):
    merges = learn_merges(count_words(captions))
    alphabet = list(byte_alphabet().values())
    tokens = alphabet + [c + "</w>" for c in alphabet] + ["".join(pair) for pair in merges] + [START, END]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "vocab.json", {token: i for i, token in enumerate(tokens)})
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    write_json(folder / "special_tokens_map.json", special)
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "CLIPTokenizer", "model_max_length": MAX_LENGTH, "do_lower_case": True,
        "add_prefix_space": False, "errors": "replace", **special,
    })


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def make(folder):
    rng = random.Random(3)
    write(folder, [caption(rng, random_scene(rng)) for _ in range(8000)])


def encode(tokenizer, captions):
    """Token ids, a list of MAX_LENGTH for each caption."""
    return tokenizer(captions, padding="max_length", max_length=MAX_LENGTH, truncation=True).input_ids


def load(folder):
    return CLIPTokenizer.from_pretrained(folder)
