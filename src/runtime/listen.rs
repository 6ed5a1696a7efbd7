//! Listening sockets and how others reach them.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use super::ServeError;
use crate::admission::connections::Capacity;

/// How many connections may wait until they are accepted; Linux' own limit, `net.core.somaxconn`. One more is dropped, and
/// comes again after a second or more.
const BACKLOG: u32 = 4096;
/// Open files that are not connections of a listener: watches, certificates, policies.
const OWN_FILES: usize = 128;
/// The most connections of the plain listener, for probes and scrapes.
const MAX_PLAIN_CONNECTIONS: usize = 256;
/// What a listener has at the least, whatever the limit of files.
const MIN_CONNECTIONS: usize = 16;
/// What both listeners take together, with those that are about to end.
#[cfg(target_os = "linux")]
const WANTED_FILES: u64 = 2048;

/// Listens on an address, and says which it really is, where port 0 asked for any. `[::]` means every address there is, also
/// on a machine without IPv6.
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

/// How many connections the webhook's listener may have, and the plain one, by how many files the process may have open.
pub(super) fn files() -> (Capacity, Capacity) {
    capacities(raise_file_limit())
}

fn capacities(files: usize) -> (Capacity, Capacity) {
    // A connection that was ended is still open for a moment.
    let free = files.saturating_sub(OWN_FILES) / 4 * 3;
    let plain = (free / 4).clamp(MIN_CONNECTIONS, MAX_PLAIN_CONNECTIONS);
    let all = free.saturating_sub(plain).clamp(MIN_CONNECTIONS, Capacity::default().all);
    (Capacity { all, reserved: all / 4 }, Capacity { all: plain, reserved: 0 })
}

/// Raises the limit of open files to what both listeners take, as far as the process may, and says what it is then.
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
            "few files may be open, so few connections too; raise ulimit -n"
        );
    }
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(not(target_os = "linux"))]
fn raise_file_limit() -> usize {
    // The least that the systems it is developed on give.
    256
}

/// The address under which something on this machine reaches a listener.
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
    fn connections_fit_into_the_files_that_there_may_be() {
        for files in [256, 1024, 2048, 1 << 20] {
            let (tls, plain) = capacities(files);
            assert!(tls.all + plain.all + OWN_FILES <= files, "{files}: {tls:?} {plain:?}");
            assert!(tls.reserved * 2 <= tls.all);
        }
        assert_eq!(capacities(2048).0.all, 1024);
        assert_eq!(capacities(1024).0.all, 504);
        assert!(capacities(64).0.all > 0);
    }
}
