use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use strongroom_service::{GuestAgents, GuestError, GuestFacts};
use strongroom_types::SystemIds;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use crate::LocalGuests;

/// Synchronises with whoever connects, as an agent does, and answers this to what comes then.
fn agent_that_says(socket: &Path, answer: &'static str) {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.split();
        let mut asked = BufReader::new(read).split(b'\n');
        let sync = asked.next_segment().await.unwrap().unwrap();
        let sync: Value = serde_json::from_slice(sync.strip_prefix(b"\xff").unwrap()).unwrap();
        let token = format!("{{\"return\": {}}}\n", sync["arguments"]["id"]);
        let synced = [b"{\"return\": 12}\n\xff", token.as_bytes()].concat();
        write.write_all(&synced).await.unwrap();
        asked.next_segment().await.unwrap();
        write.write_all(answer.as_bytes()).await.unwrap();
    });
}

fn guests() -> LocalGuests {
    LocalGuests::new(Arc::new(SystemIds))
}

async fn ask(answer: &'static str) -> Result<GuestFacts, GuestError> {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    agent_that_says(&socket, answer);
    guests().ask(socket.to_str().unwrap()).await
}

#[tokio::test]
async fn an_agent_says_its_version_after_what_it_owed_to_others() {
    let answer = ask("{\"return\": {\"version\": \"8.2.2\"}}\n");
    let version = "8.2.2".to_owned();
    assert_eq!(answer.await, Ok(GuestFacts { version }));
}

#[tokio::test]
async fn what_is_no_agent_is_told_from_one_that_is_away() {
    let strange = Err(GuestError::Strange);
    assert_eq!(ask("HTTP/1.1 400 Bad Request\n").await, strange);
    assert_eq!(ask("{\"return\": {}}\n").await, strange);
    assert_eq!(ask("").await, Err(GuestError::Silent));
    let nowhere = guests().ask("/nowhere/agent.sock").await;
    assert_eq!(nowhere, Err(GuestError::Unreachable));
}
