use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

use strongroom_types::VolumeFormat::Raw;

use crate::{Error, Extent, ExtentKind, create_raw, is_in_use, open_sink, open_source, probe};

const MIB: u64 = 1 << 20;

#[test]
fn a_sparse_file_is_read_by_its_extents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    let file = fs::File::create(&path).unwrap();
    file.set_len(8 * MIB + 100).unwrap();
    file.write_all_at(&[7; 4096], 4 * MIB).unwrap();

    let mut source = open_source(&path, Raw).unwrap();
    assert_eq!(source.size_bytes(), 8 * MIB + 100);
    assert_eq!(source.next_extent(0).unwrap(), Extent::hole(4 * MIB));
    assert_eq!(source.next_extent(4 * MIB).unwrap(), Extent::data(4096));
    assert_eq!(
        source.next_extent(4 * MIB + 4000).unwrap(),
        Extent::data(96)
    );
    let tail = 4 * MIB + 4096;
    assert_eq!(
        source.next_extent(tail).unwrap(),
        Extent::hole(4 * MIB - 4096 + 100)
    );
    assert_eq!(source.next_extent(8 * MIB + 100).unwrap().length, 0);

    let mut buffer = vec![1; 8192];
    source.read_at(4 * MIB - 2048, &mut buffer).unwrap();
    assert_eq!(buffer[..2048], [0; 2048]);
    assert_eq!(buffer[2048..6144], [7; 4096]);
    assert_eq!(buffer[6144..], [0; 2048]);
    assert!(matches!(
        source.read_at(8 * MIB, &mut buffer),
        Err(Error::Io { .. })
    ));
    assert!(source.read_at(u64::MAX, &mut buffer).is_err());
}

#[test]
fn a_new_image_is_sparse_and_takes_writes_and_holes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    let mut sink = create_raw(&path, 4 * MIB).unwrap();
    assert_eq!(sink.next_extent(0).unwrap(), Extent::hole(4 * MIB));
    sink.write_at(0, &vec![3; 2 << 20]).unwrap();
    sink.zero_range(MIB, MIB).unwrap();
    sink.zero_range(10, 1).unwrap();
    sink.flush().unwrap();
    assert_eq!(sink.next_extent(0).unwrap(), Extent::data(MIB));
    assert_eq!(sink.next_extent(MIB).unwrap(), Extent::hole(3 * MIB));
    assert!(sink.write_at(4 * MIB - 1, &[1, 2]).is_err());
    assert!(sink.zero_range(4 * MIB - 1, 2).is_err());
    drop(sink);

    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len() as u64, 4 * MIB);
    assert_eq!((bytes[9], bytes[10], bytes[11]), (3, 0, 3));
    assert!(bytes[1 << 20..].iter().all(|&byte| byte == 0));
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o600);
    assert_eq!(probe(&path).unwrap().allocated_bytes, MIB);

    assert!(matches!(create_raw(&path, 1), Err(Error::Exists { .. })));
}

#[test]
fn readers_share_and_a_writer_is_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    fs::write(&path, [0; 512]).unwrap();
    assert!(!is_in_use(&path).unwrap());

    let reader = open_source(&path, Raw).unwrap();
    let second = open_source(&path, Raw).unwrap();
    assert!(!is_in_use(&path).unwrap());
    assert!(matches!(open_sink(&path, Raw), Err(Error::InUse { .. })));
    drop((reader, second));

    let writer = open_sink(&path, Raw).unwrap();
    assert!(is_in_use(&path).unwrap());
    assert!(matches!(open_source(&path, Raw), Err(Error::InUse { .. })));
    assert!(matches!(open_sink(&path, Raw), Err(Error::InUse { .. })));
    assert_eq!(probe(&path).unwrap().size_bytes, 512);
    drop(writer);
    assert!(!is_in_use(&path).unwrap());
}

#[test]
fn what_is_no_disk_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    assert!(matches!(
        open_source(&missing, Raw),
        Err(Error::NotFound { path }) if path == missing
    ));
    assert!(matches!(
        open_source(folder.path(), Raw),
        Err(Error::Unsupported { .. })
    ));
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(probe(&pipe), Err(Error::Unsupported { .. })));
}

#[test]
fn a_full_disk_is_told_apart() {
    for errno in [nix::errno::Errno::ENOSPC, nix::errno::Errno::EDQUOT] {
        let error = Error::from_io("disk".as_ref(), errno.into());
        assert!(matches!(error, Error::Full), "{error:?}");
    }
}

/// What was asked before, and is remembered, stays true through writes and zeros at other places and at the same.
#[test]
fn no_hole_is_told_of_where_something_was_written() {
    const PIECE: usize = 4096;
    const PIECES: usize = 64;
    let folder = tempfile::tempdir().unwrap();
    for seed in 1..200_u64 {
        let path = folder.path().join(seed.to_string());
        let mut sink = create_raw(&path, (PIECES * PIECE) as u64).unwrap();
        let mut written = [false; PIECES];
        let mut random = seed;
        for _ in 0..60 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let [.., place, length, what] = random.to_le_bytes().map(usize::from);
            let place = place % PIECES;
            let places = place..PIECES.min(place + length % 8 + 1);
            let (offset, bytes) = ((place * PIECE) as u64, places.len() * PIECE);
            match what % 8 {
                0..3 => {
                    sink.write_at(offset, &vec![9; bytes]).unwrap();
                    written[places].fill(true);
                }
                3 => {
                    sink.zero_range(offset, bytes as u64).unwrap();
                    written[places].fill(false);
                }
                _ => {
                    let extent = sink.next_extent(offset).unwrap();
                    assert!(extent.length > 0);
                    let end = usize::try_from(offset + extent.length).unwrap();
                    let told = &written[place..end.div_ceil(PIECE)];
                    let is_hole = extent.kind == ExtentKind::Hole;
                    assert!(!is_hole || !told.contains(&true), "{seed}");
                }
            }
        }
    }
}
