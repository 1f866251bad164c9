//! Brings the results of all branches together on the pads `events` and `text`. A part of `listenbin`.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst::{ClockTime, FormattedSegment};
use gst_listen_clapmatch::{Form, Line, Observer};
use gst_listen_common::caps::embedding_template;

use crate::lane::Lane;
use crate::out::{Kind, Origin, Out};

glib::wrapper! {
    /// See the module.
    pub struct Outlet(ObjectSubclass<OutletImp>) @extends gst::Element, gst::Object;
}

/// The outlet.
#[derive(Default)]
pub struct OutletImp {
    inputs: Mutex<Vec<Input>>,
    outs: Mutex<Vec<Arc<Out>>>,
    stream: Mutex<Stream>,
}

/// The end of one branch.
struct Input {
    pad: gst::Pad,
    lane: Weak<Lane>,
    segment: Option<FormattedSegment<ClockTime>>,
    /// Running time before which nothing more comes.
    position: Option<ClockTime>,
    eos: bool,
}

/// What the inputs have in common.
#[derive(Default)]
struct Stream {
    origin: Origin,
    segment: Option<gst::Event>,
    /// Flushes that were passed on: each comes once per branch.
    flush_start: Option<gst::Seqnum>,
    flush_stop: Option<gst::Seqnum>,
}

#[glib::object_subclass]
impl ObjectSubclass for OutletImp {
    const NAME: &'static str = "GstListenBinOutlet";
    type Type = Outlet;
    type ParentType = gst::Element;
}

impl ObjectImpl for OutletImp {}

impl GstObjectImpl for OutletImp {}

impl ElementImpl for OutletImp {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let template = |name, direction, presence, caps: &gst::Caps| {
                gst::PadTemplate::new(name, direction, presence, caps).expect("name and caps are valid")
            };
            let src = |kind: Kind| {
                template(kind.name(), gst::PadDirection::Src, gst::PadPresence::Sometimes, &kind.caps())
            };
            let sink = ("sink_%u", gst::PadDirection::Sink, gst::PadPresence::Sometimes);
            vec![template(sink.0, sink.1, sink.2, &embedding_template()), src(Kind::Events), src(Kind::Text)]
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        change: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        let success = self.parent_change_state(change)?;
        if change == gst::StateChange::PausedToReady {
            *self.stream() = Stream::default();
            for input in self.inputs().iter_mut() {
                (input.segment, input.position, input.eos) = (None, None, false);
            }
        }
        Ok(success)
    }
}

impl Outlet {
    /// The end of a branch: a sink pad that tells the lane what became of its audio.
    pub fn add_input(&self, name: &str, lane: &Arc<Lane>) -> Result<gst::Pad, glib::BoolError> {
        let template =
            self.pad_template("sink_%u").ok_or_else(|| glib::bool_error!("no template sink_%u"))?;
        let pad = gst::Pad::builder_from_template(&template)
            .name(name)
            .chain_function(|pad, parent, buffer| {
                OutletImp::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |this| this.chain(pad, &buffer),
                )
            })
            .event_function(|pad, parent, event| {
                OutletImp::catch_panic_pad_function(parent, || false, |this| this.sink_event(pad, event))
            })
            .build();
        let imp = self.imp();
        self.add_pad(&pad)?;
        pad.set_active(true)?;
        let lane = Arc::downgrade(lane);
        imp.inputs().push(Input { pad: pad.clone(), lane, segment: None, position: None, eos: false });
        Ok(pad)
    }

    /// Takes the end of a branch away: the others do not wait for it any more.
    pub fn remove_input(&self, pad: &gst::Pad) {
        self.imp().inputs().retain(|input| input.pad != *pad);
        // It fails only where it is gone already.
        let _ = pad.set_active(false);
        let _ = self.remove_pad(pad);
    }

    /// A pad for one kind of output; `None` where there is one already.
    pub fn add_out(&self, kind: Kind) -> Option<gst::Pad> {
        let imp = self.imp();
        let mut outs = imp.outs();
        if outs.iter().any(|out| out.kind == kind) {
            return None;
        }
        let out = Out::new(kind, &self.pad_template(kind.name())?);
        let pad = out.pad.clone();
        outs.push(out);
        drop(outs);
        self.add_pad(&pad).ok()?;
        Some(pad)
    }

    /// Lets a pad that comes late into the stream begin; it must be active.
    pub fn begin_out(&self, pad: &gst::Pad) {
        let imp = self.imp();
        let (origin, segment) = {
            let stream = imp.stream();
            (stream.origin.clone(), stream.segment.clone())
        };
        if let Some(segment) = segment {
            imp.out_list().iter().filter(|out| out.pad == *pad).for_each(|out| out.begin(&origin, &segment));
        }
    }

    /// Takes such a pad away at once. Its thread may still be downstream, in a sink that waits for PLAYING: what remains to
    /// be done is [`Gone::end`].
    pub fn remove_out(&self, pad: &gst::Pad) -> Option<Gone> {
        let mut outs = self.imp().outs();
        let out = outs.iter().position(|out| out.pad == *pad).map(|index| outs.remove(index));
        drop(outs);
        let out = out?;
        let waits = out.retire();
        // It fails only where it is gone already.
        let _ = self.remove_pad(pad);
        Some(Gone { out, waits })
    }

    /// Whether anybody reads its outputs.
    pub fn is_read(&self) -> bool {
        self.imp().outs().iter().any(|out| out.is_read())
    }
}

/// An output that was taken away, and whose thread has not ended.
pub struct Gone {
    out: Arc<Out>,
    /// Whether its end waits for downstream.
    pub waits: bool,
}

impl Gone {
    /// Ends its thread.
    pub fn end(self) {
        // The output stays until its thread has ended: that is what ends it.
        rest(&self.out.pad);
    }
}

/// Deactivates a pad that its element does not have any more; it waits for the pad's thread.
pub fn rest(pad: &impl IsA<gst::Pad>) {
    pad.unset_pad_flags(gst::PadFlags::NEED_PARENT);
    // It fails only where it is at rest already.
    let _ = pad.set_active(false);
}

/// Hears what the clapmatch of a lane finds.
pub struct Ear {
    outlet: glib::WeakRef<Outlet>,
    lane: Weak<Lane>,
}

impl Ear {
    /// The ear of `outlet` in the branch of `lane`.
    pub fn new(outlet: &Outlet, lane: &Arc<Lane>) -> Arc<Ear> {
        Arc::new(Ear { outlet: outlet.downgrade(), lane: Arc::downgrade(lane) })
    }
}

impl Observer for Ear {
    fn wants(&self, form: Form) -> bool {
        self.outlet.upgrade().is_some_and(|outlet| outlet.imp().outs().iter().any(|out| out.form() == form))
    }

    fn lines(&self, form: Form, lines: Vec<Line>) {
        let Some(outlet) = self.outlet.upgrade() else { return };
        if let Some(lane) = self.lane.upgrade() {
            lane.set_heard();
        }
        outlet.imp().write(form, lines);
    }
}

impl OutletImp {
    fn inputs(&self) -> MutexGuard<'_, Vec<Input>> {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outs(&self) -> MutexGuard<'_, Vec<Arc<Out>>> {
        self.outs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn out_list(&self) -> Vec<Arc<Out>> {
        self.outs().clone()
    }

    fn write(&self, form: Form, lines: Vec<Line>) {
        for out in self.out_list().iter().filter(|out| out.form() == form) {
            out.write(lines.clone());
        }
    }

    /// A window came to the end of its branch: all before its start has been told.
    fn chain(&self, pad: &gst::Pad, buffer: &gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        if let Some(lane) = self.with_input(pad, |input| input.lane.upgrade()).flatten() {
            lane.set_heard();
        }
        if let Some(pts) = buffer.pts() {
            self.reached(pad, pts);
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn with_input<R>(&self, pad: &gst::Pad, run: impl FnOnce(&mut Input) -> R) -> Option<R> {
        self.inputs().iter_mut().find(|input| input.pad == *pad).map(run)
    }

    /// The outputs go as far as the last of the branches.
    fn reached(&self, pad: &gst::Pad, time: ClockTime) {
        self.with_input(pad, |input| {
            let running_time = input.segment.as_ref().and_then(|segment| segment.to_running_time(time));
            input.position = running_time.or(input.position);
        });
        self.advance();
    }

    fn advance(&self) {
        let behind: Option<Vec<ClockTime>> = {
            let inputs = self.inputs();
            let waited_for = inputs
                .iter()
                .filter(|input| !input.eos && !input.lane.upgrade().is_none_or(|lane| lane.is_dead()));
            waited_for.map(|input| input.position).collect()
        };
        // One of them has not begun yet.
        let Some(position) = behind.and_then(|positions| positions.into_iter().min()) else { return };
        self.out_list().iter().for_each(|out| out.advance(position));
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::StreamStart(start) => {
                self.stream().origin = Origin { id: start.stream_id().to_owned(), group: start.group_id() };
            }
            gst::EventView::Segment(e) => {
                let segment = e.segment().downcast_ref::<ClockTime>().cloned();
                self.with_input(pad, |input| input.segment = segment.clone());
                // Branches tell of the same segment one after the other.
                let known =
                    self.stream().segment.as_ref().is_some_and(|known| known.seqnum() == event.seqnum());
                if !known {
                    self.stream().segment = Some(event.clone());
                    let origin = self.stream().origin.clone();
                    self.out_list().iter().for_each(|out| out.begin(&origin, &event));
                }
            }
            gst::EventView::Gap(gap) => {
                let (start, duration) = gap.get();
                self.reached(pad, start.saturating_add(duration.unwrap_or_default()));
            }
            gst::EventView::Eos(_) => self.eos(pad, &event),
            gst::EventView::FlushStart(_) => {
                let again = self.stream().flush_start.replace(event.seqnum()) == Some(event.seqnum());
                if !again {
                    self.out_list().iter().for_each(|out| out.flush_start(event.clone()));
                }
            }
            gst::EventView::FlushStop(_) => {
                self.with_input(pad, |input| (input.position, input.eos) = (None, false));
                let again = self.stream().flush_stop.replace(event.seqnum()) == Some(event.seqnum());
                if !again {
                    self.stream().segment = None;
                    self.out_list().iter().for_each(|out| out.flush_stop(event.clone()));
                }
            }
            _ => {}
        }
        true
    }

    fn eos(&self, pad: &gst::Pad, event: &gst::Event) {
        let lane = self.with_input(pad, |input| {
            input.eos = true;
            input.lane.upgrade()
        });
        let all = self.inputs().iter().all(|input| input.eos);
        if all {
            self.out_list().iter().for_each(|out| out.eos(event.clone()));
        } else {
            self.advance();
        }
        if let Some(lane) = lane.flatten() {
            lane.set_drained();
        }
    }
}
