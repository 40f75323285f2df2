//! object_store's files, but for deletions and listings: those it does not make durable, so that a point that was deleted
//! would come back after a power cut, and these leave out what the system cannot look at.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use super::list::list;
use super::{parent_of, sync_folder};

/// Deletions that one sync of each folder makes durable together.
const DELETIONS_AT_ONCE: usize = 256;

#[derive(Debug, Clone)]
pub(super) struct LocalObjects(LocalFileSystem);

impl LocalObjects {
    pub(super) fn open(folder: &std::path::Path) -> Result<Self> {
        let files = LocalFileSystem::new_with_prefix(folder)?;
        Ok(Self(files.with_fsync(true)))
    }

    /// An object that is there may have been named by a writer that died before it synced the folder. Who is told that it
    /// exists takes it for durable.
    async fn make_durable(self, location: &Path) -> Result<()> {
        let file = self.0.path_to_filesystem(location)?;
        let work = move || sync_folder(parent_of(&file)).map_err(failed);
        let joined = tokio::task::spawn_blocking(work).await;
        joined.map_err(|source| Error::JoinError { source })?
    }

    /// Removes the files, then makes that durable. Results are in the order of the locations.
    async fn remove(self, locations: Vec<Result<Path>>) -> Vec<Result<Path>> {
        let work = move || {
            let mut folders = BTreeSet::new();
            let mut results = Vec::with_capacity(locations.len());
            for location in locations {
                let removed = location.and_then(|location| {
                    let file = self.0.path_to_filesystem(&location)?;
                    remove_file(&file, &location)?;
                    folders.insert(parent_of(&file).to_owned());
                    Ok(location)
                });
                results.push(removed);
            }
            match sync_all(&folders) {
                Ok(()) => results,
                // None of them is known to be durable.
                Err(error) => vec![Err(error)],
            }
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(results) => results,
            Err(source) => vec![Err(Error::JoinError { source })],
        }
    }
}

fn remove_file(file: &std::path::Path, location: &Path) -> Result<()> {
    fs::remove_file(file).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound {
            path: location.to_string(),
            source: source.into(),
        },
        _ => failed(source),
    })
}

fn sync_all(folders: &BTreeSet<PathBuf>) -> Result<()> {
    let mut synced = folders.iter().map(|folder| sync_folder(folder));
    synced.try_for_each(|synced| synced.map_err(failed))
}

pub(super) fn failed(source: std::io::Error) -> Error {
    Error::Generic {
        store: "LocalObjects",
        source: source.into(),
    }
}

impl fmt::Display for LocalObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for LocalObjects {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let put = self.0.put_opts(location, payload, options).await;
        if matches!(put, Err(Error::AlreadyExists { .. })) {
            self.clone().make_durable(location).await?;
        }
        put
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let objects = self.clone();
        locations
            .ready_chunks(DELETIONS_AT_ONCE)
            .then(move |locations| objects.clone().remove(locations))
            .flat_map(stream::iter)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let Some(prefix) = prefix.cloned() else {
            return self.0.list(None);
        };
        let files = self.0.clone();
        let listed = async move {
            let listed = tokio::task::spawn_blocking(move || list(&files, &prefix)).await;
            match listed {
                Ok(Ok(objects)) => stream::iter(objects.into_iter().map(Ok).collect::<Vec<_>>()),
                Ok(Err(error)) => stream::iter(vec![Err(error)]),
                Err(source) => stream::iter(vec![Err(Error::JoinError { source })]),
            }
        };
        listed.into_stream().flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.0.rename_opts(from, to, options).await
    }
}
