"""Trains the models beside the base, exports and checks them: python further.py [NAME ...]

Each starts from the base in models/house. A training that was cut off goes on from its state under --work; one that is
done is only exported and checked again.
"""

import argparse
import pathlib

import checks
import edges
import export
import inpainting
import inversion
import styles
import upscaler
from heldout import REPOSITORY
from train import STATE


def style(name):
    def make(work, out):
        trained = styles.train(work, name)
        styles.export(out / f"house-{name}.safetensors", name, trained)
        checks.check_style(work, name, trained.parts)
    return make


def gem(work, out):
    parts, vectors = inversion.train(work)
    inversion.export(out / "house-gem.safetensors", vectors)
    checks.check_gem(work, parts)


def upscale(work, out):
    model = upscaler.train(work)
    export.export_upscaler(model, out / "house-upscale")
    checks.check_upscale(work, model)


def lead_by_edges(work, out):
    parts, control = edges.train(work)
    export.export_controlnet(control, out / "house-edges")
    checks.check_edges(work, parts, control)


def inpaint(work, out):
    parts, model = inpainting.train(work)
    export.export_inpainting(model, out / "house-inpaint", inpainting.GUIDANCE)
    checks.check_inpaint(work, parts, model)


MODELS = {
    "outline": style("outline"), "sepia": style("sepia"), "gem": gem, "upscale": upscale, "edges": lead_by_edges,
    "inpaint": inpaint,
}


def main():
    parser = argparse.ArgumentParser(
        description="Trains the models beside the base, exports and checks them.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(MODELS), help=f"of {', '.join(MODELS)}")
    parser.add_argument("--work", type=pathlib.Path, default=STATE / "darkroom-recipe", help="folder of states and checks")
    parser.add_argument("--out", type=pathlib.Path, default=REPOSITORY / "models", help="folder of the models")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in MODELS]
    if unknown:
        parser.error(f"no model {unknown[0]!r}: there are {', '.join(MODELS)}")
    args.work.mkdir(parents=True, exist_ok=True)
    for name in args.names:
        MODELS[name](args.work, args.out)


if __name__ == "__main__":
    main()
