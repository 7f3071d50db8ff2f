//! The node as its clients and its operator meet it: real sockets, a real store, no stand-ins.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected ends")]

mod admin;
mod calls;
mod cluster;
mod console;
mod control;
mod database;
mod demo;
mod files;
mod frames;
mod http;
mod login;
mod logs;
mod open_metrics;
mod parameters;
#[path = "../../../store/tests/postgres/server.rs"]
#[allow(dead_code, reason = "these tests do less to a server")]
mod postgres;
mod quota;
#[allow(dead_code, reason = "the tests of the bus itself do more with it")]
#[path = "../../../store/tests/bus/server.rs"]
mod redis;
mod resume;
mod resume_end;
mod revocations;
mod server;
mod services;
mod sip_proxy;
mod stop;
mod tls;
mod trunk;
mod trunk_stream;
mod turn;
mod web_services;
mod words;
