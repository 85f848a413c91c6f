"""Makes LoRAs and embeddings for sd/ and variants/xl, and draws adapted/*.png with diffusers.

    python make_adapters.py

writes adapters/*.safetensors in the spellings that kohya's scripts, diffusers and
the A1111 web UI give them, with random weights, and graphs that other
exporters would have written: variants/dynamo, a UNet as PyTorch's newer exporter
names its nodes, variants/named and variants/half-named, with the layers' names in
the nodes' and weights in a file beside the graph or of half precision, and
variants/argmax, a second text encoder that looks for the end of a text as older
configurations do. adapted.json says which pictures are drawn:
fields of a job, under the name of its picture. Needs what make_models.py needs,
and peft 0.18, accelerate and onnxscript.
"""

import json
import re
import shutil

import numpy as np
import onnx
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import make_families
import make_goldens
import make_models
from make_models import HERE, TOKENS

ADAPTERS = HERE / "adapters"
LAYERS = re.compile(r"\.(to_q|to_k|to_v|to_out\.0|proj_in|proj_out|net\.0\.proj|net\.2|conv1|conv_shortcut|time_emb_proj|q_proj|v_proj|out_proj|fc1|fc2)$")


def layers(model, rank, strength):
    """Random factors for the layers of a model: name -> (down, up)."""
    found = {}
    for name, module in model.named_modules():
        if not LAYERS.search(name) or not hasattr(module, "weight"):
            continue
        weight = module.weight
        out, inner, kernel = weight.shape[0], weight.shape[1], weight.shape[2:]
        down = torch.randn(rank, inner, *kernel) / weight[0].numel() ** .5
        up = torch.randn(out, rank, *(1 for _ in kernel)) * strength
        found[name] = (down, up)
    return found


def kohya(prefix, factors, alpha, spell=lambda name: name):
    tensors = {}
    for name, (down, up) in factors.items():
        key = prefix + spell(name).replace(".", "_")
        tensors[key + ".lora_down.weight"], tensors[key + ".lora_up.weight"] = down.half(), up.half()
        tensors[key + ".alpha"] = torch.tensor(alpha).half()
    return tensors


def peft(part, factors):
    tensors = {}
    for name, (down, up) in factors.items():
        tensors[f"{part}.{name}.lora_A.weight"], tensors[f"{part}.{name}.lora_B.weight"] = down, up
    return tensors


def stability(name):
    """A layer of variants/xl's UNet as Stability AI's code, and so kohya's scripts, would call it."""
    for old, new in (("conv1", "in_layers.2"), ("time_emb_proj", "emb_layers.1"), ("conv_shortcut", "skip_connection")):
        name = re.sub(rf"(resnets\.\d+)\.{old}$", rf"\1.{new}", name)
    if m := re.match(r"down_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.*)", name):
        level, kind, layer, rest = m.groups()
        return f"input_blocks.{int(level) * 2 + int(layer) + 1}.{int(kind == 'attentions')}.{rest}"
    if m := re.match(r"up_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.*)", name):
        level, kind, layer, rest = m.groups()
        return f"output_blocks.{int(level) * 2 + int(layer)}.{int(kind == 'attentions')}.{rest}"
    m = re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", name)
    kind, layer, rest = m.groups()
    return f"middle_block.{1 if kind == 'attentions' else 2 * int(layer)}.{rest}"


def make():
    shutil.rmtree(ADAPTERS, ignore_errors=True)
    ADAPTERS.mkdir()
    text, unet = make_models.text_encoder(), make_models.unet()
    first, second, net = make_families.xl()
    torch.manual_seed(31)
    save_file(kohya("lora_unet_", layers(unet, 4, .6), 2.) | kohya("lora_te_", layers(text, 2, .6), 1.), ADAPTERS / "kohya.safetensors")
    save_file(peft("unet", layers(unet, 2, .3)) | peft("text_encoder", layers(text, 2, .3)), ADAPTERS / "peft.safetensors")
    save_file(kohya("lora_unet_", layers(net, 4, .6), 2., stability) | kohya("lora_te1_", layers(first, 2, .6), 1.)
              | kohya("lora_te2_", layers(second, 2, .6), 1.), ADAPTERS / "kohya-xl.safetensors")
    save_file(peft("unet", layers(net, 2, .3)) | peft("text_encoder", layers(first, 2, .3)) | peft("text_encoder_2", layers(second, 2, .3)),
              ADAPTERS / "peft-xl.safetensors")
    save_file({"<cat>": torch.randn(16)}, ADAPTERS / "cat.safetensors")
    save_file({"<crowd>": torch.randn(3, 16)}, ADAPTERS / "crowd.safetensors")
    save_file({"emb_params": torch.randn(2, 16)}, ADAPTERS / "webui-style.safetensors")
    save_file({"clip_l": torch.randn(2, 16), "clip_g": torch.randn(2, 24)}, ADAPTERS / "pair-xl.safetensors")
    red = make_models.vocabulary()["red</w>"]
    rows = [model.text_model.embeddings.token_embedding.weight[red:red + 1].detach().clone() for model in (first, second)]
    save_file({"clip_l": rows[0], "clip_g": rows[1]}, ADAPTERS / "crimson-xl.safetensors")


def export():
    for name in ("dynamo", "named", "half-named", "argmax"):
        shutil.rmtree(HERE / "variants" / name, ignore_errors=True)
    path = HERE / "variants/dynamo/unet/model.onnx"
    path.parent.mkdir(parents=True)
    torch.onnx.export(make_models.UNet(make_models.unet()), (torch.randn(2, 4, 8, 8), torch.ones(2), torch.randn(2, TOKENS, 16)), str(path),
                      input_names=["sample", "timestep", "encoder_hidden_states"], output_names=["out_sample"], dynamo=True, external_data=False,
                      dynamic_shapes=({0: "b"}, {0: "b"}, {0: "b"}))
    model = onnx.load(str(path))
    model.doc_string = model.graph.doc_string = ""
    del model.metadata_props[:], model.graph.metadata_props[:], model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
        kept = [p for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes" and node.op_type in ("MatMul", "Gemm", "Conv")]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    onnx.save(model, str(path))

    scalar = torch.tensor(1.0)
    make_models.export_unet(make_models.unet(), HERE / "variants/named/unet/model.onnx", scalar, external=True, anonymous=False)
    make_models.export_unet(make_models.unet(), HERE / "variants/half-named/unet/model.onnx", scalar.half(), dtype=torch.float16, anonymous=False)

    _, second, _ = make_families.xl()
    second.config.eos_token_id = second.text_model.eos_token_id = 2
    make_families.export_hidden_states(second, HERE / "variants/argmax/text_encoder_2", "text_embeds")


def adapt(pipe, job):
    names = []
    for lora in job.get("loras", []):
        names.append(lora["name"])
        pipe.load_lora_weights(load_file(ADAPTERS / f"{lora['name']}.safetensors"), adapter_name=names[-1])
    if names:
        pipe.set_adapters(names, [lora.get("scale", 1.) for lora in job["loras"]])
    for name in job.get("embeddings", []):
        tensors = load_file(ADAPTERS / f"{name}.safetensors")
        if "clip_g" in tensors:
            pipe.load_textual_inversion(tensors["clip_l"], token=name, text_encoder=pipe.text_encoder, tokenizer=pipe.tokenizer)
            pipe.load_textual_inversion(tensors["clip_g"], token=name, text_encoder=pipe.text_encoder_2, tokenizer=pipe.tokenizer_2)
        else:
            pipe.load_textual_inversion(tensors, token=name if "emb_params" in tensors else None)


def main():
    make()
    export()
    shutil.rmtree(HERE / "adapted", ignore_errors=True)
    (HERE / "adapted").mkdir()
    plain = make_goldens.pipeline
    for name, job in json.loads((HERE / "adapted.json").read_text()).items():
        def adapted(model):
            pipe, fields = plain(model)
            adapt(pipe, job)
            return pipe, fields

        make_goldens.pipeline = adapted
        Image.fromarray(make_goldens.draw(job)).save(HERE / f"adapted/{name}.png", optimize=True)
        make_goldens.pipeline = plain
        apart = np.abs(make_goldens.draw(job).astype(int) - np.asarray(Image.open(HERE / f"adapted/{name}.png")).astype(int)).mean()
        print(f"{name}: {apart:.1f} levels from the picture without")


if __name__ == "__main__":
    main()
