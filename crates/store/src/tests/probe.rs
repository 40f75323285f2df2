//! Servers that accept conditions and break them are found out.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use strongroom_testkit::SeededIds;

use crate::Error;
use crate::probe::prove_exclusive_create;

/// Creates by overwriting: always, or when two come at once.
#[derive(Debug)]
struct Careless {
    objects: InMemory,
    sees_what_was_there: bool,
}

impl fmt::Display for Careless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Careless")
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        let head = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        let is_there = self.objects.get_opts(location, head).await.is_ok();
        // Somebody else has time to write here.
        tokio::task::yield_now().await;
        if !(is_there && self.sees_what_was_there) {
            options.mode = PutMode::Overwrite;
        }
        self.objects.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.objects.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_place_that_overwrites_is_refused() {
    for sees_what_was_there in [false, true] {
        let objects: Arc<dyn ObjectStore> = Arc::new(Careless {
            objects: InMemory::new(),
            sees_what_was_there,
        });
        let refused = prove_exclusive_create(&objects, &SeededIds::default()).await;
        assert!(matches!(refused, Err(Error::NotExclusive)));
        let left: Vec<_> = objects.list(None).try_collect().await.unwrap();
        assert!(left.is_empty());
    }
}

#[tokio::test]
async fn a_place_that_creates_exclusively_is_accepted() {
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let proven = prove_exclusive_create(&objects, &SeededIds::default()).await;
    proven.unwrap();
}
