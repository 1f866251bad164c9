#!/usr/bin/env python3
"""Reads the labels that clapmatch puts on its buffers, in an application.

    python3 label_metadata.py FILE [LABELS]

Prints the best label of each buffer with its time, then each event once it has ended. The metadata is a GstCustomMeta
named `ListenResult`; the events are element messages named `audio-event`. Needs PyGObject (Debian: python3-gi).
"""
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import GLib, Gst, GstApp  # noqa: E402,F401


def main(path, labels="dog barking;siren;glass breaking"):
    Gst.init(None)
    pipeline = Gst.parse_launch(
        "filesrc name=file ! decodebin ! audioconvert ! audioresample ! melspec ! m2dencode"
        " ! clapmatch name=match ! tensor/strided ! appsink name=sink emit-signals=true sync=false"
    )
    pipeline.get_by_name("file").set_property("location", path)
    pipeline.get_by_name("match").set_property("labels", labels)

    def on_sample(sink):
        buffer = sink.emit("pull-sample").get_buffer()
        meta = buffer.get_custom_meta("ListenResult")
        if meta is not None:
            # The structure must outlive what is read from it.
            result = meta.get_structure()
            scores = result.get_value("scores")
            best = max(scores, key=lambda s: s.get_value("score"))
            print(f"{buffer.pts / Gst.SECOND:7.2f} s  {best.get_value('label'):20} {best.get_value('score'):.2f}")
        return Gst.FlowReturn.OK

    pipeline.get_by_name("sink").connect("new-sample", on_sample)
    loop, failed = GLib.MainLoop(), []

    def on_message(_bus, message):
        if message.type == Gst.MessageType.ELEMENT and message.get_structure().get_name() == "audio-event":
            event = message.get_structure()
            if event.get_value("type") == "end":
                onset, offset = (event.get_value(k) / Gst.SECOND for k in ("onset", "offset"))
                print(f"event: {event.get_value('label')} from {onset:.2f} s to {offset:.2f} s")
        elif message.type == Gst.MessageType.ERROR:
            failed.append(message.parse_error()[0].message)
            loop.quit()
        elif message.type == Gst.MessageType.EOS:
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
