//! The end of the process, while models are still loaded or run by other threads.
//!
//! `exit` runs the destructors of libonnxruntime's statics on the thread that calls it, and every other thread goes
//! on meanwhile: one that is inside the library then reads what is already destroyed, and the process crashes on its
//! way out. So each call into the library holds a [`Pass`], and the exiting thread waits, 10 s at most, until none is
//! out. From then on nobody gets one. Nothing but the exit itself waits.
//!
//! The wait has to come before those destructors, and those run newest first. It is asked for in two ways:
//!
//! * By `atexit`: before the library is opened (for an exit in the midst of that), after it is open and after each
//!   thing that may register further destructors. What the library registers in the midst of one call, the schemas of
//!   its operators in the first, is newer than the last handler until that call returns.
//! * By the destructor of a thread local of the main thread, for `exit` begins with those. It registers the handler
//!   once more, as the newest of all. [`watch`] puts it there, and everything that a program calls before it loads
//!   does that. Only an `exit` on another thread, in the midst of the very first load, is left with the first way.
#![allow(unsafe_code, reason = "the C library's `atexit` and thread ids; each is a single call")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::RuntimeError;

/// The longest that an exit waits for a load or a run.
const PATIENCE: Duration = Duration::from_secs(10);

/// From the end of the main thread's thread locals to the handler, if an exit it is. A main thread may also end by
/// `pthread_exit`, and the process go on without it.
const EXIT_FOLLOWS: Duration = Duration::from_secs(1);

static STATE: Mutex<State> = Mutex::new(State { inside: 0, phase: Phase::Open });
static CHANGED: Condvar = Condvar::new();

/// Whose state it is; 0 before the first. A fork has the count and maybe the lock, but none of the threads.
static PROCESS: AtomicU32 = AtomicU32::new(0);

struct State {
    /// Threads in the library.
    inside: usize,
    phase: Phase,
}

#[derive(Clone, Copy)]
enum Phase {
    Open,
    /// The main thread ended: nobody enters until then, unless it is clear before that the process ends too.
    MainEnded(Instant),
    Exiting,
}

/// Leave to be in the library; its end is the leave's.
#[derive(Debug)]
pub(crate) struct Pass(());

impl Pass {
    /// To be held around every call that may take time or be made by a thread of its own. Not to be nested.
    ///
    /// # Errors
    /// The process is exiting.
    pub(crate) fn get() -> Result<Self, RuntimeError> {
        watch();
        let mut state = lock();
        loop {
            match state.phase {
                Phase::Exiting => return Err(RuntimeError::Exiting),
                Phase::MainEnded(until) => match until.checked_duration_since(Instant::now()) {
                    Some(left) => state = wait(state, left),
                    None => state.phase = Phase::Open,
                },
                Phase::Open => break,
            }
        }
        let process = std::process::id();
        if PROCESS.swap(process, Ordering::Relaxed) != process {
            state.inside = 0;
        }
        state.inside += 1;
        Ok(Self(()))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = lock();
        state.inside = state.inside.saturating_sub(1);
        CHANGED.notify_all();
    }
}

/// Whether the process is exiting: a long work in several steps ends before the next.
///
/// # Errors
/// It is.
pub(crate) fn check() -> Result<(), RuntimeError> {
    match lock().phase {
        Phase::Exiting => Err(RuntimeError::Exiting),
        Phase::Open | Phase::MainEnded(_) => Ok(()),
    }
}

/// Makes the handler the newest, so that it runs before every destructor that there is by now.
pub(crate) fn register() {
    // It fails only without memory; then an exit is as it would be without this module.
    // SAFETY: `exiting` is a function of this library, which the C library keeps from being run once it is unloaded,
    // and it does not unwind: it locks, waits and allocates nothing.
    let _ = unsafe { libc::atexit(exiting) };
}

/// [`register`], for the first few times: what loads and runs register lazily is registered by the first of them.
pub(crate) fn register_again() {
    /// Graphs differ in the kernels that they wake up.
    const TIMES: u32 = 16;
    static DONE: AtomicU32 = AtomicU32::new(0);
    if DONE.load(Ordering::Relaxed) < TIMES && DONE.fetch_add(1, Ordering::Relaxed) < TIMES {
        register();
    }
}

/// Has the end of the main thread noticed, if this is the main thread; on any other it does nothing.
pub(crate) fn watch() {
    thread_local! {
        // Lazily: a value that is not kept would be dropped at once, and tell of an end that is none.
        static MAIN: Option<MainEnd> = is_main().then(|| MainEnd);
    }
    // Too late where the thread's locals are gone already, but then the handler is on its way.
    let _ = MAIN.try_with(|_| ());
}

/// Notices the end of the main thread.
struct MainEnd;

impl Drop for MainEnd {
    fn drop(&mut self) {
        if forked() {
            return;
        }
        let mut state = lock();
        state.phase = Phase::MainEnded(Instant::now() + PATIENCE + EXIT_FOLLOWS);
        let mut state = drained(state);
        state.phase = Phase::MainEnded(Instant::now() + EXIT_FOLLOWS);
        drop(state);
        register();
    }
}

/// The handler: from here on nobody enters, and who is inside is waited for.
extern "C" fn exiting() {
    if forked() {
        return;
    }
    let mut state = lock();
    state.phase = Phase::Exiting;
    CHANGED.notify_all();
    drop(drained(state));
}

/// Waits until nobody is inside, or patience ends.
fn drained(mut state: MutexGuard<'static, State>) -> MutexGuard<'static, State> {
    let begin = Instant::now();
    while state.inside > 0
        && let Some(left) = PATIENCE.checked_sub(begin.elapsed())
    {
        state = wait(state, left);
    }
    state
}

/// Whether whoever is inside is so in another process, of which this one is a copy.
fn forked() -> bool {
    let process = PROCESS.load(Ordering::Relaxed);
    process != 0 && process != std::process::id()
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait(state: MutexGuard<'static, State>, at_most: Duration) -> MutexGuard<'static, State> {
    CHANGED.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner).0
}

#[cfg(target_os = "linux")]
fn is_main() -> bool {
    // SAFETY: neither takes anything nor can fail.
    unsafe { libc::gettid() == libc::getpid() }
}

#[cfg(not(target_os = "linux"))]
fn is_main() -> bool {
    false
}
