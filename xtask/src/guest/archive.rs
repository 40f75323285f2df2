//! The archive that a Linux kernel unpacks as its first file system: cpio, "newc".

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;
const END: &str = "TRAILER!!!";
const ALIGNMENT: usize = 4;

#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    names: BTreeSet<String>,
}

impl Archive {
    /// Adds a file that may be run, and the folders above it. A name that is there already is left as it is.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) {
        self.add_entry(name, PROGRAM, content);
    }

    pub(super) fn add_file(&mut self, name: &str, file: &Path) -> Result<()> {
        let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        self.add(name, &content);
        Ok(())
    }

    pub(super) fn add_link(&mut self, name: &str, target: &str) {
        self.add_entry(name, LINK, target.as_bytes());
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.write(END, 0, &[]);
        self.bytes
    }

    fn add_entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        if let Some((folder, _)) = name.rsplit_once('/') {
            self.add_entry(folder, DIRECTORY, &[]);
        }
        if self.names.insert(name.to_owned()) {
            self.write(name, mode, content);
        }
    }

    fn write(&mut self, name: &str, mode: u32, content: &[u8]) {
        let inode = self.names.len();
        let (owner, group, links, moment, device) = (0, 0, 1, 0, 0);
        let size = content.len();
        let name_size = name.len() + 1;
        let header = format!(
            "070701{inode:08x}{mode:08x}{owner:08x}{group:08x}{links:08x}{moment:08x}{size:08x}\
             {device:08x}{device:08x}{device:08x}{device:08x}{name_size:08x}{check:08x}{name}\0",
            check = 0,
        );
        self.bytes.extend(header.into_bytes());
        self.align();
        self.bytes.extend(content);
        self.align();
    }

    fn align(&mut self) {
        let length = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(length, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn folders_come_once_and_before_what_is_in_them() {
        let mut archive = Archive::default();
        archive.add("bin/a", b"12345");
        archive.add_link("bin/b", "a");
        archive.add("bin/a", b"never");
        let bytes = archive.finish();
        let text = String::from_utf8(bytes).unwrap();
        let entries: Vec<&str> = text.split("070701").skip(1).collect();
        assert_eq!(entries.len(), 4);
        let names = [
            ("bin", "000041ed"),
            ("bin/a", "000081ed"),
            ("bin/b", "0000a1ff"),
        ];
        for (entry, (name, mode)) in entries.iter().zip(names) {
            assert_eq!(&entry[8..16], mode);
            assert_eq!(entry[104..].split('\0').next(), Some(name));
        }
        assert!(entries[1].ends_with("12345\0\0\0"));
        assert_eq!(text.len() % 4, 0);
    }
}
