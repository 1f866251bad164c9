"""Unrelated sound that programs make: music by Csound's instruments, talk by eSpeak NG; both from random numbers.

Debian packages csound and espeak-ng. Nothing here is a recording, so nothing of anybody's is learnt.
"""

import shutil
import subprocess
import tempfile
from math import gcd
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from . import audio

SECONDS = 8
ORCHESTRA = Path(__file__).with_name("rendered.orc")
SCALES = [
    [0, 2, 4, 5, 7, 9, 11],
    [0, 2, 3, 5, 7, 8, 10],
    [0, 3, 5, 7, 10],
    [0, 2, 4, 7, 9],
    [0, 2, 4, 6, 8, 10],
    range(12),
]
# Lowest and highest frequency, and about how long a note lasts, of each instrument of the orchestra, by number.
NOTES = {
    1: (60, 1200, 1.0), 2: (60, 900, 1.5), 3: (80, 1500, 0.8), 4: (100, 2000, 1.5), 5: (150, 2500, 0.6),
    6: (50, 1500, 1.5), 7: (40, 900, 2.0), 8: (100, 4000, 0.3), 9: (100, 900, 0.2), 10: (100, 900, 0.3),
    11: (100, 900, 0.3), 12: (100, 900, 0.3), 13: (100, 900, 0.2), 14: (100, 900, 0.5), 15: (100, 900, 0.4),
    16: (100, 900, 0.5), 17: (300, 3000, 0.5), 18: (100, 900, 0.5), 19: (400, 3000, 1.5), 20: (60, 1500, 1.2),
    21: (60, 1500, 1.2), 22: (80, 1500, 0.8), 23: (60, 1200, 1.0), 24: (150, 2000, 0.8), 25: (80, 700, 1.0),
    26: (40, 300, 0.6), 27: (50, 1500, 0.6), 28: (100, 1200, 0.8), 29: (80, 1200, 1.2), 30: (200, 2500, 1.2),
    31: (100, 1000, 0.8), 32: (120, 1200, 0.8), 33: (200, 2000, 0.8), 34: (40, 2000, 1.0), 35: (80, 700, 0.8),
    36: (40, 800, 0.8), 37: (30, 2000, 0.8), 38: (100, 4000, 0.8), 39: (40, 200, 0.4), 40: (80, 3000, 0.3),
    41: (200, 3000, 0.2), 42: (80, 800, 0.6), 43: (40, 1000, 2.5), 44: (50, 2000, 1.0), 45: (50, 2000, 0.5),
}  # fmt: skip

VARIANTS = ["", *(f"+f{k}" for k in range(1, 6)), *(f"+m{k}" for k in range(1, 8)), "+croak", "+whisper"]


def track(rng, instrument, beat):
    """Score lines of one instrument: a pattern of beats that comes again and again, or single notes now and then."""
    low, high, length = NOTES[instrument]
    lines, base = [], low * (high / low) ** rng.uniform(0, 0.7)
    scale = SCALES[rng.integers(len(SCALES))]
    dense = rng.random() < 0.75
    steps = int(rng.choice([4, 8, 16]))
    pattern = rng.random(steps) < rng.uniform(0.2, 0.9)
    notes = [scale[rng.integers(len(scale))] + 12 * rng.integers(0, 2) for _ in range(steps)]
    manner = rng.random(4)
    at, n = rng.uniform(0, 1), 0
    while at < SECONDS - 0.2:
        if not dense or pattern[n % steps]:
            f = min(base * 2 ** (notes[n % steps] / 12), high)
            last = min(length * rng.uniform(0.5, 1.6) if not dense or rng.random() < 0.5 else beat, SECONDS - at)
            own = np.clip(manner + rng.normal(0, 0.05, 4), 0, 1)
            amp = rng.uniform(0.1, 0.5)
            lines.append(f"i {instrument} {at:.3f} {last:.3f} {amp:.3f} {f:.2f} " + " ".join(f"{v:.3f}" for v in own))
        at += beat if dense else rng.uniform(0.3, 3)
        n += 1
    return lines


def music(rng):
    """[samples] of one to four instruments in one time."""
    beat = 60 / rng.uniform(60, 180) / rng.choice([1, 2, 4])
    count = int(rng.choice([1, 2, 3, 4], p=[0.6, 0.2, 0.12, 0.08]))
    picks = rng.choice(list(NOTES), count, replace=False)
    lines = [line for pick in picks for line in track(rng, int(pick), beat)]
    if not lines:
        return music(rng)
    with tempfile.TemporaryDirectory() as folder:
        score, out = Path(folder) / "a.sco", Path(folder) / "a.wav"
        score.write_text("\n".join([*lines, f"e {SECONDS}"]) + "\n")
        seed = f"--omacro:SEED={rng.integers(1, 9999)}"
        command = ["csound", "-d", "-m0", "-W", "-f", "-o", out, seed, ORCHESTRA, score]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
        if not out.exists():
            raise SystemExit(f"csound wrote nothing: {done.stderr[-500:]}")
        return whole(*soundfile.read(out, dtype="float32"))


def talk(rng, voices, words):
    """[samples] of words said by one of eSpeak's voices."""
    said = " ".join(rng.choice(words, int(rng.integers(4, 25))))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "a.wav"
        voice = f"{rng.choice(voices)}{rng.choice(VARIANTS)}"
        manner = ["-s", rng.integers(100, 260), "-p", rng.integers(0, 99)]
        command = ["espeak-ng", "-w", out, "-v", voice, *manner, said]
        if subprocess.run(list(map(str, command)), capture_output=True, timeout=60).returncode:
            return None  # a voice that is listed but not installed
        return whole(*soundfile.read(out, dtype="float32"))


def whole(x, rate):
    """At the training's rate and full scale, without what is no number."""
    x = np.nan_to_num(x if x.ndim == 1 else x.mean(1), posinf=0, neginf=0)
    if rate != audio.RATE:
        by = gcd(rate, audio.RATE)
        x = resample_poly(x, audio.RATE // by, rate // by)
    x = x[: SECONDS * audio.RATE]
    peak = np.abs(x).max() if len(x) else 0
    return (x / peak * 0.9).astype(np.float32) if peak > 1e-4 else None


def voices():
    """The names of eSpeak's languages."""
    listed = subprocess.run(["espeak-ng", "--voices"], capture_output=True, text=True, check=True).stdout
    return [line.split()[1] for line in listed.splitlines()[1:]]


def write(folder, count, words, worker, workers, seed):
    """Writes this worker's share of `count` recordings, a fifth of them talk, as 16-bit FLAC; keeps those that are there."""
    languages = voices()
    for i in range(worker, count, workers):
        path = Path(folder) / f"{i:05d}.flac"
        if path.exists():
            continue
        rng = np.random.default_rng([seed, 9, i])
        x = None
        while x is None:
            x = talk(rng, languages, words) if i % 5 == 0 else music(rng)
        part = path.with_suffix(".part")
        soundfile.write(part, x, audio.RATE, format="FLAC")
        part.rename(path)


def make(folder, count, words, workers, seed):
    """`count` recordings as waveforms; those that `folder` does not hold yet are made first."""
    if not count:
        return []
    missing = [name for name in ("csound", "espeak-ng") if not shutil.which(name)]
    if missing:
        raise SystemExit(
            f"pool.rendered = {count} needs the program {' and '.join(missing)}: apt-get install them, or set 0"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with get_context("fork").Pool(workers) as processes:
        processes.starmap(write, [(folder, count, words, worker, workers, seed) for worker in range(workers)])
    return [soundfile.read(folder / f"{i:05d}.flac", dtype="float32")[0] for i in range(count)]
