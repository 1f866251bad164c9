"""The end of a run: graphs, calibration, choice of output and thresholds, package, figures, curves."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from . import calibrate, package, revive, scenes, settle

TEMPLATES = (("{}",), ("{}", "the sound of {}", "a recording of {}", "{} can be heard"))


def top(cos, wanted, k=1):
    """Share of clips whose label is among the `k` best."""
    return float((np.argsort(-cos, axis=1)[:, :k] == np.asarray(wanted)[:, None]).any(1).mean())


def pooled(windows, vectors, best=3):
    """Cosines [clips, L]: each clip's mean of its `best` highest windows per label."""
    return np.stack([np.sort(w @ vectors.T, axis=0)[-best:].mean(0) for w in windows])


def finish(out, work, student, text, labels, clips, mixer, val, val_set, cfg, main_name):
    """Writes the package into `out`; returns the figures on val. `mixer` draws from `clips`."""
    out, work = Path(out), Path(work)
    rng = np.random.default_rng([cfg.seed, 4])
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer.json").write_bytes((work / "tokenizer.json").read_bytes())
    figures = dict(package.graphs(out, student, text, cfg))
    runner = package.Runner(out)
    windows = [scenes.run(runner, mel, cfg.package.window, cfg.package.hop) for mel, _ in val_set]
    wanted = [k for _, k in val_set]

    best = None
    for templates in TEMPLATES:
        vectors = runner.text(labels, templates)
        share = top(pooled(windows, vectors), wanted)
        figures[f"top1_{len(templates)}_templates"] = share
        # An ensemble must earn its cost.
        if best is None or share > best[0] + 0.005:
            best = (share, templates, vectors)
    _, templates, vectors = best
    figures["top1"], figures["top3"] = top(pooled(windows, vectors), wanted), top(pooled(windows, vectors), wanted, 3)

    named = [(w, r.label.replace("_", " ") in labels) for w, r in zip(clips.waves, clips.rows, strict=True)]
    other, own = [w for w, known in named if not known], [w for w, known in named if known]
    frames = cfg.package.window
    quiet = calibrate.quiet_mels(rng, 160, frames)
    strange = np.zeros((0, frames, quiet.shape[2]), np.float32)
    if other:
        strange = calibrate.other_mels(other, rng, 160, frames)
    related = calibrate.other_mels(own, rng, 320, frames)
    result = calibrate.Result(
        calibrate.background(runner, quiet, strange, related, rng, cfg.package.background),
        float(student.scale.detach().exp()),
        float(student.bias.detach()),
        templates=templates,
    )
    played = scenes.make(*settle.of_set(val, labels, main_name), cfg.package.scenes, rng, mixer)
    strange_sound = [scenes.unrelated(mixer, rng, 300) for _ in range(cfg.package.unrelated_streams)]
    # What a site has is too little to learn that from.
    begun = settle.opened(cfg.audio.start) if revive.is_package(cfg.audio.start) else None
    shown = settle.of_set(clips, labels, main_name)
    fit = lambda: begun or settle.learn(runner, result, vectors, *shown, mixer, rng, cfg.package.placed, cfg.seed)
    if cfg.package.settings:
        calibrate.take(result, json.loads(Path(cfg.package.settings).read_text())["settings"])
        learnt = fit()
    else:
        tune = lambda learnt: calibrate.settle(result, runner, played, strange_sound, vectors, learnt)
        learnt, tried = settle.settled(fit, tune, result)
        (work / "settings.json").write_text(json.dumps(tried[:200], indent=1) + "\n")
    (out / settle.FILE).unlink(missing_ok=True)
    if learnt is not None:
        learnt.save(out / settle.FILE)
    silence = calibrate.quiet_mels(rng, 1, frames)
    clip, frame = calibrate.embed(runner, silence)
    figures["silence_highest_score"] = float(
        max(
            calibrate.scores(clip @ vectors.T, vectors, result).max(),
            calibrate.scores(frame[0] @ vectors.T, vectors, result).max(),
        )
    )
    score = [np.clip(calibrate.scores(w @ vectors.T, vectors, result), 1e-12, 1 - 1e-9) for w in windows]
    figures["top1_by_score"] = top(np.stack([np.sort(np.log(s / (1 - s)), axis=0)[-3:].mean(0) for s in score]), wanted)
    figures.update(result.figures)
    figures["size"] = package.write(out, work / "tokenizer.json", labels, cfg, result)
    check_self(out, runner)
    return figures


def check_self(folder, runner):
    """The self-test's own embedding comes out again."""
    test = load_file(str(Path(folder) / "self_test.safetensors"))
    again = runner.clip(runner.tokens(test["log_mel"][None]))[0]
    cos = float(again @ test["embedding"] / np.linalg.norm(again) / np.linalg.norm(test["embedding"]))
    if cos < 0.9999:
        raise SystemExit(f"self-test: cosine {cos}, expected at least 0.9999")


def curves(log, path):
    """The log's losses and accuracies as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = [json.loads(line) for line in Path(log).read_text().splitlines()]
    # After a restart a step may stand there twice: the later counts.
    last = lambda found: [line for _, line in sorted({line["step"]: line for line in found}.items())]
    audio = last(line for line in lines if "frame" in line)
    if not audio:
        return
    keys = [k for k in ("frame", "clip", "choice", "teacher", "probe", "recall", "nonsense") if k in audio[0]]
    figure, axes = pyplot.subplots(1, 3, figsize=(15, 4))
    for k in keys:
        axes[0].plot([line["step"] for line in audio], [line[k] / max(audio[0][k], 1e-9) for line in audio], label=k)
    axes[0].set(xlabel="step", title="losses of the audio side (first = 1)", yscale="log")
    axes[0].legend()
    for k in ("top1", "top3"):
        axes[1].plot(
            [line["step"] for line in audio if k in line], [line[k] for line in audio if k in line], marker=".", label=k
        )
    axes[1].set(xlabel="step", title="val clips, labels given as text", ylim=(0, 1))
    axes[1].legend()
    words = last(line for line in lines if line.get("stage") == "text" and "loss" in line)
    axes[2].plot([line["step"] for line in words], [line["held_out_cos"] for line in words])
    axes[2].set(xlabel="step", title="text tower: cosine on held-out phrases")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
