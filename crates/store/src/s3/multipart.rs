//! Objects in parts, for those that are too large to be held in memory. Only for names that nobody else uses: when one
//! is completed, it replaces what has its name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::FutureExt;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Error, Extensions, MultipartId, MultipartUpload, ObjectStoreExt, PutMultipartOptions,
    PutPayload, PutResult, Result, UploadPart,
};

use super::objects::S3Objects;
use super::repeat::generic;

/// An upload that has begun. Parts may be of any size that the server takes: S3 wants 5 MiB of each but the last.
pub(super) struct Upload {
    objects: S3Objects,
    location: Path,
    id: MultipartId,
    next_part: usize,
    length: u64,
    /// Those that the server has acknowledged, by their numbers.
    stored: Arc<Mutex<BTreeMap<usize, PartId>>>,
}

/// An upload was to be completed of which the server does not have all parts.
#[derive(Debug, thiserror::Error)]
#[error("{stored} of {begun} parts were stored")]
struct Incomplete {
    stored: usize,
    begun: usize,
}

impl Upload {
    pub(super) async fn begin(
        objects: S3Objects,
        location: Path,
        options: PutMultipartOptions,
    ) -> Result<Self> {
        // An answer that is lost leaves an upload behind that has no parts; the next attempt begins another one.
        let begin = || {
            let options = options.clone();
            objects.bucket().create_multipart_opts(&location, options)
        };
        let id = objects.call(begin).await?;
        Ok(Self {
            objects,
            location,
            id,
            next_part: 0,
            length: 0,
            stored: Arc::default(),
        })
    }

    /// An attempt whose answer was lost may have completed the upload; the next one finds no upload, but the object.
    /// Nobody else writes one of this name.
    async fn was_completed(&self) -> Result<bool> {
        match self.objects.head(&self.location).await {
            Ok(meta) => Ok(meta.size == self.length),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let number = self.next_part;
        self.next_part += 1;
        self.length += data.content_length() as u64;
        let (objects, stored) = (self.objects.clone(), Arc::clone(&self.stored));
        let (location, id) = (self.location.clone(), self.id.clone());
        async move {
            let length = data.content_length() as u64;
            // A part that comes twice replaces itself.
            let put = || {
                let bucket = objects.bucket();
                bucket.put_part(&location, &id, number, data.clone())
            };
            let part = objects.repeater().call(length, put).await.result?;
            lock(&stored).insert(number, part);
            Ok(())
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let parts: Vec<PartId> = lock(&self.stored).values().cloned().collect();
        if parts.len() != self.next_part {
            return Err(generic(Incomplete {
                stored: parts.len(),
                begun: self.next_part,
            }));
        }
        let complete = || {
            let bucket = self.objects.bucket();
            bucket.complete_multipart(&self.location, &self.id, parts.clone())
        };
        // As long as it takes to send them: some servers copy the parts before they answer.
        let outcome = self.objects.repeater().call(self.length, complete).await;
        match outcome.result {
            Err(gone @ Error::NotFound { .. }) if outcome.repeated => {
                if self.was_completed().await? {
                    return Ok(PutResult {
                        e_tag: None,
                        version: None,
                        extensions: Extensions::default(),
                    });
                }
                Err(gone)
            }
            result => result,
        }
    }

    /// Takes the parts back. Does not try for long: who aborts has mostly waited already.
    async fn abort(&mut self) -> Result<()> {
        let abort = || {
            let bucket = self.objects.bucket();
            bucket.abort_multipart(&self.location, &self.id)
        };
        match self.objects.repeater().call_briefly(abort).await.result {
            // An earlier attempt did it, or the upload was completed although that seemed to fail.
            Err(Error::NotFound { .. }) => Ok(()),
            result => result,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Upload");
        shown.field("location", &self.location);
        shown.field("parts", &self.next_part);
        shown.finish_non_exhaustive()
    }
}
