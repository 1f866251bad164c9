"""YAMNet: the rebuilt graph against LiteRT, and files that are none; of a small network that fixtures/tiny_tflite.py writes, and of
YAMNet itself. What needs `../shared/data` says so where it is not there.
"""
import csv
from pathlib import Path

import numpy as np
import pytest
from extras import needed

from gst_listen_export import tflite
from gst_listen_export.cli import main as export
from gst_listen_export.errors import ExportError

DATA = Path(__file__).resolve().parents[4] / "shared/data"
MODEL = DATA / "yamnet/yamnet_spectra_in.tflite"
needs_data = pytest.mark.skipif(not MODEL.is_file(), reason=f"YAMNet is not in {DATA}")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("yamnet") / "yamnet.pkg"
    with pytest.raises(SystemExit) as end:
        export(["yamnet", str(MODEL), "-o", str(folder)])
    assert end.value.code == 0
    return folder


def windows():
    """The test vector, and 48 frames by 48 frames what 100 clips hold."""
    soundfile = needed("soundfile")
    from gst_listen_export.frontend import YAMNET
    from gst_listen_export.logmel import log_mel

    found = [np.fromfile(DATA / "yamnet/yamnet_test_spectra.bin", "<f4").reshape(96, 64)]
    with (DATA / "sounds/index.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    for row in rows[:: len(rows) // 100][:100]:
        samples, _ = soundfile.read(DATA / "sounds" / row["path"])
        samples = np.pad(samples, (0, max(0, 15600 - len(samples))))
        mel = log_mel(YAMNET, samples).astype(np.float32)
        found += [mel[a : a + 96] for a in range(0, len(mel) - 95, 48)]
    return found


@needs_data
def test_scores_are_litert_s(package):
    interpreter = needed("ai_edge_litert.interpreter").Interpreter(str(MODEL), num_threads=1)
    from gst_listen_export.onnx_export import open_session

    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    session, pieces, theirs = open_session(package / "encoder.onnx"), windows(), []
    for window in pieces:
        interpreter.set_tensor(given, window[None])
        interpreter.invoke()
        theirs.append(interpreter.get_tensor(made)[0].copy())
    ours = np.concatenate([session.run(["scores"], {"lms": w[None, None]})[0] for w in pieces])
    batched = session.run(["scores"], {"lms": np.stack(pieces[:7])[:, None]})[0]
    assert len(pieces) > 500 and (ours[0].argmax(), round(float(ours[0].max()), 2)) == (0, 0.94)
    assert np.array_equal(ours.argmax(1), np.argmax(theirs, 1))
    assert np.abs(ours - np.array(theirs)).max() <= 0.02
    assert np.array_equal(batched, ours[:7])


@pytest.fixture
def tiny(tmp_path):
    """A small network's file and its class map, beside each other."""
    from cases.yamnet import checkpoint

    return checkpoint(tmp_path)


def log_mels(count):
    """Windows of log-mel, from silence to loud."""
    rng = np.random.default_rng(3)
    tilt = np.linspace(0, -4, 64) * rng.uniform(0, 1, (count, 1, 1))
    loud = rng.uniform(-6.9, 3, (count, 1, 1))
    return np.maximum(rng.normal(loud, 1.5, (count, 96, 64)) + tilt, np.log(0.001)).astype(np.float32)


def test_a_small_networks_scores_are_litert_s_and_those_of_whole_numbers(tiny, tmp_path):
    interpreter = needed("ai_edge_litert.interpreter").Interpreter(str(tiny), num_threads=1)
    from tiny_tflite import layers

    from gst_listen_export.onnx_export import open_session
    from truth.yamnet import network

    with pytest.raises(SystemExit) as end:
        export(["yamnet", str(tiny), "-o", str(tmp_path / "p")])
    assert end.value.code == 0
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    session, pieces, theirs, truth = open_session(tmp_path / "p/encoder.onnx"), log_mels(40), [], []
    for window in pieces:
        interpreter.set_tensor(given, window[None])
        interpreter.invoke()
        theirs.append(interpreter.get_tensor(made)[0].copy())
        truth.append(network(layers(), window))
    ours = session.run(["scores"], {"lms": pieces[:, None]})[0]
    assert len({tuple(t) for t in truth}) > 20  # the windows are told apart
    for other in (theirs, truth):
        assert np.array_equal(ours.argmax(1), np.argmax(other, 1)) and np.abs(ours - np.array(other)).max() <= 0.02
    # A guard: kernels with time and frequency exchanged would be seen.
    wrong = layers()
    wrong["convolutions"][0]["weights"] = wrong["convolutions"][0]["weights"].transpose(0, 2, 1, 3)
    assert max(np.abs(ours[i] - network(wrong, w)).max() for i, w in enumerate(pieces)) > 0.02


def test_a_small_file_cut_short_anywhere_is_refused_by_name(tiny, tmp_path):
    data = tiny.read_bytes()
    refused = 0
    for size in range(0, len(data), 37):
        file = tmp_path / "short.tflite"
        file.write_bytes(data[:size])
        try:
            tflite.Rebuilt(tflite.File(file))
        except ExportError as error:
            assert str(error).startswith(f"{file}: ") and "expected" in str(error)
            refused += 1
    assert refused >= len(data) / 37 - 3  # the last bytes may be filling


def test_bytes_changed_anywhere_are_refused_or_read_and_never_a_crash(tiny, tmp_path):
    data, rng = tiny.read_bytes(), np.random.default_rng(5)
    for _ in range(400):
        changed, file = bytearray(data), tmp_path / "changed.tflite"
        changed[rng.integers(len(data))] ^= 1 << rng.integers(8)
        file.write_bytes(changed)
        try:
            tflite.Rebuilt(tflite.File(file)).save(tmp_path / "changed.onnx")
        except ExportError as error:
            assert str(file) in str(error)


def test_inspect_explains_the_file(tiny, command):
    status, said = command("inspect", tiny)
    assert status == 0 and "float32 [1, 96, 64]" in said and f"yamnet: 5 classes of 96 frames of 64 bands\n  gst-listen-export yamnet {tiny} -o" in said, said
    tiny.write_bytes(tiny.read_bytes()[:500])
    status, said = command("inspect", tiny)
    assert status == 1 and "expected a TensorFlow Lite file" in said, said


def test_an_operator_or_a_class_map_that_does_not_fit_is_named(tiny, tmp_path, command):
    table = tiny.parent / "tiny_class_map.csv"
    good = table.read_text()
    for message, wrong in {"columns": good.replace("index", "number"), "in order": good.rsplit("\n", 2)[0] + "\n", "each once": good.replace("Siren", "Rain")}.items():
        table.write_text(wrong)
        status, said = command("yamnet", tiny, "-o", tmp_path / "p")
        assert status == 1 and message in said and not (tmp_path / "p").exists(), said
    table.unlink()
    assert "say --classes FILE" in command("yamnet", tiny, "-o", tmp_path / "p")[1]
    table.write_text(good)
    import tiny_tflite

    other = tiny_tflite.OPERATORS | {"LOGISTIC": (25, 1, 0)}  # SOFTMAX
    tiny_tflite.OPERATORS, known = other, tiny_tflite.OPERATORS
    try:
        tiny.write_bytes(tiny_tflite.model(tiny_tflite.layers()))
    finally:
        tiny_tflite.OPERATORS = known
    status, said = command("yamnet", tiny, "-o", tmp_path / "p")
    assert status == 1 and "operator 7 is number 25" in said, said


@needs_data
def test_a_file_cut_short_anywhere_is_refused_by_name(tmp_path):
    data = MODEL.read_bytes()
    for size in (0, 7, 40, 3000, 100_000, len(data) // 2, len(data) - 600):
        file = tmp_path / "short.tflite"
        file.write_bytes(data[:size])
        with pytest.raises(ExportError, match="short.tflite: expected"):
            tflite.Rebuilt(tflite.File(file))


def test_what_is_no_tflite_file_is_refused(tmp_path):
    file = tmp_path / "model.tflite"
    file.write_bytes(b"PK\x03\x04" + bytes(200))
    with pytest.raises(ExportError, match="expected a FlatBuffer with the identifier 'TFL3'"):
        tflite.File(file)
    # A root that points beyond the end, and one whose vtable does.
    for offset in (10_000, 100):
        file.write_bytes(offset.to_bytes(4, "little") + b"TFL3" + bytes(92) + (2**31 - 1).to_bytes(4, "little"))
        with pytest.raises(ExportError, match="model.tflite: expected"):
            tflite.File(file)


@needs_data
def test_class_maps_that_do_not_fit_are_refused(tmp_path):
    lines = (DATA / "yamnet/yamnet_class_map.csv").read_text().splitlines()
    cases = {"columns": ["number,name", *lines[1:]], "in order": lines[:-1], "each once": [*lines[:-1], lines[-1].rsplit(",", 1)[0] + ",Speech"]}
    for message, wrong in cases.items():
        file = tmp_path / "map.csv"
        file.write_text("\n".join(wrong) + "\n")
        with pytest.raises(SystemExit) as end:
            export(["yamnet", str(MODEL), "--classes", str(file), "-o", str(tmp_path / "p")])
        assert message in str(end.value.code) and not (tmp_path / "p").exists()
