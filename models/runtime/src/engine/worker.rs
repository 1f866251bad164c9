//! A worker: takes windows from the queue, makes batches of them, runs the model.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crossbeam::channel::{Receiver, Sender, TrySendError};

use super::client::Ticket;
use super::{Core, Model};
use crate::error::RuntimeError;

pub(super) struct Worker<M: Model> {
    pub(super) model: M,
    pub(super) queue: Receiver<Ticket<M>>,
    /// For putting a window back; it would keep the queue open, so it is upgraded only while the engine lives.
    pub(super) back: std::sync::Weak<Sender<Ticket<M>>>,
    pub(super) core: Arc<Core>,
}

impl<M: Model> Worker<M> {
    /// Works until the engine ends.
    pub(super) fn work(mut self) {
        let mut held = None;
        while let Some(first) = held.take().or_else(|| self.next(None)) {
            if !first.is_live() {
                continue;
            }
            let (batch, left_over) = self.gather(first);
            held = left_over;
            self.run(batch);
        }
    }

    /// The next window in the queue, by `deadline` at the latest; `None` after it, or when the engine ends.
    fn next(&self, deadline: Option<Instant>) -> Option<Ticket<M>> {
        let ticket = match deadline {
            Some(deadline) => self.queue.recv_deadline(deadline).ok(),
            None => self.queue.recv().ok(),
        }?;
        self.core.wake_submitters();
        Some(ticket)
    }

    /// Waits for more windows to run with `first`: until there are as many as the smallest `max_batch` of them, or
    /// the earliest of their deadlines has come.
    ///
    /// A window that may not be in so large a batch ends the waiting. It goes back into the queue, where another
    /// worker may have it at once; this one runs it next if it has been put back before or the queue is full.
    fn gather(&self, first: Ticket<M>) -> (Vec<Ticket<M>>, Option<Ticket<M>>) {
        let mut max_batch = first.max_batch;
        let mut deadline = first.deadline;
        let mut batch = vec![first];
        while batch.len() < max_batch {
            let Some(ticket) = self.next(deadline) else { break };
            if !ticket.is_live() {
                continue;
            }
            if batch.len() + 1 > ticket.max_batch {
                return (batch, self.put_back(ticket));
            }
            max_batch = max_batch.min(ticket.max_batch);
            deadline = match (deadline, ticket.deadline) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            batch.push(ticket);
        }
        (batch, None)
    }

    fn put_back(&self, mut ticket: Ticket<M>) -> Option<Ticket<M>> {
        if ticket.returned {
            return Some(ticket);
        }
        ticket.returned = true;
        let Some(queue) = self.back.upgrade() else { return Some(ticket) };
        match queue.try_send(ticket) {
            Ok(()) => None,
            Err(TrySendError::Full(ticket) | TrySendError::Disconnected(ticket)) => Some(ticket),
        }
    }

    /// Runs what has not been flushed of a batch and hands out the results.
    fn run(&mut self, tickets: Vec<Ticket<M>>) {
        let (mut inputs, mut owners) = (Vec::with_capacity(tickets.len()), Vec::with_capacity(tickets.len()));
        for ticket in tickets {
            if let Some(input) = ticket.take() {
                inputs.push(input);
                owners.push(ticket);
            }
        }
        if inputs.is_empty() {
            return;
        }
        let expected = inputs.len();
        let start = Instant::now();
        // The model keeps no invariant over a run that a panic could break: at worst its next run fails too.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.model.run(&mut inputs)));
        self.core.record(owners.iter().filter(|owner| owner.counted).count(), start.elapsed());
        let failure = match outcome {
            Ok(results) if results.len() == expected => {
                owners.iter().zip(results).for_each(|(owner, result)| owner.finish(result));
                return;
            }
            Ok(results) => RuntimeError::Results { expected, found: results.len() },
            Err(panic) => RuntimeError::Panic { message: message(&*panic) },
        };
        owners.iter().for_each(|owner| owner.finish(Err(failure.clone())));
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
