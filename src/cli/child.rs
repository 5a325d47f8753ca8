//! Runs a child with a time limit, without standard input; past the limit it is killed.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How a child ended, and what it wrote.
pub struct Ended {
    /// None: it was killed when its time was up.
    pub status: Option<ExitStatus>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub error: String,
}

impl Ended {
    /// What went wrong, with the first lines that it said; none if nothing did.
    pub fn failure(&self, limit: Duration) -> Option<String> {
        let how = match self.status {
            Some(status) if status.success() => return None,
            Some(status) => match status.signal() {
                Some(signal) => format!("was killed by signal {signal}"),
                None => format!("ended with exit code {}", status.code().unwrap_or(-1)),
            },
            None => format!("did not come to an end in {} s", limit.as_secs()),
        };
        let said: Vec<&str> = self.error.lines().filter(|line| !line.trim().is_empty()).take(4).collect();
        Some(if said.is_empty() { how } else { format!("{how}, and said:\n{}", said.join("\n")) })
    }
}

/// Runs `command` for at most `limit`.
///
/// # Errors
/// Why it could not be started.
pub fn run(command: &mut Command, limit: Duration) -> std::io::Result<Ended> {
    let begin = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let out = child.stdout.take().map(gather);
    let error = child.stderr.take().map(gather);
    let mut status = None;
    while status.is_none() && begin.elapsed() < limit {
        status = child.try_wait()?;
        std::thread::sleep(Duration::from_millis(5));
    }
    if status.is_none() {
        // It may have ended meanwhile; then there is nothing to kill.
        let _ended = child.kill();
        child.wait()?;
    }
    let text = |gathered: Option<Gathered>| gathered.map_or(String::new(), |gathered| gathered.text());
    Ok(Ended { status, out: text(out), error: text(error) })
}

struct Gathered {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
}

/// A child of the child may keep the pipe open for ever: nobody waits for its end.
fn gather(mut pipe: impl Read + Send + 'static) -> Gathered {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let shared = bytes.clone();
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            shared.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
        }
    });
    Gathered { bytes, reader }
}

impl Gathered {
    fn text(self) -> String {
        let begin = Instant::now();
        while !self.reader.is_finished() && begin.elapsed() < Duration::from_millis(500) {
            std::thread::sleep(Duration::from_millis(2));
        }
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Ended {
        run(Command::new("sh").args(["-c", script]), limit).unwrap()
    }

    #[test]
    fn a_child_is_killed_when_its_time_is_up() {
        let limit = Duration::from_millis(300);
        let begin = Instant::now();
        let ended = shell("echo before; exec sleep 60", limit);
        assert!(begin.elapsed() < Duration::from_secs(20));
        assert!(ended.status.is_none() && ended.out == "before\n");
        assert!(ended.failure(limit).unwrap().contains("did not come to an end"));
    }

    #[test]
    fn what_a_child_leaves_running_is_not_waited_for() {
        let begin = Instant::now();
        let ended = shell("sleep 10 & echo done", Duration::from_secs(5));
        assert!(ended.failure(Duration::ZERO).is_none() && ended.out == "done\n");
        assert!(begin.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_crash_is_told_with_what_the_child_said() {
        let told = shell("echo why >&2; kill -SEGV $$", Duration::from_secs(20)).failure(Duration::ZERO).unwrap();
        assert!(told.contains("signal 11") && told.ends_with("\nwhy"), "{told}");
    }
}
