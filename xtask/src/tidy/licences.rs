//! Licences of everything we link: permissive ones only, read from the packages' SPDX expressions.

use super::Violation;
use super::metadata::Package;

const ALLOWED: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

pub(super) fn check(packages: &[Package]) -> Vec<Violation> {
    let refused = packages
        .iter()
        .filter(|package| !is_permissive(package.license.as_deref()));
    refused
        .map(|package| {
            let licence = package.license.as_deref().unwrap_or("none named");
            let message = format!(
                "{} {} has a licence we may not link: {licence}",
                package.name, package.version
            );
            Violation::new("Cargo.lock", 0, message)
        })
        .collect()
}

pub(super) fn is_permissive(expression: Option<&str>) -> bool {
    let Some(expression) = expression else {
        return false;
    };
    // Old manifests write `MIT/Apache-2.0`.
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let permissive = either(&mut rest);
    permissive && rest.is_empty()
}

/// `both (OR both)*`
fn either(words: &mut &[&str]) -> bool {
    let mut permissive = both(words);
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        permissive |= both(words);
    }
    permissive
}

/// `single (AND single)*`
fn both(words: &mut &[&str]) -> bool {
    let mut permissive = single(words);
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        permissive &= single(words);
    }
    permissive
}

/// `( either )`, `NAME WITH EXCEPTION` or `NAME`; anything else is refused.
fn single(words: &mut &[&str]) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let permissive = either(words);
            let [")", rest @ ..] = *words else {
                return false;
            };
            *words = rest;
            permissive
        }
        [name, "WITH", exception, rest @ ..] => {
            *words = rest;
            ALLOWED.contains(&format!("{name} WITH {exception}").as_str())
        }
        [name, rest @ ..] => {
            *words = rest;
            ALLOWED.contains(name)
        }
        [] => false,
    }
}
