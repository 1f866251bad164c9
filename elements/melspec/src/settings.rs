//! What the user sets.

use gst::glib;
use gst::prelude::*;
use gst_listen_common::caps::{EdgeCaps, MIXED, MelFormat};
use listen_features::{self as features, FrontEnd, PadMode, TriangleDomain};

/// An enumeration whose first value leaves the choice to the preset.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident, $gtype:literal, { $($variant:ident = $nick:literal: $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
        #[enum_type(name = $gtype)]
        #[allow(missing_docs, reason = "each value's text stands beside it, for gst-inspect")]
        pub enum $name {
            #[default]
            #[enum_value(name = "As the preset has it", nick = "preset")]
            Preset,
            $(#[enum_value(name = $text, nick = $nick)] $variant),*
        }
    };
}

/// The front end of a family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstMelSpecPreset")]
pub enum Preset {
    /// The peer's.
    #[default]
    #[enum_value(name = "What downstream asks for, else as m2d", nick = "auto")]
    Auto,
    /// M2D, M2D-CLAP, MSM-MAE.
    #[enum_value(name = "M2D: 16 kHz, 25 ms every 10 ms, 80 bands of 50 to 8000 Hz", nick = "m2d")]
    M2d,
    /// M2D at 32 kHz.
    #[enum_value(name = "M2D at 32 kHz: 25 ms every 10 ms, 80 bands of 50 to 16000 Hz", nick = "m2d-32k")]
    M2d32k,
    /// BYOL-A.
    #[enum_value(name = "BYOL-A: 16 kHz, 64 ms every 10 ms, 64 bands of 60 to 7800 Hz", nick = "byol-a")]
    ByolA,
    /// LAION-CLAP.
    #[enum_value(
        name = "LAION-CLAP: 48 kHz, 21 ms every 10 ms, 64 bands of 50 to 14000 Hz, dB",
        nick = "laion-clap"
    )]
    LaionClap,
    /// YAMNet.
    #[enum_value(name = "YAMNet: 16 kHz, 25 ms every 10 ms, 64 HTK bands of 125 to 7500 Hz", nick = "yamnet")]
    Yamnet,
    /// From the properties alone.
    #[enum_value(
        name = "The properties, at the rate of the audio; what they leave out as m2d",
        nick = "custom"
    )]
    Custom,
}

/// What a buffer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstMelSpecEdge")]
pub enum Edge {
    /// The peer's.
    #[default]
    #[enum_value(name = "What downstream asks for, else rolling", nick = "auto")]
    Auto,
    /// Frames of the continuous stream.
    #[enum_value(name = "Frames of the continuous stream", nick = "rolling")]
    Rolling,
    /// Whole windows.
    #[enum_value(name = "Whole windows, each reflected at its own edges", nick = "exact")]
    Exact,
}

choice!(
    /// What is summed in the bands.
    Spectrum, "GstMelSpecSpectrum", { Power = "power": "Squared magnitude", Magnitude = "magnitude": "Magnitude" }
);
choice!(
    /// The mel scale.
    MelScale, "GstMelSpecMelScale", { Slaney = "slaney": "Linear below 1 kHz", Htk = "htk": "2595 log10(1 + f / 700)" }
);
choice!(
    /// The norm of the triangles.
    MelNorm, "GstMelSpecMelNorm", { Slaney = "slaney": "Area 1 over Hz", None = "none": "Height 1" }
);
choice!(
    /// Where the triangles' sides are straight.
    Triangles, "GstMelSpecTriangles", { Hz = "hz": "Straight over Hz", Mel = "mel": "Straight over mel" }
);
choice!(
    /// The logarithm.
    Log, "GstMelSpecLog", {
        LnAdd = "ln-add": "ln(S + log-floor)",
        LnMax = "ln-max": "ln(max(S, log-floor))",
        DbMax = "db-max": "10 log10(max(S, log-floor))",
    }
);
choice!(
    /// Yes or no.
    Switch, "GstMelSpecSwitch", { No = "no": "No", Yes = "yes": "Yes" }
);

/// Makes the enumerations known to documentation tools.
pub(crate) fn mark_as_plugin_api() {
    let types = [
        Preset::static_type(),
        Edge::static_type(),
        Spectrum::static_type(),
        MelScale::static_type(),
        MelNorm::static_type(),
        Triangles::static_type(),
        Log::static_type(),
        Switch::static_type(),
    ];
    for enumeration in types {
        enumeration.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
}

/// The properties' values. 0 and -1 leave a number to the preset.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "the properties' blurbs say what they are")]
pub(crate) struct Settings {
    pub preset: Preset,
    pub n_fft: u32,
    pub win_length: u32,
    pub hop_length: u32,
    pub n_mels: u32,
    pub f_min: f64,
    pub f_max: f64,
    pub center: Switch,
    pub spectrum: Spectrum,
    pub mel_scale: MelScale,
    pub mel_norm: MelNorm,
    pub triangles: Triangles,
    pub zero_dc: Switch,
    pub log: Log,
    pub log_floor: f64,
    pub edge: Edge,
    pub window: u64,
    pub hop: u64,
    pub channel: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            preset: Preset::Auto,
            n_fft: 0,
            win_length: 0,
            hop_length: 0,
            n_mels: 0,
            f_min: -1.0,
            f_max: -1.0,
            center: Switch::Preset,
            spectrum: Spectrum::Preset,
            mel_scale: MelScale::Preset,
            mel_norm: MelNorm::Preset,
            triangles: Triangles::Preset,
            zero_dc: Switch::Preset,
            log: Log::Preset,
            log_floor: 0.0,
            edge: Edge::Auto,
            window: 0,
            hop: 0,
            channel: MIXED,
        }
    }
}

impl Settings {
    /// What `base` becomes where the properties say something else; equal to it where they do not contradict.
    ///
    /// `rate` is the audio's, which `preset=custom` takes.
    pub fn applied_to(&self, base: &MelFormat, rate: Option<u32>) -> MelFormat {
        let named = match self.preset {
            Preset::Auto => None,
            Preset::M2d => Some(FrontEnd::m2d_16k()),
            Preset::M2d32k => Some(FrontEnd::m2d_32k()),
            Preset::ByolA => Some(FrontEnd::byol_a()),
            Preset::LaionClap => Some(FrontEnd::laion_clap()),
            Preset::Yamnet => Some(FrontEnd::yamnet()),
            Preset::Custom => {
                let m2d = FrontEnd::m2d_16k();
                Some(FrontEnd { sample_rate: rate.unwrap_or(m2d.sample_rate), ..m2d })
            }
        };
        let base_front_end = named.as_ref().unwrap_or(&base.front_end);
        let front_end = self.front_end(base_front_end);
        let edge = match self.edge {
            Edge::Auto => base.edge,
            Edge::Rolling => EdgeCaps::Rolling,
            Edge::Exact => self.exact(&front_end, base.edge),
        };
        MelFormat { front_end, edge, ..base.clone() }
    }

    /// Whether they say nothing about frames, so that what flows may as well be samples.
    pub fn leave_the_front_end(&self) -> bool {
        Settings { channel: self.channel, ..Settings::default() } == *self
    }

    /// The format where nobody downstream asks for one.
    pub fn own(&self, rate: Option<u32>) -> MelFormat {
        self.applied_to(&MelFormat::new(FrontEnd::m2d_16k()), rate)
    }

    fn front_end(&self, base: &FrontEnd) -> FrontEnd {
        let number = |own: u32, base: u32| if own == 0 { base } else { own };
        let hz = |own: f64, base: f64| if own < 0.0 { base } else { own };
        let switch = |own: Switch, base: bool| if own == Switch::Preset { base } else { own == Switch::Yes };
        let center = switch(self.center, base.center);
        let n_fft = number(self.n_fft, base.n_fft);
        // A window that the preset had as long as its transform stays so.
        let win_length = if base.win_length == base.n_fft { n_fft } else { base.win_length };
        FrontEnd {
            sample_rate: base.sample_rate,
            n_fft,
            win_length: number(self.win_length, win_length),
            hop_length: number(self.hop_length, base.hop_length),
            window: base.window,
            center,
            pad_mode: if center { PadMode::Reflect } else { PadMode::None },
            spectrum: match self.spectrum {
                Spectrum::Preset => base.spectrum,
                Spectrum::Power => features::Spectrum::Power,
                Spectrum::Magnitude => features::Spectrum::Magnitude,
            },
            n_mels: number(self.n_mels, base.n_mels),
            f_min: hz(self.f_min, base.f_min),
            f_max: hz(self.f_max, base.f_max),
            mel_scale: match self.mel_scale {
                MelScale::Preset => base.mel_scale,
                MelScale::Slaney => features::MelScale::Slaney,
                MelScale::Htk => features::MelScale::Htk,
            },
            mel_norm: match self.mel_norm {
                MelNorm::Preset => base.mel_norm,
                MelNorm::Slaney => features::MelNorm::Slaney,
                MelNorm::None => features::MelNorm::None,
            },
            triangle_domain: match self.triangles {
                Triangles::Preset => base.triangle_domain,
                Triangles::Hz => TriangleDomain::Hz,
                Triangles::Mel => TriangleDomain::Mel,
            },
            zero_dc: switch(self.zero_dc, base.zero_dc),
            log: self.logarithm(base.log),
            // Its weights are for so many bands and bins: with others it is the formula's.
            filterbank: base
                .filterbank
                .clone()
                .filter(|_| (n_fft, number(self.n_mels, base.n_mels)) == (base.n_fft, base.n_mels)),
        }
    }

    fn logarithm(&self, base: features::Log) -> features::Log {
        use features::Log::{DbMax, LnAdd, LnMax};
        let (LnAdd { eps: constant } | LnMax { floor: constant } | DbMax { amin: constant }) = base;
        let constant = if self.log_floor > 0.0 { self.log_floor } else { constant };
        let kind = match (self.log, base) {
            (Log::Preset, LnAdd { .. }) => Log::LnAdd,
            (Log::Preset, LnMax { .. }) => Log::LnMax,
            (Log::Preset, DbMax { .. }) => Log::DbMax,
            (kind, _) => kind,
        };
        match kind {
            Log::LnMax => LnMax { floor: constant },
            Log::DbMax => DbMax { amin: constant },
            Log::LnAdd | Log::Preset => LnAdd { eps: constant },
        }
    }

    /// Exact windows as the properties have them; what they leave out as `base` has it.
    fn exact(&self, front_end: &FrontEnd, base: EdgeCaps) -> EdgeCaps {
        let frames = |ns: u64| {
            let frame = 1_000_000_000 * u128::from(front_end.hop_length.max(1));
            let frames = (u128::from(ns) * u128::from(front_end.sample_rate) + frame / 2) / frame;
            // Caps carry them as ints.
            u32::try_from(frames.min(i32::MAX as u128)).unwrap_or(i32::MAX as u32)
        };
        let (window, hop, tail, fill) = match base {
            EdgeCaps::Rolling => (frames(1_000_000_000), 0, false, None),
            EdgeCaps::Exact { window, hop, tail, fill } => (window, hop, tail, fill),
        };
        let window = if self.window == 0 { window } else { frames(self.window) };
        let hop = match (self.hop, hop) {
            (0, 0) => window,
            (0, hop) => hop,
            (own, _) => frames(own),
        };
        EdgeCaps::Exact { window, hop, tail, fill }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_properties_leave_every_front_end_as_it_is() {
        let settings = Settings::default();
        let presets = [
            FrontEnd::m2d_16k(),
            FrontEnd::m2d_32k(),
            FrontEnd::byol_a(),
            FrontEnd::laion_clap(),
            FrontEnd::yamnet(),
        ];
        for front_end in presets {
            let exact = EdgeCaps::Exact { window: 608, hop: 304, tail: true, fill: None };
            let base = MelFormat { edge: exact, pre_scale: 2.0, ..MelFormat::new(front_end) };
            assert_eq!(settings.applied_to(&base, Some(8_000)), base);
        }
    }

    #[test]
    fn single_numbers_change_a_preset_and_custom_takes_the_rate_of_the_audio() {
        let settings = Settings { preset: Preset::ByolA, n_mels: 40, log: Log::LnMax, ..Settings::default() };
        let log = features::Log::LnMax { floor: f64::from(f32::EPSILON) };
        assert_eq!(settings.own(None).front_end, FrontEnd { n_mels: 40, log, ..FrontEnd::byol_a() });

        let settings =
            Settings { preset: Preset::Custom, n_fft: 1_024, f_max: 10_000.0, ..Settings::default() };
        let front_end = settings.own(Some(22_050)).front_end;
        assert_eq!((front_end.sample_rate, front_end.n_fft, front_end.win_length), (22_050, 1_024, 1_024));
        assert_eq!(front_end.validate(), Ok(()));
    }

    #[test]
    fn exact_windows_are_counted_in_frames() {
        let ms = 1_000_000;
        let settings =
            Settings { edge: Edge::Exact, window: 6_080 * ms, hop: 1_600 * ms, ..Settings::default() };
        assert_eq!(
            settings.own(None).edge,
            EdgeCaps::Exact { window: 608, hop: 160, tail: false, fill: None }
        );
        let settings = Settings { edge: Edge::Exact, window: 6_080 * ms, ..Settings::default() };
        assert_eq!(
            settings.own(None).edge,
            EdgeCaps::Exact { window: 608, hop: 608, tail: false, fill: None }
        );
    }
}
