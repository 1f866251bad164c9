"""A program for the leaks tracer: a pipeline is started, sought, changed and stopped in mid-window, again and again."""
import gc
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402


def wait(pipeline, cycle, kinds, seconds=60):
    """The next message of one of `kinds`; an error that is not wanted ends the program."""
    bus = pipeline.get_bus()
    message = bus.timed_pop_filtered(seconds * Gst.SECOND, kinds | Gst.MessageType.ERROR)
    if message is None:
        sys.exit("cycle %d: nothing came within %d s" % (cycle, seconds))
    if message.type == Gst.MessageType.ERROR and not kinds & Gst.MessageType.ERROR:
        error, debug = message.parse_error()
        sys.exit("cycle %d: %s (%s)" % (cycle, error.message, debug))
    return message.type


def exercise(description, cycles):
    """NULL to PLAYING and back `cycles` times, by turns right away, after a flushing seek, at EOS and after an error."""
    pipeline = Gst.parse_launch(description)
    match = pipeline.get_by_name("match")
    for cycle in range(cycles):
        kind = cycle % 4
        match.set_property("labels-file", "/nowhere/labels.json" if kind == 3 else None)
        if kind == 3:
            pipeline.set_state(Gst.State.PLAYING)
            wait(pipeline, cycle, Gst.MessageType.ERROR)
        else:
            match.set_property("labels", "dog barking;rain")
            pipeline.set_state(Gst.State.PLAYING)
            wait(pipeline, cycle, Gst.MessageType.ASYNC_DONE)
        if kind == 1:
            flags = Gst.SeekFlags.FLUSH | Gst.SeekFlags.ACCURATE
            pipeline.seek_simple(Gst.Format.TIME, flags, int(7.3 * Gst.SECOND))
            match.set_property("labels", "siren;glass breaking")
            wait(pipeline, cycle, Gst.MessageType.ASYNC_DONE)
        if kind == 2:
            wait(pipeline, cycle, Gst.MessageType.EOS)
        pipeline.set_state(Gst.State.NULL)
    print("cycles", cycles, flush=True)


if __name__ == "__main__":
    Gst.init(None)
    exercise(sys.argv[2], int(sys.argv[1]))
    gc.collect()
    Gst.deinit()
