//! What the element answers to queries.

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_listen_common::{caps, latency};

use crate::imp::{CAT, MelSpec};
use crate::negotiate;

impl MelSpec {
    pub(crate) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) => {
                let template = pad.pad_template_caps();
                let asked = negotiate::ask(&self.srcpad);
                let ours = negotiate::sink_caps(&asked, &self.settings(), &template);
                caps::answer_or_hear(caps, &ours, &template);
                true
            }
            gst::QueryViewMut::AcceptCaps(accept) => {
                // What does not fit the front end is refused with an error that says so, when CAPS arrive.
                let accepted = accept.caps().is_subset(&pad.pad_template_caps());
                accept.set_result(accepted);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    pub(crate) fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Latency(query) => {
                let own = latency::answer(&self.sinkpad, query, || self.state().latency);
                gst::debug!(CAT, imp = self, "Latency: {own:?} of our own");
                own.is_some()
            }
            gst::QueryViewMut::Caps(caps) => {
                let ours = match &self.state().stream {
                    Some(stream) => gst::Caps::from(stream.format().to_structure()),
                    None => pad.pad_template_caps(),
                };
                caps::answer(caps, &ours);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }
}
