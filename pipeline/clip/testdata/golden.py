"""Makes this folder's vocabulary, and the ids that transformers' slow CLIPTokenizer gives to prompts.

    pip install transformers==4.57.6    # and no ftfy
    python golden.py                    # writes vocab.json, merges.txt, */ and golden.json here

The vocabulary is trained on the prompts, so that they meet merges of every length. It is deterministic.
Python's own Unicode tables class the characters: none of the prompts holds one that is newer than Unicode 14.
"""

import collections
import importlib.util
import json
import pathlib
import random
import tempfile
import unicodedata

import regex
from transformers import CLIPTokenizer

HERE = pathlib.Path(__file__).parent
START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = 900

# Folders of the same vocabulary, with what their files say of special tokens.
FOLDERS = {
    "clip": {  # as Stable Diffusion 1.5 has it
        "tokenizer_config.json": {
            "model_max_length": 77, "do_lower_case": True, "tokenizer_class": "CLIPTokenizer",
            "bos_token": {"__type": "AddedToken", "content": START, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False},
            "eos_token": {"__type": "AddedToken", "content": END, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False},
            "unk_token": {"__type": "AddedToken", "content": END, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False},
            "pad_token": END},
        "special_tokens_map.json": {
            "bos_token": {"content": START, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False},
            "eos_token": {"content": END, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False},
            "pad_token": END, "unk_token": END}},
    "pad": {  # as Stable Diffusion 2 has it: "!" is padding, and so a token wherever it stands
        "tokenizer_config.json": {"model_max_length": 32, "pad_token": END},
        "special_tokens_map.json": {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": "!"}},
    "decoder": {  # as newer transformers save it: the map's padding doesn't count
        "tokenizer_config.json": {
            "model_max_length": 20, "bos_token": START, "eos_token": END, "unk_token": END, "pad_token": "!",
            "added_tokens_decoder": {
                "0": {"content": "!", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True},
                "3000": {"content": "<left>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False, "special": False},
                "3001": {"content": "<right>", "lstrip": False, "normalized": False, "rstrip": True, "single_word": False, "special": False},
                "3002": {"content": "Word", "lstrip": False, "normalized": False, "rstrip": False, "single_word": True, "special": False},
                "3003": {"content": "Words", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": False}}},
        "special_tokens_map.json": {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": "?"}},
    "added": {  # as older transformers save it; <new> and <mask> are in no vocabulary
        "tokenizer_config.json": {"model_max_length": 20},
        "special_tokens_map.json": {"bos_token": START, "eos_token": END, "unk_token": END, "additional_special_tokens": ["<extra>", "red", "<new>"]},
        "added_tokens.json": {"<cat-toy>": 2500, "<mask>": 2501}},
    "bare": {},  # two files and no more
}

PROMPTS = """
a photo of an astronaut riding a horse on the moon
A small red circle to the left of a large blue square, on a yellow background.
masterpiece, best quality, (ultra-detailed:1.3), 8k uhd, trending on artstation
it's the cat's pyjamas; they're what we've wanted, I'm sure he'll say he'd gone, don't you?
IT'S THE CAT'S PYJAMAS; THEY'RE WHAT WE'VE WANTED, I'M SURE HE'LL SAY HE'D GONE, DON'T YOU?
it’s curly: they’re, we’ve; rock'n'roll, 'tis, ''s, 'sss, '', ' s, x's', o'clock, 'REally, 'Ll, 'Dx
'ſ it'ſ a long s, 'ſtuff, <|ſtartoftext|>, the K (kelvin) and Å (angstrom), a dotless ı, ſ
1girl, 2girls, 3.14159, 1,000,000, 1/2, 50%, 100€, v1.5, mp3, x2x3, 007, ½ ¼ ² ³ ① Ⅷ ٣ 四
snake_case kebab-case CamelCase path/to/file.png a@b.org https://example.org/?q=1&r=2#s
[from:to:0.5] {a|b|c} <lora:name:0.8> (((emphasis))) [[less]] \\(escaped\\) __wild__ $var %d ~tilde~ `tick`
"quoted" “curly” ‘single’ «guillemets» „low“ – en — em … ellipsis • bullet · middle
café naïve résumé façade Ångström São Paulo Zürich Łódź Kraków Đà Nẵng İstanbul Ğ ş ı Iğdır İİ
CAFÉ NAÏVE RÉSUMÉ FAÇADE ÅNGSTRÖM SÃO ZÜRICH ŁÓDŹ STRASSE straße ẞ ﬁ ﬂ ﬀ Ǆ ǅ ǆ
cafe\u0301 na\u0131\u0308ve A\u030angstro\u0308m a\u0323\u0302 a\u0302\u0323 \u1e69 s\u0323\u0307 q\u0307\u0323 \u0344 \u0958
Ὀδυσσεύς ΟΔΥΣΣΕΥΣ Σ ΣΑΣ ΑΣ. ΑΣ'Α ΑΣ\u0301 Α\u0301Σ ΑΣ:Β ΑΣ1 1Σ ΣΣ ΑΣ-ΑΣ Σ' 'Σ ΑΣ_ ⅢΣ ªΣ ᾳ α\u0345 1\u0345 \u02de\u0345\u0257
Привет, мир! ЁЛКА ёлка Ёлка ЩУКА їжак Ґанок Ђорђе
\u1c90\u10d0 \u10a0 \u13a0\uab70 \u2c00 \U00010400 \U0001e900 ꙮ \u1e9e \u0130\u0307 \u03f4 \u2126
东京塔 at night, 猫が好き カタカナ ひらがな ｶﾀｶﾅ 한국어 漢字とkana 北京abc def中 㐀 𠀀 𪜀 𫝀 𫠠 豈 丽 〇 々 ー 龥 \u9fff \u4dbf
ภาพถ่ายของแมว สวัสดีครับ नमस्ते दुनिया হ্যালো தமிழ் ಕನ್ನಡ ქართული հայերեն አማርኛ ខ្មែរ བོད་ မြန်မာ
صورة قطة مُحَمَّد ١٢٣ فارسی می\u200cخواهم שלום עולם שָׁלוֹם \u202bمرحبا\u202c \u200f
\U0001f600 \U0001f431\u200d\U0001f464 \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea \u2764\ufe0f \u2764 \U0001f3f3\ufe0f\u200d\U0001f308 #\ufe0f\u20e3 a\U0001f600b\U0001f6001
tabs\tand\nnewlines\r\nand\vvertical\ffeeds, a\u00a0no-break\u2003em\u3000ideographic\u2028line\u2029paragraph\u0085next\u1680ogham\u202fnarrow
zero\u200bwidth\u200cnon\u200djoiner\u2060word\ufeffbom\u00adsoft\u180emongol\u061cmark\u034fjoiner\u115ffiller\u3164x\u2800braille
nul\x00bell\x07esc\x1b[31mdel\x7f c1\x80\x9f\ufffd private\ue000\U000f0000 nonchar\uffff unit\x1fsep\x1c
mixed—dashes–and-hyphens‐‑‒―−, ×÷±≠≤≥∞∑√∫ αβγ ℃ ℉ № ™ © ® ℝ ℵ ⁵ ₂ ½
<|startoftext|> a cat <|endoftext|>
a<|endoftext|>b <|STARTOFTEXT|>c <|startoftext|> <|startoftext|><|endoftext|> <| startoftext |> <|endoftext|
<|endoftext|>'s '<|startoftext|> <<|endoftext|>> <|EndOfText|>s
what! wow!! no !yes ! !!! a!b (!) !?
x <left> y <right> z, x<left>y<right>z, <left><right>, <right>  two, one  <left>, <LEFT>
Word Words Wordsmith aWord Word, Word word WORD (Word) Word Word WordWord Words!
a <cat-toy> on <extra> red bored red, Red <mask> <new> <cat-toy><cat-toy> <CAT-TOY> re<extra>d
supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
abababababababababababababababababababababababababababababababababababababababababababababababababababab
"""


def prompts():
    listed = [line.encode("ascii", "backslashreplace").decode("unicode_escape") if "\\u" in line or "\\U" in line or "\\x" in line or "\\t" in line else line
              for line in PROMPTS.strip("\n").split("\n")]
    spaces = ["", " ", "   ", "\n", "\t\t", "\u3000", "\x00", "\u200d", "\u0301", " \u0301 x", "  leading and trailing  ", "a", "!", "'", "é", "\u4e2d"]
    long = [" ".join(["word"] * n) for n in (10, 17, 18, 19, 29, 30, 31, 74, 75, 76, 77, 200)]
    long += ["a red circle, a blue square, " * 12, "ab" * 400, "na\u0308" * 60, "中" * 100, "1" * 90, "x" * 49 + " " + "ab" * 30]
    marks = ["a" + "\u0301" * n for n in (29, 30, 31, 32, 65)]
    marks += ["a" + "\u0323\u0301" * 20 + "b", "e" + "\u0301\u0323\u034f\u0302" * 9, "\u0301" * 40 + "x", "\u1100\u1161\u11a8" + "\u0301" * 33, "o\u034f\u0302"]
    return list(dict.fromkeys(listed + spaces + long + marks + list(mixed(random.Random(20)))))


def mixed(rng, count=150):
    """Prompts of random pieces: words of the list, and characters of any script and class."""
    words = [w for line in PROMPTS.split("\n") for w in line.split(" ") if w and "\\" not in w]
    blocks = [(0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xE7F), (0x10A0, 0x11FF), (0x1E00, 0x20CF),
              (0x2100, 0x27BF), (0x3000, 0x30FF), (0x4E00, 0x4EFF), (0xA640, 0xA69F), (0xAC00, 0xACFF), (0xF900, 0xFAFF), (0xFB00, 0xFB4F),
              (0xFE00, 0xFFEF), (0x10400, 0x1044F), (0x1D400, 0x1D4FF), (0x1F300, 0x1F6FF), (0x20000, 0x200FF), (0x0, 0x1F)]
    for _ in range(count):
        pieces = []
        for _ in range(rng.randint(1, 12)):
            kind = rng.random()
            if kind < 0.35:
                pieces.append(rng.choice(words))
            elif kind < 0.5:
                pieces.append(rng.choice(["'s", "'RE", " ", "  ", "!", "<|endoftext|>", "Σ", "İ", "\u0301", "\u0323", "\u200d", "\ufe0f", "中", "9", ","]))
            else:
                low, high = rng.choice(blocks)
                pieces.extend(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 4)))
            pieces.append(rng.choice(["", " "]))
        yield "".join(c for c in pieces if all(unicodedata.category(x) != "Cn" for x in c))


def alphabet():
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(hidden)}


def train(texts):
    """Merges of the most frequent pairs, ties by their spelling."""
    letters = alphabet()
    counts = collections.Counter()
    for text in texts:
        counts.update(regex.findall(r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+", unicodedata.normalize("NFC", text).lower()))
    words = {w: [letters[b] for b in w.encode()] for w in counts}
    for parts in words.values():
        parts[-1] += "</w>"
    merges = []
    while len(merges) < MERGES:
        pairs = collections.Counter()
        for word, parts in words.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += counts[word]
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word, parts in words.items():
            merged = []
            for part in parts:
                if merged and (merged[-1], part) == best:
                    merged[-1] += part
                else:
                    merged.append(part)
            words[word] = merged
    return merges


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main():
    assert importlib.util.find_spec("ftfy") is None, "with ftfy it is another tokenizer"
    texts = prompts()
    merges = train(texts)
    letters = list(alphabet().values())
    tokens = letters + [c + "</w>" for c in letters] + list(dict.fromkeys(a + b for a, b in merges))
    # Some merges' results are in no vocabulary, and so unknown.
    tokens = [t for i, t in enumerate(tokens) if i < 512 or i % 50] + [START, END]
    (HERE / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}, ensure_ascii=False), encoding="utf-8")
    (HERE / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), encoding="utf-8")

    golden = {}
    for name, files in FOLDERS.items():
        (HERE / name).mkdir(exist_ok=True)
        for file, content in files.items():
            write(HERE / name / file, content)
        with tempfile.TemporaryDirectory() as folder:
            for file in [HERE / "vocab.json", HERE / "merges.txt", *(HERE / name).iterdir()]:
                (pathlib.Path(folder) / file.name).write_bytes(file.read_bytes())
            tokenizer = CLIPTokenizer.from_pretrained(folder)
        length = tokenizer.model_max_length if tokenizer.model_max_length < 1e20 else 77
        chosen = texts if name == "clip" else texts[:40] + texts[-30:]
        golden[name] = [
            {"text": t, "ids": trimmed(tokenizer(t, padding="max_length", max_length=length, truncation=True).input_ids),
             "length": length, "tokens": len(tokenizer(t, add_special_tokens=False).input_ids)} for t in chosen]
    lines = ",\n".join(f"{json.dumps(name)}: [\n" + ",\n".join(map(compact, cases)) + "]" for name, cases in golden.items())
    (HERE / "golden.json").write_text("{" + lines + "}\n", encoding="utf-8")


def compact(case):
    return json.dumps(case, ensure_ascii=False, separators=(",", ":"))


def trimmed(ids):
    """Leaves out what repeats the last id: padding."""
    end = len(ids)
    while end > 1 and ids[end - 2] == ids[-1]:
        end -= 1
    return ids[:end]


if __name__ == "__main__":
    main()
