"""The same ten steps with each optimizer, ours and PyTorch's, and what PyTorch reached (2.13, float64)."""

import numpy as np

STEPS = 10
START = np.linspace(-1, 1, 6).reshape(2, 3)
GRADIENTS = [np.sin(1.7 * np.arange(6) + t).reshape(2, 3) * (0.1 + 0.2 * t) for t in range(STEPS)]

# Our name and settings; PyTorch's.
CASES: dict[str, tuple[tuple[str, dict], tuple[str, dict]]] = {
    "adam": (("adam", {}), ("Adam", {})),
    "adam_decay": (("adam", {"weight_decay": 0.1}), ("Adam", {"weight_decay": 0.1})),
    "adamw": (
        ("adamw", {"weight_decay": 0.1, "beta_1": 0.8, "epsilon": 1e-3}),
        ("AdamW", {"weight_decay": 0.1, "betas": (0.8, 0.999), "eps": 1e-3}),
    ),
    "sgd": (("sgd", {"weight_decay": 0.1}), ("SGD", {"weight_decay": 0.1, "momentum": 0.9})),
    "nesterov": (
        ("sgd", {"nesterov": True, "momentum": 0.8}),
        ("SGD", {"nesterov": True, "momentum": 0.8}),
    ),
    # Algorithm 2 but for the threshold, which PyTorch has at 5.
    "radam": (
        ("radam_liu", {"rectified_above": 5.0, "weight_decay": 0.1}),
        ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ),
    "clipped": (("sgd", {"momentum": 0.0, "clip_norm": 0.5}), ("SGD", {"clip_norm": 0.5})),
}
RATE = 0.05

# The weight after the last step, by PyTorch.
GOLDEN = {
    "adam": (
        -1.10394767214101, -0.649849386745055, -0.0522050350908282,
        0.233178955352592, 0.463623365258682, 1.00017935854787,
    ),
    "adam_decay": (
        -0.963575031754031, -0.600378067626054, -0.043680519573727,
        0.213957229043974, 0.427494446127672, 0.906918060339231,
    ),
    "adamw": (
        -1.0549161178266, -0.618583744054198, -0.0460033237240228,
        0.220792305976249, 0.43658672354003, 0.954385145580301,
    ),
    "sgd": (
        -0.924505566018859, -0.494804163793536, -0.0343506415355277,
        0.141535348510619, 0.359999138085606, 0.852058629775435,
    ),
    "nesterov": (
        -1.20621604603807, -0.575285746270046, -0.000152545009382277,
        0.123787257721018, 0.419791729485004, 1.12265042924373,
    ),
    "radam": (
        -0.979434697187704, -0.555786886814491, -0.165715046147711,
        0.169079031368793, 0.551621799420576, 0.977125144355578,
    ),
    "clipped": (
        -1.02794355738821, -0.593612098296136, -0.173702534541079,
        0.186835531019518, 0.577094873237998, 1.01906686792933,
    ),
}  # fmt: skip


def torch_steps(name: str) -> list[np.ndarray]:
    """The weight after each step, by PyTorch."""
    import torch

    kind, settings = CASES[name][1]
    settings = dict(settings)
    clip_norm = settings.pop("clip_norm", None)
    weight = torch.nn.Parameter(torch.tensor(START))
    optimizer = getattr(torch.optim, kind)([weight], lr=RATE, **settings)
    steps = []
    for gradient in GRADIENTS:
        weight.grad = torch.tensor(gradient)
        if clip_norm:
            torch.nn.utils.clip_grad_norm_([weight], clip_norm)
        optimizer.step()
        steps.append(weight.detach().numpy().copy())
    return steps
