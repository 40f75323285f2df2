//! Small objects that hold one sealed text, and the check that every whole object passes.

use crate::bytes_io::to_u32;
use crate::header::HEADER_BYTES;
use crate::keys::HEADER_OF_THESE_KEYS;
use crate::seal::TAG_BYTES;
use crate::trailer::{BlockHasher, FOOTER_BYTES, HASH_BLOCK_BYTES, Section, SectionKind, Trailer};
use crate::{Error, Header, Keys, Kind, Result};

/// An object that holds `plain`, sealed. `header` must come from the same `keys`.
pub fn seal_object(header: &Header, keys: &Keys, plain: &[u8]) -> Vec<u8> {
    let mut body = plain.to_vec();
    keys.seal_key(header)
        .expect(HEADER_OF_THESE_KEYS)
        .seal(0, to_u32(plain.len()), 0, &mut body);
    let mut bytes = header.encode().to_vec();
    bytes.extend(&body);
    let section = Section::new(SectionKind::Body, HEADER_BYTES as u64, body.len() as u64);
    let mut hasher = BlockHasher::default();
    hasher.update(&bytes);
    let trailer = Trailer::encode(header, bytes.len() as u64, &[section], &hasher.finish());
    bytes.extend(trailer);
    bytes
}

/// The header and the text of an object that [`seal_object`] made.
pub fn open_object(bytes: &[u8], kind: Kind, keys: &Keys) -> Result<(Header, Vec<u8>)> {
    let trailer = check_object(bytes, kind, keys)?;
    let mut body = bytes[trailer.section(SectionKind::Body)?.range()].to_vec();
    let length = u32::try_from(body.len().saturating_sub(TAG_BYTES))
        .map_err(|_| Error::Malformed("too large"))?;
    keys.seal_key(&trailer.header)?
        .open(0, length, 0, &mut body)?;
    Ok((trailer.header, body))
}

/// Checks everything about a whole object that needs no key, and returns its trailer.
pub fn scrub_object(bytes: &[u8]) -> Result<Trailer> {
    let header = Header::decode(bytes)?;
    if bytes.len() < HEADER_BYTES + FOOTER_BYTES {
        return Err(Error::Malformed("cut short"));
    }
    let trailer = Trailer::decode(bytes, bytes.len() as u64)?;
    if trailer.header != header {
        return Err(Error::Malformed("header and footer differ"));
    }
    let body = &bytes[..bytes.len() - Trailer::length(bytes, bytes.len() as u64)?];
    for (number, block) in body.chunks(HASH_BLOCK_BYTES).enumerate() {
        if !trailer.block_matches(number, block) {
            return Err(Error::Malformed("a block does not match its hash"));
        }
    }
    Ok(trailer)
}

/// [`scrub_object`], and it is one of this kind and of this repository.
pub(crate) fn check_object(bytes: &[u8], kind: Kind, keys: &Keys) -> Result<Trailer> {
    let trailer = scrub_object(bytes)?;
    if trailer.header.kind != kind {
        return Err(Error::Malformed("an object of another kind"));
    }
    if trailer.header.repository != keys.repository() {
        return Err(Error::Malformed("an object of another repository"));
    }
    Ok(trailer)
}

/// Unkeyed BLAKE3, against accidents only.
pub fn checksum(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}
