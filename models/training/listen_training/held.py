"""What stays as the package has it where a training goes on from a package: background, scores, thresholds.

A site's few sounds say nothing of all the others that its microphones will hear, nor of the words that it has no sound of.
Thresholds that suit them alone, against a background of them alone, fire on nearly everything.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from . import audio, calibrate, package, revive, scenes, settle

# Minutes of recordings without any of the main labels from which on false events can be counted.
ENOUGH = 10.0
# So many rows of the site's own background come to the package's, as a share of those.
SHARE = 0.25
# Onset thresholds that are tried above the package's own, as steps of their logit.
STEPS = (0.0, 0.4, 0.8, 1.2, 1.6)


def minutes(waves):
    """How long waveforms are together."""
    return sum(map(len, waves)) / audio.RATE / 60


def is_enough(waves):
    """Whether unrelated recordings suffice to count false events by. What programs make does not count: the package's
    thresholds were chosen against that already."""
    return minutes(waves) >= ENOUGH


def holds(cfg, unrelated):
    """Whether what the start package says of scores holds.

    With `weight_stay` 0 nothing keeps the audio side near it, so that its background may lie where no sound comes out any
    more: with enough unrelated sound all of it is made anew. Without, an old background is still better than a site's own.
    """
    return revive.is_package(cfg.audio.start) and (cfg.audio.weight_stay > 0 or not is_enough(unrelated))


def result(start, runner, strange, rng):
    """`calibrate.Result` of the start package; `strange` windows of the site's unrelated sound come to its background.

    Its own rows cannot be made anew, as their sound is not in it, and stay all. Those that come are few: what a site always
    hears is like itself, and with many such rows everything else would stand out. Its labelled sounds are left out: of three
    labels each would be a third of what it is to stand out from.
    """
    kept = settle.result_of(start)
    if len(strange):
        clip, frame = calibrate.embed(runner, strange)
        frame, n = frame.reshape(-1, frame.shape[-1]), max(1, int(len(kept.background) * SHARE / 2))
        rows = [part[rng.choice(len(part), n)] for part in (clip, frame)]
        kept.background = np.concatenate([kept.background, *rows]).astype(np.float32)
    kept.figures = {"settings": settings(kept)}
    return kept


def settings(found):
    """What `calibrate.take` takes (`package.settings`)."""
    return {key: getattr(found, key) for key in ("a", "b", "smoothing", "threshold", "offset_threshold")}


def nearness(start, runner, mels):
    """The mean cosine of what this audio side and the start package's give for the same sound."""
    (new, _), (old, _) = calibrate.embed(runner, mels), calibrate.embed(package.Runner(start), mels)
    return float((new * old).sum(1).mean())


def listened(runner, start, vectors, templates):
    """[n, dim]: the site's label vectors and those of all that the start package lists, for which it must stay as quiet."""
    listed = settle.listed(start)
    return np.concatenate([vectors, runner.text(listed, templates)]) if listed else vectors


def stricter(found, runner, played, strange, vectors, wide, placing):
    """Raises the onset threshold of `found` (`calibrate.Result`) where that is worth it, never lowers it; returns what was tried.

    False events in the streams `strange` are those of `wide`, which holds more labels than the scenes `played`.
    """
    mels = [audio.log_mel(scene.samples, np.float32) for scene in played]
    edges = [scenes.strengths(mel) for mel in mels]
    of = lambda mel, texts: calibrate.scores(scenes.frames(runner, mel) @ texts.T, texts, found)
    plain = [of(mel, vectors) for mel in mels]
    runs = [calibrate.smoothed(score, found.smoothing) for score in plain]
    quiet = [calibrate.smoothed(of(audio.log_mel(x, np.float32), wide), found.smoothing) for x in strange]
    played = [replace(scene, listed=list(range(len(vectors)))) for scene in played]
    logit, tried = np.log(found.threshold / (1 - found.threshold)), []
    for step in STEPS:
        on = float(1 / (1 + np.exp(-logit - step))) if step else found.threshold
        rate = calibrate.alarms(quiet, on, found.offset_threshold)
        told = scenes.figures(runs, plain, edges, played, on, found.offset_threshold, placing)
        chosen = settings(found) | {"threshold": on}
        tried.append({"worth": calibrate.worth(told, rate), **chosen, "unrelated_per_hour_and_ten": rate, **told})
    # Of equals the lowest, which is the package's.
    tried.sort(key=lambda setting: -setting["worth"])
    calibrate.take(found, tried[0])
    found.figures = {"settings": tried[0]}
    return tried


def said(start, unrelated, near):
    """What the log says of it."""
    return {
        "stage": "package",
        "background_and_scores_of": Path(start).name,
        "unrelated_minutes": round(minutes(unrelated), 1),
        "cosine_to_start": round(near, 4),
    }
