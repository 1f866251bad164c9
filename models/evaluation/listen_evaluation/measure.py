"""The parts of the evaluation: each takes what is to be heard and gives plain numbers."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import alarms, captions, classify, detect, index, peer, scenes, sounds, speed, unrelated, yamnet
from .pipeline import Listener
from .progress import each

SNRS = (0, 6, 12)
PER_STREAM = 20


@dataclass
class Size:
    """How much is heard."""

    clips: int  # 0: all
    scenes: int
    snrs: tuple
    streams: int  # of ten minutes
    made_up: int
    captions: int
    times: int  # of the speed
    outputs: tuple = ("clip", "frames")


FULL = Size(clips=0, scenes=300, snrs=SNRS, streams=18, made_up=3, captions=200, times=3)
QUICK = Size(clips=150, scenes=60, snrs=(6,), streams=3, made_up=1, captions=40, times=1, outputs=("clip",))


@dataclass
class Task:
    """What is evaluated on what."""

    listener: Listener
    folder: Path
    rows: list  # of the role and set that judge
    everything: list  # all rows of the index
    labels: list
    seed: int
    jobs: int
    size: Size
    work: Path
    minutes: float = unrelated.MINUTES
    split: Path | None = None
    data: str = field(default="")
    _scenes: tuple | None = None

    def __post_init__(self):
        # What scenes and streams are made from and by: a change makes them other sounds for the cache.
        parts = [(self.folder / "index.csv").read_bytes(), (self.split or index.HERE / "unrelated.csv").read_bytes()]
        parts += [Path(m.__file__).read_bytes() for m in (scenes, unrelated, sounds, index)]
        parts.append(",".join(r.name for r in self.rows).encode())
        self.data = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16] + f" seed {self.seed}"

    def lists(self):
        return index.lists_of_ten(self.labels, self.seed)

    def scene_sounds(self):
        """Clips, and unrelated recordings for backgrounds."""
        if self._scenes is None:
            recordings = unrelated.flat(unrelated.kinds(self.folder, "eval", self.split))
            self._scenes = scenes.load(self.rows), recordings
        return self._scenes


def classification(task):
    """Top-1, top-3, mAP by the labels' names and, where they are known, by their paraphrases; for both outputs."""
    rows = index.spread(task.rows, task.size.clips)
    others = index.table("paraphrases.toml", "paraphrases")
    wordings = [task.labels]
    if all(label in others for label in task.labels):
        wordings += [[others[label][k] for label in task.labels] for k in range(3)]
    truth, out = [r.label for r in rows], {}
    for output in task.size.outputs:
        heard = classify.hear(task.listener, rows, wordings, task.jobs, output, f"clips, output={output}")
        out[output] = [classify.judge(scores, truth, task.labels) for scores in heard]
    return out


def fresh_wordings(task, output):
    """Top-1 and the rest by wordings of somebody who had seen no text that trains; none where they do not know the labels."""
    others = index.table("paraphrases2.toml", "paraphrases")
    if not all(label in others for label in task.labels):
        return []
    rows = index.spread(task.rows, task.size.clips)
    wordings = [[others[label][k] for label in task.labels] for k in range(3)]
    heard = classify.hear(task.listener, rows, wordings, task.jobs, output, f"clips, fresh wordings, output={output}")
    truth = [r.label for r in rows]
    return [classify.judge(scores, truth, task.labels) for scores in heard]


def peers(task, teacher):
    """YAMNet mapped by hand, and a linear probe on its scores fitted to the `train` rows of the same set."""
    net = yamnet.Yamnet(teacher)
    rows = index.spread(task.rows, task.size.clips)
    train = [r for r in task.everything if r.role == "train" and r.group == task.rows[0].group]
    mapping = index.table("yamnet_labels.toml", "labels")
    heard = yamnet.clips(net, rows, task.work / f"yamnet-{len(rows)}.npz", "YAMNet, clips")
    truth, out = [r.label for r in rows], {}
    if all(label in mapping for label in task.labels):
        out["by hand"] = classify.judge(yamnet.by_hand(heard, task.labels, mapping, net.names), truth, task.labels)
    if {r.label for r in train} >= set(task.labels):
        known = yamnet.clips(net, train, task.work / "yamnet-train.npz", "YAMNet, train rows")
        scores = yamnet.probe(known, [r.label for r in train], heard, task.labels)
        out["probe"] = classify.judge(scores, truth, task.labels)
    return out


def scene_parts(task):
    """(plans of the scenes of each stream, recordings for backgrounds)."""
    clips, recordings = task.scene_sounds()
    plans = scenes.plans(clips, task.size.scenes, task.seed, bool(recordings))
    # Several scenes a stream: one process and one load of the model for all of them.
    return [plans[i : i + PER_STREAM] for i in range(0, len(plans), PER_STREAM)], recordings


def detection(task):
    """{dB: figures of scenes}, each scene scored against lists of ten that together are all labels."""
    parts, recordings = scene_parts(task)
    lists, out, count = task.lists(), {}, sum(map(len, parts))
    for snr in task.size.snrs:

        def one(part, snr=snr):
            scene, spans = scenes.stream(part, snr, recordings)
            name = f"scenes-{part[0].number}-{part[-1].number}"
            heard = detect.hear(task.listener, scene, lists, name, f"{task.data} {name} of {count} at {snr} dB")
            return heard, list(zip(part, spans, strict=True))

        both = each(one, parts, task.jobs, f"streams of {PER_STREAM} scenes at {snr} dB")
        out[snr] = {"scenes": count, **detect.figures([h for h, _ in both], task.labels, len(lists))}
        for name, over in (("over noise", False), ("over recordings", True)):
            chosen = [[span for p, span in placed if (p.background == "recording") == over] for _, placed in both]
            some = [detect.within(h, spans) for (h, _), spans in zip(both, chosen, strict=True) if spans]
            if some:
                out[snr][name] = {
                    "scenes": sum(map(len, chosen)),
                    "event_f1_micro": detect.micro_f1(some),
                    "onset_f1_micro": detect.micro_f1(some, offsets=False),
                    "recall": detect.recall(some)[0],
                }
    return out


def false_alarms(task):
    """Events an hour and list of ten in unrelated recordings and in noise and tones; of the labels and of nonsense, and of
    nonsense in the scenes at 6 dB, where labels do sound."""
    lists, nonsense = task.lists(), index.lines("nonsense.txt")
    tens = [nonsense[i : i + 10] for i in range(0, len(nonsense), 10)]
    recorded, made = alarms.streams(task.folder, task.seed, task.minutes, task.split)
    parts, recordings = scene_parts(task)
    both, identity = (("labels", lists), ("nonsense", tens)), f"of {task.minutes} min"
    sources = (
        ("recordings", recorded, task.size.streams, both, identity),
        ("noise and tones", made, task.size.made_up, both, identity),
        (
            "scenes at 6 dB",
            lambda number: (scenes.stream(parts[number], 6, recordings)[0].samples, []),
            len(parts),
            both[1:],
            f"of {task.size.scenes}, {PER_STREAM} a stream",
        ),
    )
    out = {}
    for name, make, count, kinds, size in sources:
        if make is None or not count:
            continue
        asked = [ten for _, chosen in kinds for ten in chosen]
        heard = alarms.hear(
            task.listener, make, count, asked, task.jobs, f"{task.data} {name} {size}", f"streams of {name}"
        )
        for kind, chosen in kinds:
            of = {label for ten in chosen for label in ten}
            rate, hours, labels = alarms.rate(heard, len(chosen), of)
            low, high = alarms.interval(sum(labels.values()), hours, len(chosen))
            out[f"{name}, {kind}"] = {
                "rate": rate,
                "low": low,
                "high": high,
                "hours": hours,
                "events": sum(labels.values()),
                "labels": dict(labels.most_common()),
                "kinds": alarms.by_piece(heard, of, lambda piece: piece.kind),
                "sources": alarms.by_piece(heard, of, lambda piece: piece.name),
                "lists": len(chosen),
            }
    return out


def peer_detection(task, teacher):
    """What YAMNet, mapped by hand, hears of the scenes at 6 dB, and how often it is wrong in the unrelated recordings; None where
    it does not know the labels or there are no recordings."""
    mapping = index.table("yamnet_labels.toml", "labels")
    recorded, _ = alarms.streams(task.folder, task.seed, task.minutes, task.split)
    if recorded is None or not all(label in mapping for label in task.labels):
        return None
    net = yamnet.Yamnet(teacher)
    parts, recordings = scene_parts(task)

    def hear(x):
        return peer.curve(net(x), task.labels, mapping, net.names)

    def one_scene(part):
        scene, _ = scenes.stream(part, 6, recordings)
        return scene.truth, hear(scene.samples)

    # One interpreter: one at a time.
    heard = each(one_scene, parts, 1, "YAMNet, streams of scenes at 6 dB")
    curves = each(
        lambda number: hear(recorded(number)[0]), range(task.size.streams), 1, "YAMNet, streams of recordings"
    )
    return peer.figures(heard, curves, task.labels)


def unseen(task, file):
    """AUROC of labels that were kept out of the training: each label's score on its own clips against all others."""
    kept_out = index.lines("unseen.txt", file)
    unknown = sorted(set(kept_out) - set(task.labels))
    if unknown:
        raise ValueError(f"{file or 'unseen.txt'} names {unknown}: expected labels of the rows that judge")
    rows = index.spread(task.rows, task.size.clips)
    out = {}
    for output in task.size.outputs:
        (scores,) = classify.hear(
            task.listener, rows, [kept_out], task.jobs, output, f"kept-out labels, output={output}"
        )
        out[output] = {
            label: classify.area(scores[:, i], [r.label == label for r in rows]) for i, label in enumerate(kept_out)
        }
    return out


def captioning(task, backend):
    """Captions of two-sound scenes; None where the plugin has no llmcaption."""
    if not captions.available(task.listener):
        return None
    captions.check(task.listener, backend)
    clips, recordings = task.scene_sounds()
    table = index.table("synonyms.toml", "synonyms")
    names = captions.Names({label: table.get(label, [label]) for label in task.labels})
    plans = scenes.two_sound_plans(clips, task.size.captions, task.seed, bool(recordings))

    def one(plan):
        there = [p.clip.label for p in plan.placed]
        ten = captions.listed(task.labels, there, task.seed, plan.number)
        identity = f"{task.data} two sounds {plan.number} {backend}"
        said, told = captions.hear(task.listener, scenes.render(plan, 6, recordings), ten, backend, identity)
        return plan.kind, there, said, names(said), told

    heard = each(one, plans, task.jobs, f"two-sound scenes, backend={backend}")
    out = {"scenes": len(heard), "examples": [(there, said) for _, there, said, _, _ in heard[:6]]}
    for kind in ("all", "sequence", "overlap"):
        part = [h for h in heard if kind in ("all", h[0])]
        if part:
            judged = [captions.judge(named, there) for _, there, _, named, _ in part]
            told = [captions.judge(told, there) for _, there, _, _, told in part]
            out[kind] = {
                "both": float(np.mean([a for a, _ in judged])),
                "one": float(np.mean([b for _, b in judged])),
                "events both": float(np.mean([a for a, _ in told])),
                "events one": float(np.mean([b for _, b in told])),
                "silent": float(np.mean([not h[2] for h in part])),
            }
    return out


def speed_and_size(task, package):
    """x real time on one core at the default hop, and megabytes where the package's folder is known."""
    out = {"sizes": speed.sizes(package) if package else None}
    ten = task.lists()[0]
    out["default hop"] = speed.real_time(task.listener, ten, task.seed, task.size.times)
    return out
