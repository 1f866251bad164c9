"""Fits a package's `clap.placing` to scenes of the training clips, and chooses its thresholds by scenes of val.

    python -m listen_training.settle PACKAGE --data FOLDER [--config FILE] [--keep-thresholds]

The graphs stay as they are; a training does the same at its end. Its manifest changes, so its embeddings get a new name.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from . import audio, calibrate, placing, pool, scenes

FILE = "placing.safetensors"
# Scenes by dB above the background, as shares; thresholds by which sounds are heard in them: the networks serve others as well.
LEVELS = ((6.0, 0.5), (0.0, 0.25), (12.0, 0.25))
HEARD = {"smoothing": 0.5, "threshold": 0.6, "offset_threshold": 0.1}


def learn(runner, result, vectors, clips, labels, mixer, rng, count, seed):
    """`placing.Placing` from `count` scenes of `clips` (waveforms) with `labels` (numbers into `vectors`), or None."""
    heard = []
    for snr, share in LEVELS:
        for scene in scenes.make(clips, labels, round(count * share), rng, mixer, snr=snr):
            mel = audio.log_mel(scene.samples, np.float32)
            sounding = sorted({label for label, _, _ in scene.truth})
            if not sounding:
                continue
            frames, strengths = scenes.frames(runner, mel), scenes.strengths(mel)
            raw = calibrate.scores(frames @ vectors[sounding].T, vectors[sounding], result)
            score = calibrate.smoothed(raw, HEARD["smoothing"])
            for k, label in enumerate(sounding):
                found = scenes.groups(score[:, k], HEARD["threshold"], HEARD["offset_threshold"])
                truth = [(a, b) for other, a, b in scene.truth if other == label]
                heard.append((found, strengths, raw[:, k], truth))
    return placing.learn(heard, seed)


def of_set(clips, labels, name):
    """(waveforms, their numbers in `labels`) of the clips of one set that bear one of the labels."""
    numbers = {label: k for k, label in enumerate(labels)}
    found = [
        (wave, numbers[label])
        for wave, row in zip(clips.waves, clips.rows, strict=True)
        if row.set == name and (label := row.label.replace("_", " ")) in numbers
    ]
    return [wave for wave, _ in found], [number for _, number in found]


def result_of(folder):
    """What a package's manifest says of scores, as `calibrate.Result`."""
    manifest = Path(folder) / "manifest.json"
    if not manifest.is_file():
        raise SystemExit(f"settle: {manifest} is not there: expected a package")
    clap = json.loads(manifest.read_text()).get("clap") or {}
    missing = [key for key in ("calibration", "logit_scale", "logit_bias") if clap.get(key) is None]
    if missing:
        raise SystemExit(f"settle: expected a package that was trained here; {manifest} has no clap.{missing[0]}")
    known = clap["calibration"]
    background = load_file(str(Path(folder) / known["file"]))["background"].astype(np.float32)
    return calibrate.Result(
        background,
        clap["logit_scale"],
        clap["logit_bias"],
        known["a"],
        known["b"],
        known["min_std"],
        clap["default_threshold"],
        clap["default_offset_threshold"],
        clap.get("default_smoothing") or 0.0,
        tuple(clap["prompt_templates"]),
    )


def listed(folder):
    """The labels whose embeddings a package has, by name."""
    return (json.loads((Path(folder) / "manifest.json").read_text()).get("label_embeddings") or {}).get("labels", [])


def section():
    """`clap.placing` of the manifest."""
    return {"file": FILE, "step_frames": pool.COLUMN}


def opened(folder):
    """What a package places events by, or None."""
    folder = Path(folder)
    placed = (json.loads((folder / "manifest.json").read_text()).get("clap") or {}).get("placing")
    if not placed or placed["step_frames"] != pool.COLUMN:
        return None
    return placing.Placing.open(folder / placed["file"])


def write(folder, result, learnt):
    """Puts the networks and the thresholds of `result` into a package that is there; the manifest comes last.

    What is broken off between the two files leaves a package that does not open until it is done again.
    """
    folder = Path(folder)
    part = folder / f"{FILE}.part"
    learnt.save(part)
    manifest = json.loads((folder / "manifest.json").read_text())
    sums = manifest["sha256"] | {FILE: hashlib.sha256(part.read_bytes()).hexdigest()}
    manifest["sha256"] = dict(sorted(sums.items()))
    clap = manifest["clap"]
    clap["calibration"] |= {"a": result.a, "b": result.b}
    manifest["clap"] = clap | {
        "placing": section(),
        "default_threshold": result.threshold,
        "default_offset_threshold": result.offset_threshold,
        "default_smoothing": result.smoothing or None,
    }
    written = folder / "manifest.json.part"
    written.write_text(json.dumps(manifest, indent=2) + "\n")
    part.chmod(0o644)
    part.replace(folder / FILE)
    written.replace(folder / "manifest.json")


def settled(fit, tune, result):
    """(`Placing`, what was tried): `fit()` learns, `tune(learnt)` chooses, and where scores are others then it is learnt again."""
    learnt, before = fit(), (result.a, result.b)
    tried = tune(learnt)
    return (learnt if (result.a, result.b) == before else fit()), tried


def main():
    from . import config, data, held, mixer, package, words
    from . import rendered as more

    parser = argparse.ArgumentParser(prog="python -m listen_training.settle", description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="a folder with an index.csv, as for a training")
    parser.add_argument("--config", type=Path, help="the training's: seed, kept_out, both, scenes and so on")
    parser.add_argument(
        "--work", type=Path, help="where rendered sound is kept (default: the package's name and .work)"
    )
    parser.add_argument("--keep-thresholds", action="store_true", help="only the networks are fitted")
    args = parser.parse_args()
    cfg, result = config.load(args.config), result_of(args.package)
    work = args.work or args.package.with_name(args.package.name + ".work")
    names = []
    clips = data.load(args.data, "train", names, data.kept_out(cfg.kept_out))
    val = data.load(args.data, "val", names)
    main_name = data.main_set(audio.read_index(args.data))
    main_labels = sorted({k for k, row in zip(clips.labels, clips.rows, strict=True) if row.set == main_name})
    labels = [names[k] for k in main_labels]
    for role, some in (("train", clips), ("val", val)):
        if not of_set(some, labels, main_name)[0] and (role == "train" or not args.keep_thresholds):
            raise SystemExit(
                f"settle: {args.data / 'index.csv'}: expected rows of role {role} in the set {main_name!r}"
            )
    if cfg.both:
        clips = clips.with_(val)
    speech = names.index("speech") if "speech" in names else -1
    made = more.make(work / "rendered", cfg.pool.rendered, words.spoken(words.table()), cfg.pool.workers, cfg.seed)
    draws = np.random.default_rng([cfg.seed, 5])
    ordinary = data.ordinary(args.data, data.kept_out(cfg.kept_out))[1]
    other = [w for w, k in zip(clips.waves, clips.labels, strict=True) if k not in main_labels] + ordinary
    if not args.keep_thresholds and not held.is_enough(other):
        # They would fire on everything that the folder has no sound of.
        raise SystemExit(
            f"settle: expected at least {held.ENOUGH:.0f} minutes of train recordings without the labels of {main_name!r} to choose "
            f"thresholds by, {args.data / 'index.csv'} has {held.minutes(other):.1f}; --keep-thresholds fits the networks only"
        )
    mix = mixer.Mixer(
        clips.waves, clips.labels, clips.folds, main_labels, draws, speech=speech, rendered=made + ordinary
    )
    rng = np.random.default_rng([cfg.seed, 6])
    runner = package.Runner(args.package)
    vectors = runner.text(labels, result.templates)
    fit = lambda: learn(
        runner, result, vectors, *of_set(clips, labels, main_name), mix, rng, cfg.package.placed, cfg.seed
    )
    if args.keep_thresholds:
        learnt = fit()
    else:
        played = scenes.make(*of_set(val, labels, main_name), cfg.package.scenes, rng, mix)
        strange = [scenes.unrelated(mix, rng, 300) for _ in range(cfg.package.unrelated_streams)]
        tune = lambda learnt: calibrate.settle(result, runner, played, strange, vectors, learnt)
        learnt, tried = settled(fit, tune, result)
        work.mkdir(parents=True, exist_ok=True)
        (work / "settings.json").write_text(json.dumps(tried[:200], indent=1) + "\n")
        print(json.dumps(tried[0], indent=1))
    if learnt is None:
        raise SystemExit(
            f"settle: expected {placing.FEWEST} onsets and offsets that are heard in {cfg.package.placed} scenes (package.placed) "
            f"of {len(clips.waves)} clips, found fewer"
        )
    write(args.package, result, learnt)


if __name__ == "__main__":
    main()
