"""The one configuration file (TOML)."""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path


@dataclass
class Audio:
    """The audio side and its training.

    `start` names a checkpoint (audio.pt) whose averaged weights it begins with, or a package made here: then the words stay
    the package's, and only the audio side learns; `weight_stay` keeps its tokens near those that the package gives, and `halfway` is the
    share of the package's weights in what comes out: the mean of where a training began and where it ended knew more than either.
    `edge`: how much more than others the frames near a beginning or an end of a sound weigh, in its label.
    """

    dim: int = 256
    widths: list = field(default_factory=lambda: [16, 32, 64, 128, 192])
    trunk: int = 320
    temporal: int = 2
    reach: int = 6
    memory: int = 24
    bf16: bool = True
    steps: int = 2400
    batch: int = 64
    rate: float = 3e-3
    warmup: int = 300
    decay: float = 0.02
    average: float = 0.998
    save_every: int = 50
    check_every: int = 150
    one_wording: bool = False
    start: str = ""
    masked_steps: int = 0
    masked_rate: float = 1.5e-3
    masked_ratio: float = 0.6
    masked_average: float = 0.99
    weight_clip: float = 1.0
    weight_choice: float = 0.5
    weight_frame_choice: float = 0.0
    weight_frame: float = 1.0
    edge: float = 0.0
    weight_teacher: float = 0.15
    weight_probe: float = 0.5
    weight_recall: float = 0.5
    weight_nonsense: float = 0.2
    weight_stay: float = 0.0
    halfway: float = 0.0
    minutes: float = 0.0
    spans: float = 0.3


@dataclass
class Pool:
    """The pool of mixes. `rendered`: recordings that Csound and eSpeak NG make of random numbers, as unrelated sound.

    `bent`: the share of labelled sounds bent so far (another or changing speed, backwards, under another sound's spectrum, worn)
    that only the teacher says what they are. The training begins when `ready` shards are there: mixing and training at once
    slow each other down, which a schedule in minutes has to pay for.
    """

    shards: int = 96
    ready: int = 8
    workers: int = 2
    rendered: int = 0
    bent: float = 0.0


@dataclass
class Text:
    """The text tower."""

    pieces: int = 6000
    width: int = 128
    inner: int = 192
    layers: int = 2
    length: int = 32
    phrases: int = 40000
    steps: int = 4000
    join_steps: int = 1000
    batch: int = 128
    rate: float = 2e-3


@dataclass
class Package:
    """What the package says of itself."""

    id: str = "listen-default"
    window: int = 288
    hop: int = 96
    background: int = 160
    scenes: int = 400
    placed: int = 1600  # scenes that the networks learn onsets and offsets from
    settings: str = ""  # figures.json of the run that kept val out, whose a, b and thresholds are taken over
    unrelated_streams: int = 12  # of five minutes, to choose thresholds by
    family: str = "convolutional audio-text model; sigmoid contrastive, distilled from YAMNet (audio) and MiniLM (text)"
    description: str = "Everyday sounds and words, trained by the gst-listen project on permissive recordings."


@dataclass
class Captions:
    """The captions' decoder; `steps` 0: none. `minutes` ends the training where the steps have not; `start` names
    a checkpoint (captions.pt) whose averaged weights it begins with."""

    steps: int = 0
    minutes: float = 0.0
    batch: int = 64
    rate: float = 2e-3
    items: int = 12288  # mixes of the pool
    pieces: int = 760
    width: int = 104
    layers: int = 3
    heads: int = 4
    max_windows: int = 10
    max_tokens: int = 64
    save_every: int = 50
    bf16: bool = True
    start: str = ""
    trusts_events: bool = True  # it names the events that it is told, no others


@dataclass
class Config:
    """All of it, with a seed, the number of threads (0: as torch likes), and the device of the steps: `auto` (a GPU where CUDA has
    one), `cpu`, `cuda`, `cuda:1`.

    `kept_out` names a CSV (path, part): rows of part `eval` train nothing; no text in the TOML file
    `kept_out_words` does either. `both` trains on `val` rows too: for weights
    that are given out after everything has been chosen and measured without it.
    """

    seed: int = 7
    threads: int = 2
    device: str = "auto"
    teacher: str = ""
    audioset: str = ""
    kept_out: str = ""
    kept_out_words: str = ""
    both: bool = False
    audio: Audio = field(default_factory=Audio)
    pool: Pool = field(default_factory=Pool)
    text: Text = field(default_factory=Text)
    package: Package = field(default_factory=Package)
    captions: Captions = field(default_factory=Captions)


def load(path):
    """Reads the file; a key that is not known is an error that names it."""
    raw = tomllib.loads(Path(path).read_text()) if path else {}
    made = build(Config, raw, "")
    # Folders are told from where the file lies.
    files = (
        (made, ("teacher", "audioset", "kept_out", "kept_out_words")),
        (made.audio, ("start",)),
        (made.package, ("settings",)),
    )
    for table, keys in files:
        for key in keys:
            if path and getattr(table, key):
                setattr(table, key, str((Path(path).resolve().parent / getattr(table, key)).resolve()))
    if made.audio.start and not Path(made.audio.start).exists():
        raise SystemExit(
            f"configuration: audio.start {made.audio.start} is not there: expected a package or an audio.pt"
        )
    if not 0 <= made.audio.halfway < 1:
        raise SystemExit(f"configuration: audio.halfway is {made.audio.halfway}: expected a share from 0 to below 1")
    if made.audio.halfway and not (Path(made.audio.start) / "manifest.json").is_file():
        raise SystemExit(
            f"configuration: audio.halfway is {made.audio.halfway}, expected a package as audio.start, found {made.audio.start!r}"
        )
    if made.teacher and not (Path(made.teacher) / "yamnet_spectra_in.tflite").exists():
        raise SystemExit(
            f'configuration: teacher {made.teacher} holds no yamnet_spectra_in.tflite; teacher = "" trains without'
        )
    return made


def build(kind, raw, where):
    """A dataclass from a table."""
    known = {f.name: f for f in fields(kind)}
    for key in raw:
        if key not in known:
            raise SystemExit(f"configuration: unknown key {where}{key}; known: {', '.join(known)}")
    inner = {"audio": Audio, "pool": Pool, "text": Text, "package": Package, "captions": Captions}
    made = {k: build(inner[k], v, f"{k}.") if k in inner and kind is Config else v for k, v in raw.items()}
    return kind(**made)
