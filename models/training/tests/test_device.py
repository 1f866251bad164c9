"""Training on a GPU, without one: on a device in its place, which no operation may mix with the processor."""

import mixes
import numpy as np
import pytest
import torch

from listen_training import config, device


def test_the_processor_is_taken_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.chosen("auto") == device.chosen("cpu") == torch.device("cpu")
    with pytest.raises(SystemExit, match=r"device is 'cuda:1'.*finds 0 GPUs"):
        device.chosen("cuda:1")
    for name in ("fast", "meta", "cuda:x"):
        with pytest.raises(SystemExit, match=rf"'{name}': expected \"auto\", \"cpu\", \"cuda\""):
            device.chosen(name)


def test_the_gpu_is_taken_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device.chosen("auto") == torch.device("cuda") and device.chosen("cuda:0") == torch.device("cuda:0")
    with pytest.raises(SystemExit, match="finds 1 GPUs"):
        device.chosen("cuda:1")


GPU = torch.device("meta")


class Gpu:
    """In the place of a GPU: PyTorch's `meta` device, whose tensors hold no numbers, but which no operation may mix with others.

    Numbers read there are 0.5, what comes back from there is 0; what is saved is kept in memory.
    """

    def __init__(self, monkeypatch):
        self.kept, self.monkeypatch = {}, monkeypatch
        convert, autocast = torch.nn.Module.to, torch.autocast

        def to(module, *args, **kwargs):
            if args == ("cpu",) and any(p.device == GPU for p in module.parameters()):
                return module.to_empty(device="cpu")
            return convert(module, *args, **kwargs)

        def load(path, map_location=None, **kwargs):
            return device.moved(self.kept[str(path)], torch.device(map_location))

        def save(state, path):
            # A checkpoint is renamed when it is whole.
            self.kept[str(path).replace(".part", ".pt")] = state
            open(path, "wb").close()

        known = lambda kind, *args, **kwargs: autocast("cpu" if kind == "meta" else kind, *args, **kwargs)
        monkeypatch.setattr(torch, "autocast", known)
        monkeypatch.setattr(torch.nn.Module, "to", to)
        monkeypatch.setattr(torch.Tensor, "__float__", lambda tensor: 0.5)
        monkeypatch.setattr(torch.Tensor, "item", lambda tensor: 0.5)
        monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: [0] * len(tensor))
        monkeypatch.setattr(torch, "save", save)
        monkeypatch.setattr(torch, "load", load)


@pytest.fixture
def gpu(monkeypatch):
    return Gpu(monkeypatch)


def places(state):
    """The kinds of devices that the tensors in a checkpoint lie on; steps are counted on the processor."""
    if isinstance(state, torch.Tensor):
        return {state.device.type} if state.ndim else set()
    if isinstance(state, dict):
        return set().union(*map(places, state.values())) if state else set()
    return set().union(*map(places, state)) if isinstance(state, list | tuple) and state else set()


class Drawn:
    """A batch as the pool's shards give it, of two labels, with what the teacher says."""

    def __init__(self, folder=None):
        self.shards = 1

    def __len__(self):
        return 1

    def refresh(self):
        pass

    def draw(self, rng, count):
        columns, sources = 72, 2
        return {
            "mel": rng.normal(-9, 4, (count, 8 * columns, 80)),
            "labels": np.tile(np.array([0, 1], np.int16), (count, 1)),
            "folds": np.tile(np.array([1, 2], np.int8), (count, 1)),
            "activity": rng.random((count, sources, columns)) < 0.7,
            "unsure": np.zeros((count, sources, columns), bool),
            "scores": rng.random((count, 11, 5)),
            "vectors": rng.random((count, 11, 1024)),
        }


SMALL = {
    "widths": [8, 12, 16, 24, 32],
    "trunk": 32,
    "dim": 16,
    "batch": 4,
    "save_every": 2,
    "check_every": 2,
    "bf16": False,
}


def bank():
    from listen_training import words

    rng = np.random.default_rng(3)
    unit = lambda n: (lambda x: x / np.linalg.norm(x, axis=1, keepdims=True))(rng.normal(size=(n, 384))).astype(
        np.float32
    )
    return words.Bank(["dog", "rain"], unit(6), np.array([0, 3, 6]), np.array([2, 2]), unit(5), unit(80))


PROBE = {k: v.astype(np.float32) if v.dtype == float else v for k, v in mixes.PROBE.items()} | {
    "weights": np.ones((3, 1024, 2), np.float32)
}


def test_the_audio_side_is_trained_on_the_gpu(gpu, tmp_path, monkeypatch):
    from listen_training import pretrain, train

    monkeypatch.setattr(pretrain, "Items", Drawn)
    val = [(np.zeros((400, 80), np.float32), 0)]
    taught = bank(), {"overlap": {}}, val, (24, 12), PROBE, [0, 1]
    audio = config.Audio(**SMALL, steps=3, masked_steps=2, weight_frame_choice=0.5)
    lines = []
    run = lambda audio: train.train(audio, tmp_path, *taught, 5, lines.append, items=Drawn(), device=GPU)
    model = run(audio)
    checkpoint = lambda: gpu.kept[str(tmp_path / "audio.pt")]
    assert places(checkpoint()) == {"meta"} and checkpoint()["step"] == 3
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    # And goes on there.
    run(config.Audio(**SMALL, steps=5, weight_frame_choice=0.5))
    assert places(checkpoint()) == {"meta"} and checkpoint()["step"] == 5
    assert {"teacher", "probe", "recall", "frame_choice", "top1"} <= set().union(*lines)


class Encoder:
    """In the place of the sentence encoder: its word pieces and their vectors."""

    def __init__(self, folder, vocab):
        import json
        import types

        (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {w: i for i, w in enumerate(vocab)}}}))
        self.folder = folder
        table = types.SimpleNamespace(weight=torch.from_numpy(np.random.default_rng(1).normal(size=(len(vocab), 24))))
        self.net = types.SimpleNamespace(embeddings=types.SimpleNamespace(word_embeddings=table))


def test_the_text_tower_is_trained_on_the_gpu(gpu, tmp_path):
    from listen_training import tower

    vocab = ["[PAD]", "[UNK]", *"abcdefghijklmnopqrstuvwxyz", "dog", "rain", "bark", "##s", "##ing"]
    (tmp_path / "encoder").mkdir()
    encoder = Encoder(tmp_path / "encoder", vocab)
    phrases = ["dog", "rain", "dogs bark", "raining", "a dog barks"] * 50
    vectors = np.random.default_rng(2).normal(size=(len(phrases), 384)).astype(np.float32)
    weights = np.ones(len(phrases))
    text = config.Text(pieces=40, width=16, inner=32, layers=1, steps=4, join_steps=3, batch=8)
    map_ = torch.nn.Linear(384, 16)
    lines = []
    model, tokenizer = tower.train(text, tmp_path, phrases, vectors, weights, encoder, vocab, 1, lines.append, GPU)
    assert places(gpu.kept[str(tmp_path / "text.pt")]) == {"meta"}
    model = tower.join(text, model, tokenizer, map_, phrases, vectors, weights, 1, lines.append, GPU)
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    assert [line["stage"] for line in lines] == ["text", "join"]


class Words:
    """In the place of the captions' tokenizer: an id a word."""

    def get_vocab_size(self):
        return 200

    def token_to_id(self, word):
        return 100 + int(word)

    def encode(self, text, add_special_tokens=False):
        import types

        return types.SimpleNamespace(ids=[10 + len(word) for word in text.split()])


class Scenes:
    """Examples of one to three windows, as `captions_scenes.Scenes` draws them."""

    def draw(self, rng):
        import types

        windows = [rng.normal(size=(int(rng.integers(1, 3)), 16)).astype(np.float32) for _ in range(rng.integers(1, 4))]
        return types.SimpleNamespace(windows=windows, evidence="dog 0 8", caption="a dog barks"[: rng.integers(5, 11)])


def test_the_captions_decoder_is_trained_on_the_gpu(gpu, tmp_path):
    from listen_training import captions_train

    captions = config.Captions(steps=3, batch=4, width=16, layers=1, heads=2, save_every=2, bf16=False)
    lines = []
    model = captions_train.train(captions, Scenes(), Scenes(), Words(), 16, tmp_path, 4, lines.append, GPU)
    assert places(gpu.kept[str(tmp_path / "captions.pt")]) == {"meta"} and len(lines) == 2
    assert {p.device.type for p in model.parameters()} == {"cpu"}
