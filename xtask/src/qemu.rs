//! QEMU's emulator in step with QEMU's tools: Debian's tools of version 8 and later break emulators of before it, and apt
//! would rather remove the tools than look for an emulator where they came from.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell;

/// Debian's package of the emulator.
pub(crate) const PACKAGE: &str = "qemu-system-x86";
/// Debian's package of the tools.
pub(crate) const TOOLS: &str = "qemu-utils";

/// Marks versions that were made for an older release than they come from.
const BACKPORTED: &str = "~bpo";
const SOURCES: &str = "/etc/apt/sources.list.d";
const DEBIAN: &str = "debian.sources";
const ADDED: &str = "backports.sources";

/// The suite that the emulator must come from, when it is not the system's own; apt's lists must be read anew, for the suite
/// may have been added to its sources.
pub(crate) fn suite() -> Result<Option<String>> {
    let query = ["--show", "--showformat=${Version}", TOOLS];
    // Fails when the tools are not here: then all comes from one suite.
    let tools = shell::output(shell::command("dpkg-query").args(query)).unwrap_or_default();
    if !tools.contains(BACKPORTED) {
        return Ok(None);
    }
    let suite = format!("{}-backports", codename()?);
    let known = shell::output(shell::command("apt-cache").args(["madison", PACKAGE]))?;
    if !known.contains(BACKPORTED) {
        add(&suite)?;
    }
    Ok(Some(suite))
}

fn codename() -> Result<String> {
    const RELEASE: &str = "/etc/os-release";
    let release = fs::read_to_string(RELEASE).with_context(|| format!("cannot read {RELEASE}"))?;
    let mut lines = release.lines();
    let name = lines.find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let name = name.with_context(|| format!("{RELEASE} has no VERSION_CODENAME"))?;
    Ok(name.trim_matches('"').to_owned())
}

/// From where the system itself comes, with the same key.
fn add(suite: &str) -> Result<()> {
    let debian = Path::new(SOURCES).join(DEBIAN);
    let Ok(sources) = fs::read_to_string(&debian) else {
        bail!(
            "{TOOLS} is from {suite}, which apt's sources must name, so that {PACKAGE} can come from there too"
        );
    };
    let added = Path::new(SOURCES).join(ADDED);
    fs::write(&added, stanza(&sources, suite))
        .with_context(|| format!("cannot write {}", added.display()))
}

/// The first stanza, for another suite.
fn stanza(sources: &str, suite: &str) -> String {
    let lines = sources.lines().skip_while(|line| line.trim().is_empty());
    let lines = lines.take_while(|line| !line.trim().is_empty());
    let lines = lines.map(|line| match line.split_once(':') {
        Some(("Suites", _)) => format!("Suites: {suite}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::stanza;

    #[test]
    fn another_suite_comes_from_where_the_first_does() {
        let sources = "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: trixie trixie-updates\n\
            Components: main\nSigned-By: /key.gpg\n\nTypes: deb\nSuites: trixie-security\n";
        let expected = "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: trixie-backports\n\
            Components: main\nSigned-By: /key.gpg\n";
        assert_eq!(stanza(sources, "trixie-backports"), expected);
    }
}
