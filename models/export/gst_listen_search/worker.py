"""Runs recordings through `melspec ! m2dencode`. Started by `listener.py` under a Python that has PyGObject.

A job is a line of JSON on stdin: `path`, `values` and `times` (files to be written), `encoder` (properties of m2dencode as
text), `melspec` (whether one is needed). Answers are lines of JSON on stdout: `{"heard": seconds}` now and then, and at the
end `{"done": {...}}` or `{"error": "...", "fatal": bool}`; fatal is what another recording would meet as well.

Needs nothing but the standard library and gi: Debian's python3-gi and gir1.2-gstreamer-1.0.
"""
import array
import json
import os
import re
import sys
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

SECOND = 1_000_000_000
TELL_EVERY = 1.0


class Failed(Exception):
    def __init__(self, words, fatal):
        super().__init__(words)
        self.fatal = fatal


class Worker:
    """`previous` keeps the pipeline before alive until the next one runs: the engine with its weights is loaded once."""

    def __init__(self, say):
        self.say, self.previous = say, None

    def hear(self, job):
        pipeline = self.build(job)
        try:
            with open(job["values"], "wb") as values, open(job["times"], "wb") as times:
                told = self.run(pipeline, values, times)
        finally:
            self.release()
            self.previous = pipeline
        return told

    def release(self):
        if self.previous is not None:
            self.previous.set_state(Gst.State.NULL)
            self.previous = None

    def build(self, job):
        front = "! melspec name=mel" if job["melspec"] else ""
        line = (
            f"filesrc name=file ! decodebin name=decode caps=audio/x-raw expose-all-streams=false ! audioconvert ! audioresample"
            f" {front} ! m2dencode name=encode {job['encoder']} ! appsink name=out sync=false max-buffers=64"
        )
        try:
            pipeline = Gst.parse_launch(line)
        except gi.repository.GLib.Error as error:
            raise Failed(f"{error.message} (GStreamer finds the plugin after ./run install, or through GST_PLUGIN_PATH)", True) from None
        pipeline.get_by_name("file").set_property("location", job["path"])
        pipeline.get_by_name("encode").set_property("model", job["model"])
        return pipeline

    def run(self, pipeline, values, times):
        sink, bus = pipeline.get_by_name("out"), pipeline.get_bus()
        sound = []
        decode = pipeline.get_by_name("decode")
        decode.connect("pad-added", lambda _d, pad: sound.append(pad))
        complete = []
        decode.connect("no-more-pads", lambda _d: complete.append(True))
        pipeline.set_state(Gst.State.PLAYING)
        told, rows, last = {}, 0, time.monotonic()
        while True:
            sample = sink.emit("try-pull-sample", 100 * Gst.MSECOND)
            if sample is not None:
                self.release()
                told = told or caps_of(sample)
                count, heard = write(sample, told, values, times)
                rows += count
                if time.monotonic() - last >= TELL_EVERY:
                    last = time.monotonic()
                    self.say({"heard": heard / SECOND})
                continue
            message = bus.pop_filtered(Gst.MessageType.ERROR)
            if message:
                error, detail = message.parse_error()
                name = message.src.get_name() if message.src else ""
                words = f"{error.message} ({cause(detail)})" if error.message.startswith(("Internal", "Your")) else error.message
                raise Failed(words, name in ("encode", "mel"))
            if sink.get_property("eos"):
                return told | {"rows": rows}
            if complete and not sound:
                raise Failed("there is no sound in it", False)


def cause(detail):
    """The last line of a debug text: the codec that is missing, what the data flow ended with."""
    return (detail or "no details").strip().splitlines()[-1]


def caps_of(sample):
    """What the stream is: read from the caps' text, because gi cannot read a GstValueArray."""
    text = sample.get_caps().get_structure(0).to_string()
    found = {k: v for k, v in re.findall(r"([a-z-]+)=\((?:string|int|gint64)\)\"?([^,\";<]+)", text)}
    dims = re.search(r"dims=\(int\)<\s*(\d+)\s*,\s*(\d+)\s*>", text)
    kind = re.search(r"tensor-id=\(string\)([a-z-]+)", text)
    if not dims or not kind or "space" not in found:
        raise Failed(f"m2dencode gives caps that are not understood: {text}", True)
    if kind[1] != "audio-embedding":
        raise Failed(f"the package gives {kind[1]}; expected audio-embedding (a tagger's scores cannot be searched)", True)
    step = int(found["step"]) if "step" in found else 0
    return {"dim": int(dims[2]), "space": found["space"].strip(), "output": found.get("output", "clip").strip(), "step": step}


def write(sample, told, values, times):
    """Adds a buffer's vectors and their times; gives how many, and the end of the last."""
    buffer, segment = sample.get_buffer(), sample.get_segment()
    data = buffer.extract_dup(0, buffer.get_size())
    count = len(data) // (4 * told["dim"])
    start = segment.to_stream_time(Gst.Format.TIME, buffer.pts)
    start = buffer.pts if start == Gst.CLOCK_TIME_NONE else start
    end = start + (buffer.duration if buffer.duration != Gst.CLOCK_TIME_NONE else told["step"] * count)
    spans = array.array("q")
    for i in range(count):
        first = start + i * told["step"]
        spans.extend((first, end if i == count - 1 else first + told["step"]))
    if sys.byteorder == "big":
        spans.byteswap()
    values.write(data)
    times.write(spans.tobytes())
    return count, end


def main():
    # Whatever a decoder prints must not come between our lines.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message):
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    Gst.init(None)
    worker = Worker(say)
    for line in sys.stdin:
        try:
            say({"done": worker.hear(json.loads(line))})
        except Failed as error:
            say({"error": str(error), "fatal": error.fatal})
        except OSError as error:
            say({"error": f"{error.strerror}: {error.filename}", "fatal": True})
    worker.release()


if __name__ == "__main__":
    main()
