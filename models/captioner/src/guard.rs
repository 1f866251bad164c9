//! A backend behind a circuit breaker: where it fails, the template answers.

use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::error::CaptionError;
use crate::request::{Backend, Captioner, Notice, Progress, Reply, Request};
use crate::template::Template;

/// When a backend is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// Failures one after the other from which on it is left alone.
    pub failures: u32,
    /// For how long; twice as long each time that it still fails behind a pause.
    pub pause: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Breaker {
    /// Three failures; 15 seconds, up to five minutes.
    fn default() -> Self {
        Self { failures: 3, pause: Duration::from_secs(15), longest: Duration::from_secs(300) }
    }
}

/// A backend that always answers: each request that it fails is answered by the template, and after too many failures
/// it is not asked for a while, which is told once ([`Reply::notice`]).
///
/// Only a request that was given up is an error.
pub struct Guard<C> {
    asked: C,
    template: Template,
    breaker: Breaker,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It is asked; so many failures one after the other.
    Closed(u32),
    /// It is left alone until then; the pause before was so long, and the last failure this.
    Open { until: Instant, pause: Duration, reason: String },
}

impl<C: Captioner> Guard<C> {
    /// Guards a backend with [`Breaker::default`].
    pub fn new(asked: C, template: Template) -> Self {
        Self::with(asked, template, Breaker::default())
    }

    /// Guards a backend.
    pub fn with(asked: C, template: Template, breaker: Breaker) -> Self {
        Self { asked, template, breaker, state: State::Closed(0) }
    }

    /// Whether the backend is left alone now.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// The backend failed: what is to be told, if anything.
    fn failed(&mut self, reason: &str) -> Option<Notice> {
        let (pause, news) = match &self.state {
            State::Closed(failures) if failures + 1 < self.breaker.failures => {
                self.state = State::Closed(failures + 1);
                return None;
            }
            State::Closed(_) => (self.breaker.pause, true),
            State::Open { pause, .. } => (pause.saturating_mul(2).min(self.breaker.longest), false),
        };
        self.state = State::Open { until: Instant::now() + pause, pause, reason: reason.to_owned() };
        news.then(|| Notice::Open { reason: reason.to_owned(), pause })
    }
}

impl<C: Captioner> Captioner for Guard<C> {
    /// The backend that is asked first.
    fn backend(&self) -> Backend {
        self.asked.backend()
    }

    fn reply(
        &mut self,
        request: &Request,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Reply, CaptionError> {
        let (reason, notice) = match &self.state {
            State::Open { until, reason, .. } if Instant::now() < *until => {
                (format!("{} is left alone: {reason}", self.asked.backend()), None)
            }
            _ => {
                let mut begun = false;
                let asked = self.asked.reply(request, cancel, &mut |part| {
                    begun = matches!(part, Progress::Text(_));
                    progress(part);
                });
                match asked {
                    Ok(reply) => {
                        let notice = self.is_open().then_some(Notice::Closed);
                        self.state = State::Closed(0);
                        return Ok(Reply { notice, ..reply });
                    }
                    Err(error) if error.is_cancelled() || cancel.is_cancelled() => {
                        return Err(CaptionError::Cancelled);
                    }
                    Err(error) => {
                        if begun {
                            progress(Progress::Again);
                        }
                        let reason = error.to_string();
                        let notice = self.failed(&reason);
                        (reason, notice)
                    }
                }
            }
        };
        let reply = self.template.reply(request, cancel, progress)?;
        Ok(Reply { fallback: Some(reason), notice, ..reply })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::evidence::Scene;

    /// Fails and answers by a script, and counts how often it is asked.
    struct Scripted {
        script: VecDeque<Result<&'static str, CaptionError>>,
        asked: u32,
    }

    impl Captioner for Scripted {
        fn backend(&self) -> Backend {
            Backend::Http
        }

        fn reply(
            &mut self,
            _: &Request,
            _: &Cancel,
            progress: &mut dyn FnMut(Progress<'_>),
        ) -> Result<Reply, CaptionError> {
            self.asked += 1;
            progress(Progress::Text("half an ans"));
            let next = self.script.pop_front().expect("not asked more often than written");
            next.map(|text| Reply::whole(text.into(), Backend::Http))
        }
    }

    fn down() -> Result<&'static str, CaptionError> {
        Err(CaptionError::TimedOut(Duration::from_secs(1)))
    }

    fn guard(script: Vec<Result<&'static str, CaptionError>>, pause: Duration) -> Guard<Scripted> {
        let breaker = Breaker { failures: 3, pause, longest: pause * 4 };
        Guard::with(Scripted { script: script.into(), asked: 0 }, Template::or_english("en"), breaker)
    }

    fn ask(guard: &mut Guard<Scripted>) -> Reply {
        guard.reply(&Request::caption(Scene::default()), &Cancel::new(), &mut |_| {}).unwrap()
    }

    #[test]
    fn each_failure_is_answered_by_the_template_and_the_third_in_a_row_is_told_once() {
        let mut guard =
            guard(vec![down(), down(), Ok("hm"), down(), down(), down()], Duration::from_secs(1000));
        let notices: Vec<bool> = (0..10)
            .map(|n| {
                let reply = ask(&mut guard);
                assert_eq!(reply.by, if n == 2 { Backend::Http } else { Backend::Template });
                assert_eq!(reply.fallback.is_some(), n != 2);
                reply.notice.is_some()
            })
            .collect();
        let told: Vec<usize> = (0..10).filter(|&n| notices[n]).collect();
        assert_eq!(told, [5], "only when it opens");
        assert_eq!(guard.asked.asked, 6, "then it is left alone");
    }

    #[test]
    fn behind_the_pause_it_is_asked_once_and_its_return_is_told() {
        let pause = Duration::from_millis(20);
        let mut guard = guard(vec![down(), down(), down(), down(), Ok("back"), Ok("well")], pause);
        (0..3).for_each(|_| drop(ask(&mut guard)));
        std::thread::sleep(pause * 2);
        assert_eq!(ask(&mut guard).notice, None, "still down: nothing new");
        assert_eq!(guard.asked.asked, 4);
        assert!(guard.is_open());
        std::thread::sleep(pause * 4);
        let reply = ask(&mut guard);
        assert_eq!((reply.text.as_str(), reply.notice), ("back", Some(Notice::Closed)));
        assert_eq!(ask(&mut guard).notice, None);
    }

    #[test]
    fn what_was_given_before_a_failure_is_made_void() {
        let mut guard = guard(vec![down()], Duration::from_secs(1));
        let mut parts = Vec::new();
        let request = Request::caption(Scene::default());
        guard.reply(&request, &Cancel::new(), &mut |part| parts.push(format!("{part:?}"))).unwrap();
        assert_eq!(parts, ["Text(\"half an ans\")", "Again"]);
    }

    #[test]
    fn giving_up_is_no_failure_of_the_backend() {
        let script = (0..5).map(|_| Err(CaptionError::Cancelled)).collect();
        let mut guard = guard(script, Duration::from_secs(1));
        for _ in 0..5 {
            let request = Request::caption(Scene::default());
            assert!(guard.reply(&request, &Cancel::new(), &mut |_| {}).is_err_and(|e| e.is_cancelled()));
        }
        assert!(!guard.is_open());
    }
}
