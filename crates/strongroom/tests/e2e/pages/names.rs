//! What stands on a page for what only a real installation has: `BACKUP`, `{vault_id}`, `/etc/strongroom/`.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Values of words in capitals.
    words: BTreeMap<String, String>,
    /// Texts that are replaced wherever they begin a word.
    texts: Vec<(String, String)>,
}

impl Names {
    pub(crate) fn word(&mut self, word: &str, value: &str) {
        self.words.insert(word.to_owned(), value.to_owned());
    }

    pub(crate) fn text(&mut self, text: &str, value: &str) {
        self.texts.push((text.to_owned(), value.to_owned()));
    }

    /// The text with everything that is known put in; `{vault_id}` is what VAULT is.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let (mut rest, mut before) = (text, ' ');
        while let Some(first) = rest.chars().next() {
            let in_word = before.is_alphanumeric() || "_-".contains(before);
            let in_path = in_word || "/.}".contains(before);
            let found = self.in_braces(rest);
            let found = found.or_else(|| self.word_at(rest).filter(|_| !in_word));
            let found = found.or_else(|| self.text_at(rest).filter(|_| !in_path));
            let length = first.len_utf8();
            let (value, length) = found.unwrap_or((&rest[..length], length));
            filled += value;
            before = rest[..length].chars().next_back().unwrap_or(' ');
            rest = &rest[length..];
        }
        filled
    }

    /// What stands for the text's beginning, and how long that is.
    fn text_at<'a>(&'a self, text: &str) -> Option<(&'a str, usize)> {
        let known = self
            .texts
            .iter()
            .filter(|(known, _)| text.starts_with(known));
        let known = known.max_by_key(|(known, _)| known.len());
        known.map(|(known, value)| (value.as_str(), known.len()))
    }

    fn word_at<'a>(&'a self, text: &str) -> Option<(&'a str, usize)> {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let word = &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())];
        let value = self.words.get(word)?;
        Some((value, word.len()))
    }

    fn in_braces<'a>(&'a self, text: &str) -> Option<(&'a str, usize)> {
        let (name, _) = text.strip_prefix('{')?.split_once('}')?;
        let word = name.strip_suffix("_id")?.to_uppercase();
        let value = self.words.get(&word)?;
        Some((value, name.len() + 2))
    }
}

#[test]
fn names_are_put_in_where_they_are_whole_words() {
    let mut names = Names::default();
    names.word("VAULT", "7");
    names.text("/etc/", "/tmp/etc/");
    let text = "VAULT=VAULTS /v3/{vault_id}/etc/ '/etc/VAULT' {new_id} --to=/etc/ü.VAULT";
    let expected = "7=VAULTS /v3/7/etc/ '/tmp/etc/7' {new_id} --to=/tmp/etc/ü.7";
    assert_eq!(names.fill(text), expected);
}
