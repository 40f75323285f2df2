//! All tests of the workspace, with the servers and clients they ask for.

use anyhow::Result;

use crate::postgres::Cluster;
use crate::{guest, setup, shell};

/// Names a PostgreSQL server for tests; when it is set already, that server is used.
const POSTGRES: &str = "STRONGROOM_TEST_POSTGRES";
/// A Python with the official clients installed.
const PYTHON: &str = "STRONGROOM_TEST_PYTHON";
/// A Python with Cloud Custodian installed.
const CUSTODIAN: &str = "STRONGROOM_TEST_CUSTODIAN";
/// SeaweedFS' program, which tests start.
const S3_SERVER: &str = "STRONGROOM_TEST_WEED";

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    setup::run()?;
    let mut tests = shell::cargo(&["test"]);
    // Under CI=true a test that cannot run here fails instead of saying so.
    tests
        .args(arguments)
        .env(PYTHON, setup::clients_python())
        .env(CUSTODIAN, setup::custodian_python())
        .env(S3_SERVER, setup::s3_server())
        .env(guest::VARIABLE, guest::folder())
        .env("CI", "true");
    if std::env::var_os(POSTGRES).is_some() {
        return shell::run(&mut tests);
    }
    let cluster = Cluster::start()?;
    tests.env(POSTGRES, cluster.address());
    let outcome = shell::run(&mut tests);
    cluster.stop()?;
    outcome
}
