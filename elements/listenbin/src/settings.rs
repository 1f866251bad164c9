//! Properties: a few of its own, and those of the elements inside, which it passes on.

use std::path::PathBuf;
use std::sync::OnceLock;

use gst::glib;
use gst::prelude::*;
use gst_listen_clapmatch::{ClapMatch, Score};
use gst_listen_m2dencode::{Edge, ExecutionProvider, M2dEncode, Output, Overload, Precision, WindowMode};

use crate::channel::Mode;

/// Whose property it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The encoder's.
    Encode,
    /// The matcher's.
    Match,
}

/// What is passed on, and to whom.
const PASSED: &[(Owner, &[&str])] = &[
    (
        Owner::Match,
        &["labels", "labels-file", "prompt", "background", "score", "threshold", "offset-threshold"],
    ),
    (Owner::Match, &["smoothing", "min-duration", "hold-time", "top-k", "update-interval", "language"]),
    (Owner::Match, &["post-messages", "interval"]),
    (Owner::Encode, &["model", "accept-license", "onnxruntime", "execution-provider", "device", "precision"]),
    (
        Owner::Encode,
        &["window", "hop", "edge", "output", "intra-op-threads", "workers", "max-batch", "max-wait"],
    ),
    (Owner::Encode, &["window-mode"]),
    (Owner::Encode, &["inference-latency", "overload", "gate", "watchdog"]),
];

/// What the user set.
pub struct Settings {
    mode_text: Option<String>,
    /// Elements that never run: they hold what is passed on, in their own ranges and defaults.
    encode: M2dEncode,
    matching: ClapMatch,
}

impl Default for Settings {
    fn default() -> Self {
        Self { mode_text: None, encode: glib::Object::new(), matching: glib::Object::new() }
    }
}

impl Settings {
    /// Which channels are listened to.
    ///
    /// # Errors
    /// The text of the property, which is none of its values.
    pub fn mode(&self) -> Result<Mode, String> {
        match &self.mode_text {
            None => Ok(Mode::default()),
            Some(text) => Mode::parse(text).ok_or_else(|| text.clone()),
        }
    }

    /// Takes a property.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        match owner(name) {
            Some(owner) => self.holder(owner).set_property_from_value(name, value),
            None => {
                // As a path: glib's conversion to a Rust string aborts where a C string is not UTF-8.
                let text = value.get::<Option<PathBuf>>().ok().flatten();
                self.mode_text = text.map(|text| text.to_string_lossy().into_owned());
            }
        }
    }

    /// Gives a property back.
    pub fn get(&self, name: &str) -> glib::Value {
        match owner(name) {
            Some(owner) => self.holder(owner).property_value(name),
            None => self.mode_text.as_deref().unwrap_or("downmix").to_value(),
        }
    }

    /// Tells a new element inside what it must know.
    pub fn apply(&self, owner: Owner, element: &impl IsA<glib::Object>) {
        for name in PASSED.iter().filter(|(of, _)| *of == owner).flat_map(|(_, names)| *names) {
            element.set_property_from_value(name, &self.holder(owner).property_value(name));
        }
    }

    fn holder(&self, owner: Owner) -> &gst::Element {
        match owner {
            Owner::Encode => self.encode.upcast_ref(),
            Owner::Match => self.matching.upcast_ref(),
        }
    }
}

/// Whom a property is passed on to.
pub fn owner(name: &str) -> Option<Owner> {
    PASSED.iter().find(|(_, names)| names.contains(&name)).map(|(owner, _)| *owner)
}

/// The properties, as gst-inspect shows them: what is passed on is described where it takes effect.
pub fn properties() -> &'static [glib::ParamSpec] {
    static PROPERTIES: OnceLock<Vec<glib::ParamSpec>> = OnceLock::new();
    PROPERTIES.get_or_init(|| {
        let (encode, matching) = (specs(M2dEncode::static_type()), specs(ClapMatch::static_type()));
        let mut all = vec![
            glib::ParamSpecString::builder("channel-mode")
                .nick("Channels")
                .blurb(
                    "Which channels are listened to: downmix (all mixed into one), first, each (every one by itself, \
                     its number in every event), or the number of one, counted from 0.",
                )
                .default_value("downmix")
                .mutable_ready()
                .build(),
            glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb(
                    "Whether upstream is live; buffers that were analysed, and buffers and nanoseconds that the analysis had \
                     no room for; the statistics of the elements inside, one of each per channel listened to.",
                )
                .read_only()
                .build(),
        ];
        for (owner, names) in PASSED {
            let of = if *owner == Owner::Encode { &encode } else { &matching };
            all.extend(names.iter().filter_map(|name| of.iter().find(|spec| spec.name() == *name)).filter_map(copy));
        }
        all
    })
}

fn specs(of: glib::Type) -> Vec<glib::ParamSpec> {
    let class = glib::Class::<glib::Object>::from_type(of);
    class.map(|class| class.list_properties().to_vec()).unwrap_or_default()
}

/// The same property for another class: a GParamSpec belongs to one.
fn copy(spec: &glib::ParamSpec) -> Option<glib::ParamSpec> {
    let (name, nick, blurb) = (spec.name(), spec.nick(), spec.blurb().unwrap_or_default());
    macro_rules! numbers {
        ($($kind:ident),*) => {
            $(if let Some(spec) = spec.downcast_ref::<glib::$kind>() {
                return Some(
                    glib::$kind::builder(name)
                        .nick(nick)
                        .blurb(blurb)
                        .minimum(spec.minimum())
                        .maximum(spec.maximum())
                        .default_value(spec.default_value())
                        .flags(spec.flags())
                        .build(),
                );
            })*
        };
    }
    macro_rules! choices {
        ($($kind:ident),*) => {
            $(if spec.value_type() == $kind::static_type() {
                return Some(
                    glib::ParamSpecEnum::builder_with_default(name, $kind::default())
                        .nick(nick)
                        .blurb(blurb)
                        .flags(spec.flags())
                        .build(),
                );
            })*
        };
    }
    numbers!(ParamSpecUInt, ParamSpecUInt64, ParamSpecInt, ParamSpecDouble);
    choices!(ExecutionProvider, Precision, Edge, Output, WindowMode, Overload, Score);
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecBoolean>() {
        let builder = glib::ParamSpecBoolean::builder(name).nick(nick).blurb(blurb);
        return Some(builder.default_value(spec.default_value()).flags(spec.flags()).build());
    }
    if let Some(text) = spec.downcast_ref::<glib::ParamSpecString>() {
        let builder = glib::ParamSpecString::builder(name).nick(nick).blurb(blurb);
        return Some(builder.default_value(text.default_value()).flags(spec.flags()).build());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_passed_on_is_a_property_of_its_owner() {
        gst::init().unwrap();
        let all: Vec<_> = properties().iter().map(|spec| spec.name()).collect();
        for (_, names) in PASSED {
            for name in *names {
                assert!(all.contains(name), "{name}");
            }
        }
    }
}
