"""Samples to log-mel frames, for the student (the package's front end) and for the teacher (YAMNet's)."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RATE = 16000
HOP = 160
N_FFT = 400
N_MELS = 80
EPS = 2.0**-23


def hz_to_mel(f, scale="slaney"):
    """Hertz to mel; `slaney` is linear below 1 kHz, `htk` is 1127 ln(1 + f/700)."""
    f = np.asarray(f, float)
    if scale == "htk":
        return 1127.0 * np.log1p(f / 700.0)
    return np.where(f < 1000, 3 * f / 200, 15 + 27 * np.log(np.maximum(f, 1e-9) / 1000) / np.log(6.4))


def mel_to_hz(m):
    """The inverse of the slaney scale."""
    m = np.asarray(m, float)
    return np.where(m < 15, 200 * m / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))


def slaney_bank(n_fft=N_FFT, bands=N_MELS, low=50.0, high=8000.0, rate=RATE):
    """[bands, n_fft/2+1] triangles, straight over Hz, of area 1 (design of reference/models.md 1.1)."""
    edge = mel_to_hz(np.linspace(hz_to_mel(low), hz_to_mel(high), bands + 2))
    f = np.arange(n_fft // 2 + 1) * rate / n_fft
    rise = (f - edge[:-2, None]) / (edge[1:-1] - edge[:-2])[:, None]
    fall = (edge[2:, None] - f) / (edge[2:] - edge[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall)) * (2 / (edge[2:] - edge[:-2]))[:, None]


def htk_bank(n_fft=512, bands=64, low=125.0, high=7500.0, rate=RATE):
    """[bands, n_fft/2+1] triangles, straight over mel, of height 1, without the bin of 0 Hz (YAMNet's)."""
    edge = np.linspace(hz_to_mel(low, "htk"), hz_to_mel(high, "htk"), bands + 2)
    m = hz_to_mel(np.arange(n_fft // 2 + 1) * rate / n_fft, "htk")
    rise = (m - edge[:-2, None]) / (edge[1:-1] - edge[:-2])[:, None]
    fall = (edge[2:, None] - m) / (edge[2:] - edge[1:-1])[:, None]
    bank = np.maximum(0, np.minimum(rise, fall))
    bank[:, 0] = 0
    return bank


_WINDOW = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
_SLANEY = slaney_bank()
_HTK = htk_bank()


def log_mel(x, dtype=np.float64):
    """Samples [N] to frames [1 + N // 160, 80]: centred, reflected, power, ln(S + 2^-23)."""
    x = np.asarray(x, dtype)
    p = N_FFT // 2
    x = np.concatenate([x[1 : p + 1][::-1], x, x[-p - 1 : -1][::-1]])
    frames = np.lib.stride_tricks.sliding_window_view(x, N_FFT)[::HOP] * _WINDOW.astype(dtype)
    spectrum = np.fft.rfft(frames, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return np.log(power.astype(dtype) @ _SLANEY.T.astype(dtype) + dtype(EPS))


def teacher_mel(x):
    """Samples [N] to YAMNet's frames [1 + (N - 400) // 160, 64]."""
    x = np.asarray(x, np.float32)
    x = np.pad(x, (0, max(0, N_FFT - len(x))))
    frames = np.lib.stride_tricks.sliding_window_view(x, N_FFT)[::HOP] * _WINDOW.astype(np.float32)
    return np.log(np.abs(np.fft.rfft(frames, 512, axis=1)).astype(np.float32) @ _HTK.T.astype(np.float32) + 0.001)


def read(path):
    """A 16 kHz mono file as float32 in [-1, 1]; anything else is mixed down and resampled."""
    import soundfile

    x, rate = soundfile.read(path, dtype="float32", always_2d=True)
    x = x.mean(axis=1)
    if rate != RATE:
        import soxr

        x = soxr.resample(x, rate, RATE)
    return x


@dataclass
class Row:
    """One row of `index.csv`."""

    role: str
    set: str
    path: str
    label: str
    licence: str
    author: str
    source_url: str
    freesound_id: str


def permissive(licence):
    """Whether weights that learnt from what is under `licence` may be passed on: CC0, CC-BY or the public domain."""
    return licence in ("CC0", "CC0-1.0", "PD") or (
        licence.startswith("CC-BY") and "NC" not in licence and "ND" not in licence and "SA" not in licence
    )


def read_index(folder):
    """The rows of `folder/index.csv` that may be used: role train or val, a permissive licence."""
    rows = []
    with open(Path(folder) / "index.csv", newline="") as file:
        for r in csv.DictReader(file):
            if r["role"] == "val" and not r["label"]:
                raise SystemExit(f"{folder}/index.csv: expected a label in each row of role val, {r['path']} has none")
            if r["role"] in ("train", "val") and permissive(r.get("licence", "")):
                rows.append(
                    Row(
                        *(
                            r.get(k, "")
                            for k in ("role", "set", "path", "label", "licence", "author", "source_url", "freesound_id")
                        )
                    )
                )
    return rows


def trim(x, floor=1e-4):
    """Without the digital silence at both ends (ESC-50 pads its clips with it); never empty."""
    loud = np.flatnonzero(np.abs(x) > floor)
    if len(loud) == 0:
        return x
    return x[loud[0] : loud[-1] + 1]


def active(x, column=8 * HOP, below_peak_db=30.0):
    """[columns] booleans: the RMS of each `column` samples is within `below_peak_db` of the loudest's."""
    n = len(x) // column
    rms = np.sqrt((x[: n * column].reshape(n, column).astype(np.float64) ** 2).mean(axis=1) + 1e-12)
    return rms > max(rms.max() * 10 ** (-below_peak_db / 20), 1e-4)
