//! What is listened for, asked upstream: a custom query, so that nothing travels until somebody wants to know.

use std::collections::BTreeMap;

use gst::prelude::*;

use crate::values::{name, names_of, structures, value_array};

/// Name of the query's structure.
pub const LABELS: &str = "listen-labels";
/// Name of the structure of one label.
const LABEL: &str = "label";

/// A label, and what people call it by language.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listened {
    /// The label: free text.
    pub label: String,
    /// Its names.
    pub names: BTreeMap<String, String>,
}

/// Asks whoever makes the events of this sink pad; `None` where nobody answers, as behind a file.
pub fn ask(sink: &gst::Pad) -> Option<Vec<Listened>> {
    let mut query = gst::query::Custom::new(gst::Structure::new_empty(LABELS));
    if !sink.peer_query(&mut query) {
        return None;
    }
    let read = |s: &gst::Structure| Some(Listened { label: s.get("label").ok()?, names: names_of(s)? });
    structures(query.structure()?, "labels")?.iter().map(read).collect()
}

/// Whether a query is this one.
pub fn is_asked(query: &gst::query::Custom) -> bool {
    query.structure().is_some_and(|s| s.has_name(LABELS))
}

/// Answers it.
pub fn answer(query: &mut gst::query::Custom, labels: impl IntoIterator<Item = Listened>) {
    let labels = labels.into_iter().map(|listened| {
        let mut s = gst::Structure::builder(LABEL).field("label", &listened.label).build();
        if !listened.names.is_empty() {
            s.set_value("names", value_array(listened.names.iter().map(name)));
        }
        s
    });
    query.structure_mut().set_value("labels", value_array(labels));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink pad whose peer listens for these, or does not know the query.
    fn below(labels: Option<Vec<Listened>>) -> (gst::Pad, gst::Pad) {
        gst::init().unwrap();
        let above = gst::Pad::builder(gst::PadDirection::Src)
            .query_function(move |_, _, query| match (query.view_mut(), &labels) {
                (gst::QueryViewMut::Custom(query), Some(labels)) if is_asked(query) => {
                    answer(query, labels.clone());
                    true
                }
                _ => false,
            })
            .build();
        let sink = gst::Pad::builder(gst::PadDirection::Sink).build();
        above.link(&sink).unwrap();
        (above, sink)
    }

    #[test]
    fn labels_come_as_they_are_with_their_names() {
        let labels: Vec<Listened> = ["dog", "a;b\\\"c\"", "", "tür\n🐕", "x,y=(int)3;"]
            .into_iter()
            .map(|label| Listened {
                label: label.into(),
                names: BTreeMap::from([("de".into(), "Hund".into()), (label.into(), label.into())]),
            })
            .chain([Listened { label: "rain".into(), ..Listened::default() }])
            .collect();
        let (_above, sink) = below(Some(labels.clone()));
        assert_eq!(ask(&sink), Some(labels));
        let (_above, sink) = below(Some(Vec::new()));
        assert_eq!(ask(&sink), Some(Vec::new()));
    }

    #[test]
    fn nobody_who_knows_is_no_empty_list() {
        let (_above, sink) = below(None);
        assert_eq!(ask(&sink), None);
        gst::init().unwrap();
        assert_eq!(ask(&gst::Pad::builder(gst::PadDirection::Sink).build()), None);
    }
}
