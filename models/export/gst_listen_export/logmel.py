"""Log-mel in NumPy float64, for self-tests and for measuring reduced precisions.

Formulas: S = W |STFT|^2 with a periodic Hann window and reflected edges, L = log(S); `filterbank` builds W, unless the package has its own.
"""

import numpy as np

from gst_listen_export.errors import ExportError


def _to_mel(hz, scale):
    hz = np.asarray(hz, np.float64)
    if scale == "htk":
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, 15.0 + 27.0 * np.log(np.maximum(hz, 1e-9) / 1000.0) / np.log(6.4))


def _to_hz(mel, scale):
    mel = np.asarray(mel, np.float64)
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0))


def filterbank(front_end):
    """`[n_mels, n_fft / 2 + 1]`."""
    scale, bands = front_end["mel_scale"], front_end["n_mels"]
    mel = np.linspace(_to_mel(front_end["f_min"], scale), _to_mel(front_end["f_max"], scale), bands + 2)
    hz = _to_hz(mel, scale)
    bins = np.arange(front_end["n_fft"] // 2 + 1) * front_end["sample_rate"] / front_end["n_fft"]
    x, edge = (bins, hz) if front_end["triangle_domain"] == "hz" else (_to_mel(bins, scale), mel)
    weights = np.empty((bands, len(bins)))
    for i in range(bands):
        up = (x - edge[i]) / (edge[i + 1] - edge[i])
        down = (edge[i + 2] - x) / (edge[i + 2] - edge[i + 1])
        weights[i] = np.clip(np.minimum(up, down), 0.0, None)
        if front_end["mel_norm"] == "slaney":
            weights[i] *= 2.0 / (hz[i + 2] - hz[i])
    if front_end["zero_dc"]:
        weights[:, 0] = 0.0
    return weights


def own_filterbank(front_end, folder):
    """The weights of the file that `frontend.filterbank` names, `[n_mels, n_fft / 2 + 1]`.

    # Errors
    No such file, no such tensor, another shape.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    file, shape = folder / front_end["filterbank"], (front_end["n_mels"], front_end["n_fft"] // 2 + 1)
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise ExportError(f"{file}: expected a safetensors file with the tensor filterbank {list(shape)}: {error}") from None
    found = {k: list(v.shape) for k, v in tensors.items()}
    if found.get("filterbank") != list(shape):
        raise ExportError(f"{file}: expected the tensor filterbank {list(shape)}, found {found}")
    return tensors["filterbank"].astype(np.float64)


def log_mel(front_end, samples, folder=None):
    """`[frames, n_mels]` of `samples` (in [-1, 1]) as a recording of its own; `folder`: of the package, where its front end names a file."""
    n_fft, win, hop = front_end["n_fft"], front_end["win_length"], front_end["hop_length"]
    x = np.asarray(samples, np.float64)
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(win) / win)
    if front_end["center"]:
        x = np.pad(x, n_fft // 2, mode="reflect")
        before = (n_fft - win) // 2
        hann = np.concatenate([np.zeros(before), hann, np.zeros(n_fft - win - before)])
    count = 1 + (len(x) - len(hann)) // hop
    frames = np.stack([x[t * hop : t * hop + len(hann)] * hann for t in range(count)])
    weights = own_filterbank(front_end, folder) if front_end.get("filterbank") else filterbank(front_end)
    magnitude = np.abs(np.fft.rfft(frames, n_fft, axis=1))
    bands = (magnitude if front_end["spectrum"] == "magnitude" else magnitude**2) @ weights.T
    log = front_end["log"]
    if log["kind"] == "ln_add":
        return np.log(bands + log["eps"])
    if log["kind"] == "ln_max":
        return np.log(np.maximum(bands, log["floor"]))
    return 10.0 * np.log10(np.maximum(bands, log["amin"]))


def normalize(window, how, frame_seconds):
    """A stream's first window `[T, F]` as the encoder sees it (`models/encoder/src/normalize.rs`).

    `running` statistics have followed the window's frames, one step a frame, before they are applied to it.
    """
    if how["kind"] == "none":
        return window
    if how["kind"] == "per_window":
        return (window - window.mean()) / max(window.std(), 1e-6)
    mean, std = how["mean"], how["std"]
    if how["kind"] == "running":
        keep, var = np.exp(-frame_seconds / how["tau"]), std * std
        for frame in window:
            step, difference = 1.0 - keep, frame.mean() - mean
            mean += step * difference
            var = keep * (var + step * difference**2) + step * frame.var()
        std = max(np.sqrt(var), std / 10.0)
    return (window - mean) / std
