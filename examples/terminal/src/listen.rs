//! The pipeline: sound in, news out, questions in between.

use std::sync::mpsc::Sender;

use gst::prelude::*;

use crate::state::{Event, News};

/// What is to be listened to, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// A file; `None` is the microphone.
    pub file: Option<String>,
    /// Labels as clapmatch takes them; `None` are the package's own.
    pub labels: Option<String>,
    /// Properties of clapmatch, m2dencode and llmcaption, each `element.property=value`.
    pub properties: Vec<(String, String, String)>,
}

/// A pipeline that listens.
pub struct Listening {
    pipeline: gst::Pipeline,
    caption: gst::Element,
}

impl Listening {
    /// Begins to listen; news go to `news`, from any thread.
    pub fn start(request: &Request, news: Sender<News>) -> Result<Listening, String> {
        gst::init().map_err(|error| error.to_string())?;
        // Where the plugin is not installed there is the one that was built with this program.
        if gst::ElementFactory::find("llmcaption").is_none() {
            gstlisten::plugin_register_static().map_err(|error| error.to_string())?;
        }
        // A file at the pace of its sound; a microphone has no other.
        let source = match request.file {
            Some(_) => "filesrc name=file ! decodebin ! audioconvert ! audioresample ! identity sync=true",
            None => "autoaudiosrc ! audioconvert ! audioresample",
        };
        let line = format!(
            "{source} ! level name=level interval=50000000 ! melspec ! m2dencode name=m2dencode \
             ! clapmatch name=clapmatch ! llmcaption name=llmcaption ! text/x-raw ! fakesink sync=false"
        );
        let pipeline = gst::parse::launch(&line).map_err(|error| error.to_string())?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| "no pipeline was made")?;
        let by_name = |name: &str| pipeline.by_name(name).ok_or(format!("no element named {name}"));
        if let Some(file) = &request.file {
            by_name("file")?.set_property("location", file);
        }
        if let Some(labels) = &request.labels {
            by_name("clapmatch")?.set_property("labels", labels);
        }
        for (element, property, value) in &request.properties {
            set(&by_name(element)?, property, value)?;
        }
        let caption = by_name("llmcaption")?;
        let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
        bus.set_sync_handler(move |_, message| {
            if let Some(item) = read(message) {
                // Nobody reads any more when the program ends.
                let _ = news.send(item);
            }
            gst::BusSyncReply::Pass
        });
        let listening = Listening { pipeline, caption };
        // Why it fails comes as a message.
        let _ = listening.pipeline.set_state(gst::State::Playing);
        Ok(listening)
    }

    /// Asks about all that was heard; the number of the answer, 0 where none will come.
    pub fn ask(&self, question: &str) -> u64 {
        self.caption.emit_by_name("ask", &[&question, &0u64])
    }

    /// Does what the bus is still to do: the pipeline asks for its latency to be computed anew.
    pub fn tick(&self) {
        let Some(bus) = self.pipeline.bus() else { return };
        while let Some(message) = bus.pop() {
            if let gst::MessageView::Latency(_) = message.view() {
                // Nothing here waits for a clock that could be wrong by it.
                let _ = self.pipeline.recalculate_latency();
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Nothing is left to be told when it fails.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Sets a property from text; what there is not, or cannot be, is an error and no panic.
fn set(element: &gst::Element, property: &str, value: &str) -> Result<(), String> {
    let spec =
        element.find_property(property).ok_or(format!("{} has no property {property}", element.name()))?;
    let parsed = gst::glib::Value::deserialize_with_pspec(value, &spec);
    let parsed = parsed.map_err(|_| format!("{}.{property} cannot be {value:?}", element.name()))?;
    element.set_property_from_value(property, &parsed);
    Ok(())
}

/// What a message says to whoever watches.
pub fn read(message: &gst::Message) -> Option<News> {
    match message.view() {
        gst::MessageView::Element(_) => read_structure(message.structure()?),
        gst::MessageView::Progress(progress) => {
            let (kind, _, text) = progress.get();
            Some(News::Loading(match kind {
                gst::ProgressType::Start | gst::ProgressType::Continue => Some(text.to_string()),
                _ => None,
            }))
        }
        gst::MessageView::Warning(warning) => Some(News::Warning(warning.error().message().to_owned())),
        gst::MessageView::Error(error) => Some(News::Error(error.error().message().to_owned())),
        gst::MessageView::Eos(_) => Some(News::Ended),
        _ => None,
    }
}

fn read_structure(structure: &gst::StructureRef) -> Option<News> {
    let time = |field: &str| structure.get::<gst::ClockTime>(field).ok().map(gst::ClockTime::nseconds);
    let text = |field: &str| structure.get::<String>(field).ok();
    let id = || structure.get::<u64>("id").ok();
    Some(match structure.name().as_str() {
        "level" => {
            // One number a channel: the loudest counts.
            let loudest = |field: &str| {
                let values = structure.get::<gst::glib::ValueArray>(field).ok()?;
                let values = values.iter().filter_map(|value| value.get::<f64>().ok());
                values.filter(|value| !value.is_nan()).reduce(f64::max)
            };
            let position = time("stream-time")?.saturating_add(time("duration").unwrap_or_default());
            News::Level { rms: loudest("rms")?, peak: loudest("peak")?, position }
        }
        "audio-event" => News::Event(Event {
            id: id()?,
            label: text("label")?,
            // At its end the last score says only that it is over.
            score: structure.get("peak-score").ok()?,
            onset: time("onset")?,
            offset: (text("type")? == "end").then(|| time("offset")).flatten(),
        }),
        "caption" => News::Caption { start: time("start")?, text: text("text")?, backend: text("backend")? },
        "caption-delta" => News::Delta { text: text("text")?, again: structure.get("again").ok()? },
        "listen-answer" => News::Answer { id: id()?, text: text("text").or_else(|| text("error"))? },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn next(news: &mpsc::Receiver<News>, wanted: impl Fn(&News) -> bool) -> News {
        loop {
            let item = news.recv_timeout(Duration::from_secs(120)).expect("news come");
            assert!(!matches!(item, News::Error(_)), "{item:?}");
            if wanted(&item) {
                return item;
            }
        }
    }

    #[test]
    fn it_hears_the_recording_and_answers() {
        let (send, news) = mpsc::channel();
        let request = Request {
            file: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/../street.flac").into()),
            labels: Some("dog barking;applause".into()),
            properties: vec![("llmcaption".into(), "interval".into(), "2000000000".into())],
        };
        let listening = Listening::start(&request, send).unwrap();
        let is_level =
            |item: &News| matches!(item, News::Level { rms, peak, .. } if *rms > -90.0 && peak >= rms);
        next(&news, is_level);
        next(
            &news,
            |item| matches!(item, News::Event(event) if event.label == "applause" && event.offset.is_none()),
        );
        let caption = next(&news, |item| matches!(item, News::Caption { .. }));
        assert!(matches!(&caption, News::Caption { text, .. } if text.contains("pplause")), "{caption:?}");
        let id = listening.ask("Was there applause?");
        assert!(id > 0);
        let answer = next(&news, |item| matches!(item, News::Answer { .. }));
        assert!(
            matches!(&answer, News::Answer { id: of, text } if *of == id && text.contains("applause")),
            "{answer:?}"
        );
    }

    #[test]
    fn what_cannot_be_set_and_files_that_are_not_there_are_told_of() {
        for (element, property, value, words) in [
            ("llmcaption", "nonsense", "1", "nonsense"),
            ("llmcaption", "interval", "soon", "soon"),
            ("nobody", "interval", "1", "nobody"),
        ] {
            let properties = vec![(element.into(), property.into(), value.into())];
            let (send, _news) = mpsc::channel();
            let failed = Listening::start(&Request { properties, ..Request::default() }, send);
            assert!(failed.is_err_and(|error| error.contains(words)), "{words}");
        }
        let (send, news) = mpsc::channel();
        let request = Request { file: Some("/nowhere/at/all.flac".into()), ..Request::default() };
        let _listening = Listening::start(&request, send).unwrap();
        let error = loop {
            match news.recv_timeout(Duration::from_secs(60)).expect("an error comes") {
                News::Error(error) => break error,
                _ => continue,
            }
        };
        assert!(!error.is_empty());
    }
}
