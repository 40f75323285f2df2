use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    Attributes, CopyOptions, Error, Extensions, GetOptions, GetRange, GetResult, GetResultPayload,
    ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::multipart::Upload;
use super::repeat::{CutShort, Repeater, generic};

/// Names that one request lists.
const PAGE: usize = 1000;
/// Deletions that are under way at a time.
const DELETIONS_AT_ONCE: usize = 16;
/// Attempts to create an object of which the server says that it exists, while it does not.
const CONFLICTS_MAX: u32 = 8;
const CONFLICT_PAUSE: Duration = Duration::from_millis(100);

/// The objects of a bucket. Every call is repeated while its failure may pass.
#[derive(Debug, Clone)]
pub(super) struct S3Objects {
    bucket: Arc<PrefixStore<AmazonS3>>,
    repeater: Arc<Repeater>,
}

impl S3Objects {
    pub(super) fn new(bucket: PrefixStore<AmazonS3>, repeater: Repeater) -> Self {
        Self {
            bucket: Arc::new(bucket),
            repeater: Arc::new(repeater),
        }
    }

    /// One request at a time, never repeated.
    pub(super) fn bucket(&self) -> &PrefixStore<AmazonS3> {
        &self.bucket
    }

    pub(super) fn repeater(&self) -> &Repeater {
        &self.repeater
    }

    pub(super) async fn call<T, F: Future<Output = Result<T>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T> {
        self.repeater.call(0, attempt).await.result
    }

    /// Creates an object. An attempt may have created it although it seemed to fail: then the next one finds it
    /// there, with our content.
    async fn create(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        for conflict in 0..CONFLICTS_MAX {
            let length = payload.content_length() as u64;
            let put = || async {
                let (payload, options) = (payload.clone(), options.clone());
                self.bucket.put_opts(location, payload, options).await
            };
            let outcome = self.repeater.call(length, put).await;
            let Err(exists @ Error::AlreadyExists { .. }) = outcome.result else {
                return outcome.result;
            };
            match self.read_if_there(location).await? {
                Some(content) if outcome.repeated && is_same(&content, &payload) => {
                    return Ok(PutResult {
                        e_tag: None,
                        version: None,
                        extensions: Extensions::default(),
                    });
                }
                Some(_) => return Err(exists),
                // Servers also say so when two create it at once, and then refuse both.
                None => tokio::time::sleep(CONFLICT_PAUSE * conflict).await,
            }
        }
        Err(generic(Conflicts))
    }

    async fn read_if_there(&self, location: &Path) -> Result<Option<Bytes>> {
        match self.get(location).await {
            Ok(result) => result.bytes().await.map(Some),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads to the end of the answer, so that what is cut short is asked for again.
    async fn get_whole(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let answer = self.bucket.get_opts(location, options);
        let mut result = self.repeater.part(answer).await??;
        let wanted = result.range.end - result.range.start;
        let mut content = BytesMut::with_capacity(usize::try_from(wanted).unwrap_or(0));
        let GetResultPayload::Stream(mut stream) = result.payload else {
            return Ok(result);
        };
        while let Some(bytes) = self.repeater.part(stream.next()).await? {
            content.extend_from_slice(&bytes?);
        }
        let got = content.len() as u64;
        if got != wanted {
            return Err(generic(CutShort { got, wanted }));
        }
        result.payload = payload(content.freeze());
        Ok(result)
    }

    /// The end of an object, for servers that do not know ranges from the end, and for objects that are empty.
    async fn get_tail(&self, location: &Path, length: u64) -> Result<GetResult> {
        let meta = self.head(location).await?;
        if meta.size == 0 {
            return Ok(GetResult {
                payload: payload(Bytes::new()),
                meta,
                range: 0..0,
                attributes: Attributes::default(),
                extensions: Extensions::default(),
            });
        }
        let start = meta.size.saturating_sub(length);
        let options = GetOptions {
            range: Some(GetRange::Bounded(start..meta.size)),
            ..GetOptions::default()
        };
        self.get_opts(location, options).await
    }

    async fn list_page(&self, prefix: Option<&Path>, after: Option<&Path>) -> Result<Page> {
        let page = || async {
            let listed = match after {
                Some(after) => self.bucket.list_with_offset(prefix, after),
                None => self.bucket.list(prefix),
            };
            listed.take(PAGE).try_collect().await
        };
        self.call(page).await
    }
}

type Page = Vec<ObjectMeta>;

#[derive(Debug, thiserror::Error)]
#[error("the server says that the object exists, and that it does not")]
struct Conflicts;

fn payload(content: Bytes) -> GetResultPayload {
    GetResultPayload::Stream(stream::once(async { Ok(content) }).boxed())
}

fn is_same(content: &Bytes, payload: &PutPayload) -> bool {
    let mut rest = content.as_ref();
    payload.iter().all(|piece| {
        let same = rest.starts_with(piece);
        rest = rest.get(piece.len()..).unwrap_or_default();
        same
    }) && content.len() == payload.content_length()
}

impl fmt::Display for S3Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bucket.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if options.mode == PutMode::Create {
            return self.create(location, payload, options).await;
        }
        let length = payload.content_length() as u64;
        let put = || async {
            let (payload, options) = (payload.clone(), options.clone());
            self.bucket.put_opts(location, payload, options).await
        };
        self.repeater.call(length, put).await.result
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begun = Upload::begin(self.clone(), location.clone(), options).await?;
        Ok(Box::new(begun))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            return self
                .call(|| self.bucket.get_opts(location, options.clone()))
                .await;
        }
        // Its parts have a deadline each, so that a long answer may take its time.
        let length = match &options.range {
            Some(GetRange::Bounded(range)) => range.end.saturating_sub(range.start),
            Some(GetRange::Suffix(length)) => *length,
            Some(GetRange::Offset(_)) | None => u64::from(u32::MAX),
        };
        let get = || self.get_whole(location, options.clone());
        match (self.repeater.call(length, get).await.result, &options.range) {
            (Err(Error::Generic { .. }), Some(GetRange::Suffix(length))) => {
                self.get_tail(location, *length).await
            }
            (result, _) => result,
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let objects = self.clone();
        locations
            .map(move |location| {
                let objects = objects.clone();
                async move {
                    let location = location?;
                    let delete = || objects.bucket.delete(&location);
                    let outcome = objects.repeater.call(0, delete).await;
                    match outcome.result {
                        // An earlier attempt may have removed it.
                        Err(Error::NotFound { .. }) if outcome.repeated => Ok(location),
                        result => result.map(|()| location),
                    }
                }
            })
            .buffered(DELETIONS_AT_ONCE)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list_from(prefix.cloned(), Next::First)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list_from(prefix.cloned(), Next::After(offset.clone()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.call(|| self.bucket.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.call(|| self.bucket.copy_opts(from, to, options.clone()))
            .await
    }
}

/// The page that a listing goes on with.
enum Next {
    First,
    After(Path),
    Nothing,
}

impl S3Objects {
    /// Pages one after another.
    fn list_from(
        &self,
        prefix: Option<Path>,
        next: Next,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let objects = self.clone();
        stream::try_unfold(next, move |next| {
            let (objects, prefix) = (objects.clone(), prefix.clone());
            async move {
                let after = match next {
                    Next::First => None,
                    Next::After(last) => Some(last),
                    Next::Nothing => return Ok::<_, Error>(None),
                };
                let page = objects.list_page(prefix.as_ref(), after.as_ref()).await?;
                let next = match page.last() {
                    Some(last) if page.len() == PAGE => Next::After(last.location.clone()),
                    _ => Next::Nothing,
                };
                Ok(Some((stream::iter(page).map(Ok), next)))
            }
        })
        .try_flatten()
        .boxed()
    }
}
