"""The A1111 web UI's prompt syntax, for make_goldens.py.

Written from a description of the web UI's algorithm at its default settings,
apart from darkroom's code: the prompt is read character by character, and the
text encoder is transformers'.
"""

import re

import torch

ROOM = 75
BACKTRACK = 20


def weights(prompt):
    """The prompt as (text, weight) pieces, None for a break."""
    pieces, opened, i, text = [], [], 0, ""

    def flush():
        nonlocal text
        for n, part in enumerate(re.split(r"\s*\bBREAK\b\s*", text)):
            if n:
                pieces.append(None)
            if part:
                pieces.append([part, 1.0])
        text = ""

    def close(kind, factor):  # the two kinds of brackets know nothing of each other
        last = max(n for n, (k, _) in enumerate(opened) if k == kind)
        _, start = opened.pop(last)
        for piece in pieces[start:]:
            if piece:
                piece[1] *= factor

    while i < len(prompt):
        c = prompt[i]
        if c == "\\" and i + 1 < len(prompt) and prompt[i + 1] in "()[]\\":
            text += prompt[i + 1]
            i += 2
            continue
        if c == "\\":
            i += 1
            continue
        number = re.match(r":\s*([+-]?[.\d]+)\s*\)", prompt[i:])
        kinds = [kind for kind, _ in opened]
        if c in "([":
            flush()
            opened.append((c, len(pieces)))
        elif number and "(" in kinds:
            flush()
            close("(", float(number[1]))
            i += number.end() - 1
        elif c == ")" and "(" in kinds:
            flush()
            close("(", 1.1)
        elif c == "]" and "[" in kinds:
            flush()
            close("[", 1 / 1.1)
        else:
            text += c
        i += 1
    flush()
    while opened:
        close(opened[-1][0], 1.1 if opened[-1][0] == "(" else 1 / 1.1)
    joined = []
    for piece in pieces:
        if piece and joined and joined[-1] and joined[-1][1] == piece[1]:
            joined[-1][0] += piece[0]
        else:
            joined.append(piece)
    return joined


def chunks(tokenizer, prompt):
    """Lists of (id, weight)."""
    comma = tokenizer.get_vocab().get(",</w>")
    done, chunk = [], []
    for piece in weights(prompt):
        if piece is None:
            done.append(chunk)
            chunk = []
            continue
        for token in tokenizer(piece[0], add_special_tokens=False, truncation=False)["input_ids"]:
            if len(chunk) == ROOM:
                commas = [i for i, (seen, _) in enumerate(chunk) if seen == comma]
                if token != comma and commas and ROOM - commas[-1] <= BACKTRACK:
                    done.append(chunk[: commas[-1] + 1])
                    chunk = chunk[commas[-1] + 1:]
                else:
                    done.append(chunk)
                    chunk = []
            chunk.append((token, piece[1]))
    return done + [chunk] if chunk or not done else done


def embed(pipe, prompt, least=1):
    """[1, 77 chunks, width], and the number of chunks."""
    tokenizer, states = pipe.tokenizer, []
    lists = chunks(tokenizer, prompt)
    for chunk in lists + [[]] * (least - len(lists)):
        ids = [tokenizer.bos_token_id] + [token for token, _ in chunk] + [tokenizer.eos_token_id]
        ids += [tokenizer.pad_token_id] * (ROOM + 2 - len(ids))
        factors = torch.tensor([1.0] + [weight for _, weight in chunk] + [1.0] * (ROOM + 1 - len(chunk)))
        with torch.no_grad():
            z = pipe.text_encoder(torch.tensor([ids]))[0]
        mean = z.mean()
        z = z * factors[None, :, None]
        states.append(z * (mean / z.mean()))
    return torch.cat(states, dim=1), len(states)


def embeddings(pipe, prompt, negative):
    least = max(embed(pipe, prompt)[1], embed(pipe, negative)[1])
    return dict(prompt_embeds=embed(pipe, prompt, least)[0], negative_prompt_embeds=embed(pipe, negative, least)[0])
