//! `cargo run -p mcp` serves the tools next to an issuer of its own, walks a client in and prints each step.
//!
//! The exit code is 0 only if every answer was right.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use gateless_testkit::TestIssuer;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let issuer = TestIssuer::serve().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let app = mcp::app(&origin, issuer.issuer())?;
    tokio::spawn(async { axum::serve(listener, app).await });
    let all_right = mcp::walk::run(&format!("{origin}/mcp"), &issuer, &mut io::stdout()).await?;
    Ok(if all_right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
