use std::collections::HashSet;

/// With what is added to it, a name is no longer than file systems allow.
const NAME_BYTES_MAX: usize = 200;

/// A file name for each disk, made of its own name: one that is safe in every shell's hands, and that no other has.
pub(crate) fn file_names<'a>(disks: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut taken = HashSet::new();
    let named = disks.into_iter().map(|disk| {
        let base = safe(disk);
        let mut name = format!("{base}.raw");
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{base}-{number}.raw");
            number += 1;
        }
        name
    });
    named.collect()
}

/// Letters, digits and some marks stay.
fn safe(name: &str) -> String {
    let mut safe = String::new();
    for character in name.chars() {
        let stays = character.is_alphanumeric() || "._-+@".contains(character);
        safe.push(if stays { character } else { '_' });
        if safe.len() >= NAME_BYTES_MAX {
            break;
        }
    }
    // No option of a command, and nothing hidden.
    if safe.is_empty() || safe.starts_with(['.', '-']) {
        safe.insert(0, '_');
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_differ() {
        let disks = [
            "data",
            "data",
            "../etc/passwd",
            "",
            "-rf",
            "Größe 1",
            "a\n\0b",
            "data-2",
        ];
        let names = file_names(disks);
        let expected = [
            "data.raw",
            "data-2.raw",
            "_.._etc_passwd.raw",
            "_.raw",
            "_-rf.raw",
            "Größe_1.raw",
            "a__b.raw",
            "data-2-2.raw",
        ];
        assert_eq!(names, expected);
        let long = &file_names(["ü".repeat(1000).as_str()])[0];
        assert_eq!(long, &format!("{}.raw", "ü".repeat(100)));
    }
}
