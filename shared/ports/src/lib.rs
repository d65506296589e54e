//! Ports for the servers and programs that tests and demonstrations start.

use std::{
    net::{Ipv4Addr, TcpListener},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::{Mutex, PoisonError},
};

/// What keeps the ports of this process from being given to another one's test: names that end with the process.
static TAKEN: Mutex<Vec<UnixDatagram>> = Mutex::new(Vec::new());

/// A port of the loopback that nobody listens on, that no other call on this machine has returned to a process that still
/// runs, and that is below those that the system hands out to clients: so it is still free when a server is started on it,
/// and again after the server was killed.
///
/// # Panics
/// Where no socket can be made.
#[must_use]
pub fn free_port() -> u16 {
    loop {
        let port = rand::random_range(10_000..20_000);
        let name = SocketAddr::from_abstract_name(format!("nezuko-test-port-{port}")).expect("invariant: a short name");
        let Ok(mine) = UnixDatagram::bind_addr(&name) else { continue };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            TAKEN.lock().unwrap_or_else(PoisonError::into_inner).push(mine);
            return port;
        }
    }
}
