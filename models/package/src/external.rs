//! External data: every file that a graph takes weights from is one that the manifest lists for it.

use crate::contents::Read;
use crate::validation::word;
use crate::{Captioner, Manifest, PackageError};

/// A graph that the manifest names.
struct Named<'a> {
    /// Where.
    key: String,
    file: &'a str,
    /// What it may refer to.
    listed: &'a [String],
}

/// Looks at what each graph refers to.
///
/// # Errors
/// A name that the manifest does not list for it, or a file that cannot be read.
pub(crate) fn check(manifest: &Manifest, files: &impl Read) -> Result<(), PackageError> {
    for Named { key, file, listed } in graphs(manifest) {
        // Names are relative to the graph's own folder.
        let folder = file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let is_listed = |found: &str| listed.iter().any(|name| *name == format!("{folder}{found}"));
        if let Some(found) = files.external_data(file)?.into_iter().find(|found| !is_listed(found)) {
            let listed = if listed.is_empty() { "none".into() } else { listed.join(", ") };
            return Err(PackageError::ExternalData { file: files.label(file), key, found, listed });
        }
    }
    Ok(())
}

fn graphs<'a>(manifest: &'a Manifest) -> Vec<Named<'a>> {
    let mut graphs = Vec::new();
    let mut add = |key: String, file: Option<&'a String>, listed: &'a [String]| {
        graphs.extend(file.map(|file| Named { key, file, listed }));
    };
    for (precision, graph) in &manifest.encoder.graphs {
        let key = format!("encoder.graphs.{}", word(precision).trim_matches('"'));
        add(key, Some(&graph.file), &graph.external_data);
    }
    add("head".into(), manifest.head.as_ref().map(|head| &head.file), &[]);
    add("text".into(), manifest.text.as_ref().map(|text| &text.file), &[]);
    add("tagger".into(), manifest.tagger.as_ref().and_then(|tagger| tagger.file.as_ref()), &[]);
    if let Some(Captioner { decoder, embed_tokens, projector, .. }) = &manifest.captioner {
        add("captioner.decoder".into(), Some(&decoder.file), &decoder.external_data);
        add("captioner.embed_tokens".into(), Some(&embed_tokens.file), &embed_tokens.external_data);
        if let Some(projector) = projector {
            add("captioner.projector".into(), Some(&projector.file), &projector.external_data);
        }
    }
    graphs
}
