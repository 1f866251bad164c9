//! GStreamer plugin: understands sound in real time. It registers the elements; nothing else happens here.
#![allow(missing_docs, reason = "plugin_define! makes public functions and does not document them")]

use gst::glib;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst_listen_melspec::register(plugin)?;
    gst_listen_m2dencode::register(plugin)?;
    gst_listen_clapmatch::register(plugin)?;
    gst_listen_llmcaption::register(plugin)?;
    gst_listen_listenbin::register(plugin)
}

gst::plugin_define!(
    listen,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    // One of the names that GStreamer knows; the source is under "MIT OR Apache-2.0".
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_REPOSITORY"),
    env!("BUILD_REL_DATE")
);
