//! What the error log is told when an application fails: one line that names the request, then the traceback. Written
//! through the stream that the application itself gets as `wsgi.errors`.

use super::answer::Failure;
use engine::connection::Head;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Tell why the answer to `head` failed. A client that has left is nothing to report.
#[cold]
pub(super) fn failure(py: Python<'_>, errors: &Bound<'_, PyAny>, head: &Head, failure: &Failure) {
    match failure {
        Failure::Gone | Failure::TooLate => {}
        Failure::Raised(error) => {
            let text = format!(
                "{}: the application raised {}\n{}",
                request(head),
                error_kind(py, error),
                traceback(py, error)
            );
            write(errors, &text);
        }
        Failure::Broken(sentence) => write(errors, &format!("{}: {sentence}\n", request(head))),
    }
}

/// Tell that `close()` raised; the answer is not affected.
#[cold]
pub(super) fn close_failure(py: Python<'_>, errors: &Bound<'_, PyAny>, head: &Head, error: &PyErr) {
    let text = format!("{}: close() of what the application returned raised\n{}", request(head), traceback(py, error));
    write(errors, &text);
}

/// Method and target, unprintable bytes escaped, without quotes.
fn request(head: &Head) -> String {
    format!("{} {}", head.method().escape_ascii(), show(head.path()).trim_matches('"'))
}

fn error_kind(py: Python<'_>, error: &PyErr) -> String {
    error.get_type(py).name().map_or_else(|_| String::from("an exception"), |name| name.to_string_lossy().into_owned())
}

fn traceback(py: Python<'_>, error: &PyErr) -> String {
    let format = || -> PyResult<String> {
        let lines =
            py.import(intern!(py, "traceback"))?.call_method1(intern!(py, "format_exception"), (error.value(py),))?;
        let text = PyString::new(py, "").call_method1(intern!(py, "join"), (lines,))?;
        Ok(text.cast::<PyString>()?.to_string_lossy().into_owned())
    };
    format().unwrap_or_else(|_| format!("{error}\n"))
}

/// One write for the whole text, so that lines of other threads do not come between.
fn write(errors: &Bound<'_, PyAny>, text: &str) {
    let py = errors.py();
    let outcome =
        errors.call_method1(intern!(py, "write"), (text,)).and_then(|_| errors.call_method0(intern!(py, "flush")));
    if let Err(error) = outcome {
        error.write_unraisable(py, Some(errors));
    }
}

/// The type of `object`, for a sentence.
#[cold]
pub(super) fn kind(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| String::from("an object"), |name| name.to_string_lossy().into_owned())
}

/// Bytes in quotes, with everything unprintable escaped, cut to a length that suits a log line.
#[cold]
pub(super) fn show(bytes: &[u8]) -> String {
    const LONGEST: usize = 200;
    let (shown, rest) = bytes.split_at(bytes.len().min(LONGEST));
    format!("\"{}\"{}", shown.escape_ascii(), if rest.is_empty() { "" } else { "…" })
}
