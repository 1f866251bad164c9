"""`gst-listen-search find`: the stretches of sound that are most like a sentence."""

import heapq
import json
import sys

from gst_listen_search import store
from gst_listen_search.errors import SearchError
from gst_listen_search.package import Package
from gst_listen_search.score import Query
from gst_listen_search.spans import spans


def find(args):
    """Prints `file, start, end, score` with tabs between, best first; or a line of JSON each."""
    told = store.read_index(args.index)
    package = Package(args.model or told["model"])
    if package.space != told["space"]:
        raise SearchError(f"{args.index}: holds embeddings of space {told['space']}; {package.folder} has {package.space}")
    files = store.files(args.index)
    if not files:
        raise SearchError(f"{args.index}: expected *.safetensors; found none: index a folder first")
    query = Query(package, args.sentence, args.score)
    hits = []
    for path in files:
        try:
            about = store.about(path)
            times, vectors = store.read(path)
            fits(path, about, vectors, package)
        except SearchError as error:
            print(f"gst-listen-search: skipped: {error}", file=sys.stderr)
            continue
        logits = query.logits(vectors) if len(vectors) else []
        hits += [(value, about.recording, start, end) for start, end, value in spans(times, logits, round(args.longest * 1e9), args.top)]
    for value, name, start, end in heapq.nsmallest(args.top, hits, key=lambda h: (-h[0], h[1], h[2])):
        score = query.score(value)
        if args.min_score is not None and score < args.min_score:
            break
        if args.json:
            print(json.dumps({"file": name, "start": start, "end": end, "score": round(score, 6)}, ensure_ascii=False))
        else:
            print(f"{name}\t{start / 1e9:.2f}\t{end / 1e9:.2f}\t{score:.3f}")
    return 0


def fits(path, about, vectors, package):
    """# Errors
    Embeddings that cannot be compared with the package's words.
    """
    dim = package.manifest["clap"]["dim"]
    if about.space != package.space:
        raise SearchError(f"{path}: is of space {about.space}; expected {package.space}")
    if len(vectors) and vectors.shape[1] != dim:
        raise SearchError(f"{path}: embeddings have {vectors.shape[1]} values; the package's words have {dim} (index with --output clip)")
