//! Which form a request is in, and which form its answer should have (RFC 9110, section 12.5.1).

use apollo_gateway_core::desired::Form;
use apollo_wire::{binary, json};
use http::{HeaderMap, StatusCode, header};

use super::reply::Reply;

/// The form of the request's body; binary if it does not say.
///
/// # Errors
/// 415 for every other media type.
pub fn request_form(headers: &HeaderMap) -> Result<Form, Reply> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(Form::Binary);
    };
    match essence(value.to_str().unwrap_or_default()).as_str() {
        json::MEDIA_TYPE => Ok(Form::Json),
        binary::MEDIA_TYPE => Ok(Form::Binary),
        _ => Err(Reply::problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!(
                "Content-Type: expected {} or {}",
                json::MEDIA_TYPE,
                binary::MEDIA_TYPE
            ),
            Some("Content-Type".to_owned()),
        )),
    }
}

/// The form of the answer: `default` without `Accept`; with it JSON if that matches, unless binary is preferred by name.
///
/// # Errors
/// 406 if neither form matches.
pub fn reply_form(headers: &HeaderMap, default: Form) -> Result<Form, Reply> {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return Ok(default);
    }
    let (mut json, mut binary) = (Match::NONE, Match::NONE);
    for value in values {
        for range in value.to_str().unwrap_or_default().split(',') {
            json = json.or_better(range, json::MEDIA_TYPE);
            binary = binary.or_better(range, binary::MEDIA_TYPE);
        }
    }
    let binary_by_name = binary.specificity == EXACT
        && (binary.quality > json.quality || (binary.quality == json.quality && json.specificity < EXACT));
    if json.quality > 0 && !(binary_by_name && binary.quality > 0) {
        Ok(Form::Json)
    } else if binary.quality > 0 {
        Ok(Form::Binary)
    } else {
        Err(Reply::problem(
            StatusCode::NOT_ACCEPTABLE,
            format!(
                "Accept: this resource is {} or {}",
                json::MEDIA_TYPE,
                binary::MEDIA_TYPE
            ),
            Some("Accept".to_owned()),
        ))
    }
}

/// The media type without parameters, in lower case.
fn essence(text: &str) -> String {
    text.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// How a media type fares under `Accept`: the most specific range that matches it decides its quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Match {
    specificity: u8,
    /// Thousandths.
    quality: u16,
}

/// The specificity of a range that names the type in full; `type/*` has 2, `*/*` has 1.
const EXACT: u8 = 3;

impl Match {
    const NONE: Self = Self {
        specificity: 0,
        quality: 0,
    };

    fn or_better(self, range: &str, media_type: &str) -> Self {
        let name = essence(range);
        let specificity = match name.as_str() {
            "*/*" => 1,
            "application/*" => 2,
            name if name == media_type => EXACT,
            _ => return self,
        };
        if specificity < self.specificity {
            return self;
        }
        Self {
            specificity,
            quality: quality(range),
        }
    }
}

/// The parameter `q` in thousandths; 1000 if absent or unreadable.
fn quality(range: &str) -> u16 {
    let parameter = range.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(value) = parameter else { return 1000 };
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole, thousandths.parse::<u16>()) {
        ("0", Ok(thousandths)) => thousandths,
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_request_is_binary_unless_it_says_otherwise() {
        assert_eq!(request_form(&HeaderMap::new()), Ok(Form::Binary));
        for (value, form) in [
            ("application/json", Form::Json),
            ("Application/JSON; charset=utf-8", Form::Json),
            ("application/vnd.apollo", Form::Binary),
        ] {
            assert_eq!(
                request_form(&headers(header::CONTENT_TYPE, value)),
                Ok(form),
                "{value}"
            );
        }
        for value in ["text/plain", "", "application/jsonx", "application/octet-stream"] {
            let refused = request_form(&headers(header::CONTENT_TYPE, value)).unwrap_err();
            assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{value}");
        }
    }

    #[test]
    fn accept_prefers_json_unless_binary_is_preferred_by_name() {
        assert_eq!(reply_form(&HeaderMap::new(), Form::Binary), Ok(Form::Binary));
        assert_eq!(reply_form(&HeaderMap::new(), Form::Json), Ok(Form::Json));
        for (value, form) in [
            ("*/*", Form::Json),
            ("application/*;q=0.2", Form::Json),
            ("application/json", Form::Json),
            ("application/vnd.apollo", Form::Binary),
            ("application/vnd.apollo, */*", Form::Binary),
            ("application/vnd.apollo;q=0.5, */*", Form::Json),
            ("application/vnd.apollo, application/json", Form::Json),
            (
                "application/json;q=0.5, application/vnd.apollo;q=0.8",
                Form::Binary,
            ),
            ("application/json;q=0, */*", Form::Binary),
            ("text/html, application/json;q=0.001", Form::Json),
        ] {
            assert_eq!(
                reply_form(&headers(header::ACCEPT, value), Form::Binary),
                Ok(form),
                "{value}"
            );
        }
        for value in ["text/html", "application/json;q=0", "", "image/*"] {
            let refused = reply_form(&headers(header::ACCEPT, value), Form::Json).unwrap_err();
            assert_eq!(refused.status, StatusCode::NOT_ACCEPTABLE, "{value}");
        }
    }
}
