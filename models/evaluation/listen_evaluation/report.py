"""The report as Markdown."""

from . import plots

PERCENT = lambda x: f"{100 * x:.1f}%"
PLAIN = lambda x: f"{x:.3f}"
RATE = lambda x: f"{x:.2f}"


def table(head, rows):
    """Lines of a Markdown table."""
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(r) + " |" for r in rows), ""]


def bars(found):
    """(measure, value as text, bar, goal, bar reached or None, goal reached) of what was measured."""
    out = []

    def add(name, value, bar, goal, shown=PERCENT, below=False, also=True, note=""):
        better = (lambda limit: value < limit) if below else (lambda limit: value >= limit)
        sign = "under " if below else ""
        out.append(
            (
                name,
                shown(value) + note,
                sign + shown(bar),
                sign + shown(goal) if goal is not None else "",
                bool(better(bar) and also),
                bool(goal is not None and better(goal) and also),
            )
        )

    if "classification" in found:
        own, *others = found["classification"][found["primary"]]
        add(f"top-1 of {len(own.labels)}", own.top1, 0.80, 0.85)
        if others:
            mean = sum(o.top1 for o in others) / len(others)
            part = mean / own.top1 if own.top1 else 0.0
            note = f", {PERCENT(part)} of the label's own"
            add(
                "paraphrased labels, at least nine tenths of the label's own",
                mean,
                0.72,
                0.80,
                also=part >= 0.9,
                note=note,
            )
    scenes = found.get("detection", {}).get(6)
    if scenes:
        add("event-F1, 6 dB, lists of ten", scenes["event_f1"], 0.25, 0.35)
        add("onset-only F1, 6 dB", scenes["onset_f1"], 0.40, 0.55)
        add("PSDS2, 6 dB, lists of ten", scenes["PSDS2"], 0.45, 0.55, PLAIN)
    alarms = found.get("alarms", {}).get("recordings, labels")
    if alarms and scenes:
        note = f" with recall {PERCENT(scenes['recall'])}"
        name = "false events an hour per list of ten, with recall at 6 dB of at least 55%"
        add(name, alarms["rate"], 2.0, 0.5, RATE, True, scenes["recall"] >= 0.55, note)
    for backend, said in (found.get("captions") or {}).items():
        if said:
            add(f"captions ({backend}): both sounds and none that is absent", said["all"]["both"], 0.40, 0.55)
            add(f"captions ({backend}): at least one", said["all"]["one"], 0.80, 0.90)
        if said and backend == "template":
            # The sentences made without a model have bars of their own.
            add("the template's own bar: both sounds and none that is absent", said["all"]["both"], 0.35, None)
            add("the template's own bar: at least one", said["all"]["one"], 0.75, None)
    speed = found.get("speed")
    if speed:
        add("x real time on one core at the default hop", speed["default hop"][0], 300, None, lambda x: f"{x:.0f}")
        if speed["sizes"]:
            size = lambda x: f"{x:.2f} MB"
            add("package", speed["sizes"]["package"], 10.0, None, size, True)
            add("audio side", speed["sizes"]["audio"], 4.0, None, size, True)
    return out


def summary(found):
    rows = [
        (name, value, bar, goal, "yes" if reached else "**no**", "" if not goal else "yes" if best else "no")
        for name, value, bar, goal, reached, best in bars(found)
    ]
    return table(["measure", "value", "bar", "goal", "bar reached", "goal reached"], rows)


def classification(found, folder):
    first = found["classification"][found["primary"]]
    own = first[0]
    lines = [f"## Classification by {len(own.labels)} text labels", ""]
    lines += [
        "Each clip goes through the pipeline; a label's score of a clip is that of its best window (`output=clip`) or frame",
        f"(`output=frames`). The figures that count are those of `output={found['primary']}`.",
        "",
    ]
    rows = []
    for output, results in found["classification"].items():
        for k, r in enumerate(results):
            rows.append((f"names, `output={output}`" if k == 0 else f"wording {k}, `output={output}`", r))
    rows += [(f"fresh wording {k}", r) for k, r in enumerate(found.get("fresh wordings", []), 1)]
    for name, r in found.get("peers", {}).items():
        named = {"by hand": "YAMNet, its classes mapped by hand", "probe": "YAMNet, a linear probe on its scores"}
        rows.append((named[name], r))
    lines += table(
        ["what", "top-1", "95% interval", "top-3", "mAP", "clips"],
        [
            (
                n,
                PERCENT(r.top1),
                f"{100 * r.low:.1f} to {100 * r.high:.1f}",
                PERCENT(r.top3),
                PLAIN(r.mean_precision),
                str(r.count),
            )
            for n, r in rows
        ],
    )
    plots.confusion(own, folder / "confusion.png")
    plots.bars({k: v[0] / v[1] for k, v in own.per_label.items()}, folder / "top1.png", "top-1", 1)
    lines += ["![confusion](confusion.png)", "", "![top-1 per label](top1.png)", ""]
    by_hand = found.get("peers", {}).get("by hand")
    rows = []
    for label, (right, of, precision) in sorted(own.per_label.items(), key=lambda e: (e[1][0] / e[1][1], e[0])):
        row = own.confusion[own.labels.index(label)].copy()
        row[own.labels.index(label)] = 0
        instead = f"{own.labels[row.argmax()]} ({row.max()})" if row.max() else ""
        others = [r.per_label[label][0] / of for r in first[1:]]
        peer = by_hand.per_label[label] if by_hand else None
        rows.append(
            (
                label,
                f"{right} of {of}",
                PLAIN(precision),
                " ".join(f"{100 * o:.0f}%" for o in others),
                f"{peer[0]} of {peer[1]}" if peer else "",
                instead,
            )
        )
    return lines + table(["label", "right", "AP", "by other wordings", "YAMNet by hand", "most said instead"], rows)


def detection(found, folder):
    levels = found["detection"]
    lines = ["## Detection in scenes", ""]
    lines += [
        "Scenes of 15 s or more, one to three clips over noise, hum or unrelated recordings, twenty a stream, each fading into the",
        "next. Truth: 50 ms RMS within 30 dB of the clip's loudest, gaps under 0.5 s joined, parts under 0.1 s dropped. Default thresholds; lists of ten labels that together",
        "cover all. F1 by `sed_eval` (collar 0.2 s, 20% of the length), PSDS by `sed_scores_eval`; macro over classes. Recall: true",
        "sounds during which an event of their label was found. False: events during which their label does not sound.",
        "",
    ]
    keys = [
        ("event-F1", "event_f1", PERCENT),
        ("onset-only F1", "onset_f1", PERCENT),
        ("event-F1, micro", "event_f1_micro", PERCENT),
        ("onset-only F1, micro", "onset_f1_micro", PERCENT),
        ("PSDS1", "PSDS1", PLAIN),
        ("PSDS1, α_ST = 0", "PSDS1, α_ST = 0", PLAIN),
        ("PSDS2", "PSDS2", PLAIN),
        ("PSDS2, α_ST = 0", "PSDS2, α_ST = 0", PLAIN),
        ("recall", "recall", PERCENT),
        ("false events an hour and list", "false_per_hour", RATE),
        ("scenes", "scenes", str),
        ("hours", "hours", RATE),
        ("true events", "events", str),
        ("found events", "found", str),
    ]
    snrs = sorted(levels)
    lines += table(
        ["measure", *(f"{s} dB" for s in snrs)], [(n, *(shown(levels[s][k]) for s in snrs)) for n, k, shown in keys]
    )
    rows = []
    for s in snrs:
        for where in ("over noise", "over recordings"):
            if where in levels[s]:
                f = levels[s][where]
                rows.append(
                    (
                        f"{s} dB, {where}",
                        str(f["scenes"]),
                        *(PERCENT(f[k]) for k in ("event_f1_micro", "onset_f1_micro", "recall")),
                    )
                )
    lines += table(["scenes", "how many", "event-F1, micro", "onset-only F1, micro", "recall"], rows)
    if len(snrs) > 1:
        plots.levels(levels, folder / "levels.png")
        lines += ["![measures over levels](levels.png)", ""]
    shown = 6 if 6 in levels else snrs[0]
    per = levels[shown]["per_label"]
    plots.bars({k: v[0] for k, v in per.items()}, folder / "event-f1.png", f"event-F1 at {shown} dB", 1)
    lines += ["![event-F1 per label](event-f1.png)", "", f"At {shown} dB:", ""]
    return lines + table(
        ["label", "event-F1", "onset-only F1", "recall"],
        [(k, *(PERCENT(x) for x in v)) for k, v in sorted(per.items(), key=lambda e: -e[1][0])],
    )


def alarms(found, folder):
    lines = ["## False alarms", ""]
    lines += [
        "Events at the default thresholds in sound that matches no label (the `eval` part of `unrelated.csv` in rooms, through",
        "filters, at all levels; and noise, hum, tones and silence), an hour and list of ten labels. Nonsense: `nonsense.txt`.",
        "",
    ]
    rows = []
    for name, f in found["alarms"].items():
        most = ", ".join(f"{k} ({n})" for k, n in list(f["labels"].items())[:6])
        rows.append(
            (name, RATE(f["rate"]), f"{f['low']:.2f} to {f['high']:.2f}", f"{f['hours']:.2f}", str(f["events"]), most)
        )
    lines += table(["sound, list", "events an hour and list", "95% interval", "hours", "events", "most"], rows)
    scenes = found.get("detection", {}).get(6)
    if scenes:
        lines += [f"Recall at 6 dB at the same thresholds: {PERCENT(scenes['recall'])}.", ""]
    lines += sources(found["alarms"].get("recordings, labels", {}))
    beside = found.get("peer detection")
    if beside:
        lines += [
            "YAMNet, its classes mapped by hand, on the scenes at 6 dB and on these recordings, with thresholds by hindsight:",
            "",
            *table(
                ["YAMNet's thresholds", "recall", "false events an hour and list"],
                [(how, PERCENT(share), RATE(rate)) for how, share, rate in beside],
            ),
        ]
    most = found["alarms"].get("recordings, labels", {}).get("labels", {})
    if most:
        plots.bars(dict(list(most.items())[:25]), folder / "alarms.png", "events in unrelated recordings")
        lines += ["![false events by label](alarms.png)", ""]
    return lines


def sources(f):
    """Which kinds of sound the events fell on, and which recordings that were heard alone."""
    if not f.get("kinds"):
        return []
    shown = lambda found: [(k, RATE(n / h / f["lists"]), RATE(h), str(n)) for k, (h, n) in found.items()]
    worst = dict(list(f["sources"].items())[:8])
    return [
        *table(["kind of sound", "events an hour of it and list", "hours", "events"], shown(f["kinds"])),
        *(
            table(["long recording, the worst", "events an hour of it and list", "hours", "events"], shown(worst))
            if worst
            else []
        ),
    ]


def captions(found, folder):
    lines = ["## Captions of two-sound scenes", ""]
    lines += [
        "Two clips within 6 dB of each other, the quieter one 6 dB over the background; half in sequence, half overlapping; ten",
        "labels listened for. What a text names is judged by `synonyms.toml`; all that is said of a scene counts.",
        "",
    ]
    for backend, said in found["captions"].items():
        if said is None:
            lines += [f"`{backend}`: **not measured: the plugin has no `llmcaption` element.**", ""]
            continue
        lines += [f"`backend={backend}`, {said['scenes']} scenes:", ""]
        rows = [
            (
                kind,
                *(PERCENT(said[kind][k]) for k in ("both", "one", "silent", "events both", "events one")),
            )
            for kind in ("all", "sequence", "overlap")
            if kind in said
        ]
        head = [
            "scenes",
            "both and none absent",
            "at least one",
            "nothing said",
            "events: both and none absent",
            "events: at least one",
        ]
        lines += table(head, rows)
        lines += [f"- {' + '.join(there)}: “{text.replace('|', ' ')}”" for there, text in said["examples"]] + [""]
    return lines


def unseen(found, folder):
    lines = [
        "## Labels kept out of the training",
        "",
        "Area under the ROC curve: a label's own clips against all others.",
        "",
    ]
    outputs = list(found["unseen"])
    labels = list(found["unseen"][outputs[0]])
    rows = [(label, *(PLAIN(found["unseen"][o][label]) for o in outputs)) for label in labels]
    rows.append(("**mean**", *(PLAIN(sum(found["unseen"][o].values()) / len(labels)) for o in outputs)))
    return lines + table(["label", *(f"`output={o}`" for o in outputs)], rows)


def speed(found, folder):
    f = found["speed"]
    lines = ["## Speed and size", ""]
    rows = [(k, f"{f[k][0]:.0f}", f"{f[k][1]:.0f}") for k in ("default hop",)]
    lines += table(["on one core, ten labels", "x real time by processor time", "by the clock"], rows)
    lines += ["Start of the process and loading are taken off; the clock also counts what else the machine did.", ""]
    if f["sizes"]:
        s = f["sizes"]
        lines += [f"Package {s['package']:.2f} MB, audio side {s['audio']:.2f} MB ({s['precision']}).", ""]
    return lines


PARTS = {
    "classification": classification,
    "detection": detection,
    "alarms": alarms,
    "unseen": unseen,
    "captions": captions,
    "speed": speed,
}


def write(found, facts, path):
    """Writes the report to `path` and its pictures beside it; returns the text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["# How good the package is", "", *(f"- {k}: {v}" for k, v in facts.items()), "", *summary(found)]
    for part, make in PARTS.items():
        if part in found:
            lines += make(found, path.parent)
    text = "\n".join(lines).rstrip() + "\n"
    path.write_text(text)
    return text
