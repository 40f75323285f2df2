//! The control plane under load: `load sqlite|ADDRESS FOLDER STRONGROOM`, ADDRESS being an empty PostgreSQL database.
//!
//! Fills the database of a new installation, first one hundredth of the tables, then all of them, one project owning
//! everything; lets 50 clients loose on the given program each time; and prints tables of Markdown. `load constant BYTES`
//! is what it is compared with: a server that answers every request with the same bytes.
#![expect(clippy::print_stdout, reason = "a tool for people")]

mod clients;
mod constant;
mod fill;
mod installation;
mod report;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use clients::{Mix, Round};
use fill::{Filler, Tables};
use installation::Installation;

/// One hundredth, and all.
const SHARES: [u64; 2] = [100, 1];
const ALONE: Duration = Duration::from_secs(6);
const MIXED: Duration = Duration::from_secs(25);

/// What was measured with one share of the tables.
#[derive(Debug)]
struct Measured {
    tables: Tables,
    rounds: Vec<Round>,
    /// Resident, of the server, since it started.
    peak_mib: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["constant", bytes] => constant::serve(bytes.parse().context("BYTES is a number")?).await,
        [database, folder, program] => {
            let text = measure(database, Path::new(folder), Path::new(program)).await?;
            println!("{text}");
            Ok(())
        }
        _ => bail!("load sqlite|ADDRESS FOLDER STRONGROOM | load constant BYTES"),
    }
}

async fn measure(database: &str, folder: &Path, program: &Path) -> Result<String> {
    let address = match database {
        "sqlite" => None,
        address => Some(address.to_owned()),
    };
    let installation = Installation {
        program: PathBuf::from(program),
        data_dir: folder.join("data"),
        database: address,
    };
    // The first start makes the account.
    installation.start()?.stop()?;
    let mut all = Vec::new();
    let mut listed_bytes = 0;
    for share in SHARES {
        let tables = Tables::share(share);
        let filler = Filler::open(&installation).await?;
        filler.fill(tables).await?;
        let server = installation.start()?;
        let clients = clients::prepare(&server, folder, tables, share).await?;
        let mut rounds = Vec::new();
        for mix in Mix::ALONE {
            rounds.push(clients.run(mix, ALONE).await?);
        }
        rounds.push(clients.run(Mix::ALL, MIXED).await?);
        listed_bytes = clients.bytes_of_vaults().await?;
        all.push(Measured {
            tables,
            rounds,
            peak_mib: server.peak_mib()?,
        });
        server.stop()?;
    }
    let constant = constant::measure(listed_bytes, ALONE).await?;
    Ok(report::write(database, &all, &constant))
}
