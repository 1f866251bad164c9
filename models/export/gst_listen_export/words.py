"""Plain words for what manifests say by values of a list (models/package/FORMAT.md)."""

WORDS = {
    "mel_scale": {"slaney": "mel bands by Slaney's scale", "htk": "mel bands by HTK's scale"},
    "log": {
        "ln_add": "the natural logarithm, {eps:g} added",
        "ln_max": "the natural logarithm of {floor:g} or more",
        "db_max": "in decibels, of {amin:g} or more",
    },
    "normalize": {
        "none": "nothing",
        "fixed": "by a mean of {mean:g} and a deviation of {std:g}, always the same",
        "per_window": "each window by its own mean and deviation",
        "running": "by a mean and deviation that follow the sound over {tau:g} s, from {mean:g} and {std:g} at its start",
    },
    "short_pad": {
        "zero_normalized": "the mean level",
        "repeat": "the sound itself as often as it fits whole, then silence",
        "repeat_cut": "the sound itself, the last time as much of it as fits",
        "silence": "silence",
    },
    "edge": {
        "exact": "a window is heard as a recording by itself",
        "rolling": "a window is cut out of the sound around it",
    },
    "frame_embedding": {
        "stack_freq": "per time step its rows one after the other",
        "mean_freq": "per time step the mean of its rows",
        "identity": "per time step that vector",
        "none": "none per time step",
    },
    "clip_pooling": {
        "mean_time": "per window the mean over time",
        "mean_plus_max_time": "per window the mean plus the maximum over time",
        "none": "per window what the graph itself makes",
    },
    "takes": {"all": "every vector of a window", "pooled": "a window's one vector"},
    "pooling": {
        "in_graph": "its graph makes one vector of a text",
        "mean_mask": "the mean over a text's words",
        "cls": "the vector of a text's first token",
        "last_token": "the vector of a text's last token",
    },
    "activation": {
        "sigmoid": "each from 0 to 1 by itself (sigmoid)",
        "softmax": "all together 1 (softmax)",
        "none": "as the graph gives them",
    },
}


def plain(key, value, numbers=None):
    """What the value of a key means; a value that is not known is given as it stands."""
    words = WORDS[key].get(value)
    return str(value) if words is None else words.format(**(numbers or {}))
