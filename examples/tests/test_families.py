"""Every family's small package through the pipeline, against its float64 truth: models/export/fixtures/packages.tar.xz.

`./run test` starts it with GST_PLUGIN_PATH at the plugin under test; it needs neither PyTorch nor what made the packages.
A folder with a `truth.json` is a row: a pipeline each, compared vector by vector and time by time. FAMILY_FIXTURES names
another folder of such packages (`./run test-export` makes the larger ones).
"""
import json
import os
import pathlib
import sys
import tempfile
import unittest
import wave

import gi
import numpy as np

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

REPO = pathlib.Path(__file__).resolve().parents[2]
EXPORT = REPO / "models/export"
sys.path.insert(0, str(EXPORT / "fixtures"))
from packed import packages  # noqa: E402
from sound import stream  # noqa: E402

FIXTURES = pathlib.Path(os.environ["FAMILY_FIXTURES"]) if "FAMILY_FIXTURES" in os.environ else packages()

MIN_COSINE = 0.99999


def tensors(file):
    """A safetensors file: 8 bytes with the header's length, a JSON header, the data."""
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    types = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "F16": "<f2"}
    found = {}
    for name, t in header.items():
        if name != "__metadata__":
            begin, end = t["data_offsets"]
            found[name] = np.frombuffer(body[begin:end], types[t["dtype"]]).reshape(t["shape"])
    return found


def write_wav(path, rate, samples):
    with wave.open(str(path), "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(samples.astype("<i2").tobytes())


def samples(pipeline, sink, timeout=120):
    """What a sink is given until the stream ends; an error on the bus, or no end, is one here."""
    bus, waited = pipeline.get_bus(), 0
    while True:
        sample = sink.emit("try-pull-sample", 200 * Gst.MSECOND)
        if sample is not None:
            yield sample
            continue
        message = bus.pop_filtered(Gst.MessageType.ERROR)
        if message:
            error, debug = message.parse_error()
            raise AssertionError(f"{error.message}\n{debug}")
        if sink.get_property("eos"):
            return
        waited += 0.2
        if waited > timeout:
            raise AssertionError(f"no end after {timeout} s")


def in_graph(package):
    return json.loads((package / "manifest.json").read_text())["frontend"]["kind"] == "in_graph"


def run(package, properties, recording, front="melspec !"):
    """`(rows [N, D], rows of each buffer, start of each, duration of each)` of `melspec ! m2dencode` over a WAV file."""
    settings = " ".join(f"{k}={v}" for k, v in properties.items())
    pipeline = Gst.parse_launch(
        f'filesrc location="{recording}" ! wavparse ! audioconvert ! {front} m2dencode name=m model="{package}" accept-license=true'
        f" execution-provider=cpu {settings} ! appsink name=out sync=false"
    )
    sink, parts, starts, durations, rows = pipeline.get_by_name("out"), [], [], [], []
    pipeline.set_state(Gst.State.PLAYING)
    try:
        for sample in samples(pipeline, sink):
            dims = sample.get_caps().get_structure(0).to_string()
            dim = int(dims.split("dims=(int)<")[1].split(">")[0].split(",")[1])
            buffer = sample.get_buffer()
            values = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), "<f4").reshape(-1, dim)
            parts.append(values)
            rows.append(len(values))
            starts.append(buffer.pts)
            durations.append(buffer.duration)
    finally:
        pipeline.set_state(Gst.State.NULL)
    return np.concatenate(parts), rows, starts, durations


def label_scores(package, properties, recording, labels, score="calibrated"):
    """`[windows, labels]` that clapmatch prints for the labels: classes by name, or words."""
    settings = " ".join(f"{k}={v}" for k, v in properties.items())
    names = ";".join(label.replace("\\", "\\\\").replace(";", "\\;") for label in labels)
    pipeline = Gst.parse_launch(
        f'filesrc location="{recording}" ! wavparse ! audioconvert ! melspec ! m2dencode model="{package}" accept-license=true'
        f" execution-provider=cpu {settings} ! clapmatch name=match score={score} ! application/x-json,format=audio-scores ! appsink name=out sync=false"
    )
    pipeline.get_by_name("match").set_property("labels", names)
    sink, lines = pipeline.get_by_name("out"), []
    pipeline.set_state(Gst.State.PLAYING)
    try:
        for sample in samples(pipeline, sink):
            buffer = sample.get_buffer()
            lines += buffer.extract_dup(0, buffer.get_size()).decode().splitlines()
    finally:
        pipeline.set_state(Gst.State.NULL)
    windows = [{s["label"]: s["score"] for s in json.loads(line)["scores"]} for line in lines]
    return np.array([[w[label] for label in labels] for w in windows])


def cosines(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(axis=1) / np.maximum(lengths, 1e-30)


class Families(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        Gst.init(None)
        cls.packages = sorted(p.parent for p in FIXTURES.glob("*/truth.json"))

    def test_there_are_packages(self):
        self.assertTrue(self.packages, f"no package with a truth.json in {FIXTURES}")

    def test_the_pipeline_gives_what_float64_gives(self):
        with tempfile.TemporaryDirectory() as scratch:
            for package in self.packages:
                truth = tensors(package / "truth.safetensors")
                for case in json.loads((package / "truth.json").read_text()):
                    with self.subTest(package=package.name, run=case["name"]):
                        recording = pathlib.Path(scratch) / "sound.wav"
                        write_wav(recording, case["rate"], stream(case["rate"], case["samples"]))
                        # Packages that take samples hear them through melspec, and without it.
                        for front in ["melspec !", ""] if in_graph(package) else ["melspec !"]:
                            self.compare(case, truth[case["name"]], run(package, case["properties"], recording, front))

    def test_clapmatch_shows_a_taggers_classes_as_labels(self):
        told = 0
        with tempfile.TemporaryDirectory() as scratch:
            for package in self.packages:
                truth = tensors(package / "truth.safetensors")
                for case in json.loads((package / "truth.json").read_text()):
                    if "labels" not in case:
                        continue
                    # From last to first: labels choose by name, not by place.
                    labels, told = case["labels"][::-1], told + 1
                    with self.subTest(package=package.name, run=case["name"]):
                        recording = pathlib.Path(scratch) / "sound.wav"
                        write_wav(recording, case["rate"], stream(case["rate"], case["samples"]))
                        found = label_scores(package, case["properties"], recording, labels)
                        np.testing.assert_allclose(found, truth[case["name"]][:, ::-1], atol=case["tolerance"])
        self.assertTrue(told, "no package has a tagger")

    def test_clapmatch_compares_with_what_the_text_tower_gives(self):
        told = 0
        with tempfile.TemporaryDirectory() as scratch:
            for package in self.packages:
                truth = tensors(package / "truth.safetensors")
                for case in json.loads((package / "truth.json").read_text()):
                    if "words" not in case:
                        continue
                    told += 1
                    with self.subTest(package=package.name, run=case["name"]):
                        recording = pathlib.Path(scratch) / "sound.wav"
                        write_wav(recording, case["rate"], stream(case["rate"], case["samples"]))
                        found = label_scores(package, case["properties"], recording, case["words"], "cosine")
                        np.testing.assert_allclose(found, truth[case["name"] + ".cosines"], atol=case["tolerance"])
        self.assertTrue(told, "no package has a text tower")

    def compare(self, case, expected, found):
        values, rows, starts, durations = found
        self.assertEqual(rows, case["rows"], "vectors of each buffer")
        self.assertEqual(starts, case["starts"], "time of each buffer")
        for k, duration in enumerate(case["durations"]):
            if duration is not None:
                self.assertEqual(durations[k], duration, f"duration of buffer {k}")
        self.assertEqual(values.shape, expected.shape)
        size = max(1.0, float(np.abs(expected).max()))
        worst = float(np.abs(values - expected).max()) / size
        self.assertLessEqual(worst, case["tolerance"], "largest difference, relative to the largest value")
        self.assertGreaterEqual(cosines(values, expected).min(), MIN_COSINE, "smallest cosine")


if __name__ == "__main__":
    unittest.main()
