//! Exports over TLS: with our client, with those of others, and with whoever is to be kept out.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use strongroom_testkit::{Authority, NbdPeer};

use super::fixtures::{KIB, Lab, MIB, Memory, noise, text, wait_until};
use crate::{
    Address, Client, ClientOptions, Credentials, Error, Export, Limits, Listener, Offer, Server,
    Target,
};

const NAME: &str = "7b0c1c6e-disk";

/// A server of ours with the exports that a test offers, and the authority that its clients are signed by.
struct Served {
    lab: Lab,
    authority: Authority,
    server: Server,
    port: u16,
}

impl Served {
    fn start(limits: Limits) -> Option<Self> {
        let lab = Lab::open()?;
        let authority = Authority::new(&lab.path("tls"));
        authority.sign_server();
        authority.sign_client();
        let credentials = credentials(&authority, "server");
        credentials.check_for_server().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let listener = Listener::Tls(listener, credentials);
        let server = Server::start(listener, [], limits).unwrap();
        Some(Self {
            lab,
            authority,
            server,
            port,
        })
    }

    fn offer(&self, export: Arc<dyn Export>) -> Offer {
        self.server.offer(NAME, export).unwrap()
    }

    /// As somebody who shows what lies in a folder.
    fn target(&self, host: &str, export: &str, certificates: &Path) -> Target {
        Target {
            address: Address::Tls {
                host: host.to_owned(),
                port: self.port,
                certificates: Some(certificates.to_owned()),
            },
            export: export.to_owned(),
        }
    }

    fn connect(&self) -> Result<Client, Error> {
        self.connect_to(NAME)
    }

    fn connect_to(&self, export: &str) -> Result<Client, Error> {
        connect(&self.target("localhost", export, self.authority.folder()))
    }

    /// To the export as somebody else.
    fn connect_with(&self, certificates: &Path) -> Result<Client, Error> {
        connect(&self.target("localhost", NAME, certificates))
    }

    /// The address for libnbd's programs, which show what lies in the folder.
    fn uri(&self, certificates: &str) -> String {
        let folder = self.lab.path(certificates);
        self.target("localhost", NAME, &folder).to_string()
    }

    /// The same for QEMU's.
    fn qemu(&self, certificates: &str) -> [String; 3] {
        let folder = self.lab.path(certificates);
        let credentials = format!(
            "tls-creds-x509,id=tls0,endpoint=client,dir={}",
            text(&folder)
        );
        let port = self.port;
        let node = format!(
            "driver=nbd,server.type=inet,server.host=localhost,server.port={port},export={NAME},tls-creds=tls0"
        );
        ["--object".to_owned(), credentials, node]
    }

    /// A connection on which greetings were exchanged, in the clear.
    fn wire(&self) -> TcpStream {
        let mut wire = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        wire.set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        wire.read_exact(&mut [0; 18]).unwrap();
        wire.write_all(&[0, 0, 0, 3]).unwrap();
        wire
    }
}

fn credentials(authority: &Authority, whose: &str) -> Credentials {
    Credentials {
        certificate: authority.file(&format!("{whose}-cert.pem")),
        key: authority.file(&format!("{whose}-key.pem")),
        authorities: authority.file("ca-cert.pem"),
    }
}

fn connect(target: &Target) -> Result<Client, Error> {
    Client::connect(target, &ClientOptions::default())
}

#[test]
fn what_is_written_over_tls_is_read_over_it() {
    let Some(served) = Served::start(Limits::default()) else {
        return;
    };
    let disk = Memory::writable(noise(11, 8 * MIB));
    let _offer = served.offer(disk.clone());
    let mut client = served.connect().unwrap();
    let written = noise(12, 3 * MIB);
    client.write_at(MIB + 512, &written).unwrap();
    let mut read = vec![0; 8 << 20];
    client.read_at(0, &mut read).unwrap();
    assert!(read == disk.content());
    assert!(read[(1 << 20) + 512..][..written.len()] == written);

    // Another name of the server's certificate, and one that it does not have.
    let certificates = served.authority.folder();
    connect(&served.target("127.0.0.1", NAME, certificates)).unwrap();
    let misnamed = connect(&served.target("127.0.0.2", NAME, certificates));
    assert!(misnamed.is_err(), "{misnamed:?}");
}

#[test]
fn everybody_s_clients_copy_over_tls() {
    let Some(served) = Served::start(Limits::default()) else {
        return;
    };
    let mut content = noise(13, 8 * MIB + 512);
    content[2 << 20..3 << 20].fill(0);
    let _offer = served.offer(Memory::read_only(content.clone()));
    let lab = &served.lab;
    fs::write(lab.path("expected.raw"), &content).unwrap();
    let uri = served.uri("tls");
    let size = lab.run("nbdinfo", &["--size", &uri]);
    assert_eq!(size.trim(), content.len().to_string());
    lab.run("nbdcopy", &["--connections=4", &uri, "copy.raw"]);
    assert!(fs::read(lab.path("copy.raw")).unwrap() == content);

    let [object, credentials, node] = &served.qemu("tls");
    let compare = ["compare", object, credentials, "--image-opts", node];
    let expected = "driver=raw,file.driver=file,file.filename=expected.raw";
    lab.run("qemu-img", &[&compare[..], &[expected]].concat());
}

#[test]
fn old_tls_is_spoken_as_well() {
    let Some(served) = Served::start(Limits::default()) else {
        return;
    };
    let disk = Memory::writable(noise(14, MIB));
    let _offer = served.offer(disk.clone());
    let [object, credentials, node] = &served.qemu("tls");
    let old = format!("{credentials},priority=NORMAL:-VERS-ALL:+VERS-TLS1.2");
    let arguments = [object, &old, "--image-opts", node, "-c", "write -P 9 4k 8k"];
    served.lab.run("qemu-io", &arguments);
    assert!(disk.content()[4 << 10..12 << 10] == [9; 8 << 10]);
}

#[test]
fn whoever_has_no_certificate_of_the_authority_is_kept_out() {
    let Some(served) = Served::start(Limits::default()) else {
        return;
    };
    let _offer = served.offer(Memory::read_only(noise(15, MIB)));
    let stranger = Authority::new(&served.lab.path("stranger"));
    stranger.sign_client();
    // Who would believe the server, but shows what somebody else has signed.
    fs::copy(
        served.authority.file("ca-cert.pem"),
        stranger.file("ca-cert.pem"),
    )
    .unwrap();
    let refused = served.connect_with(stranger.folder());
    assert!(refused.is_err(), "{refused:?}");
    // The server's own certificate is none for clients.
    let disguised = served.lab.path("disguised");
    fs::create_dir(&disguised).unwrap();
    for (file, name) in [
        ("ca-cert.pem", "ca-cert.pem"),
        ("server-cert.pem", "client-cert.pem"),
        ("server-key.pem", "client-key.pem"),
    ] {
        fs::copy(served.authority.file(file), disguised.join(name)).unwrap();
    }
    let refused = served.connect_with(&disguised);
    assert!(refused.is_err(), "{refused:?}");

    fs::create_dir(served.lab.path("bare")).unwrap();
    let bare = served.lab.path("bare/ca-cert.pem");
    fs::copy(served.authority.file("ca-cert.pem"), bare).unwrap();
    for certificates in ["bare", "stranger"] {
        let uri = served.uri(certificates);
        let refused = served.lab.try_run("nbdinfo", &["--size", &uri]);
        assert!(!refused.status.success(), "{certificates}");
        let [object, credentials, node] = &served.qemu(certificates);
        let info = ["info", object, credentials, "--image-opts", node];
        let refused = served.lab.try_run("qemu-img", &info);
        assert!(!refused.status.success(), "{certificates}");
    }
    let plain = served.uri("tls").replace("nbds://", "nbd://");
    let plain = plain.split('?').next().unwrap();
    for (program, more) in [("nbdinfo", "--size"), ("qemu-img", "info")] {
        let refused = served.lab.try_run(program, &[more, plain]);
        assert!(!refused.status.success(), "{program}");
    }
    let target = Target {
        address: Address::Tcp("localhost".to_owned(), served.port),
        export: NAME.to_owned(),
    };
    let refused = Client::connect(&target, &ClientOptions::default()).unwrap_err();
    let Error::Refused { message, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!(message, "TLS comes first");
    served.connect().unwrap();
}

#[test]
fn nothing_is_told_before_tls_nor_the_names_behind_it() {
    let Some(served) = Served::start(Limits::default()) else {
        return;
    };
    let _offer = served.offer(Memory::read_only(noise(16, MIB)));
    let mut wire = served.wire();
    let mut ask = |option: u8, data: &[u8]| {
        let mut asked = b"IHAVEOPT\0\0\0".to_vec();
        asked.push(option);
        asked.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        asked.extend(data);
        wire.write_all(&asked).unwrap();
        let mut head = [0; 20];
        wire.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes(head[16..].try_into().unwrap());
        let mut message = vec![0; usize::try_from(length).unwrap()];
        wire.read_exact(&mut message).unwrap();
        u32::from_be_bytes(head[12..16].try_into().unwrap())
    };
    let (invalid, tls_required) = (0x8000_0003, 0x8000_0005);
    for option in [3, 6, 7, 8, 9, 10, 77] {
        assert_eq!(ask(option, b"anything"), tls_required, "{option}");
    }
    assert_eq!(ask(5, b"x"), invalid);
    assert_eq!(ask(2, b""), 1, "a farewell");
    // The option that has no words for a refusal.
    let mut wire = served.wire();
    wire.write_all(b"IHAVEOPT\0\0\0\x01\0\0\0\x04disk").unwrap();
    let mut told = Vec::new();
    wire.read_to_end(&mut told).unwrap();
    assert!(told.is_empty(), "{told:?}");
    // What is said in the clear behind the last option is no TLS.
    let mut wire = served.wire();
    wire.write_all(b"IHAVEOPT\0\0\0\x05\0\0\0\0IHAVEOPT\0\0\0\x03\0\0\0\0")
        .unwrap();
    let mut told = Vec::new();
    wire.read_to_end(&mut told).unwrap();
    assert!(!told[20..].windows(8).any(|eight| eight == b"IHAVEOPT"));
    assert!(told.len() < 40, "an alert at most: {told:?}");

    let listed = served
        .lab
        .try_run("nbdinfo", &["--list", &served.uri("tls")]);
    let said = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        !listed.status.success() || !said.contains("export="),
        "{said}"
    );
    let unknown = served.connect_to("other");
    assert!(matches!(unknown, Err(Error::Refused { .. })), "{unknown:?}");
}

#[test]
fn an_offer_that_is_withdrawn_ends_its_connections_and_no_others() {
    let Some(served) = Served::start(Limits::default()) else {
        return;
    };
    let (first, second) = (noise(17, MIB), noise(18, MIB));
    let offer = served.offer(Memory::read_only(first.clone()));
    let other = Memory::read_only(second);
    let _other = served.server.offer("other", other.clone()).unwrap();
    assert!(served.server.offer("other", other).is_err(), "it is taken");
    let mut client = served.connect().unwrap();
    let mut other = served.connect_to("other").unwrap();
    offer.withdraw();
    let lost = client.read_at(0, &mut [0; 512]).unwrap_err();
    assert!(matches!(lost, Error::Lost { .. }), "{lost}");
    other.read_at(0, &mut [0; 512]).unwrap();
    let gone = served.connect();
    assert!(matches!(gone, Err(Error::Refused { .. })), "{gone:?}");

    // It comes back under the same name, as after a restart.
    let _offer = served.offer(Memory::read_only(first));
    served.connect().unwrap().read_at(0, &mut [0; 512]).unwrap();
}

#[test]
fn files_that_were_renewed_count_from_the_next_connection_on() {
    let Some(served) = Served::start(Limits::default()) else {
        return;
    };
    let _offer = served.offer(Memory::read_only(noise(19, MIB)));
    let mut early = served.connect().unwrap();
    let next = Authority::new(&served.lab.path("next"));
    next.sign_server();
    next.sign_client();
    for file in ["server-cert.pem", "server-key.pem", "ca-cert.pem"] {
        fs::copy(next.file(file), served.authority.file(file)).unwrap();
    }
    early.read_at(0, &mut [0; 512]).unwrap();
    assert!(served.connect().is_err(), "of the old authority");
    served.connect_with(next.folder()).unwrap();

    let key = fs::File::options()
        .write(true)
        .open(served.authority.file("server-key.pem"));
    key.unwrap().write_all_at(b"nonsense", 0).unwrap();
    let refused = served.connect_with(next.folder());
    assert!(refused.is_err(), "{refused:?}");
    let wrong = credentials(&served.authority, "server").check_for_server();
    assert!(matches!(wrong, Err(Error::Credentials { .. })), "{wrong:?}");
    fs::copy(
        next.file("server-key.pem"),
        served.authority.file("server-key.pem"),
    )
    .unwrap();
    served.connect_with(next.folder()).unwrap();
    early.read_at(0, &mut [0; 512]).unwrap();
}

#[test]
fn those_who_show_nothing_keep_few_places_and_not_for_long() {
    let limits = Limits {
        haggling: 2,
        handshake: Duration::from_secs(4),
        ..Limits::default()
    };
    let Some(served) = Served::start(limits) else {
        return;
    };
    let _offer = served.offer(Memory::read_only(noise(20, MIB)));
    let mut settled = served.connect().unwrap();
    settled.read_at(0, &mut [0; 512]).unwrap();
    // One says nothing, one gets as far as TLS.
    let mut silent = served.wire();
    let mut halfway = served.wire();
    halfway.write_all(b"IHAVEOPT\0\0\0\x05\0\0\0\0").unwrap();
    halfway.read_exact(&mut [0; 20]).unwrap();
    // The oldest makes room for who means it.
    served.connect().unwrap().read_at(0, &mut [0; 512]).unwrap();
    let mut heard = Vec::new();
    // A reset is as good.
    let _ = silent.read_to_end(&mut heard);
    let _ = halfway.read_to_end(&mut heard);
    settled.read_at(0, &mut [0; 512]).unwrap();
}

#[test]
fn a_client_writes_while_it_is_answered() {
    let Some(served) = Served::start(Limits::default()) else {
        return;
    };
    let disk = Memory::writable(noise(21, 8 * MIB));
    let _offer = served.offer(disk.clone());
    let mut client = served.connect().unwrap();
    for round in 0..6 {
        let written = noise(round, MIB);
        let reads = (0..8).map(|k| client.start_read(k * 64 * KIB, 64 << 10).unwrap());
        let reads: Vec<_> = reads.collect();
        client.write_at(round * MIB, &written).unwrap();
        for read in reads {
            client.finish_read(&read).unwrap();
        }
        let mut again = vec![0; 1 << 20];
        client.read_at(round * MIB, &mut again).unwrap();
        assert!(again == written);
    }
}

#[test]
fn who_comes_back_to_write_ends_the_connection_left_behind() {
    let Some(served) = Served::start(Limits::default()) else {
        return;
    };
    let disk = Memory::writable(noise(21, MIB));
    let _offer = served.offer(disk.clone());
    let mut left = served.connect().unwrap();
    left.write_at(0, &noise(1, 64 * KIB)).unwrap();
    let mut back = served.connect().unwrap();
    back.write_at(0, &noise(2, 64 * KIB)).unwrap();
    let late = left.write_at(0, &noise(3, 64 * KIB));
    assert!(matches!(late, Err(Error::Lost { .. })), "{late:?}");
    let mut read = vec![0; 64 << 10];
    back.read_at(0, &mut read).unwrap();
    assert!(read == noise(2, 64 * KIB));
}

#[test]
fn an_export_has_so_many_clients_and_others_have_theirs() {
    let limits = Limits {
        clients_of_one: 1,
        ..Limits::default()
    };
    let Some(served) = Served::start(limits) else {
        return;
    };
    let _offer = served.offer(Memory::read_only(noise(20, MIB)));
    let mut first = served.connect().unwrap();
    first.read_at(0, &mut [0; 512]).unwrap();
    let second = served.connect();
    let refused = second.and_then(|mut second| second.read_at(0, &mut [0; 512]));
    assert!(matches!(refused, Err(Error::Lost { .. })), "{refused:?}");
    first.read_at(0, &mut [0; 512]).unwrap();
    drop(first);
    wait_until("a place is free", || {
        let again = served.connect();
        again.is_ok_and(|mut again| again.read_at(0, &mut [0; 512]).is_ok())
    });
}

#[test]
fn a_server_of_others_is_read_and_written_over_tls() {
    let Some(lab) = Lab::open() else { return };
    let authority = Authority::new(&lab.path("tls"));
    authority.sign_server();
    authority.sign_client();
    fs::write(lab.path("disk.raw"), noise(22, 4 * MIB)).unwrap();
    let arguments = ["-f", "raw", "-x", "disk", "disk.raw"];
    let peer = NbdPeer::qemu_over_tls(&lab.path(""), &authority, &arguments);
    let uri = peer.uri("disk");
    let mut client = connect(&uri.parse().unwrap()).unwrap();
    let written = noise(23, MIB);
    client.write_at(MIB, &written).unwrap();
    client.flush().unwrap();
    let mut read = vec![0; 4 << 20];
    client.read_at(0, &mut read).unwrap();
    assert!(read[1 << 20..2 << 20] == written);
    assert!(read == fs::read(lab.path("disk.raw")).unwrap());

    let (bare, _) = uri.split_once('?').unwrap();
    let nothing = connect(&bare.parse().unwrap()).unwrap_err();
    assert!(matches!(nothing, Error::Address { .. }), "{nothing}");
    let nobody = format!("{bare}?tls-certificates={}", text(&lab.path("nobody")));
    let nothing = connect(&nobody.parse().unwrap()).unwrap_err();
    assert!(matches!(nothing, Error::Credentials { .. }), "{nothing}");
}
