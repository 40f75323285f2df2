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
    /// The byte at this offset of what the client sends arrives changed.
    FlipRequest(usize),
    /// Everything works, this much later.
    Delay(Duration),
    /// Everything works, with so many bytes in a second each way.
    Slow(usize),
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

    /// All connections meet the fault, until so much time has passed.
    pub fn fail_for(&self, outage: Duration, fault: ProxyFault) {
        let number = self.command(Some(fault), u64::MAX);
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            tokio::time::sleep(outage).await;
            // A later command stands.
            if *shared.commands.borrow() == number {
                shared.command(None, 0);
            }
        });
    }

    pub fn heal(&self) {
        self.command(None, 0);
    }

    /// How many connections have met a fault.
    pub fn struck(&self) -> u64 {
        self.shared.plan.lock().expect("no holder panics").struck
    }

    fn command(&self, fault: Option<ProxyFault>, left: u64) -> u64 {
        self.shared.command(fault, left)
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
    /// Returns the command's number.
    fn command(&self, fault: Option<ProxyFault>, left: u64) -> u64 {
        let mut plan = self.plan.lock().expect("no holder panics");
        (plan.fault, plan.left) = (fault, left);
        drop(plan);
        self.commands.send_modify(|number| *number += 1);
        *self.commands.borrow()
    }

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
        Some(
            ProxyFault::CutRequest(_)
            | ProxyFault::LoseAnswer
            | ProxyFault::CutAnswer(_)
            | ProxyFault::FlipRequest(_)
            | ProxyFault::Slow(_),
        )
        | None => {}
    }
    client.set_nodelay(true)?;
    let server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (there, back) = Way::of(fault);
    // Each direction ends with the other: no test needs half-open connections.
    tokio::select! {
        done = there.copy(&mut from_client, &mut to_server) => done,
        done = back.copy(&mut from_server, &mut to_client) => done,
    }
}

/// What happens to the bytes that go one way.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    /// So many go through; the connection ends when there is one more.
    limit: Option<usize>,
    /// The one at this offset is changed.
    flipped: Option<usize>,
    bytes_per_second: Option<usize>,
}

impl Way {
    /// To the server, and back.
    fn of(fault: Option<ProxyFault>) -> (Self, Self) {
        let (mut there, mut back) = (Self::default(), Self::default());
        match fault {
            Some(ProxyFault::CutRequest(bytes)) => there.limit = Some(bytes),
            Some(ProxyFault::LoseAnswer) => back.limit = Some(0),
            Some(ProxyFault::CutAnswer(bytes)) => back.limit = Some(bytes),
            Some(ProxyFault::FlipRequest(offset)) => there.flipped = Some(offset),
            Some(ProxyFault::Slow(bytes)) => {
                there.bytes_per_second = Some(bytes);
                back.bytes_per_second = Some(bytes);
            }
            _ => {}
        }
        (there, back)
    }

    async fn copy(
        self,
        from: &mut (impl AsyncReadExt + Unpin),
        to: &mut (impl AsyncWriteExt + Unpin),
    ) -> io::Result<()> {
        // What is slow goes in portions of a tenth of a second.
        let portion = self.bytes_per_second.map_or(PIECE, |bytes| bytes / 10);
        let mut piece = vec![0; portion.clamp(1, PIECE)];
        let mut copied = 0;
        loop {
            let length = from.read(&mut piece).await?;
            if length == 0 {
                return Ok(());
            }
            if let Some(at) = self.flipped.and_then(|offset| offset.checked_sub(copied))
                && at < length
            {
                piece[at] ^= 1;
            }
            if let Some(bytes) = self.bytes_per_second {
                let micros = length as u64 * 1_000_000 / bytes.max(1) as u64;
                tokio::time::sleep(Duration::from_micros(micros)).await;
            }
            let left = self.limit.map_or(usize::MAX, |limit| limit - copied);
            to.write_all(&piece[..length.min(left)]).await?;
            if length > left {
                return to.flush().await;
            }
            copied += length;
        }
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
