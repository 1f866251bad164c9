"""`melspec ! m2dencode` in a process of its own, fed by hops of sound; runs under Debian's Python (python3-gi).

    python3 element_loop.py SAMPLES.s16 RATE HOP_MS PROPERTIES…

Each line of stdin: `run N` feeds N hops and waits for N embeddings (prints seconds, processor seconds), `idle S` sleeps
(prints processor seconds), `save FILE` writes all embeddings so far as float32 (prints rows and their length), `stats`.
"""
import resource
import sys
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402


def used():
    r = resource.getrusage(resource.RUSAGE_SELF)
    return r.ru_utime + r.ru_stime


class Element:
    def __init__(self, file, rate, hop_ms, properties):
        with open(file, "rb") as sound:
            self.sound = sound.read()
        self.rate, self.hop, self.at, self.rows = rate, rate * hop_ms // 1000, 0, []
        caps = f"audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate={rate}"
        self.pipeline = Gst.parse_launch(f"appsrc name=in format=time max-bytes=0 caps={caps} ! melspec ! m2dencode name=encode {' '.join(properties)}"
                                         " ! appsink name=out sync=false")
        self.source, self.sink, self.encode = (self.pipeline.get_by_name(n) for n in ("in", "out", "encode"))
        self.pipeline.set_state(Gst.State.PLAYING)

    def feed(self, hops):
        for _ in range(hops):
            begin = 2 * self.hop * self.at % (len(self.sound) - 2 * self.hop)
            begin -= begin % 2
            buffer = Gst.Buffer.new_wrapped(self.sound[begin : begin + 2 * self.hop])
            buffer.pts = self.at * self.hop * Gst.SECOND // self.rate
            buffer.duration = self.hop * Gst.SECOND // self.rate
            self.at += 1
            self.source.emit("push-buffer", buffer)

    def pull(self, timeout):
        sample = self.sink.emit("try-pull-sample", int(timeout * Gst.SECOND))
        if sample is None:
            message = self.pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
            if message:
                error, detail = message.parse_error()
                sys.exit(f"{error.message}\n{detail}")
            return False
        buffer = sample.get_buffer()
        self.rows.append(buffer.extract_dup(0, buffer.get_size()))
        return True

    def stat(self, field):
        return self.encode.get_property("stats").get_value(field)

    def warm(self, hops):
        """Fills the first window; when all of it has come out every further hop gives one embedding."""
        self.feed(hops)
        if not self.pull(600):
            sys.exit("no embedding for ten minutes")
        quiet = 0
        while quiet < 3:
            waiting = self.pull(1) or self.source.get_property("current-level-bytes") or self.stat("pending")
            quiet = 0 if waiting else quiet + 1

    def run(self, hops):
        began, cpu = time.perf_counter(), used()
        self.feed(hops)
        for _ in range(hops):
            if not self.pull(600):
                sys.exit("no embedding for ten minutes")
        return time.perf_counter() - began, used() - cpu


def main():
    file, rate, hop_ms, warm, *properties = sys.argv[1:]
    Gst.init(None)
    element = Element(file, int(rate), int(hop_ms), properties)
    element.warm(int(warm))
    print("ready", flush=True)
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "run":
            print(*element.run(int(rest)), flush=True)
        elif word == "idle":
            cpu = used()
            time.sleep(float(rest))
            print(used() - cpu, flush=True)
        elif word == "save":
            with open(rest, "wb") as out:
                out.write(b"".join(element.rows))
            print(len(element.rows), len(element.rows[0]) // 4, flush=True)
        elif word == "stats":
            print(element.encode.get_property("stats").to_string(), flush=True)
    element.pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    main()
