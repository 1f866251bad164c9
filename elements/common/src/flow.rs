//! What GStreamer makes of a `bool` that says whether an event was taken, for event functions that tell the flow.

/// Taken, or an error.
pub fn of(taken: bool) -> Result<(), gst::FlowError> {
    taken.then_some(()).ok_or(gst::FlowError::Error)
}
