//! The core from outside: hubs, apps, old peers, clients of gateways and attackers, by hand and in a simulated network,
//! and the bytes that they exchange. No sockets, no clocks: everything follows from a seed.

#[path = "../sim/mod.rs"]
mod sim;

mod admission;
mod app;
mod backpressure;
mod clear;
mod clients;
mod clocks;
mod counters;
mod flush;
mod forget;
mod gateways;
mod identities;
mod large;
mod lifetimes;
mod memory;
#[cfg(feature = "mutations")]
mod mutations;
mod old_hubs;
mod patterns;
mod presence;
mod promise;
mod routing;
mod stale;
mod stamps;
mod store;
mod subscriptions;
mod synced;
mod table;
mod tokens;
mod traces;
mod transient;
mod websocket;
mod wills;
mod wire;
mod words;
