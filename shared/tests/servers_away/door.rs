//! A door before a server: open, shut, or held.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
    task::JoinHandle,
};

/// How the door is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Everything goes through.
    Open,
    /// Nobody answers: connections are refused, and those that there are break.
    Shut,
    /// Connections are taken and nothing goes through, as before a server that hangs.
    Held,
}

/// A door in a process's way to a server, at an address of its own.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    way: watch::Sender<Way>,
    keeper: JoinHandle<()>,
}

impl Door {
    /// An open one before the server at `to`.
    pub(crate) async fn before(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (way, told) = watch::channel(Way::Open);
        Self { address, way, keeper: tokio::spawn(keep(listener, to, told)) }
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Opens it for new connections; those that were held stay so for ever.
    pub(crate) async fn open_for_new_ones(&mut self, to: String) {
        self.keeper.abort();
        // What was held is held by the old sender's last word.
        while !self.keeper.is_finished() {
            tokio::task::yield_now().await;
        }
        let listener = TcpListener::bind(self.address).await.unwrap();
        let (way, told) = watch::channel(Way::Open);
        let held = std::mem::replace(&mut self.way, way);
        self.keeper = tokio::spawn(async move {
            keep(listener, to, told).await;
            drop(held);
        });
    }
}

/// Keeps it until the door is gone.
async fn keep(listener: TcpListener, to: String, mut way: watch::Receiver<Way>) {
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    loop {
        if *way.borrow_and_update() == Way::Shut {
            drop(listener.take());
            if way.changed().await.is_err() {
                return; // The test is over.
            }
            continue;
        }
        let door = match listener.take() {
            Some(door) => door,
            None => TcpListener::bind(address).await.unwrap(),
        };
        tokio::select! {
            client = door.accept() => {
                let (client, to, way) = (client.unwrap().0, to.clone(), way.clone());
                tokio::spawn(pass(client, to, way));
            }
            told = way.changed() => {
                if told.is_err() {
                    return;
                }
            }
        }
        listener = Some(door);
    }
}

async fn pass(client: TcpStream, to: String, mut way: watch::Receiver<Way>) {
    let Ok(server) = TcpStream::connect(to).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let ways = (way.clone(), way.clone());
    tokio::select! {
        () = copy(from_client, to_server, ways.0) => {}
        () = copy(from_server, to_client, ways.1) => {}
        shut = way.wait_for(|way| *way == Way::Shut) => drop(shut),
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: watch::Receiver<Way>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if way.wait_for(|way| *way != Way::Held).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
