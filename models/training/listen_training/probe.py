"""A linear probe on the teacher's vectors: which of the main labels a patch holds. Cross-fitted over the folds."""

import numpy as np
from tqdm import tqdm

from .mixer import BENT


def fit(vectors, owner, labels, folds, main):
    """Probes for each fold, fitted on the others: {fold: (weights [1024, L], bias [L])} with the main labels' numbers."""
    from sklearn.linear_model import LogisticRegression

    main = np.asarray(main)
    index = {int(k): i for i, k in enumerate(main)}
    labels, folds = np.asarray(labels)[owner], np.asarray(folds)[owner]
    use = np.isin(labels, main)
    root = np.sqrt(np.maximum(vectors, 0))
    center, spread = root[use].mean(0), root[use].std(0) + 0.02
    x = (root - center) / spread
    found = sorted(set(folds[use].tolist()))
    weights, biases = [], []
    for fold in tqdm(found, desc="probe", unit="fold", disable=None):
        rows = use & (folds != fold) if len(found) > 1 else use
        model = LogisticRegression(C=0.002, max_iter=60).fit(x[rows], [index[int(k)] for k in labels[rows]])
        w, b = np.zeros((x.shape[1], len(main)), np.float32), np.full(len(main), -30.0, np.float32)
        w[:, model.classes_], b[model.classes_] = model.coef_.T, model.intercept_
        weights.append(w / spread[:, None])
        biases.append(b - center @ (w / spread[:, None]))
    held = [
        np.mean([(x[use & (folds == f)] * spread + center) @ weights[i] + biases[i]], axis=0).argmax(1)
        == [index[int(k)] for k in labels[use & (folds == f)]]
        for i, f in enumerate(found)
    ]
    return {
        "folds": np.array(found),
        "weights": np.stack(weights).astype(np.float32),
        "biases": np.stack(biases).astype(np.float32),
        "main": main,
        "accuracy": float(np.concatenate(held).mean()),
    }


def probabilities(probe, batch):
    """Soft labels [B, patches, L] by probes that never saw the sources' folds, and where they count [B, patches]."""
    root = np.sqrt(np.maximum(batch["vectors"].astype(np.float32), 0))
    logits = np.einsum("bpd,fdl->bpfl", root, probe["weights"], optimize=True) + probe["biases"]
    allowed = ~np.isin(probe["folds"][None], -1) & ~(batch["folds"][:, :, None] == probe["folds"][None, None]).any(1)
    # With sources of all folds there is no clean probe; then the first source's fold decides.
    none = ~allowed.any(1)
    allowed[none] = batch["folds"][none, :1] != probe["folds"][None]
    if len(probe["folds"]) == 1:
        allowed[:] = True
    weight = allowed / allowed.sum(1, keepdims=True).clip(1)
    mean = (logits * weight[:, None, :, None]).sum(2)
    mean = np.exp(mean - mean.max(-1, keepdims=True))
    mean /= mean.sum(-1, keepdims=True)
    # A BENT source without a fold bore no label: it may be none of those that the probe tells apart.
    is_main = np.isin(batch["labels"], probe["main"]) | ((batch["labels"] == BENT) & (batch["folds"] > 0))
    on = (batch["activity"] & is_main[:, :, None]).any(1)
    patches = mean.shape[1]
    sure = np.stack([on[:, 6 * p : 6 * p + 12].mean(1) > 0.4 for p in range(patches)], axis=1)
    return mean.astype(np.float32), sure.astype(np.float32)
