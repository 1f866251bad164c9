"""Where the steps of a training run: on a GPU where there is one."""

import torch

CPU = torch.device("cpu")


def chosen(name="auto"):
    """The device of a configuration's `device`: `auto` is the first GPU that CUDA has, or else the processor."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise SystemExit(f'configuration: device is {name!r}: expected "auto", "cpu", "cuda" or "cuda:N"')
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= there:
        raise SystemExit(
            f"configuration: device is {name!r}, but PyTorch {torch.__version__} finds {there} GPUs here: "
            'expected "auto" or "cpu", or another PyTorch or driver'
        )
    return device


def moved(made, device):
    """`made` with all tensors in its dictionaries and tuples on `device`; the rest as it is."""
    if isinstance(made, torch.Tensor):
        return made.to(device)
    if isinstance(made, dict):
        return {key: moved(value, device) for key, value in made.items()}
    if isinstance(made, tuple):
        return tuple(moved(value, device) for value in made)
    return made
