//! A TCP proxy that takes its time: a distance between programs that run on one machine.

use std::{io, net::SocketAddr, ops::RangeInclusive, time::Duration};

use bytes::{Bytes, BytesMut};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// Pieces that are on their way at once, for each direction of a connection.
const ON_THE_WAY: usize = 256;
/// Bytes of the longest piece.
const PIECE: usize = 16 * 1024;
/// By how much the runtime's timers may be late.
const TICK: Duration = Duration::from_millis(2);

/// How long what is sent takes, each way: any time of the range, by chance. Nothing overtakes what was sent before it on
/// the same connection. Making a connection takes no time.
#[derive(Clone, Debug)]
pub struct Delays {
    /// From who connects.
    pub there: RangeInclusive<Duration>,
    /// To who connects.
    pub back: RangeInclusive<Duration>,
}

impl Delays {
    /// The same round trip for all, half of it each way.
    #[must_use]
    pub fn round_trip(time: Duration) -> Self {
        Self { there: time / 2..=time / 2, back: time / 2..=time / 2 }
    }

    /// Up to `most` there, by chance, and no time back.
    #[must_use]
    pub const fn jitter(most: Duration) -> Self {
        Self { there: Duration::ZERO..=most, back: Duration::ZERO..=Duration::ZERO }
    }
}

/// The proxy. Dropping it closes all its connections.
#[derive(Debug)]
pub struct SlowLink {
    address: SocketAddr,
    to: watch::Sender<SocketAddr>,
    serving: JoinHandle<()>,
}

impl SlowLink {
    /// Listens on a port of the loopback and leads to `to`.
    ///
    /// # Errors
    /// Where no port is to be had.
    pub async fn start(to: SocketAddr, delays: Delays, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let to = watch::Sender::new(to);
        let serving = tokio::spawn(serve(listener, to.clone(), delays, StdRng::seed_from_u64(seed)));
        Ok(Self { address, to, serving })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads to another place from now on, and closes the connections to the old one.
    pub fn lead_to(&self, to: SocketAddr) {
        self.to.send_replace(to);
    }
}

impl Drop for SlowLink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, to: watch::Sender<SocketAddr>, delays: Delays, mut random: StdRng) {
    // Dropped, and with it all connections, when this is aborted.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((near, _)) = accepted {
                    connections.spawn(connect(near, to.subscribe(), delays.clone(), StdRng::from_rng(&mut random)));
                }
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn connect(near: TcpStream, mut to: watch::Receiver<SocketAddr>, delays: Delays, mut random: StdRng) {
    let target = *to.borrow_and_update();
    let Ok(far) = TcpStream::connect(target).await else { return };
    for stream in [&near, &far] {
        // What is to be late is late on purpose; failing to say so only costs time.
        let _unsupported = stream.set_nodelay(true);
    }
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let there = carry(near_in, far_out, delays.there, StdRng::from_rng(&mut random));
    let back = carry(far_in, near_out, delays.back, random);
    tokio::select! {
        _both_ended = async { tokio::join!(there, back) } => {}
        _led_elsewhere = to.changed() => {}
    }
}

/// Carries one direction, its end included.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delays: RangeInclusive<Duration>, mut random: StdRng) {
    let (sent, mut arriving) = mpsc::channel::<(Instant, Bytes)>(ON_THE_WAY);
    let read = async move {
        let mut due = Instant::now();
        loop {
            let mut piece = BytesMut::with_capacity(PIECE);
            let ended = !matches!(from.read_buf(&mut piece).await, Ok(1..));
            due = due.max(Instant::now() + random.random_range(delays.clone()));
            // An empty piece is the end, which takes its time, too.
            if sent.send((due, piece.freeze())).await.is_err() || ended {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = arriving.recv().await {
            wait_until(due).await;
            if piece.is_empty() || to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}

/// Waits to a fraction of a millisecond, which the runtime's timers cannot: what they would round up is slept on a thread.
#[expect(clippy::disallowed_methods, reason = "the thread is there for nothing else")]
async fn wait_until(due: Instant) {
    if due > Instant::now() + TICK {
        sleep_until(due - TICK).await;
    }
    let rest = due.saturating_duration_since(Instant::now());
    if !rest.is_zero() {
        // It does not panic, and is not cut short while somebody waits for it.
        let _slept = tokio::task::spawn_blocking(move || std::thread::sleep(rest)).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A server that says its name and then what it is told.
    async fn echoing(name: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    to.write_all(name).await.unwrap();
                    // Where the other side breaks it off there is nobody to tell.
                    let _ended = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn read<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
        let mut bytes = [0; N];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn a_round_trip_takes_its_time() {
        let link = SlowLink::start(echoing(b"a").await, Delays::round_trip(60 * MS), 1).await.unwrap();
        let mut stream = TcpStream::connect(link.address()).await.unwrap();
        assert_eq!(&read(&mut stream).await, b"a");
        let asked = Instant::now();
        stream.write_all(b"ping").await.unwrap();
        assert_eq!(&read(&mut stream).await, b"ping");
        assert!(asked.elapsed() >= 60 * MS, "{:?}", asked.elapsed());
    }

    #[tokio::test]
    async fn bytes_arrive_whole_and_in_order_however_late() {
        let delays = Delays { there: Duration::ZERO..=5 * MS, back: Duration::ZERO..=5 * MS };
        let link = SlowLink::start(echoing(b"").await, delays, 2).await.unwrap();
        let mut stream = TcpStream::connect(link.address()).await.unwrap();
        let sent: Vec<u8> = (0..200_000_u32).map(|nth| (nth % 251) as u8).collect();
        let (mut from, mut to) = stream.split();
        let mut came = Vec::new();
        let write = async {
            for piece in sent.chunks(997) {
                to.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            to.shutdown().await.unwrap();
        };
        let (_, all) = tokio::join!(write, from.read_to_end(&mut came));
        all.unwrap();
        assert!(came == sent, "{} of {} bytes", came.len(), sent.len());
    }

    #[tokio::test]
    async fn where_it_leads_elsewhere_the_old_connections_end() {
        let link = SlowLink::start(echoing(b"old").await, Delays::jitter(MS), 3).await.unwrap();
        let mut stream = TcpStream::connect(link.address()).await.unwrap();
        assert_eq!(&read(&mut stream).await, b"old");
        link.lead_to(echoing(b"new").await);
        assert!(!matches!(stream.read(&mut [0]).await, Ok(1..)), "it is closed");
        assert_eq!(&read(&mut TcpStream::connect(link.address()).await.unwrap()).await, b"new");
    }
}
