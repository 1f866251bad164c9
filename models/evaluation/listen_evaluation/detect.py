"""What is found in scenes: event-F1, onset-F1, recall and PSDS, macro over classes."""

import warnings
from dataclasses import dataclass

import numpy as np

from . import pipeline

COLLAR, PART = 0.2, 0.2
PSDS = {
    "PSDS1": {"dtc_threshold": 0.7, "gtc_threshold": 0.7, "cttc_threshold": None, "alpha_ct": 0.0},
    "PSDS2": {"dtc_threshold": 0.1, "gtc_threshold": 0.1, "cttc_threshold": 0.3, "alpha_ct": 0.5},
}


@dataclass(frozen=True)
class Heard:
    """A scene's truth and what was found in it."""

    name: str
    seconds: float
    truth: list  # (onset, offset, label)
    found: list  # (onset, offset, label, peak)
    curves: list  # a (labels, times [n + 1], scores [n, labels]) a list


def hear(listener, scene, lists, name, identity):
    """A scene or stream of scenes through the pipeline: events and scores of each list, from one pass of the encoder."""
    branches = [pipeline.Branch(tuple(ten), form) for form in ("audio-events", "audio-scores") for ten in lists]
    lines = listener.hear(lambda: scene.samples, branches, identity)
    found = [event for part in lines[: len(lists)] for event in pipeline.events(part)]
    curves = [(ten, *pipeline.curve(s, scene.seconds)) for ten, s in zip(lists, lines[len(lists) :], strict=True)]
    return Heard(name, scene.seconds, scene.truth, found, curves)


def within(heard, spans):
    """What of `heard` begins in one of `spans` [(start, end)]; without curves."""
    inside = lambda events: [e for e in events if any(a <= e[0] < b for a, b in spans)]
    return Heard(heard.name, sum(b - a for a, b in spans), inside(heard.truth), inside(heard.found), [])


def collar_f1(heard, labels, offsets=True):
    """sed_eval's event-based F1: (macro over the classes with truth, micro, {label: F1})."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import dcase_util
        import sed_eval

    metric = sed_eval.sound_event.EventBasedMetrics(
        event_label_list=list(labels),
        t_collar=COLLAR,
        percentage_of_length=PART,
        evaluate_offset=offsets,
        event_matching_type="optimal",
        empty_system_output_handling="zero_score",
    )
    as_events = lambda name, events: dcase_util.containers.MetaDataContainer(
        [{"filename": name, "event_onset": e[0], "event_offset": e[1], "event_label": e[2]} for e in events]
    )
    for h in heard:
        metric.evaluate(as_events(h.name, h.truth), as_events(h.name, h.found))
    per, there = {}, {label for h in heard for _, _, label in h.truth}
    for label, result in metric.results_class_wise_metrics().items():
        if label in there:
            value = result["f_measure"]["f_measure"]
            # No true and no false ones of a class that is there: nothing was found.
            per[label] = 0.0 if value is None or np.isnan(value) else float(value)
    overall = metric.results_overall_metrics()["f_measure"]["f_measure"]
    micro = 0.0 if overall is None or np.isnan(overall) else float(overall)
    return float(np.mean(list(per.values()))), micro, per


def micro_f1(heard, offsets=True):
    """F1 of all events together."""
    return collar_f1(heard, sorted({e[2] for h in heard for e in [*h.truth, *h.found]}), offsets)[1]


def recall(heard):
    """The share of true sounds during which an event of their label was found: (all, {label: share})."""
    per = {}
    for h in heard:
        for onset, offset, label in h.truth:
            hit = any(e[2] == label and e[0] < offset and e[1] > onset for e in h.found)
            per.setdefault(label, []).append(hit)
    hits = [x for found in per.values() for x in found]
    return float(np.mean(hits)), {label: float(np.mean(found)) for label, found in per.items()}


def false_per_hour(heard, lists):
    """Events during which their label did not sound, an hour and list."""
    false = sum(
        not any(label == e[2] and e[0] < offset and e[1] > onset for onset, offset, label in h.truth)
        for h in heard
        for e in h.found
    )
    return false / (sum(h.seconds for h in heard) / 3600) / lists


def psds(heard, labels):
    """{"PSDS1": .., "PSDS1, α_ST = 0": .., "PSDS2": .., ..} over all thresholds, by sed_scores_eval."""
    import pandas
    from sed_scores_eval import intersection_based

    scores, truth, lengths = {}, {}, {}
    for h in heard:
        times = sorted({round(t, 6) for _, edges, _ in h.curves for t in edges})
        middle = (np.asarray(times[:-1]) + np.asarray(times[1:])) / 2
        table = {"onset": times[:-1], "offset": times[1:]}
        for ten, edges, values in h.curves:
            rows = np.clip(np.searchsorted(edges, middle, side="right") - 1, 0, len(values) - 1)
            table |= {label: values[rows, i] for i, label in enumerate(ten)}
        scores[h.name] = pandas.DataFrame(table)[["onset", "offset", *labels]]
        truth[h.name] = without_overlaps(h.truth)
        lengths[h.name] = h.seconds
    out = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, parameters in PSDS.items():
            value, alone, *_ = intersection_based.psds(
                scores, truth, lengths, **parameters, alpha_st=1.0, unit_of_time="hour", max_efpr=100.0
            )
            out[name] = float(value)
            # Without the penalty for spread the area is the mean of the classes' own areas.
            out[name + ", α_ST = 0"] = float(np.mean(list(alone.values())))
    return out


def without_overlaps(truth):
    """Events of one label that touch or overlap, as one: PSDS asks for it."""
    out = []
    for onset, offset, label in sorted(truth, key=lambda e: (e[2], e[0])):
        if out and out[-1][2] == label and onset <= out[-1][1]:
            out[-1] = (out[-1][0], max(offset, out[-1][1]), label)
        else:
            out.append((onset, offset, label))
    return sorted(out)


def figures(heard, labels, lists):
    """All measures of scenes at one level; `labels` those that are listened for and are there."""
    there = {label for h in heard for _, _, label in h.truth}
    labels = [label for label in labels if label in there]
    event, micro, per_event = collar_f1(heard, labels)
    onset, onset_micro, per_onset = collar_f1(heard, labels, offsets=False)
    share, per_recall = recall(heard)
    return {
        "hours": sum(h.seconds for h in heard) / 3600,
        "events": sum(len(h.truth) for h in heard),
        "found": sum(len(h.found) for h in heard),
        "event_f1": event,
        "event_f1_micro": micro,
        "onset_f1": onset,
        "onset_f1_micro": onset_micro,
        "recall": share,
        "false_per_hour": false_per_hour(heard, lists),
        **psds(heard, labels),
        "per_label": {label: (per_event[label], per_onset[label], per_recall[label]) for label in labels},
    }
