//! One entry of an L2 table: where a cluster of the disk lies.

use super::Header;

/// The cluster, or the L2 table, belongs to this entry alone and may be written in place.
pub(super) const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
const READS_AS_ZEROS: u64 = 1;
const OFFSET_BITS: u64 = 0x00ff_ffff_ffff_fe00;
/// Every subcluster allocated; the upper half of the word would mark zeros.
const ALL_ALLOCATED: u64 = 0x0000_0000_ffff_ffff;
const ALL_ZEROS: u64 = 0xffff_ffff_0000_0000;
const SUBCLUSTERS: u64 = 32;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) descriptor: u64,
    /// The subclusters' states; unused unless the image has extended entries.
    pub(super) subclusters: u64,
}

/// Where bytes of the disk come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mapping {
    /// The backing file, or zeros if there is none.
    Below,
    Zeros,
    /// The file, at this offset.
    Data(u64),
    /// The compressed cluster in this range of the file.
    Compressed {
        offset: u64,
        length: u64,
    },
}

/// What an entry occupies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostRange {
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Entry {
    /// A whole cluster at `host`, used by nobody else.
    pub(super) fn data(host: u64) -> Self {
        Self {
            descriptor: host | COPIED,
            subclusters: ALL_ALLOCATED,
        }
    }

    /// A cluster that hides the backing file behind zeros; images of version 2 have none.
    pub(super) fn zeros(header: &Header) -> Self {
        if header.is_extended() {
            return Self {
                descriptor: 0,
                subclusters: ALL_ZEROS,
            };
        }
        Self {
            descriptor: READS_AS_ZEROS,
            subclusters: 0,
        }
    }

    fn is_compressed(self) -> bool {
        self.descriptor & COMPRESSED != 0
    }

    /// The mapping at `inside`, an offset within the cluster, and how many bytes share it.
    pub(super) fn mapping(
        self,
        header: &Header,
        inside: u64,
    ) -> Result<(Mapping, u64), &'static str> {
        let rest = header.cluster_bytes() - inside;
        if self.is_compressed() {
            let range = self.compressed_range(header);
            let mapping = Mapping::Compressed {
                offset: range.offset,
                length: range.length,
            };
            return Ok((mapping, rest));
        }
        let host = self.host(header)?;
        if header.is_extended() {
            return self.subcluster_mapping(header, host, inside);
        }
        let mapping = match (self.descriptor & READS_AS_ZEROS != 0, host) {
            (true, _) if header.version < 3 => return Err("zero cluster in version 2"),
            (true, _) => Mapping::Zeros,
            (false, Some(host)) => Mapping::Data(host + inside),
            (false, None) => Mapping::Below,
        };
        Ok((mapping, rest))
    }

    fn subcluster_mapping(
        self,
        header: &Header,
        host: Option<u64>,
        inside: u64,
    ) -> Result<(Mapping, u64), &'static str> {
        let (allocated, zeros) = (self.subclusters, self.subclusters >> SUBCLUSTERS);
        if allocated & zeros & ALL_ALLOCATED != 0 {
            return Err("a subcluster is both allocated and zero");
        }
        let size = header.cluster_bytes() / SUBCLUSTERS;
        let state = |index: u64| (allocated >> index & 1, zeros >> index & 1);
        let first = inside / size;
        let mut last = first;
        while last + 1 < SUBCLUSTERS && state(last + 1) == state(first) {
            last += 1;
        }
        let mapping = match (state(first), host) {
            ((1, _), Some(host)) => Mapping::Data(host + inside),
            ((1, _), None) => return Err("an allocated subcluster lies nowhere"),
            ((_, 1), _) => Mapping::Zeros,
            _ => Mapping::Below,
        };
        Ok((mapping, (last + 1) * size - inside))
    }

    /// The cluster of the file that belongs to the entry, whether it is read or only kept ready.
    fn host(self, header: &Header) -> Result<Option<u64>, &'static str> {
        let flags = if header.is_extended() {
            COPIED
        } else {
            COPIED | READS_AS_ZEROS
        };
        if self.descriptor & !(OFFSET_BITS | flags) != 0 {
            return Err("reserved bits are set");
        }
        let host = self.descriptor & OFFSET_BITS;
        if !host.is_multiple_of(header.cluster_bytes()) {
            return Err("a cluster lies between two clusters");
        }
        match host {
            0 if self.descriptor & COPIED != 0 => Err("a cluster lies nowhere"),
            0 => Ok(None),
            host => Ok(Some(host)),
        }
    }

    fn compressed_range(self, header: &Header) -> HostRange {
        let sector_count_shift = 62 - (header.cluster_bits - 8);
        let offset = self.descriptor & ((1 << sector_count_shift) - 1) & !(0xff << 56);
        let sectors = (self.descriptor & !(COPIED | COMPRESSED)) >> sector_count_shift;
        HostRange {
            offset,
            length: (sectors + 1) * 512 - offset % 512,
        }
    }

    /// The bytes of the file that would no longer be referred to without this entry.
    pub(super) fn host_range(self, header: &Header) -> Result<Option<HostRange>, &'static str> {
        if self.is_compressed() {
            return Ok(Some(self.compressed_range(header)));
        }
        let length = header.cluster_bytes();
        Ok(self
            .host(header)?
            .map(|offset| HostRange { offset, length }))
    }

    /// The cluster of the file, if all of it holds data and nobody else refers to it.
    pub(super) fn own_host(self, header: &Header) -> Option<u64> {
        let is_whole = match self.mapping(header, 0) {
            Ok((Mapping::Data(_), length)) => length == header.cluster_bytes(),
            _ => false,
        };
        (is_whole && self.descriptor & COPIED != 0).then_some(self.descriptor & OFFSET_BITS)
    }
}

/// The L2 table that an L1 entry points at.
pub(super) fn table_offset(l1_entry: u64) -> Result<Option<u64>, &'static str> {
    if l1_entry & !(OFFSET_BITS | COPIED) != 0 {
        return Err("reserved bits are set");
    }
    match l1_entry & OFFSET_BITS {
        0 => Ok(None),
        offset => Ok(Some(offset)),
    }
}
