"""The end of a run: graphs, calibration, choice of output and thresholds, package, figures, curves."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from . import calibrate, held, package, revive, scenes, settle

TEMPLATES = (("{}",), ("{}", "the sound of {}", "a recording of {}", "{} can be heard"))


def top(cos, wanted, k=1):
    """Share of clips whose label is among the `k` best."""
    return float((np.argsort(-cos, axis=1)[:, :k] == np.asarray(wanted)[:, None]).any(1).mean())


def pooled(windows, vectors, best=3):
    """Cosines [clips, L]: each clip's mean of its `best` highest windows per label."""
    return np.stack([np.sort(w @ vectors.T, axis=0)[-best:].mean(0) for w in windows])


def finish(out, work, student, text, labels, clips, mixer, val, val_set, cfg, main_name, ordinary=(), log=print):
    """Writes the package into `out`; returns the figures on val. `mixer` draws from `clips` and `ordinary`, pieces without a label."""
    out, work = Path(out), Path(work)
    rng = np.random.default_rng([cfg.seed, 4])
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer.json").write_bytes((work / "tokenizer.json").read_bytes())
    figures = dict(package.graphs(out, student, text, cfg))
    runner = package.Runner(out)
    windows = [scenes.run(runner, mel, cfg.package.window, cfg.package.hop) for mel, _ in val_set]
    wanted = [k for _, k in val_set]

    named = [(w, r.label.replace("_", " ") in labels) for w, r in zip(clips.waves, clips.rows, strict=True)]
    other, own = [w for w, known in named if not known] + list(ordinary), [w for w, known in named if known]
    kept, best = held.holds(cfg, other), None
    for templates in [settle.result_of(cfg.audio.start).templates] if kept else TEMPLATES:
        vectors = runner.text(labels, templates)
        share = top(pooled(windows, vectors), wanted)
        figures[f"top1_{len(templates)}_templates"] = share
        # An ensemble must earn its cost.
        if best is None or share > best[0] + 0.005:
            best = (share, templates, vectors)
    _, templates, vectors = best
    figures["top1"], figures["top3"] = top(pooled(windows, vectors), wanted), top(pooled(windows, vectors), wanted, 3)

    frames = cfg.package.window
    quiet = calibrate.quiet_mels(rng, 160, frames)
    strange = np.zeros((0, frames, quiet.shape[2]), np.float32)
    chosen = not kept or held.is_enough(other)
    if other and chosen:
        strange = calibrate.other_mels(other, rng, 160, frames)
    related = calibrate.other_mels(own, rng, 320, frames)
    if kept:
        result, near = held.result(cfg.audio.start, runner, strange, rng), [quiet[:32], strange[:32], related[:32]]
        figures["cosine_to_start"] = held.nearness(cfg.audio.start, runner, np.concatenate(near))
        log(held.said(cfg.audio.start, other, figures["cosine_to_start"]))
    else:
        result = calibrate.Result(
            calibrate.background(runner, quiet, strange, related, rng, cfg.package.background),
            float(student.scale.detach().exp()),
            float(student.bias.detach()),
            templates=templates,
        )
    if chosen:
        played = scenes.make(*settle.of_set(val, labels, main_name), cfg.package.scenes, rng, mixer)
        strange_sound = [scenes.unrelated(mixer, rng, 300) for _ in range(cfg.package.unrelated_streams)]
    # What a site has is too little to learn that from.
    begun = settle.opened(cfg.audio.start) if revive.is_package(cfg.audio.start) else None
    shown = settle.of_set(clips, labels, main_name)
    fit = lambda: begun or settle.learn(runner, result, vectors, *shown, mixer, rng, cfg.package.placed, cfg.seed)
    if cfg.package.settings:
        calibrate.take(result, json.loads(Path(cfg.package.settings).read_text())["settings"])
        learnt = fit()
    elif kept:
        learnt = fit()
        if chosen:
            wide = held.listened(runner, cfg.audio.start, vectors, templates)
            tried = held.stricter(result, runner, played, strange_sound, vectors, wide, learnt)
            (work / "settings.json").write_text(json.dumps(tried, indent=1) + "\n")
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


# In the order of their colours.
LOSSES = ("frame", "clip", "choice", "frame_choice", "teacher", "probe", "recall", "nonsense", "stay")


def curves(log, path):
    """The log's losses and accuracies as a PNG: a panel for each part that was trained."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = [json.loads(line) for line in Path(log).read_text().splitlines()]
    # After a restart a step may stand there twice: the later counts.
    last = lambda found: [line for _, line in sorted({line["step"]: line for line in found}.items())]
    audio = last(line for line in lines if "frame" in line)
    words = last(line for line in lines if line.get("stage") == "text" and "held_out_cos" in line)
    shown = [line for line in audio if "top1" in line]
    panels = []
    if audio:
        first = {k: max(audio[0][k], 1e-9) for k in LOSSES if k in audio[0]}
        losses = {k: [(line["step"], line[k] / first[k]) for line in audio if k in line] for k in first}
        panels.append((losses, {"title": "losses of the audio side (first = 1)", "yscale": "log"}))
    if shown:
        tops = {k: [(line["step"], line[k]) for line in shown] for k in ("top1", "top3")}
        panels.append((tops, {"title": "val clips, labels given as text", "ylim": (0, 1)}))
    if words:
        near = {"cosine": [(line["step"], line["held_out_cos"]) for line in words]}
        panels.append((near, {"title": "text tower: cosine on held-out phrases"}))
    if not panels:
        return
    figure, axes = pyplot.subplots(1, len(panels), figsize=(5 * len(panels), 4), squeeze=False)
    for axis, (series, manner) in zip(axes[0], panels, strict=True):
        for name, points in series.items():
            axis.plot(*zip(*points, strict=True), marker="." if len(points) < 40 else "", label=name)
        axis.set(xlabel="step", **manner)
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
