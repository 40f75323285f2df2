//! A web server that is called when people are told.

use axum::Router;
use axum::routing::post;
use serde_json::Value;
use tokio::sync::mpsc::{self, Receiver};

#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) url: String,
    calls: Receiver<String>,
}

impl Hook {
    pub(crate) async fn listen() -> Self {
        let (send, calls) = mpsc::channel(8);
        let take = move |body: String| async move { send.send(body).await.unwrap() };
        let router = Router::new().route("/", post(take));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, calls }
    }

    /// The body of the next call.
    pub(crate) async fn next(&mut self) -> Value {
        let minute = std::time::Duration::from_mins(1);
        let call = tokio::time::timeout(minute, self.calls.recv()).await;
        serde_json::from_str(&call.unwrap().unwrap()).unwrap()
    }
}
