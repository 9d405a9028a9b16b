//! The way from one instance to the server, which can be stalled and cut.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// Nothing gets through, in either direction; connections stay.
    is_stalled: bool,
    /// There are no connections.
    is_down: bool,
    /// How often it was cut: a connection outlives none.
    cuts: u64,
}

/// A proxy on a port of its own, gone with the value.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    way: watch::Sender<Way>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = watch::Sender::new(Way::default());
        let seen = way.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, to, seen.subscribe()));
            }
        });
        Self {
            port,
            way,
            accepting,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn stall(&self) {
        self.way.send_modify(|way| way.is_stalled = true);
    }

    pub(crate) fn cut(&self) {
        self.way.send_modify(|way| {
            way.is_down = true;
            way.cuts += 1;
        });
    }

    pub(crate) fn heal(&self) {
        self.way.send_modify(|way| {
            way.is_stalled = false;
            way.is_down = false;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn serve(client: TcpStream, to: u16, way: watch::Receiver<Way>) {
    let cuts = way.borrow().cuts;
    if way.borrow().is_down || !passes(&mut way.clone(), cuts).await {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // When one direction ends, the other goes with it.
    select! {
        () = pump(from_client, to_server, way.clone(), cuts) => {}
        () = pump(from_server, to_client, way, cuts) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    cuts: u64,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = select! {
            read = from.read(&mut buffer) => read,
            _ = way.wait_for(|way| way.cuts != cuts) => return,
        };
        let length = match read {
            Ok(length @ 1..) => length,
            _ => return,
        };
        if !passes(&mut way, cuts).await || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Waits while nothing gets through; false when the connection was cut.
async fn passes(way: &mut watch::Receiver<Way>, cuts: u64) -> bool {
    let moved = way
        .wait_for(|way| !way.is_stalled || way.cuts != cuts)
        .await;
    moved.is_ok_and(|way| way.cuts == cuts)
}
