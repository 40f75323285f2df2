/// Bytes in a KiB.
pub const KIB: u64 = 1 << 10;
/// Bytes in a MiB, the wire's "MB".
pub const MIB: u64 = 1 << 20;
/// Bytes in a GiB, the wire's "GB".
pub const GIB: u64 = 1 << 30;

/// Whole GiB that hold `bytes`; the wire states disk and vault sizes so.
pub const fn gib_ceil(bytes: u64) -> u64 {
    bytes.div_ceil(GIB)
}

/// Whole MiB that hold `bytes`; the wire states use of capacity so.
pub const fn mib_ceil(bytes: u64) -> u64 {
    bytes.div_ceil(MIB)
}
