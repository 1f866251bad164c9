"""Seeks, rates, states, labels and thresholds in any order while it plays; then the recording sounds as it always does."""
import random
import tempfile
import unittest

import gi
from readme import RECORDING

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

DECODED = "flacparse ! flacdec ! audioconvert"
LABELS = "dog barking;applause;rain"
FLUSH, ACCURATE = Gst.SeekFlags.FLUSH, Gst.SeekFlags.FLUSH | Gst.SeekFlags.ACCURATE
SET = Gst.SeekType.SET


class Player:
    """A pipeline that plays; what its matcher tells, and what goes wrong."""

    def __init__(self, description):
        self.pipeline = Gst.parse_launch(description)
        self.match = self.pipeline.get_by_name("match")
        self.events, self.complaints = [], []

    def listen(self, seconds, until_the_end=False):
        """Takes messages for so long, or until EOS; whether EOS came. Without `until_the_end` it begins anew there."""
        left = int(seconds * 100)
        while left > 0:
            message = self.pipeline.get_bus().timed_pop(10 * Gst.MSECOND)
            if message is None:
                left -= 1
            elif message.type in (Gst.MessageType.ERROR, Gst.MessageType.WARNING):
                self.complaints.append(message.get_structure().to_string())
            elif message.type == Gst.MessageType.EOS and until_the_end:
                return True
            elif message.type == Gst.MessageType.EOS:
                self.pipeline.seek_simple(Gst.Format.TIME, FLUSH, 0)
            elif message.type == Gst.MessageType.ELEMENT and message.get_structure().get_name() == "audio-event":
                told = message.get_structure()
                kind, label, onset = told.get_string("type"), told.get_string("label"), told.get_uint64("onset")[1]
                self.events.append((kind, label, round(onset / Gst.SECOND, 2)))
        return False

    def labels_in_use(self):
        """How many; listenbin has its matcher inside from READY on."""
        matcher = self.match.get_by_name("clapmatch-all") if isinstance(self.match, Gst.Bin) else self.match
        return matcher.get_property("stats").get_uint64("labels")[1]

    def whole_recording(self):
        """The events of the recording from its beginning to its end, with the same settings each time."""
        self.match.set_property("labels", LABELS)
        self.match.set_property("threshold", -1.0)
        self.pipeline.set_state(Gst.State.PLAYING)
        # A list is read beside the sound, and no other here has as many labels.
        while self.labels_in_use() != LABELS.count(";") + 1:
            self.listen(0.05)
        self.pipeline.set_state(Gst.State.PAUSED)
        self.pipeline.get_state(60 * Gst.SECOND)
        self.pipeline.seek(1.0, Gst.Format.TIME, ACCURATE, SET, 0, SET, -1)
        self.pipeline.get_state(60 * Gst.SECOND)
        self.listen(0.05)
        self.events.clear()
        self.pipeline.set_state(Gst.State.PLAYING)
        if not self.listen(60, until_the_end=True):
            raise AssertionError("the recording did not come to its end")
        return list(self.events)

    def anything(self, chance):
        """One thing that a user or an application may do at any moment."""
        at = int(chance.uniform(0, 30) * Gst.SECOND)
        todo = chance.choice(["seek", "seek", "seek", "rate", "labels", "threshold", "pause", "stop"])
        if todo == "seek":
            self.pipeline.seek_simple(Gst.Format.TIME, chance.choice([FLUSH, ACCURATE]), at)
        elif todo == "rate":
            rate = chance.choice([-1.0, 0.5, 1.0, 2.0])
            self.pipeline.seek(rate, Gst.Format.TIME, FLUSH, SET, 5 * Gst.SECOND, SET, 25 * Gst.SECOND)
        elif todo == "labels":
            self.match.set_property("labels", chance.choice(["siren", "rain;dog barking", "applause;siren;rain;speech"]))
        elif todo == "threshold":
            self.match.set_property("threshold", chance.choice([0.3, 0.9, -1.0]))
        elif todo == "pause":
            self.pipeline.set_state(Gst.State.PAUSED)
            self.listen(chance.choice([0, 0.05]))
            self.pipeline.set_state(Gst.State.PLAYING)
        else:
            self.pipeline.set_state(chance.choice([Gst.State.NULL, Gst.State.READY]))
            self.pipeline.set_state(Gst.State.PLAYING)


def at_the_rate_of_the_model(path):
    """A source of the recording at 16 kHz: audioresample 1.22 gives other samples after some seeks, by part of a sample."""
    convert = f"{DECODED} ! audioresample ! audio/x-raw,rate=16000 ! flacenc"
    pipeline = Gst.parse_launch(f"filesrc location={RECORDING} ! {convert} ! filesink location={path}")
    pipeline.set_state(Gst.State.PLAYING)
    message = pipeline.get_bus().timed_pop_filtered(60 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    pipeline.set_state(Gst.State.NULL)
    if message is None or message.type != Gst.MessageType.EOS:
        raise AssertionError("the recording was not resampled")
    return f"filesrc location={path} ! {DECODED}"


class Seeks(unittest.TestCase):
    def test_whatever_was_done_before_the_recording_sounds_as_always(self):
        Gst.init(None)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        source = at_the_rate_of_the_model(f"{folder.name}/recording.flac")
        for rest in (
            "listenbin name=match ! fakesink match.events ! fakesink sync=false",
            "melspec ! m2dencode ! clapmatch name=match ! fakesink",
        ):
            with self.subTest(rest):
                player = Player(f"{source} ! {rest}")
                try:
                    expected = player.whole_recording()
                    self.assertIn("applause", {label for _, label, _ in expected})
                    chance = random.Random(1)
                    for _ in range(60):
                        player.anything(chance)
                        player.listen(chance.choice([0, 0.01, 0.1, 0.2]))
                    self.assertEqual(player.whole_recording(), expected)
                    self.assertEqual(player.complaints, [])
                finally:
                    player.pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    unittest.main()
