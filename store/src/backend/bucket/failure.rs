//! Describes why a request failed, without secrets.

use object_store::Error;

use crate::error_kind::{ErrorKind, Failure};

impl Failure {
    /// Makes a failure from an error of `object_store`, without words of the server that may hold a key or a token.
    pub(super) fn of(error: &Error) -> Self {
        let texts = texts(error);
        let text = texts.join(": ");
        let code = between(&text, "<Code>", "</Code>");
        let said = code.map_or(String::new(), |code| format!(" ({code})"));
        let status = status_of(&text);
        let refused =
            matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. });
        match error {
            _ if code == Some("NoSuchBucket") || text.contains("ContainerNotFound") => {
                Self::new(ErrorKind::NoBucket, format!("there is no such bucket{said}"))
            }
            Error::NotFound { .. } => Self::new(ErrorKind::NotFound, "there is no such object"),
            Error::NotImplemented { .. } | Error::NotSupported { .. } => {
                Self::new(ErrorKind::Unfit, "the server cannot do that")
            }
            _ if refused || matches!(status, Some(401 | 403)) => {
                let what = format!(
                    "the server refuses access with the credentials of the environment{said}"
                );
                Self::new(ErrorKind::Unauthorized, what)
            }
            _ => match status {
                Some(status) if status < 500 && status != 429 && status != 408 => {
                    Self::failed(format!("the server answers {status}{said}"))
                }
                Some(status) => {
                    let what = format!("the server answers {status}{said}, again and again");
                    Self::new(ErrorKind::Unreachable, what)
                }
                None => Self::new(ErrorKind::Unreachable, last_words(&texts)),
            },
        }
    }

    /// Whether the same request may succeed later.
    pub(super) fn may_pass(&self) -> bool {
        self.kind() == ErrorKind::Unreachable
    }
}

/// The texts of the error and of all its causes.
fn texts(error: &Error) -> Vec<String> {
    let first: &dyn std::error::Error = error;
    std::iter::successors(Some(first), |it| it.source()).map(ToString::to_string).collect()
}

/// The text of the innermost cause: the error of the connection.
fn last_words(texts: &[String]) -> String {
    let text = texts.last().map_or("", String::as_str);
    // A URL may hold a signature after its question mark.
    let text = text.split(['?', '<']).next().unwrap_or_default().trim();
    let text: String = text.chars().take(300).collect();
    format!("the server cannot be reached: {text}")
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    let (found, _) = rest.split_once(end)?;
    found.bytes().all(|it| it.is_ascii_alphanumeric()).then_some(found)
}

/// The HTTP status in the text of an error: `object_store` gives it only there.
fn status_of(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Failure {
        Failure::of(&Error::Generic { store: "S3", source: text.to_owned().into() })
    }

    #[test]
    fn what_the_server_says_of_credentials_is_not_repeated() {
        let body = "Server returned non-2xx status code: 403 Forbidden: <Error><Code>\
                    SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIAEXAMPLE</AWSAccessKeyId></Error>";
        let failure = of(body);
        assert_eq!(failure.kind(), ErrorKind::Unauthorized);
        assert!(failure.to_string().contains("SignatureDoesNotMatch"), "{failure}");
        assert!(!failure.to_string().contains("AKIA"), "{failure}");
        let failure = of("error sending request for url (https://a.blob/c?sig=secret)");
        assert!(!failure.to_string().contains("secret"), "{failure}");
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        assert!(of("Server returned non-2xx status code: 503 Service Unavailable: ").may_pass());
        assert!(!of("Server returned non-2xx status code: 400 Bad Request: ").may_pass());
        assert!(of("connection refused").may_pass());
        let missing =
            "Server returned non-2xx status code: 404 Not Found: <Code>NoSuchBucket</Code>";
        assert_eq!(of(missing).kind(), ErrorKind::NoBucket);
    }
}
