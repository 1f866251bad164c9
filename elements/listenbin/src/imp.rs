//! Pads, branches, messages and states of `listenbin`.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::branch::Branch;
use crate::channel::{Mode, Pick};
use crate::out::Kind;
use crate::outlet::{Gone, Outlet, rest};
use crate::settings::{self, Owner, Settings};
use crate::tap::{Hooks, Tap};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "listenbin",
        gst::DebugColorFlags::empty(),
        Some("Hears what is in passing audio"),
    )
});

/// Messages of the elements inside that the bin posts as its own.
const OWN_MESSAGES: [&str; 3] = ["audio-event", "clapmatch", "labels-changed"];

/// The bin.
pub struct ListenBin {
    tap: Tap,
    outlet: Outlet,
    settings: Mutex<Settings>,
    branches: Mutex<Vec<Arc<Branch>>>,
}

#[glib::object_subclass]
impl ObjectSubclass for ListenBin {
    const NAME: &'static str = "GstListenBin";
    type Type = super::ListenBin;
    type ParentType = gst::Bin;

    fn with_class(_class: &Self::Class) -> Self {
        Self {
            tap: glib::Object::builder().property("name", "tap").build(),
            outlet: glib::Object::builder().property("name", "outlet").build(),
            settings: Mutex::default(),
            branches: Mutex::default(),
        }
    }
}

impl ObjectImpl for ListenBin {
    fn properties() -> &'static [glib::ParamSpec] {
        settings::properties()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.settings().set(pspec.name(), value);
        let Some(owner) = settings::owner(pspec.name()) else { return };
        for branch in self.branches() {
            let inside: &gst::Element = match owner {
                Owner::Encode => branch.encode.upcast_ref(),
                Owner::Match => branch.matching.upcast_ref(),
            };
            inside.set_property_from_value(pspec.name(), value);
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => self.stats().to_value(),
            name => self.settings().get(name),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.add_many([self.tap.upcast_ref::<gst::Element>(), self.outlet.upcast_ref()])
            .expect("a new bin is empty");
        for name in ["sink", "src"] {
            let template = obj.pad_template(name).expect("the class has it: see pad_templates");
            let target = self.tap.static_pad(name).expect("the tap has both from its beginning");
            let ghost = gst::GhostPad::builder_from_template_with_target(&template, &target)
                .expect("the tap's templates are the same")
                .name(name)
                .build();
            obj.add_pad(&ghost).expect("a new bin has no pads yet");
        }
        self.tap.set_hooks(BinHooks(obj.downgrade()));
    }

    fn dispose(&self) {
        self.remove_branches();
    }
}

impl GstObjectImpl for ListenBin {}

impl ElementImpl for ListenBin {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Sound event listener",
                "Generic/Bin/Filter/Analyzer/Audio",
                "Passes any audio on untouched, and reports the labelled sound events that are heard in it",
                "gst-listen developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let audio = gst::Caps::new_empty_simple("audio/x-raw");
            let template = |name, direction, presence, caps: &gst::Caps| {
                gst::PadTemplate::new(name, direction, presence, caps).expect("name and caps are valid")
            };
            let (always, request) = (gst::PadPresence::Always, gst::PadPresence::Request);
            let out = |kind: Kind| template(kind.name(), gst::PadDirection::Src, request, &kind.caps());
            vec![
                template("sink", gst::PadDirection::Sink, always, &audio),
                template("src", gst::PadDirection::Src, always, &audio),
                out(Kind::Events),
                out(Kind::Text),
            ]
        });
        &TEMPLATES
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        _name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        let kind =
            [Kind::Events, Kind::Text].into_iter().find(|kind| kind.name() == template.name_template())?;
        let Some(target) = self.outlet.add_out(kind) else {
            gst::warning!(CAT, imp = self, "there is a pad {} already", kind.name());
            return None;
        };
        let ghost = gst::GhostPad::builder_from_template_with_target(template, &target)
            .ok()?
            .name(kind.name())
            .build();
        if self.outlet.current_state() >= gst::State::Paused {
            // Nothing flows through them before.
            target.set_active(true).ok()?;
            ghost.set_active(true).ok()?;
            self.outlet.begin_out(&target);
        }
        self.obj().add_pad(&ghost).ok()?;
        Some(ghost.upcast())
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let Some(ghost) = pad.downcast_ref::<gst::GhostPad>().cloned() else { return };
        let gone = ghost.target().and_then(|target| self.outlet.remove_out(&target));
        // It fails only where the pad is gone already.
        let _ = self.obj().remove_pad(&ghost);
        let waits = gone.as_ref().is_some_and(|gone| gone.waits);
        let end = move || {
            rest(&ghost);
            gone.into_iter().for_each(Gone::end);
            // It fails only where it has none.
            let _ = ghost.set_target(None::<&gst::Pad>);
        };
        // As with a tee, a sink that keeps its first buffer until the pipeline plays holds up the thread that brought it,
        // not whoever gives the pad back.
        if waits {
            self.obj().call_async(move |_| end());
        } else {
            end();
        }
    }

    fn change_state(
        &self,
        change: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if change == gst::StateChange::NullToReady {
            self.build_first()?;
        }
        let success = self.parent_change_state(change);
        let failed = success.is_err() && change == gst::StateChange::NullToReady;
        if failed || change == gst::StateChange::ReadyToNull {
            self.remove_branches();
        }
        success
    }
}

impl BinImpl for ListenBin {
    fn handle_message(&self, message: gst::Message) {
        match message.view() {
            gst::MessageView::Element(element) => {
                let structure = element.structure().filter(|s| OWN_MESSAGES.contains(&s.name().as_str()));
                if let Some(structure) = structure
                    && self.branch_of(&message).is_some()
                {
                    let own = gst::message::Element::builder(structure.to_owned()).src(&*self.obj());
                    return self.parent_handle_message(own.seqnum(message.seqnum()).build());
                }
            }
            gst::MessageView::Error(error) => {
                if let Some(branch) = self.branch_of(&message).or_else(|| self.failing_lane(&message))
                    && branch.lane.has_heard()
                {
                    gst::warning!(
                        CAT,
                        imp = self,
                        "the analysis failed, the audio goes on: {}",
                        error.error()
                    );
                    branch.lane.kill();
                    let warning = gst::message::Warning::builder_from_error(error.error())
                        .debug_if_some(error.debug().as_deref())
                        .src(&*self.obj())
                        .build();
                    return self.parent_handle_message(warning);
                }
            }
            _ => {}
        }
        self.parent_handle_message(message);
    }
}

impl ListenBin {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn branches(&self) -> Vec<Arc<Branch>> {
        self.branches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn mode(&self) -> Result<Mode, gst::StateChangeError> {
        self.settings().mode().map_err(|found| {
            let text = format!("channel-mode is {found:?}, expected downmix, first, each or a number");
            gst::element_imp_error!(self, gst::LibraryError::Settings, ("{text}"));
            gst::StateChangeError
        })
    }

    /// The branches that every stream needs: a missing model is told before any audio comes.
    fn build_first(&self) -> Result<(), gst::StateChangeError> {
        self.remove_branches();
        let pick = match self.mode()? {
            Mode::Downmix => Pick::All,
            Mode::Each => Pick::Channel(0),
            Mode::One(number) => Pick::Channel(number),
        };
        if self.build(pick) { Ok(()) } else { Err(gst::StateChangeError) }
    }

    fn build(&self, pick: Pick) -> bool {
        let bin = self.obj();
        let built = {
            let settings = self.settings();
            Branch::build(bin.upcast_ref(), &self.tap, &self.outlet, pick, &settings)
        };
        match built {
            Ok(branch) => {
                self.branches.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(branch));
                true
            }
            Err(error) => {
                gst::element_imp_error!(self, gst::CoreError::StateChange, ("{error}"));
                false
            }
        }
    }

    fn remove_branches(&self) {
        let branches = std::mem::take(&mut *self.branches.lock().unwrap_or_else(PoisonError::into_inner));
        let bin = self.obj();
        branches.iter().for_each(|branch| branch.remove(bin.upcast_ref(), &self.tap, &self.outlet));
    }

    /// Makes the branches fit a stream with these channels. On the audio's streaming thread, before its CAPS go on.
    fn fit(&self, info: &gst_audio::AudioInfo) {
        let Ok(mode) = self.mode() else { return };
        let channels = info.channels();
        match mode {
            Mode::Downmix => {}
            Mode::One(number) if number < channels => {}
            Mode::One(number) => {
                let text = format!(
                    "channel-mode={number} asks for channel {number}, the stream has {channels} (from 0)"
                );
                self.branches().iter().for_each(|branch| branch.lane.kill());
                gst::element_imp_error!(self, gst::StreamError::Format, ("{text}"));
            }
            Mode::Each => {
                let have: Vec<i32> = self.branches().iter().map(|branch| branch.lane.pick.number()).collect();
                for number in (0..channels).filter(|&number| !have.contains(&Pick::Channel(number).number()))
                {
                    if !self.build(Pick::Channel(number)) {
                        return;
                    }
                }
                let too_many =
                    |branch: &Arc<Branch>| branch.lane.pick.number() >= Pick::Channel(channels).number();
                let (gone, stay) = self.branches().into_iter().partition(too_many);
                *self.branches.lock().unwrap_or_else(PoisonError::into_inner) = stay;
                self.retire(gone);
            }
        }
    }

    /// Lets branches finish what they have, and takes them away.
    fn retire(&self, gone: Vec<Arc<Branch>>) {
        if gone.is_empty() {
            return;
        }
        let live = self.tap.is_live() == Some(true);
        for branch in &gone {
            branch.lane.send(&gst::event::Eos::new());
        }
        let finish = move |bin: &super::ListenBin| {
            let imp = bin.imp();
            for branch in gone {
                branch.lane.wait_drained();
                branch.remove(bin.upcast_ref(), &imp.tap, &imp.outlet);
            }
        };
        if live {
            self.obj().call_async(finish);
        } else {
            finish(&self.obj());
        }
    }

    fn branch_of(&self, message: &gst::MessageRef) -> Option<Arc<Branch>> {
        self.branches().into_iter().find(|branch| branch.is_source_of(message))
    }

    /// The branch whose lane stopped, where the tap tells it.
    fn failing_lane(&self, message: &gst::MessageRef) -> Option<Arc<Branch>> {
        let from_tap = message.src().is_some_and(|source| source == self.tap.upcast_ref::<gst::Object>());
        self.branches().into_iter().find(|branch| from_tap && branch.lane.is_dead())
    }

    fn stats(&self) -> gst::Structure {
        let branches = self.branches();
        let counts: Vec<_> = branches.iter().map(|branch| branch.lane.counts()).collect();
        let inside = |element: &dyn Fn(&Branch) -> gst::Structure| {
            gst_listen_common::values::value_array(branches.iter().map(|branch| element(branch)))
        };
        let mut stats = gst::Structure::builder("listenbin-stats")
            .field("live", self.tap.is_live().unwrap_or(false))
            .field("branches", branches.len() as u64)
            .field("buffers", counts.iter().map(|counts| counts.passed).sum::<u64>())
            .field("dropped-buffers", counts.iter().map(|counts| counts.dropped).sum::<u64>())
            .field("dropped-time", counts.iter().map(|counts| counts.dropped_time.nseconds()).sum::<u64>())
            .build();
        stats.set_value("m2dencode", inside(&|branch| branch.encode.property("stats")));
        stats.set_value("clapmatch", inside(&|branch| branch.matching.property("stats")));
        stats
    }
}

/// What the tap asks of the bin.
struct BinHooks(glib::WeakRef<super::ListenBin>);

impl Hooks for BinHooks {
    fn caps(&self, info: &gst_audio::AudioInfo) {
        if let Some(bin) = self.0.upgrade() {
            bin.imp().fit(info);
        }
    }

    fn waits_at_eos(&self) -> bool {
        // A sink behind `events` or `text` keeps the pipeline until it has seen EOS itself.
        self.0.upgrade().is_some_and(|bin| !bin.imp().outlet.is_read())
    }
}
