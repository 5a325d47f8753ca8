//! A place to sleep until somebody knocks: another thread of this process, or another rank of this host.
//!
//! A knock is an empty datagram to a Unix socket whose abstract name only the ranks of a session know. It says nothing but
//! that something has happened: who wakes looks for himself, and nobody sleeps longer than he was told to. Where there are no
//! such sockets, everybody sleeps his time.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A door of this process.
#[derive(Debug)]
pub struct Door {
    socket: UnixDatagram,
}

/// Knocks at a door of this process, from any thread.
#[derive(Debug)]
pub struct Knocker {
    socket: UnixDatagram,
}

/// A door without a name, for threads of this process, and what they knock with.
///
/// # Errors
/// What the system says, where it has no sockets left.
pub fn inner() -> io::Result<(Door, Knocker)> {
    let (inside, outside) = UnixDatagram::pair()?;
    inside.set_nonblocking(true)?;
    outside.set_nonblocking(true)?;
    Ok((Door { socket: inside }, Knocker { socket: outside }))
}

#[cfg(target_os = "linux")]
fn address(name: &str) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn address(_name: &str) -> io::Result<SocketAddr> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

impl Door {
    /// A door that other processes of this host find by its name.
    ///
    /// # Errors
    /// Where the name is taken, or the system has no such names.
    pub fn named(name: &str) -> io::Result<Door> {
        let socket = UnixDatagram::bind_addr(&address(name)?)?;
        socket.set_nonblocking(true)?;
        Ok(Door { socket })
    }

    /// Knocks at another process's door. Nobody there, or a full queue: he looks in time anyway.
    pub fn knock(&self, name: &str) {
        if let Ok(address) = address(name) {
            let _unheard = self.socket.send_to_addr(&[], &address);
        }
    }

    /// Forgets the knocks so far: taken before one looks whether it is necessary to sleep.
    fn open(&self) {
        let mut nothing = [0; 1];
        while self.socket.recv(&mut nothing).is_ok() {}
    }
}

impl Knocker {
    /// Knocks. Does not wait; a queue that is full has knocks in it.
    pub fn knock(&self) {
        let _unheard = self.socket.send(&[]);
    }
}

/// Who has knocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knocked {
    /// Another thread of this process.
    pub inside: bool,
    /// Another process.
    pub outside: bool,
}

/// Sleeps until somebody knocks at one of the doors, `most` at the longest.
pub fn sleep<'a>(home: &'a Door, others: impl IntoIterator<Item = &'a Door>, most: Duration) -> Knocked {
    let doors: Vec<&Door> = std::iter::once(home).chain(others).collect();
    let of = |door: &&Door| libc::pollfd { fd: door.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut polled: Vec<libc::pollfd> = doors.iter().map(of).collect();
    let most = libc::timespec {
        tv_sec: libc::time_t::try_from(most.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(most.subsec_nanos().cast_signed()),
    };
    let count = polled.len() as libc::nfds_t;
    // SAFETY: the list has `count` entries, the time is a local, and no signal mask is given.
    let knocked = unsafe { libc::ppoll(polled.as_mut_ptr(), count, &raw const most, std::ptr::null()) };
    // On failure nothing was written.
    let is_knocked = |polled: &libc::pollfd| knocked > 0 && polled.revents != 0;
    doors.iter().zip(&polled).filter(|(_, polled)| is_knocked(polled)).for_each(|(door, _)| door.open());
    Knocked { inside: is_knocked(&polled[0]), outside: polled[1..].iter().any(is_knocked) }
}

/// Names the part of the machine within which doors are found: processes in other network namespaces do not find each other.
pub fn neighbourhood() -> String {
    std::fs::read_link("/proc/self/ns/net").map_or_else(|_| String::new(), |link| link.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_knock_wakes_and_is_forgotten() {
        let (door, knocker) = inner().unwrap();
        let named = Door::named(&format!("dlcast-test-{}", std::process::id())).unwrap();
        let knocked = |inside, outside| Knocked { inside, outside };
        let short = Duration::from_millis(1);
        assert_eq!(sleep(&door, [&named], short), knocked(false, false));
        knocker.knock();
        assert_eq!(sleep(&door, [&named], Duration::from_secs(60)), knocked(true, false));
        door.knock(&format!("dlcast-test-{}", std::process::id()));
        let start = Instant::now();
        assert_eq!(sleep(&door, [&named], Duration::from_secs(60)), knocked(false, true));
        assert!(start.elapsed() < Duration::from_secs(30));
        assert_eq!(sleep(&door, [&named], short), knocked(false, false));
        door.knock("dlcast-test-nobody");
    }
}
