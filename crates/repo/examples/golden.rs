//! Makes the repositories of `tests/golden`: `golden FOLDER`. Once a version of the format is out, what it wrote stays,
//! and a new folder is added beside it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use strongroom_repo::{Env, NewPoint, Options, Profile, Repository, Secret, generate_key_file};
use strongroom_store::{Create, open_local};
use strongroom_types::{SystemClock, SystemIds};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let folder = std::env::args_os().nth(1).ok_or("which folder?")?;
    let folder = Path::new(&folder);
    fs::create_dir(folder)?;
    plain(&folder.join("plain")).await?;
    parity(&folder.join("parity")).await?;
    passphrase(&folder.join("passphrase")).await
}

fn env() -> Env {
    Env {
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
    }
}

/// A disk of some random, some equal and some empty stretches; each seed differs from the others in one of them.
fn image(seed: u8, blocks: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..blocks {
        let other = if number == 3 { seed } else { 0 };
        let name = [b'd', u8::try_from(number % 251).unwrap_or(0), other];
        let mut block: Vec<u8> = (0..128)
            .flat_map(|part: u8| strongroom_chunk::checksum(&[&name[..], &[part]].concat()))
            .collect();
        match number % 5 {
            1 => block.fill(0),
            2 => block.fill(7),
            _ => {}
        }
        bytes.extend(block);
    }
    bytes.truncate(bytes.len() - 1000);
    bytes
}

async fn back_up(repository: &Repository, folder: &Path, name: &str, image: &[u8]) -> Outcome {
    let new = NewPoint {
        name: name.to_owned(),
        lineage: "disk".to_owned(),
        size_bytes: image.len() as u64,
        attributes: serde_json::json!({"purpose": "golden"}),
    };
    let mut writer = repository.begin_point(new).await?;
    writer.write(Bytes::copy_from_slice(image)).await?;
    let commit = writer.commit().await?;
    let sum = hex::encode(strongroom_chunk::checksum(image));
    let line = format!("{} {name} {sum}\n", commit.point.id);
    let expected = folder.join("expected.txt");
    let before = fs::read_to_string(&expected).unwrap_or_default();
    fs::write(expected, before + &line)?;
    Ok(())
}

async fn init(folder: &Path, secret: &Secret, parity: bool) -> Outcome<Repository> {
    fs::create_dir(folder)?;
    let storage = open_local(&folder.join("repository"), Create::IfMissing)?;
    let options = Options {
        profile: Profile::Dense,
        pack_bytes_target: 1 << 20,
        parity,
    };
    Ok(Repository::init(storage, secret, options, env()).await?)
}

fn new_key(folder: &Path, name: &str) -> Outcome<Secret> {
    let content = generate_key_file(&SystemIds);
    fs::create_dir_all(folder)?;
    fs::write(folder.join(name), &content)?;
    Ok(Secret::KeyFile(content.into_bytes()))
}

/// Before and after a change of the keys.
async fn plain(folder: &Path) -> Outcome {
    let scratch = folder.with_extension("keys");
    let old = new_key(&scratch, "old.key")?;
    let repository = init(folder, &old, false).await?;
    back_up(&repository, folder, "first", &image(1, 24)).await?;
    back_up(&repository, folder, "second", &image(2, 24)).await?;
    repository.rotate_keys(&new_key(folder, "key")?).await?;
    back_up(&repository, folder, "third", &image(3, 24)).await?;
    back_up(&repository, folder, "empty", &vec![0; 40_000]).await?;
    fs::rename(scratch.join("old.key"), folder.join("old.key"))?;
    Ok(fs::remove_dir(scratch)?)
}

async fn parity(folder: &Path) -> Outcome {
    let scratch = folder.with_extension("keys");
    let key = new_key(&scratch, "key")?;
    let repository = init(folder, &key, true).await?;
    back_up(&repository, folder, "first", &image(1, 24)).await?;
    fs::rename(scratch.join("key"), folder.join("key"))?;
    Ok(fs::remove_dir(scratch)?)
}

async fn passphrase(folder: &Path) -> Outcome {
    let secret = Secret::Passphrase("correct horse battery staple".to_owned());
    let repository = init(folder, &secret, false).await?;
    back_up(&repository, folder, "first", &image(1, 6)).await
}
