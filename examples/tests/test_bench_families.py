"""The tables of `./run bench families` are what its rounds say."""
import importlib.util
import pathlib
import unittest

FILE = pathlib.Path(__file__).resolve().parents[1] / "bench/families/table.py"
spec = importlib.util.spec_from_file_location("families_table", FILE)
table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(table)


def rounds(times, slow=(1.0,)):
    """Rounds in which all is so much slower: what else ran hits all alike."""
    return [{"load": s, "peaks": [["fp32", t, 200 * t / s] for t in (1, 2)],
             "windows": [[name, t, s * ms / t, ms, None if name.startswith("PyTorch") else 0.1] for t in (1, 2) for name, ms in times.items()]} for s in slow]


class Tables(unittest.TestCase):
    times = {"PyTorch eager fp32": 400.0, "m2dencode fp32": 160.0}

    def row(self, text, name, which=0):
        return [c.strip() for c in [line for line in text.splitlines() if line.startswith(f"| {name} |")][which].split("|")[1:-1]]

    def test_a_machine_that_is_slow_now_and_then_changes_no_ratio(self):
        quiet, noisy = (table.encoders("x", rounds(self.times, s)) for s in ([1.0] * 7, [1, 5, 1, 9, 2, 1, 3]))
        for text in (quiet, noisy):
            row = self.row(text, "m2dencode fp32")
            self.assertEqual(row[1], "160 (160)" if text is quiet else "320 (160)")
            self.assertEqual(row[4], "106% (106%)")
            self.assertEqual(row[5:8], ["2.50 (2.50)", "2.50 (2.50)", "2.4"])
            self.assertEqual(self.row(text, "m2dencode fp32", 2)[1], "2.00 (2.00)")
        self.assertIn("load 1.0 to 9.0", noisy)

    def test_gflop_are_those_of_a_vit_base(self):
        self.assertAlmostEqual(table.GFLOP, 33.9, delta=0.1)

    def test_too_few_rounds_and_what_was_not_measured_are_said(self):
        text = table.encoders("x", rounds(self.times))
        self.assertIn("Only 1 rounds: at least 7", text)
        self.assertIn("m2dencode bf16 | not measured", text)
        self.assertNotIn("Only", table.encoders("x", rounds(self.times, [1] * 7)))

    def test_chunks_are_compared_round_by_round(self):
        text = table.chunks([[[300.0, 290.0], [90.0, 88.0]], [[900.0, 290.0], [270.0, 88.0]]], None)
        self.assertEqual(self.row(text, "chunked")[1:], ["180 (90)", "88 (88)", "30% (30%)"])


if __name__ == "__main__":
    unittest.main()
