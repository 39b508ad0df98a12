//! Taking a file apart: YAML with several documents, JSON (which is YAML), `kind: List`.

use std::fmt;

use serde_json::Value;

/// Largest file, bytes: a fleet's manifests are written by hand or by a generator, object by object.
const FILE_BYTES: usize = 64 * 1024 * 1024;

/// One object of a file and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The file, or `stdin`.
    pub file: String,
    /// Which document of the file, from 1.
    pub index: usize,
    /// Which item of a `kind: List`, from 0.
    pub item: Option<usize>,
    /// The object.
    pub value: Value,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: document {}", self.file, self.index)?;
        match self.item {
            Some(item) => write!(f, ", items[{item}]"),
            None => Ok(()),
        }
    }
}

/// A file that is not YAML or JSON.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not YAML.
    #[error("{file}: document {index}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// Which document, from 1.
        index: usize,
        /// Where and why parsing stopped, in one line.
        message: String,
    },
    /// A List without a list.
    #[error("{file}: document {index}: items: expected a list")]
    List {
        /// The file.
        file: String,
        /// Which document, from 1.
        index: usize,
    },
    /// Larger than anybody writes.
    #[error("{0}: larger than {FILE_BYTES} bytes")]
    TooLarge(String),
}

/// Every object of a file, Lists taken apart, empty documents left out.
pub fn documents(file: &str, text: &str) -> Result<Vec<Document>, DocumentError> {
    if text.len() > FILE_BYTES {
        return Err(DocumentError::TooLarge(file.to_owned()));
    }
    let mut input = text.as_bytes();
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    let mut documents = Vec::new();
    for (position, value) in serde_saphyr::read_with_options::<_, Value>(&mut input, options).enumerate() {
        let index = position + 1;
        let value = value.map_err(|error| DocumentError::Syntax {
            file: file.to_owned(),
            index,
            message: error.to_string().replace('\n', " "),
        })?;
        take_apart(file, index, value, &mut documents)?;
    }
    Ok(documents)
}

fn take_apart(
    file: &str,
    index: usize,
    mut value: Value,
    documents: &mut Vec<Document>,
) -> Result<(), DocumentError> {
    let is_list = value.get("kind").and_then(Value::as_str) == Some("List")
        && value.get("apiVersion").and_then(Value::as_str) == Some("v1");
    if !is_list {
        documents.push(Document {
            file: file.to_owned(),
            index,
            item: None,
            value,
        });
        return Ok(());
    }
    let Some(Value::Array(items)) = value.get_mut("items").map(Value::take) else {
        return Err(DocumentError::List {
            file: file.to_owned(),
            index,
        });
    };
    documents.extend(items.into_iter().enumerate().map(|(item, value)| Document {
        file: file.to_owned(),
        index,
        item: Some(item),
        value,
    }));
    Ok(())
}
