//! The only place that computes a deadline; `Connection::expire` is the only place that acts on one.
//!
//! API CONTRACT (skeleton):
//! `Rate { initial: Duration, maximum: Option<Duration>, min_rate: Option<u32 /* bytes per second */> }` (Apache:
//! `RequestReadTimeout stage=initial[-maximum][,MinRate=rate]`; an `initial` of zero is no limit);
//! `Timeouts { header: Rate, body: Rate, response: Rate, keep_alive: Duration (0 = no keep-alive), linger: Duration 30 s,
//! linger_after_timeout: Duration 2 s }`.
