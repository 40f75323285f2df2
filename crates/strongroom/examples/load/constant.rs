//! What the machine and the HTTP library can do: a server that answers every request with the same bytes.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::header::CONTENT_TYPE;

use crate::clients::{self, Round};
use crate::installation;

#[derive(Debug)]
pub(crate) struct Constant {
    pub(crate) bytes: usize,
    pub(crate) round: Round,
    pub(crate) peak_mib: u64,
}

pub(crate) async fn serve(bytes: usize) -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("ready http://{}", listener.local_addr()?);
    let body: &'static str = Box::leak(" ".repeat(bytes).into_boxed_str());
    let answer = move || async move { ([(CONTENT_TYPE, "application/json")], body) };
    axum::serve(listener, Router::new().fallback(answer)).await?;
    Ok(())
}

/// The same clients, asking a process of its own.
pub(crate) async fn measure(bytes: usize, time: Duration) -> Result<Constant> {
    let this = std::env::current_exe().context("cannot find this program")?;
    let server = installation::start(Command::new(this).arg("constant").arg(bytes.to_string()))?;
    let round = clients::run_constant(&server.endpoint, time).await?;
    Ok(Constant {
        bytes,
        round,
        peak_mib: server.peak_mib()?,
    })
}
