//! Makes the repositories of `tests/golden`: `golden FOLDER`. Once a version of the format is out, what it wrote stays,
//! and a new folder is added beside it: `1` is from before points had copies, `2` has whatever a repository can have, and
//! damaged ones with what a verification says of them and a repair makes of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use strongroom_repo::{
    CollectOptions, Env, NewPoint, Options, Profile, Repository, Secret, VerifyDepth,
    generate_key_file,
};
use strongroom_store::{Create, open_local};
use strongroom_types::{SystemClock, SystemIds};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let folder = std::env::args_os().nth(1).ok_or("which folder?")?;
    let folder = Path::new(&folder);
    fs::create_dir(folder)?;
    let [first, second] = ["1", "2"].map(|name| folder.join(name));
    fs::create_dir(&first)?;
    plain(&first.join("plain")).await?;
    parity(&first.join("parity")).await?;
    passphrase(&first.join("passphrase")).await?;
    fs::create_dir(&second)?;
    complete(&second.join("complete")).await?;
    flipped(&second.join("flipped")).await?;
    unindexed(&second.join("unindexed")).await?;
    truncated(&second.join("truncated")).await
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

/// With an object of every kind: copies of points, changed keys, a pack put aside with its mark, and a list of condemned
/// packs that waits for a reader.
async fn complete(folder: &Path) -> Outcome {
    let scratch = folder.with_extension("keys");
    let key = new_key(&scratch, "key")?;
    let repository = init(folder, &key, false).await?;
    let stored = folder.join("repository");
    back_up(&repository, folder, "first", &image(1, 8)).await?;
    repository.rotate_keys(&key).await?;
    let pack = largest_file(&stored.join("packs"))?;
    fs::write(pack, [7; 3000])?;
    repository.repair(&|_| ()).await?;
    back_up(&repository, folder, "second", &image(1, 8)).await?;

    let unlisted = folder.with_extension("unlisted");
    fs::create_dir(&unlisted)?;
    back_up(&repository, &unlisted, "gone", &image(9, 12)[14_000..]).await?;
    fs::remove_dir_all(unlisted)?;
    let gone = repository
        .find_point("gone")
        .await?
        .ok_or("gone too soon")?;
    let reader = repository.read_point(&gone.id).await?;
    repository.delete_point(&gone.id).await?;
    repository
        .collect(&CollectOptions::default(), &|_| ())
        .await?;
    // Found damaged, and put back from elsewhere: its mark stays.
    let pack = largest_file(&stored.join("packs"))?;
    let sound = fs::read(&pack)?;
    fs::write(&pack, [7; 3000])?;
    repository.verify(VerifyDepth::Structure, &|_| ()).await?;
    fs::write(&pack, sound)?;
    // While the reader is at work.
    let copied = folder.with_extension("copied");
    copy(&stored, &copied)?;
    drop(reader);
    fs::remove_dir_all(&stored)?;
    fs::rename(copied, stored)?;
    keep_key(&scratch, folder)
}

/// A pack with parity in which some bytes changed.
async fn flipped(folder: &Path) -> Outcome {
    let (scratch, key) = damaged(folder, true).await?;
    let pack = largest_file(&folder.join("repository/packs"))?;
    let mut bytes = fs::read(&pack)?;
    let middle = bytes.len() / 2;
    for place in [100, 5000, middle, middle + 1] {
        bytes[place] ^= 0x40;
    }
    fs::write(pack, bytes)?;
    tell(folder, &key).await?;
    keep_key(&scratch, folder)
}

/// One of two index segments is gone.
async fn unindexed(folder: &Path) -> Outcome {
    let (scratch, key) = damaged(folder, false).await?;
    fs::remove_file(largest_file(&folder.join("repository/index"))?)?;
    tell(folder, &key).await?;
    keep_key(&scratch, folder)
}

/// Of a pack of nodes the first half is left.
async fn truncated(folder: &Path) -> Outcome {
    let (scratch, key) = damaged(folder, false).await?;
    let pack = largest_file(&folder.join("repository/nodes"))?;
    let bytes = fs::read(&pack)?;
    fs::write(pack, &bytes[..bytes.len() / 2])?;
    tell(folder, &key).await?;
    keep_key(&scratch, folder)
}

/// A repository to be damaged, and its key.
async fn damaged(folder: &Path, parity: bool) -> Outcome<(PathBuf, Secret)> {
    let scratch = folder.with_extension("keys");
    let key = new_key(&scratch, "key")?;
    let repository = init(folder, &key, parity).await?;
    back_up(&repository, folder, "first", &image(1, 8)).await?;
    Ok((scratch, key))
}

fn keep_key(scratch: &Path, folder: &Path) -> Outcome {
    fs::rename(scratch.join("key"), folder.join("key"))?;
    Ok(fs::remove_dir(scratch)?)
}

/// Writes down what a verification says, and what a repair would do.
async fn tell(folder: &Path, key: &Secret) -> Outcome {
    let copied = folder.with_extension("copied");
    copy(&folder.join("repository"), &copied)?;
    let storage = open_local(&copied, Create::Never)?;
    let repository = Repository::open(storage, key, env()).await?;
    let verified = repository.verify(VerifyDepth::ReadData, &|_| ()).await?;
    let repaired = repository.plan_repair(&|_| ()).await?;
    fs::write(
        folder.join("verified.json"),
        serde_json::to_string_pretty(&verified.damage)? + "\n",
    )?;
    fs::write(
        folder.join("repaired.json"),
        serde_json::to_string_pretty(&repaired)? + "\n",
    )?;
    Ok(fs::remove_dir_all(copied)?)
}

fn largest_file(folder: &Path) -> Outcome<PathBuf> {
    let mut largest = (0, PathBuf::new());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let file = if path.is_dir() {
            largest_file(&path)?
        } else {
            path
        };
        // A folder may be empty.
        if file.is_file() {
            largest = largest.max((fs::metadata(&file)?.len(), file));
        }
    }
    Ok(largest.1)
}

fn copy(from: &Path, to: &Path) -> Outcome {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().ok_or("a file without a name")?);
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
