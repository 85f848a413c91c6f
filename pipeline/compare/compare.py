"""Draws one batch with darkroom, with optimum on ONNX Runtime and with diffusers on torch.

    python compare.py FOLDER --model house --pictures 32
    python compare.py FOLDER --model sd15 --size 256 --steps 10 --pictures 6

Each is a process of its own, one at a time, on the same cores; rounds are
interleaved. Seconds are those from the loaded model to the last PNG on disk;
start-up, from the process's start to the loaded model, is apart. None of them
is warmed up: the first calls, which take the memory, are counted for each.
The minima's ratios are printed, and how far the pictures are apart.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LOADED = re.compile(r'^time=(\S+) .*msg="a part of a model is loaded"', re.MULTILINE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="where make_house.py and make_sd15.py have put models")
    parser.add_argument("--model", choices=["house", "sd15"], default="house")
    parser.add_argument("--size", type=int, help="pixels; left out: the model's")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--together", type=int, default=1, help="pictures of one call of optimum and diffusers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--darkroom", type=pathlib.Path, default=ROOT / "darkroom", help="left out: what `make darkroom` builds")
    parser.add_argument("--results", type=pathlib.Path, help="a file that adds up the rounds of several runs")
    arguments = parser.parse_args()
    jobs = batch(arguments)
    rounds = json.loads(arguments.results.read_text()) if arguments.results and arguments.results.exists() else []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            file = work / "batch.jsonl"
            file.write_text("".join(json.dumps(job) + "\n" for job in jobs))
            rounds.append({tool: TOOLS[tool](arguments, file, work / tool) for tool in arguments.tools})
            print(describe(rounds[-1]), flush=True)
            apart(work, arguments.tools)
        if arguments.results:
            arguments.results.write_text(json.dumps(rounds))
    summary(rounds, len(jobs))


def batch(arguments):
    """Jobs that differ in prompt and seed only, so that all three can draw them at their best."""
    size = arguments.size or {"house": 128, "sd15": 512}[arguments.model]
    guidance = {"house": 4, "sd15": 7.5}[arguments.model]
    colors, shapes = ["red", "blue", "yellow", "green", "white"], ["circle", "square", "star", "heart"]
    return [{
        "model": arguments.model, "prompt": f"a {colors[i % 5]} {shapes[i % 4]}", "seed": i,
        "width": size, "height": size, "steps": arguments.steps, "guidance_scale": guidance,
    } for i in range(arguments.pictures)]


def darkroom(arguments, file, out):
    command = [arguments.darkroom.resolve(), "render", file, "-o", out, "--verbose"]
    if arguments.model != "house":
        command += ["--models", arguments.folder / "onnx"]
    begin = time.time()
    log = run(command, arguments).stderr
    end = time.time()
    loaded = datetime.datetime.fromisoformat(LOADED.findall(log)[-1]).timestamp()
    return {"startup": loaded - begin, "seconds": end - loaded}


def other(tool):
    def draw(arguments, file, out):
        kind = {"optimum": "onnx", "diffusers": "torch"}[tool]
        folder = arguments.folder / kind / arguments.model
        if tool == "optimum" and arguments.model == "house":
            folder = ROOT / "models" / "house"
        begin = time.time()
        times = json.loads(run(
            [sys.executable, HERE / "draw.py", tool, folder, file, out, "--together", str(arguments.together)],
            arguments).stdout.splitlines()[-1])
        return {"startup": times["loaded"] - begin, "seconds": times["ended"] - times["loaded"]}
    return draw


TOOLS = {"darkroom": darkroom, "optimum": other("optimum"), "diffusers": other("diffusers")}


def run(command, arguments):
    """All cores are there for each: nobody's threads are limited."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run([str(c) for c in command], env=environment, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stderr}")
    return done


def apart(work, tools):
    """Prints how far the tools' pictures are from the first tool's, in steps of 255."""
    pictures = {}
    for tool in tools:
        files = sorted((work / tool).rglob("*.png"))
        pictures[tool] = [np.asarray(Image.open(f).convert("RGB")).astype(int) for f in files]
    first = pictures[tools[0]]
    for tool in tools[1:]:
        if len(pictures[tool]) != len(first):
            sys.exit(f"{tool} drew {len(pictures[tool])} pictures, {tools[0]} {len(first)}")
        differences = [abs(a - b) for a, b in zip(first, pictures[tool])]
        print(f"  {tool}: the pictures are at most {max(d.max() for d in differences)} of 255 from {tools[0]}'s, "
              f"{statistics.mean(d.mean() for d in differences):.3f} in the mean")


def describe(results):
    return "  ".join(f"{tool}: {r['seconds']:.2f} s (start-up {r['startup']:.2f} s)" for tool, r in results.items())


def summary(rounds, pictures):
    tools = list(rounds[0])
    least = lambda tool, key: min(r[tool][key] for r in rounds)
    print(f"\n{pictures} pictures, minima of {len(rounds)} rounds")
    for tool in tools:
        ratio = least(tool, "seconds") / least(tools[0], "seconds")
        print(f"{tool:10} {pictures / least(tool, 'seconds'):8.3f} pictures a second, "
              f"start-up {least(tool, 'startup'):6.2f} s, {tools[0]} is {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
