//! What lies between a client and a server: a way that takes its time, and forgets whom it connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

pub(crate) struct Way {
    port: u16,
    age: Arc<AtomicU32>,
}

impl Way {
    /// To a server on this machine. Nothing gets through a connection before `delay` is over.
    pub(crate) async fn to(port: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = Self {
            port: listener.local_addr().unwrap().port(),
            age: Arc::default(),
        };
        let age = Arc::clone(&way.age);
        tokio::spawn(async move {
            while let Ok((here, _)) = listener.accept().await {
                let there = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let (of_here, to_here) = here.into_split();
                let (of_there, to_there) = there.into_split();
                tokio::spawn(carry(of_here, to_there, Arc::clone(&age), delay));
                tokio::spawn(carry(of_there, to_here, Arc::clone(&age), Duration::ZERO));
            }
        });
        way
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on nothing comes out of the connections that there are. They stay open.
    pub(crate) fn forget(&self) {
        self.age.fetch_add(1, Ordering::SeqCst);
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    age: Arc<AtomicU32>,
    delay: Duration,
) {
    let born = age.load(Ordering::SeqCst);
    sleep(delay).await;
    let mut bytes = vec![0; 65536];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if age.load(Ordering::SeqCst) != born {
            continue;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
