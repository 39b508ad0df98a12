//! The desired state of every device, ready to be served: a poll is one map lookup (DESIGN section 4).
//!
//! Fed from the store's watch. A change touches one device's entry (two, when a process is bound anew) and
//! drops what was made for it; tag and body are made again when the device next asks, and kept. A change of
//! status alone touches nothing. The ETag comes from names, generations and spec hashes: a spec is never
//! serialized to make it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
};

use apollo_wire::{
    CanonicalSpec, DesiredProcess, DesiredState, DeviceName, ProcessRef, binary, json, limits,
};
use serde_json::value::RawValue;

use crate::{etag::ETag, object::ProcessObject};

/// Which encoding of the document is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `application/json`.
    Json,
    /// `application/vnd.apollo`.
    Binary,
}

/// The answer to a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetch {
    /// 304: the device has it.
    NotModified {
        /// For the `ETag` header.
        etag: ETag,
    },
    /// 200.
    Body {
        /// For the `ETag` header.
        etag: ETag,
        /// The encoded document.
        body: Arc<[u8]>,
    },
}

/// Every device's desired processes, by the device they are bound to.
#[derive(Debug, Default)]
pub struct DesiredIndex {
    devices: HashMap<DeviceName, Entry>,
    bound_to: HashMap<ProcessRef, DeviceName>,
}

#[derive(Debug)]
struct Entry {
    items: BTreeMap<ProcessRef, Item>,
    /// What all items count together, as [`Entry::served`] counts.
    bytes: usize,
    etag: OnceLock<ETag>,
    json: OnceLock<Arc<[u8]>>,
    binary: OnceLock<Arc<[u8]>>,
}

#[derive(Debug, PartialEq)]
struct Item {
    generation: i64,
    spec: CanonicalSpec,
}

/// The devices whose desired state a change has touched: none, one, or the former and the new one.
pub type Touched = Vec<DeviceName>;

impl DesiredIndex {
    /// Takes in a process as it is now.
    pub fn upsert(&mut self, process: &ProcessObject) -> Touched {
        let mut touched = Touched::new();
        match self.bound_to.get(&process.process) {
            Some(former) if *former == process.device => {}
            Some(_) => touched.extend(self.remove(&process.process)),
            None => {}
        }
        let item = Item {
            generation: process.generation,
            spec: process.spec.clone(),
        };
        let entry = self
            .devices
            .entry(process.device.clone())
            .or_insert_with(Entry::empty);
        if entry.items.get(&process.process) == Some(&item) {
            return touched;
        }
        entry.insert(process.process.clone(), item);
        self.bound_to
            .insert(process.process.clone(), process.device.clone());
        touched.push(process.device.clone());
        touched
    }

    /// Takes out a process that is gone. Returns the device it was bound to.
    pub fn remove(&mut self, process: &ProcessRef) -> Option<DeviceName> {
        let device = self.bound_to.remove(process)?;
        let entry = self.devices.get_mut(&device)?;
        entry.remove(process);
        if entry.items.is_empty() {
            self.devices.remove(&device);
        }
        Some(device)
    }

    /// How many processes of a device are not served, because no agent could read a document with all of them.
    pub fn left_out(&self, device: &DeviceName) -> usize {
        self.devices.get(device).map_or(0, Entry::left_out)
    }

    /// The devices of which processes are left out, and how many.
    pub fn overfull(&self) -> impl Iterator<Item = (&DeviceName, usize)> {
        let left_out = self
            .devices
            .iter()
            .map(|(device, entry)| (device, entry.left_out()));
        left_out.filter(|(_, left_out)| *left_out > 0)
    }

    /// Answers a poll. A device without processes, known or not, gets an empty list with a constant ETag.
    ///
    /// `if_none_match` is the field value (several lines joined with commas).
    pub fn fetch(&self, device: &DeviceName, if_none_match: Option<&str>, form: Form) -> Fetch {
        let entry = self.devices.get(device);
        let etag = entry.map_or_else(|| ETag::of([]), Entry::etag);
        if if_none_match.is_some_and(|field| etag.matches(field)) {
            return Fetch::NotModified { etag };
        }
        let body = match entry {
            Some(entry) => entry.body(device, form),
            None => encode(
                &DesiredState {
                    device: device.clone(),
                    processes: Vec::new(),
                },
                form,
            ),
        };
        Fetch::Body { etag, body }
    }

    /// How many devices have at least one process.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// How many processes there are.
    pub fn processes(&self) -> usize {
        self.bound_to.len()
    }
}

/// Counted for a document beside its items: the device's name, at most 253 bytes, and what stands around the list.
const DOCUMENT_BYTES: usize = 512;
/// Counted for an item beside its name and its spec: generation, hash and, in JSON, the names of the fields, at most 97.
const ITEM_BYTES: usize = 128;

impl Item {
    /// What the item takes of a document at most, in either form, before compression.
    fn bytes(&self, process: &ProcessRef) -> usize {
        ITEM_BYTES + process.as_str().len() + self.spec.json().len()
    }
}

impl Entry {
    fn empty() -> Self {
        Self {
            items: BTreeMap::new(),
            bytes: DOCUMENT_BYTES,
            etag: OnceLock::new(),
            json: OnceLock::new(),
            binary: OnceLock::new(),
        }
    }

    /// The items that are served: the first ones, as many as one document may hold by their number and their bytes. More
    /// is a mistake of the operator's (or an attack on one device), which must not make the document unreadable for its
    /// agent.
    fn served(&self) -> impl Iterator<Item = (&ProcessRef, &Item)> {
        let mut bytes = DOCUMENT_BYTES;
        let fits = move |(process, item): &(&ProcessRef, &Item)| {
            bytes = bytes.saturating_add(item.bytes(process));
            bytes <= limits::FRAME_DECODED_BYTES
        };
        self.items.iter().take(limits::DESIRED_PROCESSES).take_while(fits)
    }

    fn left_out(&self) -> usize {
        if self.items.len() <= limits::DESIRED_PROCESSES && self.bytes <= limits::FRAME_DECODED_BYTES {
            return 0;
        }
        self.items.len().saturating_sub(self.served().count())
    }

    fn insert(&mut self, process: ProcessRef, item: Item) {
        self.remove(&process);
        self.bytes = self.bytes.saturating_add(item.bytes(&process));
        self.items.insert(process, item);
    }

    fn remove(&mut self, process: &ProcessRef) {
        if let Some(former) = self.items.remove(process) {
            self.bytes = self.bytes.saturating_sub(former.bytes(process));
        }
        self.touch();
    }

    /// Something has changed: nothing that was made from the items holds any more. It is made again at the
    /// next fetch, so that taking in a whole fleet's objects costs one step each.
    fn touch(&mut self) {
        self.etag = OnceLock::new();
        self.json = OnceLock::new();
        self.binary = OnceLock::new();
    }

    fn etag(&self) -> ETag {
        let items = || {
            self.served()
                .map(|(process, item)| (process, item.generation, item.spec.hash()))
        };
        self.etag.get_or_init(|| ETag::of(items())).clone()
    }

    fn body(&self, device: &DeviceName, form: Form) -> Arc<[u8]> {
        let kept = match form {
            Form::Json => &self.json,
            Form::Binary => &self.binary,
        };
        Arc::clone(kept.get_or_init(|| encode(&self.document(device), form)))
    }

    fn document(&self, device: &DeviceName) -> DesiredState {
        let processes = self.served().filter_map(|(process, item)| {
            Some(DesiredProcess {
                namespace: process.namespace().into(),
                name: process.name().into(),
                generation: item.generation,
                spec_hash: item.spec.hash(),
                // Canonical JSON is JSON, so nothing is ever left out here.
                spec: RawValue::from_string(item.spec.json().into()).ok()?,
            })
        });
        DesiredState {
            device: device.clone(),
            processes: processes.collect(),
        }
    }
}

fn encode(document: &DesiredState, form: Form) -> Arc<[u8]> {
    match form {
        Form::Json => json::encode_desired(document).into(),
        Form::Binary => binary::encode_desired(document).into(),
    }
}
