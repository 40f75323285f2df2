//! Looking up many ids at once. A look-up is mostly waiting for memory, three bytes in each of a dozen filters and then
//! an entry; asked together, the reads of many ids wait at the same time.

use std::hint::black_box;

use strongroom_chunk::{ObjectId, Place, Prefix, Probe, Search};

use crate::{Error, OpenSegment, Result, Snapshot};

/// Ids that go from segment to segment together. What is noted of them meanwhile, 72 bytes each, fits the processor's
/// second cache, and even the sixtieth of them that one segment of a large index may have are many.
const GROUP: usize = 2048;

/// An id that is looked for, and its number in the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    prefix: Prefix,
    number: usize,
}

/// A question to the filter of a partition.
#[derive(Debug, Clone, Copy)]
struct Asked {
    wanted: Wanted,
    partition: usize,
    probe: Probe,
}

impl Snapshot {
    /// As [`Snapshot::find`] for each of `prefixes`, in their order.
    pub fn find_each(
        &self,
        prefixes: &[Prefix],
        mut usable: impl FnMut(ObjectId) -> bool,
        mut damaged: impl FnMut(ObjectId, Error),
    ) -> Vec<Option<Place>> {
        let mut places = vec![None; prefixes.len()];
        let groups = prefixes.chunks(GROUP).zip(places.chunks_mut(GROUP));
        for (prefixes, places) in groups {
            let wanted = prefixes.iter().zip(0..);
            let mut open: Vec<Wanted> = wanted
                .map(|(&prefix, number)| Wanted { prefix, number })
                .collect();
            // Those in the range of one segment, or of one part of it, follow each other.
            open.sort_unstable();
            for segment in self.segments() {
                let possible = in_range(segment, &open);
                if possible.is_empty() {
                    continue;
                }
                if let Err(error) = ask(segment, possible, places, &mut usable) {
                    damaged(segment.id(), error);
                }
                open.retain(|wanted| places[wanted.number].is_none());
            }
        }
        places
    }
}

/// Those that can be in the segment.
fn in_range<'a>(segment: &OpenSegment, open: &'a [Wanted]) -> &'a [Wanted] {
    let Some((first, last)) = segment.span() else {
        return &[];
    };
    let start = open.partition_point(|wanted| wanted.prefix < first);
    let end = open.partition_point(|wanted| wanted.prefix <= last);
    &open[start..end]
}

/// Looks them up in one segment.
fn ask(
    segment: &OpenSegment,
    open: &[Wanted],
    places: &mut [Option<Place>],
    usable: &mut dyn FnMut(ObjectId) -> bool,
) -> Result<()> {
    let mut asked = Vec::with_capacity(open.len());
    for &wanted in open {
        if let Some(partition) = segment.partition(wanted.prefix)? {
            asked.push(Asked {
                wanted,
                partition,
                probe: segment.probe(partition, wanted.prefix),
            });
        }
    }
    let mut hits = [false; GROUP];
    // No branch, and no address of a store, waits for a byte of the filter: the processor goes on to the next
    // question meanwhile.
    for (hit, question) in hits.iter_mut().zip(&asked) {
        *hit = question.probe.matches(segment.bytes());
    }
    let passed = asked.iter().zip(hits).filter(|(_, hit)| *hit);
    let searches = passed.map(|(question, _)| {
        let Asked {
            wanted, partition, ..
        } = *question;
        (wanted, segment.lookup().start(partition, wanted.prefix))
    });
    search(segment, &mut searches.collect::<Vec<_>>(), places, usable)
}

/// Ends searches, step by step together.
fn search(
    segment: &OpenSegment,
    searches: &mut [(Wanted, Search)],
    places: &mut [Option<Place>],
    usable: &mut dyn FnMut(ObjectId) -> bool,
) -> Result<()> {
    let lookup = segment.lookup();
    let read = |offset| segment.entry(offset).map(|entry| entry.prefix);
    for _ in 0..Search::CORRECTIONS {
        let next = searches.iter().filter_map(|(_, search)| search.next());
        fetch(segment, next.map(|number| lookup.entry_offset(number)));
        for (_, search) in &mut *searches {
            if let Some(number) = search.next() {
                search.correct(read(lookup.entry_offset(number))?);
            }
        }
    }
    let next = searches.iter().filter_map(|(_, search)| search.next());
    fetch(segment, next.map(|number| lookup.entry_offset(number)));
    let mut found = Vec::with_capacity(searches.len());
    for (wanted, search) in searches {
        let numbers = lookup.finish(*search, read)?;
        if !numbers.is_empty() {
            let entry = segment.entry(lookup.entry_offset(numbers.start))?;
            found.push((*wanted, numbers, segment.pack_offset(entry.pack)));
        }
    }
    fetch(segment, found.iter().map(|(_, _, pack)| *pack));
    for (wanted, numbers, _) in found {
        places[wanted.number] = segment.choose(numbers, wanted.prefix, usable)?;
    }
    Ok(())
}

/// Reads a byte at each offset and does nothing with it: what lies there is at hand when it is needed.
fn fetch(segment: &OpenSegment, offsets: impl Iterator<Item = u64>) {
    let byte = |offset| {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        segment.bytes().get(at).copied().unwrap_or_default()
    };
    black_box(offsets.fold(0, |sum, offset| sum ^ byte(offset)));
}
