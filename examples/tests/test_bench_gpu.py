"""The tables of examples/bench/gpu are what was measured."""
import importlib.util
import pathlib
import unittest

FILE = pathlib.Path(__file__).resolve().parents[1] / "bench/gpu/table.py"
spec = importlib.util.spec_from_file_location("gpu_table", FILE)
table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(table)


def line(what, batch, rate, **more):
    return {"provider": "cuda", "package": "vit", "precision": "fp16", "what": what, "batch": batch, "windows_per_s": rate, "device_mb": 900.0} | more


class Tables(unittest.TestCase):
    peak = {"what": "peak", "device": "a card", "size": 8192, "fp16": 678.0, "fp32": 50.0, "tf32": 300.0}

    def rows(self, lines):
        return [[c.strip() for c in row.split("|")[1:-1]] for row in table.tables(lines).splitlines() if row.startswith("| ") and row[2].isdigit()]

    def test_shares_are_of_bare_and_of_the_peak(self):
        lines = [self.peak, line("bare", 128, 10_000.0), line("elements", 128, 9_500.0, elements=16, workers=1), line("bare", 1, 500.0)]
        # 10,000 windows of 33.9 GFLOP are 339 TFLOP/s, half of 678.
        self.assertEqual(self.rows(lines), [["1", "500", "2%", "900 MB", "not measured"], ["128", "10000", "50%", "900 MB", "9500 (95%)"]])

    def test_what_is_not_known_is_said(self):
        self.assertEqual(self.rows([line("bare", 1, 500.0) | {"device_mb": None}]), [["1", "500", "?", "?"]])

    def test_agreement_and_exits_are_told(self):
        text = table.tables([{"what": "agree", "package": "vit", "precision": "fp16", "windows": 8, "min_cosine": 0.9999, "max_difference": 0.002},
                             {"what": "exits", "package": "vit", "precision": "fp16", "clean": 19, "of": 20}])
        self.assertIn("smallest cosine 0.9999000", text)
        self.assertIn("19 of 20 exits clean", text)


if __name__ == "__main__":
    unittest.main()
