//! The numbers of the protocol, written down a second time.

use crate::proto::{
    Chunk, ChunkKind, Command, ErrorCode, OptionCode, OptionReply, ReplyHead, Request, chunk_head,
    context_query, encode_error, encode_hole, encode_status, go, option, option_reply,
    simple_reply,
};

#[test]
fn options_are_what_the_protocol_says() {
    assert_eq!(
        option(OptionCode::GO, &go("ab")),
        b"IHAVEOPT\0\0\0\x07\0\0\0\x0a\0\0\0\x02ab\0\x01\0\x03"
    );
    let queries = ["base:allocation".to_owned()];
    assert_eq!(
        option(OptionCode::SET_META_CONTEXT, &context_query("", &queries)),
        b"IHAVEOPT\0\0\0\x0a\0\0\0\x1b\0\0\0\0\0\0\0\x01\0\0\0\x0fbase:allocation"
    );
    let context = OptionReply::Context {
        id: 1,
        name: "a:b".to_owned(),
    };
    assert_eq!(
        option_reply(OptionCode::SET_META_CONTEXT, &context),
        b"\0\x03\xe8\x89\x04\x55\x65\xa9\0\0\0\x0a\0\0\0\x04\0\0\0\x07\0\0\0\x01a:b"
    );
}

#[test]
fn requests_are_what_the_protocol_says() {
    let request = Request {
        flags: 0x0102,
        command: Command::WriteZeroes,
        cookie: 0x1112_1314_1516_1718,
        offset: 0x2122_2324_2526_2728,
        length: 0x3132_3334,
    };
    let bytes = request.encode();
    assert_eq!(
        &bytes,
        b"\x25\x60\x95\x13\x01\x02\0\x06\x11\x12\x13\x14\x15\x16\x17\x18\x21\x22\x23\x24\x25\x26\x27\x28\x31\x32\x33\x34"
    );
    assert_eq!(Request::decode(&bytes).unwrap(), request);
    for number in 0..10u8 {
        let mut bytes = bytes;
        bytes[7] = number;
        assert_eq!(Request::decode(&bytes).unwrap().encode(), bytes);
    }
}

#[test]
fn replies_are_what_the_protocol_says() {
    let simple = simple_reply(7, 5);
    assert_eq!(simple, b"\x67\x44\x66\x98\0\0\0\x05\0\0\0\0\0\0\0\x07");
    let chunk = Chunk {
        cookie: 7,
        kind: ChunkKind::Error,
        is_last: true,
    };
    let head = chunk_head(chunk, 9);
    assert_eq!(
        head,
        b"\x66\x8e\x33\xef\0\x01\x80\x01\0\0\0\0\0\0\0\x07\0\0\0\x09"
    );
    let decoded = ReplyHead::decode(&head[..16].try_into().unwrap()).unwrap();
    assert_eq!(decoded, ReplyHead::Chunk(chunk));

    assert_eq!(encode_error(ErrorCode::IO, "ab"), b"\0\0\0\x05\0\x02ab");
    assert_eq!(encode_hole(1, 2), b"\0\0\0\0\0\0\0\x01\0\0\0\x02");
    assert_eq!(
        encode_status(1, &[(2, 3)]),
        b"\0\0\0\x01\0\0\0\x02\0\0\0\x03"
    );
    // A message is cut between characters.
    let long = "ä".repeat(3000);
    assert_eq!(encode_error(ErrorCode::IO, &long).len(), 6 + 4096);
}
