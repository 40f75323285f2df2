/// A text whose length in characters and alphabet are checked; `pattern` says both to API readers.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $min:literal..=$max:literal, $allowed:expr, $pattern:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, &'static str> {
                let allowed: fn(char) -> bool = $allowed;
                let length = text.chars().count();
                if ($min..=$max).contains(&length) && text.chars().all(allowed) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(concat!("it must be ", $min, " to ", $max, " ", $rule))
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .min_length(Some($min))
                    .max_length(Some($max))
                    .pattern(Some($pattern))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

/// The CJK ideographs the service's names may hold beside ASCII.
const fn is_cjk(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}')
}

const fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') || is_cjk(c)
}

/// PostgreSQL keeps no NUL, and no other control character belongs in a line of text.
fn printable(c: char) -> bool {
    !c.is_control()
}

/// Descriptions may have line breaks and tabs, but no markup.
fn in_description(c: char) -> bool {
    !matches!(c, '<' | '>') && (printable(c) || matches!(c, '\n' | '\r' | '\t'))
}

text!(/// The name of a vault, a restore point or a backup.
    Name, 1..=64, in_name, "^[A-Za-z0-9_.\u{4e00}-\u{9fff}-]+$",
    "letters, digits, CJK characters, `_`, `-` or `.`");
text!(/// Begins the names of automatic backups.
    BackupNamePrefix, 0..=32, in_name, "^[A-Za-z0-9_.\u{4e00}-\u{9fff}-]*$",
    "letters, digits, CJK characters, `_`, `-` or `.`");
text!(
    Description,
    0..=255,
    in_description,
    "^[^<>\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{7f}-\u{9f}]*$",
    "characters without `<` and `>`"
);
text!(
    AvailabilityZone,
    1..=32,
    |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'),
    "^[A-Za-z0-9_.-]+$",
    "letters, digits, `_`, `-` or `.`"
);
text!(/// What a client calls a resource; the inventory's own name is shown instead.
    Label, 0..=255, printable, "^[^\u{0}-\u{1f}\u{7f}-\u{9f}]*$", "printable characters");
text!(/// A word of another system: an enterprise project, the owner of a lock, a spelling of a filter.
    ShortText, 0..=64, printable, "^[^\u{0}-\u{1f}\u{7f}-\u{9f}]*$", "printable characters");
text!(/// The name under which an installation is known to others.
    RegionName, 0..=255, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'),
    "^[A-Za-z0-9._-]*$", "letters, digits, `_`, `-` or `.`");
text!(
    TagKey,
    1..=36,
    |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-') || is_cjk(c),
    "^[A-Za-z0-9_\u{4e00}-\u{9fff}-]+$",
    "letters, digits, CJK characters, `_` or `-`"
);
text!(/// A key or value of a tag that is looked for or deleted: whatever it is, it must be found.
    TagText, 0..=127, printable, "^[^\u{0}-\u{1f}\u{7f}-\u{9f}]*$", "printable characters");
text!(
    TagValue,
    0..=43,
    in_name,
    "^[A-Za-z0-9_.\u{4e00}-\u{9fff}-]*$",
    "letters, digits, CJK characters, `_`, `-` or `.`"
);
text!(/// The name of a volume or server of the inventory.
    InventoryName, 1..=255, printable, "^[^\u{0}-\u{1f}\u{7f}-\u{9f}]+$", "printable characters");
text!(/// Where a disk lies: an absolute path on the host of the service, or an NBD URI. The service checks which.
    DiskPlace, 1..=4096, printable, "^(/|nbds?(\\+unix)?://)[^\u{0}-\u{1f}\u{7f}-\u{9f}]*$", "printable characters");
text!(/// A libvirt of the host of the service. The service checks which.
    LibvirtUri, 1..=4096, printable, "^qemu(\\+unix)?:///[^\u{0}-\u{1f}\u{7f}-\u{9f}]*$", "printable characters");
text!(/// Where a socket lies on its host; the service checks that it is absolute.
    SocketPath, 1..=4096, printable, "^/[^\u{0}-\u{1f}\u{7f}-\u{9f}]*$", "printable characters");
