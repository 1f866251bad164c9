//! What events say of the flow: what GStreamer makes of a `bool` that says whether one was taken, and which are an end.

/// Taken, or an error.
pub fn of(taken: bool) -> Result<(), gst::FlowError> {
    taken.then_some(()).ok_or(gst::FlowError::Error)
}

/// Whether nothing of a stream, or of its segment, comes behind the event: every branch behind a tee is to hear of it,
/// also where another has had enough.
pub fn is_end(event: &gst::Event) -> bool {
    matches!(event.type_(), gst::EventType::Eos | gst::EventType::SegmentDone)
}
