use std::collections::HashSet;
use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use strongroom_testkit::MockClock;

use crate::{Create, Error, Fault, StorageKind, fault_of, open_local};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_folder_is_made_on_request_only() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("a/b/c");
    let refused = open_local(&folder, Create::Never);
    assert!(matches!(refused, Err(Error::NoFolder(_))));
    let storage = open_local(&folder, Create::IfMissing).unwrap();
    assert_eq!(storage.kind(), StorageKind::Local);
    assert_eq!(storage.folder(), Some(folder.as_path()));
    open_local(&folder, Create::Never).unwrap();
}

#[tokio::test]
async fn deletions_report_each_object() {
    let temporary = tempfile::tempdir().unwrap();
    let storage = open_local(temporary.path(), Create::Never).unwrap();
    let paths = ["x/a", "x/b", "y/c"].map(Path::from);
    for path in &paths {
        let payload = PutPayload::from_static(b"content");
        storage.objects.put(path, payload).await.unwrap();
    }
    storage.objects.delete(&paths[0]).await.unwrap();
    let again = storage.objects.delete(&paths[0]).await.unwrap_err();
    assert_eq!(fault_of(&again), Fault::Missing);
    let left: Vec<_> = storage.objects.list(None).try_collect().await.unwrap();
    assert_eq!(left.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_not_left_out_of_a_listing() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open_local(folder.path(), Create::Never).unwrap();
    let objects = &storage.objects;
    let list = || {
        objects
            .list(Some(&Path::from("points")))
            .try_collect::<Vec<_>>()
    };
    assert!(list().await.unwrap().is_empty());
    objects
        .put(&Path::from("points/aa/one"), "1".into())
        .await
        .unwrap();
    objects
        .put(&Path::from("points/two"), "22".into())
        .await
        .unwrap();
    std::fs::write(folder.path().join("points/three#1"), "not whole").unwrap();
    let mut found = list().await.unwrap();
    found.sort_by_key(|object| object.size);
    let names: Vec<&str> = found
        .iter()
        .map(|object| object.location.as_ref())
        .collect();
    assert_eq!(names, ["points/aa/one", "points/two"]);
    let object = objects.head(&found[1].location).await.unwrap();
    assert_eq!(object.last_modified, found[1].last_modified);
    // The system refuses to say what this is.
    std::os::unix::fs::symlink("loop", folder.path().join("points/loop")).unwrap();
    assert!(list().await.is_err());
}

#[tokio::test]
async fn what_killed_writers_left_is_swept_once_it_is_old() {
    let temporary = tempfile::tempdir().unwrap();
    let storage = open_local(temporary.path(), Create::Never).unwrap();
    let folder = temporary.path().join("packs/ab");
    fs::create_dir_all(&folder).unwrap();
    let clock = MockClock::default();
    let names = ["new#1", "old#1", "old#12", "old", "old#x"];
    for name in names {
        let file = fs::File::create(folder.join(name)).unwrap();
        file.set_len(10).unwrap();
        let start = u64::try_from(MockClock::START.as_seconds()).unwrap();
        let mut changed = UNIX_EPOCH + Duration::from_secs(start);
        if !name.starts_with("new") {
            changed -= HOUR * 2;
        }
        file.set_modified(changed).unwrap();
    }
    let mut unfinished = storage.unfinished().await.unwrap();
    unfinished.sort();
    assert_eq!(
        unfinished,
        ["new", "old", "old"].map(|name| Path::from(format!("packs/ab/{name}")))
    );
    let none = HashSet::new();
    let swept = storage.sweep_leftovers(&clock, HOUR, none).await.unwrap();
    assert_eq!((swept.files, swept.bytes), (2, 20));
    let mut left: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["new#1", "old", "old#x"]);
    clock.advance(HOUR * 2);
    let swept = storage
        .sweep_leftovers(&clock, HOUR, HashSet::new())
        .await
        .unwrap();
    assert_eq!(swept.files, 1);
    // Nobody writes this one any more, so its age does not matter.
    fs::write(folder.join("abandoned#1"), "half").unwrap();
    fs::write(folder.join("begun#1"), "half").unwrap();
    let abandoned = HashSet::from([Path::from("packs/ab/abandoned")]);
    let swept = storage.sweep_leftovers(&clock, HOUR * 48, abandoned);
    assert_eq!(swept.await.unwrap().files, 1);
    assert!(folder.join("begun#1").exists());
}

#[test]
fn faults_are_told_apart() {
    use std::io::{Error, ErrorKind};
    for (kind, fault) in [
        (ErrorKind::StorageFull, Fault::Full),
        (ErrorKind::QuotaExceeded, Fault::Full),
        (ErrorKind::ReadOnlyFilesystem, Fault::ReadOnly),
        (ErrorKind::PermissionDenied, Fault::Refused),
        (ErrorKind::Other, Fault::Failed),
    ] {
        let error = object_store::Error::Generic {
            store: "test",
            source: Box::new(Error::from(kind)),
        };
        assert_eq!(fault_of(&error), fault);
    }
}

#[tokio::test]
async fn what_others_wrote_is_made_durable() {
    let temporary = tempfile::tempdir().unwrap();
    let storage = open_local(temporary.path(), Create::Never).unwrap();
    let path = Path::from("x/a");
    let payload = PutPayload::from_static(b"content");
    storage.objects.put(&path, payload).await.unwrap();
    // One that was removed with its folder meanwhile does not hinder the others.
    let both = vec![path, Path::from("y/z/b")];
    storage.make_durable(both).await.unwrap();
    storage.make_durable(Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let temporary = tempfile::tempdir().unwrap();
    let storage = open_local(temporary.path(), Create::Never).unwrap();
    let path = Path::from("x/a");
    for expected in [true, false] {
        let payload = PutPayload::from_static(b"content");
        let options = object_store::PutMode::Create.into();
        let put = storage.objects.put_opts(&path, payload, options).await;
        match put {
            Ok(_) => assert!(expected),
            Err(error) => {
                let taken = matches!(error, object_store::Error::AlreadyExists { .. });
                assert!(!expected && taken, "{error:?}");
            }
        }
    }
}

#[test]
fn a_bad_sector_is_told_from_other_failures() {
    use std::io::{Error as Io, ErrorKind};
    let fault = |error: Io| {
        fault_of(&object_store::Error::Generic {
            store: "test",
            source: Box::new(error),
        })
    };
    // EIO, ENODATA, EBADMSG, EILSEQ.
    for number in [5, 61, 74, 84] {
        assert_eq!(fault(Io::from_raw_os_error(number)), Fault::Unreadable);
    }
    assert_eq!(fault(Io::from_raw_os_error(13)), Fault::Refused);
    assert_eq!(fault(Io::from_raw_os_error(30)), Fault::ReadOnly);
    assert_eq!(fault(ErrorKind::TimedOut.into()), Fault::Failed);
}
