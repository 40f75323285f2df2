//! Clients that ask as fast as they are answered, one request at a time each.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::fill::{BACKUP, LOG, Tables, VAULT, id};
use crate::installation::Server;

const CLIENTS: usize = 50;
const DISK_BYTES: usize = 256 << 10;

/// One request, or one pair of which one is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ask {
    ListVaults,
    ListBackups,
    ListLogs,
    ShowVault,
    ShowBackup,
    ShowLog,
    /// Creates a vault, the next time deletes it.
    CreateOrDeleteVault,
    /// Backs up the client's disk; refused while the last one runs.
    BackUp,
}

/// What a round's clients ask, and how often of a hundred times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mix {
    pub(crate) name: &'static str,
    asks: &'static [(Ask, u64)],
}

impl Ask {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ListVaults => "`GET /vaults`, limit 100",
            Self::ListBackups => "`GET /backups`, limit 100",
            Self::ListLogs => "`GET /operation-logs`, limit 100",
            Self::ShowVault => "`GET /vaults/{id}`",
            Self::ShowBackup => "`GET /backups/{id}`",
            Self::ShowLog => "`GET /operation-logs/{id}`",
            Self::CreateOrDeleteVault => "`POST /vaults`, `DELETE /vaults/{id}`",
            Self::BackUp => "`POST /checkpoints`",
        }
    }
}

impl Mix {
    pub(crate) const ALONE: [Self; 3] = [
        Self {
            name: "alone",
            asks: &[(Ask::ListVaults, 100)],
        },
        Self {
            name: "alone",
            asks: &[(Ask::ListBackups, 100)],
        },
        Self {
            name: "alone",
            asks: &[(Ask::ListLogs, 100)],
        },
    ];
    pub(crate) const ALL: Self = Self {
        name: "mixed",
        asks: &[
            (Ask::ListVaults, 15),
            (Ask::ListBackups, 15),
            (Ask::ListLogs, 10),
            (Ask::ShowVault, 15),
            (Ask::ShowBackup, 15),
            (Ask::ShowLog, 20),
            (Ask::CreateOrDeleteVault, 5),
            (Ask::BackUp, 5),
        ],
    };

    fn choose(self, random: &mut Random) -> Ask {
        let mut left = random.below(100);
        for (ask, weight) in self.asks {
            if left < *weight {
                return *ask;
            }
            left -= weight;
        }
        Ask::ShowLog
    }
}

/// Numbers without a pattern, the same in every run.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What one round took.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) name: &'static str,
    pub(crate) seconds: f64,
    /// In order.
    pub(crate) times: BTreeMap<Ask, Vec<Duration>>,
    /// Checkpoints that were refused because the client's last one still ran.
    pub(crate) busy: u64,
}

#[derive(Debug)]
struct Target {
    http: reqwest::Client,
    /// Up to the project.
    base: String,
    token: String,
    tables: Tables,
}

/// One client's own.
#[derive(Debug)]
struct Own {
    random: Random,
    vault: String,
    disk: PathBuf,
    spare: Option<String>,
    busy: u64,
}

#[derive(Debug)]
pub(crate) struct Clients {
    target: Arc<Target>,
    vaults: Vec<(String, PathBuf)>,
}

/// Signs in, and gives every client a disk in a vault.
pub(crate) async fn prepare(
    server: &Server,
    folder: &Path,
    tables: Tables,
    share: u64,
) -> Result<Clients> {
    let credentials = &server.credentials;
    let http = reqwest::Client::new();
    let body = json!({ "auth": {
        "identity": { "methods": ["password"], "password": { "user": {
            "name": credentials["user_name"], "password": credentials["password"], "domain": { "name": credentials["domain_name"] } } } },
        "scope": { "project": { "id": credentials["project_id"] } } } });
    let signed_in = http
        .post(format!("{}/v3/auth/tokens", server.endpoint))
        .body(body.to_string())
        .send()
        .await?;
    let token = signed_in
        .headers()
        .get("x-subject-token")
        .context("signing in gives a token")?;
    let project = credentials["project_id"]
        .as_str()
        .context("credentials are complete")?;
    let token = token.to_str()?.to_owned();
    let target = Target {
        base: format!("{}/v3/{project}", server.endpoint),
        http,
        token,
        tables,
    };
    let inventory = format!("{}/strongroom/v1/{project}/volumes", server.endpoint);
    let mut vaults = Vec::new();
    for client in 0..CLIENTS {
        let disk = folder.join(format!("disk-{share}-{client}.raw"));
        std::fs::write(&disk, vec![u8::try_from(client)?; DISK_BYTES])?;
        let body = json!({ "name": format!("tiny-{client}"), "path": disk });
        let (status, added) = target.ask(Method::POST, &inventory, Some(body)).await?;
        let volume = json!({ "id": added["volume"]["id"], "type": "OS::Cinder::Volume" });
        if !status.is_success() {
            bail!("a disk was not added: {added}");
        }
        vaults.push((target.create_vault(&[volume]).await?, disk));
    }
    Ok(Clients {
        target: Arc::new(target),
        vaults,
    })
}

impl Clients {
    /// Fails at the first answer that is none.
    pub(crate) async fn run(&self, mix: Mix, time: Duration) -> Result<Round> {
        let mut tasks = Vec::new();
        let started = now();
        for (number, (vault, disk)) in (1..).zip(self.vaults.clone()) {
            let target = Arc::clone(&self.target);
            let own = Own {
                random: Random(number),
                vault,
                disk,
                spare: None,
                busy: 0,
            };
            tasks.push(tokio::spawn(async move {
                target.work(own, mix, started, time).await
            }));
        }
        let mut round = Round {
            name: mix.name,
            seconds: 0.0,
            times: BTreeMap::new(),
            busy: 0,
        };
        for task in tasks {
            let (times, busy) = task.await??;
            round.take(times);
            round.busy += busy;
        }
        round.finish(started);
        Ok(round)
    }

    pub(crate) async fn bytes_of_vaults(&self) -> Result<usize> {
        let url = format!("{}/vaults?limit=100", self.target.base);
        let answer = self
            .target
            .http
            .get(url)
            .header("x-auth-token", &self.target.token)
            .send()
            .await?;
        Ok(answer.bytes().await?.len())
    }
}

/// The same number of clients, all asking the one thing there is.
pub(crate) async fn run_constant(endpoint: &str, time: Duration) -> Result<Round> {
    let http = reqwest::Client::new();
    let started = now();
    let mut tasks = Vec::new();
    for _ in 0..CLIENTS {
        let (http, url) = (http.clone(), endpoint.to_owned());
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while started.elapsed() < time {
                let asked = now();
                http.get(&url).send().await?.bytes().await?;
                times.push((Ask::ListVaults, asked.elapsed()));
            }
            anyhow::Ok(times)
        }));
    }
    let mut round = Round {
        name: "constant",
        seconds: 0.0,
        times: BTreeMap::new(),
        busy: 0,
    };
    for task in tasks {
        round.take(task.await??);
    }
    round.finish(started);
    Ok(round)
}

impl Round {
    fn take(&mut self, times: Vec<(Ask, Duration)>) {
        for (ask, time) in times {
            self.times.entry(ask).or_default().push(time);
        }
    }

    fn finish(&mut self, started: Instant) {
        self.seconds = started.elapsed().as_secs_f64();
        self.times
            .values_mut()
            .for_each(|times| times.sort_unstable());
    }
}

impl Target {
    async fn work(
        &self,
        mut own: Own,
        mix: Mix,
        started: Instant,
        time: Duration,
    ) -> Result<(Vec<(Ask, Duration)>, u64)> {
        let mut times = Vec::new();
        while started.elapsed() < time {
            let ask = mix.choose(&mut own.random);
            let asked = now();
            self.make(ask, &mut own).await.with_context(|| ask.name())?;
            times.push((ask, asked.elapsed()));
        }
        Ok((times, own.busy))
    }

    async fn make(&self, ask: Ask, own: &mut Own) -> Result<()> {
        let tables = self.tables;
        match ask {
            Ask::ListVaults => self.get("/vaults?limit=100").await,
            Ask::ListBackups => self.get("/backups?limit=100").await,
            Ask::ListLogs => self.get("/operation-logs?limit=100").await,
            Ask::ShowVault => {
                self.get(&format!(
                    "/vaults/{}",
                    id(VAULT, own.random.below(tables.vaults))
                ))
                .await
            }
            Ask::ShowBackup => {
                self.get(&format!(
                    "/backups/{}",
                    id(BACKUP, own.random.below(tables.backups()))
                ))
                .await
            }
            Ask::ShowLog => {
                self.get(&format!(
                    "/operation-logs/{}",
                    id(LOG, own.random.below(tables.logs()))
                ))
                .await
            }
            Ask::CreateOrDeleteVault => match own.spare.take() {
                None => {
                    own.spare = Some(self.create_vault(&[]).await?);
                    Ok(())
                }
                Some(vault) => {
                    let (status, answer) = self
                        .ask(
                            Method::DELETE,
                            &format!("{}/vaults/{vault}", self.base),
                            None,
                        )
                        .await?;
                    expect(status, &answer)
                }
            },
            Ask::BackUp => self.back_up(own).await,
        }
    }

    /// Whole, as a client has to read it, but not understood.
    async fn get(&self, path: &str) -> Result<()> {
        let url = format!("{}{path}", self.base);
        let answer = self
            .http
            .get(url)
            .header("x-auth-token", &self.token)
            .send()
            .await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if !status.is_success() {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(())
    }

    async fn back_up(&self, own: &mut Own) -> Result<()> {
        let mut disk = std::fs::File::options().write(true).open(&own.disk)?;
        disk.write_all(&own.random.below(u64::MAX).to_le_bytes())?;
        drop(disk);
        let body = json!({ "checkpoint": { "vault_id": own.vault } });
        let (status, answer) = self
            .ask(
                Method::POST,
                &format!("{}/checkpoints", self.base),
                Some(body),
            )
            .await?;
        if answer["error_code"] == "BackupService.6125" {
            own.busy += 1;
            return Ok(());
        }
        expect(status, &answer)
    }

    async fn create_vault(&self, resources: &[Value]) -> Result<String> {
        let billing = json!({ "consistent_level": "crash_consistent", "object_type": "disk", "protect_type": "backup", "size": 100 });
        let body =
            json!({ "vault": { "name": "load", "billing": billing, "resources": resources } });
        let (status, answer) = self
            .ask(Method::POST, &format!("{}/vaults", self.base), Some(body))
            .await?;
        expect(status, &answer)?;
        Ok(answer["vault"]["id"]
            .as_str()
            .context("a vault has an id")?
            .to_owned())
    }

    async fn ask(
        &self,
        method: Method,
        url: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value)> {
        let mut request = self
            .http
            .request(method, url)
            .header("x-auth-token", &self.token);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}

fn expect(status: StatusCode, answer: &Value) -> Result<()> {
    if !status.is_success() {
        bail!("{status}: {answer}");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this is what measures")]
fn now() -> Instant {
    Instant::now()
}
