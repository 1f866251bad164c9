//! What `gst-inspect-1.0 listen` shows: every element and property says what it is, in what unit, within which bounds,
//! and when it may be changed.

use std::sync::Once;

use gst::glib;
use gst::prelude::*;

const ELEMENTS: [&str; 5] = ["clapmatch", "listenbin", "llmcaption", "m2dencode", "melspec"];
/// Numbers that are neither times, lengths nor levels; each blurb says what is counted, or between what the number lies.
const WITHOUT_UNIT: [&str; 16] = [
    "bad-samples",
    "channel",
    "device",
    "intra-op-threads",
    "log-floor",
    "max-batch",
    "max-tokens",
    "min-evidence",
    "n-mels",
    "offset-threshold",
    "repetition-penalty",
    "temperature",
    "threshold",
    "top-k",
    "top-p",
    "workers",
];
const UNITS: [&str; 6] = ["nanoseconds", "milliseconds", "samples", " Hz", " dB ", "seconds"];

fn elements() -> Vec<gst::Element> {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        gst::init().unwrap();
        gstlisten::plugin_register_static().unwrap();
    });
    ELEMENTS
        .map(|name| gst::ElementFactory::make(name).build().unwrap_or_else(|e| panic!("{name}: {e}")))
        .into()
}

/// The properties that are ours: not GStreamer's own of every element and bin.
fn own(element: &gst::Element) -> Vec<glib::ParamSpec> {
    let theirs = [gst::Element::static_type(), gst::Object::static_type(), gst::Bin::static_type()];
    let all = element.list_properties();
    all.iter().filter(|spec| !theirs.contains(&spec.owner_type())).cloned().collect()
}

fn is_sentence(text: &str) -> bool {
    text.len() > 10 && text.ends_with('.') && !text.starts_with(|first: char| first.is_lowercase())
}

#[test]
fn the_plugin_holds_these_elements_and_each_says_what_it_is() {
    let elements = elements();
    let plugin = elements[0].factory().unwrap().plugin().unwrap();
    let mut found: Vec<String> = gst::Registry::get()
        .features_by_plugin(&plugin.plugin_name())
        .iter()
        .map(|feature| feature.name().to_string())
        .collect();
    found.sort();
    assert_eq!(found, ELEMENTS);
    for element in &elements {
        let (factory, name) = (element.factory().unwrap(), element.name());
        let text = |key| factory.metadata(key).unwrap_or_else(|| panic!("{name} has no {key}")).to_string();
        let (long, klass, description) = (text("long-name"), text("klass"), text("description"));
        assert!(long.split(' ').count() >= 2 && long.len() < 40, "{name}: {long}");
        assert!(klass.split('/').count() >= 2 && klass.contains("Audio"), "{name}: {klass}");
        assert!(description.split(' ').count() >= 6, "{name}: {description}");
        assert!(!text("author").is_empty());
        for template in element.pad_template_list() {
            assert!(!template.caps().is_any() && !template.caps().is_empty(), "{name} {}", template.name());
        }
    }
}

#[test]
fn every_property_has_a_name_a_sentence_and_a_time_when_it_may_be_changed() {
    for element in elements() {
        let mut count = 0;
        for spec in own(&element) {
            let what = format!("{} {}", element.name(), spec.name());
            let (nick, blurb) = (spec.nick(), spec.blurb().unwrap_or_default().to_string());
            assert!(
                nick != spec.name() && nick.starts_with(|c: char| c.is_uppercase()),
                "{what}: nick {nick:?}"
            );
            assert!(is_sentence(&blurb), "{what}: {blurb:?}");
            let flags = spec.flags();
            let mutable = [
                gst::PARAM_FLAG_MUTABLE_READY,
                gst::PARAM_FLAG_MUTABLE_PAUSED,
                gst::PARAM_FLAG_MUTABLE_PLAYING,
            ];
            let says_when = mutable.iter().any(|&flag| flags.contains(flag));
            assert_eq!(
                says_when,
                flags.contains(glib::ParamFlags::WRITABLE),
                "{what}: when may it be changed?"
            );
            count += 1;
        }
        assert!(count >= 15, "{} has {count} properties", element.name());
    }
}

#[test]
fn every_number_has_a_unit_and_bounds_that_its_default_keeps() {
    for element in elements() {
        for spec in own(&element) {
            let what = format!("{} {}", element.name(), spec.name());
            let default = spec.default_value();
            let bounds = if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt64>() {
                let value = default.get::<u64>().unwrap();
                Some((spec.minimum() <= value && value <= spec.maximum(), spec.maximum() < u64::MAX))
            } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
                let value = default.get::<u32>().unwrap();
                Some((spec.minimum() <= value && value <= spec.maximum(), spec.maximum() < u32::MAX))
            } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt>() {
                let value = default.get::<i32>().unwrap();
                Some((spec.minimum() <= value && value <= spec.maximum(), spec.minimum() > i32::MIN))
            } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecDouble>() {
                let value = default.get::<f64>().unwrap();
                Some((spec.minimum() <= value && value <= spec.maximum(), spec.maximum() < f64::MAX))
            } else {
                None
            };
            let Some((kept, bounded)) = bounds else { continue };
            let blurb = spec.blurb().unwrap_or_default().to_string();
            assert!(kept, "{what}: the default lies outside of the bounds");
            // A largest value that means something says so.
            let explained = blurb.contains("largest value") || blurb.contains("4294967295");
            assert!(
                bounded || explained || !spec.flags().contains(glib::ParamFlags::WRITABLE),
                "{what}: no bounds"
            );
            let unit = UNITS.iter().any(|unit| format!("{blurb} ").contains(unit));
            assert!(unit || WITHOUT_UNIT.contains(&spec.name()), "{what}: in what unit? {blurb}");
        }
    }
}

#[test]
fn every_value_of_an_enumeration_is_explained() {
    for element in elements() {
        for spec in own(&element) {
            let Some(class) = spec.downcast_ref::<glib::ParamSpecEnum>().map(|spec| spec.enum_class()) else {
                continue;
            };
            for value in class.values() {
                let (name, nick) = (value.name(), value.nick());
                let kebab = nick.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
                assert!(kebab, "{} {}: {nick}", element.name(), spec.name());
                assert!(
                    !name.starts_with("GST_") && name.len() > 1,
                    "{} {}: {name}",
                    element.name(),
                    spec.name()
                );
            }
        }
    }
}
