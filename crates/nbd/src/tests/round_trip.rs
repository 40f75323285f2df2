//! Our client on our server, against a plain vector.

use std::os::unix::net::UnixListener;

use proptest::prelude::*;

use super::fixtures::{Memory, connect, read_all};
use crate::{Ahead, BASE_ALLOCATION, Limits, Listener, Reader, Selection, Server, Target};

const SIZE: usize = 300_000;

#[derive(Debug, Clone)]
enum Step {
    Write { at: usize, length: usize, byte: u8 },
    Zero { at: usize, length: usize },
    Read { at: usize, length: usize },
    Flush,
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    let place = (0..SIZE).prop_flat_map(|at| (Just(at), 1..=SIZE - at));
    prop_oneof![
        (place.clone(), any::<u8>()).prop_map(|((at, length), byte)| Step::Write {
            at,
            length,
            byte
        }),
        place
            .clone()
            .prop_map(|(at, length)| Step::Zero { at, length }),
        place.prop_map(|(at, length)| Step::Read { at, length }),
        Just(Step::Flush),
        Just(Step::Reconnect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn an_export_is_what_was_written_to_it(
        steps in prop::collection::vec(step(), 1..20),
        threads in 1usize..5,
        request_bytes in 512u32..100_000,
        requests in 1usize..20,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = Listener::Unix(UnixListener::bind(&socket).unwrap());
        let limits = Limits { requests_at_once: threads, request_bytes, ..Limits::default() };
        let disk: std::sync::Arc<dyn crate::Export> = Memory::writable(vec![0; SIZE]);
        let server = Server::start(listener, [("d".to_owned(), disk)], limits).unwrap();
        let target = Target::unix(&socket, "d");

        let mut model = vec![0; SIZE];
        let mut client = connect(&target);
        for step in steps {
            match step {
                Step::Write { at, length, byte } => {
                    client.write_at(at as u64, &vec![byte; length]).unwrap();
                    model[at..at + length].fill(byte);
                }
                Step::Zero { at, length } => {
                    client.zero(at as u64, length as u64).unwrap();
                    model[at..at + length].fill(0);
                }
                Step::Read { at, length } => {
                    let mut read = vec![1; length];
                    client.read_at(at as u64, &mut read).unwrap();
                    prop_assert!(read == model[at..at + length]);
                }
                Step::Flush => client.flush().unwrap(),
                Step::Reconnect => client = connect(&target),
            }
        }
        let extents = client.extents(BASE_ALLOCATION, 0..SIZE as u64).unwrap();
        let mut end = 0;
        for extent in extents {
            let extent = extent.unwrap();
            prop_assert_eq!(extent.offset, end);
            end = extent.end();
            let range = usize::try_from(extent.offset).unwrap()..usize::try_from(end).unwrap();
            prop_assert!(!extent.is_zero() || model[range].iter().all(|byte| *byte == 0));
        }
        prop_assert_eq!(end, SIZE as u64);
        let ahead = Ahead { requests, request_bytes: request_bytes / 2 };
        let reader = Reader::new(client, &Selection::Allocated, ahead).unwrap();
        prop_assert!(read_all(reader).0 == model);
        server.stop();
    }
}
