use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const KEY: [&str; 5] = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
];

/// A certificate authority in a folder of its own, made by `openssl`. Its files, and those of whom it signs, are called
/// as QEMU and libnbd expect: `ca-cert.pem`, `client-cert.pem`, `client-key.pem`.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// In a folder that is not there yet.
    pub fn new(folder: &Path) -> Self {
        fs::create_dir(folder).expect("a folder of our own");
        let authority = Self {
            folder: folder.to_owned(),
        };
        let subject = ["-subj", "/CN=machines", "-keyout", "ca-key.pem"];
        let arguments = [&KEY[..], &subject, &["-out", "ca-cert.pem"]].concat();
        authority.openssl(&arguments);
        authority
    }

    /// The certificate and key of a server that is reached as `localhost` and 127.0.0.1.
    pub fn sign_server(&self) {
        self.sign(
            "server",
            &["subjectAltName=DNS:localhost,IP:127.0.0.1"],
            "serverAuth",
        );
    }

    pub fn sign_client(&self) {
        self.sign("client", &[], "clientAuth");
    }

    fn sign(&self, name: &str, more: &[&str], usage: &str) {
        let subject = format!("/CN={name}");
        let [key, certificate] = ["key", "cert"].map(|kind| format!("{name}-{kind}.pem"));
        let usage = format!("extendedKeyUsage={usage}");
        let extensions = ["basicConstraints=critical,CA:FALSE", &usage];
        let mut arguments = KEY.to_vec();
        arguments.extend(["-CA", "ca-cert.pem", "-CAkey", "ca-key.pem"]);
        arguments.extend(["-subj", &subject, "-keyout", &key, "-out", &certificate]);
        for extension in extensions.iter().chain(more) {
            arguments.extend(["-addext", extension]);
        }
        self.openssl(&arguments);
    }

    fn openssl(&self, arguments: &[&str]) {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-days", "2"])
            .args(arguments)
            .current_dir(&self.folder)
            .output()
            .expect("openssl makes the certificates of tests: install openssl");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{arguments:?}: {said}");
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
