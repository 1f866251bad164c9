"""Pictures of the report."""

import numpy as np


def figure(width, height):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), dpi=110, layout="constrained")


def keep(made, path):
    from matplotlib import pyplot

    made.savefig(path)
    pyplot.close(made)


def confusion(result, path):
    """Rows: what sounds; columns: what was said; shares of a row."""
    made, axes = figure(11, 10)
    share = result.confusion / np.maximum(1, result.confusion.sum(axis=1, keepdims=True))
    picture = axes.imshow(share, cmap="magma_r", vmin=0, vmax=1)
    axes.set_xticks(range(len(result.labels)), result.labels, rotation=90, fontsize=7)
    axes.set_yticks(range(len(result.labels)), result.labels, fontsize=7)
    axes.set_xlabel("said")
    axes.set_ylabel("sounds")
    made.colorbar(picture, shrink=0.7, label="share of the clips")
    keep(made, path)


def bars(values, path, xlabel, limit=None):
    """One bar a name of {name: value}, the lowest on top."""
    items = sorted(values.items(), key=lambda e: e[1], reverse=True)
    made, axes = figure(7, 0.8 + 0.19 * len(items))
    axes.barh([k for k, _ in items], [v for _, v in items], color="#35618f")
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel(xlabel)
    axes.margins(y=0.01)
    if limit:
        axes.set_xlim(0, limit)
    keep(made, path)


def levels(detection, path):
    """Measures over the level of the scenes."""
    made, axes = figure(6.5, 4)
    snrs = sorted(detection)
    for key, name in (
        ("event_f1", "event-F1"),
        ("onset_f1", "onset-only F1"),
        ("recall", "recall"),
        ("PSDS1, α_ST = 0", "PSDS1, α_ST = 0"),
        ("PSDS2", "PSDS2"),
        ("PSDS2, α_ST = 0", "PSDS2, α_ST = 0"),
    ):
        axes.plot(snrs, [detection[s][key] for s in snrs], marker="o", label=name)
    axes.set_xticks(snrs)
    axes.set_xlabel("sound over background, dB")
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    keep(made, path)
