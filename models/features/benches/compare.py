"""Log-mel side by side: ours, librosa, torch, torchaudio, kaldi-native-fbank, one thread each, in one run.

    cargo build --release -p listen-features --example logmel
    python models/features/benches/compare.py [--seconds 600] [--runs 11] [--front-end m2d_16k] [--torchaudio PYTHON]

Every implementation is a process of its own that makes the log-mel of the same samples, from memory to memory, whenever
it is told to. They take turns, so that a busy machine is busy for all; what counts is the process's CPU time, and of
each round its ratio to librosa's in that round. On a busy machine those that move more memory lose more: the best runs,
compared with each other, are nearest to what an idle one gives. One that is not installed is left out and named.
`--torchaudio` names a Python that has torchaudio: with a torch that it accepts, or without its compiled extension, which
refuses all others and is not used here.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
EPS = 2.0**-23
FRONT_ENDS = {  # sample rate, n_fft = window, hop, bands, f_min, f_max
    "m2d_16k": (16000, 400, 160, 80, 50, 8000),
    "m2d_32k": (32000, 800, 320, 80, 50, 16000),
    "byol_a": (16000, 1024, 160, 64, 60, 7800),
}
THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "NUMBA", "VECLIB_MAXIMUM")


def librosa_(sr, n_fft, hop, bands, lo, hi):
    import librosa
    import numpy as np

    def run(x):
        mel = librosa.feature.melspectrogram(
            y=x, sr=sr, n_fft=n_fft, hop_length=hop, n_mels=bands, fmin=lo, fmax=hi, pad_mode="reflect")
        return np.log(mel + np.float32(EPS)).T

    return f"librosa {librosa.__version__}, float32", run


def torch_(sr, n_fft, hop, bands, lo, hi):
    import librosa
    import torch

    torch.set_num_threads(1)
    bank = torch.from_numpy(librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=bands, fmin=lo, fmax=hi))
    window = torch.hann_window(n_fft)

    def run(x):
        spectrum = torch.stft(torch.from_numpy(x), n_fft, hop, window=window, pad_mode="reflect", return_complex=True)
        return torch.log(bank @ spectrum.abs().square() + EPS).T

    return f"torch.stft + matmul, torch {torch.__version__.split('+')[0]}, float32", run


def torchaudio_(sr, n_fft, hop, bands, lo, hi):
    import torch
    import torchaudio

    torch.set_num_threads(1)
    mel = torchaudio.transforms.MelSpectrogram(
        sr, n_fft, hop_length=hop, n_mels=bands, f_min=lo, f_max=hi, norm="slaney", mel_scale="slaney")
    return f"torchaudio {torchaudio.__version__.split('+')[0]}, float32", lambda x: torch.log(mel(torch.from_numpy(x)) + EPS).T


def kaldi_(sr, n_fft, hop, bands, lo, hi):
    import importlib.metadata

    import kaldi_native_fbank
    import numpy as np

    options = kaldi_native_fbank.FbankOptions()
    frame = options.frame_opts
    frame.samp_freq, frame.frame_length_ms, frame.frame_shift_ms = sr, 1000 * n_fft / sr, 1000 * hop / sr
    frame.dither, frame.window_type, frame.preemph_coeff, frame.remove_dc_offset = 0, "hanning", 0, False
    frame.snip_edges, frame.round_to_power_of_two = False, False
    options.mel_opts.num_bins, options.mel_opts.low_freq, options.mel_opts.high_freq = bands, lo, hi

    def run(x):
        # Its scale is HTK's and its edges are its own: the work is alike, the values are not.
        bank = kaldi_native_fbank.OnlineFbank(options)
        bank.accept_waveform(sr, x)
        bank.input_finished()
        return np.stack([bank.get_frame(t) for t in range(bank.num_frames_ready)])

    return f"kaldi-native-fbank {importlib.metadata.version('kaldi-native-fbank')}, float32", run


PEERS = {"librosa": librosa_, "torch": torch_, "torchaudio": torchaudio_, "kaldi": kaldi_}


def serve(name, front_end, path):
    """The other side of `Peer`: a line with the name, then for every line read the log-mel, and its size."""
    import numpy as np

    title, run = PEERS[name](*FRONT_ENDS[front_end])
    print(title, flush=True)
    x = np.fromfile(path, "<f4")
    for _ in sys.stdin:
        frames = run(x)
        print(frames.shape[0], float(frames.sum()), flush=True)


class Peer:
    def __init__(self, command, title=None):
        env = os.environ | {f"{name}_NUM_THREADS": "1" for name in THREADS}
        self.process = subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True, env=env)
        # The kernel's clock of another process's CPU time, as clock_getcpuclockid(3) makes it.
        self.clock = (~self.process.pid << 3) | 2
        self.title = title or self.process.stdout.readline().strip()
        self.seconds = []

    def missing(self):
        """Why it cannot run."""
        return self.process.stderr.read().strip().splitlines()[-1]

    def run(self):
        before = time.clock_gettime(self.clock)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        self.seconds.append(time.clock_gettime(self.clock) - before)
        return int(answer[0]), float(answer[1])


def main():
    import numpy as np

    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--front-end", choices=FRONT_ENDS, default="m2d_16k")
    parser.add_argument("--torchaudio", default=sys.executable)
    options = parser.parse_args()
    sr, *_, bands, _, _ = FRONT_ENDS[options.front_end]

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.f32"
        n = np.arange(sr * options.seconds)
        noise = np.random.default_rng(1).standard_normal(len(n))
        (0.3 * np.sin(2 * np.pi * 440 / sr * n) + 0.05 * noise).astype("<f4").tofile(path)

        ours = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/examples/logmel"
        peers = [Peer([ours, options.front_end, path], "**gst-listen**, float64 inside")]
        for name in PEERS:
            python = options.torchaudio if name == "torchaudio" else sys.executable
            peer = Peer([python, __file__, "--serve", name, options.front_end, path])
            if peer.title:
                peers.append(peer)
            else:
                print(f"left out: {name}: {peer.missing()}")
        sums = {peer.title: peer.run() for peer in peers}  # warms up, too
        for peer in peers:
            peer.seconds.clear()
        for _ in range(options.runs):
            for peer in peers:
                peer.run()

    theirs = next(peer for peer in peers if peer.title.startswith("librosa"))
    print(f"\n{options.front_end}: {options.seconds} s of sound, {options.runs} interleaved runs, CPU time, 1 thread\n")
    print("| implementation | CPU time, median | best | x real time, median | best "
          "| x librosa, median of rounds | best by best | mean value |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for peer in sorted(peers, key=lambda peer: min(peer.seconds)):
        (frames, total), median, best = sums[peer.title], statistics.median(peer.seconds), min(peer.seconds)
        rounds = statistics.median(a / b for a, b in zip(theirs.seconds, peer.seconds))
        print(f"| {peer.title} | {median * 1e3:.1f} ms | {best * 1e3:.1f} ms "
              f"| {options.seconds / median:,.0f} | {options.seconds / best:,.0f} "
              f"| {rounds:.2f} | {min(theirs.seconds) / best:.2f} | {total / frames / bands:.5f} |")


if __name__ == "__main__":
    if "--serve" in sys.argv:
        serve(*sys.argv[2:])
    else:
        main()
