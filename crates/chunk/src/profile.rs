use crate::{Error, Result};

/// Bytes of one grid block; every cut falls on a multiple of it.
pub const BLOCK_BYTES: usize = 4096;

/// How finely a repository cuts; fixed when the repository is made, because chunks cut in different
/// ways do not deduplicate against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Chunks of 8 to 128 KiB, 32 KiB aimed at.
    #[default]
    Default,
    /// Chunks of 4 to 64 KiB, 16 KiB aimed at: less growth per day, twice the index.
    Dense,
    /// Chunks of 16 to 256 KiB, 64 KiB aimed at, stronger compression: for data that rarely changes.
    Archive,
}

impl Profile {
    pub const ALL: [Self; 3] = [Self::Default, Self::Dense, Self::Archive];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Dense => "dense",
            Self::Archive => "archive",
        }
    }

    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.as_str() == name)
            .ok_or(Error::Malformed("unknown profile"))
    }

    /// Fewest grid blocks after which a block may end a chunk.
    pub fn blocks_min(self) -> usize {
        self.blocks_target() / 4
    }

    /// One block in so many ends a chunk.
    pub fn blocks_target(self) -> usize {
        match self {
            Self::Dense => 4,
            Self::Default => 8,
            Self::Archive => 16,
        }
    }

    /// Grid blocks after which a chunk ends whatever its content.
    pub fn blocks_max(self) -> usize {
        self.blocks_target() * 4
    }

    pub fn chunk_bytes_max(self) -> usize {
        self.blocks_max() * BLOCK_BYTES
    }

    /// A frame is closed before it holds more plain bytes than this.
    pub fn frame_bytes_max(self) -> usize {
        match self {
            Self::Default | Self::Dense => 384 << 10,
            Self::Archive => 1 << 20,
        }
    }

    pub fn zstd_level(self) -> i32 {
        match self {
            Self::Default | Self::Dense => 1,
            Self::Archive => 3,
        }
    }
}
