//! Which front end a stream has: the peer's, and the user's where the peer has none.

use gst::prelude::*;
use gst_listen_common::caps::{CapsError, MelFormat, mel_template};

use crate::settings::{Preset, Settings};

/// What downstream takes.
pub(crate) enum Asked {
    /// These formats, best first.
    Formats(Vec<MelFormat>),
    /// Any mel stream, or caps that leave some of the front end open.
    Open(gst::Caps),
    /// No mel stream.
    Nothing(gst::Caps),
}

/// Asks downstream what it takes.
pub(crate) fn ask(srcpad: &gst::Pad) -> Asked {
    if srcpad.peer().is_none() {
        return Asked::Open(mel_template());
    }
    let caps = srcpad.peer_query_caps(Some(&mel_template()));
    if caps.is_empty() {
        return Asked::Nothing(srcpad.peer_query_caps(None));
    }
    let formats: Vec<_> = caps.iter().flat_map(MelFormat::from_structure).collect();
    if formats.is_empty() { Asked::Open(caps) } else { Asked::Formats(formats) }
}

/// Why no format could be chosen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0}")]
    Pairing(#[from] CapsError),
    #[error("the front end takes {expected} Hz, the audio has {found} Hz: put audioresample before melspec")]
    Rate { expected: u32, found: u32 },
    #[error("melspec gives {found}, downstream takes {expected}")]
    Downstream { expected: gst::Caps, found: gst::Caps },
}

/// Chooses the format for audio of `rate` Hz; `me` and `peer` are the names of the two sides.
pub(crate) fn choose(
    asked: &Asked,
    settings: &Settings,
    rate: u32,
    me: &str,
    peer: &str,
) -> Result<MelFormat, Refused> {
    let format = match asked {
        Asked::Formats(formats) => {
            let agrees = |format: &&MelFormat| settings.applied_to(format, Some(rate)) == **format;
            let fits = |format: &&MelFormat| format.front_end.sample_rate == rate;
            let mut agreed = formats.iter().filter(agrees);
            match (agreed.clone().find(fits), agreed.next()) {
                (Some(format), _) | (None, Some(format)) => format.clone(),
                (None, None) => {
                    // `ask` gives at least one format.
                    let Some(format) = formats.first() else { return Ok(settings.own(Some(rate))) };
                    let own = settings.applied_to(format, Some(rate));
                    let by_properties = format!("{me} (by its properties)");
                    format.expect(&own, peer, &by_properties)?;
                    own
                }
            }
        }
        Asked::Open(_) | Asked::Nothing(_) => settings.own(Some(rate)),
    };
    let caps = || gst::Caps::from(format.to_structure());
    match asked {
        Asked::Open(expected) if !expected.can_intersect(&caps()) => {
            return Err(Refused::Downstream { expected: expected.clone(), found: caps() });
        }
        Asked::Nothing(expected) => {
            return Err(Refused::Downstream { expected: expected.clone(), found: caps() });
        }
        _ => {}
    }
    match format.front_end.sample_rate {
        expected if expected != rate => Err(Refused::Rate { expected, found: rate }),
        _ => Ok(format),
    }
}

/// The audio that can be taken, given what downstream asks.
pub(crate) fn sink_caps(asked: &Asked, settings: &Settings, template: &gst::Caps) -> gst::Caps {
    let rates: Vec<_> = match asked {
        Asked::Formats(formats) => formats.iter().map(|format| format.front_end.sample_rate).collect(),
        _ if settings.preset == Preset::Custom => return template.clone(),
        _ => vec![settings.own(None).front_end.sample_rate],
    };
    let mut caps = gst::Caps::new_empty();
    for rate in rates {
        let mut one = template.clone();
        one.make_mut().set("rate", i32::try_from(rate).unwrap_or(i32::MAX));
        caps.merge(one);
    }
    caps
}
