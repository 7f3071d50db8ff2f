//! Workers on real sockets of the loopback interface.

mod authority;
mod client;
mod doors;
mod relay;
mod stage;
mod stream;
