//! The node as its clients and its operator meet it: real sockets, a real store, no stand-ins.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected ends")]

mod admin;
mod calls;
mod cluster;
mod console;
mod control;
mod demo;
mod files;
mod frames;
mod http;
mod login;
mod logs;
mod open_metrics;
mod parameters;
mod quota;
#[allow(dead_code, reason = "the tests of the bus itself do more with it")]
#[path = "../../../store/tests/bus/server.rs"]
mod redis;
mod resume;
mod resume_end;
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
