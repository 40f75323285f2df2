//! Point objects: written last, so that their appearance is the commit; removed first.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures::{StreamExt, stream};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use strongroom_chunk::{ContentId, Header, Keys, Kind, ObjectId, Place, open_object, seal_object};
use strongroom_types::{Chain, IdSource, Timestamp};

use crate::sessions::parse_root;
use crate::store::{Created, Listed, Store};
use crate::{Error, NewPoint, Point, PointId, Result, layout};

const READS_IN_FLIGHT: usize = 16;
const NAME_BYTES_MAX: usize = 256;
const ATTRIBUTES_BYTES_MAX: usize = 64 << 10;

/// The sealed text of a point object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredPoint {
    pub(crate) name: String,
    pub(crate) lineage: String,
    pub(crate) size_bytes: u64,
    pub(crate) created_at_us: i64,
    pub(crate) profile: String,
    /// The session that wrote it; absent in points from before there were sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    /// Id of the lineage's point before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<PointId>,
    pub(crate) root: String,
    /// Hint: pack and slot of the root node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) root_place: Option<(String, u32)>,
    pub(crate) attributes: serde_json::Value,
    pub(crate) bytes_scanned: u64,
    pub(crate) bytes_new: u64,
    pub(crate) bytes_stored: u64,
}

/// Where an image's tree begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) id: ContentId,
    pub(crate) place: Place,
}

impl StoredPoint {
    pub(crate) fn to_point(&self, id: PointId) -> Point {
        Point {
            id,
            name: self.name.clone(),
            lineage: self.lineage.clone(),
            size_bytes: self.size_bytes,
            created_at: Timestamp::from_micros(self.created_at_us),
            root: self.root.clone(),
            attributes: self.attributes.clone(),
            bytes_scanned: self.bytes_scanned,
            bytes_new: self.bytes_new,
            bytes_stored: self.bytes_stored,
        }
    }

    /// The root of the tree; nothing for an image that is one hole.
    pub(crate) fn root(&self) -> Result<Option<Root>, strongroom_chunk::Error> {
        parse_root(&self.root, self.root_place.as_ref())
    }
}

/// Refuses what no point may say.
pub(crate) fn check(new: &NewPoint) -> Result<()> {
    let invalid = |text: &str| Err(Error::Invalid(text.to_owned()));
    if new.name.is_empty() || new.name.len() > NAME_BYTES_MAX {
        return invalid("a point's name has 1 to 256 bytes");
    }
    if new.lineage.is_empty() || new.lineage.len() > NAME_BYTES_MAX {
        return invalid("a lineage's name has 1 to 256 bytes");
    }
    if new.attributes.to_string().len() > ATTRIBUTES_BYTES_MAX {
        return invalid("a point's attributes have at most 64 KiB");
    }
    Ok(())
}

pub(crate) fn point_id(object: ObjectId) -> PointId {
    PointId::from_bytes(object.0)
}

/// A point as it was read, or why it could not be.
pub(crate) type Found = (ObjectId, Result<StoredPoint>);

#[derive(Debug)]
pub(crate) struct Points {
    store: Store,
    keys: Keys,
    /// Points never change; the stamp tells when a name was given to another one.
    known: Mutex<HashMap<ObjectId, (String, StoredPoint)>>,
}

impl Points {
    pub(crate) fn new(store: Store, keys: Keys) -> Self {
        Self {
            store,
            keys,
            known: Mutex::default(),
        }
    }

    pub(crate) async fn create(
        &self,
        point: &StoredPoint,
        ids: &dyn IdSource,
    ) -> Result<(PointId, Created)> {
        let id = self.keys.point_id(&point.name);
        let header = Header::new(Kind::Point, &self.keys, id, ids);
        let json = serde_json::to_vec(point).expect("a point has string keys only");
        let object = seal_object(&header, &self.keys, &json);
        let path = layout::path(Kind::Point, id);
        let object = Bytes::from(object);
        let created = self.store.create(&path, vec![object.clone()]).await?;
        if created == Created::New {
            self.put_copy(id, object).await;
        }
        Ok((point_id(id), created))
    }

    /// A spare of what the point says. The point alone is the commit: a late request of a writer that died may leave
    /// a copy behind whose point was deleted meanwhile. A point without copy gets it from the next verification.
    async fn put_copy(&self, id: ObjectId, object: Bytes) {
        let path = layout::point_copy(id);
        let put = async {
            let created = self.store.create(&path, vec![object.clone()]).await?;
            if created == Created::New || self.store.read(&path).await? == object {
                return Ok(());
            }
            // Of a point that had this name before, and whose deletion did not come to its end; or of the one that has it
            // now, since this writer slept behind its commit.
            let point = self.store.read(&layout::path(Kind::Point, id)).await?;
            if point == object {
                self.store.replace(&path, vec![object]).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = put.await {
            tracing::warn!(error = %Chain(&error), object = %path, "a point has no copy yet");
        }
    }

    /// Gives a point the copy that it lacks.
    pub(crate) async fn restore_copy(&self, id: ObjectId) -> Result<()> {
        let path = layout::path(Kind::Point, id);
        let object = match self.store.read(&path).await {
            Err(Error::Missing { .. }) => return Ok(()),
            object => object?,
        };
        self.put_copy(id, object).await;
        // Deleted meanwhile, by somebody who found no copy to delete?
        match self.store.read(&path).await {
            Err(Error::Missing { .. }) => self.store.delete(&layout::point_copy(id)).await,
            other => other.map(drop),
        }
    }

    /// The point; from its copy if it is there and damaged.
    pub(crate) async fn read(&self, id: ObjectId) -> Result<StoredPoint> {
        let error = match self.read_at(id, &layout::path(Kind::Point, id)).await {
            Err(
                error @ (Error::Corrupt { .. }
                | Error::NewerVersion { .. }
                | Error::NewerKeys { .. }),
            ) => error,
            other => return other,
        };
        let copied = self.read_at(id, &layout::point_copy(id)).await;
        if copied.is_ok() {
            tracing::warn!(error = %Chain(&error), "a point is read from its copy; repair it");
        }
        // What is wrong with the copy is of less interest than what is wrong with the point.
        copied.map_err(|_| error)
    }

    /// The point in one of its two places.
    pub(crate) async fn read_at(&self, id: ObjectId, path: &Path) -> Result<StoredPoint> {
        let (_, point) = self.read_object_at(id, path).await?;
        Ok(point)
    }

    /// [`Points::read_at`] with the object that says it.
    pub(crate) async fn read_object_at(
        &self,
        id: ObjectId,
        path: &Path,
    ) -> Result<(Bytes, StoredPoint)> {
        let bytes = self.store.read(path).await?;
        let point = self.decode(id, path, &bytes)?;
        Ok((bytes, point))
    }

    /// As [`Points::find`], and durable: its writer may have died in between.
    pub(crate) async fn find_named(&self, name: &str) -> Result<Option<(PointId, StoredPoint)>> {
        let found = self.find(name).await?;
        if found.is_some() {
            let path = layout::path(Kind::Point, self.keys.point_id(name));
            self.store.make_durable(vec![path]).await?;
        }
        Ok(found)
    }

    pub(crate) async fn find(&self, name: &str) -> Result<Option<(PointId, StoredPoint)>> {
        let id = self.keys.point_id(name);
        match self.read(id).await {
            Ok(point) => Ok(Some((point_id(id), point))),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn list_ids(&self) -> Result<Vec<ObjectId>> {
        let listed = self.store.list(Kind::Point).await?;
        Ok(listed.into_iter().map(|object| object.id).collect())
    }

    /// Every point, the unreadable ones included. Points removed meanwhile are left out.
    pub(crate) async fn read_all(&self) -> Result<Vec<Found>> {
        let listed = self.store.list(Kind::Point).await?;
        let mut found: Vec<Found> = stream::iter(listed)
            .map(|object| async move { (object.id, self.read_listed(&object).await) })
            .buffer_unordered(READS_IN_FLIGHT)
            .filter(|(_, result)| {
                let gone = matches!(result, Err(Error::Missing { .. }));
                async move { !gone }
            })
            .collect()
            .await;
        found.sort_by_key(|(id, _)| *id);
        self.lock()
            .retain(|id, _| found.binary_search_by_key(id, |(id, _)| *id).is_ok());
        Ok(found)
    }

    /// Every readable point. An unreadable one is logged: it must not hide the others, and a
    /// verification names it.
    pub(crate) async fn read_readable(&self) -> Result<Vec<(PointId, StoredPoint)>> {
        let mut points = Vec::new();
        for (id, result) in self.read_all().await? {
            match result {
                Ok(point) => points.push((point_id(id), point)),
                Err(
                    error @ (Error::Corrupt { .. }
                    | Error::NewerVersion { .. }
                    | Error::NewerKeys { .. }),
                ) => {
                    tracing::error!(error = %Chain(&error), "a point cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        points.sort_by(|(a, left), (b, right)| {
            (left.created_at_us, a).cmp(&(right.created_at_us, b))
        });
        Ok(points)
    }

    /// The point goes first: with it, it is deleted. A copy that stays is removed by a collection.
    pub(crate) async fn delete(&self, id: ObjectId) -> Result<()> {
        self.store.delete(&layout::path(Kind::Point, id)).await?;
        self.store.delete(&layout::point_copy(id)).await
    }

    /// Removes copies whose points are gone.
    pub(crate) async fn delete_idle_copies(&self) -> Result<()> {
        // Copies first: a point is put before its copy.
        let copies = self.store.list_point_copies().await?;
        let points: HashSet<_> = self.list_ids().await?.into_iter().collect();
        for copy in copies.iter().filter(|copy| !points.contains(&copy.id)) {
            self.store.delete(&layout::point_copy(copy.id)).await?;
        }
        Ok(())
    }

    async fn read_listed(&self, object: &Listed) -> Result<StoredPoint> {
        let known = self.lock().get(&object.id).cloned();
        if let Some((stamp, point)) = known
            && stamp == object.stamp
        {
            return Ok(point);
        }
        let point = self.read(object.id).await?;
        self.lock()
            .insert(object.id, (object.stamp.clone(), point.clone()));
        Ok(point)
    }

    fn decode(&self, id: ObjectId, path: &Path, bytes: &[u8]) -> Result<StoredPoint> {
        let corrupt = |error| Error::decoding(path.as_ref(), error);
        let (header, json) = open_object(bytes, Kind::Point, &self.keys).map_err(corrupt)?;
        let malformed = |text| corrupt(strongroom_chunk::Error::Malformed(text));
        if header.object != id {
            return Err(malformed("it is another object under this name"));
        }
        let point: StoredPoint =
            serde_json::from_slice(&json).map_err(|_| malformed("a point with missing fields"))?;
        point.root().map_err(corrupt)?;
        Ok(point)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectId, (String, StoredPoint)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
