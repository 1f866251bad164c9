"""8-bit graphs give the same on every processor: what a package's cosines and self-tests rest on."""
from pathlib import Path

import numpy as np

from gst_listen_export.onnx_export import open_session

GRAPHS = Path(__file__).resolve().parents[2] / "runtime/tests/fixtures"


def test_products_of_8_bits_do_not_overflow():
    """As listen-runtime's test of the same name; only a processor with AVX2 and without VNNI can fail here."""
    session, sums = open_session(GRAPHS / "int8.onnx"), np.array([8 * 127, -8 * 127, 4 * 128, 2 * 126])
    for value, output, step in ((2.55, "matrix", 0), (1.27, "convolution", 6.4516)):
        found = session.run([output], {"x": np.full((1, 8), value, np.float32)})[0][0]
        assert np.abs(found - 0.005 * value * sums).max() <= step / 2 + 1e-3, output


def test_a_graph_that_cannot_be_kept_from_overflowing_still_opens(capfd):
    x = np.eye(1, 8, dtype=np.float32) * 255
    assert open_session(GRAPHS / "int8-shared.onnx").run(None, {"x": x})[0].tolist() == [[64770, -64770, 32640, 32130]]
    assert capfd.readouterr().err == ""
