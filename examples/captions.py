#!/usr/bin/env python3
"""Reads captions in an application, and asks a question about what was heard.

    python3 captions.py FILE [LABELS] [QUESTION]

Prints each caption with the stretch of time that it stands for, and at the end the answer. A caption is one text buffer;
the events it tells of are in the element message `caption`. Needs PyGObject (Debian: python3-gi).
"""
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import GLib, Gst, GstApp  # noqa: E402,F401


def seconds(time):
    return f"{time / Gst.SECOND:7.2f} s"


def main(path, labels="dog barking;siren;glass breaking", question=None):
    Gst.init(None)
    pipeline = Gst.parse_launch(
        "filesrc name=file ! decodebin ! audioconvert ! audioresample ! melspec ! m2dencode ! clapmatch name=match"
        " ! llmcaption name=caption latency=10000 ! text/x-raw,format=utf8 ! appsink name=sink emit-signals=true sync=false"
    )
    pipeline.get_by_name("file").set_property("location", path)
    pipeline.get_by_name("match").set_property("labels", labels)
    caption = pipeline.get_by_name("caption")

    def on_sample(sink):
        buffer = sink.emit("pull-sample").get_buffer()
        text = buffer.extract_dup(0, buffer.get_size()).decode()
        print(f"{seconds(buffer.pts)} to {seconds(buffer.pts + buffer.duration)}  {text}", flush=True)
        return Gst.FlowReturn.OK

    pipeline.get_by_name("sink").connect("new-sample", on_sample)
    loop, failed = GLib.MainLoop(), []

    def on_message(_bus, message):
        structure = message.get_structure()
        if message.type == Gst.MessageType.ELEMENT and structure.get_name() == "listen-answer":
            print(f"{structure.get_string('question')} {structure.get_string('text') or structure.get_string('error')}")
            loop.quit()
        elif message.type == Gst.MessageType.ERROR:
            failed.append(message.parse_error()[0].message)
            loop.quit()
        elif message.type == Gst.MessageType.EOS:
            # 0: about all that was heard. The answer comes as a message with the number that this returns.
            if not question or caption.emit("ask", question, 0) == 0:
                loop.quit()

    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", on_message)
    pipeline.set_state(Gst.State.PLAYING)
    loop.run()
    pipeline.set_state(Gst.State.NULL)
    return failed[0] if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
