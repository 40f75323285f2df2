//! Notices over real sockets: a web server and a mail server that do what the test says.

use std::sync::Arc;
use std::time::Duration;

use strongroom_db::{Db, JsonText, Notice, NoticeEvent};
use strongroom_service::peers::NoPeers;
use strongroom_service::{App, NoMachines, SecretSeal, Settings};
use strongroom_testkit::{MockClock, SeededIds, TestDatabase, test_databases};
use strongroom_types::{GIB, NoticeChannel, NoticeState, ProjectId, SystemIds, VaultId};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};

use crate::notify::{Channels, Mail, MailSettings, MailTls, Notifier, Webhook};
use crate::{LocalDisks, LocalGuests};

const SECRET: &[u8] = b"0123456789abcdef";

/// One kind of database suffices: the service's tests run on both.
async fn app(clock: &Arc<MockClock>) -> (App, TestDatabase) {
    let database = test_databases().await.remove(0);
    let app = App {
        db: Db::open(&database.address).await.unwrap(),
        clock: clock.clone(),
        ids: Arc::new(SeededIds::default()),
        disks: Arc::new(LocalDisks),
        guests: Arc::new(LocalGuests::new(Arc::new(SystemIds))),
        machines: Arc::new(NoMachines),
        peers: Arc::new(NoPeers),
        settings: Arc::new(Settings::default()),
        wake: Arc::default(),
        attachments_changed: Arc::default(),
        readers: Arc::default(),
        seal: Arc::new(SecretSeal::new(&[7; 32])),
    };
    (app, database)
}

async fn add_notice(app: &App, channel: NoticeChannel) {
    let now = app.now();
    let notice = Notice {
        id: app.ids.uuid(),
        event_id: "the-event".to_owned(),
        channel,
        event: JsonText(NoticeEvent::VaultThresholdReached {
            project_id: ProjectId::random(&*app.ids),
            vault_id: VaultId::random(&*app.ids),
            vault_name: "web\u{6f22}".to_owned(),
            threshold_percent: 80,
            used_bytes: 161 * GIB,
            size_gb: 200,
        }),
        state: NoticeState::Waiting,
        run_at: now,
        attempt: 0,
        last_error: None,
        created_at: now,
        finished_at: None,
    };
    let mut tx = app.db.begin().await.unwrap();
    tx.insert_notice(&notice).await.unwrap();
    tx.commit().await.unwrap();
}

async fn only_notice(app: &App) -> Notice {
    let mut tx = app.db.read().await.unwrap();
    let mut notices = tx.list_notices(10).await.unwrap();
    assert_eq!(notices.len(), 1);
    notices.remove(0)
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Answers one request with a status, and hands out its head and body.
async fn answer_one(listener: &TcpListener, status: &str) -> (String, String) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufStream::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        stream.read_line(&mut head).await.unwrap();
    }
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")
                .map(str::to_owned)
        })
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    head.lines()
        .find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
        .unwrap_or_default()
}

#[tokio::test]
async fn a_webhook_is_called_signed_and_called_again_until_it_answers_well() {
    let clock = Arc::new(MockClock::default());
    let (app, _database) = app(&clock).await;
    add_notice(&app, NoticeChannel::Webhook).await;
    let (listener, port) = listen().await;
    let url = format!("http://127.0.0.1:{port}/hook?token=hush");
    let notifier = Notifier {
        app: app.clone(),
        channels: Channels {
            webhook: Some(Webhook::new(&url, SECRET).unwrap()),
            mail: None,
        },
    };
    assert!(!format!("{notifier:?}").contains("hush"));
    for status in ["500 Internal Server Error", "302 Found"] {
        tokio::join!(notifier.send_all(), answer_one(&listener, status));
        let notice = only_notice(&app).await;
        assert_eq!(notice.state, NoticeState::Waiting);
        assert!(notice.last_error.unwrap().contains(&status[..3]));
        clock.advance(Duration::from_hours(1));
    }
    let ((), (head, body)) =
        tokio::join!(notifier.send_all(), answer_one(&listener, "204 No Content"));
    assert_eq!(only_notice(&app).await.state, NoticeState::Sent);

    assert!(
        head.starts_with("POST /hook?token=hush HTTP/1.1\r\n"),
        "{head}"
    );
    let signed = format!("{}.{body}", header(&head, "X-Strongroom-Timestamp"));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
    let signature = header(&head, "X-Strongroom-Signature");
    let signature = hex::decode(signature.strip_prefix("sha256=").unwrap()).unwrap();
    aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["event"], "vault_threshold_reached");
    assert_eq!(body["event_id"], header(&head, "X-Strongroom-Event-Id"));
    assert_eq!(body["size_gb"], 200);
    app.db.close().await;
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_no_reason_to_stop() {
    let clock = Arc::new(MockClock::default());
    let (app, _database) = app(&clock).await;
    add_notice(&app, NoticeChannel::Webhook).await;
    let (listener, port) = listen().await;
    drop(listener);
    let url = format!("http://127.0.0.1:{port}/hush");
    let notifier = Notifier {
        app: app.clone(),
        channels: Channels {
            webhook: Some(Webhook::new(&url, SECRET).unwrap()),
            mail: None,
        },
    };
    notifier.send_all().await;
    let notice = only_notice(&app).await;
    assert_eq!((notice.state, notice.attempt), (NoticeState::Waiting, 1));
    assert!(!notice.last_error.unwrap().contains("hush"));
    app.db.close().await;
}

#[tokio::test]
async fn a_channel_that_is_gone_and_the_log_need_nobody() {
    let clock = Arc::new(MockClock::default());
    let (app, _database) = app(&clock).await;
    let notifier = Notifier {
        app: app.clone(),
        channels: Channels::default(),
    };
    add_notice(&app, NoticeChannel::Log).await;
    notifier.send_all().await;
    assert_eq!(only_notice(&app).await.state, NoticeState::Sent);
    clock.advance(Duration::from_hours(31 * 24));
    notifier.send_all().await;
    add_notice(&app, NoticeChannel::Mail).await;
    notifier.send_all().await;
    let error = only_notice(&app).await.last_error.unwrap();
    assert!(error.contains("no longer configured"), "{error}");
    app.db.close().await;
}

/// Takes one mail as a server does, and hands out the whole conversation.
async fn take_mail(stream: TcpStream) -> String {
    let mut stream = BufStream::new(stream);
    let mut said = String::new();
    stream.write_all(b"220 sink\r\n").await.unwrap();
    loop {
        stream.flush().await.unwrap();
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap() == 0 {
            return said;
        }
        said.push_str(&line);
        let answer: &[u8] = match line.split_whitespace().next().unwrap_or_default() {
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.unwrap();
                stream.flush().await.unwrap();
                while !said.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut said).await.unwrap();
                }
                b"250 taken\r\n"
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await.unwrap();
                stream.flush().await.unwrap();
                return said;
            }
            _ => b"250 fine\r\n",
        };
        stream.write_all(answer).await.unwrap();
    }
}

#[tokio::test]
async fn a_mail_reaches_everybody_once() {
    let clock = Arc::new(MockClock::default());
    let (app, _database) = app(&clock).await;
    add_notice(&app, NoticeChannel::Mail).await;
    let (listener, port) = listen().await;
    let settings = MailSettings {
        host: "127.0.0.1".to_owned(),
        port,
        tls: MailTls::Never,
        credentials: None,
        from: "Strongroom <strongroom@example.org>".to_owned(),
        to: vec!["a@example.org".to_owned(), "b@example.org".to_owned()],
    };
    for wrong in ["nobody", ""] {
        let to = vec![wrong.to_owned()];
        assert!(
            Mail::new(MailSettings {
                to,
                ..settings.clone()
            })
            .is_err()
        );
    }
    assert!(
        Mail::new(MailSettings {
            to: vec![],
            ..settings.clone()
        })
        .is_err()
    );
    let notifier = Notifier {
        app: app.clone(),
        channels: Channels {
            webhook: None,
            mail: Some(Mail::new(settings).unwrap()),
        },
    };
    let sink = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        take_mail(stream).await
    });
    notifier.send_all().await;
    assert_eq!(only_notice(&app).await.state, NoticeState::Sent);
    // The connection may be kept for the next mail; the sender's end closes it.
    drop(notifier);
    let said = sink.await.unwrap();
    for part in [
        "MAIL FROM:<strongroom@example.org>",
        "RCPT TO:<a@example.org>",
        "RCPT TO:<b@example.org>",
        "Message-ID: <the-event@strongroom>",
        "Date: Thu, 01 Jan 2026 00:00:00 +0000",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains("Subject: "), "{said}");
    app.db.close().await;
}
