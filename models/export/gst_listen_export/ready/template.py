"""A manifest to be filled in, in TOML with comments, with what the graph itself says."""

import json
import re

import numpy as np

FRAMES, SAMPLES = 96, 16000


def guess(graph):
    """`(input, layout, bands, length, output, shape)`: what the graph most likely takes; `shape` of what it gives, None if it would not run."""
    takes, gives = graph.inputs[0], graph.outputs[0]
    shape = takes.shape or (None, None)
    fixed = [d if isinstance(d, int) and d > 0 else None for d in shape]
    layout, bands, length = {4: "B1FT", 3: "BFT"}.get(len(shape), "BT"), None, None
    if layout == "BT":
        length = fixed[-1] or SAMPLES
    else:
        first, second = fixed[-2:]
        # Of two lengths that are known, bands are the one that models have.
        if second and (not first or (second in (64, 80, 128) and first not in (64, 80, 128))):
            layout, first, second = layout[:-2] + "TF", second, first
        bands, length = first or 80, second or FRAMES
    return takes, layout, bands, length, gives, run(graph, takes, layout, bands, length)


def run(graph, takes, layout, bands, length):
    """The shape that comes of zeros of the guessed shape."""
    from gst_listen_export.onnx_export import open_session

    size = {"B1FT": (1, 1, bands, length), "B1TF": (1, 1, length, bands), "BFT": (1, bands, length), "BTF": (1, length, bands), "BT": (1, length)}[layout]
    try:
        return open_session(graph.path).run([graph.outputs[0].name], {takes.name: np.zeros(size, np.float32)})[0].shape
    except Exception:  # a guess that the graph does not take: the user says it
        return None


def quoted(text):
    return json.dumps(text)  # a basic string of TOML


def template(graph):
    """The text of the template."""
    takes, layout, bands, length, gives, shape = guess(graph)
    waves = layout == "BT"
    steps = shape is None or len(shape) == 3
    columns = shape[1] if shape is not None and steps else 0
    fixed = isinstance((takes.shape or (None,))[-2 if layout.endswith("TF") else -1], int)
    step = max(length // columns, 1) if columns else 0
    least = length if fixed else max(step, 1)
    unit = "samples" if waves else "frames"
    known = "" if shape is None else f"  # for {length} {unit} it gave {list(shape)}"
    layouts = "BT: [batch, samples]" if waves else "B1FT, B1TF, BFT, BTF: batch, bands (F), frames (T)"
    return f'''# What a package says of the graph {graph.path.name}. Every key is described in models/package/FORMAT.md.
# Fill it in, then:  gst-listen-export onnx {graph.path.name} --manifest THIS_FILE -o PACKAGE
# Not here, as the command writes them: format, version, sha256, encoder.graphs, self_test.
#
# The graph takes {takes}
# and gives {"; ".join(map(str, graph.outputs))}

id = {quoted(safe(graph.path.stem))}  # 1 to 64 of a-z 0-9 . _ -
family = "ready ONNX file"  # for people
frame_embedding = "{"identity" if steps else "none"}"  # tokens: stack_freq or mean_freq; frames: identity; clip, logits: none
clip_pooling = "{"mean_time" if steps else "none"}"  # mean_time, mean_plus_max_time; none for clip and logits

[license]  # of the weights
id = "LicenseRef-unknown"  # SPDX identifier, or the licence's own name
redistributable = false
commercial_use = false
accept_required = true  # whether users must say accept-license=true

[audio]
sample_rate = 16000
channels = 1
pre_scale = 1.0  # samples in [-1, 1] are multiplied by it
int16_roundtrip = false  # whether they are rounded to 16 bits first

{front_end(waves, bands)}
[normalize]  # of {"samples" if waves else "log-mel frames"}: none; fixed (mean, std); per_window; running (tau, mean, std)
kind = "none"
# mean = -7.1
# std = 4.2

[window]  # in {unit}
frames = {length}
min_frames = {least}
multiple_of = {1 if fixed else least}
max_frames = {length if fixed else 4 * length}
default_hop_frames = {max(length // 2, 1)}
short_pad = "{"silence" if waves else "zero_normalized"}"  # zero_normalized, repeat, silence: fills a window that the stream's end cuts short
edge = "rolling"  # rolling: cut from the stream; exact: as a recording of its own
default_output = "clip"  # clip, frames, tokens

[encoder.input]
name = {quoted(takes.name)}
layout = "{layout}"  # {layouts}

[encoder.output]
name = {quoted(gives.name)}
# tokens [B, freq_rows * columns, dim], frames [B, columns, dim], clip [B, dim], logits [B, dim]
kind = "{"frames" if steps else "clip"}"{known}
dim = {shape[-1] if shape is not None else 0}
freq_rows = 1
frames_per_column = {step}  # {unit} that a time step stands for; 0 for clip and logits
# order = "f_major"  # for tokens: f_major (all of a row, then the next) or t_major

# Optional, their files beside this one: [streaming], [head], [clap] with [text] or [label_embeddings], [tagger]. For kind logits:
# [tagger]
# activation = "sigmoid"  # sigmoid, softmax, none
# labels = "labels.txt"  # the classes' names, one a line
'''


def safe(text):
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-")[:64] or "package"


def front_end(waves, bands):
    if waves:
        return '[frontend]\nkind = "in_graph"  # the graph takes samples; no other key\n'
    return f'''[frontend]  # how log-mel frames are made; these are M2D's numbers
kind = "logmel"
sample_rate = 16000
n_fft = 400
win_length = 400
hop_length = 160
n_mels = {bands}
f_min = 50.0
f_max = 8000.0
window = "hann_periodic"
center = true  # with pad_mode reflect; false with none
pad_mode = "reflect"
spectrum = "power"  # power, magnitude
mel_scale = "slaney"  # slaney, htk
mel_norm = "slaney"  # slaney, none
triangle_domain = "hz"  # hz, mel
zero_dc = false
# filterbank = "filterbank.safetensors"  # bands of the model's own, [n_mels, n_fft / 2 + 1]

[frontend.log]  # ln_add (eps), ln_max (floor), db_max (amin)
kind = "ln_add"
eps = 1.1920928955078125e-07
'''
