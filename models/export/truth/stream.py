"""What a stream is cut into, and when each piece is: written from models/package/FORMAT.md and the papers."""
import numpy as np


class Normalizer:
    """(x - mean) / std of each window in turn: `fixed`, `per_window` or `running`."""

    def __init__(self, kind, mean=None, std=None, tau=None, frame_seconds=0.01):
        self.kind, self.mean, self.std, self.first_std = kind, mean, std, std
        self.keep = np.exp(-frame_seconds / tau) if kind == "running" else None
        self.square = None if kind != "running" else std**2 + mean**2
        self.heard = 0

    def __call__(self, start, window):
        if self.kind == "fixed":
            return (window - self.mean) / self.std
        if self.kind == "per_window":
            return (window - np.mean(window)) / max(np.std(window), 1e-6)
        for t, frame in enumerate(window):
            if start + t >= self.heard:  # a frame in two windows counts once
                self.mean = self.keep * self.mean + (1 - self.keep) * np.mean(frame)
                self.square = self.keep * self.square + (1 - self.keep) * np.mean(frame**2)
                self.heard = start + t + 1
        std = max(np.sqrt(max(self.square - self.mean**2, 0)), self.first_std / 10)
        return (window - self.mean) / std


def windows(front_end, samples, size, hop, whole=None, fill=None):
    """`[(first frame, log-mel [T, F])]`: windows of `size` frames, each heard as a recording of its own (`edge=exact`).

    The last one is what is left, where no earlier window reaches the end. With `whole`, the log-mel of the whole
    recording, they are cut from that (`edge=rolling`). With `fill` that one is made of its samples as often as they fit whole and then
    zeros ("repeat", LAION-CLAP) or again and again ("repeat_cut", MS-CLAP).
    """
    if whole is not None:
        starts, k = [], 0
        while k == 0 or (k - 1) * hop + size < len(whole):
            starts.append(k * hop)
            k += 1
        return [(a, whole[a : a + size]) for a in starts]
    found, k, need = [], 0, front_end.samples(size)
    while True:
        cut = samples[k * hop * front_end.hop :][:need]
        full = len(cut) == need
        if fill and not full:
            times = need // len(cut) + (fill == "repeat_cut")
            cut = np.concatenate([np.tile(cut, times), np.zeros(need)])[:need]
        # a window of exactly `need` samples makes `size` frames
        found.append((k * hop, front_end(cut)))
        k += 1
        if not full or (k - 1) * hop * front_end.hop + need >= len(samples):
            return found


def padded(window, step, minimum, longest):
    """Zeros after normalisation, up to the next whole step and the shortest window; never beyond the window asked for."""
    length = min(max(-(-len(window) // step) * step, minimum), longest)
    return np.concatenate([window, np.zeros((length - len(window), window.shape[1]))])


def nanoseconds(front_end, frame):
    """When a frame begins to be described: its number times the hop, in whole nanoseconds, rounded down as GStreamer does."""
    return frame * front_end.hop * 1_000_000_000 // front_end.rate
