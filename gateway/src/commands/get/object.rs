//! Objects in the shape that Kubernetes gives them.

use std::io::Write;

use apollo_wire::UnixMillis;
use serde_json::{Map, Value, json};

use super::{Output, Stopped, json::Array, table, yaml};
use crate::{
    manifest::{API_VERSION, Kind},
    store::embedded::{EmbeddedReader, ObjectFilter, ObjectRecord, StoreError},
};

/// Prints one object.
pub(super) fn print_one(record: &ObjectRecord, output: Output, out: &mut impl Write) -> Result<(), Stopped> {
    let object = shape(record)?;
    match output {
        Output::Json => writeln!(out, "{object:#}")?,
        Output::Yaml => out.write_all(yaml::text(&object)?.as_bytes())?,
        Output::Table | Output::Wide => {
            let mut table = table::Objects::new(record.key.kind, output == Output::Wide);
            table.add(&object);
            table.print(out)?;
        }
    }
    Ok(())
}

/// Prints every object of a kind that passes the filter.
pub(super) fn print_all(
    reader: &EmbeddedReader,
    kind: Kind,
    filter: &ObjectFilter,
    output: Output,
    out: &mut impl Write,
) -> Result<(), Stopped> {
    match output {
        Output::Json => {
            out.write_all(br#"{"apiVersion":"v1","kind":"List","metadata":{},"items":"#)?;
            let mut array = Array::begin(out)?;
            reader.each_object(kind, filter, |record| array.item(&shape(&record)?))?;
            array.end("}\n")
        }
        Output::Yaml => {
            out.write_all(b"apiVersion: v1\nkind: List\nmetadata: {}\n")?;
            let mut list = yaml::List::begin(out, "items");
            reader.each_object(kind, filter, |record| list.item(&shape(&record)?))?;
            list.end()
        }
        Output::Table | Output::Wide => {
            let mut table = table::Objects::new(kind, output == Output::Wide);
            reader.each_object::<Stopped>(kind, filter, |record| {
                table.add(&shape(&record)?);
                Ok(())
            })?;
            table.print(out)
        }
    }
}

/// The object as an API server would give it.
pub(crate) fn shape(record: &ObjectRecord) -> Result<Value, StoreError> {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(record.key.name));
    if record.key.kind.is_namespaced() {
        metadata.insert("namespace".to_owned(), json!(record.key.namespace));
    }
    metadata.insert("uid".to_owned(), json!(record.uid));
    metadata.insert(
        "resourceVersion".to_owned(),
        json!(record.resource_version.to_string()),
    );
    metadata.insert("generation".to_owned(), json!(record.generation));
    metadata.insert(
        "creationTimestamp".to_owned(),
        json!(to_the_second(record.created_at)),
    );
    for (field, map) in [
        ("labels", record.labels()?),
        ("annotations", record.annotations()?),
    ] {
        if !map.is_empty() {
            metadata.insert(field.to_owned(), json!(map));
        }
    }
    Ok(json!({
        "apiVersion": API_VERSION,
        "kind": record.key.kind.as_str(),
        "metadata": metadata,
        "spec": record.spec()?,
        "status": record.status()?,
    }))
}

/// As `metav1.Time` is written: without milliseconds.
fn to_the_second(time: UnixMillis) -> String {
    let text = time.to_string();
    text.split_once('.')
        .map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
}
