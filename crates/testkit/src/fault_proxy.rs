//! A proxy before a server that fails on command, as networks and servers do.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const HEAD_MAX: usize = 64 << 10;
const PIECE: usize = 64 << 10;

/// What a connection meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyFault {
    /// It is closed at once.
    Refuse,
    /// Its first request is read and answered with this status; the server never sees it.
    Answer(u16),
    /// The server sees this many bytes, then the connection is closed.
    CutRequest(usize),
    /// The server does what it was asked to, and its answer is lost.
    LoseAnswer,
    /// The client sees this many bytes of the answer, then the connection is closed.
    CutAnswer(usize),
    /// Nothing is answered until the proxy heals.
    Silence,
    /// Everything works, this much later.
    Delay(Duration),
}

/// Forwards connections to a server, and some of them badly. Its task ends with it.
#[derive(Debug)]
pub struct FaultProxy {
    endpoint: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    plan: Mutex<Plan>,
    /// Changes with each command; what is open then is closed.
    commands: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Plan {
    fault: Option<ProxyFault>,
    /// Connections that still meet the fault.
    left: u64,
    struck: u64,
}

impl FaultProxy {
    /// A healthy proxy before `upstream`, an `http://HOST:PORT`.
    pub async fn start(upstream: &str) -> Self {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared {
            upstream,
            plan: Mutex::default(),
            commands: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            endpoint: format!("http://{address}"),
            shared,
            task,
        }
    }

    /// What clients connect to.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The next connections meet the fault, later ones none.
    pub fn fail_next(&self, connections: u64, fault: ProxyFault) {
        self.command(Some(fault), connections);
    }

    /// All connections meet the fault until [`Self::heal`].
    pub fn fail(&self, fault: ProxyFault) {
        self.command(Some(fault), u64::MAX);
    }

    pub fn heal(&self) {
        self.command(None, 0);
    }

    /// How many connections have met a fault.
    pub fn struck(&self) -> u64 {
        self.shared.plan.lock().expect("no holder panics").struck
    }

    fn command(&self, fault: Option<ProxyFault>, left: u64) {
        let mut plan = self.shared.plan.lock().expect("no holder panics");
        (plan.fault, plan.left) = (fault, left);
        drop(plan);
        self.shared.commands.send_modify(|number| *number += 1);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
        // Closes what is open.
        self.heal();
    }
}

impl Shared {
    /// What the next connection meets.
    fn draw(&self) -> Option<ProxyFault> {
        let mut plan = self.plan.lock().expect("no holder panics");
        if plan.left == 0 {
            return None;
        }
        plan.left -= 1;
        plan.struck += 1;
        plan.fault
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let mut commands = shared.commands.subscribe();
        let fault = shared.draw();
        tokio::spawn(async move {
            tokio::select! {
                // However a connection ends, its client finds out by itself.
                _ = serve(client, &shared.upstream, fault) => {}
                _ = commands.changed() => {}
            }
        });
    }
}

async fn serve(mut client: TcpStream, upstream: &str, fault: Option<ProxyFault>) -> io::Result<()> {
    match fault {
        Some(ProxyFault::Refuse) => return Ok(()),
        Some(ProxyFault::Answer(status)) => return answer(&mut client, status).await,
        Some(ProxyFault::Silence) => return std::future::pending().await,
        Some(ProxyFault::Delay(delay)) => tokio::time::sleep(delay).await,
        Some(ProxyFault::CutRequest(_) | ProxyFault::LoseAnswer | ProxyFault::CutAnswer(_))
        | None => {}
    }
    client.set_nodelay(true)?;
    let server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    let (request_bytes, answer_bytes) = match fault {
        Some(ProxyFault::CutRequest(bytes)) => (bytes, usize::MAX),
        Some(ProxyFault::LoseAnswer) => (usize::MAX, 0),
        Some(ProxyFault::CutAnswer(bytes)) => (usize::MAX, bytes),
        _ => (usize::MAX, usize::MAX),
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // Each direction ends with the other: no test needs half-open connections.
    tokio::select! {
        done = copy(&mut from_client, &mut to_server, request_bytes) => done,
        done = copy(&mut from_server, &mut to_client, answer_bytes) => done,
    }
}

/// Copies up to `limit` bytes, and ends when there is one more.
async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    limit: usize,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut left = limit;
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&piece[..length.min(left)]).await?;
        if length > left {
            return to.flush().await;
        }
        left -= length;
    }
}

/// Reads one request to its end, so that the client comes to read the answer.
async fn answer(client: &mut TcpStream, status: u16) -> io::Result<()> {
    let mut request = Vec::new();
    let head_length = loop {
        let found = request.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        if let Some(end) = found {
            break end + 4;
        }
        let mut piece = vec![0; PIECE];
        let length = client.read(&mut piece).await?;
        if length == 0 || request.len() > HEAD_MAX {
            return Ok(());
        }
        request.extend_from_slice(&piece[..length]);
    };
    let head = String::from_utf8_lossy(&request[..head_length]).to_lowercase();
    let body_length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
        .unwrap_or(0);
    let mut missing = body_length.saturating_sub(request.len() - head_length);
    let mut piece = vec![0; PIECE];
    while missing > 0 {
        let length = client.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        missing = missing.saturating_sub(length);
    }
    let text = format!("HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    client.write_all(text.as_bytes()).await?;
    client.shutdown().await
}
