"""YAMNet: the rebuilt graph against LiteRT, and files that are none. What needs `../shared/data` says so where it is not there."""
import csv
from pathlib import Path

import numpy as np
import pytest

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
    soundfile = pytest.importorskip("soundfile")
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
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(MODEL), num_threads=1)
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
