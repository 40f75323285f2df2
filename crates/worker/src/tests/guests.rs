use std::path::Path;

use strongroom_service::{GuestAgents, GuestError, GuestFacts};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use crate::LocalGuests;

/// Says these lines to whoever connects, once it has heard two.
fn agent_that_says(socket: &Path, lines: &'static str) {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.split();
        let mut asked = BufReader::new(read).lines();
        asked.next_line().await.unwrap();
        asked.next_line().await.unwrap();
        write.write_all(lines.as_bytes()).await.unwrap();
    });
}

async fn ask(lines: &'static str) -> Result<GuestFacts, GuestError> {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent.sock");
    agent_that_says(&socket, lines);
    LocalGuests.ask(socket.to_str().unwrap()).await
}

#[tokio::test]
async fn an_agent_says_its_version_after_what_it_owed_to_others() {
    let answer =
        ask("{\"return\": 12}\n{\"return\": 1380413039}\n{\"return\": {\"version\": \"8.2.2\"}}\n");
    let version = "8.2.2".to_owned();
    assert_eq!(answer.await, Ok(GuestFacts { version }));
}

#[tokio::test]
async fn what_is_no_agent_is_told_from_one_that_is_away() {
    assert_eq!(
        ask("HTTP/1.1 400 Bad Request\n").await,
        Err(GuestError::Strange)
    );
    let unlike = ask("{\"return\": 1380413039}\n{\"return\": {}}\n").await;
    assert_eq!(unlike, Err(GuestError::Strange));
    assert_eq!(ask("").await, Err(GuestError::Silent));
    let nowhere = LocalGuests.ask("/nowhere/agent.sock").await;
    assert_eq!(nowhere, Err(GuestError::Unreachable));
}
