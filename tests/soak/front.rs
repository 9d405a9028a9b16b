//! A process in front of the issuer, which can be killed or stopped while the issuer keeps its keys and what it knows.

use std::io::{self, Read as _};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::thread;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Passes on what comes, until standard input closes.
pub(crate) async fn run(port: &str, upstream: &str) -> ExitCode {
    let Ok(port) = port.parse::<u16>() else {
        return ExitCode::from(2);
    };
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("front: port {port}: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("listening");
    let upstream = upstream.to_owned();
    let accepting = async {
        loop {
            let Ok((mut here, _)) = listener.accept().await else {
                continue;
            };
            let upstream = upstream.clone();
            tokio::spawn(async move {
                if let Ok(mut there) = TcpStream::connect(upstream).await {
                    // Either side may go away at any time.
                    let _ = copy_bidirectional(&mut here, &mut there).await;
                }
            });
        }
    };
    let (gone, is_gone) = oneshot::channel();
    thread::spawn(move || {
        // Whoever started this writes nothing, and the end of it is theirs.
        let _ = io::stdin().read(&mut [0]);
        let _ = gone.send(());
    });
    tokio::select! {
        () = accepting => {}
        _ = is_gone => {}
    }
    ExitCode::SUCCESS
}
