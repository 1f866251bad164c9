"""Many live channels in one process: what they take of the processor, and whether they keep up (`./run bench channels`).

Each channel is `melspec ! m2dencode ! clapmatch` of its own on one engine, with the default package, and then with a copy of it
whose manifest does not say that the graph carries over, so that contexts are encoded again with every chunk. Needs PyGObject.

    channels.py [CHANNELS [SECONDS]]
"""

import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

DEFAULT = Path(__file__).resolve().parents[2] / "models" / "packages" / "default"
SOUND = "audiotestsrc is-live=true wave=pink-noise volume=0.05 samplesperbuffer=1600 ! audio/x-raw,rate=16000,channels=1,format=F32LE"
LABELS = "dog barking;siren;glass breaking;rain"
# Until all are heard: the first windows come when their context has, and all at once.
BEGIN = 15


def used():
    """Seconds of processor time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def listen(package, channels, seconds):
    """(share of one core, windows a second, windows dropped, the longest p99 from a window's last frame to its embedding in ms)."""
    chain = f'melspec ! m2dencode model="{package}" name=encode{{}} ! clapmatch labels="{LABELS}" ! fakesink sync=false'
    pipeline = Gst.parse_launch(" ".join(f"{SOUND} ! {chain.format(i)}" for i in range(channels)))
    stats = lambda: [pipeline.get_by_name(f"encode{i}").get_property("stats") for i in range(channels)]
    total = lambda all_stats, field: sum(s.get_value(field) for s in all_stats)
    pipeline.set_state(Gst.State.PLAYING)
    try:
        time.sleep(BEGIN)
        before, busy, began = total(stats(), "out"), used(), time.monotonic()
        time.sleep(seconds)
        took, busy, after = time.monotonic() - began, used() - busy, stats()
        error = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
        if error:
            sys.exit(f"channels: {error.parse_error()}")
        return (
            busy / took,
            (total(after, "out") - before) / took,
            total(after, "dropped"),
            max(s.get_value("latency-p99") for s in after) / 1e6,
        )
    finally:
        pipeline.set_state(Gst.State.NULL)


def main():
    asked = [int(word) for word in sys.argv[1:3]]
    channels, seconds = asked + [100, 30][len(asked) :]
    Gst.init(None)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(DEFAULT, Path(folder) / "contexts"))
        manifest = json.loads((copy / "manifest.json").read_text())
        del manifest["streaming"]["carry"]
        (copy / "manifest.json").write_text(json.dumps(manifest))
        print(f"{channels} live channels for {seconds} s\n")
        print("| default package | of one core | windows a second | dropped | last frame to embedding, the worst channel's p99 |")
        print("|---|---|---|---|---|")
        for name, package in (("each frame once", DEFAULT), ("contexts again", copy)):
            core, windows, dropped, latency = listen(package, channels, seconds)
            print(f"| {name} | {core:.2f} | {windows:.1f} | {dropped} | {latency:.0f} ms |", flush=True)


if __name__ == "__main__":
    main()
