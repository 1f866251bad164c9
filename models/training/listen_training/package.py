"""Writes a package: graphs, tokenizer, calibration, self-test, manifest."""

import copy
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors.numpy import save_file
from torch import nn

from . import audio, carry, export, notice, settle, tower
from .batches import MEAN, STD
from .model import COLUMN, Head, reach_of

FRONT_END = {
    "kind": "logmel",
    "sample_rate": 16000,
    "n_fft": 400,
    "win_length": 400,
    "hop_length": 160,
    "window": "hann_periodic",
    "center": True,
    "pad_mode": "reflect",
    "spectrum": "power",
    "n_mels": 80,
    "f_min": 50.0,
    "f_max": 8000.0,
    "mel_scale": "slaney",
    "mel_norm": "slaney",
    "triangle_domain": "hz",
    "zero_dc": False,
    "log": {"kind": "ln_add", "eps": 2.0**-23},
}


class Pool(nn.Module):
    """The head as it is exported (unit vectors)."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, tokens):
        return self.head(tokens)


def whole_columns(frames):
    """The next multiple of a column."""
    return -(-frames // COLUMN) * COLUMN


def carried(path):
    """`streaming.carry` of the manifest."""
    outputs = [output.name for output in onnx.load(str(path)).graph.output]
    states = [{"input": before, "output": after} for before, after in carry.names(len(outputs) - 1)]
    assert [state["output"] for state in states] == outputs[1:], outputs
    return {"tail": carry.TAIL, "states": states}


def self_test_signal(frames):
    """Tones, a sweep, clicks and noise from a congruential generator: `frames` frames of float32 samples."""
    n = (frames - 1) * audio.HOP
    t = np.arange(n) / audio.RATE
    state, noise = 1, np.empty(n)
    for i in range(n):
        state = (1664525 * state + 1013904223) & 0xFFFFFFFF
        noise[i] = state / 2147483648.0 - 1
    x = (
        0.3 * np.sin(2 * np.pi * 440 * t) * (t % 0.7 < 0.35)
        + 0.2 * np.sin(2 * np.pi * (200 * t + 600 * t * t))
        + 0.02 * noise
    )
    x[::4001] += 0.5
    x[n // 2 : n // 2 + 1600] = 0
    return x.astype(np.float32)


class Runner:
    """The exported graphs in onnxruntime: what the package gives."""

    def __init__(self, folder):
        from tokenizers import Tokenizer

        folder = Path(folder)
        self.encoder, self.head = export.session(folder / "encoder.onnx"), export.session(folder / "head.onnx")
        self.tower = export.session(folder / "text.onnx")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def tokens(self, mel):
        """Log-mel windows [B, T, 80] to tokens [B, T / 8, dim]."""
        x = ((mel.astype(np.float32) - np.float32(MEAN)) / np.float32(STD)).transpose(0, 2, 1)[:, None]
        return self.encoder.run(None, {"mel": np.ascontiguousarray(x)})[0]

    def clip(self, tokens):
        """Tokens [B, N, dim] to unit vectors [B, dim]."""
        return self.head.run(None, {"tokens": tokens})[0]

    def text(self, texts, templates=("{}",)):
        """Unit vectors [n, dim]: the mean over the templates."""
        total = 0
        for template in templates:
            ids, mask = tower.encode(self.tokenizer, [template.format(t) for t in texts], 32)
            total = total + self.tower.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        return total / np.linalg.norm(total, axis=-1, keepdims=True)


def graphs(folder, student, text, config):
    """Writes the three graphs; returns the measured differences. `text` None: text.onnx is there already."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    encoder = export.fold(copy.deepcopy(student.encoder).eval().to(memory_format=torch.contiguous_format))
    dim = config.audio.dim
    states = export.write_encoder(encoder, config.package.window, folder / "encoder.onnx")
    delay = reach_of(config.audio)[1] // COLUMN
    worst, batch = export.check_encoder(folder / "encoder.onnx", encoder, dim, states, delay)
    # Half the size; the cosine to the full weights stays above 0.999999.
    stored = onnx.load(str(folder / "encoder.onnx"))
    export.halve(stored, 2000)
    onnx.save(stored, str(folder / "encoder.onnx"))
    head = Head(dim)
    head.load_state_dict(student.head.state_dict())
    export.write(
        Pool(head),
        (torch.randn(2, 36, dim),),
        ["tokens"],
        ["embedding"],
        {"tokens": {0: "batch", 1: "columns"}, "embedding": {0: "batch"}},
        folder / "head.onnx",
    )
    if text is not None:
        text = copy.deepcopy(text)
        text.map = copy.deepcopy(student.map)
        ids = torch.randint(2, 100, (2, 5))
        export.write(
            text.eval(),
            (ids, torch.ones_like(ids)),
            ["input_ids", "attention_mask"],
            ["embedding"],
            {
                "input_ids": {0: "batch", 1: "pieces"},
                "attention_mask": {0: "batch", 1: "pieces"},
                "embedding": {0: "batch"},
            },
            folder / "text.onnx",
            half=20000,
        )
    return {"encoder_max_abs": worst, "encoder_batch_max_abs": batch}


def write(folder, text_tokenizer, labels, config, calibration):
    """Everything that `graphs` has not written; `calibration` is calibrate.Result. Returns the package's size in bytes."""
    folder = Path(folder)
    if Path(text_tokenizer).resolve() != (folder / "tokenizer.json").resolve():
        shutil.copyfile(text_tokenizer, folder / "tokenizer.json")
    runner = Runner(folder)
    window = config.package.window
    samples = self_test_signal(window)
    log_mel = audio.log_mel(samples)
    embedding = runner.clip(runner.tokens(log_mel[None]))[0]
    save_file(
        {"samples": samples, "log_mel": log_mel.astype(np.float32), "embedding": embedding},
        str(folder / "self_test.safetensors"),
    )
    save_file({"background": calibration.background.astype(np.float16)}, str(folder / "calibration.safetensors"))
    save_file(
        {"embeddings": runner.text(labels, calibration.templates).astype(np.float32)},
        str(folder / "labels.safetensors"),
    )
    (folder / "LICENSE.txt").write_text(Path(__file__).with_name("weights-license.txt").read_text())
    # Not among the sums: a name or an address in it may be put right without another space of embeddings.
    notice.write(folder / "NOTICE", config)
    files = [
        "encoder.onnx",
        "head.onnx",
        "text.onnx",
        "tokenizer.json",
        "self_test.safetensors",
        "calibration.safetensors",
        *([settle.FILE] if (folder / settle.FILE).exists() else []),
        "labels.safetensors",
        "LICENSE.txt",
    ]
    manifest = {
        "format": "audio-embedding-package",
        "version": 1,
        "id": config.package.id,
        "family": config.package.family,
        "description": config.package.description,
        "sha256": {f: hashlib.sha256((folder / f).read_bytes()).hexdigest() for f in sorted(files)},
        "license": {
            "id": "CC-BY-4.0",
            "file": "LICENSE.txt",
            "redistributable": True,
            "commercial_use": True,
            "accept_required": False,
        },
        "audio": {"sample_rate": 16000, "channels": 1, "pre_scale": 1.0, "int16_roundtrip": False},
        "frontend": FRONT_END,
        "normalize": {"kind": "fixed", "mean": MEAN, "std": STD},
        "window": {
            "frames": window,
            "min_frames": 32,
            "multiple_of": 8,
            "max_frames": 3000,
            "default_hop_frames": config.package.hop,
            "short_pad": "silence",
            "edge": "rolling",
            "default_output": "frames",
        },
        "encoder": {
            "graphs": {"fp32": {"file": "encoder.onnx"}},
            "input": {"name": "mel", "layout": "B1FT"},
            "output": {
                "name": "tokens",
                "kind": "frames",
                "dim": config.audio.dim,
                "freq_rows": 1,
                "frames_per_column": 8,
            },
        },
        "streaming": {
            "chunk_frames": config.package.hop,
            "left_context": whole_columns(reach_of(config.audio)[0]),
            "right_context": whole_columns(reach_of(config.audio)[1]),
            "carry": carried(folder / "encoder.onnx"),
        },
        "frame_embedding": "identity",
        "clip_pooling": "none",
        "head": {
            "file": "head.onnx",
            "input": "tokens",
            "output": "embedding",
            "takes": "all",
            "dim": config.audio.dim,
            "frames": True,
        },
        "clap": {
            "dim": config.audio.dim,
            "logit_scale": calibration.scale,
            "logit_bias": calibration.bias,
            "prompt_templates": list(calibration.templates),
            "background_prompts": list(calibration.prompts),
            "calibration": {
                "file": "calibration.safetensors",
                "a": calibration.a,
                "b": calibration.b,
                "min_std": calibration.min_std,
            },
            **({"placing": settle.section()} if (folder / settle.FILE).exists() else {}),
            "default_threshold": calibration.threshold,
            "default_offset_threshold": calibration.offset_threshold,
            "default_smoothing": calibration.smoothing or None,
        },
        "text": {
            "file": "text.onnx",
            "tokenizer": "tokenizer.json",
            "inputs": ["input_ids", "attention_mask"],
            "output": "embedding",
            "max_length": config.text.length,
            "pad": "longest",
            "pad_id": 0,
            "pooling": "in_graph",
        },
        "label_embeddings": {"file": "labels.safetensors", "labels": list(labels)},
        "self_test": {"file": "self_test.safetensors", "log_mel_max_abs": 1e-4, "embedding_min_cos": 0.9999},
    }
    for file in files:
        (folder / file).chmod(0o644)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return sum((folder / f).stat().st_size for f in files)
