"""`gst-listen-search index`: what is not indexed yet, or has changed, goes through the pipeline."""

import os
import sys
from pathlib import Path

from gst_listen_search import store
from gst_listen_search.errors import RecordingError, SearchError
from gst_listen_search.listener import Listener
from gst_listen_search.package import Package

# What is taken for a recording; GStreamer may know more, or not all of these (it then says so).
SOUNDS = frozenset(["aac", "ac3", "aif", "aifc", "aiff", "amr", "ape", "au", "avi", "caf", "flac", "m4a", "m4b", "mka", "mkv", "mov", "mp2", "mp3", "mp4", "mpg", "oga", "ogg", "opus", "spx", "tta", "wav", "webm", "wma", "wv"])


def recordings(folder, without):
    """Files below `folder` by path, hidden ones and what lies in `without` left out; how many other files there are."""
    found, others = [], 0
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(d for d in folders if not d.startswith(".") and Path(root, d).resolve() != without)
        for name in sorted(n for n in names if not n.startswith(".")):
            if name.rpartition(".")[2].lower() in SOUNDS:
                found.append(Path(root, name))
            else:
                others += 1
    return found, others


def encoder_properties(args, package):
    """m2dencode's properties, which are part of what is indexed."""
    properties = [f"output={args.output or package.output()}"]
    for name in ("window", "hop"):
        seconds = getattr(args, name)
        if seconds is not None:
            if not seconds > 0:
                raise SearchError(f"--{name}: expected seconds above 0; found {seconds:g}")
            properties.append(f"{name}={round(seconds * 1e9)}")
    return " ".join(properties)


def index(args):
    """Gives 0, also where recordings were skipped: they are named."""
    if not args.folder.is_dir():
        raise SearchError(f"{args.folder}: expected a folder of recordings; " + ("it is a file" if args.folder.exists() else "nothing is there"))
    package = Package(args.model)
    encoder = encoder_properties(args, package)
    found, others = recordings(args.folder, args.index.resolve())
    if not found:
        raise SearchError(f"{args.folder}: expected recordings (.wav, .flac, .mp3, …); found none among {others} files")
    args.index.mkdir(parents=True, exist_ok=True)
    store.tidy(args.index)
    have = indexed(args.index, package)
    told = {"folder": str(args.folder.resolve()), "model": str(package.folder.resolve()), "space": package.space, "encoder": encoder}
    store.write_index(args.index, told)
    names = {path: path.relative_to(args.folder).as_posix() for path in found}
    forget(args.index, have, set(names.values()))
    licence = " accept-license=true" if args.accept_license else ""
    counts = {"new": 0, "unchanged": 0, "skipped": 0}
    with Listener(package.folder, package.melspec, encoder + licence, progress(args.quiet)) as listener:
        for number, (path, name) in enumerate(names.items(), 1):
            counts[one(args, package, encoder, listener, have, path, name, f"{number}/{len(names)}")] += 1
    print(f"{args.index}: {counts['new']} indexed, {counts['unchanged']} unchanged, {counts['skipped']} could not be read")
    if counts["skipped"] == len(names):
        raise SearchError(f"{args.folder}: none of its {len(names)} recordings could be read")
    return 0


def one(args, package, encoder, listener, have, path, name, place):
    """Indexes a recording; gives `new`, `unchanged` or `skipped`."""
    try:
        if any("\udc80" <= c <= "\udcff" for c in name):
            raise RecordingError("its name is not UTF-8")
        about = path.stat()
        told = store.Recording(name, package.space, package.manifest["id"], about.st_size, about.st_mtime_ns, encoder, "", 0)
        same = have.get(name)
        if same and (same.size, same.mtime_ns, same.encoder) == (told.size, told.mtime_ns, told.encoder):
            return "unchanged"
        times, vectors, caps = listener.hear(path)
    except (RecordingError, FileNotFoundError, PermissionError) as error:
        print(f"{place} {path}: skipped: {error}", file=sys.stderr)
        store.place(args.index, name).unlink(missing_ok=True)  # what was indexed is not what is there
        return "skipped"
    if caps.get("space", package.space) != package.space:
        raise SearchError(f"{package.folder}: expected space {package.space}; the pipeline gives {caps['space']}")
    told = store.Recording(**vars(told) | {"output": caps.get("output", ""), "step_ns": caps.get("step", 0)})
    store.write(args.index, told, times, vectors)
    if not args.quiet:
        print(f"{place} {path}: {len(vectors)} embeddings of {times[-1, 1] / 1e9 if len(times) else 0:.1f} s")
    return "new"


def indexed(folder, package):
    """What a folder holds, by the recordings' names.

    # Errors
    Embeddings of another package.
    """
    have = {}
    for path in store.files(folder):
        try:
            about = store.about(path)
        except SearchError as error:
            print(f"{error}; made again", file=sys.stderr)
            path.unlink()
            continue
        if about.space != package.space:
            raise SearchError(f"{folder}: holds embeddings of space {about.space}; {package.folder} has {package.space}: give another folder")
        have[about.recording] = about
    return have


def forget(folder, have, names):
    """Removes embeddings of recordings that are gone."""
    for gone in sorted(have.keys() - names):
        store.place(folder, gone).unlink(missing_ok=True)
        print(f"{gone}: is gone, and out of the index")


def progress(quiet):
    if quiet or not sys.stderr.isatty():
        return lambda seconds: None
    return lambda seconds: print(f"\r  {seconds:.0f} s\r", end="", file=sys.stderr, flush=True)
