"""A folder of your own becomes a package: the whole way in miniature, on sounds made here."""

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import mixes
import numpy as np
import pytest

HERE = Path(__file__).resolve().parents[1]
SCHEMA = HERE.parent / "package" / "schema" / "manifest.schema.json"

CONFIG = """
seed = 3
threads = 1
[pool]
shards = 2
workers = 2
rendered = 5
[audio]
steps = 30
batch = 16
warmup = 5
widths = [8, 12, 16, 24, 32]
trunk = 32
dim = 32
check_every = 15
save_every = 15
[text]
phrases = 700
pieces = 2000
steps = 40
join_steps = 20
width = 32
inner = 48
layers = 1
batch = 64
[package]
id = "miniature"
scenes = 4
placed = 8
unrelated_streams = 1
background = 32
[captions]
steps = 8
batch = 8
items = 512
width = 32
layers = 1
save_every = 4
bf16 = false
"""


def sound(kind, rng):
    """Two seconds that are easily told apart: a tone, noise, clicks."""
    t = np.arange(32000) / 16000
    if kind == "whistle":
        x = np.sin(2 * np.pi * rng.uniform(1500, 2500) * t) * 0.5
    elif kind == "rain":
        x = rng.standard_normal(len(t)) * 0.2
    else:
        x = np.zeros(len(t))
        x[:: int(rng.uniform(3000, 5000))] = 0.9
    return x.astype(np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    import soundfile

    folder = tmp_path_factory.mktemp("site")
    rng, rows = np.random.default_rng(1), []
    for kind in ("whistle", "rain", "clock_tick"):
        for number in range(8):
            name = f"{kind}-{number}.flac"
            soundfile.write(folder / name, sound(kind, rng), 16000)
            rows.append(["val" if number >= 6 else "train", "site", name, kind, "CC0", "somebody", "", "2.0", ""])
    with open(folder / "index.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["role", "set", "path", "label", "licence", "author", "source_url", "seconds", "freesound_id"])
        out.writerows(rows)
        out.writerow(["train", "site", "not-permissive.flac", "rain", "CC-BY-NC", "somebody", "", "2.0", ""])
        out.writerow(["eval-only", "site", "kept-aside.flac", "rain", "CC0", "somebody", "", "2.0", ""])
    (folder / "config.toml").write_text(CONFIG)
    command = [
        sys.executable,
        "-m",
        "listen_training",
        "--config",
        str(folder / "config.toml"),
        "--data",
        str(folder),
        "--out",
        str(folder / "package"),
    ]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_the_manifest_is_what_the_schema_asks_for(made):
    jsonschema = pytest.importorskip("jsonschema")
    manifest = json.loads((made / "package" / "manifest.json").read_text())
    jsonschema.validate(manifest, json.loads(SCHEMA.read_text()))
    assert manifest["id"] == "miniature"
    for file in manifest["sha256"]:
        assert (made / "package" / file).is_file()


def test_embeddings_of_the_package_do_not_depend_on_the_batch(made):
    from listen_training import package

    runner, rng = package.Runner(made / "package"), np.random.default_rng(0)
    mel = rng.normal(-9, 4, (3, 288, 80)).astype(np.float32)
    together = runner.clip(runner.tokens(mel))
    alone = np.concatenate([runner.clip(runner.tokens(mel[i : i + 1])) for i in range(3)])
    assert np.abs(together - alone).max() < 1e-5
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert runner.tokens(mel[:, :96]).shape == (3, 12, 32)


def test_rendered_sound_is_sound_and_the_same_again(made, tmp_path):
    from listen_training import rendered

    kept = sorted((made / "package.work" / "rendered").glob("*.flac"))
    assert len(kept) == 5
    again = rendered.make(tmp_path / "again", 2, ["one", "two", "three", "four"], 1, 3)
    first = rendered.make(made / "package.work" / "rendered", 5, [], 1, 3)
    assert all(0.5 * 16000 < len(x) <= 8 * 16000 and 0.5 < np.abs(x).max() < 1 for x in first)
    assert np.array_equal(again[1], first[1])


def test_texts_of_any_length_have_unit_vectors(made):
    from listen_training import package

    vectors = package.Runner(made / "package").text(
        ["rain", "an utterly unheard-of phrase with a great many words in it " * 8, "zzxqy", "Clock_Tick"]
    )
    assert vectors.shape == (4, 32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_tower_takes_the_places_that_words_have_elsewhere(made):
    import onnx

    from listen_training import package, retarget

    folder = made / "package"
    runner = package.Runner(folder)
    texts = [f"{a} {b}" for a in ("rain", "a whistle", "tax", "loud") for b in ("falls", "sounds", "form", "far away")]
    turned = np.linalg.qr(np.random.default_rng(3).normal(size=(32, 32)))[0]
    wanted = runner.text(texts) @ turned
    model = onnx.load(str(folder / "text.onnx"))
    before = model.SerializeToString()
    model, cosine = retarget.retarget(model, runner.tokenizer, wanted, texts, np.full(len(texts), 100.0))
    assert cosine > 0.98 and model.SerializeToString() != before
    onnx.save(model, str(made / "text.onnx"))
    runner.tower = package.export.session(made / "text.onnx")
    assert ((runner.text(texts) * wanted).sum(1) > 0.95).all()


def test_the_decoder_of_captions_says_what_its_self_test_says(made):
    from tokenizers import Tokenizer

    from listen_training import captions_model, captions_words

    folder = made / "package"
    manifest = json.loads((folder / "manifest.json").read_text())
    block = manifest["captioner"]
    for part in ("decoder", "embed_tokens", "projector"):
        assert block[part]["file"] in manifest["sha256"]
    assert block["evidence"] == "compact" and block["projector"]["takes"] == "frames"
    words = Tokenizer.from_file(str(folder / block["tokenizer"]))
    ids = words.encode("whistle 0 8", add_special_tokens=False).ids
    said = captions_model.Runner(folder, block).greedy(
        [np.zeros((12, 32), np.float32)], block["begin"], [*ids, captions_words.SAY], -1, 5
    )
    assert len(said) == 5 and max(said) < block["decoder"]["vocab"] == words.get_vocab_size()


AUDIO = {"widths": [8, 12, 16, 24, 32], "trunk": 32, "dim": 32}


def test_a_package_is_the_audio_side_that_it_was_made_of(made):
    import torch

    from listen_training import batches, config, package, revive

    student = revive.student(config.Audio(**AUDIO), made / "package")
    mel = np.random.default_rng(2).normal(-9, 4, (4, 288, 80)).astype(np.float32)
    x = torch.from_numpy(((mel - batches.MEAN) / batches.STD).transpose(0, 2, 1)[:, None])
    runner = package.Runner(made / "package")
    with torch.no_grad():
        tokens = student.encoder.eval()(x)
        clip = student.head(tokens)
        assert np.abs(tokens.numpy() - runner.tokens(mel)).max() < 1e-4
        assert np.abs(clip.numpy() - runner.clip(runner.tokens(mel))).max() < 1e-5
        # With statistics of its own it gives the same, also where a training would take them from the batch.
        revive.settle(student.encoder, [x])
        assert np.abs(student.encoder.eval()(x).numpy() - tokens.numpy()).max() < 1e-4
        assert np.abs(student.encoder.train()(x).numpy() - tokens.numpy()).max() < 1e-3


def test_a_package_of_another_size_is_refused_by_both_sizes(made):
    from listen_training import config, revive

    with pytest.raises(SystemExit, match=r"trunk|collapse.*\[40, 32, 3, 1\].*\[32, 32, 3, 1\]"):
        revive.student(config.Audio(**AUDIO | {"trunk": 40}), made / "package")


def placed(folder, copy):
    """A copy of a package with networks that place events, and those."""
    from listen_training import placing, settle

    shutil.copytree(folder, copy)
    rng, told = np.random.default_rng(6), placing.TOLD + 2 * placing.AROUND
    layers = lambda: [[rng.normal(size=(a, b)), rng.normal(size=a)] for a, b in ((3, told), (1, 3))]
    networks = placing.Placing([layers(), layers()])
    settle.write(copy, settle.result_of(copy), networks)
    return networks


def test_networks_are_put_into_a_package_that_is_there(made, tmp_path):
    from listen_training import settle

    networks = placed(made / "package", tmp_path / "placed")
    manifest = json.loads((tmp_path / "placed" / "manifest.json").read_text())
    pytest.importorskip("jsonschema").validate(manifest, json.loads(SCHEMA.read_text()))
    for file, sum in manifest["sha256"].items():
        assert hashlib.sha256((tmp_path / "placed" / file).read_bytes()).hexdigest() == sum
    again = settle.opened(tmp_path / "placed")
    assert np.allclose(again.networks[1][0][0], networks.networks[1][0][0], atol=2e-3)
    assert settle.opened(made / "package") is None
    assert not list((tmp_path / "placed").glob("*.part"))


@pytest.mark.parametrize(
    ("missing", "said"),
    [("manifest.json", "manifest.json is not there"), ("clap", "has no clap.calibration")],
)
def test_settle_says_what_it_expected(made, tmp_path, missing, said):
    folder = tmp_path / "package"
    shutil.copytree(made / "package", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest.pop(missing, None)
    (folder / "manifest.json").unlink() if missing == "manifest.json" else (folder / "manifest.json").write_text(
        json.dumps(manifest)
    )
    command = [sys.executable, "-m", "listen_training.settle", str(folder), "--data", str(made)]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_settle_needs_more_sounds_than_three_sites_have(made, tmp_path):
    folder = tmp_path / "package"
    shutil.copytree(made / "package", folder)
    command = [sys.executable, "-m", "listen_training.settle", str(folder), "--data", str(made), "--keep-thresholds"]
    command += ["--config", str(made / "config.toml"), "--work", str(made / "package.work")]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 1 and "expected 200 onsets and offsets" in done.stderr, done.stderr


def test_a_site_adapts_a_package_to_its_sounds_and_keeps_its_words(made):
    networks = placed(made / "package", made / "settled")
    from listen_training import package, settle

    text = CONFIG.replace('id = "miniature"', 'id = "adapted"').split("[captions]")[0]
    (made / "adapt.toml").write_text(
        text.replace("steps = 30", 'steps = 20\nweight_stay = 1.0\nweight_frame_choice = 0.5\nstart = "settled"')
    )
    command = [sys.executable, "-m", "listen_training", "--config", str(made / "adapt.toml"), "--data", str(made)]
    done = subprocess.run([*command, "--out", str(made / "adapted")], cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    old, new = made / "package", made / "adapted"
    manifest = json.loads((new / "manifest.json").read_text())
    assert manifest["id"] == "adapted" and manifest["clap"]["placing"]["step_frames"] == 8
    kept = settle.opened(new).networks
    assert all(np.allclose(kept[k][1][0], networks.networks[k][1][0], atol=2e-3) for k in (0, 1))
    assert (new / "text.onnx").read_bytes() == (old / "text.onnx").read_bytes()
    assert (new / "encoder.onnx").read_bytes() != (old / "encoder.onnx").read_bytes()
    mel = np.random.default_rng(0).normal(-9, 4, (1, 288, 80)).astype(np.float32)
    before, after = (package.Runner(folder).clip(package.Runner(folder).tokens(mel))[0] for folder in (old, new))
    assert before @ after > 0.5, "nothing is left of what it began with"


def test_halfway_is_the_mean_of_where_it_began_and_where_it_ended(made):
    # The same training again, from its checkpoint: only what is made of it differs.
    shutil.copytree(made / "adapted.work", made / "halfway.work")
    text = (made / "adapt.toml").read_text().replace("weight_stay = 1.0", "weight_stay = 1.0\nhalfway = 0.25")
    (made / "halfway.toml").write_text(text)
    command = [sys.executable, "-m", "listen_training", "--config", str(made / "halfway.toml"), "--data", str(made)]
    done = subprocess.run([*command, "--out", str(made / "halfway")], cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    from listen_training import revive

    began, ended, met = (revive.weights(made / name / "encoder.onnx") for name in ("settled", "adapted", "halfway"))
    parts = lambda found: [found[0][name] for name in sorted(found[0])] + found[1]
    apart = 0.0
    for one, two, mean in zip(parts(began), parts(ended), parts(met), strict=True):
        # Weights are stored as float16.
        assert np.allclose(mean, 0.25 * one + 0.75 * two, atol=2e-3 * max(1.0, np.abs(one).max(), np.abs(two).max()))
        apart = max(apart, float(np.abs(one - two).max()))
    assert apart > 0.02, "the training changed nothing"
    (made / "halfway.toml").write_text(text.replace('start = "settled"', 'start = ""'))
    done = subprocess.run([*command, "--out", str(made / "never")], cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 1 and "expected a package as audio.start, found ''" in done.stderr, done.stderr


def test_bent_sounds_teach_no_label(made):
    from listen_training import mixer, probe, targets

    rng = np.random.default_rng(4)
    waves = [sound(kind, rng) for kind in ("whistle", "rain") for _ in range(3)]
    draw = mixer.Mixer(waves, [0, 0, 0, 1, 1, 1], [1, 2, 3, 1, 2, 3], [0, 1], rng, bent=1.0)
    batch = mixes.batch(draw, 40)
    bent = batch["labels"] == mixer.BENT
    assert bent.any() and not (batch["labels"] >= 0).any()
    overlap, span = np.zeros((2, 2), bool), (0, mixer.COLUMNS)
    frame, skip, clip, clip_skip, _ = targets.targets(batch, 2, overlap, np.zeros(2, bool), span)
    heard = ((batch["activity"] | batch["unsure"]) & bent[:, :, None]).any(1)
    assert not frame.any() and not clip.any()
    assert (skip.numpy() == heard[:, :, None]).all() and (clip_skip.numpy() == heard.any(1)[:, None]).all()
    assert probe.probabilities(mixes.PROBE, batch)[1].any()


def test_a_tape_reads_all_of_its_sound_within_an_octave_of_its_speed():
    from listen_training import synth

    backwards = 0
    for seed in range(40):
        at = synth.glided(np.random.default_rng(seed), 16000)
        steps = np.diff(at)
        backwards += steps[0] < 0
        assert 8000 <= len(at) <= 32000 and at.min() >= 0 and at.max() < 16000
        # Between the first and the last it leaves nothing out: each step is at most twice the recording's.
        assert (np.sign(steps[np.abs(steps) > 0]) == np.sign(steps[len(steps) // 2])).all()
        assert np.abs(steps).max() < 2.05 and abs(at[-1] - at[0]) > 15900
    assert 2 <= backwards <= 20


def test_a_crossed_sound_has_its_own_times_and_the_others_colour():
    from listen_training import synth

    rng = np.random.default_rng(0)
    t = np.arange(32000) / 16000
    hiss = rng.standard_normal(32000).astype(np.float32) * (t < 1)
    low = np.sin(2 * np.pi * 300 * t).astype(np.float32)
    # Some draws take little of the other: the middle one counts.
    crossed = [synth.crossed(np.random.default_rng(seed), hiss, low) for seed in range(8)]
    below = lambda x: (np.abs(np.fft.rfft(x)) ** 2)[: 2 * 600].sum() / (np.abs(np.fft.rfft(x)) ** 2).sum()
    assert np.median([below(x) for x in crossed]) > 3 * below(hiss)
    for x in crossed:
        assert x.shape == hiss.shape and np.isfinite(x).all() and np.abs(x).max() <= 1
        assert np.square(x[:14000]).mean() > 20 * np.square(x[18000:]).mean()
    short = hiss[:1000]
    assert synth.crossed(rng, short, low) is short


def test_rows_that_may_not_train_are_not_credited(made):
    with open(made / "package" / "ATTRIBUTION.csv", newline="") as file:
        titles = [r["title_or_id"] for r in csv.DictReader(file)]
    assert len(titles) == 18
    assert not {"not-permissive", "kept-aside"} & set(titles)


def test_a_second_start_goes_on_and_keeps_what_is_there(made):
    before = (made / "package.work" / "log.jsonl").read_text()
    command = [
        sys.executable,
        "-m",
        "listen_training",
        "--config",
        str(made / "config.toml"),
        "--data",
        str(made),
        "--out",
        str(made / "package"),
    ]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    after = (made / "package.work" / "log.jsonl").read_text()[len(before) :]
    assert '"frame"' not in after, "the audio side was trained anew"
    assert '"held_out_right"' not in after, "the captions' decoder was trained anew"
    assert (made / "package.work" / "curves.png").stat().st_size > 0


def test_an_unknown_key_is_refused_by_name(tmp_path):
    (tmp_path / "c.toml").write_text("[audio]\nspeed = 3\n")
    from listen_training import config

    with pytest.raises(SystemExit, match="audio.speed"):
        config.load(tmp_path / "c.toml")
