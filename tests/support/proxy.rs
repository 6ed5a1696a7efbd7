//! A proxy to a local port that can cut its connections and swallow their data.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Forwards connections to the port; all are closed when this value is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    paused: bool,
    ended: bool,
    /// Both sides of every connection so far.
    connections: Vec<TcpStream>,
}

impl Proxy {
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.state().ended {
                    return;
                }
                // Without a listener, dropping this closes the client's connection.
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
                accepting.forward(&client, &server);
            }
        });
        Self { address, shared }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Closes every open connection; new ones are forwarded.
    pub fn cut(&self) {
        self.shared.state().cut();
    }

    /// From now on, data in both directions is held back; connections stay open and new ones are accepted.
    pub fn pause(&self) {
        self.shared.set_paused(true);
    }

    /// Forwards everything again, including the data that was held back.
    pub fn resume(&self) {
        self.shared.set_paused(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.ended = true;
        state.cut();
        drop(state);
        self.shared.set_paused(false);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn cut(&mut self) {
        for connection in self.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn set_paused(&self, paused: bool) {
        self.state().paused = paused;
        self.changed.notify_all();
    }

    fn forward(self: &Arc<Self>, client: &TcpStream, server: &TcpStream) {
        let clone = |stream: &TcpStream| stream.try_clone().unwrap();
        self.state().connections.extend([clone(client), clone(server)]);
        for (from, to) in [(clone(client), clone(server)), (clone(server), clone(client))] {
            let shared = Arc::clone(self);
            std::thread::spawn(move || shared.copy(from, to));
        }
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            drop(self.changed.wait_while(self.state(), |state| state.paused).unwrap());
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        // The end of a connection is held back too.
        drop(self.changed.wait_while(self.state(), |state| state.paused).unwrap());
        let _ = from.shutdown(Shutdown::Read);
        let _ = to.shutdown(Shutdown::Write);
    }
}
