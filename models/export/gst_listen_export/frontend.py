"""The front ends of the families, as manifests name them (models/package/FORMAT.md, `frontend`)."""

EPS = 2.0**-23  # of float32; the log-mel of digital silence is ln(2^-23) = -15.942385

_SLANEY = {"window": "hann_periodic", "center": True, "pad_mode": "reflect", "spectrum": "power", "mel_scale": "slaney",
           "mel_norm": "slaney", "triangle_domain": "hz", "zero_dc": False}


def logmel(sample_rate, n_fft, win_length, hop_length, n_mels, f_min, f_max, log, **other):
    """A front end with the Slaney mel scale and norm, centred frames and power, but for what `other` says."""
    return {"kind": "logmel", "sample_rate": sample_rate, "n_fft": n_fft, "win_length": win_length, "hop_length": hop_length,
            "n_mels": n_mels, "f_min": float(f_min), "f_max": float(f_max)} | _SLANEY | {"log": log} | other


# M2D and all that grew from it; BYOL-A of either version. Papers: arXiv 2210.14648, 2406.02032; 2204.07402.
M2D_16K = logmel(16000, 400, 400, 160, 80, 50, 8000, {"kind": "ln_add", "eps": EPS})
M2D_32K = logmel(32000, 800, 800, 320, 80, 50, 16000, {"kind": "ln_add", "eps": EPS})
BYOL_A = logmel(16000, 1024, 1024, 160, 64, 60, 7800, {"kind": "ln_add", "eps": EPS})
# LAION-CLAP, unfused.
LAION_CLAP = logmel(48000, 1024, 1024, 480, 64, 50, 14000, {"kind": "db_max", "amin": 1e-10})
YAMNET = logmel(16000, 512, 400, 160, 64, 125, 7500, {"kind": "ln_add", "eps": 0.001}, center=False, pad_mode="none",
                spectrum="magnitude", mel_scale="htk", mel_norm="none", triangle_domain="mel", zero_dc=True)


def audio(front_end=None, sample_rate=None, pre_scale=1.0, int16_roundtrip=False):
    """The manifest's section `audio` for a front end (or a sample rate, where the graph takes samples)."""
    rate = front_end["sample_rate"] if sample_rate is None else sample_rate
    return {"sample_rate": rate, "channels": 1, "pre_scale": pre_scale, "int16_roundtrip": int16_roundtrip}


def window(frames, *, min_frames, multiple_of, max_frames, hop, short_pad, edge="exact", output="clip"):
    """The manifest's section `window`; all in frames (in samples where the graph takes them)."""
    return {"frames": frames, "min_frames": min_frames, "multiple_of": multiple_of, "max_frames": max_frames,
            "default_hop_frames": hop, "short_pad": short_pad, "edge": edge, "default_output": output}


def samples_of(front_end, frames):
    """The number of samples that make exactly so many frames of a recording of its own."""
    centred = front_end["center"]
    return (frames - 1) * front_end["hop_length"] + (0 if centred else front_end["win_length"])
