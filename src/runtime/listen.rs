//! Listening sockets: addresses, and how many connections each listener may have.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use super::error::ServeError;
use crate::admission::connections::Capacity;

/// The most connections that wait to be accepted: Linux' own limit, `net.core.somaxconn`. The kernel drops the SYN of
/// one more, and the client retries after a second or more.
const BACKLOG: u32 = 4096;
/// Open files that are not connections of a listener: watches, certificates, policies.
const OWN_FILES: usize = 128;
/// The most connections of the plain listener, for probes and scrapes.
const MAX_PLAIN_CONNECTIONS: usize = 256;
/// The fewest connections of a listener, whatever the limit of open files.
const MIN_CONNECTIONS: usize = 16;
/// The open files of both listeners, including connections that are being closed.
#[cfg(target_os = "linux")]
const WANTED_FILES: u64 = 2048;

/// Listens on an address, and returns the actual one, which has a port where port 0 asked for any. `[::]` stands for
/// all addresses, also on a machine without IPv6.
pub(super) fn bind(
    address: SocketAddr,
    flag: &'static str,
) -> Result<(TcpListener, SocketAddr), ServeError> {
    let bound = match listen(address) {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && !is_final(&error) => {
            listen((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    };
    let failed = |source| ServeError::Listen { address, flag, source };
    let listener = bound.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn is_final(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied)
}

/// How many connections each listener may have.
pub(super) struct Capacities {
    pub webhook: Capacity,
    pub plain: Capacity,
}

/// The capacities within the process's limit of open files, which is raised as far as needed and allowed.
pub(super) fn capacities() -> Capacities {
    Capacities::within(raise_file_limit())
}

impl Capacities {
    fn within(files: usize) -> Self {
        // A quarter is for connections that are being closed.
        let free = files.saturating_sub(OWN_FILES) / 4 * 3;
        let plain = (free / 4).clamp(MIN_CONNECTIONS, MAX_PLAIN_CONNECTIONS);
        let all = free.saturating_sub(plain).clamp(MIN_CONNECTIONS, Capacity::default().all);
        Self {
            webhook: Capacity { all, reserved: all / 4 },
            plain: Capacity { all: plain, reserved: 0 },
        }
    }
}

/// Raises the limit of open files to [`WANTED_FILES`], as far as the process may, and returns the limit.
#[cfg(target_os = "linux")]
fn raise_file_limit() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let now = limit.current.unwrap_or(u64::MAX);
    let wanted = WANTED_FILES.min(limit.maximum.unwrap_or(u64::MAX));
    let raised = (now < wanted).then(|| {
        limit.current = Some(wanted);
        setrlimit(Resource::Nofile, limit)
    });
    let limit = if raised == Some(Ok(())) { wanted } else { now };
    if limit < WANTED_FILES {
        tracing::warn!(
            limit,
            wanted = WANTED_FILES,
            "the limit of open files is low, so few connections are accepted; raise ulimit -n"
        );
    }
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(not(target_os = "linux"))]
fn raise_file_limit() -> usize {
    // The lowest default of the systems that podgate is developed on.
    256
}

/// The address at which a client on this machine reaches a listener.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_into_the_limit_of_open_files() {
        for files in [256, 1024, 2048, 1 << 20] {
            let Capacities { webhook, plain } = Capacities::within(files);
            assert!(webhook.all + plain.all + OWN_FILES <= files, "{files}: {webhook:?} {plain:?}");
            assert!(webhook.reserved * 2 <= webhook.all);
        }
        assert_eq!(Capacities::within(2048).webhook.all, 1024);
        assert_eq!(Capacities::within(1024).webhook.all, 504);
        assert!(Capacities::within(64).webhook.all > 0);
    }
}
