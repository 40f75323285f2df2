//! Peers that lie, stammer and die, at every step.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixListener;
use std::thread;

use proptest::prelude::*;

use crate::fuzzing::{hear, hear_client, hear_server, sound_client, sound_server};
use crate::{Ahead, Client, ClientOptions, Content, Error, Reader, Selection, Target};

/// The size of the export that the fuzzing entries talk about.
const SIZE: u64 = 4 << 10;

#[test]
fn the_conversation_that_is_spoilt_below_is_sound() {
    assert_eq!(hear_server(&sound_server()).unwrap(), SIZE);
}

#[test]
fn a_server_that_dies_at_any_byte_is_lost() {
    let said = sound_server();
    for end in 0..said.len() {
        let error = hear_server(&said[..end]).unwrap_err();
        assert!(matches!(error, Error::Lost { .. }), "{end}: {error}");
    }
}

#[test]
fn a_client_that_dies_at_any_byte_harms_nobody() {
    let (said, whole) = (sound_client(), sound_server());
    for end in 0..said.len() {
        let heard = hear_client(&said[..end]);
        assert!(whole.starts_with(&heard), "{end}");
    }
}

#[test]
fn bytes_that_are_wrong_in_the_handshake_are_noticed_or_harmless() {
    let said = sound_server();
    for place in 0..said.len() {
        for bit in [0x01, 0x80] {
            let mut said = said.clone();
            said[place] ^= bit;
            // A bit of content, of a name that nobody needs, or of the size may go unnoticed.
            let heard = hear_server(&said);
            let is_told = matches!(
                heard,
                Ok(_)
                    | Err(Error::Lost { .. }
                        | Error::Refused { .. }
                        | Error::Protocol(_)
                        | Error::Failed { .. })
            );
            assert!(is_told, "{place}: {heard:?}");
        }
    }
}

#[test]
fn a_reply_that_ends_in_the_middle_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let said = sound_server();
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // All but the end of the last of four reads.
        stream.write_all(&said[..said.len() - 100]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        stream
    });
    let target = Target::unix(&socket, "");
    let client = Client::connect(&target, &ClientOptions::default()).unwrap();
    let ahead = Ahead {
        requests: 4,
        request_bytes: 512,
    };
    let mut reader = Reader::new(client, &Selection::Allocated, ahead).unwrap();
    for offset in [0, 512, 1024] {
        let piece = reader.next_piece().unwrap().unwrap();
        assert_eq!(piece.offset, offset);
        assert_eq!(piece.content, Content::Data(vec![7; 512]));
    }
    let error = reader.next_piece().unwrap_err();
    assert!(matches!(error, Error::Lost { .. }), "{error}");
    let sentence = error.to_string();
    assert!(sentence.contains("reading 512 bytes at 1536"), "{sentence}");
    drop(peer.join().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        hear(&bytes);
    }

    #[test]
    fn a_greeting_and_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        // Far enough for the first reply to be believed.
        let sound = sound_server();
        for length in [18, 38, 78, 150] {
            let said = [&sound[..length.min(sound.len())], &bytes].concat();
            let _ = hear_server(&said);
        }
        let sound = sound_client();
        for length in [4, 20, 60] {
            let said = [&sound[..length], &bytes].concat();
            let _ = hear_client(&said);
        }
    }
}
