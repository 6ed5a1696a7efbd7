//! Ports for programs that cannot be given port 0. Each is reserved as long as it is needed. A file lock protects it
//! from other tests on this machine; its number protects it from other programs, because no system assigns such a
//! number to a client or to port 0.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Below the ephemeral ports of Linux (from 32768) and macOS (from 49152).
const NUMBERS: Range<u16> = 20_000..30_000;

/// A reserved port, which is released when this value is dropped.
pub struct Reserved {
    pub port: u16,
    _lock: File,
}

impl Reserved {
    /// The first unreserved port without a listener at this address or at 127.0.0.1.
    pub fn port(address: Ipv4Addr) -> Self {
        let reserved = NUMBERS.filter_map(Self::lock).find(|it| {
            let free = |address| TcpListener::bind((address, it.port)).is_ok();
            free(Ipv4Addr::LOCALHOST) && free(address)
        });
        reserved.expect("a free port")
    }

    /// `None` where another process has locked it, or another user has made the file.
    fn lock(port: u16) -> Option<Self> {
        let path = std::env::temp_dir().join(format!("podgate-port-{port}"));
        let lock = File::options().create(true).append(true).open(path).ok()?;
        lock.try_lock().ok()?;
        Some(Self { port, _lock: lock })
    }
}
