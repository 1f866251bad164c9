"""Windows of sound as a graph takes them: for measuring reduced precisions."""

import numpy as np

from gst_listen_export import logmel, sounds
from gst_listen_export.frontend import samples_of
from gst_listen_export.package import condition


def log_mel_feeds(manifest, folder=None, count=16, package=None):
    """Two lists of `{input: [1, ...]}`, to make a graph with and to measure it on: default windows of sound, normalised, in the layout of
    the encoder's input; `package`: its folder.
    """
    front_end, name, layout = manifest["frontend"], manifest["encoder"]["input"]["name"], manifest["encoder"]["input"]["layout"]
    rate, size = manifest["audio"]["sample_rate"], manifest["window"]["frames"]
    seconds = front_end["hop_length"] / rate

    def feed(samples):
        mel = logmel.log_mel(front_end, condition(samples, manifest["audio"]), package)
        return {name: laid_out(logmel.normalize(mel, manifest["normalize"], seconds).astype(np.float32), layout)}

    return [[feed(x) for x in pieces] for pieces in sounds.two_sets(folder, rate, samples_of(front_end, size), count)]


def window_feeds(manifest, folder=None, count=16, package=None):
    """The same for any front end: samples where the graph takes them."""
    if manifest["frontend"]["kind"] != "in_graph":
        return log_mel_feeds(manifest, folder, count, package)
    rate, name = manifest["audio"]["sample_rate"], manifest["encoder"]["input"]["name"]
    feed = lambda x: {name: logmel.normalize(condition(x, manifest["audio"]), manifest["normalize"], 1 / rate).astype(np.float32)[None]}
    return [[feed(x) for x in pieces] for pieces in sounds.two_sets(folder, rate, manifest["window"]["frames"], count)]


def laid_out(window, layout):
    """`[T, F]` as the encoder's input: `B1FT`, `B1TF`, `BFT` or `BTF`."""
    x = window.T if layout.endswith("FT") else window
    return np.ascontiguousarray(x[None, None] if layout.startswith("B1") else x[None])
