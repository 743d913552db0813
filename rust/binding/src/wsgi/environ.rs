//! The environ of one request (PEP 3333, "environ Variables"; RFC 3875 section 4.1): a copy of what is the same for all
//! requests that arrive at one address, and what the request says. Not here: the body's stream; see `input`.

use super::extension::ExtendTimeout;
use super::fast::latin1;
use super::input::Input;
use super::names::{self, Meaning, Names};
use engine::connection::Head;
use engine::drive::{Exchange, Seat};
use engine::http::Version;
use engine::http::target::decode_path;
use engine::net::Endpoint;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::net::IpAddr;
use std::sync::Arc;

/// Base environs kept by a thread; a server that listens on many addresses makes them anew.
const BASES: usize = 16;

/// What all requests have in common.
pub(super) struct Constants {
    pub(super) multithread: bool,
    pub(super) multiprocess: bool,
    /// `SCRIPT_NAME`: "", or the prefix with a leading slash and no trailing one, in the bytes of a decoded path.
    pub(super) script_name: Vec<u8>,
    pub(super) errors: Py<PyAny>,
    /// `SERVER_SOFTWARE`.
    pub(super) software: &'static str,
}

/// Makes environs; belongs to one thread, because of what it remembers.
pub(super) struct Maker {
    bases: Vec<(Endpoint, Py<PyDict>)>,
    names: Names,
    /// The last address of a peer.
    peer: Option<(IpAddr, Py<PyString>)>,
    path: Vec<u8>,
    /// The body of the last request, if it is in a file.
    pub(super) spooled: Option<Py<Input>>,
}

impl Maker {
    pub(super) fn new() -> Self {
        Self { bases: Vec::new(), names: Names::new(), peer: None, path: Vec::new(), spooled: None }
    }

    /// The environ of the request of `exchange`, whose body it takes.
    pub(super) fn environ<'py>(
        &mut self,
        py: Python<'py>,
        constants: &Constants,
        exchange: &mut Exchange<'_>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (local, peer) = (exchange.endpoints().local, exchange.endpoints().peer);
        let environ = self.base(py, constants, local, exchange.seat())?.copy()?;
        if exchange.body_length() > 0 {
            let input = Bound::new(py, Input::new(exchange.take_body()))?;
            environ.set_item(intern!(py, "wsgi.input"), &input)?;
            self.spooled = input.get().holds_file(py).then(|| input.unbind());
        }
        let head = exchange.head();
        set_method(&environ, head)?;
        self.set_target(&environ, &constants.script_name, head)?;
        if head.version() == Version::Http10 {
            environ.set_item(intern!(py, "SERVER_PROTOCOL"), intern!(py, "HTTP/1.0"))?;
        }
        if let Some(length) = head.content_length() {
            let mut digits = itoa::Buffer::new();
            environ.set_item(intern!(py, "CONTENT_LENGTH"), PyString::new(py, digits.format(length)))?;
        }
        self.set_peer(&environ, peer)?;
        if local == Endpoint::Unix {
            set_server_from_host(&environ, head)?;
        }
        self.set_fields(&environ, head)?;
        Ok(environ)
    }

    fn base<'a, 'py>(
        &'a mut self,
        py: Python<'py>,
        constants: &Constants,
        local: Endpoint,
        seat: &Arc<Seat>,
    ) -> PyResult<&'a Bound<'py, PyDict>> {
        let found = self.bases.iter().position(|(known, _)| *known == local);
        let index = if let Some(index) = found {
            index
        } else {
            if self.bases.len() >= BASES {
                self.bases.clear();
            }
            self.bases.push((local, make_base(py, constants, local, seat)?.unbind()));
            self.bases.len() - 1
        };
        Ok(self.bases[index].1.bind(py))
    }

    /// `RAW_URI` and `REQUEST_URI` (as sent), `PATH_INFO`, `QUERY_STRING`.
    ///
    /// `SCRIPT_NAME` is always the configured prefix. A path below it loses it in `PATH_INFO`; any other path is
    /// `PATH_INFO` as it is, because the usual reason is a proxy that has taken the prefix off already. So a proxy may do
    /// either.
    fn set_target(&mut self, environ: &Bound<'_, PyDict>, script_name: &[u8], head: &Head) -> PyResult<()> {
        let py = environ.py();
        let target = latin1(py, head.target())?;
        environ.set_item(intern!(py, "RAW_URI"), &target)?;
        environ.set_item(intern!(py, "REQUEST_URI"), &target)?;
        let query = head.query();
        if !query.is_empty() {
            environ.set_item(intern!(py, "QUERY_STRING"), latin1(py, query)?)?;
        }
        let encoded = head.path();
        let path = if memchr::memchr(b'%', encoded).is_some() {
            self.path.clear();
            // The engine has refused what cannot be decoded.
            let _ = decode_path(encoded, &mut self.path);
            self.path.as_slice()
        } else {
            encoded
        };
        let info = match path.strip_prefix(script_name) {
            Some(rest) if rest.is_empty() || rest.starts_with(b"/") => rest,
            _ => path,
        };
        let info = match info {
            // `OPTIONS *` asks about the server as a whole, and RFC 3875 section 4.1.5 has no such path.
            b"*" => intern!(py, "").clone(),
            _ if info == head.target() => target,
            _ => latin1(py, info)?,
        };
        environ.set_item(intern!(py, "PATH_INFO"), info)
    }

    /// `REMOTE_ADDR` and `REMOTE_PORT`; both are empty for a peer on a Unix socket, and are so in the base environ.
    fn set_peer(&mut self, environ: &Bound<'_, PyDict>, peer: Endpoint) -> PyResult<()> {
        let py = environ.py();
        let Endpoint::Tcp(peer) = peer else {
            return Ok(());
        };
        let address = peer.ip().to_canonical();
        let text = match &self.peer {
            Some((known, text)) if *known == address => text.bind(py),
            _ => {
                let text = PyString::new(py, &address.to_string());
                self.peer.insert((address, text.unbind())).1.bind(py)
            }
        };
        environ.set_item(intern!(py, "REMOTE_ADDR"), text)?;
        let mut digits = itoa::Buffer::new();
        environ.set_item(intern!(py, "REMOTE_PORT"), PyString::new(py, digits.format(peer.port())))
    }

    fn set_fields(&mut self, environ: &Bound<'_, PyDict>, head: &Head) -> PyResult<()> {
        let py = environ.py();
        let mut length = environ.len();
        let mut repeated = false;
        for (name, value) in head.fields() {
            self.names.field(py, name, value, |named| {
                match named.meaning {
                    Meaning::Hidden => {}
                    Meaning::ContentType => {
                        environ.set_item(intern!(py, "CONTENT_TYPE"), named.value)?;
                        length = environ.len();
                    }
                    Meaning::Variable => {
                        environ.set_item(named.variable, named.value)?;
                        length += 1;
                        repeated |= environ.len() < length;
                    }
                }
                Ok(())
            })?;
        }
        if repeated { join_repeated(environ, head) } else { Ok(()) }
    }
}

/// Set the fields again, those that came more than once as one value each. Rare, so it may take its time, but not more
/// than comparing each name with each other, and the number of fields is limited.
#[cold]
fn join_repeated(environ: &Bound<'_, PyDict>, head: &Head) -> PyResult<()> {
    let py = environ.py();
    let mut joined: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (name, value) in head.fields().filter(|(name, _)| Meaning::of(name) == Meaning::Variable) {
        let variable = names::variable(name);
        match joined.iter_mut().find(|(known, _)| *known == variable) {
            Some((_, values)) => {
                values.extend_from_slice(names::separator(name));
                values.extend_from_slice(value);
            }
            None => joined.push((variable, value.to_vec())),
        }
    }
    for (variable, values) in joined {
        environ.set_item(latin1(py, &variable)?, latin1(py, &values)?)?;
    }
    Ok(())
}

fn set_method(environ: &Bound<'_, PyDict>, head: &Head) -> PyResult<()> {
    let py = environ.py();
    let method = match head.method() {
        b"GET" => return Ok(()), // as in the base environ
        b"POST" => intern!(py, "POST").clone(),
        b"HEAD" => intern!(py, "HEAD").clone(),
        b"PUT" => intern!(py, "PUT").clone(),
        b"DELETE" => intern!(py, "DELETE").clone(),
        b"OPTIONS" => intern!(py, "OPTIONS").clone(),
        b"PATCH" => intern!(py, "PATCH").clone(),
        other => latin1(py, other)?,
    };
    environ.set_item(intern!(py, "REQUEST_METHOD"), method)
}

/// A Unix socket has no name and port: they are what the client asked for.
fn set_server_from_host(environ: &Bound<'_, PyDict>, head: &Head) -> PyResult<()> {
    let py = environ.py();
    let Some(host) = head.host() else {
        return Ok(());
    };
    // The engine has checked the form: a name or address, an IPv6 address in brackets, then perhaps a colon and a port.
    let (name, port) = match memchr::memrchr(b':', host) {
        Some(colon) if host.last() != Some(&b']') => (&host[..colon], &host[colon + 1..]),
        _ => (host, &b""[..]),
    };
    environ.set_item(intern!(py, "SERVER_NAME"), latin1(py, name)?)?;
    if !port.is_empty() {
        environ.set_item(intern!(py, "SERVER_PORT"), latin1(py, port)?)?;
    }
    Ok(())
}

/// What is the same for all requests to one address, and what is so for most: a request sets only what differs.
fn make_base<'py>(
    py: Python<'py>,
    constants: &Constants,
    local: Endpoint,
    seat: &Arc<Seat>,
) -> PyResult<Bound<'py, PyDict>> {
    let base = PyDict::new(py);
    let empty = intern!(py, "");
    base.set_item(intern!(py, "REQUEST_METHOD"), intern!(py, "GET"))?;
    base.set_item(intern!(py, "SCRIPT_NAME"), latin1(py, &constants.script_name)?)?;
    base.set_item(intern!(py, "PATH_INFO"), empty)?;
    base.set_item(intern!(py, "RAW_URI"), empty)?;
    base.set_item(intern!(py, "REQUEST_URI"), empty)?;
    base.set_item(intern!(py, "QUERY_STRING"), empty)?;
    let (name, port) = match local {
        Endpoint::Tcp(address) => {
            let name = match address.ip().to_canonical() {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"), // RFC 3875 section 4.1.14
            };
            (name, address.port().to_string())
        }
        Endpoint::Unix => (String::from("localhost"), String::from("80")),
    };
    base.set_item(intern!(py, "SERVER_NAME"), name)?;
    base.set_item(intern!(py, "SERVER_PORT"), port)?;
    base.set_item(intern!(py, "SERVER_PROTOCOL"), intern!(py, "HTTP/1.1"))?;
    base.set_item(intern!(py, "SERVER_SOFTWARE"), constants.software)?;
    base.set_item(intern!(py, "REMOTE_ADDR"), empty)?;
    base.set_item(intern!(py, "REMOTE_PORT"), empty)?;
    base.set_item(intern!(py, "wsgi.version"), (1, 0))?;
    base.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "http"))?;
    // One stream without bytes serves all requests without a body: there is nothing in it that could change.
    base.set_item(intern!(py, "wsgi.input"), Bound::new(py, Input::new(engine::drive::Body::default()))?)?;
    base.set_item(intern!(py, "wsgi.errors"), &constants.errors)?;
    base.set_item(intern!(py, "wsgi.multithread"), constants.multithread)?;
    base.set_item(intern!(py, "wsgi.multiprocess"), constants.multiprocess)?;
    base.set_item(intern!(py, "wsgi.run_once"), false)?;
    base.set_item(intern!(py, "wsgi.file_wrapper"), py.get_type::<super::file_wrapper::FileWrapper>())?;
    base.set_item(intern!(py, "wsgi.input_terminated"), true)?;
    base.set_item(intern!(py, "tricorn.extend_timeout"), Bound::new(py, ExtendTimeout::new(Arc::clone(seat)))?)?;
    // A table that has grown once has room for some twenty fields; copies keep the size, and need not grow.
    let growth = intern!(py, "tricorn.growth");
    base.set_item(growth, empty)?;
    base.del_item(growth)?;
    Ok(base)
}
