//! Connections: how many there are at once, and how long one may keep us waiting.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use strongroom_api::Peer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// After a connection could not be accepted, e.g. for want of file descriptors.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Further ones wait in the system's backlog until one of these ends.
    pub(super) connections: usize,
    /// For a request's head, and between two requests.
    pub(super) silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            silence: Duration::from_mins(1),
        }
    }
}

/// Serves until `stop`, then lets the requests that are running end.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.silence)
        // Some clients close their half once they have asked, and still wait for the answer.
        .half_close(true);
    let service = TowerToHyperService::new(router);
    let places = Arc::new(Semaphore::new(limits.connections));
    let open = GracefulShutdown::new();
    loop {
        let (place, stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let service = service.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            service.call(request)
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let connection = open.watch(connection);
        let work = async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke off");
            }
        };
        tokio::spawn(work.in_current_span());
    }
    drop(listener);
    open.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (OwnedSemaphorePermit, TcpStream, Peer) {
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.expect("nobody closes this semaphore");
    loop {
        match listener.accept().await {
            // An IPv4 client of an IPv6 socket is known by its own address.
            Ok((stream, peer)) => return (place, stream, Peer(peer.ip().to_canonical())),
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::Extension;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    use super::*;

    async fn start(limits: Limits) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here")).route(
            "/peer",
            get(async |Extension(peer): Extension<Peer>| peer.0.to_string()),
        );
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, router, limits, stop.clone()));
        (address, stop, serving)
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n";

    async fn read_to_end(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_client_that_has_closed_its_half_is_answered() {
        let (address, stop, serving) = start(Limits::default()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(read_to_end(stream).await.ends_with("here"));
        stop.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_request_knows_where_it_came_from() {
        let (address, stop, serving) = start(Limits::default()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET /peer HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        assert!(read_to_end(stream).await.ends_with("127.0.0.1"));
        stop.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn silence_ends_a_connection_and_makes_room_for_the_next() {
        let limits = Limits {
            connections: 1,
            silence: Duration::from_millis(20),
        };
        let (address, stop, serving) = start(limits).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut slow = TcpStream::connect(address).await.unwrap();
        let mut next = TcpStream::connect(address).await.unwrap();
        slow.write_all(&REQUEST[..20]).await.unwrap();
        next.write_all(REQUEST).await.unwrap();
        silent.flush().await.unwrap();
        for closed in [silent, slow] {
            assert!(!read_to_end(closed).await.contains("200"));
        }
        // Answered, and then closed as it asks for nothing else.
        assert!(read_to_end(next).await.ends_with("here"));
        stop.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn idle_connections_do_not_delay_the_end() {
        let (address, stop, serving) = start(Limits::default()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        let mut first = [0; 8];
        stream.read_exact(&mut first).await.unwrap();
        stop.cancel();
        serving.await.unwrap();
        assert!(read_to_end(stream).await.ends_with("here"));
    }
}
