//! One analysis: from the tap's lane to the outlet.

use std::sync::Arc;

use gst::glib;
use gst::prelude::*;
use gst_listen_clapmatch::ClapMatch;
use gst_listen_m2dencode::M2dEncode;
use gst_listen_melspec::MelSpec;

use crate::channel::{Pick, mix_matrix};
use crate::lane::Lane;
use crate::outlet::{Ear, Outlet};
use crate::settings::{Owner, Settings};
use crate::tap::Tap;

/// What the parts of one analysis are called.
struct Names {
    suffix: String,
    number: u32,
}

impl Names {
    /// The names of a branch for `pick` where `turn` others are not gone yet: live, one that is not needed any more goes
    /// in its own time.
    fn of(pick: Pick, turn: u32) -> Names {
        const CHANNELS: u32 = 1_000;
        let (base, number) = match pick {
            Pick::All => ("all".to_owned(), 0),
            Pick::Channel(number) => (number.to_string(), number.saturating_add(1)),
        };
        let suffix = if turn == 0 { base } else { format!("{base}-{turn}") };
        Names { suffix, number: number.saturating_add(turn.saturating_mul(CHANNELS)) }
    }

    fn element(&self, what: &str) -> String {
        format!("{what}-{}", self.suffix)
    }

    fn lane(&self) -> String {
        format!("lane_{}", self.number)
    }

    fn end(&self) -> String {
        format!("sink_{}", self.number)
    }

    fn are_free(&self, bin: &gst::Bin, tap: &Tap, outlet: &Outlet) -> bool {
        let parts = ["audioconvert", "audioresample", "melspec", "m2dencode", "clapmatch"];
        tap.static_pad(&self.lane()).is_none()
            && outlet.static_pad(&self.end()).is_none()
            && parts.iter().all(|part| bin.by_name(&self.element(part)).is_none())
    }
}

/// The elements of one analysis, and where they hang.
pub struct Branch {
    /// Its beginning.
    pub lane: Arc<Lane>,
    /// The encoder.
    pub encode: M2dEncode,
    /// The matcher.
    pub matching: ClapMatch,
    /// All of them, in the order of the stream.
    elements: Vec<gst::Element>,
    end: gst::Pad,
}

impl Branch {
    /// Builds one inside `bin`, in the bin's state, and lets audio in.
    ///
    /// # Errors
    /// An element that is not installed, or that cannot follow the bin's state (a model that is missing: the element has
    /// said so itself).
    pub fn build(
        bin: &gst::Bin,
        tap: &Tap,
        outlet: &Outlet,
        pick: Pick,
        settings: &Settings,
    ) -> Result<Branch, glib::BoolError> {
        let Some(names) =
            (0..).map(|turn| Names::of(pick, turn)).find(|names| names.are_free(bin, tap, outlet))
        else {
            return Err(glib::bool_error!("no names are left for an analysis"));
        };
        let name = |what: &str| names.element(what);
        let standard = |factory: &str| {
            gst::ElementFactory::make(factory).name(name(factory)).build().map_err(|_| {
                glib::bool_error!("the element {factory} is not installed (GStreamer's base plugins have it)")
            })
        };
        let (convert, resample) = (standard("audioconvert")?, standard("audioresample")?);
        let mel: MelSpec = glib::Object::builder()
            .property("name", name("melspec"))
            .property("channel", pick.number())
            .build();
        let encode: M2dEncode = glib::Object::builder().property("name", name("m2dencode")).build();
        let matching: ClapMatch = glib::Object::builder().property("name", name("clapmatch")).build();
        settings.apply(Owner::Encode, &encode);
        settings.apply(Owner::Match, &matching);

        let template =
            tap.pad_template("lane_%u").ok_or_else(|| glib::bool_error!("the tap has no lanes"))?;
        let lane = Lane::new(&names.lane(), &template, pick);
        let mixer = convert.downgrade();
        lane.on_caps(move |info| {
            if let Some(convert) = mixer.upgrade()
                && pick == Pick::All
            {
                convert.set_property("mix-matrix", mix_matrix(info));
            }
        });
        matching.set_observer(Some(Ear::new(outlet, &lane)));

        let elements: Vec<gst::Element> =
            vec![convert, resample, mel.upcast(), encode.clone().upcast(), matching.clone().upcast()];
        let end = outlet.add_input(&names.end(), &lane)?;
        // It was made a few lines above.
        let _ = lane.end.set(end.clone());
        let branch = Branch { lane, encode, matching, elements, end };
        match branch.connect(bin, tap) {
            Ok(()) => Ok(branch),
            Err(error) => {
                branch.remove(bin, tap, outlet);
                Err(error)
            }
        }
    }

    fn connect(&self, bin: &gst::Bin, tap: &Tap) -> Result<(), glib::BoolError> {
        bin.add_many(&self.elements)?;
        gst::Element::link_many(&self.elements)?;
        let failed = |error: gst::PadLinkError| glib::bool_error!("the analysis cannot be linked: {error}");
        let source =
            self.matching.static_pad("src").ok_or_else(|| glib::bool_error!("clapmatch has no src"))?;
        source.link(&self.end).map_err(failed)?;
        for element in self.elements.iter().rev() {
            element.sync_state_with_parent()?;
        }
        tap.add_lane(&self.lane)?;
        let sink = self.elements[0]
            .static_pad("sink")
            .ok_or_else(|| glib::bool_error!("audioconvert has no sink"))?;
        self.lane.pad.link(&sink).map_err(failed)?;
        Ok(())
    }

    /// Takes it out of the bin. Not on a thread of its own stream.
    pub fn remove(&self, bin: &gst::Bin, tap: &Tap, outlet: &Outlet) {
        for element in &self.elements {
            // A removed element must not follow the bin any more, and must not be in use when it goes.
            element.set_locked_state(true);
        }
        self.lane.kill();
        for element in self.elements.iter().rev() {
            // It fails where the element has told why.
            let _ = element.set_state(gst::State::Null);
        }
        tap.remove_lane(&self.lane);
        self.matching.set_observer(None);
        outlet.remove_input(&self.end);
        for element in &self.elements {
            // It was never added where connecting failed early.
            let _ = bin.remove(element);
        }
    }

    /// Whether a message comes from inside.
    pub fn is_source_of(&self, message: &gst::MessageRef) -> bool {
        let Some(source) = message.src() else { return false };
        self.elements.iter().any(|element| source == element || source.has_as_ancestor(element))
            || *source == self.lane.pad
    }
}
