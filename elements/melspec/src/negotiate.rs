//! Which front end a stream has: the peer's, and the user's where the peer has none.

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_audio::AudioInfo;
use gst_listen_common::caps::{CapsError, MIXED};
use listen_features::FrontEndError;

use crate::format::{self, Format};
use crate::imp::{Audio, CAT, MelSpec};
use crate::settings::{Preset, Settings};
use crate::stream::Stream;

/// What downstream takes.
pub(crate) enum Asked {
    /// These formats, best first.
    Formats(Vec<Format>),
    /// Anything of ours, or caps that leave some of the front end open.
    Open(gst::Caps),
    /// Nothing of ours.
    Nothing(gst::Caps),
}

/// Asks downstream what it takes.
pub(crate) fn ask(srcpad: &gst::Pad) -> Asked {
    if srcpad.peer().is_none() {
        return Asked::Open(format::template());
    }
    let caps = srcpad.peer_query_caps(Some(&format::template()));
    if caps.is_empty() {
        return Asked::Nothing(srcpad.peer_query_caps(None));
    }
    let formats: Vec<_> = caps.iter().flat_map(Format::from_structure).collect();
    if formats.is_empty() { Asked::Open(caps) } else { Asked::Formats(formats) }
}

/// Why no format could be chosen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0}")]
    Pairing(#[from] CapsError),
    #[error(
        "{peer} takes samples, its package's front end is inside of the graph; the properties of {me} ask for log-mel frames"
    )]
    Samples { peer: String, me: String },
    #[error("the front end takes {expected} Hz, the audio has {found} Hz: put audioresample before melspec")]
    Rate { expected: u32, found: u32 },
    #[error("melspec gives {found}, downstream takes {expected}")]
    Downstream { expected: gst::Caps, found: gst::Caps },
    #[error(
        "downstream takes no frames that melspec could make, expected one front end for all: where branches behind a tee want several \
         (also another window, hop or fill), put the tee before melspec and a melspec into each branch"
    )]
    Branches,
}

/// Chooses the format for audio of `rate` Hz; `me` and `peer` are the names of the two sides.
pub(crate) fn choose(
    asked: &Asked,
    settings: &Settings,
    rate: u32,
    me: &str,
    peer: &str,
) -> Result<Format, Refused> {
    let own = || Format::Mel(settings.own(Some(rate)));
    let format = match asked {
        Asked::Formats(formats) => {
            let agrees = |format: &&Format| match format {
                Format::Mel(format) => settings.applied_to(format, Some(rate)) == *format,
                Format::Samples(_) => settings.leave_the_front_end(),
            };
            let fits = |format: &&Format| format.sample_rate() == rate;
            let mut agreed = formats.iter().filter(agrees);
            match (agreed.clone().find(fits), agreed.next()) {
                (Some(format), _) | (None, Some(format)) => format.clone(),
                (None, None) => match formats.first() {
                    Some(Format::Mel(format)) => {
                        let own = settings.applied_to(format, Some(rate));
                        let by_properties = format!("{me} (by its properties)");
                        format.expect(&own, peer, &by_properties)?;
                        Format::Mel(own)
                    }
                    Some(Format::Samples(_)) => {
                        return Err(Refused::Samples { peer: peer.into(), me: me.into() });
                    }
                    // `ask` gives at least one format.
                    None => own(),
                },
            }
        }
        Asked::Open(_) | Asked::Nothing(_) => own(),
    };
    let caps = || gst::Caps::from(format.to_structure());
    match asked {
        Asked::Open(expected) if !expected.can_intersect(&caps()) => {
            return Err(Refused::Downstream { expected: expected.clone(), found: caps() });
        }
        Asked::Nothing(expected) if expected.is_empty() => return Err(Refused::Branches),
        Asked::Nothing(expected) => {
            return Err(Refused::Downstream { expected: expected.clone(), found: caps() });
        }
        _ => {}
    }
    match format.sample_rate() {
        expected if expected != rate => Err(Refused::Rate { expected, found: rate }),
        _ => Ok(format),
    }
}

/// The audio that can be taken, given what downstream asks.
pub(crate) fn sink_caps(asked: &Asked, settings: &Settings, template: &gst::Caps) -> gst::Caps {
    let rates: Vec<_> = match asked {
        Asked::Formats(formats) => formats.iter().map(Format::sample_rate).collect(),
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

impl MelSpec {
    pub(crate) fn take_caps(&self, caps: &gst::CapsRef) -> bool {
        let info = match AudioInfo::from_caps(caps) {
            Ok(info) => info,
            Err(error) => {
                gst::element_imp_error!(
                    self,
                    gst::StreamError::Format,
                    ("{caps} is no audio that melspec takes: {error}")
                );
                return false;
            }
        };
        let channel = caps.structure(0).and_then(|s| s.get::<i32>("channel").ok()).unwrap_or(MIXED);
        self.state().audio = Some(Audio { info, channel });
        // This answers whatever has been asked before.
        self.srcpad.check_reconfigure();
        let negotiated = self.negotiate();
        if !negotiated {
            self.srcpad.mark_reconfigure();
        }
        negotiated
    }

    /// Chooses the front end and tells downstream; a change drains what came before.
    pub(crate) fn negotiate(&self) -> bool {
        let settings = self.settings();
        let Some(audio) = self.state().audio.clone() else { return false };
        let asked = ask(&self.srcpad);
        let peer = self.srcpad.peer().and_then(|pad| pad.parent());
        let peer = peer.map_or_else(|| "downstream".into(), |parent| parent.name().to_string());
        let name = self.obj().name();
        let format = match choose(&asked, &settings, audio.info.rate(), &name, &peer) {
            Ok(format) => format,
            Err(error) => {
                self.refusal.post(&*self.obj(), gst::error_msg!(gst::CoreError::Negotiation, ("{error}")));
                return false;
            }
        };
        self.refusal.forget();
        let channel = if settings.channel == MIXED { audio.channel } else { settings.channel };
        let caps = format.to_caps(channel);
        match self.restart(format, &audio.info) {
            Ok(drained) => {
                if let Err(error) = self.push(drained) {
                    gst::debug!(CAT, imp = self, "Drained into {error:?}");
                }
            }
            Err(error) => {
                gst::element_imp_error!(self, gst::LibraryError::Settings, ("{error}"));
                return false;
            }
        }
        if self.srcpad.current_caps().as_ref() == Some(&caps) {
            return true;
        }
        gst::info!(CAT, imp = self, "Giving {caps}");
        self.srcpad.push_event(gst::event::Caps::new(&caps))
    }

    /// Begins a stream of `format` if there is none of it: what the one before had inside.
    fn restart(&self, format: Format, info: &AudioInfo) -> Result<Vec<gst::Buffer>, FrontEndError> {
        let mut state = self.state();
        if state.stream.as_ref().is_some_and(|stream| stream.takes(&format, info.format())) {
            return Ok(Vec::new());
        }
        let stream = Stream::new(format, info.format())?;
        let drained = state.drain();
        state.bad_before = state.bad_samples();
        let latency = stream.latency();
        let changed = std::mem::replace(&mut state.latency, latency) != latency;
        state.stream = Some(stream);
        drop(state);
        if changed {
            // Without a bus nobody needs to know.
            let _ = self.obj().post_message(gst::message::Latency::builder().src(&*self.obj()).build());
        }
        Ok(drained)
    }
}
