"""Writes the golden vectors of the log-mel front ends, from a NumPy implementation of models.md 1.1 in float64.

    python make_golden.py            # writes signals, frames and golden.json beside itself, from clip.s16
    python make_golden.py --check    # compares with librosa where librosa has the front end; fails above 1e-5
    python make_golden.py --clip X   # takes clip.s16 anew from the recording X (see ATTRIBUTION)

Nothing here is shared with the Rust code: the transform is NumPy's, the filterbank is dense, the padding is np.pad.
"""
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
EPS = 2.0**-23
SLANEY = dict(scale="slaney", norm="slaney", domain="hz", center=True, power=True, zero_dc=False)
FRONT_ENDS = {
    "m2d_16k": dict(sr=16000, n_fft=400, win=400, hop=160, bands=80, lo=50, hi=8000, log="ln", **SLANEY),
    "m2d_32k": dict(sr=32000, n_fft=800, win=800, hop=320, bands=80, lo=50, hi=16000, log="ln", **SLANEY),
    "byol_a": dict(sr=16000, n_fft=1024, win=1024, hop=160, bands=64, lo=60, hi=7800, log="ln", **SLANEY),
    "laion_clap": dict(sr=48000, n_fft=1024, win=1024, hop=480, bands=64, lo=50, hi=14000, log="db", **SLANEY),
    "yamnet": dict(sr=16000, n_fft=512, win=400, hop=160, bands=64, lo=125, hi=7500, log="ln001",
                   scale="htk", norm=None, domain="mel", center=False, power=False, zero_dc=True),
}  # fmt: skip
LOGS = {
    "ln": lambda s: np.log(s + EPS),
    "ln001": lambda s: np.log(s + 0.001),
    "db": lambda s: 10 * np.log10(np.maximum(s, 1e-10)),
}


def to_mel(f, scale):
    f = np.asarray(f, float)
    if scale == "htk":
        return 1127.0 * np.log1p(f / 700.0)
    return np.where(f < 1000, f * 0.015, 15 + np.log(np.maximum(f, 1) / 1000) / (np.log(6.4) / 27))


def to_hz(m, scale):
    m = np.asarray(m, float)
    if scale == "htk":
        return 700.0 * np.expm1(m / 1127.0)
    return np.where(m < 15, m / 0.015, 1000 * 6.4 ** ((m - 15) / 27))


def filterbank(c):
    """[bands, n_fft/2+1]"""
    mels = np.linspace(to_mel(c["lo"], c["scale"]), to_mel(c["hi"], c["scale"]), c["bands"] + 2)
    hz = to_hz(mels, c["scale"])
    f = np.arange(c["n_fft"] // 2 + 1) * (c["sr"] / c["n_fft"])
    edges, at = (hz, f) if c["domain"] == "hz" else (mels, to_mel(f, c["scale"]))
    width = np.diff(edges)[:, None]
    slope = (edges[:, None] - at[None, :])
    w = np.clip(np.minimum(-slope[:-2] / width[:-1], slope[2:] / width[1:]), 0, None)
    if c["norm"] == "slaney":
        w = w * (2.0 / (hz[2:] - hz[:-2]))[:, None]
    if c["zero_dc"]:
        w[:, 0] = 0
    return w


def log_mel(x, c):
    """[frames, bands]"""
    x = np.asarray(x, np.float64)
    n_fft, win, hop = c["n_fft"], c["win"], c["hop"]
    hann = 0.5 * (1 - np.cos(2 * np.pi * np.arange(win) / win))
    if c["center"]:
        x = np.pad(x, n_fft // 2, mode="reflect")
        before = (n_fft - win) // 2
        hann, length = np.pad(hann, (before, n_fft - win - before)), n_fft
    else:  # TensorFlow's way: a frame begins at its hop and is padded behind
        length = win
    starts = range(0, len(x) - length + 1, hop)
    frames = np.stack([x[s : s + length] * hann for s in starts])
    spectrum = np.abs(np.fft.rfft(frames, n=n_fft, axis=1))
    return LOGS[c["log"]]((spectrum**2 if c["power"] else spectrum) @ filterbank(c).T)


def lcg(n):
    """Noise in [-1, 1) that any language makes alike."""
    state, out = 1, np.empty(n)
    for i in range(n):
        state = (1664525 * state + 1013904223) & 0xFFFFFFFF
        out[i] = state / 2147483648.0 - 1
    return out


def sweep(sr, seconds=10):
    """A tone, a sweep and a little noise, with digital silence from 4 s to 5 s. tests/golden.rs makes it too."""
    t = np.arange(sr * seconds) / sr
    x = 0.4 * np.sin(2 * np.pi * 440 * t) + 0.2 * np.sin(2 * np.pi * (100 * t + 350 * t * t)) + 0.01 * lcg(len(t))
    x[4 * sr : 5 * sr] = 0
    return x.astype(np.float32)


def tone_with_weak_noise():
    """8000 samples: a tone of -6 dB with noise of -90 dB: bins of a float32 transform are off by its rounding here."""
    n = np.arange(8000)
    return (0.5 * np.sin(2 * np.pi * 0.0275 * n) + 10 ** (-90 / 20) * lcg(8000)).astype(np.float32)


def clip():
    """16000 samples of a recording; every front end takes them as if they were at its rate."""
    return (np.fromfile(HERE / "clip.s16", "<i2") / 32768.0).astype(np.float32)


def summary(c):
    x, w = sweep(c["sr"]), filterbank(c)
    frames = log_mel(x, c)
    last = c["bands"] - 1
    bands_and_frames = [(0, 0), (0, 990), (5, 1), (10, 100), (23, 250), (40, 333), (40, 450), (55, 777), (last, 0), (last, 990)]
    return {
        "shape": list(frames.shape), "mean": frames.mean(), "std": frames.std(), "sum": frames.sum(),
        "points": [[b, t, frames[t, b]] for b, t in bands_and_frames],
        "filterbank_sum": w.sum(), "filterbank_nonzero": int((w > 0).sum()),
        "filterbank_peaks": [[b, int(w[b].argmax()), w[b].max()] for b in range(0, c["bands"], 9)],
    }  # fmt: skip


def write():
    weak = tone_with_weak_noise()
    weak.astype("<f4").tofile(HERE / "weak.f32")
    for name, c in FRONT_ENDS.items():
        for signal, x in [("weak", weak), ("clip", clip())]:
            log_mel(x, c).astype("<f4").tofile(HERE / f"{name}.{signal}.f32")
    golden = {name: summary(c) for name, c in FRONT_ENDS.items()}
    (HERE / "golden.json").write_text(json.dumps(golden, indent=1, default=float) + "\n")


def check():
    import librosa

    for name, c in FRONT_ENDS.items():
        if c["domain"] == "mel":  # librosa has no such triangles
            continue
        for x in (sweep(c["sr"]), tone_with_weak_noise(), clip()):
            theirs = librosa.feature.melspectrogram(
                y=x.astype(np.float64), sr=c["sr"], n_fft=c["n_fft"], hop_length=c["hop"], n_mels=c["bands"],
                fmin=c["lo"], fmax=c["hi"], pad_mode="reflect", dtype=np.float64)  # fmt: skip
            worst = np.abs(LOGS[c["log"]](theirs).T - log_mel(x, c)).max()
            print(f"{name}: largest difference to librosa {worst:.1e}")
            assert worst < 1e-5


def take_clip(path):
    import soundfile

    x, sr = soundfile.read(path, dtype="int16")
    assert sr == 16000 and x.ndim == 1, (sr, x.shape)
    x[8000:24000].astype("<i2").tofile(HERE / "clip.s16")


if __name__ == "__main__":
    if "--check" in sys.argv:
        check()
    else:
        if "--clip" in sys.argv:
            take_clip(sys.argv[sys.argv.index("--clip") + 1])
        write()
