//! What a vault can do besides holding backups, as a person would have it done.

use serde_json::Value;

use crate::disks;
use crate::server::Server;

fn vault(server: &Server, name: &str) -> Value {
    server.verb(&["vault", "list", "--name", name])["vaults"][0].clone()
}

fn create(server: &Server, name: &str) {
    let arguments = [
        "vault",
        "create",
        "--name",
        name,
        "--object-type",
        "disk",
        "--size",
        "10",
    ];
    server.verb(&arguments);
}

#[test]
fn a_disk_moves_to_a_locked_vault_and_stays_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start();
    for (name, seed) in [("a", 1), ("b", 2)] {
        let disk = folder.join(name);
        disks::random(&disk, 8 << 20, seed);
        let path = disks::text(&disk);
        server.verb(&[
            "volume", "add", "--name", name, "--path", path, "--tag", "env=prod",
        ]);
    }
    create(&server, "from");
    create(&server, "to");
    server.verb(&["vault", "add", "from", "a", "b"]);
    server.verb(&["checkpoint", "create", "from", "--wait"]);
    let both = vault(&server, "from")["billing"]["used"].as_u64().unwrap();

    // What is measured of the two halves is what was measured of the whole: they share nothing.
    server.verb(&["vault", "migrate", "from", "--to", "to", "a", "--wait"]);
    let used = |name: &str| vault(&server, name)["billing"]["used"].as_u64().unwrap();
    let (left, moved) = (used("from"), used("to"));
    assert!(left > 0 && moved > 0, "{left} + {moved}");
    // Each is rounded up by itself.
    assert!(
        (both..=both + 1).contains(&(left + moved)),
        "{left} + {moved} of {both}"
    );
    assert_eq!(vault(&server, "to")["resources"][0]["name"], "a");
    let summary = server.verb(&["vault", "summary"]);
    assert_eq!(
        (&summary["size"], &summary["used_size"]),
        (&20.into(), &1.into())
    );

    server.verb(&["vault", "suspend", "to", "a"]);
    assert_eq!(vault(&server, "to")["resources"][0]["auto_protect"], false);
    server.verb(&["vault", "resume", "to", "a"]);
    assert_eq!(vault(&server, "to")["resources"][0]["auto_protect"], true);

    server.verb(&["vault", "lock", "to"]);
    assert_eq!(vault(&server, "to")["locked"], true);
    for arguments in [
        &["vault", "remove", "to", "a"][..],
        &["vault", "migrate", "to", "--to", "from", "a"],
    ] {
        let output = server.try_verb(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("BackupService.6110"), "{text}");
    }
    server.verb(&["checkpoint", "create", "to", "--wait"]);
    let ends = server.verb(&["vault", "expire", "to", "--day", "2099-12-31"]);
    assert_eq!(ends["affected_backups_count"], 0);
}

#[test]
fn tags_are_set_found_and_removed() {
    let server = Server::start();
    create(&server, "blue");
    create(&server, "plain");
    server.verb(&["vault", "tag", "set", "blue", "team=blue", "env=prod"]);
    server.verb(&["vault", "tag", "set", "blue", "env=test"]);
    let shown = server.verb(&["vault", "tag", "list", "blue"]);
    assert_eq!(shown["tags"][0]["value"], "test");
    let found = server.verb(&["vault", "tag", "find", "team", "env=test"]);
    assert_eq!(
        (
            &found["total_count"],
            &found["resources"][0]["resource_name"]
        ),
        (&1.into(), &"blue".into())
    );
    server.verb(&["vault", "tag", "remove", "blue", "team", "never"]);
    let all = server.verb(&["vault", "tag", "list"]);
    assert_eq!(all["tags"].as_array().unwrap().len(), 1);
}
