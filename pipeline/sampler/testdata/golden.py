"""Writes golden.json.gz: what diffusers' schedulers do with a small latent.

Made with diffusers 0.35.2 and torch 2.9.1 on a CPU (numpy 2.4.6 and torch with
AVX-512). Every case stands for

    pipe.scheduler = CLASS.from_config(pipe.scheduler.config, **ARGUMENTS)

where pipe.scheduler came from a scheduler_config.json, and for the pipeline's
loop over it with a made-up network. Arrays are base64 of little-endian float32.

    python golden.py
"""

import base64
import gzip
import inspect
import itertools
import json
import math
import pathlib
import warnings

import diffusers
import numpy as np
import torch

diffusers.logging.set_verbosity_error()
warnings.simplefilter("ignore")

SEED = 7
SHAPE = (1, 2, 4, 4)
SIZE = math.prod(SHAPE)
DRAWS = 64

SAMPLERS = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpm_2": ("KDPM2DiscreteScheduler", {}),
    "dpm_2_ancestral": ("KDPM2AncestralDiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "dpmpp_2s": ("DPMSolverSinglestepScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp_sde": ("DPMSolverSDEScheduler", {"noise_sampler_seed": SEED}),
    "dpmpp_2m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp_3m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "solver_order": 3}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}
NO_SCHEDULES = {"ddim", "ddpm", "pndm", "euler_ancestral", "lcm"}
SCHEDULES = {
    "": {},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "beta": {"use_beta_sigmas": True},
}

LATENT = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
CONFIGS = {
    # What Stable Diffusion 1.5 comes with: nothing about spacing or prediction.
    "sd15": {
        "_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", **LATENT, "set_alpha_to_one": False,
        "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None, "clip_sample": False,
    },
    # The same with every key filled in, as optimum writes it.
    "optimum": {
        "_class_name": "PNDMScheduler", "_diffusers_version": "0.35.2", **LATENT, "set_alpha_to_one": False,
        "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None, "clip_sample": False,
        "prediction_type": "epsilon", "timestep_spacing": "leading",
    },
    "sd2": {
        "_class_name": "DDIMScheduler", **LATENT, "set_alpha_to_one": False, "skip_prk_steps": True,
        "steps_offset": 1, "clip_sample": False, "prediction_type": "v_prediction",
    },
    "zsnr": {
        "_class_name": "DDIMScheduler", **LATENT, "set_alpha_to_one": False, "skip_prk_steps": True,
        "steps_offset": 1, "clip_sample": False, "prediction_type": "v_prediction",
        "rescale_betas_zero_snr": True, "timestep_spacing": "trailing",
    },
    "sdxl": {
        "_class_name": "EulerDiscreteScheduler", **LATENT, "interpolation_type": "linear", "clip_sample": False,
        "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": False, "skip_prk_steps": True,
        "steps_offset": 1, "timestep_spacing": "leading", "trained_betas": None, "use_karras_sigmas": False,
    },
    "empty": {"_class_name": "DDPMScheduler"},
    "trailing": {"_class_name": "EulerDiscreteScheduler", **LATENT, "timestep_spacing": "trailing", "steps_offset": 1},
    "clean": {
        "_class_name": "DDPMScheduler", "beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 400,
        "prediction_type": "sample", "thresholding": True, "sample_max_value": 1.5,
        "dynamic_thresholding_ratio": 0.9, "clip_sample": True, "clip_sample_range": 1.25,
    },
    "cosine": {"_class_name": "DDPMScheduler", "beta_schedule": "squaredcos_cap_v2", "clip_sample": True},
    "flow": {
        "_class_name": "DPMSolverMultistepScheduler", "prediction_type": "flow_prediction", "use_flow_sigmas": True,
        "flow_shift": 3.0, "num_train_timesteps": 1000,
    },
    "lcm": {
        "_class_name": "LCMScheduler", **LATENT, "clip_sample": False, "clip_sample_range": 1.0,
        "dynamic_thresholding_ratio": 0.995, "original_inference_steps": 50, "prediction_type": "epsilon",
        "rescale_betas_zero_snr": False, "sample_max_value": 1.0, "set_alpha_to_one": True, "steps_offset": 0,
        "thresholding": False, "timestep_scaling": 10.0, "timestep_spacing": "leading", "trained_betas": None,
    },
    "bounded": {"_class_name": "EulerDiscreteScheduler", **LATENT, "sigma_min": 0.05, "sigma_max": 10.0},
    "trained": {"_class_name": "DDIMScheduler", "num_train_timesteps": 100, "trained_betas": [0.001 + 0.0004 * i for i in range(100)]},
    "dpm": {**diffusers.DPMSolverMultistepScheduler(**LATENT).config, "_class_name": "DPMSolverMultistepScheduler"},
}
for config in CONFIGS.values():
    config.pop("_use_default_values", None)


def network(sample, t):
    """A network that is not linear, and different at every place."""
    x = sample.double().flatten()
    i = torch.arange(SIZE, dtype=torch.float64)
    y = torch.tanh(0.7 * x + torch.cos(i)) * (0.5 + float(t) / 2000) + 0.1 * x
    return y.float().reshape(SHAPE)


def clean_latent():
    return torch.sin(torch.arange(SIZE, dtype=torch.float64) * 0.9).float().reshape(SHAPE)


def pack(array):
    return base64.b64encode(np.asarray(array, dtype="<f4").tobytes()).decode()


def brownian(step, scheduler):
    """Made-up increments of a path: interval k has sqrt(length)*cos(i+k)."""
    i = torch.arange(SIZE, dtype=torch.float64)

    def sampler(sigma, sigma_next):
        k, half = divmod(step[0], 2)
        sigma, sigma_next = float(sigma), float(sigma_next)
        first = torch.cos(i + 2 * k)
        if half == 0:
            return first.float().reshape(SHAPE)
        middle = math.sqrt(sigma * sigma_next)
        w = math.sqrt(sigma - middle) * first + math.sqrt(middle - sigma_next) * torch.cos(i + 2 * k + 1)
        return (w / math.sqrt(sigma - sigma_next)).float().reshape(SHAPE)

    return sampler


def renoised(scheduler, noise, timesteps, start, k):
    """What add_noise makes when k evaluations of a run are done."""
    if hasattr(scheduler, "_step_index"):
        scheduler._step_index = start + k
    noisy = scheduler.add_noise(clean_latent(), noise, timesteps[k : k + 1])
    if hasattr(scheduler, "_step_index"):
        scheduler._step_index = None
    return {"at": start + k, "noisy": pack(noisy)}


def run(sampler, schedule, config, steps, eta, strength):
    name, arguments = SAMPLERS[sampler]
    loaded = getattr(diffusers, config["_class_name"]).from_config(config)
    scheduler = getattr(diffusers, name).from_config(loaded.config, **arguments, **SCHEDULES[schedule])
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps
    generator = torch.Generator("cpu").manual_seed(SEED)
    noise = torch.randn(SHAPE, generator=generator)

    result = {"timesteps": pack(timesteps), "initial": float(scheduler.init_noise_sigma)}
    start = 0
    if strength:
        begin = steps - min(int(steps * strength), steps)
        start = begin * scheduler.order
        timesteps = timesteps[start:]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(start)
        latents = scheduler.add_noise(clean_latent(), noise, timesteps[:1])
        result["start"], result["noisy"] = start, pack(latents)
        result["renoised"] = [renoised(scheduler, noise, timesteps, start, k) for k in (1, 2, len(timesteps) - 1)]
    else:
        latents = noise * scheduler.init_noise_sigma

    keywords = {}
    parameters = inspect.signature(scheduler.step).parameters
    if "generator" in parameters:
        keywords["generator"] = generator
    if "eta" in parameters:
        keywords["eta"] = eta
    step = [start]
    if sampler == "dpmpp_sde":
        scheduler.noise_sampler = brownian(step, scheduler)
    for t in timesteps:
        out = network(scheduler.scale_model_input(latents, t), t)
        latents = scheduler.step(out, t, latents, **keywords).prev_sample
        step[0] += 1
    result["latent"] = pack(latents)
    if not torch.isfinite(latents).all():
        result["error"] = "not finite"
    return result


def cases():
    for sampler in SAMPLERS:
        schedules = [""] if sampler in NO_SCHEDULES else list(SCHEDULES)
        for schedule, steps in itertools.product(schedules, [1, 2, 7, 20]):
            yield sampler, schedule, "sd15", steps
            if schedule in ("", "karras"):
                yield sampler, schedule, "optimum", steps
        for schedule in schedules:
            yield sampler, schedule, "zsnr", 7
            yield sampler, schedule, "empty", 7
            yield sampler, schedule, "bounded", 7
            for steps in (25, 30, 50):
                yield sampler, schedule, "sd15", steps
            yield sampler, schedule, "empty", 20
        for config in ("sd2", "zsnr", "sdxl", "empty", "trailing", "clean", "cosine", "flow", "trained", "dpm"):
            for steps in (1, 7, 20):
                if (config, steps) not in (("zsnr", 7), ("empty", 7), ("empty", 20)):
                    yield sampler, "", config, steps
        for config, steps in (("sd15", 20), ("sd15", 50), ("optimum", 12), ("zsnr", 10)):
            yield sampler, "", config, steps, {}, 0, 0.6
        yield sampler, "", "sd15", 33
        yield sampler, "", "trailing", 61  # where numpy's arange gives a timestep too many
    for steps in (1, 4, 8, 50):
        yield "lcm", "", "lcm", steps
    yield "lcm", "", "lcm", 60
    for eta, config in itertools.product((0.3, 1.0), ("sd15", "empty", "zsnr")):
        yield "ddim", "", config, 20, {}, eta
    for steps in (3, 4, 7, 20):
        yield "pndm", "", "sd15", steps, {"skip_prk_steps": False}
    yield "pndm", "", "sd15", 20, {"skip_prk_steps": False}, 0, 0.5
    yield "pndm", "", "sd15", 20, {"set_alpha_to_one": True}
    for variance in ("fixed_large", "fixed_small", "fixed_small_log", "fixed_large_log", "learned"):
        yield "ddpm", "", "empty", 20, {"variance_type": variance}
    yield "ddpm", "", "empty", 20, {"beta_schedule": "sigmoid"}
    yield "ddpm", "", "trained", 100
    yield "ddpm", "", "trained", 101
    yield "ddpm", "", "empty", 20, {"beta_schedule": "linear_typo"}
    for sampler in ("euler", "dpmpp_2m", "unipc"):
        yield sampler, "", "sd15", 20, {"final_sigmas_type": "sigma_min"}
        yield sampler, "", "sd15", 20, {"use_karras_sigmas": True}
        yield sampler, "", "sd15", 20, {"prediction_type": "nothing"}
        yield sampler, "", "sd15", 20, {"timestep_spacing": "nothing"}
    yield "euler", "", "sd15", 7, {"interpolation_type": "log_linear"}
    yield "euler", "karras", "sd15", 7, {"interpolation_type": "log_linear"}
    yield "euler", "", "sd2", 7, {"timestep_type": "continuous"}
    yield "euler", "", "zsnr", 7, {"timestep_type": "continuous"}
    yield "heun", "", "sd15", 7, {"beta_schedule": "exp"}
    yield "heun", "", "sd15", 7, {"clip_sample": True, "clip_sample_range": 0.8}
    for algorithm, solver, order, steps in itertools.product(
        ("dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++"), ("midpoint", "heun"), (1, 2, 3), (7, 20)
    ):
        change = {"algorithm_type": algorithm, "solver_type": solver, "solver_order": order, "final_sigmas_type": "sigma_min"}
        yield "dpmpp_2m", "", "sd15", steps, change
        if algorithm != "sde-dpmsolver":
            yield "dpmpp_2s", "", "sd15", steps, change
            yield "dpmpp_2s", "", "sd15", steps + 1, change
            yield "dpmpp_2s", "", "sd15", steps - 1, change
    for sampler, order, lower in itertools.product(("dpmpp_2m", "dpmpp_2s", "unipc", "deis"), (2, 3), (True, False)):
        change = {"solver_order": order, "lower_order_final": lower, "final_sigmas_type": "sigma_min"}
        yield sampler, "karras", "sd15", 20, change
        yield sampler, "exponential", "sd15", 9, change
    for sampler in ("dpmpp_2m", "dpmpp_2s", "unipc", "deis"):
        for order, steps in itertools.product((1, 2, 3), (1, 2, 3, 7, 8, 9, 20)):
            yield sampler, "", "sd15", steps, {"solver_order": order}
        yield sampler, "", "sd2", 20, {"solver_order": 3, "lower_order_final": False, "final_sigmas_type": "sigma_min"}
        yield sampler, "", "sd15", 20, {"solver_order": 3}, 0, 0.7
        yield sampler, "", "flow", 7, {"prediction_type": "epsilon"}
        yield sampler, "", "flow", 20, {"solver_order": 3, "flow_shift": 1.0}
        yield sampler, "", "sd15", 7, {"thresholding": True, "sample_max_value": 2.0, "dynamic_thresholding_ratio": 0.8}
    yield "dpmpp_2m", "", "sd15", 7, {"euler_at_final": True, "final_sigmas_type": "sigma_min", "lower_order_final": False}
    yield "dpmpp_2m", "", "sd15", 20, {"use_lu_lambdas": True}
    for sampler in ("dpmpp_2m", "dpmpp_2s"):
        yield sampler, "", "cosine", 20, {"lambda_min_clipped": -5.1}
    yield "dpmpp_2m", "", "cosine", 7, {"lambda_min_clipped": -5.1, "timestep_spacing": "trailing"}
    for schedule in ("karras", "exponential", "beta"):
        yield "dpmpp_2m", schedule, "cosine", 20
    for solver, order, predict in itertools.product(("bh1", "bh2", "midpoint"), (1, 2, 3), (True, False)):
        change = {"solver_type": solver, "solver_order": order, "predict_x0": predict}
        yield "unipc", "", "sd15", 20, {**change, "final_sigmas_type": "sigma_min"}
        yield "unipc", "", "sd2", 7, change
    yield "unipc", "", "sd15", 20, {"disable_corrector": [0, 1, 5]}
    for wrong in ({"solver_type": "nothing"}, {"algorithm_type": "nothing"}, {"final_sigmas_type": "nothing"}):
        yield "dpmpp_2m", "", "sd15", 7, wrong
    yield "deis", "", "sd15", 7, {"algorithm_type": "sde-dpmsolver++"}
    yield "dpmpp_2m", "", "sd15", 7, {"algorithm_type": "dpmsolver"}


def main():
    generator = torch.Generator("cpu").manual_seed(SEED)
    stream = torch.cat([torch.randn(SHAPE, generator=generator).flatten() for _ in range(DRAWS * 2)])
    written = []
    for sampler, schedule, config, steps, *more in cases():
        change, eta, strength = (list(more) + [{}, 0, 0][len(more):])[:3]
        case = {"sampler": sampler, "schedule": schedule, "config": config, "steps": steps}
        case |= {k: v for k, v in (("change", change), ("eta", eta), ("strength", strength)) if v}
        try:
            case |= run(sampler, schedule, {**CONFIGS[config], **change}, steps, eta, strength)
        except Exception as error:
            case["error"] = f"{type(error).__name__}: {error}".split(". ")[0][:160]
        written.append(case)
    document = {"configs": {k: json.dumps(v) for k, v in CONFIGS.items()}, "stream": pack(stream), "cases": written}
    path = pathlib.Path(__file__).with_name("golden.json.gz")
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        file.write(json.dumps(document, separators=(",", ":")).encode())
    print(len(written), "cases,", sum("error" in case for case in written), "of them errors,", path.stat().st_size, "bytes")
    for case in written:
        if "error" in case:
            print(case["sampler"], case["schedule"], case["config"], case["steps"], case.get("change", ""), case["error"])


main()
