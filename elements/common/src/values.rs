//! Lists, and the names of a label, as values of structures that plain PyGObject reads.

use std::collections::BTreeMap;

use gst::glib;
use gst::prelude::*;

/// Name of the structure of what people of one language call a label.
pub const NAME: &str = "name";

/// A list as a `GValueArray`, which plain PyGObject reads.
pub fn value_array<T: ToValue + Send>(values: impl IntoIterator<Item = T>) -> glib::SendValue {
    let array = glib::ValueArray::new(values);
    #[expect(
        unsafe_code,
        reason = "glib does not mark GValueArray as Send, because it does not know what is in it"
    )]
    // SAFETY: the array was made here, nobody else holds it, and it holds copies of values that are Send.
    unsafe {
        array.to_value().into_send_value()
    }
}

/// What people of one language call a label. Languages are values too: a user wrote them.
pub(crate) fn name((language, text): (&String, &String)) -> gst::Structure {
    gst::Structure::builder(NAME).field("language", language).field("text", text).build()
}

/// A label's names by language: none where there is no such field, `None` where it is of another type.
pub(crate) fn names_of(s: &gst::StructureRef) -> Option<BTreeMap<String, String>> {
    let names = if s.has_field("names") { structures(s, "names")? } else { Vec::new() };
    names.iter().map(|name| Some((name.get("language").ok()?, name.get("text").ok()?))).collect()
}

pub(crate) fn structures(s: &gst::StructureRef, field: &str) -> Option<Vec<gst::Structure>> {
    let array = s.get::<glib::ValueArray>(field).ok()?;
    array.iter().map(|value| value.get::<gst::Structure>().ok()).collect()
}
