//! Caps of a mel stream.

use gst::prelude::*;
use listen_features::{
    Conditioning, Fill, FrontEnd, Log, MelNorm, MelScale, PadMode, Spectrum, TriangleDomain, Window,
};

use super::fields::{Fields, dims, number, word};
use super::{CapsError, LOG_MEL, MIXED, bank, tensor};

const SHAPES: &[(&str, Window)] = &[("hann-periodic", Window::HannPeriodic)];
const PADS: &[(&str, PadMode)] = &[("reflect", PadMode::Reflect), ("none", PadMode::None)];
const SPECTRA: &[(&str, Spectrum)] = &[("power", Spectrum::Power), ("magnitude", Spectrum::Magnitude)];
const SCALES: &[(&str, MelScale)] = &[("slaney", MelScale::Slaney), ("htk", MelScale::Htk)];
const NORMS: &[(&str, MelNorm)] = &[("slaney", MelNorm::Slaney), ("none", MelNorm::None)];
const TRIANGLES: &[(&str, TriangleDomain)] = &[("hz", TriangleDomain::Hz), ("mel", TriangleDomain::Mel)];
const FILLS: &[(&str, Option<Fill>)] =
    &[("none", None), ("repeat", Some(Fill::Repeat)), ("repeat-cut", Some(Fill::RepeatCut))];
/// A logarithm, of its constant.
type MakeLog = fn(f64) -> Log;
/// The logarithms, without their constant.
const LOGS: &[(&str, MakeLog)] = &[
    ("ln-add", |eps| Log::LnAdd { eps }),
    ("ln-max", |floor| Log::LnMax { floor }),
    ("db-max", |amin| Log::DbMax { amin }),
];

/// What the frames of a mel stream are, and how they are laid in buffers.
#[derive(Debug, Clone, PartialEq)]
pub struct MelFormat {
    /// How samples become frames.
    pub front_end: FrontEnd,
    /// Samples in [-1, 1] are multiplied by it first.
    pub pre_scale: f64,
    /// Whether samples are rounded to 16 bits before that.
    pub int16_roundtrip: bool,
    /// What a buffer holds.
    pub edge: EdgeCaps,
}

/// What a buffer of a mel stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeCaps {
    /// Any number of frames of the continuous stream.
    Rolling,
    /// One window, its edges reflected as if it were a recording of its own. The stream's last one may be shorter.
    Exact {
        /// Frames in a window.
        window: u32,
        /// Frames from one window's start to the next one's.
        hop: u32,
        /// Whether a stream that ends with a window has one more, short one, of what the next would have shared with it:
        /// for a receiver that takes only the middle of each window.
        tail: bool,
        /// What fills the stream's last window, where it is shorter, before it becomes frames: its own samples. Offset and
        /// offset end of its buffer, like its duration, are those of the sound itself.
        fill: Option<Fill>,
    },
}

impl EdgeCaps {
    /// Whether a shorter window is filled.
    pub fn is_filled(&self) -> bool {
        matches!(self, EdgeCaps::Exact { fill: Some(_), .. })
    }
}

impl MelFormat {
    /// The rolling frames of a front end that takes samples as they are.
    pub fn new(front_end: FrontEnd) -> Self {
        Self { front_end, pre_scale: 1.0, int16_roundtrip: false, edge: EdgeCaps::Rolling }
    }

    /// The structure that a receiver of this format asks for: without `dims` and `channel`.
    pub fn to_structure(&self) -> gst::Structure {
        let f = &self.front_end;
        let (log, floor) = match f.log {
            Log::LnAdd { eps } => ("ln-add", eps),
            Log::LnMax { floor } => ("ln-max", floor),
            Log::DbMax { amin } => ("db-max", amin),
        };
        let mut s = tensor(LOG_MEL)
            .field("rate", f.sample_rate as i32)
            .field("n-fft", f.n_fft as i32)
            .field("win-length", f.win_length as i32)
            .field("hop-length", f.hop_length as i32)
            .field("window-shape", word(&f.window, SHAPES))
            .field("center", f.center)
            .field("pad-mode", word(&f.pad_mode, PADS))
            .field("spectrum", word(&f.spectrum, SPECTRA))
            .field("n-mels", f.n_mels as i32)
            .field("mel-scale", word(&f.mel_scale, SCALES))
            .field("mel-norm", word(&f.mel_norm, NORMS))
            .field("triangles", word(&f.triangle_domain, TRIANGLES))
            .field("zero-dc", f.zero_dc)
            .field("log", log)
            .field("log-floor", format!("{floor:e}"))
            .field("int16-roundtrip", self.int16_roundtrip)
            .build();
        s.set_value("f-min", number(f.f_min));
        s.set_value("f-max", number(f.f_max));
        s.set_value("pre-scale", number(self.pre_scale));
        if let Some(weights) = f.filterbank.as_ref().and_then(|bank| bank.weights()) {
            s.set(bank::FIELD, bank::packed(weights, f.bins() as usize));
        }
        match self.edge {
            EdgeCaps::Rolling => s.set("edge", "rolling"),
            EdgeCaps::Exact { window, hop, tail, fill } => {
                s.set("edge", "exact");
                s.set("window", window as i32);
                s.set("hop", hop as i32);
                if tail {
                    s.set("tail", true);
                }
                // Said in any case: who wants no fill must not be given a filled window.
                s.set("fill", word(&fill, FILLS));
            }
        }
        s
    }

    /// Reads what [`to_structure`](Self::to_structure) writes. `pre-scale`, `int16-roundtrip`, `edge`,
    /// `tail` and `fill` may be missing (1, false, rolling, false, none).
    ///
    /// # Errors
    /// The first field that is missing, of another type or out of range; the front end's own checks come later.
    pub fn from_structure(structure: &gst::StructureRef) -> Result<Self, CapsError> {
        let f = Fields(structure);
        f.expect_tensor(&[LOG_MEL])?;
        let front_end = FrontEnd {
            sample_rate: f.count("rate")?,
            n_fft: f.count("n-fft")?,
            win_length: f.count("win-length")?,
            hop_length: f.count("hop-length")?,
            window: f.word("window-shape", SHAPES)?,
            center: f.bool_or("center", true)?,
            pad_mode: f.word("pad-mode", PADS)?,
            spectrum: f.word("spectrum", SPECTRA)?,
            n_mels: f.count("n-mels")?,
            f_min: f.number("f-min")?,
            f_max: f.number("f-max")?,
            mel_scale: f.word("mel-scale", SCALES)?,
            mel_norm: f.word("mel-norm", NORMS)?,
            triangle_domain: f.word("triangles", TRIANGLES)?,
            zero_dc: f.bool_or("zero-dc", false)?,
            log: f.word("log", LOGS)?(f.number("log-floor")?),
            filterbank: bank::read(structure)?,
        };
        let pre_scale = if structure.has_field("pre-scale") { f.number("pre-scale")? } else { 1.0 };
        let exact = structure.has_field("edge") && f.word("edge", &[("rolling", false), ("exact", true)])?;
        let edge = match exact {
            false => EdgeCaps::Rolling,
            true => EdgeCaps::Exact {
                window: f.count("window")?,
                hop: f.count("hop")?,
                tail: f.bool_or("tail", false)?,
                fill: if structure.has_field("fill") { f.word("fill", FILLS)? } else { None },
            },
        };
        Ok(Self { front_end, pre_scale, int16_roundtrip: f.bool_or("int16-roundtrip", false)?, edge })
    }

    /// What is done to samples before the front end.
    pub fn conditioning(&self) -> Conditioning {
        Conditioning { pre_scale: self.pre_scale, int16_roundtrip: self.int16_roundtrip }
    }

    /// Nothing, if `found` means the same frames; a short window at the stream's end may come as it is where it is asked for filled.
    ///
    /// # Errors
    /// [`CapsError::FrontEnds`] with the fields that differ; `expected_by` and `found_by` name the two sides.
    pub fn expect(&self, found: &Self, expected_by: &str, found_by: &str) -> Result<(), CapsError> {
        if self == found {
            return Ok(());
        }
        let mut alike = found.clone();
        if let (EdgeCaps::Exact { fill: ours, .. }, EdgeCaps::Exact { fill: theirs @ None, .. }) =
            (&self.edge, &mut alike.edge)
        {
            *theirs = *ours;
        }
        if *self == alike {
            return Ok(());
        }
        let (ours, theirs) = (self.to_structure(), found.to_structure());
        let value = |s: &gst::StructureRef, field: &str| {
            s.value(field)
                .ok()
                .and_then(|v| v.serialize().ok())
                .map_or_else(|| "nothing".into(), |text| bank::short(field, text.into()))
        };
        let mut names: Vec<_> = ours.fields().chain(theirs.fields()).map(|name| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let differences: Vec<_> = names
            .into_iter()
            .filter(|name| value(&ours, name) != value(&theirs, name))
            .map(|name| format!("{name} ({} expected, {} found)", value(&ours, name), value(&theirs, name)))
            .collect();
        Err(CapsError::FrontEnds {
            differences: differences.join(", "),
            expected_by: expected_by.into(),
            expected: plain(&ours),
            found_by: found_by.into(),
            found: plain(&theirs),
        })
    }
}

/// The fields of a structure for people: `rate=16000, n-fft=400, …`.
fn plain(structure: &gst::StructureRef) -> String {
    let own = |name: &str| !matches!(name, "tensor-id" | "type" | "dims-order");
    let fields = structure.iter().filter(|(name, _)| own(name));
    let text = |value: &gst::glib::SendValue| value.serialize().map_or_else(|_| String::new(), String::from);
    let field = |name: &str, value| format!("{name}={}", bank::short(name, text(value)));
    fields.map(|(name, value)| field(name, value)).collect::<Vec<_>>().join(", ")
}

/// The caps of a mel stream.
#[derive(Debug, Clone, PartialEq)]
pub struct MelCaps {
    /// Its frames.
    pub format: MelFormat,
    /// The channel that is heard, [`MIXED`] = all of them.
    pub channel: i32,
}

impl MelCaps {
    /// Fixed caps.
    pub fn to_caps(&self) -> gst::Caps {
        let mut structure = self.format.to_structure();
        structure.set("dims", dims(0, self.format.front_end.n_mels));
        structure.set("channel", self.channel);
        gst::Caps::from(structure)
    }

    /// Reads the caps of a stream; `channel` may be missing (mixed).
    ///
    /// # Errors
    /// The first field that is missing, of another type or out of range, and `dims` that are not `<0, n-mels>`.
    pub fn from_caps(caps: &gst::CapsRef) -> Result<Self, CapsError> {
        let structure = super::error::single(caps)?;
        let format = MelFormat::from_structure(structure)?;
        let f = Fields(structure);
        if structure.has_field("dims") && f.dims()? != (0, format.front_end.n_mels) {
            let expected = format!("<0,{}> (any number of frames of n-mels values)", format.front_end.n_mels);
            let (rows, columns) = f.dims()?;
            return Err(CapsError::Field { field: "dims", expected, found: format!("<{rows},{columns}>") });
        }
        let channel = if structure.has_field("channel") { f.int("channel", MIXED)? } else { MIXED };
        Ok(Self { format, channel })
    }
}

/// What every mel stream has in common: the caps of pad templates.
pub fn mel_template() -> gst::Caps {
    gst::Caps::from(tensor(LOG_MEL).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats() -> Vec<MelFormat> {
        let presets = [
            FrontEnd::m2d_16k(),
            FrontEnd::m2d_32k(),
            FrontEnd::byol_a(),
            FrontEnd::laion_clap(),
            FrontEnd::yamnet(),
        ];
        let mut formats: Vec<_> = presets.map(MelFormat::new).into();
        let odd = FrontEnd { f_min: 62.5, log: Log::LnMax { floor: 1e-7 }, ..FrontEnd::m2d_16k() };
        let edge = EdgeCaps::Exact { window: 608, hop: 160, tail: true, fill: Some(Fill::RepeatCut) };
        formats.push(MelFormat { front_end: odd, pre_scale: 0.1, int16_roundtrip: true, edge });
        formats
    }

    #[test]
    fn every_front_end_comes_back_from_caps_and_from_their_text() {
        gst::init().unwrap();
        for format in formats() {
            for channel in [MIXED, 3] {
                let caps = MelCaps { format: format.clone(), channel };
                assert_eq!(MelCaps::from_caps(&caps.to_caps()), Ok(caps.clone()));
                let text: gst::Caps = caps.to_caps().to_string().parse().unwrap();
                assert!(text.is_strictly_equal(&caps.to_caps()), "{text}");
            }
        }
    }

    #[test]
    fn a_stream_meets_its_receiver_and_the_template_and_no_other_front_end() {
        gst::init().unwrap();
        for (i, sent) in formats().into_iter().enumerate() {
            let stream = MelCaps { format: sent, channel: 0 }.to_caps();
            assert!(stream.is_subset(&mel_template()));
            for (j, asked) in formats().into_iter().enumerate() {
                let asked = gst::Caps::from(asked.to_structure());
                assert_eq!(stream.can_intersect(&asked), i == j, "{stream} and {asked}");
            }
        }
    }

    #[test]
    fn a_wrong_pairing_names_both_front_ends_and_what_differs() {
        gst::init().unwrap();
        let (ours, theirs) = (MelFormat::new(FrontEnd::m2d_16k()), MelFormat::new(FrontEnd::byol_a()));
        assert_eq!(ours.expect(&ours, "m2dencode", "melspec"), Ok(()));
        let error = ours.expect(&theirs, "m2dencode", "melspec").unwrap_err().to_string();
        for part in ["n-fft (400 expected, 1024 found)", "f-max (8000", "m2dencode expects: ", "melspec: "] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
        assert!(!error.contains("hop-length ("), "{error}");
        let exact = |fill| MelFormat {
            edge: EdgeCaps::Exact { window: 96, hop: 48, tail: false, fill },
            ..MelFormat::new(FrontEnd::laion_clap())
        };
        assert_eq!(exact(Some(Fill::Repeat)).expect(&exact(None), "m2dencode", "a file"), Ok(()));
        for (asked, came) in [(None, Fill::Repeat), (Some(Fill::RepeatCut), Fill::Repeat)] {
            let error =
                exact(asked).expect(&exact(Some(came)), "m2dencode", "melspec").unwrap_err().to_string();
            assert!(error.contains("fill (") && error.contains("repeat found)"), "{error}");
            let caps = |fill| gst::Caps::from(exact(fill).to_structure());
            assert!(!caps(asked).can_intersect(&caps(Some(came))));
        }
    }

    #[test]
    fn caps_that_do_not_say_enough_name_the_field() {
        gst::init().unwrap();
        let good = MelCaps { format: MelFormat::new(FrontEnd::m2d_16k()), channel: MIXED }.to_caps();
        let bad = |change: &dyn Fn(&mut gst::StructureRef)| {
            let mut caps = good.clone();
            change(caps.make_mut().structure_mut(0).unwrap());
            MelCaps::from_caps(&caps).unwrap_err().to_string()
        };
        let starts = |error: String, start: &str| assert!(error.starts_with(start), "{error}");
        starts(
            bad(&|s| s.remove_field("n-fft")),
            "caps field n-fft: expected an int of at least 1, found nothing",
        );
        starts(bad(&|s| s.set("n-fft", -4)), "caps field n-fft: expected an int of at least 1, found ");
        starts(
            bad(&|s| s.set("f-min", "loud")),
            "caps field f-min: expected a number, as an int or a string",
        );
        starts(bad(&|s| s.set("log", "log2")), "caps field log: expected one of ln-add, ln-max, db-max");
        starts(bad(&|s| s.set("dims", dims(0, 64))), "caps field dims: expected <0,80>");
        starts(bad(&|s| s.set("edge", "exact")), "caps field window: expected an int");
        starts(bad(&|s| s.set("channel", -2)), "caps field channel: expected an int of at least -1");
        starts(
            bad(&|s| s.set("tensor-id", "pixels")),
            "expected a stream of tensor/strided, tensor-id=log-mel",
        );
    }
}
