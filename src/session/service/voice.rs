//! The voice: a thread that writes to stderr for those that must not block there, and for workers that are stuck.
//!
//! It starts with the service: under glibc a thread cannot begin while another one runs a constructor.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use crate::error::complain;

/// How long a process that ends waits until all is said; a pipe that nobody reads takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// What has been left to say, and is not said yet.
static UNSAID: AtomicUsize = AtomicUsize::new(0);

/// Has things said.
pub struct Voice(Sender<String>);

impl Voice {
    /// Says a text, later.
    pub fn say(&self, text: String) {
        UNSAID.fetch_add(1, Ordering::SeqCst);
        if self.0.send(text).is_err() {
            UNSAID.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Waits until all is said, for a while.
    pub fn finish(&self) {
        let start = Instant::now();
        while UNSAID.load(Ordering::SeqCst) > 0 && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Starts the thread, which never ends before the process.
pub fn start() -> io::Result<Voice> {
    let (voice, texts) = mpsc::channel::<String>();
    let run = move || {
        for text in texts {
            complain(&text);
            UNSAID.fetch_sub(1, Ordering::SeqCst);
        }
    };
    std::thread::Builder::new().name("dlcast voice".into()).spawn(run)?;
    Ok(Voice(voice))
}
