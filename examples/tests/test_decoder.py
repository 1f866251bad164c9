"""Runs the pipeline of README.md in which a package's own decoder writes, with the small package of the tests.

Its decoder has never learned anything: what it writes is no English, but it is written from what was heard.
"""
import re
import unittest

from readme import REPO, Pipelines, run

# gst-launch prints the messages; captions written between would tear its lines.
MESSAGES = {"quiet": (" -q ", " -m "), "sink": ("! fdsink", "! fakesink")}
PACKAGE = REPO / "models/captioner/tests/fixtures/tiny-llama"


class Decoder(Pipelines):
    def setUp(self):
        super().setUp()
        (self.folder / "captions.pkg").symlink_to(PACKAGE)

    def test_decoder(self):
        command = self.command("decoder")
        written = run(command, self.folder)
        by_code = run(command.replace("backend=local", "backend=template"), self.folder)
        self.assertEqual(len(written.splitlines()), len(by_code.splitlines()), "the same events, each told of once")
        self.assertGreaterEqual(len(written.splitlines()), 3)
        self.assertFalse(set(written.splitlines()) & set(by_code.splitlines()))
        self.assertEqual(written, run(command, self.folder), "the same sound, the same words")

    def test_what_it_says_on_the_bus(self):
        said = run(self.command("decoder", **MESSAGES), self.folder)
        captions = re.findall(r"\(element\): caption, .*?backend=\(string\)(\w+)", said)
        self.assertGreaterEqual(len(captions), 3)
        self.assertEqual(set(captions), {"local"})
        self.assertIn('text=(string)"Loaded\\ the\\ decoder"', said)
        self.assertNotIn("caption-fallback", said)

    def test_a_package_without_a_decoder_is_told_of_once(self):
        (self.folder / "none.pkg").symlink_to(REPO / "models/package/fixtures/tiny-frames")
        said = run(self.command("decoder", model=("captions.pkg", "none.pkg"), **MESSAGES), self.folder)
        # One element message, and one warning, which has it as its details.
        self.assertEqual(said.count("(element): caption-fallback, "), 1)
        self.assertEqual(len(re.findall(r'"llmcaption0" \(warning\)', said)), 1)
        self.assertIn("`tiny-frames` has no decoder", said)
        captions = re.findall(r"\(element\): caption, .*?backend=\(string\)(\w+)", said)
        self.assertGreaterEqual(len(captions), 2)
        self.assertEqual(set(captions), {"template"})


if __name__ == "__main__":
    unittest.main()
