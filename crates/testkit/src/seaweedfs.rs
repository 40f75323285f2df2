//! A real S3 server for tests: SeaweedFS on loopback, in a folder of its own, on free ports.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path as FilePath, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};

/// Names SeaweedFS' program, `weed`.
const PROGRAM_VARIABLE: &str = "STRONGROOM_TEST_WEED";
const PARENT: &str = "/tmp";
const PREFIX: &str = "strongroom-seaweedfs-";
const BUCKET: &str = "tests";
const ACCESS_KEY: &str = "AKTEST";
const SECRET_KEY: &str = "secretsecret";
const REGION: &str = "us-east-1";
/// SeaweedFS adds this to a port for its own calls.
const INNER_PORT: u16 = 10_000;
/// Below the ports that systems hand out, also with the above added.
const PORTS: std::ops::Range<u16> = 12_000..22_000;
const PORTS_EACH: u16 = 16;
/// What must be free on the disk for it to take objects; without it, a hundredth of the disk.
const SPARE: &str = "64MiB";
/// For a server to become ready, which takes some seconds.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(100);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// How many processes a server is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// All in one.
    One,
    /// A master, a filer and three volume servers; each object lies on two of them.
    Cluster,
}

/// A running server with an empty bucket. Dropping it ends its processes and removes its folder.
#[derive(Debug)]
pub struct SeaweedFs {
    port: u16,
    folder: PathBuf,
    /// The volume servers of a cluster come first.
    processes: Vec<Child>,
}

/// The server that all tests of this process share, or nothing where SeaweedFS is not installed, which is said,
/// and is a failure under `CI=true`.
pub fn s3_server() -> Option<&'static SeaweedFs> {
    static SHARED: OnceLock<Option<SeaweedFs>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| SeaweedFs::start(Shape::One));
    if shared.is_none() {
        report_missing();
    }
    shared.as_ref()
}

#[expect(
    clippy::print_stderr,
    reason = "a test's reader must see what did not run"
)]
fn report_missing() {
    let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(
        !in_ci,
        "{PROGRAM_VARIABLE} is not set: run the tests with `cargo xtask test`"
    );
    eprintln!("{PROGRAM_VARIABLE} is not set: nothing is tested on S3 (`cargo xtask test` does)");
}

impl SeaweedFs {
    /// A server that takes objects, or nothing where SeaweedFS is not installed.
    pub fn start(shape: Shape) -> Option<Self> {
        let program = std::env::var_os(PROGRAM_VARIABLE)?;
        remove_abandoned();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = FilePath::new(PARENT).join(format!("{PREFIX}{}-{number}", std::process::id()));
        let (sender, receiver) = mpsc::channel();
        // The processes die with the thread that started them, so it lives as long as this process.
        std::thread::spawn(move || {
            let server = start(FilePath::new(&program), folder, shape);
            server.wait_until_ready();
            sender.send(server).expect("the caller waits");
            loop {
                std::thread::park();
            }
        });
        Some(receiver.recv().expect("the server starts"))
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    pub fn region(&self) -> &'static str {
        REGION
    }

    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// A prefix in the bucket that nobody else uses.
    pub fn fresh_prefix(&self) -> String {
        format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The variables that point S3 clients at the server, or at a proxy before it.
    pub fn variables(&self, endpoint: &str) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", endpoint.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ]
    }

    /// Bytes of all objects below a place in the bucket, an `s3://BUCKET/PREFIX`.
    pub fn stored_bytes(&self, place: &str) -> u64 {
        let prefix = place
            .strip_prefix(&format!("s3://{BUCKET}/"))
            .expect("a place in this bucket");
        let (s3, prefix) = (self.client(), Path::from(prefix));
        let list = async { s3.list(Some(&prefix)).try_collect::<Vec<_>>().await };
        // A runtime of its own, on a thread of its own: callers may be in one.
        let objects = std::thread::scope(|scope| scope.spawn(|| block_on(list)).join());
        let objects = objects.expect("no panic").expect("a list");
        objects.iter().map(|object| object.size).sum()
    }

    /// Kills one of a cluster's three volume servers, which does not come back.
    pub fn kill_volume_server(&mut self, number: usize) {
        assert!(number < 3 && self.processes.len() > 3, "no such process");
        self.processes[number]
            .kill()
            .expect("a process of our own can be killed");
        self.processes[number]
            .wait()
            .expect("what was killed has ended");
    }

    /// Ready is who takes an object: some seconds pass until volumes are allotted.
    fn wait_until_ready(&self) {
        block_on(async {
            // By the clock: one attempt alone may wait for half a minute.
            let ready = async {
                while self.make_bucket().is_err() || !self.takes_objects().await {
                    tokio::time::sleep(PAUSE).await;
                }
            };
            if tokio::time::timeout(PATIENCE, ready).await.is_ok() {
                return;
            }
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            panic!("SeaweedFS is not ready: {log}");
        });
    }

    /// A bucket is a folder of the filer.
    fn make_bucket(&self) -> std::io::Result<()> {
        let mut filer = TcpStream::connect(("127.0.0.1", self.port + 3))?;
        filer.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            filer,
            "POST /buckets/{BUCKET}/ HTTP/1.1\r\nHost: filer\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        filer.read_to_end(&mut answer)?;
        // 409: an earlier attempt made it.
        if answer.starts_with(b"HTTP/1.1 201") || answer.starts_with(b"HTTP/1.1 409") {
            return Ok(());
        }
        Err(std::io::Error::other("the filer made no bucket"))
    }

    async fn takes_objects(&self) -> bool {
        let (s3, path) = (self.client(), Path::from("ready"));
        let put = s3.put(&path, PutPayload::from_static(b"ready"));
        put.await.is_ok()
    }

    /// A client that asks once.
    fn client(&self) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_endpoint(self.endpoint())
            .with_allow_http(true)
            .with_region(REGION)
            .with_access_key_id(ACCESS_KEY)
            .with_secret_access_key(SECRET_KEY)
            .with_bucket_name(BUCKET)
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            })
            .build()
            .expect("a complete configuration")
    }
}

fn block_on<F: Future>(work: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(work)
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // They keep nothing that is worth an orderly end; one may be dead already.
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn start(program: &FilePath, folder: PathBuf, shape: Shape) -> SeaweedFs {
    for name in ["data", "volume-0", "volume-1", "volume-2", "filer"] {
        fs::create_dir_all(folder.join(name)).expect("a folder of our own");
    }
    let identities = serde_json::json!({ "identities": [{
        "name": "tests",
        "credentials": [{ "accessKey": ACCESS_KEY, "secretKey": SECRET_KEY }],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }]});
    fs::write(folder.join("s3.json"), identities.to_string()).expect("a file of our own");
    let port = free_ports();
    let (master, filer) = (port + 1, port + 3);
    let s3 = format!(
        "-s3 -s3.port={port} -s3.port.iceberg=0 -s3.port.lance=0 -s3.config={}/s3.json",
        folder.display()
    );
    let commands = match shape {
        Shape::One => vec![format!(
            "server -dir=data -master.port={master} -volume.port={} -filer -filer.port={filer} {s3} \
             -master.volumeSizeLimitMB=256 -volume.max=100 -volume.minFreeSpace={SPARE} -ip.bind=127.0.0.1",
            port + 2
        )],
        Shape::Cluster => {
            let volume = |number: u16| {
                format!(
                    "volume -port={} -dir=volume-{number} -max=50 -minFreeSpace={SPARE} -master=127.0.0.1:{master} \
                     -dataCenter=one -rack=one -ip.bind=127.0.0.1",
                    port + 4 + number
                )
            };
            vec![
                volume(0),
                volume(1),
                volume(2),
                format!(
                    "master -port={master} -mdir=data -defaultReplication=001 -volumeSizeLimitMB=256 \
                     -ip.bind=127.0.0.1"
                ),
                format!("filer -port={filer} -master=127.0.0.1:{master} {s3} -ip.bind=127.0.0.1"),
            ]
        }
    };
    let processes = commands
        .iter()
        .map(|command| spawn(program, &folder, command))
        .collect();
    SeaweedFs {
        port,
        folder,
        processes,
    }
}

/// Starts a process that is killed when this one dies, however it dies.
fn spawn(program: &FilePath, folder: &FilePath, arguments: &str) -> Child {
    let log = File::options()
        .append(true)
        .create(true)
        .open(folder.join("log"))
        .expect("a file of our own");
    let inner = if arguments.starts_with("filer") {
        folder.join("filer")
    } else {
        folder.to_owned()
    };
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL"])
        .arg(program)
        .args(arguments.split_whitespace())
        .arg("-ip=127.0.0.1")
        .current_dir(inner)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file can be shared"))
        .stderr(log)
        .spawn()
        .expect("setpriv is part of every Linux")
}

/// The first of some neighbouring ports that are free, with their inner ones.
fn free_ports() -> u16 {
    let count = (PORTS.end - PORTS.start) / PORTS_EACH;
    let own = u32::from(count).min(std::process::id() % u32::from(count));
    let own = u16::try_from(own).expect("less than the count") + count;
    (0..count)
        .map(|step| PORTS.start + (own + step) % count * PORTS_EACH)
        .find(|base| {
            (*base..base + PORTS_EACH).all(|port| is_free(port) && is_free(port + INNER_PORT))
        })
        .expect("some ports are free")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Removes folders and sockets of runs whose processes have ended.
fn remove_abandoned() {
    for entry in fs::read_dir(PARENT).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_socket = |name: &str| {
            name.starts_with("seaweedfs-")
                && FilePath::new(name).extension() == Some("sock".as_ref())
        };
        if name.to_str().is_some_and(is_socket) && UnixStream::connect(entry.path()).is_err() {
            let _ = fs::remove_file(entry.path());
        }
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
        if owner.is_some_and(|id: u32| !FilePath::new(&format!("/proc/{id}")).exists()) {
            // Another user's stays.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
