//! What the elements share: caps, time, metas, messages and errors.
//!
//! Nothing here computes on samples. It translates between the ground floor, which knows neither streams nor
//! clocks, and GStreamer: a front end becomes caps fields and back ([`caps`]), a count of samples becomes a time
//! ([`timeline`]), an error becomes an element message ([`errors`]), a log line a line of GST_DEBUG ([`logging`]).
pub mod caps;
mod custom_meta;
pub mod errors;
pub mod event_times;
pub mod flow;
pub mod flush;
pub mod labels;
pub mod latency;
pub mod logging;
pub mod progress;
pub mod recent;
pub mod reference;
pub mod refusal;
pub mod result_meta;
pub mod sparse;
pub mod strength_meta;
pub mod timeline;
pub mod values;
pub mod window_meta;

/// The longest time that an element's property takes, in nanoseconds: a day.
pub const LONGEST_TIME: u64 = 86_400_000_000_000;
